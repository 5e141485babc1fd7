//! Plays a script: engines over one store, each with a clock of its own, and an auditor who looks after every act.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use drawdown::store::memory::MemoryStore;
use drawdown::store::sqlite::{SqliteOptions, SqliteStore, Synchronous};
use drawdown::store::{Answer, Query, Store, StoreErrorKind};
use drawdown::testing::fault::{Fault, FaultStore, When};
use drawdown::testing::generate::{START, Wait};
use drawdown::{AccountKey, Context, Engine, ManualClock, OpId, Settle, TenantId, Timestamp};
use fastrand::Rng;

use super::Tally;
use super::auditor::{Answers, Asked, Auditor, Sent, Trouble};
use super::bank::{Act, Blow, CONSUMERS, Order, Stage, WORLDS};
use super::doors::{Doors, Slow, skewed};
use super::followers::Follower;
use super::ledger::feed;
use crate::compare::{policies_in, same, same_tasks, tenant_in};

/// Until when a patient engine tries again: longer than all failures of an act last. An impatient one gives up at the first.
const PATIENCE: Duration = Duration::from_secs(20);
/// Every so many acts, every account is compared.
const ACTS_A_ROUND: usize = 64;

/// Plays a script on its stage; answers how much was done, or what was wrong first.
pub(super) fn play(stage: &Stage, acts: &[Act]) -> Result<Tally, String> {
    let mut world = World::new(stage)?;
    for (number, act) in acts.iter().enumerate() {
        world.act(act).map_err(|why| format!("act {number}: {why}"))?;
        if number % ACTS_A_ROUND == 0 {
            world.look_round().map_err(|why| format!("after act {number}: {why}"))?;
        }
    }
    world.end().map_err(|why| format!("at the end: {why}"))
}

struct World {
    stage: Stage,
    folder: Option<tempfile::TempDir>,
    /// The books themselves, where nothing fails on purpose.
    books: Arc<dyn Store>,
    doors: Arc<Doors>,
    faults: Arc<FaultStore>,
    slow: Arc<Slow>,
    engines: Vec<Site>,
    incarnations: u64,
    time: Timestamp,
    latest: Timestamp,
    begun: HashMap<u32, i64>,
    auditor: Auditor,
    open: Vec<Asked>,
    consumers: Arc<Mutex<Consumers>>,
    followers: Vec<Follower>,
    random: Rng,
    tally: Tally,
}

/// An engine, and its clock.
struct Site {
    engine: Engine,
    clock: Arc<ManualClock>,
    skew: i64,
    patient: bool,
}

/// Those who read the feed, and what one of them found wrong while nobody else could look.
#[derive(Default)]
struct Consumers {
    readers: Vec<Consumer>,
    complaint: Option<String>,
}

#[derive(Default)]
struct Consumer {
    tenant_id: Option<TenantId>,
    cursor: u64,
    read: Vec<OpId>,
}

impl World {
    fn new(stage: &Stage) -> Result<World, String> {
        let folder = if stage.file { Some(tempfile::tempdir().map_err(|error| error.to_string())?) } else { None };
        let memory: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let open = || open_file(folder.as_ref()).map(|file| file.unwrap_or_else(|| Arc::clone(&memory)));
        let books = open()?;
        let doors = Arc::new(Doors::new((0..stage.engines).map(|_| open()).collect::<Result<_, _>>()?));
        let slow = Arc::new(Slow::new(doors.clone()));
        let faults = Arc::new(FaultStore::planned(slow.clone(), []));
        let time = Timestamp::from_micros(START).unwrap_or_default();
        let mut readers: Vec<Consumer> = (0..CONSUMERS).map(|_| Consumer::default()).collect();
        for (world, reader) in readers.iter_mut().skip(2).enumerate() {
            let acme = TenantId::new("acme").map_err(|denial| denial.to_string())?;
            reader.tenant_id = Some(tenant_in(world, &acme));
        }
        let followers = readers.iter().enumerate().map(|(number, reader)| Follower::new(number, reader.tenant_id.clone()));
        let followers = followers.collect::<Result<_, _>>()?;
        let mut world = World {
            stage: stage.clone(),
            folder,
            books,
            doors,
            faults,
            slow,
            engines: Vec::new(),
            incarnations: 0,
            time,
            latest: time,
            begun: HashMap::new(),
            auditor: Auditor::new(policies_in(WORLDS)),
            open: Vec::new(),
            consumers: Arc::new(Mutex::new(Consumers { readers, complaint: None })),
            followers,
            random: Rng::with_seed(stage.seed),
            tally: Tally::default(),
        };
        for number in 0..stage.engines {
            let site = world.site(number % 2 == 0)?;
            world.engines.push(site);
        }
        Ok(world)
    }

