//! Reading events: a page that is there, or the next one that will be; and how far a consumer has come.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::Engine;
use super::commit::Bench;
use super::reads::{ask, check_limit};
use super::slot::Slot;
use super::watch::{Found, Watch};
use crate::denial::{Denial, DenialKind};
use crate::error::{Error, Failure};
use crate::event::{Acknowledged, Consumer, EventCursor, EventPage, EventQuery, Start, events_of};
use crate::id::TenantId;
use crate::ledger::StoredOperation;
use crate::store::{Answer, Query};

/// The most operations that are looked at for one page.
const MAX_LOOKED_AT: usize = 1_000;
/// The most that are read at once.
const MAX_READ: usize = 256;
/// For so long past the retention a cursor can still be used, in microseconds: whoever begins at the oldest event has time to
/// read on, and clocks may differ by some seconds.
const GRACE_MICROS: i64 = 60 * 1_000_000;

impl Engine {
    /// Events after a cursor, in order: of one tenant or of all, and of these those that the filter admits. Nothing ever appears
    /// behind a cursor that was handed out. It looks at 1,000 operations at most: a page can be empty although more is to come.
    ///
    /// # Errors
    /// `payload_invalid` for a limit outside 1 to 1,000, or a cursor that these books have not come to; `cursor_expired` when
    /// what follows the cursor is older than [`crate::EngineBuilder::event_retention`], with the `oldest` that can be used.
    ///
    /// # Examples
    /// ```
    /// use drawdown::event::{EventKind, EventQuery};
    /// use drawdown::{Charge, Context, Engine, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let user = Owner::user("u1")?;
    /// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
    /// let page = engine.events(&EventQuery::of_tenant(acme.tenant_id.clone()))?;
    /// assert_eq!((page.events.len(), page.events[0].kind), (1, EventKind::CreditsUpdated));
    ///
    /// engine.execute(acme.request(Charge::new(user, "4".parse()?)))?;
    /// let page = engine.events(&EventQuery::of_tenant(acme.tenant_id.clone()).after(page.next))?;
    /// let event = serde_json::to_value(&page.events[0])?;
    /// assert_eq!((&event["data"]["change"], &event["data"]["balance_after"]), (&"-4".into(), &"6".into()));
    ///
    /// let ahead = EventQuery::default().after("evc1_00000000000000ffffff".parse()?);
    /// assert_eq!(engine.events(&ahead).unwrap_err().denial().unwrap().name(), "payload_invalid");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn events(&self, query: &EventQuery) -> Result<EventPage, Failure> {
        self.check_open()?;
        self.inner.lane.bench.events(query, self.deadline())
    }

    /// The next page that has an event: at once if there is one, else as soon as one is committed. After this long without one,
    /// an empty page, whose `next` says how far it was looked.
    ///
    /// # Errors
    /// As [`Engine::events`]; [`Error::Busy`] when 10,000 wait; [`Error::Closed`] when the engine is closed meanwhile.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use drawdown::event::{EventQuery, Start};
    /// use drawdown::{Context, Engine, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let query = EventQuery { from: Start::Latest, ..EventQuery::of_tenant(acme.tenant_id.clone()) };
    /// let nothing_yet = engine.next_events(&query, Duration::from_millis(1))?;
    /// assert!(nothing_yet.events.is_empty());
    ///
    /// let writer = engine.clone();
    /// let grant = acme.request(GrantCredit::new(Owner::user("u1")?, GrantType::Purchased, "10".parse()?));
    /// let written = std::thread::spawn(move || writer.execute(grant));
    /// let page = engine.next_events(&query.after(nothing_yet.next), Duration::from_secs(10))?;
    /// assert_eq!(page.events.len(), 1);
    /// written.join().unwrap()?;
    ///
    /// engine.close();
    /// assert!(engine.next_events(&EventQuery::default(), Duration::from_secs(10)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next_events(&self, query: &EventQuery, timeout: Duration) -> Result<EventPage, Failure> {
        let mut page = self.events(query)?;
        while page.events.is_empty() && page.more {
            page = self.events(&query.clone().after(page.next))?;
        }
        if page.events.is_empty() { self.enter(query.clone(), page)?.wait(timeout) } else { Ok(page) }
    }

    /// Promises the next page that has an event. The ticket can be awaited in any runtime; whoever drops it waits no more.
    ///
    /// Awaiting reads nothing on the thread of the task. Without a cursor, one is looked up here.
    ///
    /// # Errors
    /// `payload_invalid` for a limit outside 1 to 1,000; [`Error::Busy`] when 10,000 wait; [`Error::Closed`].
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use drawdown::event::{EventQuery, Start};
    /// use drawdown::{Context, Engine, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let query = EventQuery { from: Start::Latest, ..EventQuery::of_tenant(acme.tenant_id.clone()) };
    /// let ticket = engine.await_events(&query)?; // in async code: `engine.await_events(&query)?.await`
    /// engine.execute(acme.request(GrantCredit::new(Owner::user("u1")?, GrantType::Purchased, "10".parse()?)))?;
    /// assert_eq!(ticket.wait(Duration::from_secs(10))?.events.len(), 1);
    ///
    /// let too_many = EventQuery { limit: 1_001, ..query };
    /// assert_eq!(engine.await_events(&too_many).unwrap_err().denial().unwrap().name(), "payload_invalid");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn await_events(&self, query: &EventQuery) -> Result<EventTicket, Failure> {
        self.check_open()?;
        check_limit(query.limit)?;
        let start = self.inner.lane.bench.start_of(query, self.deadline())?;
        self.enter(query.clone(), EventPage::after(start))
    }

    /// How far a consumer has come; none if it never acknowledged anything.
    ///
    /// # Errors
    /// [`Error`] when the store cannot be read.
    ///
    /// # Examples
    /// ```
    /// use drawdown::Engine;
    /// use drawdown::event::{Consumer, EventQuery};
    /// let engine = Engine::in_memory();
    /// let mailer = Consumer::of_host("mailer".parse()?);
    /// let query = EventQuery { after: engine.consumer_position(&mailer)?, ..EventQuery::default() };
    /// let page = engine.events(&query)?; // from where it stands, or from the oldest
    /// engine.acknowledge(&mailer, page.next)?; // once the events have had their effect
    /// assert_eq!(engine.consumer_position(&mailer)?, Some(page.next));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn consumer_position(&self, consumer: &Consumer) -> Result<Option<EventCursor>, Failure> {
        ask!(self, Consumer, Query::Consumer(consumer.clone()))
    }

    /// Keeps that a consumer has come to this cursor. It never goes back: an older cursor changes nothing, and the answer says so.
    /// When this has answered, it is durable.
    ///
    /// # Errors
    /// `payload_invalid` for a cursor that these books have not come to; [`Error`] when the store cannot be written. Acknowledging
    /// again does no harm.
    ///
    /// # Examples
    /// ```
    /// use drawdown::event::{Consumer, EventCursor, EventQuery};
    /// use drawdown::{Context, Engine, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// engine.execute(acme.request(GrantCredit::new(Owner::user("u1")?, GrantType::Purchased, "10".parse()?)))?;
    /// let next = engine.events(&EventQuery::of_tenant(acme.tenant_id.clone()))?.next;
    /// let mailer = Consumer::of_tenant(acme.tenant_id, "mailer".parse()?);
    /// assert!(!engine.acknowledge(&mailer, next)?.is_outdated);
    /// let older = engine.acknowledge(&mailer, EventCursor::BEGINNING)?;
    /// assert_eq!((older.is_outdated, older.position), (true, next));
    ///
    /// let ahead = engine.acknowledge(&mailer, "evc1_00000000000000ffffff".parse()?).unwrap_err();
    /// assert_eq!(ahead.denial().unwrap().name(), "payload_invalid");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn acknowledge(&self, consumer: &Consumer, cursor: EventCursor) -> Result<Acknowledged, Failure> {
        self.check_open()?;
        let (bench, deadline) = (&self.inner.lane.bench, self.deadline());
        bench.refuse_ahead(cursor, deadline)?;
        let position = bench.insist(deadline, || bench.store.acknowledge(consumer, cursor)).map_err(Error::from)?;
        Ok(Acknowledged { position, is_outdated: cursor < position })
    }

    fn enter(&self, query: EventQuery, page: EventPage) -> Result<EventTicket, Failure> {
        let lane = &self.inner.lane;
        let slot = Arc::default();
        let number = Watch::enter(lane, query, page, &slot)?;
        Ok(EventTicket { slot, watch: Arc::clone(&lane.bench.watch), number })
    }
}

