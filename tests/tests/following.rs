//! Readers who follow events while others write: by threads, by other engines at the same file, by the host; and consumers who
//! crash.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use drawdown::event::{Consumer, Event, EventCursor, EventData, EventPage, EventQuery, Start};
use drawdown::rusqlite::{Connection, TransactionBehavior};
use drawdown::store::memory::MemoryStore;
use drawdown::store::sqlite::{SqliteOptions, SqliteStore, Synchronous};
use drawdown::store::{Store, StoreErrorKind};
use drawdown::testing::fault::{Fault, FaultStore, When};
use drawdown::{Amount, Command, Engine, EventId, Failure, GrantCredit, GrantType};
use drawdown_tests::load;

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(3_600);

fn open(path: &Path) -> Engine {
    let options = SqliteOptions { synchronous: Synchronous::Normal, ..SqliteOptions::default() };
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open_with(path, options).unwrap());
    let builder = Engine::builder().store(store).deadline(Duration::from_secs(60));
    builder.event_look(Duration::from_millis(2)).build().unwrap()
}

/// Gives credit, each time anew.
fn grant(number: u32, units: i64) -> Command {
    let grant = GrantCredit::new(load::owner(number), GrantType::Purchased, Amount::from_units(units).unwrap());
    load::tenant().request(grant).into_command()
}

/// What the books say that there is to read.
fn standing(engine: &Engine) -> Vec<EventId> {
    let mut query = EventQuery { limit: 1_000, ..EventQuery::default() };
    let mut ids = Vec::new();
    loop {
        let page = engine.events(&query).unwrap();
        query.after = Some(page.next);
        ids.extend(page.events.iter().map(|event| event.event_id));
        if !page.more {
            return ids;
        }
    }
}

/// Keeps the balance of every account by what events tell, as somebody does who shows it.
#[derive(Default)]
struct Screen {
    balances: BTreeMap<String, (i64, i64)>,
    seen: Vec<EventId>,
}

impl Screen {
    fn take(&mut self, event: &Event) {
        self.seen.push(event.event_id);
        let EventData::Credits(credits) = &event.data else { return };
        let owner = event.subject.owner.as_ref().unwrap().to_string();
        let (available, frozen) = self.balances.entry(owner).or_default();
        *available += credits.change.micros();
        *frozen += credits.frozen_change.micros();
        assert_eq!((credits.balance_after.micros(), credits.frozen_after.micros()), (*available, *frozen), "in order");
    }
}

#[test]
fn a_reader_sees_every_operation_once_and_in_order_while_others_write() {
    const WRITERS: usize = 4;
    const COMMANDS: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.db");
    let engines = [open(&path), open(&path)];
    let writing = AtomicUsize::new(WRITERS);
    let screen = thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (engine, writing) = (&engines[writer % 2], &writing);
            scope.spawn(move || {
                for number in 0..COMMANDS {
                    // One by one, in batches, and as groups.
                    let commands = || (0..3).map(|_| grant(u32::try_from(writer).unwrap(), 1)).collect::<Vec<_>>();
                    match number % 3 {
                        0 => drop(engine.run(grant(u32::try_from(number % WRITERS).unwrap(), 2)).unwrap()),
                        1 => assert!(engine.execute_many(commands()).iter().all(Result::is_ok)),
                        _ => drop(engine.execute_all(commands()).unwrap()),
                    }
                }
                writing.fetch_sub(1, Ordering::SeqCst);
            });
        }
        let follow = scope.spawn(|| {
            let mut screen = Screen::default();
            let mut query = EventQuery { limit: 17, ..EventQuery::default() };
            loop {
                let ended = writing.load(Ordering::SeqCst) == 0;
                let page = engines[1].next_events(&query, Duration::from_millis(20)).unwrap();
                query.after = Some(page.next);
                page.events.iter().for_each(|event| screen.take(event));
                if ended && page.events.is_empty() && !page.more {
                    return screen;
                }
            }
        });
        follow.join().unwrap()
    });
    assert_eq!(screen.seen.len(), WRITERS * (COMMANDS / 3) * (1 + 3 + 3));
    assert_eq!(screen.seen, standing(&engines[0]));
}