    /// Another engine over the same books.
    fn site(&mut self, patient: bool) -> Result<Site, String> {
        let clock = Arc::new(ManualClock::at(self.time));
        let deadline = if patient { PATIENCE } else { Duration::ZERO };
        self.incarnations += 1;
        let seed = self.stage.seed.wrapping_mul(1_000_003).wrapping_add(self.incarnations);
        let builder = Engine::builder().store(self.faults.clone()).clock(clock.clone()).policies(policies_in(WORLDS));
        let engine =
            builder.deadline(deadline).event_retention(Duration::MAX).seed(seed).build().map_err(|error| error.to_string())?;
        Ok(Site { engine, clock, skew: 0, patient })
    }

    fn act(&mut self, act: &Act) -> Result<(), String> {
        let engines = self.engines.len();
        match act {
            Act::Wait(wait) => self.wait(*wait),
            Act::Skew { engine, micros } => self.engines[engine % engines].skew = *micros,
            Act::Send { engine, orders, group, blows, slow } => {
                let asked = self.ask(orders);
                return self.send(engine % engines, &asked, *group, blows, *slow);
            }
            Act::Retry { engine, blows } => {
                if !self.open.is_empty() {
                    let asked = self.open.remove(0);
                    self.tally.retries += 1;
                    return self.send(engine % engines, &[asked], false, blows, false);
                }
            }
            Act::Crash { engine, patient } => return self.crash(engine % engines, *patient),
            Act::Poll { consumer, engine, limit, blows } => return self.poll(*consumer, engine % engines, *limit, blows),
            Act::Sweep { engine, limit } => return self.sweep(engine % engines, *limit),
        }
        Ok(())
    }

    fn wait(&mut self, wait: Wait) {
        let due = self.auditor.model.next_due(self.latest).unwrap_or(self.time);
        self.time = match wait {
            Wait::None => self.time,
            Wait::Micros(micros) => skewed(self.time, micros),
            Wait::ToNextDue => due.max(self.time),
            Wait::BeforeNextDue => skewed(due, -1).max(self.time),
        };
        self.latest = self.latest.max(self.time);
    }

    /// The commands of these orders, with the ids of what was made, and instants counted from when their sequence began.
    fn ask(&mut self, orders: &[Order]) -> Vec<Asked> {
        let whole = 300_000_000;
        let now = (self.time.micros() - START) / whole * whole;
        let asked = orders.iter().map(|order| {
            let begun = *self.begun.entry(order.sequence).or_insert(now);
            let step = order.moved_by(begun);
            let mut command = step.command(|serial| self.auditor.made.get(&serial).copied());
            // The auditor goes by the feed, where what stands was accepted; and its model learns versions from receipts, which a
            // group or a lost reply does not give in time.
            command.context.remember_denials = false;
            command.context.expected_version = None;
            Asked { serial: Some(step.serial), command }
        });
        asked.collect()
    }

    /// Sets the clock of an engine, and lets what is on its way arrive before it begins to write.
    fn begin(&mut self, engine: usize, blows: &[Blow]) -> Result<Timestamp, String> {
        let site = &self.engines[engine];
        site.clock.set(skewed(self.time, site.skew));
        self.doors.enter(engine);
        self.faults.plan([]);
        if self.faults.is_commit_late() {
            // What landed before lands no second time.
            if let Err(error) = self.faults.land()
                && error.kind != StoreErrorKind::Conflict
            {
                return Err(format!("a late commit is refused: {error}"));
            }
            self.auditor.landed(&*self.books)?;
            self.tally.late += 1;
        }
        self.plan(blows);
        Ok(self.engines[engine].engine.now())
    }

    fn send(&mut self, at: usize, asked: &[Asked], group: bool, blows: &[Blow], slow: bool) -> Result<(), String> {
        let clock = self.begin(at, blows)?;
        let together = self.auditor.foresee(asked, clock);
        let meanwhile = slow.then(|| self.meanwhile());
        self.slow.plan(meanwhile);
        let injected = self.faults.injected();
        let commands: Vec<_> = asked.iter().map(|asked| asked.command.clone()).collect();
        let site = &self.engines[at];
        let answers = match <[_; 1]>::try_from(commands) {
            Ok([command]) if !group => Answers::Each(vec![site.engine.run(command)]),
            Ok(command) => Answers::Group(site.engine.execute_all(command.into())),
            Err(commands) if group => Answers::Group(site.engine.execute_all(commands)),
            Err(commands) => Answers::Each(site.engine.execute_many(commands)),
        };
        let trouble = self.trouble(at, injected, blows);
        self.slow.plan(None);
        let open = self.auditor.judge(Sent { asked, clock, together, answers, trouble }, &*self.books)?;
        self.open.extend(open.into_iter().filter(|asked| asked.command.context.idempotency_key.is_some()));
        self.tally.commands += u64::try_from(asked.len()).unwrap_or(0);
        self.after(at)
    }

