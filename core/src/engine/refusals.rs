//! Refusals on their way into the audit: the first of its name in a minute is written before it is answered, and told to compliance;
//! later ones only raise its count.

use std::sync::{Arc, Mutex, PoisonError};

use crate::audit::{AuditKind, AuditRecord, Trace, alert, told};
use crate::changes::Changes;
use crate::command::Fingerprint;
use crate::denial::Denial;
use crate::facts::{Facts, Needs};
use crate::id::{AuditId, TenantId};
use crate::map::Set;
use crate::store::{Answer, Batch, Query, Store, StoreError, StoreErrorKind};
use crate::time::Clock;

/// The most names that are known; past them it begins anew.
const MAX_KNOWN: usize = 4_096;

/// The names of refusals that are in the store. One that is not known may be there all the same: the store says so when it is
/// written again.
#[derive(Default)]
pub(super) struct Refusals {
    known: Mutex<Set<(TenantId, AuditId)>>,
}

impl Refusals {
    pub(super) fn knows(&self, record: &AuditRecord) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(&(record.tenant_id.clone(), record.audit_id))
    }

    pub(super) fn learn(&self, names: impl IntoIterator<Item = (TenantId, AuditId)>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            if known.len() >= MAX_KNOWN {
                known.clear();
            }
            known.insert(name);
        }
    }

    /// Asks the store which of these are there, and knows them from then on. Answers whether there are any.
    pub(super) fn look_up(
        &self,
        names: &[(TenantId, AuditId)],
        ask: impl Fn(&Query) -> Result<Answer, StoreError>,
    ) -> Result<bool, StoreError> {
        let mut any = false;
        for (tenant_id, audit_id) in names {
            if let Answer::AuditRecords(found) = ask(&Query::AuditRecords(tenant_id.clone(), vec![*audit_id]))? {
                any |= !found.is_empty();
                self.learn(found.iter().map(|record| (record.tenant_id.clone(), record.audit_id)));
            }
        }
        Ok(any)
    }
}

/// What the decisions of one try leave to be written.
pub(super) struct Outbox<'a> {
    /// In order: of accepted commands, and of what is told to compliance.
    pub(super) changes: Vec<Changes>,
    pub(super) kept: Kept,
    known: &'a Refusals,
    /// Nothing is told in this transaction: it may be rolled back.
    is_staged: bool,
}

/// Refusals of one try.
#[derive(Default)]
pub(super) struct Kept {
    /// The names of those that are written with it.
    pub(super) first: Vec<(TenantId, AuditId)>,
    /// Those that are left to the trailing writer.
    pub(super) later: Vec<AuditRecord>,
}

impl<'a> Outbox<'a> {
    /// For about so many commands.
    /// `kept`: the refusals before them in the same transaction.
    pub(super) fn new(known: &'a Refusals, is_staged: bool, commands: usize, kept: Kept) -> Outbox<'a> {
        Outbox { changes: Vec::with_capacity(commands), kept, known, is_staged }
    }

    /// Keeps what a denial leaves behind. `remembered`: what keeps the denial under its key.
    pub(super) fn keep(&mut self, trace: Trace, said: impl FnOnce() -> (Fingerprint, Denial), remembered: Option<&mut Changes>) {
        let Some(record) = trace.refusal else { return };
        let name = (record.tenant_id.clone(), record.audit_id);
        if self.is_staged {
            // What remembers the denial has the id of the command; who tells of it, whatever becomes of the transaction, needs another.
            self.kept.later.push(if remembered.is_some() { record.told_apart() } else { *record });
            return;
        }
        if self.known.knows(&record) || self.kept.first.contains(&name) {
            self.kept.later.push(*record);
            return;
        }
        self.kept.first.push(name);
        match remembered {
            Some(changes) => {
                changes.stored_mut().operation.alerts.push(told(&record));
                changes.audit.push(*record);
            }
            None => self.changes.push(alert(*record, Some(said()))),
        }
    }
}

/// How it went to write a refusal.
pub(super) enum First {
    /// It was the first of its name.
    Written,
    /// There is one of its name.
    Known,
}

/// Writes the first refusal of its name, and the operation that tells compliance, in a batch of their own.
pub(super) fn write_first(store: &dyn Store, clock: &dyn Clock, record: &AuditRecord) -> Result<First, StoreError> {
    let mut batch = AlertBatch { needs: Needs::default(), clock, changes: alert(record.clone(), None) };
    match store.run(&mut batch) {
        Ok(()) => Ok(First::Written),
        Err(error) if error.kind == StoreErrorKind::Conflict || error.may_have_applied => {
            let named = Query::AuditRecords(record.tenant_id.clone(), vec![record.audit_id]);
            let found = match store.query(&named)? {
                Answer::AuditRecords(found) => found.into_iter().next(),
                _ => None,
            };
            match found {
                // An earlier try of this very one.
                Some(found) if found.op_id == record.op_id => Ok(First::Written),
                Some(_) => Ok(First::Known),
                None => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

struct AlertBatch<'a> {
    needs: Needs,
    clock: &'a dyn Clock,
    changes: Changes,
}

impl Batch for AlertBatch<'_> {
    fn needs(&self) -> &Needs {
        &self.needs
    }

    fn clock(&self) -> &dyn Clock {
        self.clock
    }

    fn decide(&mut self, _facts: Facts) -> Vec<Changes> {
        vec![self.changes.clone()]
    }

    fn restart(&mut self) {}
}

/// Whether it is one of those whose count can be raised.
pub(super) fn is_refusal(record: &AuditRecord) -> bool {
    record.kind == AuditKind::Refusal
}

/// What the trailing writer shares with the lane.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) refusals: Arc<Refusals>,
}
