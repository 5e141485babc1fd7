//! Batches that grow, from several engines on one file, by threads and by wakers, while any part of any batch fails: whatever was
//! answered stands in the books, once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use drawdown::audit::AuditRecord;
use drawdown::changes::Changes;
use drawdown::event::{Consumer, EventCursor};
use drawdown::facts::{Facts, Needs};
use drawdown::store::sqlite::SqliteStore;
use drawdown::store::{Answer, Batch, Query, Store, StoreError, StoreErrorKind};
use drawdown::{Clock, Command, Engine, Failure, Receipt, Ticket};

const KEYS: u32 = 400;

/// A store that fails before a batch, in any part of it, and behind its commit.
struct Shaky {
    inner: SqliteStore,
    rng: Mutex<fastrand::Rng>,
    per_mille: AtomicU16,
    /// How often a batch has grown.
    grown: AtomicU64,
}

impl Shaky {
    fn roll(&self) -> Option<u8> {
        let mut rng = self.rng.lock().unwrap();
        (rng.u16(0..1_000) < self.per_mille.load(Ordering::Relaxed)).then(|| rng.u8(0..5))
    }

    fn small(&self, below: u8) -> u8 {
        self.rng.lock().unwrap().u8(0..below)
    }
}

impl Store for Shaky {
    fn run(&self, batch: &mut dyn Batch) -> Result<(), StoreError> {
        let mut shaken = Shaken { batch, store: self, part: 0, fails_in: u8::MAX, twice: 0, panics: false };
        match self.roll() {
            Some(0) => return Err(StoreError::new(StoreErrorKind::Transient, "before")),
            Some(1) => {
                self.inner.run(&mut shaken)?;
                return Err(StoreError { may_have_applied: true, ..StoreError::new(StoreErrorKind::Transient, "lost") });
            }
            Some(2 | 3) => {
                shaken.fails_in = self.small(4);
                shaken.twice = 1 + self.small(2);
            }
            Some(_) => {
                shaken.fails_in = self.small(4);
                shaken.panics = true;
            }
            None => {}
        }
        self.inner.run(&mut shaken)
    }

    fn query(&self, query: &Query) -> Result<Answer, StoreError> {
        match self.roll() {
            Some(0 | 1) => Err(StoreError::new(StoreErrorKind::Transient, "a question")),
            _ => self.inner.query(query),
        }
    }

    fn forget(&self, tenant_id: &drawdown::TenantId, op_ids: &[drawdown::OpId]) -> Result<(), StoreError> {
        self.inner.forget(tenant_id, op_ids)
    }

    fn acknowledge(&self, consumer: &Consumer, cursor: EventCursor) -> Result<EventCursor, StoreError> {
        self.inner.acknowledge(consumer, cursor)
    }

    fn record(&self, records: &[AuditRecord]) -> Result<(), StoreError> {
        self.inner.record(records)
    }
}

struct Shaken<'a> {
    batch: &'a mut dyn Batch,
    store: &'a Shaky,
    part: u8,
    fails_in: u8,
    twice: u8,
    panics: bool,
}

impl Batch for Shaken<'_> {
    fn needs(&self) -> &Needs {
        self.batch.needs()
    }

    fn clock(&self) -> &dyn Clock {
        self.batch.clock()
    }

    fn decide(&mut self, facts: Facts) -> Vec<Changes> {
        let mut changes = self.batch.decide(facts);
        if self.part == self.fails_in {
            assert!(!self.panics, "as planned");
            // Twice the same operation: a conflict when it is written.
            if self.twice > 0 && !changes.is_empty() {
                self.twice -= 1;
                let again = changes[0].clone();
                changes.push(again);
            }
        }
        changes
    }

    fn grow(&mut self) -> bool {
        // For long enough that some come.
        thread::sleep(Duration::from_micros(300));
        let has_grown = self.batch.grow();
        if has_grown {
            self.part += 1;
            self.store.grown.fetch_add(1, Ordering::Relaxed);
        }
        has_grown
    }

    fn restart(&mut self) {
        self.part = 0;
        self.batch.restart();
    }
}

