//! A subscriber that panics while a batch grows: what was taken in is answered once the transaction has ended, so whom it wakes can
//! use the engine. A program of its own: the subscriber is the whole process's.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use drawdown::audit::AuditRecord;
use drawdown::changes::Changes;
use drawdown::event::{Consumer, EventCursor};
use drawdown::facts::{Facts, Needs};
use drawdown::store::sqlite::SqliteStore;
use drawdown::store::{Answer, Batch, Query, Store, StoreError};
use drawdown::{Clock, Command, Engine, OpId, TenantId, Ticket};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static PANICS: AtomicBool = AtomicBool::new(false);

struct Panicking;

impl Subscriber for Panicking {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {
        assert!(!PANICS.swap(false, Ordering::SeqCst), "as planned");
    }

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Gate {
    inner: SqliteStore,
    engine: OnceLock<Engine>,
    ticket: Mutex<Option<Ticket>>,
    told: Mutex<Option<Sender<bool>>>,
}

struct Gated<'a>(&'a mut dyn Batch, &'a Gate);

impl Batch for Gated<'_> {
    fn needs(&self) -> &Needs {
        self.0.needs()
    }

    fn clock(&self) -> &dyn Clock {
        self.0.clock()
    }

    fn decide(&mut self, facts: Facts) -> Vec<Changes> {
        self.0.decide(facts)
    }

    fn grow(&mut self) -> bool {
        if let Some(told) = self.1.told.lock().unwrap().take() {
            let engine = self.1.engine.get().unwrap();
            let mut ticket = engine.submit(grant()).unwrap();
            let waker = Waker::from(Arc::new(Asks(engine.clone(), told)));
            assert!(Pin::new(&mut ticket).poll(&mut Context::from_waker(&waker)).is_pending());
            *self.1.ticket.lock().unwrap() = Some(ticket);
            PANICS.store(true, Ordering::SeqCst);
        }
        self.0.grow()
    }

    fn restart(&mut self) {
        self.0.restart();
    }
}

impl Store for Gate {
    fn run(&self, batch: &mut dyn Batch) -> Result<(), StoreError> {
        self.inner.run(&mut Gated(batch, self))
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

/// Gives another command when it is woken, and tells whether that was accepted.
struct Asks(Engine, Sender<bool>);

impl Wake for Asks {
    fn wake(self: Arc<Self>) {
        let _ = self.1.send(self.0.run(grant()).is_ok());
    }
}

fn grant() -> Command {
    Command::from_json(r#"{"command": "grant", "tenant_id": "acme", "owner": "pool", "type": "trial", "amount": "1"}"#).unwrap()
}

#[test]
fn whom_a_panic_wakes_can_use_the_engine() {
    tracing::subscriber::set_global_default(Panicking).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (told, heard) = channel();
    let gate = Arc::new(Gate {
        inner: SqliteStore::open(folder.path().join("books.db")).unwrap(),
        engine: OnceLock::new(),
        ticket: Mutex::default(),
        told: Mutex::new(Some(told)),
    });
    let engine = Engine::builder().store(Arc::clone(&gate) as Arc<dyn Store>).build().unwrap();
    assert!(gate.engine.set(engine.clone()).is_ok());
    let first = engine.submit(grant()).unwrap();
    assert_eq!(heard.recv_timeout(Duration::from_secs(20)), Ok(true));
    first.wait().unwrap();
    let taken_in = gate.ticket.lock().unwrap().take().unwrap();
    taken_in.wait().unwrap();
    assert!(engine.verify().unwrap().is_clean());
}
