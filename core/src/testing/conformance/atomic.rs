//! Law 1: a batch is written whole or not at all.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Subject;
use super::desk::{Desk, account, id, needs_account, second, tenant, units};
use crate::changes::Changes;
use crate::facts::{Facts, Needs};
use crate::ledger::OperationKind;
use crate::owner::AccountKey;
use crate::store::{Answer, Query, StoreErrorKind};
use crate::testing::scripted::{Draft, ScriptedBatch};

fn grant_in(facts: &Facts, key: &AccountKey, amount: i64) -> Changes {
    Draft::of(facts, key, OperationKind::Grant).grant(units(amount), None).done()
}

fn two_accounts() -> (AccountKey, AccountKey, Needs) {
    let (first, second) = (account("a"), account("b"));
    let needs = Needs { accounts: vec![first.clone(), second.clone()], ..Needs::default() };
    (first, second, needs)
}

pub fn a_batch_is_written_whole(subject: &Subject) {
    let desk = Desk::new(subject);
    let (first, other, needs) = two_accounts();
    let mut written = Vec::new();
    desk.run(needs, |facts| {
        written = vec![grant_in(&facts, &first, 1), grant_in(&facts, &other, 2)];
        written.clone()
    });
    let feed = desk.feed(None, 0, 10);
    let operations: Vec<_> = feed.iter().map(|stored| stored.operation.clone()).collect();
    assert_eq!(operations, written.iter().map(|changes| changes.operation().clone()).collect::<Vec<_>>());
    assert_eq!(desk.account(&first, second(0)).unwrap().account, written[0].account.clone().unwrap());
    assert_eq!(desk.account(&other, second(0)).unwrap().account, written[1].account.clone().unwrap());
}

pub fn a_batch_with_a_taken_operation_id_leaves_nothing(subject: &Subject) {
    let desk = Desk::new(subject);
    let (first, other, needs) = two_accounts();
    desk.grant(&first, 1);
    let before = desk.account(&first, second(0)).unwrap().account;
    let taken = desk.feed(None, 0, 1)[0].operation.op_id;
    let outcome = desk.try_run(needs, |facts| {
        let good = grant_in(&facts, &first, 5);
        let mut bad = grant_in(&facts, &other, 5);
        bad.stored_mut().operation.op_id = taken;
        bad.stored_mut().entries[0].op_id = taken;
        vec![good, bad]
    });
    let error = outcome.unwrap_err();
    assert_eq!((error.kind, error.may_have_applied), (StoreErrorKind::Conflict, false));
    assert_eq!(desk.feed(None, 0, 10).len(), 1);
    assert_eq!(desk.account(&first, second(0)).unwrap().account, before);
    assert!(desk.account(&other, second(0)).is_none());
}

pub fn a_batch_that_decides_nothing_changes_nothing(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    desk.grant(&key, 1);
    let before = desk.account(&key, second(9)).unwrap().account;
    desk.at(9).run(needs_account(&key), |_| Vec::new());
    assert_eq!(desk.account(&key, second(9)).unwrap().account, before);
    assert_eq!(desk.feed(None, 0, 10).len(), 1);
}

pub fn a_batch_that_panics_leaves_nothing(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    // Unwinds like a panic but prints none.
    let decide = |_: Facts| -> Vec<Changes> { std::panic::resume_unwind(Box::new("while it was decided")) };
    let unwound = catch_unwind(AssertUnwindSafe(|| desk.try_run(needs_account(&key), decide)));
    // The store may hand on the panic, or answer an error; it may not be stuck.
    assert!(!matches!(unwound, Ok(Ok(()))));
    assert!(desk.account(&key, second(0)).is_none());
    desk.grant(&key, 3);
    assert_eq!(desk.account(&key, second(0)).unwrap().account.available, units(3));
}

