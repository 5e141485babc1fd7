//! Commands about tasks: how far the work is, and that it has ended. A task begins when a hold is placed for it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fingerprint::{Field, Fields};
use super::{CommandParts, Metadata, shape};
use crate::amount::Amount;
use crate::credit::TenantPolicy;
use crate::denial::Denial;
use crate::facts::Needs;
use crate::id::{Stage, TaskId, TenantId};
use crate::task::DONE;
use crate::time::Timestamp;

/// Says how far the work of a task is, which runs from then on. What is not said stays as it was said before, while the same hold
/// pays for it. Progress may go back. It books no entry.
///
/// # Errors
/// `payload_invalid` for a progress above 100; `task_not_found` for a task that nothing was ever held for;
/// `pre_deduct_already_processed` with the status of its hold, once that has ended.
///
/// # Examples
/// ```
/// use drawdown::{AdvanceTask, Context, Engine, GrantCredit, GrantType, Owner, PlaceHold, Stage, TaskId};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let (user, task_id) = (Owner::user("u1")?, TaskId::new("task-1")?);
/// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
/// engine.execute(acme.request(PlaceHold { task_id: Some(task_id.clone()), ..PlaceHold::new(user, "4".parse()?) }))?;
/// let rendering = AdvanceTask { stage: Some(Stage::new("rendering")?), ..AdvanceTask::new(task_id) };
/// engine.execute(acme.request(rendering.clone()))?;
/// let half = engine.execute(acme.request(AdvanceTask { progress: Some(50), stage: None, ..rendering.clone() }))?;
/// assert_eq!((half.stage.unwrap().as_str(), half.progress), ("rendering", 50));
/// let too_much = engine.execute(acme.request(AdvanceTask { progress: Some(101), ..rendering })).unwrap_err();
/// assert_eq!(too_much.denial().unwrap().details()["field"], "progress");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AdvanceTask {
    /// The task.
    pub task_id: TaskId,
    /// What is being done.
    #[serde(default)]
    pub stage: Option<Stage>,
    /// How much of the work is done: 0 to 100.
    #[serde(default)]
    pub progress: Option<u8>,
    /// When the next step is expected; kept, not read.
    #[serde(default)]
    pub next_eta: Option<Timestamp>,
    /// What the host notes; kept as it is, no part of what tells a repetition from another command. At most 64 KiB, nested at most 64
    /// deep.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl AdvanceTask {
    /// The work of this task goes on.
    #[must_use]
    pub const fn new(task_id: TaskId) -> AdvanceTask {
        AdvanceTask { task_id, stage: None, progress: None, next_eta: None, metadata: None }
    }
}

impl CommandParts for AdvanceTask {
    fn fields(&self, fields: &mut Fields) {
        fields.text(Field::TaskId, Some(self.task_id.as_str()));
        fields.text(Field::Stage, self.stage.as_ref().map(Stage::as_str));
        fields.number(Field::Progress, self.progress.map_or(-1, i64::from), -1);
        fields.instant(Field::NextEta, self.next_eta);
    }

    fn check(&self, _keyed: bool) -> Result<(), Denial> {
        if let Some(progress) = self.progress.filter(|progress| *progress > DONE) {
            return Err(Denial::invalid("progress", progress, "a whole number from 0 to 100"));
        }
        shape::text(None, self.metadata.as_ref())
    }

    fn needs(&self, tenant_id: &TenantId, _policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        needs.tasks.push((tenant_id.clone(), self.task_id.clone()));
        Ok(())
    }
}

