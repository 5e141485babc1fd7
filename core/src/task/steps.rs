//! The steps of tasks, as an operation and its entries say them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{DONE, TaskStatus, TaskWork};
use crate::amount::Amount;
use crate::command::answer_of_task;
use crate::credit::HoldState;
use crate::denial::Denial;
use crate::id::{HoldId, Stage, TaskId};
use crate::ledger::{Entry, EntryKind, StoredOperation, Terms};
use crate::owner::Subject;
use crate::time::Timestamp;

/// One step of a task: it was accepted, something was said of its work, it was completed, or it failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TaskStep {
    /// The task.
    pub task_id: TaskId,
    /// The hold that pays for this run of it.
    pub hold_id: HoldId,
    /// Where the task stands from then on.
    pub status: TaskStatus,
    /// What is being done; none where the step does not say.
    pub stage: Option<Stage>,
    /// How much of the work is done, 0 to 100: 0 when it is accepted, 100 when it is completed; none of a step that failed.
    pub progress: Option<u8>,
    /// What the step took from the available balance (negative) or gave back to it: what was frozen; what came back.
    pub credits_delta: Amount,
    /// When it became true: of an expiry when the time was over, whenever it was booked.
    pub ts: Timestamp,
    /// When the next step is expected, if it was said.
    pub next_eta: Option<Timestamp>,
    /// Its place among the steps of the task; none of an expiry that is not booked yet.
    pub cursor: Option<TaskCursor>,
}

/// The place of a step: the position of its operation in the feed, and which entry of it says the step, 0 if none does. As text:
/// both, with a hyphen between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskCursor {
    /// The position of the operation.
    pub position: u64,
    /// The ordinal of the entry.
    pub ordinal: u16,
}

impl fmt::Display for TaskCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.position, self.ordinal)
    }
}

impl FromStr for TaskCursor {
    type Err = Denial;

    fn from_str(text: &str) -> Result<TaskCursor, Denial> {
        let cursor = text
            .split_once('-')
            .and_then(|(position, ordinal)| Some(TaskCursor { position: position.parse().ok()?, ordinal: ordinal.parse().ok()? }));
        let cursor = cursor.filter(|cursor| cursor.to_string() == text);
        cursor.ok_or_else(|| Denial::invalid("cursor", text, "what a step says as its cursor"))
    }
}

impl TryFrom<String> for TaskCursor {
    type Error = Denial;

    fn try_from(text: String) -> Result<TaskCursor, Denial> {
        text.parse()
    }
}

impl From<TaskCursor> for String {
    fn from(cursor: TaskCursor) -> String {
        cursor.to_string()
    }
}

/// The steps that an operation says, in order, of all tasks that it touches: of the hold that it places, captures for good or releases
/// for good; of the holds of tasks whose expiry it books; of the work that it is about.
///
/// Captures and releases of a part, extensions, charges and refunds are no steps: they say nothing of where the work stands.
///
/// # Examples
/// ```
/// use drawdown::{CompleteTask, Context, Engine, GrantCredit, GrantType, Owner, PlaceHold, TaskId, TaskStatus, steps_of};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let user = Owner::user("u1")?;
/// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
/// let hold = PlaceHold { task_id: Some(TaskId::new("task-1")?), ..PlaceHold::new(user, "4".parse()?) };
/// engine.execute(acme.request(hold))?;
/// engine.execute(acme.request(CompleteTask::new("task-1".parse()?, Some("3".parse()?))))?;
/// let feed = engine.feed(None, 0, 10)?;
/// let steps: Vec<_> = feed.iter().flat_map(|stored| steps_of(stored)).collect();
/// assert_eq!((steps[0].status, steps[0].credits_delta.to_string()), (TaskStatus::Accepted, "-4".into()));
/// assert_eq!((steps[1].status, steps[1].credits_delta.to_string()), (TaskStatus::Completed, "1".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn steps_of(stored: &StoredOperation) -> Vec<TaskStep> {
    let running = match &stored.operation.subject {
        Some(Subject::Task(task_id)) => answer_of_task(&stored.operation).map(|said| running(stored, task_id, said.work)),
        _ => None,
    };
    let of_entries = stored.entries.iter().filter_map(|entry| step_of(stored, entry));
    running.into_iter().chain(of_entries).collect()
}

fn running(stored: &StoredOperation, task_id: &TaskId, work: TaskWork) -> TaskStep {
    TaskStep {
        task_id: task_id.clone(),
        hold_id: work.hold_id,
        status: TaskStatus::Running,
        stage: work.stage,
        progress: Some(work.progress),
        credits_delta: Amount::ZERO,
        ts: stored.operation.created_at,
        next_eta: work.next_eta,
        cursor: Some(TaskCursor { position: stored.position, ordinal: 0 }),
    }
}

/// The step that an entry says, if it makes or ends the hold of a task.
fn step_of(stored: &StoredOperation, entry: &Entry) -> Option<TaskStep> {
    let (task_id, hold_id) = (entry.task_id.clone()?, entry.hold_id?);
    let (status, progress) = match (entry.kind, entry.terms.as_ref()?) {
        (EntryKind::Hold, Terms::Hold { .. }) => (TaskStatus::Accepted, Some(0)),
        (EntryKind::Capture, Terms::HoldState { state: HoldState::Committed }) => (TaskStatus::Completed, Some(DONE)),
        (EntryKind::Release, Terms::HoldState { state: HoldState::Cancelled | HoldState::Expired }) => (TaskStatus::Failed, None),
        _ => return None,
    };
    let credits_delta = if is_expiry(entry) { entry.change } else { changed_by_command(stored, hold_id) };
    Some(TaskStep {
        task_id,
        hold_id,
        status,
        stage: None,
        progress,
        credits_delta,
        ts: entry.effective_at,
        next_eta: None,
        cursor: Some(TaskCursor { position: stored.position, ordinal: entry.ordinal }),
    })
}

/// What the command itself changed with its entries about a hold. It is at most one step of it; its expiry may have been booked
/// before, in the same operation.
fn changed_by_command(stored: &StoredOperation, hold_id: HoldId) -> Amount {
    let about_hold = stored.entries.iter().filter(|entry| entry.hold_id == Some(hold_id) && !is_expiry(entry));
    about_hold.fold(Amount::ZERO, |sum, entry| sum.checked_add(entry.change).unwrap_or(sum))
}

fn is_expiry(entry: &Entry) -> bool {
    entry.kind == EntryKind::Release && matches!(entry.terms, Some(Terms::HoldState { state: HoldState::Expired }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_is_written() {
        let cursor = TaskCursor { position: 12, ordinal: 3 };
        assert_eq!(cursor.to_string(), "12-3");
        assert_eq!("12-3".parse::<TaskCursor>().unwrap(), cursor);
        for text in ["", "12", "12-", "-3", "012-3", "12-70000", "12-3-4", "+12-3"] {
            assert_eq!(text.parse::<TaskCursor>().unwrap_err().name(), "payload_invalid", "{text}");
        }
    }
}