    fn trouble(&mut self, at: usize, injected: u64, blows: &[Blow]) -> Trouble {
        let new = self.faults.injected() - injected;
        self.tally.faults += new;
        self.faults.plan([]);
        let lost = blows.iter().any(|(_, when, _)| matches!(when, When::After | When::Late));
        Trouble { failed: new > 0, lost, patient: self.engines[at].patient, late: self.faults.is_commit_late() }
    }

    /// What a consumer does while a batch is decided and not committed: it sees nothing of it.
    fn meanwhile(&mut self) -> super::doors::Meanwhile {
        let (consumers, known) = (Arc::clone(&self.consumers), self.auditor.ledger.operations.len());
        let last = self.auditor.ledger.operations.last().map_or(0, |last| last.position);
        let (reader, limit) = (self.random.usize(..CONSUMERS), self.random.usize(1..50));
        self.tally.slow += 1;
        Box::new(move |books| {
            let mut consumers = consumers.lock().unwrap_or_else(PoisonError::into_inner);
            let unseen = feed(books, None, last, 10).and_then(|page| same("seen before it was committed", page.len(), 0));
            let read = unseen.and_then(|()| {
                let reader = &mut consumers.readers[reader];
                let page = feed(books, reader.tenant_id.clone(), reader.cursor, limit)?;
                reader.take(page.iter().map(|stored| (stored.position, stored.operation.op_id)))?;
                same("read more than there is", reader.read.len() > known, false)
            });
            consumers.complaint = consumers.complaint.take().or(read.err());
        })
    }

    /// Compares the accounts of the last commands, and writes down what they have at some instants.
    fn after(&mut self, at: usize) -> Result<(), String> {
        if let Some(complaint) = self.consumers.lock().unwrap_or_else(PoisonError::into_inner).complaint.take() {
            return Err(complaint);
        }
        let touched: Vec<AccountKey> = self.auditor.touched.iter().cloned().collect();
        for key in &touched {
            self.auditor.compare(&self.engines[at].engine, &*self.books, key)?;
            if self.random.u32(..10) == 0 {
                let due = self.auditor.model.next_due(self.latest).unwrap_or(self.time);
                let instants = [self.time, skewed(due, -1), due, skewed(self.time, self.random.i64(..5_000_000_000).abs())];
                self.auditor.remember(key, instants[self.random.usize(..instants.len())]);
            }
        }
        Ok(())
    }

    fn crash(&mut self, at: usize, patient: bool) -> Result<(), String> {
        self.engines[at].engine.close();
        if let Some(file) = open_file(self.folder.as_ref())? {
            self.doors.replace(at, file);
        }
        self.engines[at] = self.site(patient)?;
        self.tally.crashes += 1;
        Ok(())
    }

    fn poll(&mut self, consumer: usize, at: usize, limit: usize, blows: &[Blow]) -> Result<(), String> {
        self.doors.enter(at);
        self.plan(blows);
        let mut consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = &mut consumers.readers[consumer];
        let injected = self.faults.injected();
        let page = self.engines[at].engine.feed(reader.tenant_id.as_ref(), reader.cursor, limit);
        self.tally.polls += 1;
        match page {
            Ok(page) => reader.take(page.iter().map(|stored| (stored.position, stored.operation.op_id)))?,
            Err(_) if self.faults.injected() > injected => {}
            Err(failure) => return Err(format!("the feed cannot be read: {failure}")),
        }
        drop(consumers);
        self.plan(blows);
        let injected = self.faults.injected();
        let failed = || self.faults.injected() > injected;
        self.followers[consumer].poll(&self.engines[at].engine, limit, failed)?;
        self.faults.plan([]);
        Ok(())
    }

    /// Fails the calls to come so.
    fn plan(&self, blows: &[Blow]) {
        let calls = self.faults.calls();
        let fault = |(call, when, kind): &Blow| Fault { call: calls + call, when: *when, kind: kind.clone() };
        self.faults.plan(blows.iter().map(fault));
    }