#[test]
fn engines_at_one_file_wake_each_others_readers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.db");
    let engines = [open(&path), open(&path)];
    let mut seen = Vec::new();
    for turn in 0..6 {
        let (reader, writer) = (&engines[turn % 2], &engines[(turn + 1) % 2]);
        let ticket = reader.await_events(&EventQuery { from: Start::Latest, ..EventQuery::default() }).unwrap();
        writer.run(grant(0, 1)).unwrap();
        seen.extend(ticket.wait(NEVER).unwrap().events.iter().map(|event| event.event_id));
    }
    assert_eq!(seen, standing(&engines[0]));
}

#[test]
fn what_the_host_commits_is_seen_when_it_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.db");
    let engine = open(&path);
    engine.run(grant(0, 10)).unwrap();
    let ticket = engine.await_events(&EventQuery { from: Start::Latest, ..EventQuery::default() }).unwrap();
    let mut host = Connection::open(&path).unwrap();
    for keep in [false, true] {
        let transaction = host.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        let amount = if keep { "2" } else { "3" };
        let charge = drawdown::Charge::new(load::owner(0), amount.parse().unwrap());
        let pending = engine.join(&transaction).unwrap().stage(load::tenant().request(charge)).unwrap();
        if keep {
            transaction.commit().unwrap();
            assert_eq!(pending.assuming_commit().balance_after.to_string(), "8");
        } else {
            transaction.rollback().unwrap();
        }
    }
    let page = ticket.wait(NEVER).unwrap();
    let EventData::Credits(credits) = &page.events[0].data else { panic!("{page:?}") };
    assert_eq!((page.events.len(), credits.change.to_string().as_str()), (1, "-2"));
}

fn mailer() -> Consumer {
    Consumer::of_tenant(load::tenant().tenant_id, "mailer".parse().unwrap())
}

fn next_of(engine: &Engine, consumer: &Consumer, limit: usize) -> EventPage {
    let after = engine.consumer_position(consumer).unwrap();
    engine.events(&EventQuery { tenant_id: consumer.tenant_id.clone(), after, limit, ..EventQuery::default() }).unwrap()
}

#[test]
fn a_consumer_that_crashes_reads_on_from_where_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.db");
    let engine = open(&path);
    for number in 0..20 {
        engine.run(grant(number % 3, 1)).unwrap();
    }
    let expected = standing(&engine);
    drop(engine);
    let (mut mails, mut crashes) = (Vec::new(), 0);
    loop {
        // Each time the consumer, the engine and the file are opened anew.
        let engine = open(&path);
        let page = next_of(&engine, &mailer(), 3);
        if page.events.is_empty() {
            break;
        }
        mails.extend(page.events.iter().map(|event| event.event_id));
        crashes += 1;
        if crashes % 2 == 0 {
            assert!(!engine.acknowledge(&mailer(), page.next).unwrap().is_outdated);
        }
        // Else it crashes after its effect, and before it has acknowledged it.
    }
    // Every page had its effect twice, and what is known by its id is dropped.
    assert_eq!(mails.len(), 2 * expected.len());
    let mut once = Vec::new();
    mails.into_iter().for_each(|id| once.extend((!once.contains(&id)).then_some(id)));
    assert_eq!(once, expected);
}

