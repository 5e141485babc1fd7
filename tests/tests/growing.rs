//! A batch takes in what comes until it is committed: one commit for all, and each answered as it would be alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::sync::{Arc, Mutex, OnceLock};

use drawdown::audit::{AuditKind, AuditQuery, Audited};
use drawdown::store::sqlite::SqliteStore;
use drawdown::store::{Store, StoreErrorKind};
use drawdown::testing::fault::{Fault, FaultStore, When};
use drawdown::testing::gate::Gate;
use drawdown::{Command, Engine, Failure, Receipt, Ticket};

/// An engine over a file, whose batches are met by what a test has planned.
struct Desk {
    _folder: tempfile::TempDir,
    gate: Arc<Gate>,
    faults: Arc<FaultStore>,
    engine: Arc<OnceLock<Engine>>,
    tickets: Arc<Mutex<Vec<Ticket>>>,
}

impl Desk {
    /// With 10 on the account of `u1`.
    fn new() -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(folder.path().join("books.db")).unwrap());
        // Faults below the gate: what fails is a batch that has grown.
        let faults = Arc::new(FaultStore::planned(store, []));
        let gate = Arc::new(Gate::new(Arc::clone(&faults) as Arc<dyn Store>));
        let engine = Engine::builder().store(Arc::clone(&gate) as Arc<dyn Store>).build().unwrap();
        engine.run(command(r#""command": "grant", "owner": "user:u1", "type": "purchased", "amount": "10""#)).unwrap();
        let slot = OnceLock::new();
        slot.set(engine).unwrap();
        Desk { _folder: folder, gate, faults, engine: Arc::new(slot), tickets: Arc::default() }
    }

    fn engine(&self) -> &Engine {
        self.engine.get().unwrap()
    }

    /// These commands come when the first batch is written, and is not yet committed.
    fn meanwhile(&self, commands: Vec<Command>) -> &Desk {
        self.gate.meanwhile(self.coming(commands));
        self
    }

    /// Submits these commands.
    fn coming(&self, commands: Vec<Command>) -> impl FnOnce() + Send + 'static {
        let (engine, tickets) = (Arc::clone(&self.engine), Arc::clone(&self.tickets));
        move || {
            let engine = engine.get().unwrap();
            tickets.lock().unwrap().extend(commands.into_iter().map(|command| engine.submit(command).unwrap()));
        }
    }

    /// Submits a command, and answers its outcome and those of all that came meanwhile, in order.
    fn submit(&self, command: Command) -> Vec<Result<Receipt, Failure>> {
        let first = self.engine().submit(command).unwrap().wait();
        let others = std::mem::take(&mut *self.tickets.lock().unwrap());
        std::iter::once(first).chain(others.into_iter().map(Ticket::wait)).collect()
    }

    /// How many batches were committed behind the grant, and of how many commands all together.
    fn batches(&self) -> (u64, u64) {
        let sizes = self.engine().stats().batch_size;
        (sizes.count - 1, sizes.sum - 1)
    }

    fn available(&self) -> String {
        let key = drawdown::AccountKey::new("acme".parse().unwrap(), "user:u1".parse().unwrap(), "credit".parse().unwrap());
        assert!(self.engine().verify().unwrap().is_clean());
        self.engine().balance(&key).unwrap().available.to_string()
    }
}

