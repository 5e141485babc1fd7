//! Refusals for a reason of compliance or risk: the first of its kind in a minute is told to compliance, later ones are counted.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Caller;
use super::record::{AuditKind, AuditOutcome, AuditRecord};
use crate::amount::Amount;
use crate::changes::Changes;
use crate::command::{Body, Command, Fingerprint, paying_account};
use crate::credit::TenantPolicy;
use crate::denial::{Denial, DenialKind};
use crate::id::{AuditId, OpId, PolicyTag, TemplateId, TenantId};
use crate::ledger::{Alert, AlertRule, ChainHash, Operation, OperationKind, StoredOperation};
use crate::owner::Subject;
use crate::time::Timestamp;

/// What a denial leaves behind: no anchor, key, entry, quota or cap is touched by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The refusal, if it is for a reason of compliance or risk. The first of its name is written with an operation that tells
    /// compliance; each later one raises its count.
    pub refusal: Option<Box<AuditRecord>>,
}

/// Something that was refused.
pub(crate) struct Refused<'a> {
    pub(crate) tenant_id: &'a TenantId,
    pub(crate) subject: Option<Subject>,
    pub(crate) template_id: Option<&'a TemplateId>,
    pub(crate) reason: &'a str,
    pub(crate) caller: &'a Caller,
    pub(crate) policy_tag: Option<&'a PolicyTag>,
    pub(crate) details: Map<String, Value>,
}

impl Refused<'_> {
    /// The record of it. It has the same name as any other of the same tenant, subject, template and reason in the same minute.
    pub(crate) fn record(self, op_id: OpId, now: Timestamp) -> AuditRecord {
        let Refused { tenant_id, subject, template_id, reason, caller, policy_tag, mut details } = self;
        details.extend(caller.session_id.as_ref().map(|session_id| ("session_id".to_owned(), session_id.as_str().into())));
        AuditRecord {
            audit_id: AuditId::of_refusal(tenant_id, subject.as_ref(), template_id, reason, now),
            tenant_id: tenant_id.clone(),
            kind: AuditKind::Refusal,
            subject,
            template_id: template_id.cloned(),
            actor: caller.actor.clone(),
            request_id: caller.request_id.clone(),
            policy_tag: policy_tag.cloned(),
            outcome: AuditOutcome::Refused,
            reason_code: Some(Arc::from(reason)),
            created_at: now,
            op_id: Some(op_id),
            count: 1,
            details: Arc::from(Value::Object(details).to_string()),
            hash: ChainHash::default(),
        }
        .sealed()
    }
}

/// The denial of a command, with the name of the refusal that it is, and what it leaves behind.
pub(crate) fn trace(command: &Command, op_id: OpId, policy: &TenantPolicy, denial: Denial, now: Timestamp) -> (Denial, Trace) {
    if !is_of_compliance(denial.kind()) {
        return (denial, Trace::default());
    }
    let Some(record) = Work::of(&command.body).and_then(|work| work.refused(command, op_id, policy, &denial, now)) else {
        return (denial, Trace::default());
    };
    (denial.audited(record.audit_id), Trace { refusal: Some(Box::new(record)) })
}

/// Whether a denial of work is for a reason of compliance or risk.
const fn is_of_compliance(kind: DenialKind) -> bool {
    matches!(
        kind,
        DenialKind::AuthorizationMissing
            | DenialKind::AuthorizationNotFound
            | DenialKind::AuthorizationRevoked
            | DenialKind::DailyQuotaExceeded
            | DenialKind::QuotaExceeded
            | DenialKind::CapExceeded
            | DenialKind::Blocked
            | DenialKind::ChargeRateLimited
    )
}

/// Work that can be refused: a hold or a charge.
struct Work<'a> {
    payer: Option<&'a crate::owner::Owner>,
    user_id: Option<&'a crate::id::UserId>,
    unit: Option<&'a crate::id::Unit>,
    template_id: Option<&'a TemplateId>,
    amount: Amount,
    policy_tag: Option<&'a PolicyTag>,
    named: [(&'static str, Option<&'a str>); 2],
}

