//! Tasks: what comes with one that is ended, and what was booked about it.

use std::sync::Arc;

use super::Subject;
use super::desk::{Desk, account, id, licence, licence_key, member, member_key, second, tenant, units};
use crate::changes::Changes;
use crate::credit::{HoldState, HoldTerms};
use crate::facts::{Needs, Task};
use crate::id::{HoldId, TaskId, TenantId};
use crate::ledger::{Operation, OperationKind, PageOrder, StoredOperation};
use crate::owner::{AccountKey, Subject as About};
use crate::store::{Answer, Query};
use crate::task::TaskWork;
use crate::testing::scripted::{Draft, next_op_id};

pub fn a_task_that_is_ended_comes_with_its_hold_and_all_that_comes_with_it(subject: &Subject) {
    let desk = Desk::new(subject);
    let (key, task): (_, TaskId) = (AccountKey { owner: id("organization:o"), ..account("a") }, id("job"));
    let grant = desk.grant(&key, 5);
    let put = |draft: Draft| {
        draft.hold(grant, units(2), second(60), Some(&task)).with(|changes| {
            let terms = HoldTerms::clone(&changes.new_holds[0].terms);
            changes.new_holds[0].terms = Arc::new(HoldTerms { user_id: Some(id("u")), licence_id: Some(id("l")), ..terms });
            changes.members.push((member_key("u"), member(second(1))));
            changes.licences.licences.insert(licence_key("l"), licence("poster", None, second(2)));
            changes.licences.users.insert((licence_key("l"), id("u")), 3);
        })
    };
    let hold = desk.book(&key, OperationKind::Hold, put).new_holds[0].id;
    let facts = desk.facts(Needs { task_holds: vec![(tenant(), task.clone())], ..Needs::default() });
    assert_eq!(facts.tasks[&(tenant(), task.clone())].hold_id, Some(hold));
    assert_eq!((&*facts.holds[&hold].0, facts.accounts[&key].grants[&grant].held), (&key, units(2)));
    assert_eq!((facts.members.len(), facts.licences.len(), facts.licence_users.len()), (1, 1, 1));
    assert_eq!(facts.now, second(2), "the licence is an anchor");
    // Named alone, it comes with the hold and no further.
    let facts = desk.facts(Needs { tasks: vec![(tenant(), task)], ..Needs::default() });
    assert_eq!((facts.holds.len(), facts.accounts.len()), (1, 0));
}

/// What says how far the work of a task is: an operation without an account.
fn said(desk: &Desk, task: &TaskId, hold_id: HoldId, progress: u8) -> u64 {
    let work = TaskWork { hold_id, stage: Some(id("rendering")), progress, next_eta: Some(second(9)) };
    let row = Task { hold_id: Some(hold_id), charges: 7, work: Some(work), last_at: second(3) };
    desk.run(Needs { tasks: vec![(tenant(), task.clone())], ..Needs::default() }, |facts| {
        let draft = Draft::of(&facts, &account("a"), OperationKind::AdvanceTask).done();
        let operation = Operation {
            op_id: next_op_id(facts.now, &tenant()),
            account: None,
            first_seq: 0,
            subject: Some(About::Task(task.clone())),
            ..draft.operation().clone()
        };
        let mut changes = Changes::of(StoredOperation { operation, entries: Vec::new(), position: 0 });
        changes.task = Some((task.clone(), row.clone()));
        vec![changes]
    });
    match desk.ask(&Query::LastPosition) {
        Answer::LastPosition(position) => position,
        other => panic!("the last position is answered by {other:?}"),
    }
}

fn positions(found: &[Arc<StoredOperation>]) -> Vec<u64> {
    found.iter().map(|stored| stored.position).collect()
}