#[test]
fn an_acknowledgement_that_comes_late_changes_nothing() {
    let engine = Engine::builder().build().unwrap();
    for _ in 0..3 {
        engine.run(grant(0, 1)).unwrap();
    }
    let [first, last] = [1, 3].map(|limit| next_of(&engine, &mailer(), limit).next);
    let moved = engine.acknowledge(&mailer(), last).unwrap();
    assert_eq!((moved.position, moved.is_outdated), (last, false));
    let same = engine.acknowledge(&mailer(), last).unwrap();
    assert_eq!((same.position, same.is_outdated), (last, false));
    let late = engine.acknowledge(&mailer(), first).unwrap();
    assert_eq!((late.position, late.is_outdated), (last, true));
    assert_eq!(engine.consumer_position(&mailer()).unwrap(), Some(last));
    let own = Consumer::of_host("mailer".parse().unwrap());
    assert_eq!(engine.consumer_position(&own).unwrap(), None);
    let ahead: EventCursor = "evc1_0000000000000004ffff".parse().unwrap();
    let denial = engine.acknowledge(&mailer(), ahead).unwrap_err().denial().unwrap().clone();
    assert_eq!((denial.name(), &denial.details()["field"]), ("payload_invalid", &"cursor".into()));
    assert_eq!(engine.consumer_position(&mailer()).unwrap(), Some(last), "it can go on");
}

#[test]
fn a_cursor_that_has_expired_is_left_for_the_oldest() {
    let clock = Arc::new(drawdown::ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
    let engine = Engine::builder().clock(clock.clone()).build().unwrap();
    for _ in 0..40 {
        engine.run(grant(0, 1)).unwrap();
        clock.advance_seconds(86_400);
    }
    let start = EventCursor::BEGINNING;
    engine.acknowledge(&mailer(), start).unwrap();
    let after = engine.consumer_position(&mailer()).unwrap();
    let denial = engine.events(&EventQuery { after, ..EventQuery::default() }).unwrap_err().denial().unwrap().clone();
    assert_eq!(denial.name(), "cursor_expired");
    let oldest: EventCursor = denial.details()["oldest"].as_str().unwrap().parse().unwrap();
    assert!(!engine.acknowledge(&mailer(), oldest).unwrap().is_outdated);
    assert_eq!(next_of(&engine, &mailer(), 1_000).events.len(), 30);
}

/// Follows the books through a store that fails at one call, and acknowledges; repeats what was refused for good.
fn follow_with(fault: Option<Fault>) -> (Vec<EventId>, Option<EventCursor>, u64) {
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let writer = Engine::builder().store(Arc::clone(&memory)).seed(7).build().unwrap();
    let faults = Arc::new(FaultStore::planned(memory, fault));
    let reader = Engine::builder().store(faults.clone()).build().unwrap();
    let mut seen = Vec::new();
    for round in 0..4 {
        assert!(writer.execute_many((0..3).map(|number| grant(number, round + 1)).collect()).iter().all(Result::is_ok));
        let page = insist(|| {
            let after = reader.consumer_position(&mailer())?;
            reader.next_events(&EventQuery { tenant_id: mailer().tenant_id, after, ..EventQuery::default() }, NEVER)
        });
        seen.extend(page.events.iter().map(|event| event.event_id));
        let acknowledged = insist(|| reader.acknowledge(&mailer(), page.next));
        assert_eq!((acknowledged.position, acknowledged.is_outdated), (page.next, false));
    }
    assert_eq!(seen, standing(&writer));
    (seen, writer.consumer_position(&mailer()).unwrap(), faults.calls())
}

/// Once more after an error.
fn insist<T>(call: impl Fn() -> Result<T, Failure>) -> T {
    call().or_else(|failure| if failure.denial().is_some() { Err(failure) } else { call() }).unwrap()
}

#[test]
fn a_store_that_fails_keeps_no_event_back_and_loses_no_place() {
    let (expected, position, calls) = follow_with(None);
    assert_eq!(expected.len(), 12);
    assert!(calls >= 16, "{calls}");
    for call in 1..=calls {
        for when in When::ALL {
            for kind in [StoreErrorKind::Transient, StoreErrorKind::Permanent] {
                let fault = Fault { call, when, kind };
                let (seen, stands, _) = follow_with(Some(fault.clone()));
                assert_eq!((seen.len(), stands), (expected.len(), position), "{fault:?}");
            }
        }
    }
}
