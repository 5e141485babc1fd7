//! The engine: the only loop over a store.
//!
//! A command is checked and named (`job`), waits in a queue or runs in place (`lane`), is decided and committed with
//! whatever else has queued (`commit`), and is answered through its ticket (`ticket`). Reads (`reads`) ask the store
//! and settle what they get. Events (`events`) are read from the feed; one thread reads for all who wait for them (`watch`). A
//! transaction of the host has a door of its own (`join`).

mod audit;
mod builder;
mod checkpoint;
mod commit;
mod erase;
mod estimate;
mod events;
mod forget;
mod health;
mod job;
#[cfg(feature = "sqlite")]
mod join;
mod lane;
mod licences;
mod members;
mod pause;
mod preview;
mod reads;
mod record;
mod refusals;
mod slot;
mod spent;
mod stats;
mod sweep;
mod tasks;
mod ticket;
mod trace;
mod trail;
mod verify;
mod verify_audit;
mod verify_tasks;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use builder::EngineBuilder;
pub use erase::EraseReport;
pub use events::EventTicket;
pub use forget::ForgetReport;
pub use health::{Health, HealthReason, HealthStatus};
#[cfg(feature = "sqlite")]
pub use join::{Joined, Pending};
pub use licences::LicencePage;
pub use members::{MemberPage, MemberUse};
pub use reads::Balance;
pub use stats::{CommandStats, Distribution, EngineStats};
pub use sweep::SweepReport;
pub use tasks::TaskPage;
pub use ticket::Ticket;

use crate::command::{Command, Operate, Receipt, Request};
use crate::credit::{Policies, TenantPolicy};
use crate::denial::{Denial, DenialKind};
use crate::error::{Error, Failure};
use crate::id::TenantId;
use crate::pricing::PriceBooks;
use crate::risk::Meter;
use crate::time::Timestamp;
use job::{Job, Prepared, late};
use lane::{Lane, MAX_BATCH};
use stats::Outcomes;

/// The credits engine over one store.
///
/// Cheap to clone; every clone is the same engine. Commands of many threads are committed together, each takes effect at most
/// once, and each is answered. Dropping the last clone closes the engine.
///
/// # Examples
/// ```
/// use drawdown::{AccountKey, Context, Engine, GrantCredit, GrantType, Owner, PlaceHold};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let user = Owner::user("u1")?;
/// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
/// let balance = engine.balance(&AccountKey::new("acme".parse()?, user.clone(), "credit".parse()?))?;
/// assert_eq!(balance.available.to_string(), "10");
/// let refused = engine.execute(acme.request(PlaceHold::new(user, "11".parse()?))).unwrap_err();
/// assert_eq!(refused.denial().unwrap().name(), "insufficient_balance");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    lane: Arc<Lane>,
    /// How the commands of the first door ended.
    commands: Arc<Outcomes>,
    /// How those ended that were staged in transactions of the host.
    staged: Arc<Outcomes>,
    policies: Policies,
    prices: PriceBooks,
    /// How many estimates were asked for lately.
    estimates: Meter,
    /// How many licence checks.
    checks: Meter,
    deadline: Duration,
}

