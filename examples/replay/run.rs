//! Carries the plan out, step by step, and goes on where an earlier run stopped.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use drawdown::ledger::{EntryQuery, EntryScope};
use drawdown::{
    AccountKey, Amount, CaptureHold, Clock, Command, Context, DenialKind, Engine, Failure, HoldId, ManualClock, Metadata, Owner,
    PlaceHold, Receipt, TaskId, Ticket, Timestamp, Unit,
};
use hdrhistogram::Histogram;

use crate::Outcome;
use crate::life::Life;
use crate::plan::{self, Act, Event, Queue};
use crate::prices::{Prices, UNIT};
use crate::trace::Row;

/// How often a command is sent again while the engine is busy, and the pause before each.
const MAX_TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// About how many grants are sent together.
const GRANTS_AT_ONCE: usize = 256;

/// The name under which a note keeps the denial that it stands for.
const DENIAL: &str = "denial";

/// The books, the clock that they are kept by, and the users.
pub(crate) struct Replay {
    pub(crate) engine: Engine,
    pub(crate) accounts: Vec<AccountKey>,
    context: Context,
    clock: Arc<ManualClock>,
    prices: Prices,
    start: Timestamp,
}

/// What happened in this run.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Commands that were answered, in microseconds from their sending.
    pub(crate) latencies: Histogram<u64>,
    /// How long the requests took, without the grants before them and the sweep after them.
    pub(crate) elapsed: Duration,
    pub(crate) steps: usize,
    /// Accepted now.
    pub(crate) executed: u64,
    /// Accepted by an earlier run, and answered again.
    pub(crate) replayed: u64,
    /// Requests refused in this run or an earlier one, by the name of the denial.
    pub(crate) denials: BTreeMap<String, u64>,
}

/// A command under way.
struct Flight {
    queue: Queue,
    event: Event,
    ask: Ask,
    ticket: Ticket,
    sent: Instant,
    tries: u32,
}

/// What a command asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ask {
    Hold,
    /// Notes that the hold was denied; by an earlier run if `before`.
    Note {
        denial: String,
        before: bool,
    },
    Capture(HoldId),
}

impl Replay {
    /// Opens the books at the step where an earlier run stopped, or at the first.
    pub(crate) fn open(db: &Path, first: &Row, users: u32, prices: Prices) -> Outcome<Replay> {
        let start = plan::step_of(first.at)?;
        let clock = Arc::new(ManualClock::at(start));
        let path = db.to_str().ok_or("the path of the books is no UTF-8")?;
        let engine = Engine::builder().url(format!("sqlite://{path}")).clock(Arc::clone(&clock) as Arc<dyn Clock>).build()?;
        let context = Context::tenant("replay")?;
        let account = |user| Ok(AccountKey::new(context.tenant_id.clone(), owner(user)?, Unit::new(UNIT)?));
        let accounts = (0..users).map(account).collect::<Outcome<Vec<_>>>()?;
        Ok(Replay { engine, accounts, context, clock, prices, start })
    }

    /// Does all that the trace asks for, then settles what is due one step after its end.
    pub(crate) fn run(&self, rows: &[Row], in_flight: u32) -> Outcome<Tally> {
        let steps = plan::steps(rows, u32::try_from(self.accounts.len())?)?;
        let end = steps.keys().last().and_then(|last| last.plus_micros(plan::STEP_MICROS)).ok_or("the trace has no end")?;
        let mut run = Run {
            replay: self,
            resumed_at: self.latest_booking()?.unwrap_or(self.start),
            step: self.start,
            open: HashMap::new(),
            tally: Tally {
                latencies: Histogram::new_with_bounds(1, 3_600_000_000, 3)?,
                elapsed: Duration::ZERO,
                steps: steps.len(),
                executed: 0,
                replayed: 0,
                denials: BTreeMap::new(),
            },
        };
        run.begin_step(self.start);
        run.name_run(rows)?;
        run.give_grants()?;
        run.tally.elapsed = run.send_requests(steps, rows.len(), usize::try_from(in_flight)?)?;
        run.begin_step(end);
        let _life = Life::of("settling", None);
        let swept = self.engine.sweep(usize::MAX)?;
        match swept.failed.first() {
            Some((account, why)) => Err(format!("`{}` cannot be settled: {why}", account.owner).into()),
            None => Ok(run.tally),
        }
    }

    /// When anything was last booked. Operations are ordered by when they began, and none of a step begins before the step
    /// before it is complete, so the newest is of the latest step.
    fn latest_booking(&self) -> Outcome<Option<Timestamp>> {
        let newest = EntryQuery { limit: 1, ..EntryQuery::new(EntryScope::Tenant(self.context.tenant_id.clone())) };
        Ok(self.engine.entries(newest)?.entries.first().map(|entry| entry.created_at))
    }
}

