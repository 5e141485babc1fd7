//! Questions about tasks.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Engine;
use super::reads::{MAX_READS, ask, check_limit, not_found, restless};
use crate::credit::Hold;
use crate::denial::DenialKind;
use crate::error::{Error, Failure};
use crate::facts::Task;
use crate::id::{HoldId, TaskId, TenantId};
use crate::ledger::{PageOrder, StoredOperation};
use crate::store::{Answer, Query};
use crate::task::{TaskCursor, TaskStep, TaskView, expired_step, last_step_of, status_of, steps_of};

/// Operations that are read at once.
pub(super) const OPERATIONS_A_READ: usize = 64;

/// A page of the history of a task, the oldest step first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TaskPage {
    /// The steps.
    pub steps: Vec<TaskStep>,
    /// After which step the next page begins; none at the end. To ask later for what comes then, keep the cursor of the last step
    /// that has one.
    pub next_cursor: Option<TaskCursor>,
}

impl Engine {
    /// A task as it stands now: the state of the hold that it names, how far its work is, and what its latest step did.
    ///
    /// A task that was only ever charged has no status.
    ///
    /// # Errors
    /// `task_not_found`.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{AdvanceTask, Context, Engine, GrantCredit, GrantType, Owner, PlaceHold, TaskId, TaskStatus};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let (user, task_id) = (Owner::user("u1")?, TaskId::new("task-1")?);
    /// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
    /// engine.execute(acme.request(PlaceHold { task_id: Some(task_id.clone()), ..PlaceHold::new(user, "4".parse()?) }))?;
    /// let accepted = engine.task(&acme.tenant_id, &task_id)?;
    /// assert_eq!((accepted.status, accepted.credits_delta.to_string()), (Some(TaskStatus::Accepted), "-4".into()));
    /// engine.execute(acme.request(AdvanceTask { progress: Some(30), ..AdvanceTask::new(task_id.clone()) }))?;
    /// let running = engine.task(&acme.tenant_id, &task_id)?;
    /// assert_eq!((running.status, running.progress), (Some(TaskStatus::Running), 30));
    /// let unknown = engine.task(&acme.tenant_id, &TaskId::new("task-2")?).unwrap_err();
    /// assert_eq!(unknown.denial().unwrap().name(), "task_not_found");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn task(&self, tenant_id: &TenantId, task_id: &TaskId) -> Result<TaskView, Failure> {
        for _ in 0..MAX_READS {
            let task = self.task_row(tenant_id, task_id)?;
            let now = self.now().max(task.last_at);
            let Some(hold_id) = task.hold_id else { return Ok(TaskView::charged(task_id.clone(), &task)) };
            let hold = self.hold_of_task(tenant_id, task_id, hold_id)?;
            let step = match expired_step(task_id, &hold, now) {
                Some(step) => Some(step),
                None => self.last_step(tenant_id, task_id, hold_id)?,
            };
            // They are read one after the other: if it was booked meanwhile, they may not agree.
            if let Some(step) = step.filter(|step| step.status == status_of(&task, &hold, now)) {
                return Ok(TaskView::at_step(&task, step));
            }
        }
        Err(restless(task_id))
    }

    /// The steps of a task after this one, in the order in which they were booked. Nothing ever appears behind a step that has a
    /// cursor.
    ///
    /// An expiry that is not booked yet is the last step, without a cursor: it is read again until it is booked, and then has one.
    ///
    /// # Errors
    /// `task_not_found`; `payload_invalid` for a limit outside 1 to 1,000.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Context, Engine, FailTask, GrantCredit, GrantType, Owner, PlaceHold, TaskId, TaskStatus};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let (user, task_id) = (Owner::user("u1")?, TaskId::new("task-1")?);
    /// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
    /// engine.execute(acme.request(PlaceHold { task_id: Some(task_id.clone()), ..PlaceHold::new(user, "4".parse()?) }))?;
    /// engine.execute(acme.request(FailTask::new(task_id.clone(), "the model timed out")))?;
    /// let first = engine.task_events(&acme.tenant_id, &task_id, None, 1)?;
    /// assert_eq!(first.steps[0].status, TaskStatus::Accepted);
    /// let second = engine.task_events(&acme.tenant_id, &task_id, first.next_cursor, 1)?;
    /// assert_eq!((second.steps[0].status, second.steps[0].credits_delta.to_string()), (TaskStatus::Failed, "4".into()));
    /// assert_eq!(second.next_cursor, None);
    /// let foreign = engine.task_events(&"other".parse()?, &task_id, None, 1).unwrap_err();
    /// assert_eq!(foreign.denial().unwrap().name(), "task_not_found");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn task_events(
        &self,
        tenant_id: &TenantId,
        task_id: &TaskId,
        after: Option<TaskCursor>,
        limit: usize,
    ) -> Result<TaskPage, Failure> {
        check_limit(limit)?;
        let (mut steps, is_end) = self.booked_steps(tenant_id, task_id, after, limit)?;
        let task = self.task_row(tenant_id, task_id)?;
        let unbooked = match task.hold_id.filter(|_| is_end) {
            // Read after the steps: what is not booked by now is none of them.
            Some(hold_id) => {
                let hold = self.hold_of_task(tenant_id, task_id, hold_id)?;
                expired_step(task_id, &hold, self.now().max(task.last_at))
            }
            None => None,
        };
        let is_last = is_end && (unbooked.is_none() || steps.len() < limit);
        let next_cursor = steps.last().and_then(|step| step.cursor).filter(|_| !is_last);
        steps.extend(unbooked.filter(|_| is_last));
        Ok(TaskPage { steps, next_cursor })
    }

    /// At most so many booked steps after this one, and whether these are all.
    fn booked_steps(
        &self,
        tenant_id: &TenantId,
        task_id: &TaskId,
        after: Option<TaskCursor>,
        limit: usize,
    ) -> Result<(Vec<TaskStep>, bool), Failure> {
        let mut steps = Vec::new();
        // The operation of the cursor itself may say more steps.
        let mut beyond = after.map_or(0, |after| after.position.saturating_sub(1));
        loop {
            let operations = self.task_operations(tenant_id, task_id, PageOrder::Asc, beyond)?;
            for stored in &operations {
                beyond = stored.position;
                let of_task = steps_of(stored).into_iter().filter(|step| step.task_id == *task_id);
                steps.extend(of_task.filter(|step| after.is_none() || step.cursor > after));
            }
            if steps.len() > limit {
                steps.truncate(limit);
                return Ok((steps, false));
            }
            if operations.len() < OPERATIONS_A_READ {
                return Ok((steps, true));
            }
        }
    }

    /// The last step of a hold of the task.
    fn last_step(&self, tenant_id: &TenantId, task_id: &TaskId, hold_id: HoldId) -> Result<Option<TaskStep>, Failure> {
        let mut beyond = u64::MAX;
        loop {
            let operations = self.task_operations(tenant_id, task_id, PageOrder::Desc, beyond)?;
            for stored in &operations {
                beyond = stored.position;
                if let Some(step) = last_step_of(steps_of(stored), task_id, hold_id) {
                    return Ok(Some(step));
                }
            }
            if operations.len() < OPERATIONS_A_READ {
                return Ok(None);
            }
        }
    }

    pub(super) fn task_operations(
        &self,
        tenant_id: &TenantId,
        task_id: &TaskId,
        order: PageOrder,
        beyond: u64,
    ) -> Result<Vec<Arc<StoredOperation>>, Failure> {
        let (tenant_id, task_id) = (tenant_id.clone(), task_id.clone());
        ask!(self, TaskOperations, Query::TaskOperations { tenant_id, task_id, order, beyond, limit: OPERATIONS_A_READ })
    }

    fn task_row(&self, tenant_id: &TenantId, task_id: &TaskId) -> Result<Task, Failure> {
        let found = ask!(self, Task, Query::Task(tenant_id.clone(), task_id.clone()))?;
        found.ok_or_else(|| not_found(DenialKind::TaskNotFound, "task", task_id.as_str()))
    }

    fn hold_of_task(&self, tenant_id: &TenantId, task_id: &TaskId, hold_id: HoldId) -> Result<Hold, Failure> {
        let found = ask!(self, Hold, Query::Hold(tenant_id.clone(), hold_id))?;
        let missing = || Error::Corrupt(format!("the hold {hold_id} of the task `{task_id}` has no row"));
        Ok(found.ok_or_else(missing)?.1)
    }
}
