//! A store in memory that does what a test tells it, and commands to send through it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use drawdown::audit::AuditRecord;
use drawdown::changes::Changes;
use drawdown::event::{Consumer, EventCursor};
use drawdown::facts::{Facts, Needs};
use drawdown::store::memory::MemoryStore;
use drawdown::store::{Answer, Batch, Query, Store, StoreError, StoreErrorKind};
use drawdown::{AccountKey, Amount, Charge, Clock, Command, Context, Engine, GrantCredit, GrantType, OpId, Owner, TenantId};

/// What the store does with a batch.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Fails before anything is decided.
    Fail(StoreErrorKind),
    /// Loses the connection before the commit reaches the store.
    LoseBefore,
    /// Commits, then loses the connection.
    LoseAfter,
    /// Panics before anything is decided.
    Panic,
    /// Another command took the ids of this batch; then fails in this way.
    Collide(StoreError),
}

/// One call of `run`.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) thread: ThreadId,
    pub(crate) thread_name: Option<String>,
    pub(crate) changes: usize,
}

#[derive(Default)]
pub(crate) struct Scripted {
    inner: MemoryStore,
    acts: Mutex<VecDeque<Act>>,
    forever: Mutex<Option<Act>>,
    culprit: Mutex<Option<AccountKey>>,
    /// So many lookups of operations find nothing.
    pub(crate) blind_lookups: AtomicUsize,
    /// So many queries fail.
    pub(crate) failing_queries: AtomicUsize,
    runs: Mutex<Vec<Run>>,
    shut: Mutex<bool>,
    opened: Condvar,
}

impl Scripted {
    pub(crate) fn new(acts: impl IntoIterator<Item = Act>) -> Arc<Scripted> {
        Arc::new(Scripted { acts: Mutex::new(acts.into_iter().collect()), ..Scripted::default() })
    }

    pub(crate) fn forever(act: Act) -> Arc<Scripted> {
        let store = Scripted::new([]);
        store.act_forever(act);
        store
    }

    /// Does this with the next batch.
    pub(crate) fn act(&self, act: Act) {
        self.acts.lock().unwrap().push_back(act);
    }

    /// Does this with every batch from now on.
    pub(crate) fn act_forever(&self, act: Act) {
        *self.forever.lock().unwrap() = Some(act);
    }

    /// Does what the store does again.
    pub(crate) fn act_never(&self) {
        *self.forever.lock().unwrap() = None;
    }

    /// Fails every batch that touches this account, for good.
    pub(crate) fn blame(&self, account: AccountKey) {
        *self.culprit.lock().unwrap() = Some(account);
    }

    pub(crate) fn engine(self: &Arc<Self>, deadline: Duration) -> Engine {
        Engine::builder().store(Arc::clone(self) as Arc<dyn Store>).deadline(deadline).build().unwrap()
    }

    /// Keeps every batch waiting until the gate opens.
    pub(crate) fn shut_gate(&self) {
        *self.shut.lock().unwrap() = true;
    }

    pub(crate) fn open_gate(&self) {
        *self.shut.lock().unwrap() = false;
        self.opened.notify_all();
    }

    pub(crate) fn runs(&self) -> Vec<Run> {
        self.runs.lock().unwrap().clone()
    }