pub fn an_operation_that_booked_nothing_is_written_only_under_a_key(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    desk.book(&key, OperationKind::Grant, |draft| draft.grant(units(1), Some(second(60))));
    let exact = |changes: &mut Changes| changes.account_mut().due_at = Some(second(99));
    let settled = desk.at(9).book(&key, OperationKind::Settle, |draft| draft.with(exact));
    assert_eq!(desk.account(&key, second(9)).unwrap().account, settled.account.clone().unwrap(), "only what is due is made exact");
    assert_eq!(desk.feed(None, 0, 10).len(), 1);
    desk.at(10).book(&key, OperationKind::Settle, |draft| draft.key("k"));
    assert_eq!(desk.feed(None, 0, 10).len(), 2);
    let Answer::OperationByKey(found) = desk.ask(&Query::OperationByKey(tenant(), id("k"))) else {
        panic!("an operation is answered by something else");
    };
    assert_eq!(found.unwrap().entries, []);
}

pub fn a_later_command_of_a_batch_may_use_what_an_earlier_one_made(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    desk.run(needs_account(&key), |mut facts| {
        let first = grant_in(&facts, &key, 5);
        facts.apply(&first);
        let grant_id = first.new_grants[0].id;
        let second = Draft::of(&facts, &key, OperationKind::Charge).charge(grant_id, units(2), None).done();
        facts.apply(&second);
        let third = Draft::of(&facts, &key, OperationKind::Charge).charge(grant_id, units(3), None).done();
        vec![first, second, third]
    });
    let facts = desk.account(&key, second(0)).unwrap();
    assert_eq!((facts.account.available, facts.account.seq), (units(0), 3));
    assert!(facts.grants.is_empty(), "the grant is used up");
}

pub fn a_batch_that_grows_is_written_as_one(subject: &Subject) {
    let desk = Desk::new(subject);
    let (first, other, _) = two_accounts();
    let mut written = Vec::new();
    let mut batch = ScriptedBatch::new(needs_account(&first), &desk.clock, |facts| {
        // A reader sees nothing of what was decided before, and who is decided next sees all of it.
        assert!(desk.account(&first, second(0)).is_none());
        let known = facts.accounts.get(&first).map_or(0, |loaded| loaded.account.seq);
        let expected = [0, 1, 0].get(written.len()).copied();
        assert_eq!(Some(known), expected);
        let key = if written.len() == 2 { &other } else { &first };
        written.push(grant_in(&facts, key, 1));
        written.last().cloned().into_iter().collect()
    })
    .growing([needs_account(&first), needs_account(&other)]);
    desk.store.run(&mut batch).unwrap();
    drop(batch);
    // A store that never asks has decided the first alone.
    assert!(matches!(written.len(), 1 | 3), "{} of 3 were asked for", written.len());
    let operations: Vec<_> = desk.feed(None, 0, 10).iter().map(|stored| stored.operation.clone()).collect();
    assert_eq!(operations, written.iter().map(|changes| changes.operation().clone()).collect::<Vec<_>>());
    desk.grant(&first, 1);
    let known = u64::try_from(written.len().min(2)).unwrap() + 1;
    assert_eq!(desk.account(&first, second(0)).unwrap().account.seq, known);
}

pub fn a_batch_that_fails_when_it_has_grown_leaves_nothing(subject: &Subject) {
    let desk = Desk::new(subject);
    let (first, other, _) = two_accounts();
    desk.grant(&other, 1);
    let taken = desk.feed(None, 0, 1)[0].operation.op_id;
    let mut asked = 0;
    let mut batch = ScriptedBatch::new(needs_account(&first), &desk.clock, |facts| {
        asked += 1;
        let mut decided = Vec::new();
        if facts.accounts.contains_key(&first) || asked == 1 {
            decided.push(grant_in(&facts, &first, 5));
        }
        if facts.accounts.contains_key(&other) {
            let mut bad = grant_in(&facts, &other, 5);
            bad.stored_mut().operation.op_id = taken;
            bad.stored_mut().entries[0].op_id = taken;
            decided.push(bad);
        }
        decided
    })
    .growing([needs_account(&other)]);
    let outcome = desk.store.run(&mut batch);
    drop(batch);
    if asked == 1 {
        assert_eq!((outcome, desk.feed(None, 0, 10).len()), (Ok(()), 2), "a store that never asks");
        return;
    }
    assert_eq!(outcome.unwrap_err().kind, StoreErrorKind::Conflict);
    assert_eq!(desk.feed(None, 0, 10).len(), 1);
    assert!(desk.account(&first, second(0)).is_none());
    desk.grant(&first, 3);
    assert_eq!(desk.account(&first, second(0)).unwrap().account.available, units(3));
}