impl<'a> Work<'a> {
    fn of(body: &'a Body) -> Option<Work<'a>> {
        macro_rules! work {
            ($body:ident) => {
                Some(Work {
                    payer: $body.payer.as_ref(),
                    user_id: $body.user_id.as_ref(),
                    unit: $body.unit.as_ref(),
                    template_id: $body.template_id.as_ref(),
                    amount: $body.amount,
                    policy_tag: $body.policy_tag.as_ref(),
                    named: [
                        ("app_id", $body.app_id.as_ref().map(|id| id.as_str())),
                        ("task_id", $body.task_id.as_ref().map(|id| id.as_str())),
                    ],
                })
            };
        }
        match body {
            Body::Hold(body) => work!(body),
            Body::Charge(body) => work!(body),
            _ => None,
        }
    }

    fn refused(
        &self,
        command: &Command,
        op_id: OpId,
        policy: &TenantPolicy,
        denial: &Denial,
        now: Timestamp,
    ) -> Option<AuditRecord> {
        let tenant_id = &command.context.tenant_id;
        let account = paying_account(tenant_id, policy, self.payer, self.user_id, self.unit).ok()?;
        let acting = self.user_id.map(|user_id| Subject::User(user_id.clone()));
        let mut details = Map::from_iter([
            ("command".to_owned(), command.body.kind().as_str().into()),
            ("owner".to_owned(), account.owner.to_string().into()),
            ("unit".to_owned(), account.unit.as_str().into()),
            ("amount".to_owned(), self.amount.to_string().into()),
            ("message".to_owned(), denial.message().into()),
            ("details".to_owned(), Value::Object(denial.details().clone())),
            ("retry_at".to_owned(), denial.when_to_retry().map(|at| at.to_string()).into()),
        ]);
        details.extend(self.named.iter().filter_map(|(name, id)| Some(((*name).to_owned(), (*id)?.into()))));
        let refused = Refused {
            tenant_id,
            subject: Some(acting.unwrap_or_else(|| Subject::from(&account.owner))),
            template_id: self.template_id,
            reason: denial.name(),
            caller: &Caller::from(&command.context),
            policy_tag: denial.policy_tag().or(self.policy_tag),
            details,
        };
        Some(refused.record(op_id, now))
    }
}

/// What writes the first refusal of its name: its record, and the operation that tells compliance. `said`: what the refused command
/// said, and its denial; none of a question.
pub(crate) fn alert(record: AuditRecord, said: Option<(Fingerprint, Denial)>) -> Changes {
    let (fingerprint, denial) = said.map_or_else(
        || (Fingerprint::of_kind(OperationKind::Alert), None),
        |(fingerprint, denial)| (fingerprint, Some(Arc::new(denial))),
    );
    let operation = Operation {
        op_id: record.op_id.unwrap_or_else(|| record.audit_id.operation().0),
        kind: OperationKind::Alert,
        tenant_id: record.tenant_id.clone(),
        account: None,
        subject: record.subject.clone(),
        key: None,
        fingerprint,
        first_seq: 0,
        entry_count: 0,
        settled_count: 0,
        actor: record.actor.clone(),
        request_id: record.request_id.clone(),
        policy_tag: record.policy_tag.clone(),
        created_at: record.created_at,
        refunded: Amount::ZERO,
        band: None,
        answer: None,
        denial,
        alerts: vec![told(&record)],
    };
    let stored = StoredOperation { operation, entries: Vec::new(), position: 0 };
    Changes { audit: vec![record], ..Changes::of(stored) }
}

/// What compliance is told of a refusal.
pub(crate) fn told(record: &AuditRecord) -> Alert {
    let details = json!({
        "audit_id": record.audit_id,
        "subject": record.subject,
        "template_id": record.template_id,
        "reason_code": record.reason_code.as_deref(),
    });
    let mut details = if let Value::Object(details) = details { details } else { Map::new() };
    // Whoever follows the events of an account, or of a task, has to find it.
    let mut known: Map<String, Value> = serde_json::from_str(&record.details).unwrap_or_default();
    let named = ["owner", "unit", "task_id"].into_iter().filter_map(|name| known.remove_entry(name));
    details.extend(named);
    Alert { rule: AlertRule::Refusal, details }
}