    /// Waits until so many batches have reached the store.
    pub(crate) fn wait_for_runs(&self, count: usize) {
        while self.runs().len() < count {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn wait_at_gate(&self) {
        let mut shut = self.shut.lock().unwrap();
        while *shut {
            shut = self.opened.wait(shut).unwrap();
        }
    }

    fn next_act(&self, needs: &Needs) -> Option<Act> {
        let blamed = self.culprit.lock().unwrap().as_ref().is_some_and(|culprit| needs.accounts.contains(culprit));
        let scripted = self.acts.lock().unwrap().pop_front().or_else(|| self.forever.lock().unwrap().clone());
        if blamed { Some(Act::Fail(StoreErrorKind::Permanent)) } else { scripted }
    }
}

impl Store for Scripted {
    fn run(&self, batch: &mut dyn Batch) -> Result<(), StoreError> {
        let current = thread::current();
        let run = Run { thread: current.id(), thread_name: current.name().map(str::to_owned), changes: 0 };
        let index = {
            let mut runs = self.runs.lock().unwrap();
            runs.push(run);
            runs.len() - 1
        };
        self.wait_at_gate();
        match self.next_act(batch.needs()) {
            Some(Act::Fail(kind)) => return Err(StoreError::new(kind, "as scripted")),
            Some(Act::LoseBefore) => return Err(lost()),
            Some(Act::Panic) => panic!("as scripted"),
            Some(Act::LoseAfter) => return self.inner.run(batch).and(Err(lost())),
            Some(Act::Collide(error)) => return self.inner.run(&mut Foreign(batch)).and(Err(error)),
            None => {}
        }
        let mut counted = Counted { inner: batch, changes: 0 };
        self.inner.run(&mut counted)?;
        self.runs.lock().unwrap()[index].changes = counted.changes;
        Ok(())
    }

    fn query(&self, query: &Query) -> Result<Answer, StoreError> {
        if take_one(&self.failing_queries) {
            return Err(StoreError::new(StoreErrorKind::Transient, "as scripted"));
        }
        match query {
            Query::Operations(..) if take_one(&self.blind_lookups) => Ok(Answer::Operations(Vec::new())),
            _ => self.inner.query(query),
        }
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

fn take_one(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

pub(crate) fn lost() -> StoreError {
    StoreError { kind: StoreErrorKind::Transient, may_have_applied: true, message: "the connection was lost".to_owned() }
}

/// A batch as if another command had been given its ids.
struct Foreign<'a>(&'a mut dyn Batch);

impl Batch for Foreign<'_> {
    fn needs(&self) -> &Needs {
        self.0.needs()
    }

    fn clock(&self) -> &dyn Clock {
        self.0.clock()
    }

    fn decide(&mut self, facts: Facts) -> Vec<Changes> {
        let mut changes = self.0.decide(facts);
        for changes in &mut changes {
            changes.stored_mut().operation.fingerprint = charge("somebody", "1").fingerprint();
            changes.stored_mut().operation.key = None;
        }
        changes
    }

    fn restart(&mut self) {
        self.0.restart();
    }
}

struct Counted<'a> {
    inner: &'a mut dyn Batch,
    changes: usize,
}

impl Batch for Counted<'_> {
    fn needs(&self) -> &Needs {
        self.inner.needs()
    }

    fn clock(&self) -> &dyn Clock {
        self.inner.clock()
    }

    fn decide(&mut self, facts: Facts) -> Vec<Changes> {
        let changes = self.inner.decide(facts);
        self.changes = changes.len();
        changes
    }

    fn restart(&mut self) {
        self.inner.restart();
    }
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

pub(crate) fn acme() -> Context {
    Context::tenant("acme").unwrap()
}

pub(crate) fn user(name: &str) -> Owner {
    Owner::user(name).unwrap()
}

pub(crate) fn account(name: &str) -> AccountKey {
    AccountKey::new("acme".parse().unwrap(), user(name), "credit".parse().unwrap())
}

pub(crate) fn grant(name: &str, given: &str) -> Command {
    acme().request(GrantCredit::new(user(name), GrantType::Purchased, amount(given))).into_command()
}

pub(crate) fn charge(name: &str, taken: &str) -> Command {
    acme().request(Charge::new(user(name), amount(taken))).into_command()
}

pub(crate) fn keyed(command: Command, key: &str) -> Command {
    Command { context: command.context.key(key).unwrap(), ..command }
}

pub(crate) fn available(engine: &Engine, name: &str) -> String {
    engine.balance(&account(name)).unwrap().available.to_string()
}
