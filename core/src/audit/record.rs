//! A record of the audit.

use std::sync::Arc;

use crate::credit::named_enum;
use crate::id::{Actor, AuditId, OpId, PolicyTag, RequestId, TemplateId, TenantId};
use crate::ledger::ChainHash;
use crate::owner::Subject;
use crate::time::Timestamp;

named_enum! {
    /// What a record of the audit is about.
    AuditKind {
        /// Work was estimated.
        Estimate = "estimate",
        /// Work was estimated, at a price that can be held or charged.
        Quote = "quote",
        /// It was asked whether a template may be used, and it may.
        LicenceCheck = "licence_check",
        /// Something was refused for a reason of compliance or risk: so often in a minute.
        Refusal = "refusal",
    }
}

named_enum! {
    /// How it ended.
    AuditOutcome {
        /// It was answered, or took effect.
        Allowed = "allowed",
        /// It was refused.
        Refused = "refused",
    }
}

/// The version of what is hashed.
const HASHED_VERSION: u8 = 1;

/// A record of the audit: something that was asked or refused, and is no operation.
///
/// It never changes, but for the count of a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its name, unique in the tenant.
    pub audit_id: AuditId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// What it is about.
    pub kind: AuditKind,
    /// Whom it is about: the owner of the account, the user who asked or acted.
    pub subject: Option<Subject>,
    /// The template.
    pub template_id: Option<TemplateId>,
    /// On whose behalf it was asked.
    pub actor: Option<Actor>,
    /// The request that it came with; of a refusal, the first one's.
    pub request_id: Option<RequestId>,
    /// The label of compliance.
    pub policy_tag: Option<PolicyTag>,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// Why: what a check of a licence says, or the name of a denial.
    pub reason_code: Option<Arc<str>>,
    /// When.
    pub created_at: Timestamp,
    /// The operation that tells compliance; of a refusal.
    pub op_id: Option<OpId>,
    /// How often: 1, of a refusal as often as it was refused in its minute.
    pub count: u64,
    /// All else, as a JSON object.
    pub details: Arc<str>,
    /// BLAKE3 over JSON, two arrays in one, the version and the fields above up to the template, then those after it without the count
    /// and the details; and over the details, as they stand, behind it.
    pub hash: ChainHash,
}

impl AuditRecord {
    /// The hash of what it says.
    #[must_use]
    pub fn content_hash(&self) -> ChainHash {
        // Each field is named, so that none is forgotten.
        let AuditRecord {
            audit_id,
            tenant_id,
            kind,
            subject,
            template_id,
            actor,
            request_id,
            policy_tag,
            outcome,
            reason_code,
            created_at,
            op_id,
            count: _,
            details,
            hash: _,
        } = self;
        let names = (HASHED_VERSION, audit_id, tenant_id, kind, subject, template_id);
        let asked = (actor, request_id, policy_tag, outcome, reason_code.as_deref(), created_at, op_id);
        let mut said = serde_json::to_vec(&(names, asked)).unwrap_or_default();
        // Behind the bracket that ends the others, as they stand: to write them as a JSON text would take longer than all the rest.
        said.extend_from_slice(details.as_bytes());
        ChainHash(*blake3::hash(&said).as_bytes())
    }

    /// The same, with the hash of what it says.
    #[must_use]
    pub fn sealed(self) -> AuditRecord {
        AuditRecord { hash: self.content_hash(), ..self }
    }

    /// The same, told by an operation with another id, which is always the same one.
    #[must_use]
    pub(crate) fn told_apart(self) -> AuditRecord {
        let other = |op_id: OpId| op_id.with_random(!(op_id.uuid().as_u64_pair().1 >> 16));
        AuditRecord { op_id: self.op_id.map(other), ..self }.sealed()
    }
}