impl Inner {
    /// The lane first: what it refuses is the trailing writer's to keep.
    fn close(&self) {
        self.lane.close();
        self.lane.bench.trail.close();
        if self.lane.check_process().is_ok() {
            self.lane.bench.watch.close();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// Why a group of commands was not accepted. None of them took effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct GroupFailure {
    /// The command that was not accepted, from 0; none when no single one is to blame.
    pub index: Option<usize>,
    /// Why.
    pub failure: Failure,
}

impl Engine {
    /// An engine whose books are in memory and end with it.
    #[must_use]
    pub fn in_memory() -> Engine {
        EngineBuilder::default().build_in_memory()
    }

    /// The engine whose books are at this address: `sqlite:///absolute/path.db`, `sqlite://relative.db`, a path that ends in
    /// `.db`, or `memory://`.
    ///
    /// # Errors
    /// [`Error::Store`] when the address names no store, or the store cannot be opened.
    pub fn open(url: &str) -> Result<Engine, Error> {
        EngineBuilder::default().url(url).build()
    }

    /// An engine with a store, a clock or policies of its own.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// Executes a command, and waits for its typed receipt.
    ///
    /// # Errors
    /// [`Failure::Denied`] when the rules refuse it: nothing changed. [`Failure::Failed`] when the machinery failed.
    pub fn execute<B: Operate>(&self, request: Request<B>) -> Result<B::Receipt, Failure> {
        typed::<B>(&self.run(request.into_command())?)
    }

    /// Executes a command of any kind, and waits for its receipt.
    ///
    /// # Errors
    /// As [`Engine::execute`].
    pub fn run(&self, command: Command) -> Result<Receipt, Failure> {
        let (job, ticket) = self.job(command, &self.inner.commands)?;
        self.inner.lane.run_or_queue(vec![job], None)?;
        ticket.wait()
    }

    /// Queues a command, and promises its answer. It is executed even if the ticket is dropped.
    ///
    /// # Errors
    /// A denial of its shape, at once; [`Error::Busy`] when too many commands wait; [`Error::Closed`].
    ///
    /// # Examples
    /// ```
    /// use drawdown::{AccountKey, Charge, Context, Engine, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let user = Owner::user("u1")?;
    /// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
    /// let submit = |amount: &str| {
    ///     let charge = Charge::new(user.clone(), amount.parse()?);
    ///     engine.submit(acme.request(charge).into_command())
    /// };
    /// let tickets = [submit("1")?, submit("2")?]; // in async code: `submit("1")?.await`
    /// for ticket in tickets {
    ///     ticket.wait()?;
    /// }
    /// assert_eq!(submit("0").unwrap_err().denial().unwrap().name(), "amount_invalid"); // before it waits
    /// assert_eq!(submit("8")?.wait().unwrap_err().denial().unwrap().name(), "insufficient_balance");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn submit(&self, command: Command) -> Result<Ticket, Failure> {
        let (mut job, ticket) = self.job(command, &self.inner.commands)?;
        job.forget_needs();
        self.inner.lane.queue(job)?;
        Ok(ticket)
    }

    /// Executes any number of commands in this order, 256 at a time; each is accepted or refused by itself.
    ///
    /// The answers stand in the order of the commands. When the queue stays full until the deadline, or the engine is closed, what
    /// follows is not begun.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Charge, Context, Engine, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let user = Owner::user("u1")?;
    /// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
    /// let charges = ["4", "20", "6"].map(|amount| {
    ///     let charge = Charge::new(user.clone(), amount.parse().unwrap());
    ///     acme.request(charge).into_command()
    /// });
    /// let answers = engine.execute_many(charges.to_vec());
    /// assert!(answers[0].is_ok() && answers[2].is_ok());
    /// assert_eq!(answers[1].as_ref().unwrap_err().denial().unwrap().name(), "insufficient_balance");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn execute_many(&self, commands: Vec<Command>) -> Vec<Result<Receipt, Failure>> {
        let total = commands.len();
        let mut answers = Vec::with_capacity(total);
        let mut commands = commands.into_iter();
        while answers.len() < total {
            if let Err(error) = self.execute_chunk(commands.by_ref().take(MAX_BATCH), &mut answers) {
                answers.resize(total, Err(error.into()));
            }
        }
        answers
    }

