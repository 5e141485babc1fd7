//! The history of a task: pages, cursors, what the feed says, and what is kept of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use drawdown::{Engine, TaskCursor, TaskId, TaskPage, TaskStatus, TaskStep, TenantId, TenantPolicy, steps_of};
use drawdown_tests::script::Bank;

fn names() -> (TenantId, TaskId) {
    ("acme".parse().unwrap(), "t".parse().unwrap())
}

fn page(engine: &Engine, after: Option<TaskCursor>, limit: usize) -> TaskPage {
    let (tenant, task) = names();
    engine.task_events(&tenant, &task, after, limit).unwrap()
}

/// A bank over every store, each with its name.
fn banks() -> Vec<(&'static str, Bank, tempfile::TempDir)> {
    (0..2)
        .map(|number| {
            let folder = tempfile::tempdir().unwrap();
            let (name, store) = drawdown_tests::stores(&folder.path().join("books.db")).swap_remove(number);
            (name, Bank::new(store, TenantPolicy::default()), folder)
        })
        .collect()
}

#[test]
fn pages_of_every_size_join() {
    for (name, mut bank, _folder) in banks() {
        bank.given("grant 10").unwrap();
        bank.given("hold 4 task_id=t").unwrap();
        // More than is read at once, among charges that are no steps.
        for _ in 0..2 {
            bank.given("45x advance_task progress=#").unwrap();
            bank.given("30x charge 0.01 task_id=t").unwrap();
        }
        bank.given("complete_task").unwrap();
        let whole = page(&bank.engine, None, 1_000);
        assert_eq!((whole.steps.len(), whole.next_cursor), (92, None), "{name}");
        let progress: Vec<_> = whole.steps[1..91].iter().map(|step| step.progress.unwrap()).collect();
        assert_eq!(progress, (1..=45).chain(1..=45).collect::<Vec<u8>>(), "{name}");
        for limit in [1, 7, 91, 92, 93] {
            let (mut steps, mut after) = (Vec::new(), None);
            loop {
                let page = page(&bank.engine, after, limit);
                assert!(page.steps.len() <= limit);
                steps.extend(page.steps);
                after = page.next_cursor;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(steps, whole.steps, "{name}, {limit} at a time");
        }
        for limit in [0, 1_001] {
            let (tenant, task) = names();
            let refused = bank.engine.task_events(&tenant, &task, None, limit).unwrap_err();
            assert_eq!(refused.denial().unwrap().details()["field"], "limit");
        }
    }
}

#[test]
fn nothing_appears_behind_a_cursor() {
    for (name, mut bank, _folder) in banks() {
        for statement in ["grant 10", "hold 4 task_id=t expire_in=60", "advance_task progress=10"] {
            bank.given(statement).unwrap();
        }
        let first = page(&bank.engine, None, 10);
        let last = first.steps.last().unwrap().cursor;
        assert!(page(&bank.engine, last, 10).steps.is_empty(), "{name}");
        bank.given("advance_task progress=20").unwrap();
        assert_eq!(page(&bank.engine, last, 10).steps.len(), 1, "{name}");
        bank.given("wait 60").unwrap();
        // Until it is booked it is read again, and no cursor leads beyond it.
        let open = page(&bank.engine, last, 10);
        assert_eq!((open.steps.len(), open.steps[1].status, open.steps[1].cursor), (2, TaskStatus::Failed, None), "{name}");
        let full = page(&bank.engine, last, 1);
        assert_eq!((full.steps.len(), full.next_cursor), (1, full.steps[0].cursor), "{name}");
        let unbooked = page(&bank.engine, full.next_cursor, 1);
        assert_eq!((&unbooked.steps[0], unbooked.next_cursor), (&open.steps[1], None), "{name}");
        bank.given("hold 3 task_id=t").unwrap();
        let then = page(&bank.engine, full.next_cursor, 10);
        assert_eq!(TaskStep { cursor: None, ..then.steps[0].clone() }, open.steps[1], "{name}: the same step, booked");
        let statuses: Vec<_> = then.steps.iter().map(|step| step.status).collect();
        assert_eq!(statuses, [TaskStatus::Failed, TaskStatus::Accepted], "{name}: two steps of one operation");
        assert_eq!(then.steps[0].cursor.unwrap().position, then.steps[1].cursor.unwrap().position);
        assert_eq!(page(&bank.engine, then.steps[0].cursor, 10).steps, then.steps[1..], "{name}: between the two");
        assert!(page(&bank.engine, Some(TaskCursor { position: 9_999, ordinal: 1 }), 10).steps.is_empty(), "{name}");
    }
}

#[test]
fn the_feed_says_the_same_steps() {
    for (name, mut bank, _folder) in banks() {
        let script = "grant 20; hold 4 task_id=t expire_in=60; hold 2 task_id=u expire_in=60; advance_task progress=10; wait 60;
            charge 1; hold 3 task_id=t as=h; advance_task task_id=t stage=s; capture h 1; hold 2 task_id=v as=i;
            release i 1 idempotency_key=k; fail_task task_id=v; refund task_id=t";
        for statement in script.split(';').map(str::trim) {
            bank.given(statement).unwrap();
        }
        let steps: Vec<TaskStep> = bank.engine.feed(None, 0, 100).unwrap().iter().flat_map(|stored| steps_of(stored)).collect();
        assert_eq!(steps.len(), 10, "{name}: {steps:#?}");
        for task in ["t", "u", "v"] {
            let of_task: Vec<_> = steps.iter().filter(|step| step.task_id.as_str() == task).cloned().collect();
            let (tenant, _) = names();
            assert_eq!(bank.engine.task_events(&tenant, &task.parse().unwrap(), None, 100).unwrap().steps, of_task, "{name}");
        }
        // Each task took from the balance what its steps say, but for its parts and refunds.
        let of_u: Vec<_> = steps.iter().filter(|step| step.task_id.as_str() == "u").map(|step| step.credits_delta).collect();
        assert_eq!(of_u.iter().map(ToString::to_string).collect::<Vec<_>>(), ["-2", "2"]);
    }
}

#[test]
fn a_history_is_not_forgotten_with_the_answers() {
    for (name, mut bank, _folder) in banks() {
        for statement in ["grant 10", "hold 4 task_id=t", "advance_task stage=s progress=10 idempotency_key=k", "fail_task"] {
            bank.given(statement).unwrap();
        }
        let before = page(&bank.engine, None, 10);
        bank.given("wait 90d").unwrap();
        assert!(bank.engine.forget_answers(0, 100).unwrap().forgotten > 0, "{name}");
        assert_eq!(page(&bank.engine, None, 10), before, "{name}");
        assert!(bank.engine.verify().unwrap().is_clean(), "{name}");
        let again = bank.run("advance_task stage=s progress=10 idempotency_key=k").unwrap_err();
        assert_eq!(again.denial().unwrap().details()["reason"], "answer_expired", "{name}");
    }
}

#[test]
fn a_history_is_not_erased_with_the_text() {
    for (name, mut bank, _folder) in banks() {
        for statement in ["grant 10", "hold 4 task_id=t user_id=u1 reason=work", "complete_task 3 reason=done"] {
            bank.given(statement).unwrap();
        }
        let before = page(&bank.engine, None, 10);
        bank.given("erase_text").unwrap();
        assert_eq!(page(&bank.engine, None, 10), before, "{name}");
        assert!(bank.engine.verify().unwrap().is_clean(), "{name}");
    }
}

#[test]
fn a_denial_that_is_remembered_is_no_step() {
    for (name, mut bank, _folder) in banks() {
        bank.given("grant 10").unwrap();
        bank.given("try advance_task idempotency_key=k remember_denials=true").unwrap();
        bank.given("hold 4 task_id=t").unwrap();
        let again = bank.run("advance_task idempotency_key=k remember_denials=true").unwrap_err();
        assert_eq!(again.denial().unwrap().name(), "task_not_found", "{name}");
        assert_eq!(page(&bank.engine, None, 10).steps.len(), 1, "{name}");
    }
}