/// Promises the next page of events that has one: see [`Engine::await_events`].
///
/// It is a future, tied to no runtime; once there, the answer stays. The waker of a task is called on the engine's thread that
/// serves all who wait for events: it must not wait there itself. Dropping the ticket ends the waiting.
///
/// # Errors
/// The output is as of [`Engine::events`]; [`Error::Closed`] when the engine is closed meanwhile.
#[must_use = "whoever drops it waits no more"]
pub struct EventTicket {
    slot: Arc<Slot<Found>>,
    watch: Arc<Watch>,
    number: u64,
}

impl EventTicket {
    /// Waits at most this long. Without an event in this time: an empty page, whose `next` says how far it was looked.
    ///
    /// # Errors
    /// As of [`Engine::events`]; [`Error::Closed`] when the engine is closed meanwhile.
    pub fn wait(self, timeout: Duration) -> Result<EventPage, Failure> {
        if let Some(found) = self.slot.wait_for(timeout) {
            return found;
        }
        // Whoever is not there any more is just being answered.
        self.watch.leave(self.number).map_or_else(|| self.slot.wait(), Ok)
    }
}

impl Future for EventTicket {
    type Output = Result<EventPage, Failure>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.slot.poll(context)
    }
}

impl Drop for EventTicket {
    fn drop(&mut self) {
        self.watch.leave(self.number);
    }
}

