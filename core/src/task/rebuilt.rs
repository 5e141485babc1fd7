//! A task rebuilt from what was booked about it, to be compared with its row.

use std::collections::BTreeMap;

use super::{TaskStatus, steps_of};
use crate::command::answer_of_task;
use crate::credit::{Hold, HoldState};
use crate::facts::Task;
use crate::id::{HoldId, TaskId};
use crate::ledger::{Entry, EntryKind, StoredOperation, Terms};
use crate::owner::Subject;

/// What the operations about a task lead to.
#[derive(Default)]
pub(crate) struct RebuiltTask {
    task: Task,
    /// Where its steps leave each of its holds.
    holds: BTreeMap<HoldId, TaskStatus>,
}

impl RebuiltTask {
    /// Reads the next operation about the task, with its entries that name it.
    pub(crate) fn read(&mut self, task_id: &TaskId, stored: &StoredOperation) {
        let operation = &stored.operation;
        let is_about_it = operation.subject.as_ref() == Some(&Subject::Task(task_id.clone()));
        if let Some(said) = answer_of_task(operation).filter(|_| is_about_it) {
            self.task.work = Some(said.work);
        }
        let works = |entry: &Entry| entry.ordinal > operation.settled_count && is_work(entry.kind);
        if is_about_it || stored.entries.iter().any(works) {
            self.task.last_at = self.task.last_at.max(operation.created_at);
        }
        for entry in &stored.entries {
            self.task.charges += u32::from(matches!(entry.kind, EntryKind::Charge | EntryKind::Capture));
            let names = matches!(entry.terms, Some(Terms::Hold { .. } | Terms::HoldState { state: HoldState::Committed }));
            self.task.hold_id = entry.hold_id.filter(|_| names).or(self.task.hold_id);
        }
        let steps = steps_of(stored).into_iter().filter(|step| step.task_id == *task_id);
        self.holds.extend(steps.map(|step| (step.hold_id, step.status)));
    }

    /// What the row of the task, and that of the hold that it names, say otherwise.
    pub(crate) fn wrong(&self, task_id: &TaskId, row: &Task, hold: Option<&Hold>) -> Option<String> {
        if *row != self.task {
            return Some(format!("the task `{task_id}` is {row:?}, its entries say {:?}", self.task));
        }
        let hold_id = row.hold_id?;
        let expected: &[HoldState] = match self.holds.get(&hold_id) {
            Some(TaskStatus::Accepted | TaskStatus::Running) => &[HoldState::Frozen],
            Some(TaskStatus::Completed) => &[HoldState::Committed],
            Some(TaskStatus::Failed) => &[HoldState::Cancelled, HoldState::Expired],
            None => &[],
        };
        let agrees = |hold: &&Hold| hold.terms.task_id.as_ref() == Some(task_id) && expected.contains(&hold.state);
        if hold.filter(agrees).is_some() {
            return None;
        }
        let found = hold.map_or_else(|| "missing".to_owned(), |hold| format!("{} of {:?}", hold.state, hold.terms.task_id));
        Some(format!("the hold {hold_id} of the task `{task_id}` is {found}, its entries say {expected:?}"))
    }
}

/// Whether a command that books such an entry moves its task on. A refund leaves it as it is.
const fn is_work(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::Hold | EntryKind::Extend | EntryKind::Capture | EntryKind::Release | EntryKind::Charge)
}
