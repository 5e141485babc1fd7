//! Those who wait for events: woken, dropped, closed.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use drawdown::event::{EventCursor, EventFilter, EventKind, EventPage, EventQuery, Start};
use drawdown::store::StoreErrorKind;
use drawdown::store::memory::MemoryStore;
use drawdown::testing::fault::{Fault, FaultStore, When};
use drawdown::{Engine, Error, EventTicket, Failure};

use crate::scripted::{SECOND, Scripted, grant};
use crate::tickets::block_on;

/// Longer than any test: what is found was not found by a look.
const NEVER: Duration = Duration::from_secs(3_600);

fn engine() -> Engine {
    Engine::builder().event_look(NEVER).build().unwrap()
}

fn latest() -> EventQuery {
    EventQuery { from: Start::Latest, ..EventQuery::default() }
}

fn only(kind: EventKind) -> EventFilter {
    EventFilter { kinds: [kind].into(), ..EventFilter::default() }
}

fn users(page: &EventPage) -> Vec<String> {
    page.events.iter().map(|event| event.subject.owner.as_ref().unwrap().to_string()).collect()
}

fn poll(ticket: Pin<&mut EventTicket>) -> bool {
    ticket.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn a_commit_wakes_who_waits() {
    let engine = engine();
    let tickets = [engine.await_events(&latest()).unwrap(), engine.await_events(&latest()).unwrap()];
    let (waits, waiting) = mpsc::channel();
    let follower = {
        let engine = engine.clone();
        thread::spawn(move || {
            let start = engine.events(&latest()).unwrap().next;
            waits.send(()).unwrap();
            engine.next_events(&EventQuery::default().after(start), NEVER).unwrap()
        })
    };
    waiting.recv().unwrap();
    engine.run(grant("u1", "5")).unwrap();
    let [waited, awaited] = tickets;
    let first = waited.wait(NEVER).unwrap();
    assert_eq!(users(&first), ["user:u1"]);
    assert_eq!(block_on(awaited).unwrap(), first);
    assert_eq!(follower.join().unwrap().events, first.events);
}

#[test]
fn what_was_there_before_is_found_without_a_commit() {
    let engine = engine();
    for n in 0..3 {
        engine.run(grant(&format!("u{n}"), "5")).unwrap();
    }
    let query = EventQuery { limit: 2, ..EventQuery::default() };
    let first = block_on(engine.await_events(&query).unwrap()).unwrap();
    assert_eq!((users(&first), first.more), (vec!["user:u0".to_owned(), "user:u1".to_owned()], true));
    let rest = engine.next_events(&query.after(first.next), NEVER).unwrap();
    assert_eq!((users(&rest), rest.more), (vec!["user:u2".to_owned()], false));
}

#[test]
fn what_is_far_behind_is_found_too() {
    let engine = engine();
    for n in 0..24 {
        let commands = (0..100).map(|_| grant(&format!("u{n}"), "1")).collect();
        assert!(engine.execute_many(commands).iter().all(Result::is_ok));
    }
    engine.run(grant("last", "5")).unwrap();
    let filter = EventFilter { owner: Some("user:last".parse().unwrap()), ..EventFilter::default() };
    let query = EventQuery { filter, ..EventQuery::default() };
    let page = engine.events(&query).unwrap();
    assert!(page.events.is_empty() && page.more, "a call looks at so many operations and no more");
    assert_eq!(users(&engine.next_events(&query, NEVER).unwrap()), ["user:last"]);
    assert_eq!(users(&block_on(engine.await_events(&query).unwrap()).unwrap()), ["user:last"]);
}

#[test]
fn a_waiter_sleeps_over_what_it_did_not_ask_for() {
    let engine = engine();
    let filter = EventFilter { owner: Some("user:u2".parse().unwrap()), ..EventFilter::default() };
    let mut ticket = pin!(engine.await_events(&EventQuery { filter, ..latest() }).unwrap());
    let mut witness = EventQuery::default();
    for user in ["u1", "u3"] {
        engine.run(grant(user, "5")).unwrap();
        // Waits too, so the thread has been there.
        let seen = block_on(engine.await_events(&witness).unwrap()).unwrap();
        witness = witness.after(seen.next);
        assert!(!poll(ticket.as_mut()));
    }
    engine.run(grant("u2", "5")).unwrap();
    assert_eq!(users(&block_on(ticket).unwrap()), ["user:u2"]);
}

#[test]
fn a_reader_who_waits_again_and_again_misses_nothing() {
    let engine = engine();
    let writers: Vec<_> = (0..3)
        .map(|n| {
            let engine = engine.clone();
            thread::spawn(move || (0..100).for_each(|_| drop(engine.run(grant(&format!("u{n}"), "1")).unwrap())))
        })
        .collect();
    let mut query = EventQuery { limit: 7, ..EventQuery::default() };
    let mut seen = Vec::new();
    while seen.len() < 300 {
        let page = if seen.len() % 2 == 0 {
            engine.next_events(&query, NEVER).unwrap()
        } else {
            block_on(engine.await_events(&query).unwrap()).unwrap()
        };
        query.after = Some(page.next);
        seen.extend(page.events.into_iter().map(|event| event.event_id));
    }
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let all = engine.events(&EventQuery { limit: 1_000, ..EventQuery::default() }).unwrap();
    assert_eq!(seen, all.events.iter().map(|event| event.event_id).collect::<Vec<_>>());
}

#[test]
fn one_read_serves_a_thousand() {
    let store = Arc::new(FaultStore::planned(Arc::new(MemoryStore::new()), []));
    let engine = Engine::builder().store(store.clone()).event_look(NEVER).build().unwrap();
    let start = EventQuery::default().after(EventCursor::BEGINNING);
    let tickets: Vec<_> = (0..1_000).map(|_| engine.await_events(&start).unwrap()).collect();
    settle(&store, 2_000);
    engine.run(grant("u1", "5")).unwrap();
    let before = store.calls();
    for ticket in tickets {
        assert_eq!(users(&ticket.wait(NEVER).unwrap()), ["user:u1"]);
    }
    let reads = store.calls() - before;
    assert!(reads < 20, "{reads} reads for one commit");
}

/// Waits until the store has been called so often, and is called no more for a moment.
fn settle(store: &FaultStore, least: u64) -> u64 {
    let mut calls = 0;
    while calls < least || calls != store.calls() {
        calls = store.calls();
        thread::sleep(Duration::from_millis(30));
    }
    calls
}

#[test]
fn nobody_waits_and_nobody_reads() {
    let store = Arc::new(FaultStore::planned(Arc::new(MemoryStore::new()), []));
    let engine = Engine::builder().store(store.clone()).event_look(Duration::ZERO).build().unwrap();
    drop(engine.await_events(&EventQuery::default().after(EventCursor::BEGINNING)).unwrap());
    let page = engine.next_events(&latest(), Duration::ZERO).unwrap();
    assert!(page.events.is_empty());
    let calls = settle(&store, 1);
    for _ in 0..50 {
        engine.run(grant("u1", "5")).unwrap();
    }
    // But for what the thread may still have had in hand, a commit is one call of the store.
    let made = store.calls() - calls;
    assert!((50..55).contains(&made), "{made} calls for 50 commits");
}

#[test]
fn close_tells_everybody() {
    let engine = engine();
    let ticket = engine.await_events(&latest()).unwrap();
    let (waits, waiting) = mpsc::channel();
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let (engine, waits) = (engine.clone(), waits.clone());
            thread::spawn(move || {
                waits.send(()).unwrap();
                engine.next_events(&latest(), NEVER)
            })
        })
        .collect();
    threads.iter().for_each(|_| waiting.recv().unwrap());
    engine.close();
    let closed = |found: Result<EventPage, Failure>| matches!(found, Err(Failure::Failed(Error::Closed)));
    assert!(closed(block_on(ticket)));
    for waiter in threads {
        assert!(closed(waiter.join().unwrap()));
    }
    assert!(matches!(engine.await_events(&latest()), Err(Failure::Failed(Error::Closed))));
}

