//! One accepted command: its idempotency record, money audit record and outbox record in one.

use std::sync::Arc;

use super::entry::Entry;
use crate::amount::Amount;
use crate::command::Fingerprint;
use crate::credit::named_enum;
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
    }
}

/// One accepted command.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// What was refunded of its charge or capture so far; the only thing here that changes.
    pub refunded: Amount,
    /// What of the answer the entries do not say, as JSON.
    pub answer: Option<Arc<str>>,
}

impl Operation {
    /// The name of its audit record, which is the operation itself.
    #[must_use]
    pub fn audit_id(&self) -> AuditId {
        AuditId::derive(self.op_id, 0)
    }
}

/// An operation with its entries, as a store gives it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOperation {
    /// The operation.
    pub operation: Operation,
    /// Its entries, in order.
    pub entries: Vec<Entry>,
    /// Its place in the feed.
    pub position: u64,
}
