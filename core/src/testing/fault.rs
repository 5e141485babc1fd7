//! A store that fails when it is told to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastrand::Rng;

use crate::audit::{AuditKind, AuditRecord};
use crate::changes::Changes;
use crate::event::{Consumer, EventCursor};
use crate::facts::{Facts, Needs};
use crate::id::{OpId, TenantId};
use crate::store::{Answer, Batch, Query, Store, StoreError, StoreErrorKind};
use crate::testing::scripted::ScriptedBatch;
use crate::time::{Clock, ManualClock};

/// When in a call a store fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum When {
    /// Before anything was done: the connection could not be had, the file was locked.
    Before,
    /// The batch was decided on what the store holds, then all of it was rolled back: the commit was refused, a unique key was
    /// taken. The next try has to decide afresh.
    Inside,
    /// The batch was committed, but the reply was lost: the error says that it may have applied.
    After,
    /// The connection was lost while the commit was on its way: the error says that it may have applied, reads do not see
    /// it, and it lands before the next batch is decided. Only for batches that come one after the other, as those of one
    /// engine do, or of several in one thread.
    Late,
}

impl When {
    /// Every value.
    pub const ALL: [When; 4] = [When::Before, When::Inside, When::After, When::Late];
}

/// A failure to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// At which call of the store, of any kind, from 1.
    pub call: u64,
    /// When in the call.
    pub when: When,
    /// What the store says.
    pub kind: StoreErrorKind,
}

/// Any store, with failures at planned or random calls.
///
/// Of a query, which changes nothing, all moments are alike: it is not answered. An acknowledgement is never late. A store that fails by itself
/// does so unchanged.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use drawdown::store::memory::MemoryStore;
/// use drawdown::store::StoreErrorKind;
/// use drawdown::testing::fault::{Fault, FaultStore, When};
/// use drawdown::{Context, Engine, GrantCredit, GrantType, Owner};
/// let lost_reply = Fault { call: 1, when: When::After, kind: StoreErrorKind::Transient };
/// let store = Arc::new(FaultStore::planned(Arc::new(MemoryStore::new()), [lost_reply]));
/// let engine = Engine::builder().store(store.clone()).build()?;
/// let grant = GrantCredit::new(Owner::Pool, GrantType::Purchased, "10".parse()?);
/// let receipt = engine.execute(Context::tenant("acme")?.request(grant))?;
/// assert_eq!((receipt.balance_after.to_string(), store.injected()), ("10".to_owned(), 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FaultStore {
    inner: Arc<dyn Store>,
    state: Mutex<State>,
}

struct State {
    plan: Plan,
    calls: u64,
    injected: u64,
    /// Commits that are on their way.
    late: Vec<Changes>,
}

enum Plan {
    Listed(Vec<Fault>),
    Random { rng: Rng, per_mille: u16 },
}

impl FaultStore {
    /// A store that fails at these calls.
    #[must_use]
    pub fn planned(inner: Arc<dyn Store>, faults: impl IntoIterator<Item = Fault>) -> FaultStore {
        FaultStore::with(inner, Plan::Listed(faults.into_iter().collect()))
    }

    /// A store of whose calls about so many in a thousand fail, at any moment but [`When::Late`], in a way that trying again can mend. The same
    /// seed fails the same calls in the same way.
    #[must_use]
    pub fn seeded(inner: Arc<dyn Store>, seed: u64, per_mille: u16) -> FaultStore {
        FaultStore::with(inner, Plan::Random { rng: Rng::with_seed(seed), per_mille })
    }

    fn with(inner: Arc<dyn Store>, plan: Plan) -> FaultStore {
        FaultStore { inner, state: Mutex::new(State { plan, calls: 0, injected: 0, late: Vec::new() }) }
    }

    /// Fails at these calls from now on, and at no other.
    pub fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        self.lock().plan = Plan::Listed(faults.into_iter().collect());
    }

    /// Whether a commit is on its way: the connection was lost, and the changes land before the next batch.
    #[must_use]
    pub fn is_commit_late(&self) -> bool {
        !self.lock().late.is_empty()
    }

    /// How many calls there were, failed ones included.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// How many calls were made to fail.
    #[must_use]
    pub fn injected(&self) -> u64 {
        self.lock().injected
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call, and says how it fails.
    fn next(&self) -> Option<(When, StoreErrorKind)> {
        let mut state = self.lock();
        state.calls += 1;
        let call = state.calls;
        let fault = match &mut state.plan {
            Plan::Listed(faults) => {
                let place = faults.iter().position(|fault| fault.call == call);
                place.map(|place| faults.swap_remove(place)).map(|fault| (fault.when, fault.kind))
            }
            Plan::Random { rng, per_mille } => (rng.u16(0..1_000) < *per_mille).then(|| random_fault(rng)),
        };
        state.injected += u64::from(fault.is_some());
        fault
    }
}