fn command(rest: &str) -> Command {
    Command::from_json(&format!(r#"{{"tenant_id": "acme", {rest}}}"#)).unwrap()
}

fn charge(amount: &str, rest: &str) -> Command {
    command(&format!(r#""command": "charge", "payer": "user:u1", "amount": "{amount}"{rest}"#))
}

fn names(outcomes: &[Result<Receipt, Failure>]) -> Vec<String> {
    let name = |outcome: &Result<Receipt, Failure>| match outcome {
        Ok(receipt) => receipt.to_json()["balance_after"].as_str().unwrap().to_owned(),
        Err(Failure::Denied(denial)) => denial.name().to_owned(),
        Err(Failure::Failed(error)) => error.to_string(),
    };
    outcomes.iter().map(name).collect()
}

#[test]
fn what_comes_before_the_commit_is_committed_with_it() {
    let desk = Desk::new();
    desk.meanwhile(vec![charge("2", ""), charge("8", "")]).meanwhile(vec![charge("3", "")]);
    assert_eq!(names(&desk.submit(charge("1", ""))), ["9", "7", "insufficient_balance", "4"]);
    assert_eq!(desk.batches(), (1, 4));
    assert_eq!(desk.available(), "4");
}

#[test]
fn a_key_is_used_once_also_by_what_comes_meanwhile() {
    let desk = Desk::new();
    // Keys are presumed to be new once many batches had none that was used before.
    (0..70).for_each(|number| drop(desk.engine().run(charge("0.01", &format!(r#", "idempotency_key": "k{number}""#))).unwrap()));
    let keyed = r#", "idempotency_key": "same""#;
    desk.meanwhile(vec![charge("1", keyed), charge("2", keyed)]);
    let outcomes = desk.submit(charge("1", keyed));
    assert_eq!(names(&outcomes), ["8.3", "8.3", "idempotency_conflict"]);
    assert_eq!(outcomes.iter().flatten().map(|receipt| receipt.idempotent_replay).collect::<Vec<_>>(), [false, true]);
    assert_eq!(desk.available(), "8.3");
}

#[test]
fn a_refusal_is_told_once_also_by_what_comes_meanwhile() {
    let desk = Desk::new();
    desk.engine().run(command(r#""command": "block", "target": {"user": "u1"}, "operator": "ops", "reason": "abuse""#)).unwrap();
    desk.meanwhile(vec![charge("1", ""), charge("2", "")]);
    assert_eq!(names(&desk.submit(charge("3", ""))), ["blocked"; 3]);
    // By now it is known, and only counted.
    desk.meanwhile(vec![charge("1", ""), charge("2", "")]);
    assert_eq!(names(&desk.submit(charge("3", ""))), ["blocked"; 3]);
    desk.engine().flush_audit().unwrap();
    let page = desk.engine().audit_records(&AuditQuery::new("acme".parse().unwrap())).unwrap();
    let refusals = page.audited.iter().filter_map(|(_, audited)| match audited {
        Audited::Record(record) if record.kind == AuditKind::Refusal => Some(record.count),
        _ => None,
    });
    let counts: Vec<_> = refusals.collect();
    assert_eq!(counts, [6]);
}

#[test]
fn a_batch_that_has_grown_takes_effect_once_whatever_fails() {
    for when in When::ALL {
        for kind in [StoreErrorKind::Transient, StoreErrorKind::Conflict] {
            let desk = Desk::new();
            desk.faults.plan([Fault { call: desk.faults.calls() + 1, when, kind: kind.clone() }]);
            desk.meanwhile(vec![charge("2", ""), charge("3", "")]);
            let outcomes = desk.submit(charge("1", ""));
            assert!(outcomes.iter().all(Result::is_ok), "{when:?} {kind:?}: {outcomes:?}");
            assert_eq!(desk.available(), if outcomes.len() == 3 { "4" } else { "9" }, "{when:?} {kind:?}");
        }
    }
}

#[test]
fn a_failure_for_good_is_the_culprits_alone() {
    let desk = Desk::new();
    desk.meanwhile(vec![charge("2", "")]);
    let fault = Fault { call: desk.faults.calls() + 1, when: When::Before, kind: StoreErrorKind::Permanent };
    desk.faults.plan([fault]);
    assert!(desk.submit(charge("1", ""))[0].is_err());
    assert_eq!(names(&desk.submit(charge("1", ""))), ["9", "7"]);
}

#[test]
fn no_batch_grows_beyond_its_bound() {
    let desk = Desk::new();
    desk.meanwhile((0..600).map(|_| charge("0.001", "")).collect());
    assert!(desk.submit(charge("1", "")).iter().all(Result::is_ok));
    assert_eq!(desk.engine().stats().batch_size.max, 256);
    assert_eq!(desk.batches().1, 601);
    assert_eq!(desk.available(), "8.4");
}

#[test]
fn a_command_that_comes_meanwhile_and_too_late_is_not_begun() {
    let desk = Desk::new();
    let late = format!(r#", "deadline": "{}""#, desk.engine().now().plus_micros(3_000).unwrap());
    let comes = desk.coming(vec![charge("2", &late)]);
    desk.gate.meanwhile(|| {
        comes();
        std::thread::sleep(std::time::Duration::from_millis(5));
    });
    assert_eq!(names(&desk.submit(charge("1", ""))), ["9", "busy: the command did not begin by its `deadline`"]);
}

#[test]
fn a_batch_of_an_engine_that_closes_is_answered() {
    let desk = Desk::new();
    let engine = Arc::clone(&desk.engine);
    desk.gate.meanwhile(move || {
        let ticket = engine.get().unwrap().submit(charge("2", "")).unwrap();
        // On the engine's own thread it does not wait.
        engine.get().unwrap().close();
        drop(ticket);
    });
    assert_eq!(names(&desk.submit(charge("1", ""))), ["9"]);
}
