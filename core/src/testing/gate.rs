//! A store that lets something happen while a batch is written and not yet committed.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::audit::AuditRecord;
use crate::changes::Changes;
use crate::event::{Consumer, EventCursor};
use crate::facts::{Facts, Needs};
use crate::id::{OpId, TenantId};
use crate::store::{Answer, Batch, Query, Store, StoreError};
use crate::time::Clock;

type Meanwhile = Box<dyn FnOnce() + Send>;

/// Hands everything but [`Engine::join`](crate::Engine::join) on to another store, and calls what a test has planned whenever that
/// one asks a batch whether it grows.
pub struct Gate {
    inner: Arc<dyn Store>,
    planned: Mutex<VecDeque<Meanwhile>>,
}

impl Gate {
    /// In front of this store, with nothing planned.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Gate {
        Gate { inner, planned: Mutex::default() }
    }

    /// Plans what happens once, when the store asks next after what was planned before.
    pub fn meanwhile(&self, happens: impl FnOnce() + Send + 'static) {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner).push_back(Box::new(happens));
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl Store for Gate {
    fn run(&self, batch: &mut dyn Batch) -> Result<(), StoreError> {
        self.inner.run(&mut Gated { batch, gate: self })
    }

    fn query(&self, query: &Query) -> Result<Answer, StoreError> {
        self.inner.query(query)
    }

    fn forget(&self, tenant_id: &TenantId, op_ids: &[OpId]) -> Result<(), StoreError> {
        self.inner.forget(tenant_id, op_ids)
    }

    fn acknowledge(&self, consumer: &Consumer, cursor: EventCursor) -> Result<EventCursor, StoreError> {
        self.inner.acknowledge(consumer, cursor)
    }

    fn record(&self, records: &[AuditRecord]) -> Result<(), StoreError> {
        self.inner.record(records)
    }
}

struct Gated<'a> {
    batch: &'a mut dyn Batch,
    gate: &'a Gate,
}

impl Batch for Gated<'_> {
    fn needs(&self) -> &Needs {
        self.batch.needs()
    }

    fn clock(&self) -> &dyn Clock {
        self.batch.clock()
    }

    fn decide(&mut self, facts: Facts) -> Vec<Changes> {
        self.batch.decide(facts)
    }

    fn grow(&mut self) -> bool {
        let happens = self.gate.planned.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        if let Some(happens) = happens {
            happens();
        }
        self.batch.grow()
    }

    fn restart(&mut self) {
        self.batch.restart();
    }
}