impl FaultStore {
    /// Lets a commit that was on its way arrive, as the next batch does. It was decided at its own instant, whatever the clock
    /// says by now.
    ///
    /// # Errors
    /// Those of the store; then the commit is lost.
    pub fn land(&self) -> Result<(), StoreError> {
        let late = std::mem::take(&mut self.lock().late);
        let Some(decided_at) = late.iter().map(|changes| changes.operation().created_at).max() else { return Ok(()) };
        let clock = ManualClock::at(decided_at);
        let accounts = late.iter().filter_map(|changes| changes.account.as_ref()).map(|account| (*account.key).clone()).collect();
        let tasks = late.iter().filter_map(|changes| Some((changes.tenant_id().clone(), changes.task.as_ref()?.0.clone())));
        // A refund changes grants that are open no more: they come only to whoever names them.
        let grants = late.iter().flat_map(|of| of.changed_grants.iter().map(|grant| (of.tenant_id().clone(), grant.id)));
        let needs = Needs { accounts, tasks: tasks.collect(), grants: grants.collect(), ..Needs::default() };
        self.inner.run(&mut ScriptedBatch::new(needs, &clock, |_| late.clone()))
    }
}

impl Store for FaultStore {
    fn run(&self, batch: &mut dyn Batch) -> Result<(), StoreError> {
        self.land()?;
        match self.next() {
            None => self.inner.run(batch),
            Some((When::Before, kind)) => Err(StoreError::new(kind, "a fault before the batch was decided")),
            Some((When::Inside, kind)) => {
                self.inner.run(&mut RolledBack { batch, decided: Vec::new() })?;
                Err(StoreError::new(kind, "a fault after the batch was decided; it was rolled back"))
            }
            Some((When::After, kind)) => {
                self.inner.run(batch)?;
                let lost = StoreError::new(kind, "a fault after the batch was committed; the reply was lost");
                Err(StoreError { may_have_applied: true, ..lost })
            }
            Some((When::Late, kind)) => {
                let mut rolled_back = RolledBack { batch, decided: Vec::new() };
                self.inner.run(&mut rolled_back)?;
                self.lock().late = rolled_back.decided;
                let lost = StoreError::new(kind, "a fault while the batch was committed; the connection was lost");
                Err(StoreError { may_have_applied: true, ..lost })
            }
        }
    }

    fn query(&self, query: &Query) -> Result<Answer, StoreError> {
        match self.next() {
            None => self.inner.query(query),
            Some((_, kind)) => Err(StoreError::new(kind, "a fault before the answer")),
        }
    }

    /// Quotes fail as batches do. What a trailing writer records comes from a thread of its own, so these calls have no number.
    fn record(&self, records: &[AuditRecord]) -> Result<(), StoreError> {
        if !records.iter().any(|record| record.kind == AuditKind::Quote) {
            return self.inner.record(records);
        }
        match self.next() {
            None => self.inner.record(records),
            Some((When::Before | When::Inside, kind)) => Err(StoreError::new(kind, "a fault before anything was recorded")),
            Some((When::After | When::Late, kind)) => {
                self.inner.record(records)?;
                let lost = StoreError::new(kind, "a fault after it was recorded; the reply was lost");
                Err(StoreError { may_have_applied: true, ..lost })
            }
        }
    }

    fn forget(&self, tenant_id: &TenantId, op_ids: &[OpId]) -> Result<(), StoreError> {
        match self.next() {
            None => self.inner.forget(tenant_id, op_ids),
            Some((_, kind)) => Err(StoreError::new(kind, "a fault before anything was forgotten")),
        }
    }

    fn acknowledge(&self, consumer: &Consumer, cursor: EventCursor) -> Result<EventCursor, StoreError> {
        match self.next() {
            None => self.inner.acknowledge(consumer, cursor),
            Some((When::Before | When::Inside, kind)) => Err(StoreError::new(kind, "a fault before anything was acknowledged")),
            Some((When::After | When::Late, kind)) => {
                self.inner.acknowledge(consumer, cursor)?;
                let lost = StoreError::new(kind, "a fault after it was acknowledged; the reply was lost");
                Err(StoreError { may_have_applied: true, ..lost })
            }
        }
    }

