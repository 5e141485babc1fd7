//! How an engine is put together.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::commit::Bench;
use super::lane::Lane;
use super::pause::Pause;
use super::refusals::{Desk, Refusals};
use super::stats::{Outcomes, Work};
use super::trail::Trail;
use super::watch::{self, Watch};
use super::{Engine, Inner};
use crate::credit::Policies;
use crate::error::Error;
use crate::id::TemplateId;
use crate::pricing::PriceBooks;
use crate::risk::Meter;
use crate::store::Store;
use crate::store::memory::MemoryStore;
use crate::time::{Clock, SystemClock};

/// How long a command is tried again after contention or a lost connection.
const DEADLINE: Duration = Duration::from_secs(10);
/// The longest deadline: a day. What is longer can overflow a stopwatch.
const MAX_DEADLINE: Duration = Duration::from_secs(86_400);
/// How far back events are handed out: 30 days.
const EVENT_RETENTION: Duration = Duration::from_secs(30 * 86_400);

/// Puts an [`Engine`] together.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use drawdown::{Engine, ManualClock, Policies, TenantPolicy};
/// let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse()?));
/// let policies = Policies::new(TenantPolicy { grace_days: 30, ..TenantPolicy::default() });
/// let engine = Engine::builder().url("memory://").clock(clock).policies(policies).build()?;
/// assert_eq!(engine.now().to_string(), "2026-01-01T00:00:00.000000Z");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
#[must_use]
pub struct EngineBuilder {
    store: Option<Arc<dyn Store>>,
    url: Option<String>,
    clock: Option<Arc<dyn Clock>>,
    policies: Policies,
    prices: PriceBooks,
    templates: Option<Arc<BTreeSet<TemplateId>>>,
    deadline: Option<Duration>,
    event_retention: Option<Duration>,
    event_look: Option<Duration>,
    seed: Option<u64>,
}

impl EngineBuilder {
    /// Keeps the books in this store. Goes before an address.
    pub fn store(self, store: Arc<dyn Store>) -> EngineBuilder {
        EngineBuilder { store: Some(store), ..self }
    }

    /// Keeps the books at this address, as [`Engine::open`] reads it. In memory if neither is given.
    pub fn url(self, url: impl Into<String>) -> EngineBuilder {
        EngineBuilder { url: Some(url.into()), ..self }
    }

    /// Reads the present here. The operating system's clock by default.
    pub fn clock(self, clock: Arc<dyn Clock>) -> EngineBuilder {
        EngineBuilder { clock: Some(clock), ..self }
    }

    /// Decides by these policies.
    pub fn policies(self, policies: Policies) -> EngineBuilder {
        EngineBuilder { policies, ..self }
    }

    /// Estimates by these price books. Without any, there is no price.
    pub fn prices(self, prices: PriceBooks) -> EngineBuilder {
        EngineBuilder { prices, ..self }
    }

    /// The templates that exist, where licences are concerned: any other is `template_not_found`. Without this, whatever is named
    /// exists. A policy that says it itself goes before.
    pub fn templates(self, templates: impl IntoIterator<Item = TemplateId>) -> EngineBuilder {
        EngineBuilder { templates: Some(Arc::new(templates.into_iter().collect())), ..self }
    }

    /// How long a command is tried again after contention or a lost connection: 10 seconds by default, a day at most.
    pub fn deadline(self, deadline: Duration) -> EngineBuilder {
        EngineBuilder { deadline: Some(deadline), ..self }
    }

