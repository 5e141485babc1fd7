//! What each need loads.

use super::Subject;
use super::desk::{Desk, account, id, needs_account, second, tenant, units};
use crate::credit::HoldState;
use crate::facts::Needs;
use crate::id::TaskId;
use crate::ledger::OperationKind;
use crate::testing::scripted::Draft;

pub fn an_account_comes_with_its_open_grants(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let (open, used_up) = (desk.grant(&key, 5), desk.grant(&key, 2));
    desk.charge(&key, used_up, 2, None);
    desk.grant(&account("b"), 9);
    let facts = desk.facts(needs_account(&key));
    let loaded = &facts.accounts[&key];
    assert_eq!(loaded.grants.keys().copied().collect::<Vec<_>>(), [open]);
    assert_eq!((loaded.account.available, loaded.account.open_grants), (units(5), 1));
    assert_eq!(facts.accounts.len(), 1);
    // Held to the last unit, a grant is open still.
    desk.hold(&key, open, 5, 60, None);
    assert_eq!(desk.facts(needs_account(&key)).accounts[&key].grants[&open].held, units(5));
}

pub fn holds_come_when_they_are_due(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let grant = desk.grant(&key, 10);
    let holds: Vec<_> = [10, 20, 30, 40].map(|until| desk.hold(&key, grant, 1, until, None)).to_vec();
    desk.capture(&key, holds[0]);
    let loaded = |at: i64| {
        let facts = desk.at(at).facts(needs_account(&key)).accounts.remove(&key).unwrap();
        let mut due: Vec<_> = facts.due_holds.into_keys().collect();
        due.sort();
        (due, facts.next_hold_at)
    };
    assert_eq!(loaded(9), (vec![], None), "nothing can be due yet, so nothing is looked for");
    assert_eq!(loaded(10), (vec![], Some(second(20))), "the bound is reached: it was of a hold that has ended");
    assert_eq!(loaded(20), (vec![holds[1]], Some(second(30))), "a hold is due at its expiry");
    assert_eq!(loaded(39), (holds[1..3].to_vec(), Some(second(40))));
    assert_eq!(loaded(40), (holds[1..].to_vec(), None));
}

pub fn a_hold_comes_with_its_account_and_task(subject: &Subject) {
    let desk = Desk::new(subject);
    let (key, task): (_, TaskId) = (account("a"), id("job"));
    let grant = desk.grant(&key, 5);
    let hold = desk.hold(&key, grant, 2, 60, Some(&task));
    let facts = desk.facts(Needs { holds: vec![(tenant(), hold)], ..Needs::default() });
    let (of, loaded) = &facts.holds[&hold];
    assert_eq!((&**of, loaded.held(), loaded.state), (&key, units(2), HoldState::Frozen));
    assert_eq!(facts.accounts[&key].grants[&grant].held, units(2));
    assert_eq!(facts.tasks[&(tenant(), task)].hold_id, Some(hold));
}

pub fn an_ended_hold_is_found(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let grant = desk.grant(&key, 5);
    let hold = desk.hold(&key, grant, 2, 60, None);
    desk.capture(&key, hold);
    let facts = desk.facts(Needs { holds: vec![(tenant(), hold)], ..Needs::default() });
    let loaded = &facts.holds[&hold].1;
    assert_eq!((loaded.state, loaded.captured, loaded.draw.is_empty()), (HoldState::Committed, units(2), true));
}

pub fn a_task_comes_with_its_hold(subject: &Subject) {
    let desk = Desk::new(subject);
    let (key, task): (_, TaskId) = (account("a"), id("job"));
    let grant = desk.grant(&key, 5);
    desk.hold(&key, grant, 2, 60, Some(&task));
    let latest = desk.hold(&key, grant, 1, 90, Some(&task));
    let facts = desk.facts(Needs { tasks: vec![(tenant(), task.clone())], ..Needs::default() });
    let loaded = &facts.tasks[&(tenant(), task)];
    assert_eq!((loaded.hold_id, loaded.charges, loaded.last_at), (Some(latest), 0, second(0)));
    assert_eq!(facts.holds[&latest].1.expires_at, second(90));
}

pub fn a_grant_comes_with_its_account_open_or_not(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let (open, used_up) = (desk.grant(&key, 5), desk.grant(&key, 2));
    desk.charge(&key, used_up, 2, None);
    for (grant, remaining) in [(open, 5), (used_up, 0)] {
        let facts = desk.facts(Needs { grants: vec![(tenant(), grant)], ..Needs::default() });
        assert_eq!((&*facts.grants[&grant].0, facts.grants[&grant].1.remaining), (&key, units(remaining)));
        assert_eq!(facts.accounts[&key].account.available, units(5));
    }
}

