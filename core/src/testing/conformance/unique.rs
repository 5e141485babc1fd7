//! Laws 4 and 5: what is in the store at most once.

use super::Subject;
use super::desk::{Desk, account, account_of, id, needs_account, second, units};
use crate::changes::Changes;
use crate::id::OpId;
use crate::ledger::OperationKind;
use crate::owner::AccountKey;
use crate::store::{Answer, Query, StoreError, StoreErrorKind};
use crate::testing::scripted::Draft;

/// Books a grant with this operation id, once.
fn book_as(desk: &Desk, key: &AccountKey, op_id: OpId) -> Result<(), StoreError> {
    desk.try_run(needs_account(key), |facts| {
        let draft = Draft::of(&facts, key, OperationKind::Grant).with(|changes| changes.stored_mut().operation.op_id = op_id);
        vec![draft.grant(units(1), None).done()]
    })
}

/// Books a grant under a key, once, without looking at what is there.
fn book_under(desk: &Desk, key: &AccountKey, idempotency_key: &str) -> Result<(), StoreError> {
    desk.try_run(needs_account(key), |facts| {
        vec![Draft::of(&facts, key, OperationKind::Grant).key(idempotency_key).grant(units(1), None).done()]
    })
}

fn assert_lost_race(desk: &Desk, outcome: Result<(), StoreError>) {
    let error = outcome.unwrap_err();
    assert_eq!((error.kind, error.may_have_applied), (StoreErrorKind::Conflict, false));
    assert_eq!(desk.feed(None, 0, 10).len(), 1, "nothing of the second is there");
}

pub fn an_operation_id_is_taken_once(subject: &Subject) {
    let desk = Desk::new(subject);
    desk.grant(&account("a"), 1);
    let taken = desk.feed(None, 0, 1)[0].operation.op_id;
    assert_lost_race(&desk, book_as(&desk, &account("a"), taken));
    assert_eq!(desk.account(&account("a"), second(0)).unwrap().account.available, units(1));
}

pub fn an_operation_id_is_taken_in_every_tenant(subject: &Subject) {
    let desk = Desk::new(subject);
    desk.grant(&account("a"), 1);
    let taken = desk.feed(None, 0, 1)[0].operation.op_id;
    let foreign = account_of("t2", "a");
    assert_lost_race(&desk, book_as(&desk, &foreign, taken));
    assert!(desk.account(&foreign, second(0)).is_none());
}

pub fn an_operation_id_is_taken_once_in_a_batch(subject: &Subject) {
    let desk = Desk::new(subject);
    desk.grant(&account("a"), 1);
    let outcome = desk.try_run(needs_account(&account("a")), |mut facts| {
        let first = Draft::of(&facts, &account("a"), OperationKind::Grant).grant(units(1), None).done();
        facts.apply(&first);
        // What it makes has names of its own: the operation id alone is taken.
        let mut second = Draft::of(&facts, &account("a"), OperationKind::Grant).grant(units(1), None).done();
        second.stored_mut().operation.op_id = first.op_id();
        vec![first, second]
    });
    assert_lost_race(&desk, outcome);
}

pub fn a_key_is_taken_once_in_a_tenant(subject: &Subject) {
    let desk = Desk::new(subject);
    book_under(&desk, &account("a"), "k").unwrap();
    assert_lost_race(&desk, book_under(&desk, &account("b"), "k"));
    book_under(&desk, &account("b"), "K").unwrap();
    assert_eq!(desk.feed(None, 0, 10).len(), 2, "keys are compared as bytes");
}

pub fn a_key_is_free_in_another_tenant(subject: &Subject) {
    let desk = Desk::new(subject);
    for tenant in ["t1", "t2"] {
        book_under(&desk, &account_of(tenant, "a"), "k").unwrap();
    }
    for tenant in ["t1", "t2"] {
        let Answer::OperationByKey(Some(stored)) = desk.ask(&Query::OperationByKey(id(tenant), id("k"))) else {
            panic!("no operation of `{tenant}`");
        };
        assert_eq!(stored.operation.account.as_deref(), Some(&account_of(tenant, "a")));
    }
}

pub fn a_key_is_taken_once_in_a_batch(subject: &Subject) {
    let desk = Desk::new(subject);
    desk.grant(&account("a"), 1);
    let outcome = desk.try_run(needs_account(&account("a")), |mut facts| {
        let draw_up = |facts: &_| Draft::of(facts, &account("a"), OperationKind::Grant).key("k").grant(units(1), None).done();
        let first: Changes = draw_up(&facts);
        facts.apply(&first);
        let second = draw_up(&facts);
        vec![first, second]
    });
    assert_lost_race(&desk, outcome);
}