    /// How far back events are handed out: 30 days by default, [`Duration::MAX`] for all that there are. An older cursor is
    /// `cursor_expired`; the operations that events are of are kept for ever.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use drawdown::event::{EventCursor, EventQuery};
    /// use drawdown::{Context, Engine, GrantCredit, GrantType, ManualClock, Owner};
    /// let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse()?));
    /// let engine = Engine::builder().clock(clock.clone()).event_retention(Duration::from_secs(86_400)).build()?;
    /// let grant = GrantCredit::new(Owner::user("u1")?, GrantType::Purchased, "10".parse()?);
    /// engine.execute(Context::tenant("acme")?.request(grant))?;
    /// let query = EventQuery::default().after(EventCursor::BEGINNING);
    /// assert_eq!(engine.events(&query)?.events.len(), 1);
    /// clock.advance_seconds(2 * 86_400);
    /// assert_eq!(engine.events(&query).unwrap_err().denial().unwrap().name(), "cursor_expired");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn event_retention(self, retention: Duration) -> EngineBuilder {
        EngineBuilder { event_retention: Some(retention), ..self }
    }

    /// How often those who wait for events look for commits of other processes and of transactions of the host: 250 ms by
    /// default, a millisecond at least. Commits of this engine wake them at once.
    pub fn event_look(self, interval: Duration) -> EngineBuilder {
        EngineBuilder { event_look: Some(interval), ..self }
    }

    /// Draws the random bits of ids and pauses from this seed, for simulations that can be repeated. Two engines of one seed
    /// make the same ids.
    #[cfg(feature = "testing")]
    pub fn seed(self, seed: u64) -> EngineBuilder {
        EngineBuilder { seed: Some(seed), ..self }
    }

    /// Opens the store, and the engine over it.
    ///
    /// # Errors
    /// [`Error::Store`] when the address names no store, or the store cannot be opened.
    pub fn build(mut self) -> Result<Engine, Error> {
        let store = match (self.store.take(), self.url.take()) {
            (Some(store), _) => store,
            (None, Some(url)) => open(&url, self.patience())?,
            (None, None) => return Ok(self.build_in_memory()),
        };
        Ok(self.build_over(store))
    }

    pub(super) fn build_in_memory(self) -> Engine {
        self.build_over(Arc::new(MemoryStore::new()))
    }

    fn patience(&self) -> Duration {
        self.deadline.unwrap_or(DEADLINE).min(MAX_DEADLINE)
    }

    fn build_over(self, store: Arc<dyn Store>) -> Engine {
        let deadline = self.patience();
        let clock: Arc<dyn Clock> = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let retention = self.event_retention.unwrap_or(EVENT_RETENTION);
        let refusals = Arc::new(Refusals::default());
        let trail = Trail::new(Desk { store: Arc::clone(&store), clock: Arc::clone(&clock), refusals: Arc::clone(&refusals) });
        let lane = Lane::new(Bench {
            store,
            clock,
            pause: self.seed.map_or_else(Pause::new, Pause::seeded),
            work: Work::default(),
            watch: Arc::new(Watch::new(self.event_look.unwrap_or(watch::LOOK), deadline)),
            event_retention_micros: i64::try_from(retention.as_micros()).unwrap_or(i64::MAX),
            refusals,
            trail,
        });
        let policies = match &self.templates {
            Some(templates) => self.policies.templates(templates),
            None => self.policies,
        };
        let outcomes = || Arc::new(Outcomes::new());
        let prices = self.prices;
        let (commands, staged) = (outcomes(), outcomes());
        let (estimates, checks) = (Meter::new("estimates_per_minute"), Meter::new("checks_per_minute"));
        Engine { inner: Arc::new(Inner { lane, commands, staged, policies, prices, estimates, checks, deadline }) }
    }
}

/// The store at an address. An address can hold a password, so an error repeats its scheme alone.
fn open(url: &str, deadline: Duration) -> Result<Arc<dyn Store>, Error> {
    const ALLOWED: &str = "`sqlite:///absolute/path.db`, `sqlite://relative.db`, a path that ends in `.db`, or `memory://`";
    match url.split_once("://") {
        Some(("sqlite", path)) if path.contains(['?', '#']) => {
            Err(Error::Store("an address of SQLite has no options: what follows `sqlite://` is the path".to_owned()))
        }
        Some(("memory", "")) => Ok(Arc::new(MemoryStore::new())),
        Some(("sqlite", path)) if !path.is_empty() => open_sqlite(path, deadline),
        None if has_scheme(url) => Err(Error::Store(format!("the address has no `//` after its scheme: it is one of {ALLOWED}"))),
        None if url.len() > 3 && url.ends_with(".db") => open_sqlite(url, deadline),
        Some((scheme @ ("memory" | "sqlite"), _)) => {
            Err(Error::Store(format!("an address that begins with `{scheme}://` goes on otherwise: it is one of {ALLOWED}")))
        }
        Some((scheme, _)) => Err(Error::Store(format!("no store is called `{scheme}`: an address is one of {ALLOWED}"))),
        None => Err(Error::Store(format!("the address names no store: it is one of {ALLOWED}"))),
    }
}

/// Whether a path begins like an address (`sqlite:app.db`). One letter is the drive of a Windows path.
fn has_scheme(path: &str) -> bool {
    let letters = |scheme: &str| scheme.len() > 1 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    path.split_once(':').is_some_and(|(scheme, _)| letters(scheme))
}

#[cfg(feature = "sqlite")]
fn open_sqlite(path: &str, deadline: Duration) -> Result<Arc<dyn Store>, Error> {
    use crate::store::sqlite::{SqliteOptions, SqliteStore};
    // A locked file is given up when the command is.
    let options = SqliteOptions { deadline, ..SqliteOptions::default() };
    Ok(Arc::new(SqliteStore::open_with(path, options)?))
}

#[cfg(not(feature = "sqlite"))]
fn open_sqlite(_path: &str, _deadline: Duration) -> Result<Arc<dyn Store>, Error> {
    Err(Error::Store("this build has no SQLite: its feature `sqlite` is off".to_owned()))
}