pub fn operations_of_a_task_come_in_both_orders_with_its_entries_alone(subject: &Subject) {
    let desk = Desk::new(subject);
    let (key, job, other): (_, TaskId, TaskId) = (account("a"), id("job"), id("other"));
    let grant = desk.grant(&key, 50);
    let hold = desk.hold(&key, grant, 2, 60, Some(&job)); // at position 2
    let others = desk.hold(&key, grant, 2, 60, Some(&other)); // at 3
    assert_eq!(said(&desk, &job, hold, 10), 4);
    assert_eq!(said(&desk, &other, others, 10), 5);
    assert_eq!(said(&desk, &job, hold, 20), 6);
    // At 7 both holds expire in one operation, which then charges.
    let needs = Needs { accounts: vec![key.clone()], holds: vec![(tenant(), hold), (tenant(), others)], ..Needs::default() };
    let book = |draft: Draft| {
        let expired = draft.release(hold, HoldState::Expired).release(others, HoldState::Expired).settled();
        expired.charge(grant, units(1), None)
    };
    desk.book_with(needs, &key, OperationKind::Charge, book);
    let of = |order, beyond, limit| desk.task_operations(&tenant(), &job, order, beyond, limit);
    let all = of(PageOrder::Asc, 0, 10);
    assert_eq!(positions(&all), [2, 4, 6, 7]);
    assert_eq!(all.iter().map(|stored| stored.entries.len()).collect::<Vec<_>>(), [1, 0, 0, 1]);
    assert_eq!((all[3].entries[0].hold_id, all[3].operation.entry_count), (Some(hold), 3));
    assert_eq!(positions(&of(PageOrder::Asc, 2, 2)), [4, 6]);
    assert_eq!(positions(&of(PageOrder::Asc, 7, 2)), [0; 0]);
    assert_eq!(positions(&of(PageOrder::Desc, u64::MAX, 2)), [7, 6]);
    assert_eq!(positions(&of(PageOrder::Desc, 6, 10)), [4, 2]);
    assert_eq!(positions(&of(PageOrder::Desc, 2, 10)), [0; 0]);
    let Answer::Task(Some(row)) = desk.ask(&Query::Task(tenant(), job.clone())) else { panic!("no task") };
    let work = TaskWork { hold_id: hold, stage: Some(id("rendering")), progress: 20, next_eta: Some(second(9)) };
    assert_eq!(row, Task { hold_id: Some(hold), charges: 7, work: Some(work), last_at: second(3) });
    assert!(desk.task_operations(&id("t2"), &job, PageOrder::Asc, 0, 10).is_empty());
}

pub fn tasks_come_in_order_a_page_at_a_time(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let grant = desk.grant(&key, 50);
    for name in ["c", "a", "b"] {
        desk.charge(&key, grant, 1, Some(&id(name)));
    }
    let mut after: Option<(TenantId, TaskId)> = None;
    let mut names = Vec::new();
    loop {
        let Answer::Tasks(page) = desk.ask(&Query::Tasks(after.clone(), 2)) else { panic!("no tasks") };
        let Some((last, task)) = page.last() else { break };
        assert_eq!((task.charges, task.work.is_none()), (1, true));
        names.extend(page.iter().map(|((tenant_id, task_id), _)| format!("{tenant_id}/{task_id}")));
        after = Some(last.clone());
    }
    assert_eq!(names, ["t1/a", "t1/b", "t1/c"]);
}

pub fn the_present_is_the_last_booking_of_the_account_of_a_task_that_is_ended(subject: &Subject) {
    let desk = Desk::new(subject);
    let (key, task): (_, TaskId) = (account("a"), id("job"));
    let grant = desk.grant(&key, 9);
    desk.hold(&key, grant, 1, 60, Some(&task));
    desk.at(7).charge(&key, grant, 1, None);
    let named = vec![(tenant(), task)];
    assert_eq!(desk.at(3).facts(Needs { task_holds: named.clone(), ..Needs::default() }).now, second(7));
    assert_eq!(desk.at(3).facts(Needs { tasks: named, ..Needs::default() }).now, second(3));
}
