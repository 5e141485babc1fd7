//! What questions leave in the audit, and questions about the audit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::Engine;
use super::reads::ask;
use super::refusals::{First, write_first};
use crate::audit::{AuditKind, AuditOutcome, AuditPage, AuditQuery, AuditRecord, Caller};
use crate::error::{Error, Failure};
use crate::id::{AuditId, OpId, PolicyTag, TemplateId, TenantId};
use crate::ledger::ChainHash;
use crate::owner::{Owner, Subject};
use crate::store::{Answer, Query, StoreError, StoreErrorKind};
use crate::time::Timestamp;

/// Something that was asked and answered.
pub(super) struct Asked<'a> {
    pub(super) kind: AuditKind,
    pub(super) tenant_id: &'a TenantId,
    pub(super) subject: Option<Subject>,
    pub(super) template_id: Option<&'a TemplateId>,
    pub(super) caller: &'a Caller,
    pub(super) policy_tag: Option<&'a PolicyTag>,
    pub(super) reason_code: Option<&'a str>,
    /// A JSON object.
    pub(super) details: String,
}

impl Engine {
    /// A page of the audit of a tenant: what was asked and refused, and the operations, which are the audit of money, in the order
    /// in which they were written.
    ///
    /// What was written less than 50 ms ago may be missing: [`Engine::flush_audit`] waits for it.
    ///
    /// # Errors
    /// `payload_invalid` for a limit outside 1 to 1,000, and for a kind that nothing has.
    ///
    /// # Examples
    /// ```
    /// use drawdown::audit::{AuditFilter, AuditOutcome, AuditQuery};
    /// use drawdown::{Charge, Context, Engine, Owner, Policies, TenantPolicy};
    /// let policy = TenantPolicy { licence_required: true, ..TenantPolicy::default() };
    /// let engine = Engine::builder().policies(Policies::new(policy)).build()?;
    /// let acme = Context::tenant("acme")?.actor("alice")?;
    /// let charge = Charge { template_id: Some("poster".parse()?), ..Charge::new(Owner::user("u1")?, "4".parse()?) };
    /// let refused = engine.execute(acme.request(charge)).unwrap_err();
    /// let filter = AuditFilter { outcome: Some(AuditOutcome::Refused), kind: Some("refusal".into()), ..AuditFilter::default() };
    /// let page = engine.audit_records(&AuditQuery { filter, ..AuditQuery::new(acme.tenant_id.clone()) })?;
    /// let (_, found) = &page.audited[0];
    /// assert_eq!((Some(found.audit_id()), found.actor()), (refused.denial().unwrap().audit_id(), acme.actor.as_ref()));
    /// assert!(engine.audit_records(&AuditQuery { limit: 0, ..AuditQuery::new(acme.tenant_id) }).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn audit_records(&self, query: &AuditQuery) -> Result<AuditPage, Failure> {
        query.check()?;
        ask!(self, Audit, Query::Audit(query.clone()))
    }

    /// Returns once all that was asked and refused before is in the audit. Else it is a moment later, or when the engine is closed.
    ///
    /// # Errors
    /// Why records were lost since the last call, if any were; [`crate::EngineStats::audit_lost`] says how many.
    ///
    /// # Examples
    /// ```
    /// use drawdown::audit::AuditQuery;
    /// use drawdown::{Context, Engine, SetLicence, TemplateKey};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// engine.execute(acme.request(SetLicence::new("lic-1", "poster", "ops")?))?;
    /// let check = engine.check_licence(&TemplateKey::new(acme.tenant_id.clone(), "poster".parse()?, None), None)?;
    /// engine.flush_audit()?;
    /// let page = engine.audit_records(&AuditQuery::new(acme.tenant_id))?;
    /// assert_eq!(Some(page.audited[0].1.audit_id()), check.audit_id);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flush_audit(&self) -> Result<(), Error> {
        self.inner.lane.bench.trail.flush()
    }

    /// The id of an operation, or of a record of the audit, that begins now.
    pub(super) fn new_op_id(&self, tenant_id: &TenantId, owner: Option<&Owner>, now: Timestamp) -> OpId {
        OpId::new(now, tenant_id, owner, self.inner.lane.bench.pause.random())
    }

    /// An answer as a record has it: without the name of the record.
    pub(super) fn told(answer: &impl Serialize) -> Value {
        let mut answer = serde_json::to_value(answer).unwrap_or_default();
        if let Value::Object(fields) = &mut answer {
            fields.remove("audit_id");
        }
        answer
    }

    /// A name for the record of a question about this owner.
    pub(super) fn new_audit_id(&self, tenant_id: &TenantId, owner: Option<&Owner>, now: Timestamp) -> AuditId {
        AuditId::derive(self.new_op_id(tenant_id, owner, now), 0)
    }

    /// The record of a question that was answered.
    pub(super) fn answered(&self, asked: Asked<'_>, audit_id: AuditId, now: Timestamp) -> AuditRecord {
        let Asked { kind, tenant_id, subject, template_id, caller, policy_tag, reason_code, details } = asked;
        AuditRecord {
            audit_id,
            tenant_id: tenant_id.clone(),
            kind,
            subject,
            template_id: template_id.cloned(),
            actor: caller.actor.clone(),
            request_id: caller.request_id.clone(),
            policy_tag: policy_tag.cloned(),
            outcome: AuditOutcome::Allowed,
            reason_code: reason_code.map(Arc::from),
            created_at: now,
            op_id: None,
            count: 1,
            details: Arc::from(details),
            hash: ChainHash::default(),
        }
        .sealed()
    }

    /// Leaves a record to the trailing writer.
    pub(super) fn record_later(&self, record: AuditRecord) {
        self.inner.lane.bench.trail.push(record);
    }

    /// Writes a record before it is answered.
    pub(super) fn record_now(&self, record: &AuditRecord) -> Result<(), Failure> {
        self.written(|| self.inner.lane.bench.store.record(std::slice::from_ref(record)))
    }

    /// Writes a refusal before it is answered, if it is the first of its name; else its count is raised a moment later.
    pub(super) fn refuse(&self, record: AuditRecord) -> Result<(), Failure> {
        let bench = &self.inner.lane.bench;
        if bench.refusals.knows(&record) {
            bench.trail.push(record);
            return Ok(());
        }
        let first = self.written(|| write_first(&*bench.store, &*bench.clock, &record))?;
        bench.watch.note_commit();
        bench.refusals.learn([(record.tenant_id.clone(), record.audit_id)]);
        if let First::Known = first {
            bench.trail.push(record);
        }
        Ok(())
    }

    /// Writes, again after contention or a lost reply until the deadline: to write the same record twice changes nothing.
    fn written<T>(&self, write: impl Fn() -> Result<T, StoreError>) -> Result<T, Failure> {
        let (bench, deadline, mut tries) = (&self.inner.lane.bench, self.deadline(), 0);
        let given_up = || Err(StoreError::new(StoreErrorKind::Permanent, "the store gave up"));
        loop {
            match catch_unwind(AssertUnwindSafe(&write)).unwrap_or_else(|_| given_up()) {
                Ok(written) => return Ok(written),
                Err(error) if (error.is_transient() || error.may_have_applied) && bench.pause.now() < deadline => {
                    bench.pause.sleep(tries);
                    tries += 1;
                }
                Err(error) => return Err(Error::from(error).into()),
            }
        }
    }
}
