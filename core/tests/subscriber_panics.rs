//! A subscriber that panics while a batch grows: what was taken in is answered once the transaction has ended, so whom it wakes can
//! use the engine. A program of its own: the subscriber is the whole process's.
#![cfg(all(feature = "sqlite", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use drawdown::store::Store;
use drawdown::store::sqlite::SqliteStore;
use drawdown::testing::gate::Gate;
use drawdown::{Command, Engine, Ticket};
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
    let gate = Arc::new(Gate::new(Arc::new(SqliteStore::open(folder.path().join("books.db")).unwrap())));
    let engine = Engine::builder().store(Arc::clone(&gate) as Arc<dyn Store>).build().unwrap();
    let (taken_in, host) = (Arc::new(Mutex::new(None)), engine.clone());
    let submitted = Arc::clone(&taken_in);
    gate.meanwhile(move || {
        let mut ticket = host.submit(grant()).unwrap();
        let waker = Waker::from(Arc::new(Asks(host.clone(), told)));
        assert!(Pin::new(&mut ticket).poll(&mut Context::from_waker(&waker)).is_pending());
        *submitted.lock().unwrap() = Some(ticket);
        PANICS.store(true, Ordering::SeqCst);
    });
    let first = engine.submit(grant()).unwrap();
    assert_eq!(heard.recv_timeout(Duration::from_secs(20)), Ok(true));
    first.wait().unwrap();
    let ticket: Ticket = taken_in.lock().unwrap().take().unwrap();
    ticket.wait().unwrap();
    assert!(engine.verify().unwrap().is_clean());
}
