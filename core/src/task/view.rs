//! A task as it stands at an instant.

use serde::{Deserialize, Serialize};

use super::{TaskStatus, TaskStep};
use crate::amount::Amount;
use crate::credit::{Hold, HoldState};
use crate::facts::Task;
use crate::id::{HoldId, Stage, TaskId};
use crate::time::Timestamp;

/// A task as it stands: the state of the hold that it names, which is its captured one, else its latest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TaskView {
    /// The task.
    pub task_id: TaskId,
    /// The hold that it names; none if it was only ever charged.
    pub hold_id: Option<HoldId>,
    /// Where it stands; none if it was only ever charged.
    pub status: Option<TaskStatus>,
    /// What is being done, or was done last, if it was said; none where it was said last of another run of the task.
    pub stage: Option<Stage>,
    /// How much of the work is done, as it was last said of this run: 0 to 100; 100 of one that is completed.
    pub progress: u8,
    /// What the latest step of that hold took from the available balance (negative) or gave back to it; 0 without one.
    pub credits_delta: Amount,
    /// When that step became true; of a task that was only ever charged, when it was last booked.
    pub ts: Timestamp,
    /// When the next step is expected, while the work goes on and if it was said.
    pub next_eta: Option<Timestamp>,
    /// Charges and captures booked under it.
    pub charges: u32,
}

impl TaskView {
    /// A task that names no hold.
    pub(crate) const fn charged(task_id: TaskId, task: &Task) -> TaskView {
        TaskView {
            task_id,
            hold_id: None,
            status: None,
            stage: None,
            progress: 0,
            credits_delta: Amount::ZERO,
            ts: task.last_at,
            next_eta: None,
            charges: task.charges,
        }
    }

    /// A task, by the latest step of the hold that it names.
    pub(crate) fn at_step(task: &Task, step: TaskStep) -> TaskView {
        let work = task.work.as_ref().filter(|work| work.hold_id == step.hold_id);
        TaskView {
            hold_id: Some(step.hold_id),
            status: Some(step.status),
            stage: step.stage.or_else(|| work?.stage.clone()),
            progress: step.progress.or(work.map(|work| work.progress)).unwrap_or(0),
            credits_delta: step.credits_delta,
            ts: step.ts,
            next_eta: step.next_eta,
            charges: task.charges,
            task_id: step.task_id,
        }
    }
}

/// Where a task stands by the hold that it names.
pub(crate) fn status_of(task: &Task, hold: &Hold, now: Timestamp) -> TaskStatus {
    match hold.state_at(now) {
        HoldState::Frozen if task.work.as_ref().is_some_and(|work| work.hold_id == hold.id) => TaskStatus::Running,
        HoldState::Frozen => TaskStatus::Accepted,
        HoldState::Committed => TaskStatus::Completed,
        HoldState::Cancelled | HoldState::Expired => TaskStatus::Failed,
    }
}

/// The step by which a hold fails whose time is over, until it is booked.
pub(crate) fn expired_step(task_id: &TaskId, hold: &Hold, now: Timestamp) -> Option<TaskStep> {
    (hold.state == HoldState::Frozen && hold.state_at(now) == HoldState::Expired).then(|| TaskStep {
        task_id: task_id.clone(),
        hold_id: hold.id,
        status: TaskStatus::Failed,
        stage: None,
        progress: None,
        credits_delta: hold.held(),
        ts: hold.expires_at,
        next_eta: None,
        cursor: None,
    })
}

/// The last of these steps that is of this task and hold.
pub(crate) fn last_step_of(steps: Vec<TaskStep>, task_id: &TaskId, hold_id: HoldId) -> Option<TaskStep> {
    steps.into_iter().rfind(|step| step.task_id == *task_id && step.hold_id == hold_id)
}