    /// Executes at most 256 commands as one: all take effect, or none.
    ///
    /// # Errors
    /// [`GroupFailure`] with the first command that was refused; `batch_too_large` above 256.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{AccountKey, Charge, Context, Engine, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let user = Owner::user("u1")?;
    /// let grant = acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)).into_command();
    /// let charge = acme.request(Charge::new(user.clone(), "11".parse()?)).into_command();
    /// let refused = engine.execute_all(vec![grant.clone(), charge]).unwrap_err();
    /// assert_eq!(refused.index, Some(1));
    /// let account = AccountKey::new("acme".parse()?, user, "credit".parse()?);
    /// assert_eq!(engine.balance(&account)?.available.to_string(), "0");
    /// assert_eq!(engine.execute_all(vec![grant])?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn execute_all(&self, commands: Vec<Command>) -> Result<Vec<Receipt>, GroupFailure> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let items = self.prepare_group(commands).inspect_err(|refused| self.inner.commands.note_failure(&refused.failure))?;
        let (job, ticket) = Job::new(items, self.deadline(), &self.inner.commands);
        self.refuse_late(&job)?;
        self.inner.lane.run_or_queue(vec![job], None)?;
        ticket.wait_all()
    }

    /// Takes no more commands, and returns once those that it took are answered, those who wait for events are told, and the audit is
    /// written. Also what dropping the last clone does.
    pub fn close(&self) {
        self.inner.close();
    }

    /// The policy of a tenant.
    #[must_use]
    pub fn policy(&self, tenant_id: &TenantId) -> &TenantPolicy {
        self.inner.policies.of(tenant_id)
    }

    /// The instant by the engine's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.lane.bench.clock.now()
    }

    /// Adds the answers to commands that fit into one batch; or adds nothing, when the lane does not take them.
    fn execute_chunk(
        &self,
        commands: impl Iterator<Item = Command>,
        answers: &mut Vec<Result<Receipt, Failure>>,
    ) -> Result<(), Error> {
        let mut jobs = Vec::with_capacity(MAX_BATCH);
        let mut tickets: Vec<Result<Ticket, Failure>> = Vec::with_capacity(MAX_BATCH);
        for command in commands {
            tickets.push(self.job(command, &self.inner.commands).map(|(mut job, ticket)| {
                job.forget_needs();
                jobs.push(job);
                ticket
            }));
        }
        if !jobs.is_empty() {
            self.inner.lane.run_or_queue(jobs, Some(self.deadline()))?;
        }
        answers.extend(tickets.into_iter().map(|ticket| ticket?.wait()));
        Ok(())
    }

    /// A job of one command, whose end is counted here.
    fn job(&self, command: Command, outcomes: &Arc<Outcomes>) -> Result<(Job, Ticket), Failure> {
        let item = self.prepare(command).map_err(Failure::from).inspect_err(|refused| outcomes.note_failure(refused))?;
        let (job, ticket) = Job::new(vec![item], self.deadline(), outcomes);
        self.refuse_late(&job)?;
        Ok((job, ticket))
    }

    fn prepare_group(&self, commands: Vec<Command>) -> Result<Vec<Prepared>, GroupFailure> {
        if commands.len() > MAX_BATCH {
            return Err(GroupFailure { index: None, failure: too_large(commands.len()).into() });
        }
        let prepare = |(index, command)| self.prepare(command).map_err(|denial| GroupFailure::at(index, denial.into()));
        commands.into_iter().enumerate().map(prepare).collect()
    }

    /// Takes no command that had to begin before now.
    fn refuse_late(&self, job: &Job) -> Result<(), Error> {
        if job.has_deadline() && job.is_late(self.now()) { Err(late()) } else { Ok(()) }
    }

    fn prepare(&self, command: Command) -> Result<Prepared, Denial> {
        let bench = &self.inner.lane.bench;
        let tenant_id = &command.context.tenant_id;
        let policy = Arc::clone(self.inner.policies.of(tenant_id));
        Prepared::new(command, policy, bench.clock.now(), bench.pause.random())
    }

    /// Until when what begins now is tried.
    fn deadline(&self) -> Instant {
        self.inner.lane.bench.pause.now() + self.inner.deadline
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("deadline", &self.inner.deadline).finish_non_exhaustive()
    }
}

impl GroupFailure {
    const fn at(index: usize, failure: Failure) -> GroupFailure {
        GroupFailure { index: Some(index), failure }
    }
}

impl From<Error> for GroupFailure {
    fn from(error: Error) -> GroupFailure {
        GroupFailure { index: None, failure: error.into() }
    }
}

/// The receipt as the kind of command that was asked for.
fn typed<B: Operate>(receipt: &Receipt) -> Result<B::Receipt, Failure> {
    // The operation under a command's id or key has its fingerprint, so its kind: anything else is the store's mistake.
    let wrong = || Error::Corrupt(format!("a command was answered with the receipt of a `{}`", receipt.kind()));
    receipt.of::<B>().ok_or_else(|| wrong().into())
}

fn too_large(given: usize) -> Denial {
    Denial::new(DenialKind::BatchTooLarge, format!("the group has {given} commands, more than {MAX_BATCH}"))
        .with("given", given)
        .with("allowed", MAX_BATCH)
}