type Answered = (String, Result<Receipt, Failure>);

fn command(rest: &str) -> Command {
    Command::from_json(&format!(r#"{{"tenant_id": "acme", {rest}}}"#)).unwrap()
}

fn granted(user: &str, key: &str) -> Command {
    let rest = format!(r#""owner": "user:{user}", "type": "purchased", "amount": "1", "idempotency_key": "{key}""#);
    command(&format!(r#""command": "grant", {rest}"#))
}

/// What is asked under this key, always the same: some are denied.
fn keyed(number: u32) -> (String, Command) {
    let user = number % 7;
    let key = format!("k{number}");
    let rest = match number % 5 {
        0 => format!(r#""command": "grant", "owner": "user:u{user}", "type": "purchased", "amount": "3""#),
        1 => format!(r#""command": "charge", "payer": "user:u{user}", "amount": "1000000", "remember_denials": true"#),
        2 => format!(r#""command": "hold", "payer": "user:u{user}", "amount": "2", "task_id": "t{number}""#),
        _ => format!(r#""command": "charge", "payer": "user:u{user}", "amount": "1""#),
    };
    (key.clone(), command(&format!(r#"{rest}, "idempotency_key": "{key}""#)))
}

/// A waker that gives another command, on whichever thread it is called.
struct Asks(Engine, Mutex<Option<Command>>);

impl Wake for Asks {
    fn wake(self: Arc<Self>) {
        let Some(command) = self.1.lock().unwrap().take() else { return };
        let _ = self.0.run(command);
    }
}

/// Many in flight from one thread, in order; on an account of its own too, whose entries come in the order of asking.
fn in_flight(engine: &Engine, name: &str, rng: &mut fastrand::Rng) -> Vec<Answered> {
    let mut tickets: Vec<(String, Ticket)> = Vec::new();
    let mut own = Vec::new();
    for number in 0..120 {
        if rng.u8(0..3) == 0 {
            thread::sleep(Duration::from_micros(rng.u64(20..600)));
        }
        if rng.bool() {
            let (key, command) = keyed(rng.u32(0..KEYS));
            let ticket = engine.submit(command).unwrap();
            tickets.push((key, ticket));
        } else {
            let key = format!("{name}-{number}");
            own.push(tickets.len());
            let mut ticket = engine.submit(granted(name, &key)).unwrap();
            if rng.u8(0..8) == 0 {
                let (_, second) = keyed(rng.u32(0..KEYS));
                let bell = Arc::new(Asks(engine.clone(), Mutex::new(Some(second))));
                let waker = Waker::from(bell);
                if let Poll::Ready(answer) = Pin::new(&mut ticket).poll(&mut Context::from_waker(&waker)) {
                    answer.unwrap();
                }
            }
            tickets.push((key, ticket));
        }
    }
    let answers: Vec<Answered> = tickets.into_iter().map(|(key, ticket)| (key, ticket.wait())).collect();
    let balances: Vec<u32> = own
        .iter()
        .filter_map(|at| answers[*at].1.as_ref().ok())
        .map(|receipt| receipt.to_json()["balance_after"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(balances.is_sorted(), "{name}: {balances:?}");
    answers
}

/// Groups, also large ones.
fn groups(engine: &Engine, rng: &mut fastrand::Rng) -> Vec<Answered> {
    let mut answers = Vec::new();
    for _ in 0..6 {
        let size = if rng.bool() { rng.u32(2..12) } else { rng.u32(180..=256) };
        let mut numbers: Vec<u32> = (0..KEYS).filter(|number| number % 5 == 0).collect();
        rng.shuffle(&mut numbers);
        let keyed: Vec<_> = (0..size).map(|at| numbers[at as usize % numbers.len()]).map(keyed).collect();
        let (keys, commands): (Vec<_>, Vec<_>) = keyed.into_iter().unzip();
        let receipts = match engine.execute_all(commands) {
            Ok(receipts) => receipts,
            Err(group) => {
                assert!(is_planned(&group.failure), "{group}");
                continue;
            }
        };
        assert_eq!(receipts.len(), keys.len());
        answers.extend(keys.into_iter().zip(receipts.into_iter().map(Ok)));
    }
    answers
}

fn one_by_one(engine: &Engine, rng: &mut fastrand::Rng) -> Vec<Answered> {
    let one = |_| {
        let (key, command) = keyed(rng.u32(0..KEYS));
        (key, engine.run(command))
    };
    (0..60).map(one).collect()
}

fn is_planned(failure: &Failure) -> bool {
    matches!(failure, Failure::Failed(error) if error.to_string().contains("as planned"))
}

/// How often batches have grown.
fn round(seed: u64, per_mille: u16) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.db");
    let open = |at: u64| {
        let rng = Mutex::new(fastrand::Rng::with_seed(seed * 31 + at));
        let store = Arc::new(Shaky {
            inner: SqliteStore::open(&path).unwrap(),
            rng,
            per_mille: AtomicU16::new(0),
            grown: AtomicU64::new(0),
        });
        let engine =
            Engine::builder().store(Arc::clone(&store) as Arc<dyn Store>).deadline(Duration::from_secs(60)).build().unwrap();
        (store, engine)
    };
    let engines: Vec<_> = (0..2).map(open).collect();
    for (at, (store, engine)) in engines.iter().enumerate() {
        // Once so many batches had no key that was used before, keys are presumed to be new.
        for number in 0..70 {
            engine.run(granted(&format!("warm-{at}"), &format!("warm-{at}-{number}"))).unwrap();
        }
        store.per_mille.store(per_mille, Ordering::Relaxed);
    }
    let answers: Vec<Answered> = thread::scope(|scope| {
        let mut running = Vec::new();
        for (at, (_, engine)) in engines.iter().enumerate() {
            for thread in 0..4 {
                let mut rng = fastrand::Rng::with_seed(seed * 1_000 + at as u64 * 10 + thread);
                running.push(scope.spawn(move || match thread {
                    0 | 1 => in_flight(engine, &format!("own-{at}-{thread}"), &mut rng),
                    2 => groups(engine, &mut rng),
                    _ => one_by_one(engine, &mut rng),
                }));
            }
        }
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut under: HashMap<&String, HashSet<String>> = HashMap::new();
    let mut firsts: HashMap<&String, u32> = HashMap::new();
    for (key, answer) in &answers {
        match answer {
            Ok(receipt) => {
                under.entry(key).or_default().insert(receipt.stored.operation.op_id.to_string());
                *firsts.entry(key).or_default() += u32::from(!receipt.idempotent_replay);
            }
            Err(Failure::Denied(denial)) => {
                assert!(["insufficient_balance", "pre_deduct_already_processed"].contains(&denial.name()), "{key}: {denial:?}")
            }
            Err(failure) if is_planned(failure) => {}
            Err(failure) => panic!("{key}: {failure}"),
        }
    }
    assert!(under.values().all(|ids| ids.len() == 1), "a key has one operation");
    assert!(firsts.values().all(|count| *count <= 1), "a key is answered first once");
    let plain = SqliteStore::open(&path).unwrap();
    let books = Engine::builder().store(Arc::new(plain)).build().unwrap();
    assert!(books.verify().unwrap().is_clean());
    let tenant = "acme".parse().unwrap();
    for (key, ids) in &under {
        let stored = books.operation_by_key(&tenant, &key.parse().unwrap()).unwrap().unwrap();
        assert!(ids.contains(&stored.operation.op_id.to_string()), "{key}");
    }
    engines.iter().map(|(store, _)| store.grown.load(Ordering::Relaxed)).sum()
}

#[test]
fn whatever_fails_each_key_takes_effect_once() {
    let rounds = [(0, 0), (1, 0), (2, 40), (3, 40), (4, 200), (5, 200)];
    let grown: u64 = rounds.into_iter().map(|(seed, per_mille)| round(seed, per_mille)).sum();
    assert!(grown > 0);
}
