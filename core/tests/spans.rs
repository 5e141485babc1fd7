//! What an engine shows to a subscriber. A program of its own: `tracing` keeps it for the whole process that nobody listens to a span if a
//! thread without a subscriber is the first to come by, and other tests run in such threads.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods, missing_docs)]

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drawdown::store::StoreErrorKind;
use drawdown::{Command, Engine};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::scripted::{Act, SECOND, Scripted, charge, grant, lost};

#[path = "engine/scripted.rs"]
#[allow(dead_code, reason = "the tests of the engine use the rest")]
mod scripted;

/// Writes down every span and event of a thread.
#[derive(Clone, Default)]
struct Notes {
    lines: Arc<Mutex<Vec<String>>>,
    spans: Arc<AtomicU64>,
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Notes {
    fn note(&self, begin: String, fields: impl FnOnce(&mut Line)) {
        let mut line = Line(begin);
        fields(&mut line);
        self.lines.lock().unwrap().push(line.0);
    }

    /// What is written down while this is done, on this thread.
    fn of(act: impl FnOnce()) -> Vec<String> {
        let notes = Notes::default();
        tracing::subscriber::with_default(notes.clone(), act);
        notes.lines.lock().unwrap().clone()
    }
}

impl Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "drawdown"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.spans.fetch_add(1, Ordering::SeqCst) + 1;
        self.note(format!("{id} {}", span.metadata().name()), |line| span.record(line));
        Id::from_u64(id)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.note(span.into_u64().to_string(), |line| values.record(line));
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.note(format!("{} follows {}", span.into_u64(), follows.into_u64()), |_| ());
    }

    fn event(&self, event: &Event<'_>) {
        let parent = event.parent().map_or("in place".to_owned(), |id| format!("of {}", id.into_u64()));
        self.note(format!("{} {parent}", event.metadata().level()), |line| event.record(line));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// A line without the id of the operation.
fn without_id(line: &str) -> String {
    line.split(' ').filter(|word| !word.starts_with("op_id=")).collect::<Vec<_>>().join(" ")
}

fn spans_of(engine: &Engine, command: Command) -> Vec<String> {
    let lines = Notes::of(|| drop(engine.run(command)));
    assert!(lines[0].contains(" op_id="), "{lines:?}");
    lines.iter().map(|line| without_id(line)).collect()
}

#[test]
fn a_command_and_its_batch_are_spans() {
    let engine = Engine::in_memory();
    let receipt = Mutex::new(None);
    let lines = Notes::of(|| *receipt.lock().unwrap() = Some(engine.run(grant("u1", "10")).unwrap()));
    let op_id = receipt.into_inner().unwrap().unwrap().stored.operation.op_id;
    assert!(lines[0].starts_with(&format!("1 command op_id={op_id} tenant=")), "{lines:?}");
    assert!(lines[0].ends_with("kind=grant"), "{lines:?}");
    assert_eq!(lines[1..], ["2 batch size=1", "2 follows 1", "2 tries=1"]);
    // A denial is an answer, no event; and what the command says is nowhere.
    let lines = Notes::of(|| drop(engine.run(charge("u1", "11")).unwrap_err()));
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains("u1") && !line.contains("11.") && !line.contains("=11")), "{lines:?}");
    // A preview is no command.
    assert!(Notes::of(|| drop(engine.preview(charge("u1", "1")))).is_empty());
}

#[test]
fn tries_and_failures_are_events() {
    let store = Scripted::new([Act::Fail(StoreErrorKind::Transient), Act::Fail(StoreErrorKind::Conflict), Act::Collide(lost())]);
    let engine = store.engine(SECOND * 10);
    let lines = spans_of(&engine, grant("u1", "10"));
    let retries: Vec<_> = lines.iter().filter(|line| line.starts_with("DEBUG")).collect();
    assert_eq!(
        retries,
        [
            "DEBUG in place message=retry why=\"contention\"",
            "DEBUG in place message=retry why=\"conflict\"",
            "DEBUG in place message=retry why=\"connection_lost\"",
        ]
    );
    assert!(lines.contains(&"2 tries=4".to_owned()), "{lines:?}");
    // Another command had its id: it goes on under another.
    assert_eq!(lines.iter().filter(|line| *line == "1").count(), 1, "{lines:?}");

    let last = |act| {
        store.act_forever(act);
        let lines = spans_of(&store.engine(Duration::from_millis(1)), charge("u1", "1"));
        lines.last().unwrap().clone()
    };
    assert_eq!(last(Act::Fail(StoreErrorKind::Transient)), "WARN of 1 message=busy");
    assert_eq!(last(Act::Fail(StoreErrorKind::Corrupt)), "ERROR of 1 message=corrupt");
    assert_eq!(last(Act::Fail(StoreErrorKind::Permanent)), "ERROR of 1 message=store failed");
    let [now, last_at] = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:09Z"].map(|at| at.parse().unwrap());
    let behind = last(Act::Fail(StoreErrorKind::ClockBehind { now, last_at }));
    assert_eq!(behind, "WARN of 1 message=clock behind now=2026-01-01T00:00:00.000000Z last_at=2026-01-01T00:00:09.000000Z");
}