fn owner(user: u32) -> Outcome<Owner> {
    Ok(Owner::user(format!("user-{user}"))?)
}

struct Run<'a> {
    replay: &'a Replay,
    /// Where an earlier run stopped: all steps before it are complete.
    resumed_at: Timestamp,
    step: Timestamp,
    /// Holds of requests whose work is not done, by line.
    open: HashMap<u64, HoldId>,
    tally: Tally,
}

impl Run<'_> {
    /// Sets the clock. It never stands before what is booked: an earlier run was there.
    fn begin_step(&mut self, step: Timestamp) {
        self.step = step;
        self.replay.clock.set(step.max(self.resumed_at));
    }

    /// Writes down, once, what is replayed: another trace, part of one, number of users, or prices conflict with it.
    fn name_run(&mut self, rows: &[Row]) -> Outcome<()> {
        let users = self.replay.accounts.len();
        let digest = plan::digest(rows, &self.replay.prices.text());
        let note = PlaceHold {
            expire_in: 1,
            reason: Some(format!("replay of {} requests by {users} users, digest {digest:016x}", rows.len()).into()),
            ..PlaceHold::new(owner(0)?, Amount::ZERO)
        };
        let command = self.replay.context.key("run")?.request(note).into_command();
        match self.insist(&command) {
            Ok(receipt) => self.count(&receipt, 0),
            Err(Failure::Denied(_)) => Err("the books belong to another trace, part of a trace, number of users, or prices".into()),
            Err(failure) => Err(failure.into()),
        }
    }

    fn give_grants(&mut self) -> Outcome<()> {
        let users = self.replay.accounts.len();
        let life = Life::of("granting", Some(users));
        let mut commands = Vec::with_capacity(GRANTS_AT_ONCE);
        for user in 0..u32::try_from(users)? {
            for grant in plan::grants_of(user, &owner(user)?, self.replay.start)? {
                let key = format!("user-{user}/{}", grant.grant_type);
                commands.push(self.replay.context.key(&key)?.request(grant).into_command());
            }
            if commands.len() >= GRANTS_AT_ONCE {
                self.insist_on_all(std::mem::take(&mut commands))?;
            }
            life.advance();
        }
        self.insist_on_all(commands)
    }

    /// Sends commands together, and those again for which the engine is busy.
    fn insist_on_all(&mut self, mut commands: Vec<Command>) -> Outcome<()> {
        for tries in 1..=MAX_TRIES {
            let answers = self.replay.engine.execute_many(commands.clone());
            let mut again = Vec::new();
            for (command, answer) in commands.into_iter().zip(answers) {
                match answer {
                    Ok(receipt) => self.count(&receipt, 0)?,
                    Err(Failure::Failed(error)) if error.retryable() && tries < MAX_TRIES => again.push(command),
                    Err(failure) => return Err(format!("a grant: {failure}").into()),
                }
            }
            if again.is_empty() {
                break;
            }
            thread::sleep(PAUSE);
            commands = again;
        }
        Ok(())
    }

    /// Carries out all steps, and says how long it took.
    fn send_requests(&mut self, steps: BTreeMap<Timestamp, Vec<Queue>>, requests: usize, in_flight: usize) -> Outcome<Duration> {
        let life = Life::of("replaying", Some(requests));
        let began = Instant::now();
        for (step, queues) in steps {
            self.begin_step(step);
            self.finish_step(queues, in_flight, &life)?;
        }
        Ok(began.elapsed())
    }

    /// Sends a command again while the engine is busy.
    fn insist(&self, command: &Command) -> Result<Receipt, Failure> {
        for _ in 1..MAX_TRIES {
            match self.replay.engine.run(command.clone()) {
                Err(Failure::Failed(error)) if error.retryable() => thread::sleep(PAUSE),
                outcome => return outcome,
            }
        }
        self.replay.engine.run(command.clone())
    }

    /// Carries out what the users do in one step: at most one command of each at a time, at most `in_flight` in all.
    /// Everything is durable when it returns.
    fn finish_step(&mut self, queues: Vec<Queue>, in_flight: usize, life: &Life) -> Outcome<()> {
        let mut waiting = VecDeque::from(queues);
        let mut flying = VecDeque::with_capacity(in_flight);
        loop {
            while flying.len() < in_flight {
                let Some(mut queue) = waiting.pop_front() else { break };
                let Some(event) = queue.events.pop_front() else { continue };
                match self.ask(event) {
                    Some(ask) => flying.push_back(self.send(queue, event, ask, 1)?),
                    None => waiting.push_back(queue),
                }
            }
            // Commands are answered in about the order in which they were sent.
            let Some(flight) = flying.pop_front() else { return Ok(()) };
            match self.land(flight, life)? {
                Landed::Again(flight) => flying.push_back(*flight),
                Landed::Done(queue) => waiting.push_back(queue),
            }
        }
    }

    /// What an event asks for; nothing to finish for a request that was refused.
    fn ask(&self, event: Event) -> Option<Ask> {
        match event.act {
            Act::Begin => Some(Ask::Hold),
            Act::Finish => self.open.get(&event.row.line).copied().map(Ask::Capture),
        }
    }

    fn send(&self, queue: Queue, event: Event, ask: Ask, tries: u32) -> Outcome<Flight> {
        let command = self.command(queue.user, &event.row, &ask)?;
        let sent = Instant::now();
        let ticket = self.replay.engine.submit(command)?;
        Ok(Flight { queue, event, ask, ticket, sent, tries })
    }

    fn command(&self, user: u32, row: &Row, ask: &Ask) -> Outcome<Command> {
        let context = &self.replay.context;
        // The hold and the note that it was denied contend for one key: only one of them can ever be booked.
        let hold_key = format!("row-{}", row.line);
        Ok(match ask {
            Ask::Hold => {
                let hold = PlaceHold {
                    task_id: Some(TaskId::new(format!("request-{}", row.line))?),
                    expire_in: plan::hold_seconds(row),
                    price_basis: Some(self.replay.prices.basis().clone()),
                    ..PlaceHold::new(owner(user)?, self.replay.prices.upper_bound(row)?)
                };
                context.key(hold_key)?.request(hold).into_command()
            }
            Ask::Note { denial, .. } => {
                // Metadata is no part of a command's fingerprint: a later run replays the note without knowing the name.
                let metadata = Metadata::from_iter([(DENIAL.to_owned(), denial.as_str().into())]);
                let note = PlaceHold {
                    expire_in: 1,
                    reason: Some(Arc::from("the request was refused")),
                    metadata: Some(metadata),
                    ..PlaceHold::new(owner(user)?, Amount::ZERO)
                };
                context.key(hold_key)?.request(note).into_command()
            }
            Ask::Capture(hold_id) => {
                let capture = CaptureHold::new(*hold_id, self.replay.prices.cost(row)?);
                context.key(format!("row-{}/capture", row.line))?.request(capture).into_command()
            }
        })
    }

    /// Waits for a command, and says what comes next for its user.
    fn land(&mut self, flight: Flight, life: &Life) -> Outcome<Landed> {
        let Flight { queue, event, ask, ticket, sent, tries } = flight;
        let outcome = ticket.wait();
        let line = event.row.line;
        if let Err(Failure::Failed(error)) = &outcome {
            if !error.retryable() || tries >= MAX_TRIES {
                return Err(format!("line {line}: {error}").into());
            }
            thread::sleep(PAUSE);
            return Ok(Landed::Again(Box::new(self.send(queue, event, ask, tries + 1)?)));
        }
        self.tally.latencies.saturating_record(u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX));
        match (ask, outcome) {
            (Ask::Hold, Ok(receipt)) => {
                self.count(&receipt, line)?;
                self.open.insert(line, receipt.of::<PlaceHold>().ok_or("a hold is answered by its receipt")?.hold_id);
            }
            (Ask::Hold, Err(failure)) => {
                let denial = failure.denial().ok_or("a failure that is no denial")?;
                let before = denial.kind() == DenialKind::IdempotencyConflict;
                let note = Ask::Note { denial: denial.name().to_owned(), before };
                return Ok(Landed::Again(Box::new(self.send(queue, event, note, 1)?)));
            }
            (Ask::Note { before, .. }, Ok(receipt)) => {
                if before != receipt.idempotent_replay {
                    return Err(format!("line {line}: its refusal and the note of it contradict each other").into());
                }
                self.count(&receipt, line)?;
                *self.tally.denials.entry(noted(&receipt).ok_or("a note without the name of a denial")?).or_default() += 1;
                life.advance();
            }
            (Ask::Capture(_), Ok(receipt)) => {
                self.count(&receipt, line)?;
                self.open.remove(&line);
                life.advance();
            }
            (_, Err(failure)) => return Err(format!("line {line}: {failure}").into()),
        }
        Ok(Landed::Done(queue))
    }

    fn count(&mut self, receipt: &Receipt, line: u64) -> Outcome<()> {
        if receipt.idempotent_replay {
            self.tally.replayed += 1;
        } else if self.step < self.resumed_at {
            return Err(format!("line {line} was missing in the books although later steps are booked").into());
        } else {
            self.tally.executed += 1;
        }
        Ok(())
    }
}

/// What became of a command under way.
enum Landed {
    /// Its user sends the same or a following command for the same request.
    Again(Box<Flight>),
    /// Its user goes on to the next request.
    Done(Queue),
}

/// The denial that a note stands for.
fn noted(receipt: &Receipt) -> Option<String> {
    let metadata = receipt.entries().last()?.text.metadata.as_ref()?;
    metadata.get(DENIAL)?.as_str().map(str::to_owned)
}