#[test]
fn a_ticket_outlives_its_engine() {
    let engine = engine();
    let ticket = engine.await_events(&latest()).unwrap();
    drop(engine);
    assert!(matches!(ticket.wait(NEVER), Err(Failure::Failed(Error::Closed))));
}

#[test]
fn so_many_can_wait_and_no_more() {
    let engine = engine();
    let start = EventQuery::default().after(EventCursor::BEGINNING);
    let tickets: Vec<_> = (0..10_000).map(|_| engine.await_events(&start).unwrap()).collect();
    assert!(matches!(engine.await_events(&start), Err(Failure::Failed(Error::Busy(_)))));
    drop(tickets);
    engine.run(grant("u1", "5")).unwrap();
    assert_eq!(users(&engine.await_events(&start).unwrap().wait(NEVER).unwrap()), ["user:u1"]);
}

#[test]
fn time_that_is_over_says_how_far_it_was_looked() {
    let engine = engine();
    let query = EventQuery { filter: only(EventKind::BalanceLow), ..EventQuery::default() };
    engine.run(grant("u1", "5")).unwrap();
    let page = engine.next_events(&query, Duration::ZERO).unwrap();
    assert!(page.events.is_empty() && page.next > EventCursor::BEGINNING);
    assert!(engine.events(&EventQuery::default().after(page.next)).unwrap().events.is_empty());
}

