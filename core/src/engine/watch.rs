//! Those who wait for events, and the one thread that answers them.
//!
//! The thread reads on in the feed for all of them at once, when a commit of this engine rings, and every so often for the
//! commits that do not: of other processes, and of transactions of the host. Nobody waits: it sleeps, and a commit looks at
//! one number.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use super::lane::Lane;
use super::slot::Slot;
use crate::error::{Error, Failure};
use crate::event::{Event, EventPage, EventQuery, events_of};
use crate::map::Map;

/// The most that wait.
const MAX_WAITERS: usize = 10_000;
/// How often commits that do not ring are looked for, if nothing else is said.
pub(super) const LOOK: Duration = Duration::from_millis(250);
/// Not more often than that.
const MIN_LOOK: Duration = Duration::from_millis(1);
/// Operations that are read at once.
const READ: usize = 256;

/// What a waiter is answered.
pub(super) type Found = Result<EventPage, Failure>;

/// Who waits, and what they are woken with.
pub(super) struct Watch {
    look: Duration,
    /// How long a read is tried.
    patience: Duration,
    /// How many wait: all that a commit looks at.
    waiting: AtomicUsize,
    room: Mutex<Room>,
    bell: Bell,
}

#[derive(Default)]
struct Room {
    waiters: Map<u64, Waiter>,
    next_number: u64,
    closed: bool,
    thread: Option<JoinHandle<()>>,
    /// Of the thread, for as long as the engine lives.
    thread_id: Option<ThreadId>,
}

/// Who waits, and how far it was looked for him.
struct Waiter {
    query: EventQuery,
    page: EventPage,
    /// Nothing that stood in the books when he came is left for him: he waits for what comes.
    caught_up: bool,
    slot: Arc<Slot<Found>>,
}

impl Watch {
    pub(super) fn new(look: Duration, patience: Duration) -> Watch {
        let (waiting, room, bell) = (AtomicUsize::new(0), Mutex::default(), Bell::default());
        Watch { look: look.max(MIN_LOOK), patience, waiting, room, bell }
    }

    /// A batch was committed. The order of the load does not matter: whoever began to wait before has written his number before
    /// he read the books, and what the load misses all the same is found by the next look.
    pub(super) fn note_commit(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.bell.ring();
        }
    }

    /// Takes somebody who has read as far as this page, which has no events.
    pub(super) fn enter(lane: &Arc<Lane>, query: EventQuery, page: EventPage, slot: &Arc<Slot<Found>>) -> Result<u64, Error> {
        let watch = &lane.bench.watch;
        let mut room = watch.room();
        if room.closed {
            return Err(Error::Closed);
        }
        if room.waiters.len() >= MAX_WAITERS {
            return Err(Error::Busy(format!("{MAX_WAITERS} are waiting for events")));
        }
        if room.thread.is_none() {
            let thread = start(lane)?;
            room.thread_id = Some(thread.thread().id());
            room.thread = Some(thread);
        }
        let number = room.next_number;
        room.next_number += 1;
        room.waiters.insert(number, Waiter { query, page, caught_up: false, slot: Arc::clone(slot) });
        watch.count(&room);
        drop(room);
        watch.bell.ring();
        Ok(number)
    }

    /// Somebody waits no more. How far it was looked for him; none if he was answered.
    pub(super) fn leave(&self, number: u64) -> Option<EventPage> {
        let mut room = self.room();
        let waiter = room.waiters.remove(&number);
        self.count(&room);
        waiter.map(|waiter| waiter.page)
    }

    /// Answers everybody that the engine is closed, and ends the thread.
    pub(super) fn close(&self) {
        let mut room = self.room();
        room.closed = true;
        let waiters = std::mem::take(&mut room.waiters);
        self.count(&room);
        let is_own_thread = room.thread_id.is_some_and(|id| id == thread::current().id());
        // Closed by what an answer woke: the thread ends by itself.
        let thread = room.thread.take().filter(|_| !is_own_thread);
        drop(room);
        self.bell.ring();
        waiters.into_values().for_each(|waiter| waiter.slot.fill(Err(Error::Closed.into())));
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, room: &Room) {
        self.waiting.store(room.waiters.len(), Ordering::SeqCst);
    }
}

fn start(lane: &Arc<Lane>) -> Result<JoinHandle<()>, Error> {
    let lane = Arc::clone(lane);
    let serve = move || {
        let mut round = Round { lane: &lane, seen: None, is_behind: false };
        while round.rest() {
            round.look();
        }
    };
    let thread = thread::Builder::new().name("drawdown-events".to_owned()).spawn(serve);
    thread.map_err(|error| Error::Busy(format!("no thread could be started: {error}")))
}

