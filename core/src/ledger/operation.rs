//! One accepted command: its idempotency record, money audit record and outbox record in one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::alert::Alert;
use super::entry::Entry;
use crate::amount::Amount;
use crate::command::Fingerprint;
use crate::credit::{Band, named_enum};
use crate::denial::Denial;
use crate::id::{Actor, AuditId, IdempotencyKey, OpId, PolicyTag, RequestId, TenantId};
use crate::owner::{AccountKey, Subject};
use crate::time::Timestamp;

named_enum! {
    /// Which command an operation is.
    OperationKind {
        /// Credit was given.
        Grant = "grant",
        /// A grant was taken back.
        Void = "void",
        /// The expiry of a grant was moved.
        Amend = "amend",
        /// An operator added or took.
        Adjust = "adjust",
        /// An amount was frozen.
        Hold = "hold",
        /// The life of a hold was extended.
        Extend = "extend",
        /// A hold, or a part, was consumed.
        Capture = "capture",
        /// A hold, or a part, was released.
        Release = "release",
        /// An amount was consumed at once.
        Charge = "charge",
        /// Consumed credit was given back.
        Refund = "refund",
        /// What had become due was booked.
        Settle = "settle",
        /// A rule of recurring grants was made.
        Recur = "recur",
        /// A rule was stopped.
        StopRule = "stop_rule",
        /// Text about people was erased.
        EraseText = "erase_text",
        /// Spending was stopped.
        Block = "block",
        /// Spending was allowed again.
        Unblock = "unblock",
        /// A member of an organization was added or changed.
        SetMember = "set_member",
        /// A member of an organization was removed.
        RemoveMember = "remove_member",
        /// How far the balance may go below zero was set.
        SetCreditLimit = "set_credit_limit",
        /// When the balance counts as low was set.
        SetLowBalance = "set_low_balance",
        /// A balance was taken over from a system before.
        Import = "import",
        /// A licence was made or changed.
        SetLicence = "set_licence",
        /// A licence was revoked.
        RevokeLicence = "revoke_licence",
        /// Documents were submitted for a licence.
        SubmitDocuments = "submit_documents",
        /// It was said how far the work of a task is.
        AdvanceTask = "advance_task",
        /// The hold of a task was captured for good.
        CompleteTask = "complete_task",
        /// The hold of a task was released for good.
        FailTask = "fail_task",
        /// Compliance was told something. No command: the engine books it by itself.
        Alert = "alert",
    }
}

/// One accepted command; or one that was refused and asked for its denial to be remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Its name; unique in the store.
    pub op_id: OpId,
    /// Which command it was.
    pub kind: OperationKind,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The account that its entries are in; none if it books nothing anywhere.
    pub account: Option<Arc<AccountKey>>,
    /// What an operation without an account is about.
    pub subject: Option<Subject>,
    /// The key under which it is replayed.
    pub key: Option<IdempotencyKey>,
    /// What the command said.
    pub fingerprint: Fingerprint,
    /// The first of its entries in the account; 0 without an account.
    pub first_seq: u64,
    /// How many entries it has there; they follow one another.
    pub entry_count: u32,
    /// How many of these booked what had become due before the command itself.
    pub settled_count: u16,
    /// On whose behalf it came.
    pub actor: Option<Actor>,
    /// The request that it came with.
    pub request_id: Option<RequestId>,
    /// The label of compliance.
    pub policy_tag: Option<PolicyTag>,
    /// When it was booked.
    pub created_at: Timestamp,
    /// What was refunded of its charge or capture so far.
    pub refunded: Amount,
    /// The band that the balance of its account went to; none if it stayed in its band.
    pub band: Option<Band>,
    /// What of the answer the entries do not say, as JSON; empty when it was forgotten after the tenant's retention.
    pub answer: Option<Arc<str>>,
    /// The denial that it is remembered for. Such an operation is a command that was refused: it books nothing, in no account.
    pub denial: Option<Arc<Denial>>,
    /// What compliance is told about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<Alert>,
}

impl Operation {
    /// The name of its audit record, which is the operation itself.
    #[must_use]
    pub fn audit_id(&self) -> AuditId {
        AuditId::derive(self.op_id, 0)
    }

    /// Whether its stored answer, or the denial that it was remembered for, was removed ([`crate::Engine::forget_answers`]).
    #[must_use]
    pub fn is_forgotten(&self) -> bool {
        self.answer.as_deref() == Some("")
    }

    /// The version of its account after it: the sequence number of the last entry. 0 without an account.
    #[must_use]
    pub fn version(&self) -> u64 {
        (self.first_seq + u64::from(self.entry_count)).saturating_sub(1)
    }
}

/// An operation with its entries, as a store gives it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredOperation {
    /// The operation.
    pub operation: Operation,
    /// Its entries, in order.
    pub entries: Vec<Entry>,
    /// Its place in the feed.
    pub position: u64,
}