    #[cfg(feature = "sqlite")]
    fn sqlite(&self) -> Option<&crate::store::sqlite::SqliteStore> {
        self.inner.sqlite()
    }
}

/// A batch that is decided with everything locked and loaded, and of which nothing is written: what a rollback leaves.
struct RolledBack<'a> {
    batch: &'a mut dyn Batch,
    decided: Vec<Changes>,
}

impl Batch for RolledBack<'_> {
    fn needs(&self) -> &Needs {
        self.batch.needs()
    }

    fn clock(&self) -> &dyn Clock {
        self.batch.clock()
    }

    fn decide(&mut self, facts: Facts) -> Vec<Changes> {
        self.decided = self.batch.decide(facts);
        Vec::new()
    }

    fn restart(&mut self) {
        self.batch.restart();
    }
}

/// A failure that trying again can mend. A conflict is known before the commit, so its reply is never lost.
fn random_fault(rng: &mut Rng) -> (When, StoreErrorKind) {
    match rng.u8(0..4) {
        0 => (When::Before, StoreErrorKind::Transient),
        1 => (When::Inside, StoreErrorKind::Transient),
        2 => (When::Inside, StoreErrorKind::Conflict),
        _ => (When::After, StoreErrorKind::Transient),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TenantId;
    use crate::ledger::OperationKind;
    use crate::owner::{AccountKey, Owner};
    use crate::store::memory::MemoryStore;
    use crate::testing::scripted::Draft;

    /// How often the batch was decided, how it ended, and how many operations there are then.
    fn run_once(store: &FaultStore) -> (u32, Result<(), StoreError>, usize) {
        let key = AccountKey::new(TenantId::new("t").unwrap(), Owner::Pool, "credit".parse().unwrap());
        let clock = ManualClock::default();
        let mut decided = 0;
        let needs = Needs { accounts: vec![key.clone()], ..Needs::default() };
        let outcome = store.run(&mut ScriptedBatch::new(needs, &clock, |facts| {
            decided += 1;
            vec![Draft::of(&facts, &key, OperationKind::Grant).grant("1".parse().unwrap(), None).done()]
        }));
        let Ok(Answer::Feed(feed)) = store.inner.query(&Query::Feed { tenant_id: None, after: 0, limit: 10 }) else {
            panic!("no feed");
        };
        (decided, outcome, feed.len())
    }

    fn failing(when: When) -> FaultStore {
        let fault = Fault { call: 1, when, kind: StoreErrorKind::Permanent };
        FaultStore::planned(Arc::new(MemoryStore::new()), [fault])
    }

    #[test]
    fn a_fault_leaves_what_its_moment_says() {
        for (when, decided, applied) in [(When::Before, 0, 0), (When::Inside, 1, 0), (When::After, 1, 1)] {
            let store = failing(when);
            let (times, outcome, operations) = run_once(&store);
            let error = outcome.unwrap_err();
            assert_eq!((times, operations, error.may_have_applied), (decided, applied, applied == 1), "{when:?}");
            assert_eq!(error.kind, StoreErrorKind::Permanent);
            assert_eq!((store.calls(), store.injected()), (1, 1));
            let (_, outcome, operations) = run_once(&store);
            assert_eq!((outcome, operations), (Ok(()), applied + 1), "a fault happens once");
        }
    }

    #[test]
    fn a_late_commit_lands_before_the_next_batch() {
        let store = failing(When::Late);
        let (times, outcome, operations) = run_once(&store);
        assert_eq!((times, operations, outcome.unwrap_err().may_have_applied), (1, 0, true));
        let (_, outcome, operations) = run_once(&store);
        assert_eq!((outcome, operations), (Ok(()), 2));
    }

    #[test]
    fn a_seed_fails_the_same_calls_again() {
        let outcomes = |seed| {
            let store = FaultStore::seeded(Arc::new(MemoryStore::new()), seed, 500);
            (0..40).map(|_| run_once(&store).1).collect::<Vec<_>>()
        };
        assert_eq!(outcomes(7), outcomes(7));
        assert_ne!(outcomes(7), outcomes(8));
        let failed = outcomes(7).iter().filter(|outcome| outcome.is_err()).count();
        assert!((5..=35).contains(&failed), "{failed} of 40");
    }
}
