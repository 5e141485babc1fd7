//! What decides a balance at a past time.

use super::Subject;
use super::desk::{Desk, account, second, tenant, units};
use crate::credit::HoldState;
use crate::facts::Needs;
use crate::ledger::{EntryKind, OperationKind};
use crate::owner::AccountKey;
use crate::store::{Answer, EntriesAt, Query};

fn entries_at(desk: &Desk, key: &AccountKey, at: i64) -> Option<EntriesAt> {
    match desk.ask(&Query::EntriesAt(key.clone(), second(at))) {
        Answer::EntriesAt(entries) => entries,
        other => panic!("entries at an instant are answered by {other:?}"),
    }
}

pub fn the_last_entry_booked_by_then_is_found(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    for (at, amount) in [(10, 1), (20, 2), (20, 4), (30, 8)] {
        desk.at(at).grant(&key, amount);
    }
    let balance = |at: i64| {
        let entries = entries_at(&desk, &key, at).unwrap();
        assert!(entries.settlements.is_empty());
        (entries.last.map(|entry| entry.balance_after), entries.superseded)
    };
    assert_eq!(balance(9), (None, true), "the account is there, but was empty then");
    assert_eq!(balance(10), (Some(units(1)), true));
    assert_eq!(balance(19), (Some(units(1)), true));
    assert_eq!(balance(20), (Some(units(7)), true), "the last of those booked at one instant");
    assert_eq!(balance(30), (Some(units(15)), false));
    assert_eq!(balance(99), (Some(units(15)), false));
}

pub fn settlements_booked_later_are_listed(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let grant = desk.grant(&key, 10);
    let holds = [30, 40].map(|until| desk.hold(&key, grant, 3, until, None));
    let needs = Needs { holds: holds.map(|hold| (tenant(), hold)).to_vec(), ..Needs::default() };
    let booked = desk.at(50).book_with(needs, &key, OperationKind::Charge, |draft| {
        let draft = holds.iter().fold(draft, |draft, hold| draft.release(*hold, HoldState::Expired));
        draft.settled().charge(grant, units(1), None)
    });
    let listed = |at: i64| {
        let entries = entries_at(&desk, &key, at).unwrap();
        (entries.last.unwrap().seq, entries.superseded, entries.settlements)
    };
    assert_eq!(listed(29), (3, true, vec![]));
    assert_eq!(listed(30), (3, true, booked.stored.entries[..1].to_vec()));
    assert_eq!(listed(49), (3, true, booked.stored.entries[..2].to_vec()));
    assert_eq!(listed(50), (6, false, vec![]), "booked by then, so they are in the balance");
}

pub fn what_is_booked_later_but_was_no_settlement_is_not_listed(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let grant = desk.grant(&key, 10);
    // A command of second 50 books a grant that counts from second 20, and an expiry that was at 30.
    desk.at(50).book(&key, OperationKind::Grant, |draft| {
        draft.entry(EntryKind::Grant, units(5), units(0), |entry| entry.effective_at = second(20)).entry(
            EntryKind::Expire,
            units(-5),
            units(0),
            |entry| {
                entry.grant_id = Some(grant);
                entry.effective_at = second(30);
            },
        )
    });
    let entries = entries_at(&desk, &key, 40).unwrap();
    assert_eq!((entries.last.unwrap().seq, entries.superseded), (1, true));
    assert_eq!(entries.settlements, [], "the command was not given yet");
}

pub fn an_account_without_entries_has_no_past(subject: &Subject) {
    let desk = Desk::new(subject);
    desk.grant(&account("a"), 1);
    assert_eq!(entries_at(&desk, &account("b"), 40), None);
}