/// Ends a task whose work is done: captures the hold that it names, as [`crate::CaptureHold`] does the last time.
///
/// # Errors
/// `task_not_found` for a task that nothing was ever held for; else as [`crate::CaptureHold`]; `payload_invalid` for no cost when
/// the time of the hold is over, and a late capture allowed: it holds nothing by then.
///
/// # Examples
/// ```
/// use drawdown::{CompleteTask, Context, Engine, GrantCredit, GrantType, Owner, PlaceHold, TaskId, TaskStatus};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let (user, task_id) = (Owner::user("u1")?, TaskId::new("task-1")?);
/// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
/// engine.execute(acme.request(PlaceHold { task_id: Some(task_id.clone()), ..PlaceHold::new(user, "4".parse()?) }))?;
/// let captured = engine.execute(acme.request(CompleteTask::new(task_id.clone(), Some("2.5".parse()?))))?;
/// assert_eq!((captured.captured.to_string(), captured.balance_after.to_string()), ("2.5".into(), "7.5".into()));
/// assert_eq!(engine.task(&acme.tenant_id, &task_id)?.status, Some(TaskStatus::Completed));
/// let again = engine.execute(acme.request(CompleteTask::new(task_id, None))).unwrap_err();
/// assert_eq!(again.denial().unwrap().name(), "pre_deduct_already_processed");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CompleteTask {
    /// The task.
    pub task_id: TaskId,
    /// What the work cost, or what of it was not captured yet; 0 or more; all that is held, if none.
    #[serde(default)]
    pub actual_cost: Option<Amount>,
    /// Why, in the caller's words; at most 64 KiB together with the metadata, no U+0000.
    #[serde(default)]
    pub reason: Option<Arc<str>>,
    /// What the host notes; kept as it is, no part of what tells a repetition from another command. Nested at most 64 deep.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl CompleteTask {
    /// The work of this task is done, and cost this much, or all that is held.
    #[must_use]
    pub const fn new(task_id: TaskId, actual_cost: Option<Amount>) -> CompleteTask {
        CompleteTask { task_id, actual_cost, reason: None, metadata: None }
    }
}

impl CommandParts for CompleteTask {
    fn fields(&self, fields: &mut Fields) {
        fields.text(Field::TaskId, Some(self.task_id.as_str()));
        fields.amount(Field::ActualCost, self.actual_cost);
        fields.text(Field::Reason, self.reason.as_deref());
    }

    fn check(&self, _keyed: bool) -> Result<(), Denial> {
        self.actual_cost.map_or(Ok(()), |cost| shape::not_negative("actual_cost", cost))?;
        shape::text(self.reason.as_deref(), self.metadata.as_ref())
    }

    fn needs(&self, tenant_id: &TenantId, _policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        needs.task_holds.push((tenant_id.clone(), self.task_id.clone()));
        Ok(())
    }
}

/// Ends a task whose work came to nothing: releases the hold that it names, as [`crate::ReleaseHold`] does.
///
/// # Errors
/// `task_not_found` for a task that nothing was ever held for; else as [`crate::ReleaseHold`].
///
/// # Examples
/// ```
/// use drawdown::{Context, Engine, FailTask, GrantCredit, GrantType, Owner, PlaceHold, TaskId};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let (user, task_id) = (Owner::user("u1")?, TaskId::new("task-1")?);
/// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
/// engine.execute(acme.request(PlaceHold { task_id: Some(task_id.clone()), ..PlaceHold::new(user, "4".parse()?) }))?;
/// let released = engine.execute(acme.request(FailTask::new(task_id, "the model timed out")))?;
/// assert_eq!(released.balance_after.to_string(), "10");
/// let unknown = engine.execute(acme.request(FailTask::new("task-2".parse()?, "it never began"))).unwrap_err();
/// assert_eq!(unknown.denial().unwrap().name(), "task_not_found");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FailTask {
    /// The task.
    pub task_id: TaskId,
    /// Why, in the caller's words; at most 64 KiB together with the metadata, no U+0000.
    pub reason: Arc<str>,
    /// What the host notes; kept as it is, no part of what tells a repetition from another command. Nested at most 64 deep.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl FailTask {
    /// The work of this task came to nothing.
    #[must_use]
    pub fn new(task_id: TaskId, reason: &str) -> FailTask {
        FailTask { task_id, reason: Arc::from(reason), metadata: None }
    }
}

impl CommandParts for FailTask {
    fn fields(&self, fields: &mut Fields) {
        fields.text(Field::TaskId, Some(self.task_id.as_str()));
        fields.text(Field::Reason, Some(&self.reason));
    }

    fn check(&self, _keyed: bool) -> Result<(), Denial> {
        shape::text(Some(&self.reason), self.metadata.as_ref())
    }

    fn needs(&self, tenant_id: &TenantId, _policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        needs.task_holds.push((tenant_id.clone(), self.task_id.clone()));
        Ok(())
    }
}