/// What the thread does, again and again.
struct Round<'a> {
    lane: &'a Lane,
    /// The position up to which those who have caught up were served; none while there are none.
    seen: Option<u64>,
    /// There is more in the feed than was read at once.
    is_behind: bool,
}

impl<'a> Round<'a> {
    /// Sleeps until there is something to do. Whether there is more to do at all.
    fn rest(&mut self) -> bool {
        let watch = self.watch();
        let (is_closed, is_empty, is_caught_up) = {
            let room = watch.room();
            (room.closed, room.waiters.is_empty(), room.waiters.values().all(|waiter| waiter.caught_up))
        };
        if is_closed {
            return false;
        }
        if is_empty {
            self.seen = None;
            watch.bell.wait(None);
        } else if is_caught_up && !self.is_behind {
            watch.bell.wait(Some(watch.look));
        }
        true
    }

    /// Serves those who have caught up with what is new, then lets the others catch up. All reads are of this thread, one after
    /// the other, so whoever has caught up has read at least as far as those before him.
    fn look(&mut self) {
        let served = catch_unwind(AssertUnwindSafe(|| self.serve_new().and_then(|()| self.catch_up())));
        let failure = match served {
            Ok(Ok(())) => return,
            Ok(Err(failure)) => failure,
            Err(_) => Error::Store("the thread that serves events gave up".to_owned()).into(),
        };
        let waiters = std::mem::take(&mut self.room().waiters);
        self.watch().count(&self.room());
        waiters.into_values().for_each(|waiter| waiter.slot.fill(Err(failure.clone())));
    }

    /// A bounded step, too.
    fn serve_new(&mut self) -> Result<(), Failure> {
        let (bench, deadline) = (&self.lane.bench, self.deadline());
        self.is_behind = false;
        let Some(seen) = self.seen else {
            self.seen = Some(bench.last_position(deadline)?);
            return Ok(());
        };
        let new = bench.feed(None, seen, READ, deadline)?;
        for stored in &new {
            self.serve(stored.position, &events_of(stored));
            self.seen = Some(stored.position);
        }
        self.is_behind = new.len() == READ;
        Ok(())
    }

    /// Answers those who have caught up and asked for one of these events; the others have read on.
    fn serve(&self, position: u64, events: &[Event]) {
        let mut room = self.room();
        let answered = room.waiters.extract_if(|_, waiter| {
            if waiter.caught_up {
                waiter.page.add(&waiter.query, position, events);
                // A page that has something to tell is not filled further.
                waiter.page.more = !waiter.page.events.is_empty();
            }
            waiter.caught_up && waiter.page.more
        });
        let answered: Vec<Waiter> = answered.map(|(_, waiter)| waiter).collect();
        self.watch().count(&room);
        drop(room);
        answered.into_iter().for_each(Waiter::answer);
    }

    /// Reads on, a bounded step each, for those who have not caught up.
    fn catch_up(&self) -> Result<(), Failure> {
        let behind: Vec<(u64, EventQuery)> = {
            let room = self.room();
            let behind = room.waiters.iter().filter(|(_, waiter)| !waiter.caught_up);
            behind.map(|(number, waiter)| (*number, waiter.query.clone().after(waiter.page.next))).collect()
        };
        for (number, query) in behind {
            if !self.room().waiters.contains_key(&number) {
                continue; // He has left, or the engine was closed.
            }
            let read = self.lane.bench.events(&query, self.deadline());
            let mut room = self.room();
            let Some(waiter) = room.waiters.get_mut(&number) else { continue };
            match read {
                Ok(page) if page.events.is_empty() => {
                    waiter.caught_up = !page.more;
                    waiter.page = page;
                }
                found => {
                    let waiter = room.waiters.remove(&number);
                    self.watch().count(&room);
                    drop(room);
                    waiter.into_iter().for_each(|waiter| waiter.slot.fill(found.clone()));
                }
            }
        }
        Ok(())
    }

    fn deadline(&self) -> Instant {
        self.lane.bench.pause.now() + self.watch().patience
    }

    fn watch(&self) -> &'a Watch {
        &self.lane.bench.watch
    }

    fn room(&self) -> MutexGuard<'a, Room> {
        self.watch().room()
    }
}

impl Waiter {
    fn answer(self) {
        self.slot.fill(Ok(self.page));
    }
}

/// Wakes one thread.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    ringing: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ringing.notify_one();
    }

    /// Waits until it rings, or at most this long.
    fn wait(&self, timeout: Option<Duration>) {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        while !*rung {
            rung = match timeout {
                None => self.ringing.wait(rung).unwrap_or_else(PoisonError::into_inner),
                Some(timeout) => {
                    let (rung, waited) = self.ringing.wait_timeout(rung, timeout).unwrap_or_else(PoisonError::into_inner);
                    if waited.timed_out() {
                        return;
                    }
                    rung
                }
            };
        }
        *rung = false;
    }
}
