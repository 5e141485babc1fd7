//! Law 6 as readers of events meet it, and law 10: consumers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use fastrand::Rng;

use super::Subject;
use super::desk::{Ended, account_of, ask, id, needs_account, run, second, tenant, units};
use crate::engine::Engine;
use crate::event::{Consumer, EventCursor, EventQuery};
use crate::id::EventId;
use crate::ledger::OperationKind;
use crate::store::{Answer, Query, Store};
use crate::testing::scripted::Draft;
use crate::time::ManualClock;

const WRITERS: usize = 4;
const BATCHES: usize = 30;

/// Readers of one tenant and of all, each with pages of its own sizes, read while others write. What they have read at the end is
/// what stands there: of anything that had appeared behind a cursor of theirs they would know nothing.
pub fn no_event_appears_behind_a_cursor_handed_out(subject: &Subject) {
    let engine = || {
        let clock = std::sync::Arc::new(ManualClock::at(second(0)));
        Engine::builder().store(subject.store()).clock(clock).build().unwrap()
    };
    let writing = AtomicUsize::new(WRITERS);
    let scopes = [None, Some(id("t0")), Some(id("t1"))];
    let read = thread::scope(|scope| {
        for n in 0..WRITERS {
            let (store, writing) = (subject.store(), &writing);
            scope.spawn(move || {
                let _ended = Ended(writing);
                let (clock, key) = (ManualClock::at(second(0)), account_of(&format!("t{}", n % 2), &format!("u{n}")));
                for _ in 0..BATCHES {
                    run(&*store, &clock, needs_account(&key), |mut facts| {
                        let first = Draft::of(&facts, &key, OperationKind::Grant).grant(units(1), None).done();
                        facts.apply(&first);
                        vec![first, Draft::of(&facts, &key, OperationKind::Grant).grant(units(1), None).done()]
                    });
                }
            });
        }
        let readers: Vec<_> = (0_u64..)
            .zip(&scopes)
            .map(|(seed, tenant_id)| {
                let (engine, writing) = (engine(), &writing);
                scope.spawn(move || {
                    let mut rng = Rng::with_seed(seed);
                    let mut query = EventQuery { tenant_id: tenant_id.clone(), ..EventQuery::default() };
                    let mut seen = Vec::new();
                    loop {
                        query.limit = rng.usize(1..9);
                        // Asked before the page: when all had ended by then, an empty page is the end.
                        let ended = writing.load(Ordering::SeqCst) == 0;
                        let page = engine.events(&query).unwrap();
                        assert!(query.after.is_none_or(|after| after <= page.next), "the cursor goes back");
                        query.after = Some(page.next);
                        if page.events.is_empty() && !page.more && ended {
                            return seen;
                        }
                        seen.extend(page.events.into_iter().map(|event| event.event_id));
                    }
                })
            })
            .collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
    });
    let engine = engine();
    let standing = |tenant_id: Option<crate::id::TenantId>| -> Vec<EventId> {
        let query = EventQuery { tenant_id, limit: 1_000, ..EventQuery::default() };
        engine.events(&query).unwrap().events.into_iter().map(|event| event.event_id).collect()
    };
    for (tenant_id, seen) in scopes.into_iter().zip(read) {
        let operations = WRITERS * BATCHES * 2 / if tenant_id.is_some() { 2 } else { 1 };
        assert_eq!(seen.len(), operations);
        assert_eq!(seen, standing(tenant_id));
    }
}

fn stands(store: &dyn Store, consumer: &Consumer) -> Option<EventCursor> {
    match ask(store, &Query::Consumer(consumer.clone())) {
        Answer::Consumer(cursor) => cursor,
        other => panic!("a consumer is answered by {other:?}"),
    }
}

pub fn a_consumer_goes_on_and_never_back(subject: &Subject) {
    let store = subject.store();
    let consumer = Consumer::of_tenant(tenant(), id("mailer"));
    assert_eq!(stands(&*store, &consumer), None);
    let steps = [(7, 1, (7, 1)), (6, u16::MAX, (7, 1)), (7, 0, (7, 1)), (7, 1, (7, 1)), (7, 2, (7, 2)), (8, 0, (8, 0))];
    for (position, ordinal, (at, of)) in steps {
        let answered = store.acknowledge(&consumer, EventCursor::at(position, ordinal)).unwrap();
        assert_eq!(answered, EventCursor::at(at, of), "after {position} {ordinal}");
        assert_eq!(stands(&*store, &consumer), Some(answered));
    }
    store.acknowledge(&consumer, EventCursor::end_of(9)).unwrap();
    assert_eq!(stands(&*store, &consumer), Some(EventCursor::end_of(9)));
}

pub fn consumers_of_one_name_stand_apart(subject: &Subject) {
    let store = subject.store();
    let consumers = [
        Consumer::of_host(id("mailer")),
        Consumer::of_tenant(tenant(), id("mailer")),
        Consumer::of_tenant(id("t2"), id("mailer")),
        Consumer::of_tenant(tenant(), id("Mailer")),
    ];
    for (position, consumer) in (1..).zip(&consumers) {
        assert_eq!(stands(&*store, consumer), None);
        store.acknowledge(consumer, EventCursor::at(position, 0)).unwrap();
    }
    for (position, consumer) in (1..).zip(&consumers) {
        assert_eq!(stands(&*store, consumer), Some(EventCursor::at(position, 0)));
    }
}

pub fn of_many_acknowledgements_at_once_the_last_cursor_stands(subject: &Subject) {
    let consumer = Consumer::of_host(id("mailer"));
    thread::scope(|scope| {
        for n in 0..4_u64 {
            let (store, consumer) = (subject.store(), &consumer);
            scope.spawn(move || {
                for step in 0..20 {
                    let cursor = EventCursor::at(1 + step * 4 + n, 0);
                    assert!(store.acknowledge(consumer, cursor).unwrap() >= cursor);
                }
            });
        }
    });
    assert_eq!(stands(&*subject.store(), &consumer), Some(EventCursor::at(80, 0)));
}
