//! Tasks: where the work that a hold pays for stands, and the steps that led there.
//!
//! A task has no row of its own for its state: it follows from the hold that it names and from what was last said of the work. So
//! captures, releases and the passing of time need not tell the task.

pub(crate) mod advance;
pub(crate) mod rebuilt;
mod steps;
mod view;

pub use steps::{TaskCursor, TaskStep, steps_of};
pub use view::TaskView;
pub(crate) use view::{expired_step, last_step_of, status_of};

use serde::{Deserialize, Serialize};

use crate::credit::named_enum;
use crate::id::{HoldId, Stage};
use crate::time::Timestamp;

named_enum! {
    /// Where a task stands.
    TaskStatus {
        /// A hold was placed for it.
        Accepted = "accepted",
        /// Its work goes on.
        Running = "running",
        /// Its hold was captured for good.
        Completed = "completed",
        /// Its hold was released for good, or its time is over.
        Failed = "failed",
    }
}

/// How far the work of a hold is, as it was last said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskWork {
    /// The hold that pays for it: one run of the task.
    pub hold_id: HoldId,
    /// What is being done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// How much of it is done: 0 to 100.
    pub progress: u8,
    /// When the next step is expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_eta: Option<Timestamp>,
}

/// All of the work.
pub(crate) const DONE: u8 = 100;