pub fn a_charge_comes_with_what_it_drew(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let grant = desk.grant(&key, 5);
    let book = |draft: Draft| {
        draft.charge(grant, units(5), None).with(|changes| changes.stored_mut().operation.policy_tag = Some(id("eu")))
    };
    let booked = desk.book(&key, OperationKind::Charge, book);
    let charge = booked.stored.entries[0].ledger_id();
    let needs = Needs { charges: vec![(tenant(), charge)], ..Needs::default() };
    let facts = desk.facts(needs.clone());
    let loaded = &facts.charges[&charge];
    assert_eq!((&loaded.entry, loaded.refunded, &loaded.policy_tag), (&booked.stored.entries[0], units(0), &Some(id("eu"))));
    assert!(!facts.grants[&grant].1.is_open(), "the grant that it used up");
    assert_eq!(facts.accounts[&key].account.available, units(0));
    // The refund opens the grant again.
    let refund = |draft: Draft| draft.refund(charge, grant, units(3), units(3));
    desk.book_with(needs.clone(), &key, OperationKind::Refund, refund);
    let facts = desk.facts(needs);
    assert_eq!(facts.charges[&charge].refunded, units(3));
    assert_eq!(facts.accounts[&key].grants[&grant].remaining, units(3));
}

pub fn an_entry_that_is_no_charge_is_absent(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    desk.grant(&key, 5);
    let granted = desk.feed(None, 0, 1)[0].entries[0].ledger_id();
    let facts = desk.facts(Needs { charges: vec![(tenant(), granted)], ..Needs::default() });
    assert!(facts.charges.is_empty());
}

pub fn charges_of_a_task_come_in_order_for_the_account(subject: &Subject) {
    let desk = Desk::new(subject);
    let (key, other, task): (_, _, TaskId) = (account("a"), account("b"), id("job"));
    let (grant, elsewhere) = (desk.grant(&key, 9), desk.grant(&other, 9));
    let first = desk.charge(&key, grant, 1, Some(&task));
    let hold = desk.hold(&key, grant, 2, 60, Some(&task));
    desk.charge(&other, elsewhere, 4, Some(&task));
    desk.charge(&key, grant, 4, Some(&id("another job")));
    let captured = desk.capture(&key, hold);
    let last = desk.charge(&key, grant, 1, Some(&task));
    let facts = desk.facts(Needs { task_charges: vec![(key.clone(), task.clone())], ..Needs::default() });
    assert_eq!(facts.task_charges[&(key.clone(), task)], [first, captured, last]);
    assert_eq!(facts.charges.len(), 3);
    assert_eq!(facts.charges[&captured].entry.draw.total(), units(2));
    assert!(facts.grants.contains_key(&grant), "what they drew");
    assert_eq!(facts.accounts[&key].account.available, units(1));
}

pub fn a_task_without_charges_has_an_empty_list(subject: &Subject) {
    let desk = Desk::new(subject);
    let (key, task): (_, TaskId) = (account("a"), id("job"));
    let needs = Needs { task_charges: vec![(key.clone(), task.clone())], ..Needs::default() };
    // Commands of one batch see each other's charges by this list, so it has to be there.
    assert_eq!(desk.facts(needs.clone()).task_charges[&(key.clone(), task.clone())], []);
    let grant = desk.grant(&key, 5);
    desk.hold(&key, grant, 2, 60, Some(&task));
    assert_eq!(desk.facts(needs).task_charges[&(key, task)], []);
}

pub fn a_replay_comes_with_its_entries(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let booked = desk.book(&key, OperationKind::Grant, |draft| draft.key("k").grant(units(1), None).grant(units(2), None));
    let facts = desk.facts(Needs { keys: vec![(tenant(), id("k")), (tenant(), id("free"))], ..Needs::default() });
    assert_eq!(facts.replays.len(), 1);
    let stored = &facts.replays[&(tenant(), id("k"))];
    assert_eq!((&stored.operation, &stored.entries), (&booked.stored.operation, &booked.stored.entries));
}

pub fn an_account_comes_with_its_running_rules(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let rules = [60, 30].map(|at| desk.book(&key, OperationKind::Recur, |draft| draft.rule(second(at))).new_rules[0].clone());
    desk.book(&account("b"), OperationKind::Recur, |draft| draft.rule(second(60)));
    let running = |key| desk.facts(needs_account(key)).accounts.remove(key).unwrap().rules.into_values().collect::<Vec<_>>();
    assert_eq!(running(&key), rules);
    desk.book(&key, OperationKind::StopRule, |draft| draft.end_rule(&rules[0]));
    assert_eq!(running(&key), rules[1..]);
    assert_eq!(desk.facts(needs_account(&key)).accounts[&key].account.standing.rules, 1);
    assert_eq!(desk.account(&key, second(0)).unwrap().rules.into_values().collect::<Vec<_>>(), rules[1..]);
}

pub fn a_rule_comes_with_its_account_running_or_not(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let made = desk.book(&key, OperationKind::Recur, |draft| draft.rule(second(60)).grant(units(5), None)).new_rules[0].clone();
    let needs = Needs { rules: vec![(tenant(), made.id)], ..Needs::default() };
    let facts = desk.facts(needs.clone());
    assert_eq!((&*facts.rules[&made.id].0, &facts.rules[&made.id].1), (&key, &made));
    assert_eq!(facts.accounts[&key].account.available, units(5));
    let ended = desk.book(&key, OperationKind::StopRule, |draft| draft.end_rule(&made)).changed_rules[0].clone();
    assert_eq!(desk.facts(needs).rules[&made.id].1, ended);
}
