//! Saying how far the work of a task is.

use std::sync::Arc;

use super::TaskWork;
use crate::command::{AdvanceTask, AnswerRest, shared_metadata};
use crate::credit::Hold;
use crate::decide::{Booking, Case};
use crate::facts::Task;
use crate::ledger::EntryText;
use crate::owner::{AccountKey, Subject};

/// Notes what is said of the work of this hold, which is live. What is not said stays as it was said of the same hold before.
pub(crate) fn advance<'a>(case: &Case<'a>, command: &AdvanceTask, (account, hold): &(Arc<AccountKey>, Hold)) -> Booking<'a> {
    let known = case.task(&command.task_id).cloned().unwrap_or_default();
    let before = known.work.as_ref().filter(|work| work.hold_id == hold.id);
    let work = TaskWork {
        hold_id: hold.id,
        stage: command.stage.clone().or_else(|| before?.stage.clone()),
        progress: command.progress.or(before.map(|work| work.progress)).unwrap_or(0),
        next_eta: command.next_eta.or_else(|| before?.next_eta),
    };
    // Whoever follows what is done for a user has to find the step, whoever pays.
    let user_id = hold.terms.user_id.clone();
    let note = EntryText { user_id, metadata: shared_metadata(command.metadata.as_ref()), ..EntryText::default() };
    let account = Some(AccountKey::clone(account));
    let answer =
        AnswerRest { task: Some(work.clone()), account, note: Some(note).filter(|note| !note.is_empty()), ..AnswerRest::default() };
    Booking {
        task: Some((command.task_id.clone(), Task { work: Some(work), last_at: case.now(), ..known })),
        answer: Some(answer),
        policy_tag: hold.terms.policy_tag.clone(),
        ..Booking::about(Subject::Task(command.task_id.clone()))
    }
}