impl fmt::Debug for EventTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventTicket").field("found", &self.slot.get()).finish()
    }
}

impl Bench {
    /// A page of events.
    pub(super) fn events(&self, query: &EventQuery, deadline: Instant) -> Result<EventPage, Failure> {
        check_limit(query.limit)?;
        let start = self.start_of(query, deadline)?;
        let mut page = EventPage::after(start);
        let (mut after, mut size, mut looked_at) = (start.read_after(), query.limit.min(MAX_READ), 0);
        let mut is_first = true;
        loop {
            let read = self.feed(query.tenant_id.as_ref(), after, size, deadline)?;
            for (index, stored) in read.iter().enumerate() {
                let events = events_of(stored);
                if is_first && (stored.position > start.position() || events.iter().any(|event| event.cursor > start)) {
                    is_first = false;
                    self.refuse_expired(query, start, stored, deadline)?;
                }
                page.more = !page.add(query, stored.position, &events) || index + 1 < read.len() || read.len() == size;
                if page.is_full(query) {
                    return Ok(page);
                }
            }
            looked_at += read.len();
            match read.last() {
                Some(last) if read.len() == size && looked_at < MAX_LOOKED_AT => after = last.position,
                Some(_) => return Ok(page),
                None => {
                    page.more = false;
                    return self.refuse_ahead(start, deadline).map(|()| page);
                }
            }
            size = (size * 2).min(MAX_READ);
        }
    }

    /// The cursor that a query begins after.
    pub(super) fn start_of(&self, query: &EventQuery, deadline: Instant) -> Result<EventCursor, Failure> {
        match (query.after, query.from) {
            (Some(cursor), _) => Ok(cursor),
            (None, Start::Latest) => self.last_position(deadline).map(EventCursor::end_of),
            (None, Start::Oldest) => self.oldest(query.tenant_id.as_ref(), deadline),
        }
    }

    /// Operations after a position, in order.
    pub(super) fn feed(
        &self,
        tenant_id: Option<&TenantId>,
        after: u64,
        limit: usize,
        deadline: Instant,
    ) -> Result<Vec<Arc<StoredOperation>>, Failure> {
        match self.ask(&Query::Feed { tenant_id: tenant_id.cloned(), after, limit }, deadline).map_err(Error::from)? {
            Answer::Feed(operations) => Ok(operations),
            _ => Err(another_question()),
        }
    }

    /// The position at which the feed ends now.
    pub(super) fn last_position(&self, deadline: Instant) -> Result<u64, Failure> {
        match self.ask(&Query::LastPosition, deadline).map_err(Error::from)? {
            Answer::LastPosition(position) => Ok(position),
            _ => Err(another_question()),
        }
    }

    /// The oldest cursor after which everything is retained, looked for by halves. Instants of operations that follow one another may
    /// go back by the seconds that clocks differ.
    fn oldest(&self, tenant_id: Option<&TenantId>, deadline: Instant) -> Result<EventCursor, Failure> {
        let since = self.clock.now().micros().saturating_sub(self.event_retention_micros);
        // The position of what follows, if it is too old.
        let too_old = |after: u64| -> Result<Option<u64>, Failure> {
            let next = self.feed(tenant_id, after, 1, deadline)?.pop();
            Ok(next.filter(|stored| stored.operation.created_at.micros() < since).map(|stored| stored.position))
        };
        let Some(first) = too_old(0)? else { return Ok(EventCursor::BEGINNING) };
        // What follows a position before `low` is too old, what follows `high` is not.
        let (mut low, mut high) = (first, self.last_position(deadline)?.max(first));
        while low < high {
            let middle = low + (high - low) / 2;
            match too_old(middle)? {
                Some(position) => low = position,
                None => high = middle,
            }
        }
        Ok(EventCursor::end_of(high))
    }

    /// Refuses a cursor that is followed by an operation which is not retained.
    fn refuse_expired(
        &self,
        query: &EventQuery,
        cursor: EventCursor,
        next: &StoredOperation,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let since = self.clock.now().micros().saturating_sub(self.event_retention_micros).saturating_sub(GRACE_MICROS);
        if next.operation.created_at.micros() >= since {
            return Ok(());
        }
        let oldest = self.oldest(query.tenant_id.as_ref(), deadline)?.to_string();
        let message = format!("what follows the cursor `{cursor}` is older than events are retained");
        let denial = Denial::new(DenialKind::CursorExpired, message).at("after").with("given", cursor.to_string());
        Err(denial.with("allowed", format!("`{oldest}` or a later one")).with("oldest", oldest).into())
    }

    /// Refuses a cursor that the feed has not come to: of other books, or of these before an older backup was put in place.
    fn refuse_ahead(&self, cursor: EventCursor, deadline: Instant) -> Result<(), Failure> {
        if cursor.position() <= self.last_position(deadline)? {
            return Ok(());
        }
        Err(Denial::invalid("cursor", cursor, "a cursor of these books").into())
    }
}

fn another_question() -> Failure {
    Error::Store("the store answered another question".to_owned()).into()
}
