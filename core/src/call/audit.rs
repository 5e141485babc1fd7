//! The audit.

use std::sync::Arc;

use serde_json::Value;

use super::declare::{answered, asked, page};
use crate::audit::{AuditFilter, AuditOutcome, AuditPage, AuditPlace, AuditQuery, Audited};
use crate::id::{Actor, AuditId, PolicyTag, RequestId, TemplateId, TenantId};
use crate::ledger::PageOrder;
use crate::owner::Subject;
use crate::time::Timestamp;

asked! {
    /// Records of the audit.
    AuditOf {
        /// The tenant.
        tenant_id: TenantId,
        /// Only this one.
        #[serde(default)]
        audit_id: Option<AuditId>,
        /// Only on behalf of this actor.
        #[serde(default)]
        actor: Option<Actor>,
        /// Only with this outcome.
        #[serde(default)]
        outcome: Option<AuditOutcome>,
        /// Only of this kind: `estimate`, `quote`, `licence_check` and the others, or that of an operation.
        #[serde(default)]
        kind: Option<std::sync::Arc<str>>,
        /// Only about this: `tenant`, `user:<id>`, `organization:<id>`, `licence:<id>` or `task:<id>`.
        #[serde(default)]
        subject: Option<Subject>,
        /// Only at this instant or later.
        #[serde(default)]
        from: Option<Timestamp>,
        /// Only before this instant.
        #[serde(default)]
        to: Option<Timestamp>,
        /// The newest first, or the oldest.
        #[serde(default)]
        order: PageOrder,
        /// Goes on where this page ended: its `next_cursor`.
        #[serde(default)]
        cursor: Option<AuditPlace>,
        /// How many at most: 1 to 1,000.
        #[serde(default = "page")]
        limit: usize,
    }
}

answered! {
    /// A page of the audit.
    AuditRecordPage {
        /// The records, in the order asked for.
        records: Vec<AuditRecordView>,
        /// Where the next page begins; none at the end.
        next_cursor: Option<AuditPlace>,
    }

    /// A record of the audit: what was asked and answered, or an operation.
    AuditRecordView {
        /// The record.
        audit_id: AuditId,
        /// What it is about, in a word: `estimate`, `quote`, `licence_check` and the others, or that of an operation.
        kind: Arc<str>,
        /// How it ended.
        outcome: AuditOutcome,
        /// Why, in a word.
        reason_code: Option<Arc<str>>,
        /// Whom it is about.
        subject: Option<Subject>,
        /// The template.
        template_id: Option<TemplateId>,
        /// On whose behalf it was asked.
        actor: Option<Actor>,
        /// With which request.
        request_id: Option<RequestId>,
        /// The label of compliance.
        policy_tag: Option<PolicyTag>,
        /// When.
        created_at: Timestamp,
        /// How often the same was refused in that minute; 1 of anything else.
        count: u64,
        /// What was asked and answered; none of an operation, whose entries say it.
        details: Option<Value>,
    }

    /// The trailing writer of the audit has nothing left.
    Flushed {
        /// Always true: what could not be written is an error.
        flushed: bool,
    }
}

impl AuditOf {
    pub(super) fn query(self) -> AuditQuery {
        let AuditOf { tenant_id, audit_id, actor, outcome, kind, subject, from, to, order, cursor, limit } = self;
        let filter = AuditFilter { audit_id, actor, outcome, kind, subject, from, to };
        AuditQuery { tenant_id, filter, order, cursor, limit }
    }
}

impl AuditRecordView {
    fn of(audited: &Audited) -> AuditRecordView {
        let view = AuditRecordView {
            audit_id: audited.audit_id(),
            kind: audited.kind().into(),
            outcome: audited.outcome(),
            reason_code: None,
            subject: audited.subject(),
            template_id: None,
            actor: audited.actor().cloned(),
            request_id: None,
            policy_tag: None,
            created_at: audited.created_at(),
            count: 1,
            details: None,
        };
        match audited {
            Audited::Operation(operation) => {
                AuditRecordView { request_id: operation.request_id.clone(), policy_tag: operation.policy_tag.clone(), ..view }
            }
            Audited::Record(record) => AuditRecordView {
                reason_code: record.reason_code.clone(),
                template_id: record.template_id.clone(),
                request_id: record.request_id.clone(),
                policy_tag: record.policy_tag.clone(),
                count: record.count,
                details: serde_json::from_str(&record.details).ok(),
                ..view
            },
        }
    }
}

impl AuditRecordPage {
    pub(super) fn of(page: AuditPage) -> AuditRecordPage {
        let records = page.audited.iter().map(|(_, audited)| AuditRecordView::of(audited)).collect();
        AuditRecordPage { records, next_cursor: page.next_cursor }
    }
}