    /// Every account that is due is settled, each as by a command of its own.
    fn sweep(&mut self, at: usize, limit: usize) -> Result<(), String> {
        let clock = self.begin(at, &[])?;
        let Ok(Answer::DueAccounts(due)) = self.books.query(&Query::DueAccounts(clock, limit)) else {
            return Err("no due accounts".to_owned());
        };
        let asked: Vec<Asked> = due.into_iter().map(settle).collect();
        let together = self.auditor.foresee(&asked, clock);
        let swept = self.engines[at].engine.sweep(limit);
        let behind = together.is_err();
        same("a sweep fails only for clocks", swept.is_err() && !behind, false)?;
        // A sweep tells no answers: what it booked must be what was due.
        let unknown = drawdown::Error::Unknown("a sweep does not say".to_owned());
        let answers = Answers::Each(vec![Err(unknown.into()); asked.len()]);
        let trouble = Trouble { failed: true, lost: true, ..Trouble::default() };
        self.auditor.judge(Sent { asked: &asked, clock, together, answers, trouble }, &*self.books)?;
        self.tally.commands += u64::try_from(asked.len()).unwrap_or(0);
        if let (Ok(report), false) = (swept, behind) {
            same("accounts swept", report.accounts, asked.len())?;
        }
        self.after(at)
    }

    fn look_round(&mut self) -> Result<(), String> {
        let engine = self.random.usize(..self.engines.len());
        self.doors.enter(engine);
        let accounts: Vec<AccountKey> = self.auditor.ledger.accounts().cloned().collect();
        for key in &accounts {
            self.auditor.compare(&self.engines[engine].engine, &*self.books, key)?;
        }
        same_tasks(&self.auditor.model, &self.engines[engine].engine)
    }

    fn end(mut self) -> Result<Tally, String> {
        self.begin(0, &[])?;
        self.look_round()?;
        let engine = &self.engines[0].engine;
        let report = engine.verify().map_err(|error| error.to_string())?;
        if !report.is_clean() {
            return Err(format!("the books part from the ledger: {:?}", report.faults));
        }
        self.auditor.compare_past(engine)?;
        self.auditor.ledger.read_again(&*self.books)?;
        let mut consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner);
        for reader in &mut consumers.readers {
            reader.read_to_the_end(&*self.books, &self.auditor)?;
        }
        for follower in &mut self.followers {
            follower.finish(engine, self.auditor.ledger.operations.iter().map(|stored| &**stored))?;
        }
        self.tally.operations = u64::try_from(self.auditor.ledger.operations.len()).unwrap_or(0);
        self.tally.heads = self.auditor.ledger.heads();
        self.tally.seen = std::mem::take(&mut self.auditor.seen);
        Ok(self.tally)
    }
}

impl Consumer {
    fn take(&mut self, page: impl Iterator<Item = (u64, OpId)>) -> Result<(), String> {
        for (position, op_id) in page {
            same("positions go up", position > self.cursor, true)?;
            self.cursor = position;
            self.read.push(op_id);
        }
        Ok(())
    }

    /// What a consumer saw, page by page, is everything, in order.
    fn read_to_the_end(&mut self, books: &dyn Store, auditor: &Auditor) -> Result<(), String> {
        loop {
            let before = self.read.len();
            let page = feed(books, self.tenant_id.clone(), self.cursor, 100)?;
            self.take(page.iter().map(|stored| (stored.position, stored.operation.op_id)))?;
            if self.read.len() == before {
                break;
            }
        }
        let operations = auditor.ledger.operations.iter().map(|stored| &stored.operation);
        let mine = operations.filter(|operation| self.tenant_id.as_ref().is_none_or(|id| *id == operation.tenant_id));
        let expected: Vec<OpId> = mine.map(|operation| operation.op_id).collect();
        let parts = self.read.iter().zip(&expected).position(|(read, expected)| read != expected);
        same("where a consumer's feed parts from the books", parts, None)?;
        same("operations that a consumer read", self.read.len(), expected.len())
    }
}

/// The books in the file, opened once more; nothing for books in memory.
fn open_file(folder: Option<&tempfile::TempDir>) -> Result<Option<Arc<dyn Store>>, String> {
    let Some(folder) = folder else { return Ok(None) };
    let options = SqliteOptions { synchronous: Synchronous::Normal, readers: 1, ..SqliteOptions::default() };
    let file = SqliteStore::open_with(folder.path().join("books.db"), options).map_err(|error| error.to_string())?;
    Ok(Some(Arc::new(file)))
}

fn settle(account: AccountKey) -> Asked {
    let context = Context::of(account.tenant_id);
    Asked { serial: None, command: context.request(Settle { owner: account.owner, unit: Some(account.unit) }).into_command() }
}
