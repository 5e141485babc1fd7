//! What happened, for whoever follows it: events in one order, each a projection of an operation that stands in the books.
//!
//! No event is stored. [`events_of`] works out those of an operation, the same each time, and an [`EventCursor`] says how far
//! a reader has come: the position of an operation in the feed, and the ordinal of an event there. So the law of the feed is
//! that of events: nothing ever appears behind a cursor that was handed out.

mod consumer;
mod cursor;
mod page;
mod project;

pub use consumer::{Acknowledged, Consumer};
pub use cursor::EventCursor;
pub use page::{EventFilter, EventPage, EventQuery, Start};
pub use project::events_of;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::amount::Amount;
use crate::credit::{Band, named_enum};
use crate::id::{AuditId, EventId, GrantId, HoldId, LedgerId, PolicyTag, TaskId, TenantId, Unit, UserId};
use crate::ledger::{AlertRule, EntryKind, OperationKind};
use crate::owner::Owner;
use crate::task::TaskStep;
use crate::time::Timestamp;

named_enum! {
    /// What an event tells.
    EventKind {
        /// An operation booked entries in an account.
        CreditsUpdated = "credits.updated",
        /// Compliance has to look at something.
        ComplianceAlert = "compliance.alert",
        /// A balance has become low by its threshold.
        BalanceLow = "balance.low",
        /// A balance that was low has recovered.
        BalanceRecovered = "balance.recovered",
        /// A task was accepted: its amount is frozen.
        TaskAccepted = "task.accepted",
        /// A task goes on.
        TaskRunning = "task.running",
        /// A task was completed: its cost is captured.
        TaskCompleted = "task.completed",
        /// A task has failed: what was frozen for it came back.
        TaskFailed = "task.failed",
    }
}

/// Something that happened. It reads the same whenever it is read, but for text about people that was erased since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Its name, by which a receiver knows it again.
    pub event_id: EventId,
    /// Where it stands: reading goes on after it from here.
    pub cursor: EventCursor,
    /// The tenant.
    pub tenant_id: TenantId,
    /// What it tells.
    pub kind: EventKind,
    /// Whom and what it is about.
    pub subject: EventSubject,
    /// The rest, by its kind.
    pub data: EventData,
    /// When it was booked.
    pub ts: Timestamp,
}

/// Whom and what an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EventSubject {
    /// Whose account.
    pub owner: Option<Owner>,
    /// What the account counts.
    pub unit: Option<Unit>,
    /// The user who acted.
    pub user_id: Option<UserId>,
    /// The task.
    pub task_id: Option<TaskId>,
}

/// What an event says beside its subject, by its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum EventData {
    /// Of `credits.updated`.
    Credits(CreditsUpdated),
    /// Of `balance.low` and `balance.recovered`.
    Balance(BalanceCrossed),
    /// Of `compliance.alert`.
    Alert(ComplianceAlert),
    /// Of `task.accepted`, `task.running`, `task.completed` and `task.failed`: the step of the history.
    Task(TaskStep),
}

/// What an operation did to its account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreditsUpdated {
    /// The audit record, which is the operation.
    pub audit_id: AuditId,
    /// Which command it was.
    pub operation: OperationKind,
    /// By how much the available balance changed, settlements included.
    pub change: Amount,
    /// By how much the frozen balance changed, settlements included.
    pub frozen_change: Amount,
    /// The available balance afterwards.
    pub balance_after: Amount,
    /// The frozen balance afterwards.
    pub frozen_after: Amount,
    /// The label of compliance.
    pub policy_tag: Option<PolicyTag>,
    /// Its entries, in order: at least one.
    pub entries: Vec<EntryUpdated>,
}

/// An entry, as an event tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EntryUpdated {
    /// Its name.
    pub ledger_id: LedgerId,
    /// What it books.
    pub kind: EntryKind,
    /// Whether it books what had become due before the command itself.
    pub settled: bool,
    /// Change of the available balance.
    pub change: Amount,
    /// Change of the frozen balance.
    pub frozen_change: Amount,
    /// The hold that it is about.
    pub hold_id: Option<HoldId>,
    /// The grant that it makes, amends or ends.
    pub grant_id: Option<GrantId>,
    /// The task.
    pub task_id: Option<TaskId>,
    /// The user who acted.
    pub user_id: Option<UserId>,
    /// Why.
    pub reason: Option<std::sync::Arc<str>>,
    /// When it became true.
    pub effective_at: Timestamp,
}

/// What compliance has to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ComplianceAlert {
    /// The audit record of the operation that gave the alarm.
    pub audit_id: AuditId,
    /// Which command it was; `alert` if none was accepted.
    pub operation: OperationKind,
    /// What gave it.
    pub rule: AlertRule,
    /// What it is about.
    pub details: Map<String, Value>,
    /// The label of compliance.
    pub policy_tag: Option<PolicyTag>,
}

/// A balance that went to another band.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BalanceCrossed {
    /// The audit record of the operation that took it there.
    pub audit_id: AuditId,
    /// Where it stands now.
    pub band: Band,
    /// The available balance.
    pub balance_after: Amount,
}

impl EventData {
    /// Whether it is about this user besides the subject: one of the entries is.
    fn names_user(&self, user_id: &UserId) -> bool {
        self.entries().iter().any(|entry| entry.user_id.as_ref() == Some(user_id))
    }

    /// Whether it is about this task besides the subject: one of the entries is.
    fn names_task(&self, task_id: &TaskId) -> bool {
        self.entries().iter().any(|entry| entry.task_id.as_ref() == Some(task_id))
    }

    fn entries(&self) -> &[EntryUpdated] {
        match self {
            EventData::Credits(updated) => &updated.entries,
            EventData::Balance(_) | EventData::Alert(_) | EventData::Task(_) => &[],
        }
    }
}