#[test]
fn a_rude_waker_harms_nobody() {
    struct Rude;
    impl Wake for Rude {
        fn wake(self: Arc<Self>) {
            panic!("rude");
        }
    }
    let engine = engine();
    let one = EventQuery { limit: 1, ..latest() };
    let mut rude = pin!(engine.await_events(&one).unwrap());
    let polite = engine.await_events(&one).unwrap();
    assert!(rude.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::new(Rude)))).is_pending());
    engine.run(grant("u1", "5")).unwrap();
    assert_eq!(users(&polite.wait(NEVER).unwrap()), ["user:u1"]);
    let again = engine.await_events(&one).unwrap();
    engine.run(grant("u2", "5")).unwrap();
    assert_eq!(users(&again.wait(NEVER).unwrap()), ["user:u2"]);
    assert_eq!(users(&block_on(rude).unwrap()), ["user:u1"]);
}

#[test]
fn a_waker_may_close_the_engine() {
    struct Close(Mutex<Option<Engine>>, mpsc::Sender<()>);
    impl Wake for Close {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take()); // the last clone
            self.1.send(()).unwrap();
        }
    }
    let store = Arc::new(MemoryStore::new());
    let open = || Engine::builder().store(store.clone()).event_look(Duration::from_millis(1)).build().unwrap();
    let (reader, writer) = (open(), open());
    let (closes, closed) = mpsc::channel();
    let mut ticket = pin!(reader.await_events(&latest()).unwrap());
    let waker = Arc::new(Close(Mutex::new(Some(reader)), closes));
    assert!(ticket.as_mut().poll(&mut Context::from_waker(&Waker::from(waker))).is_pending());
    writer.run(grant("u1", "5")).unwrap();
    closed.recv().unwrap();
    assert_eq!(users(&block_on(ticket).unwrap()), ["user:u1"]);
}

#[test]
fn the_last_waker_is_the_one_that_is_woken() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let engine = engine();
    let mut ticket = pin!(engine.await_events(&latest()).unwrap());
    let wakers = [Arc::new(Count(AtomicUsize::new(0))), Arc::new(Count(AtomicUsize::new(0)))];
    for waker in &wakers {
        assert!(ticket.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(waker)))).is_pending());
    }
    engine.close();
    assert_eq!(wakers.map(|count| count.0.load(Ordering::SeqCst)), [0, 1]);
    assert!(poll(ticket.as_mut()) && poll(ticket), "the answer stays");
}

#[test]
fn who_cannot_be_served_is_told_why_and_may_ask_again() {
    let store = Arc::new(FaultStore::planned(Arc::new(MemoryStore::new()), []));
    let engine = Engine::builder().store(store.clone()).event_look(NEVER).build().unwrap();
    let start = EventQuery::default().after(EventCursor::BEGINNING);
    store.plan((1..4).map(|call| Fault { call, when: When::Before, kind: StoreErrorKind::Permanent }));
    let failed = engine.await_events(&start).unwrap().wait(NEVER);
    assert!(matches!(failed, Err(Failure::Failed(Error::Store(_)))), "{failed:?}");
    store.plan([]);
    let ticket = engine.await_events(&start).unwrap();
    engine.run(grant("u1", "5")).unwrap();
    assert_eq!(users(&ticket.wait(NEVER).unwrap()), ["user:u1"]);
}

#[test]
fn a_commit_whose_reply_was_lost_wakes_too() {
    let store = Scripted::new([crate::scripted::Act::LoseAfter]);
    let engine = Engine::builder().store(store).event_look(NEVER).deadline(10 * SECOND).build().unwrap();
    let ticket = engine.await_events(&latest()).unwrap();
    engine.run(grant("u1", "5")).unwrap();
    assert_eq!(users(&ticket.wait(NEVER).unwrap()), ["user:u1"]);
}

#[test]
fn another_engine_of_the_same_books_is_seen_by_a_look() {
    let store = Arc::new(MemoryStore::new());
    let open = || Engine::builder().store(store.clone()).event_look(Duration::from_millis(1)).build().unwrap();
    let (reader, writer) = (open(), open());
    for n in 0..3 {
        let ticket = reader.await_events(&latest()).unwrap();
        writer.run(grant(&format!("u{n}"), "5")).unwrap();
        assert_eq!(users(&ticket.wait(NEVER).unwrap()), [format!("user:u{n}")]);
    }
}
