//! Tasks and their steps.

use super::declare::{asked, page};
use crate::id::{TaskId, TenantId};
use crate::task::TaskCursor;

asked! {
    /// A task.
    TaskOf {
        /// The tenant.
        tenant_id: TenantId,
        /// The task.
        task_id: TaskId,
    }

    /// Steps of a task.
    StepsOf {
        /// The tenant.
        tenant_id: TenantId,
        /// The task.
        task_id: TaskId,
        /// Goes on after this step: its `cursor`.
        #[serde(default)]
        after: Option<TaskCursor>,
        /// How many at most: 1 to 1,000.
        #[serde(default = "page")]
        limit: usize,
    }
}
