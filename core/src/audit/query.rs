//! Questions about the audit, a page at a time: its records, and the operations, which are the audit of money.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::record::{AuditKind, AuditOutcome, AuditRecord};
use crate::denial::Denial;
use crate::id::{Actor, AuditId, TenantId};
use crate::ledger::{MAX_PAGE, Operation, OperationKind, PageOrder};
use crate::owner::Subject;
use crate::time::Timestamp;

/// One of what the audit has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audited {
    /// Something that was asked or refused.
    Record(Arc<AuditRecord>),
    /// Something that was booked; or a command whose denial was to be remembered; or what compliance was told.
    Operation(Arc<Operation>),
}

impl Audited {
    /// Its name.
    #[must_use]
    pub fn audit_id(&self) -> AuditId {
        match self {
            Audited::Record(record) => record.audit_id,
            Audited::Operation(operation) => operation.audit_id(),
        }
    }

    /// What it is about, in a word: that of [`AuditKind`] or of [`OperationKind`].
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Audited::Record(record) => record.kind.as_str(),
            Audited::Operation(operation) => operation.kind.as_str(),
        }
    }

    /// How it ended.
    #[must_use]
    pub fn outcome(&self) -> AuditOutcome {
        match self {
            Audited::Record(record) => record.outcome,
            // A denial that was remembered is about nothing, its text forgotten or not.
            Audited::Operation(operation)
                if operation.kind == OperationKind::Alert || operation.account.is_none() && operation.subject.is_none() =>
            {
                AuditOutcome::Refused
            }
            Audited::Operation(_) => AuditOutcome::Allowed,
        }
    }

    /// On whose behalf it was asked.
    #[must_use]
    pub fn actor(&self) -> Option<&Actor> {
        match self {
            Audited::Record(record) => record.actor.as_ref(),
            Audited::Operation(operation) => operation.actor.as_ref(),
        }
    }

    /// Whom it is about.
    #[must_use]
    pub fn subject(&self) -> Option<Subject> {
        match self {
            Audited::Record(record) => record.subject.clone(),
            Audited::Operation(operation) => {
                let of_account = || operation.account.as_ref().map(|account| Subject::from(&account.owner));
                operation.subject.clone().or_else(of_account)
            }
        }
    }

    /// When it was.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        match self {
            Audited::Record(record) => record.created_at,
            Audited::Operation(operation) => operation.created_at,
        }
    }
}

/// Which of it. Every condition must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditFilter {
    /// Only the one of this name.
    pub audit_id: Option<AuditId>,
    /// Only on behalf of this caller.
    pub actor: Option<Actor>,
    /// Only what ended so.
    pub outcome: Option<AuditOutcome>,
    /// Only of this kind: a word of [`AuditKind`] or of [`OperationKind`].
    pub kind: Option<Arc<str>>,
    /// Only about this tenant, user, organization or licence.
    pub subject: Option<Subject>,
    /// Only at this instant or later.
    pub from: Option<Timestamp>,
    /// Only before this instant.
    pub to: Option<Timestamp>,
}

impl AuditFilter {
    /// Whether something meets every condition.
    #[must_use]
    pub fn admits(&self, audited: &Audited) -> bool {
        self.audit_id.is_none_or(|audit_id| audit_id == audited.audit_id())
            && self.actor.as_ref().is_none_or(|actor| Some(actor) == audited.actor())
            && self.outcome.is_none_or(|outcome| outcome == audited.outcome())
            && self.kind.as_ref().is_none_or(|kind| **kind == *audited.kind())
            && self.subject.as_ref().is_none_or(|subject| Some(subject) == audited.subject().as_ref())
            && self.from.is_none_or(|from| from <= audited.created_at())
            && self.to.is_none_or(|to| audited.created_at() < to)
    }
}

/// Where something stands in the order in which it was written: the last operation by then, and how many records of the audit
/// were written before. Stable: nothing is ever written before what is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AuditPlace {
    /// The operation, or the last one before the record.
    pub position: u64,
    /// The number of the record; 0 of an operation.
    pub row: u64,
}

/// Where a page ended.
pub type AuditCursor = AuditPlace;

/// A page of the audit that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditQuery {
    /// Whose.
    pub tenant_id: TenantId,
    /// Which.
    pub filter: AuditFilter,
    /// In which direction, by the order in which it was written.
    pub order: PageOrder,
    /// After this place.
    pub cursor: Option<AuditCursor>,
    /// At most so many: 1 to 1,000.
    pub limit: usize,
}

impl AuditQuery {
    /// The newest 50 of a tenant.
    #[must_use]
    pub fn new(tenant_id: TenantId) -> AuditQuery {
        AuditQuery { tenant_id, filter: AuditFilter::default(), order: PageOrder::Desc, cursor: None, limit: 50 }
    }

    /// Checks the limit and the kind.
    ///
    /// # Errors
    /// `payload_invalid` for a limit outside 1 to 1,000, and for a kind that nothing has.
    pub fn check(&self) -> Result<(), Denial> {
        if !(1..=MAX_PAGE).contains(&self.limit) {
            return Err(Denial::invalid("limit", self.limit, "1 to 1000"));
        }
        match &self.filter.kind {
            Some(kind) if AuditKind::from_name(kind).is_none() && OperationKind::from_name(kind).is_none() => {
                let known = AuditKind::ALL.iter().map(|kind| kind.as_str());
                let known = known.chain(OperationKind::ALL.iter().map(|kind| kind.as_str()));
                Err(crate::credit::not_among("kind", kind, known))
            }
            _ => Ok(()),
        }
    }

    /// Whether what stands at a place comes after the cursor.
    pub(crate) fn is_ahead(&self, place: AuditPlace) -> bool {
        match (self.cursor, self.order) {
            (None, _) => true,
            (Some(cursor), PageOrder::Asc) => place > cursor,
            (Some(cursor), PageOrder::Desc) => place < cursor,
        }
    }
}

/// A page of the audit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// What it has, each with its place.
    pub audited: Vec<(AuditPlace, Audited)>,
    /// Where the next page begins; none at the end.
    pub next_cursor: Option<AuditCursor>,
}
