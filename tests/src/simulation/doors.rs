//! The stores under the engines: one door to the same books for each engine, and commits that take their time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use drawdown::audit::AuditRecord;
use drawdown::changes::Changes;
use drawdown::event::{Consumer, EventCursor};
use drawdown::facts::{Facts, Needs};
use drawdown::store::{Answer, Batch, Query, Store, StoreError};
use drawdown::{Clock, OpId, TenantId, Timestamp};

/// Leads to the books through the door of whoever is at work. The simulation has one thread, so that is one engine at a time.
pub(super) struct Doors {
    state: Mutex<State>,
}

struct State {
    doors: Vec<Arc<dyn Store>>,
    at_work: usize,
}

impl Doors {
    pub(super) fn new(doors: Vec<Arc<dyn Store>>) -> Doors {
        Doors { state: Mutex::new(State { doors, at_work: 0 }) }
    }

    /// From now on this engine is at work.
    pub(super) fn enter(&self, engine: usize) {
        self.lock().at_work = engine;
    }

    /// Hangs a new door.
    pub(super) fn replace(&self, engine: usize, door: Arc<dyn Store>) {
        self.lock().doors[engine] = door;
    }

    fn door(&self) -> Arc<dyn Store> {
        let state = self.lock();
        Arc::clone(&state.doors[state.at_work])
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Doors {
    fn run(&self, batch: &mut dyn Batch) -> Result<(), StoreError> {
        self.door().run(batch)
    }

    fn query(&self, query: &Query) -> Result<Answer, StoreError> {
        self.door().query(query)
    }

    fn record(&self, records: &[AuditRecord]) -> Result<(), StoreError> {
        self.door().record(records)
    }

    fn forget(&self, tenant_id: &TenantId, op_ids: &[OpId]) -> Result<(), StoreError> {
        self.door().forget(tenant_id, op_ids)
    }

    fn acknowledge(&self, consumer: &Consumer, cursor: EventCursor) -> Result<EventCursor, StoreError> {
        self.door().acknowledge(consumer, cursor)
    }
}

/// What somebody else does while a batch is decided and not yet committed.
pub(super) type Meanwhile = Box<dyn FnOnce(&dyn Store) + Send>;

/// Lets somebody else at the books while a batch is decided and not yet committed.
pub(super) struct Slow {
    inner: Arc<dyn Store>,
    meanwhile: Mutex<Option<Meanwhile>>,
}

impl Slow {
    pub(super) fn new(inner: Arc<dyn Store>) -> Slow {
        Slow { inner, meanwhile: Mutex::new(None) }
    }

    /// The next batch takes its time for this; nothing takes back what was planned.
    pub(super) fn plan(&self, meanwhile: Option<Meanwhile>) {
        *self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner) = meanwhile;
    }
}

impl Store for Slow {
    fn run(&self, batch: &mut dyn Batch) -> Result<(), StoreError> {
        let meanwhile = self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner).take();
        match meanwhile {
            None => self.inner.run(batch),
            Some(meanwhile) => self.inner.run(&mut SlowBatch { batch, books: &*self.inner, meanwhile: Some(meanwhile) }),
        }
    }

    fn query(&self, query: &Query) -> Result<Answer, StoreError> {
        self.inner.query(query)
    }

    fn record(&self, records: &[AuditRecord]) -> Result<(), StoreError> {
        self.inner.record(records)
    }

    fn forget(&self, tenant_id: &TenantId, op_ids: &[OpId]) -> Result<(), StoreError> {
        self.inner.forget(tenant_id, op_ids)
    }

    fn acknowledge(&self, consumer: &Consumer, cursor: EventCursor) -> Result<EventCursor, StoreError> {
        self.inner.acknowledge(consumer, cursor)
    }
}

struct SlowBatch<'a> {
    batch: &'a mut dyn Batch,
    books: &'a dyn Store,
    meanwhile: Option<Meanwhile>,
}

impl Batch for SlowBatch<'_> {
    fn needs(&self) -> &Needs {
        self.batch.needs()
    }

    fn clock(&self) -> &dyn Clock {
        self.batch.clock()
    }

    fn decide(&mut self, facts: Facts) -> Vec<Changes> {
        let changes = self.batch.decide(facts);
        if let Some(meanwhile) = self.meanwhile.take() {
            meanwhile(self.books);
        }
        changes
    }

    fn grow(&mut self) -> bool {
        self.batch.grow()
    }

    fn restart(&mut self) {
        self.batch.restart();
    }
}

/// What an engine's clock says, given the common time and how far it is set before it.
pub(super) fn skewed(time: Timestamp, micros: i64) -> Timestamp {
    time.plus_micros(micros).unwrap_or(time)
}
