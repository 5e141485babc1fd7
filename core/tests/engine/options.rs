//! Deadlines and remembered denials, where a store stalls or loses its connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use drawdown::store::{Store, StoreErrorKind};
use drawdown::{Clock, Command, Engine, Error, Failure, ManualClock, Timestamp};

use crate::scripted::{Act, SECOND, Scripted, available, charge, grant, keyed};

fn noon() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn one_second_later(clock: &ManualClock) {
    clock.set(noon().plus_seconds(1).unwrap());
}

fn engine_at_noon(store: &Arc<Scripted>) -> (Engine, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(noon()));
    let store = Arc::clone(store) as Arc<dyn Store>;
    (Engine::builder().store(store).clock(clock.clone()).deadline(SECOND * 10).build().unwrap(), clock)
}

fn by_noon(command: Command) -> Command {
    Command { context: command.context.deadline(noon()), ..command }
}

fn remembered(command: Command) -> Command {
    Command { context: command.context.remember_denials(), ..command }
}

fn is_busy<T>(answer: &Result<T, Failure>) -> bool {
    matches!(answer, Err(Failure::Failed(Error::Busy(_))))
}

#[test]
fn what_waits_past_its_deadline_is_never_begun() {
    let store = Scripted::new([]);
    let (engine, clock) = engine_at_noon(&store);
    store.shut_gate();
    let first = engine.submit(grant("u1", "5")).unwrap();
    store.wait_for_runs(1);
    let waiting = engine.submit(by_noon(grant("u1", "7"))).unwrap();
    one_second_later(&clock);
    store.open_gate();
    assert!(first.wait().is_ok());
    assert!(is_busy(&waiting.wait()));
    assert_eq!((store.runs().len(), available(&engine, "u1").as_str()), (1, "5"));
}

/// The batch began in time, and had to wait for its locks.
#[test]
fn what_is_not_decided_by_its_deadline_is_never_begun() {
    let store = Scripted::new([]);
    let (engine, clock) = engine_at_noon(&store);
    store.shut_gate();
    let waiting = engine.submit(by_noon(grant("u1", "7"))).unwrap();
    store.wait_for_runs(1);
    one_second_later(&clock);
    store.open_gate();
    assert!(is_busy(&waiting.wait()));
    assert_eq!((store.runs()[0].changes, available(&engine, "u1").as_str()), (0, "0"));
}

/// A clock that goes past noon between the first try of a command and the second.
#[derive(Debug, Default)]
struct BetweenTries(AtomicU32);

impl Clock for BetweenTries {
    fn now(&self) -> Timestamp {
        // It is read when the command is taken (to name it, and for its deadline) and when its batch begins.
        let is_first_try = self.0.fetch_add(1, Ordering::SeqCst) < 3;
        if is_first_try { noon() } else { noon().plus_seconds(1).unwrap() }
    }
}

#[test]
fn only_what_was_surely_not_committed_is_called_busy() {
    for (act, is_surely_not) in [(Act::Fail(StoreErrorKind::Transient), true), (Act::LoseBefore, false), (Act::LoseAfter, false)] {
        let store = Scripted::new([act]);
        let builder = Engine::builder().store(Arc::clone(&store) as Arc<dyn Store>).deadline(SECOND * 10);
        let engine = builder.clock(Arc::new(BetweenTries::default())).build().unwrap();
        let answer = engine.run(by_noon(grant("u1", "5")));
        assert_eq!((is_busy(&answer), answer.is_ok()), (is_surely_not, !is_surely_not), "{answer:?}");
        assert_eq!(available(&engine, "u1"), if is_surely_not { "0" } else { "5" });
    }
}

#[test]
fn a_lost_commit_of_a_denial_is_found() {
    let store = Scripted::new([Act::LoseAfter]);
    let engine = store.engine(SECOND * 10);
    let asked = remembered(keyed(charge("u1", "5"), "k"));
    let refused = engine.run(asked.clone()).unwrap_err();
    assert_eq!(refused.denial().unwrap().name(), "insufficient_balance");
    assert_eq!(store.runs().len(), 1, "it was looked up");
    engine.run(grant("u1", "9")).unwrap();
    assert_eq!(engine.run(asked).unwrap_err(), refused);
}
