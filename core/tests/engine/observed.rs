//! What an engine counts, and says of its health.

use std::sync::Arc;
use std::time::Duration;

use drawdown::store::StoreErrorKind;
use drawdown::store::memory::MemoryStore;
use drawdown::{
    Context, Distribution, Engine, Error, Failure, GrantCredit, GrantType, HealthReason, HealthStatus, ManualClock, Owner,
};

use crate::scripted::{Act, SECOND, Scripted, account, charge, grant, keyed};

fn counts(counts: &std::collections::BTreeMap<&'static str, u64>) -> String {
    counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

fn is_whole(spread: &Distribution) {
    assert_eq!(spread.buckets.iter().sum::<u64>(), spread.count);
    assert!(spread.max <= spread.sum);
}

#[test]
fn traffic_is_counted_by_how_it_ended() {
    let engine = Engine::in_memory();
    assert_eq!(engine.stats(), Engine::in_memory().stats());
    engine.run(grant("u1", "10")).unwrap();
    engine.run(keyed(charge("u1", "1"), "a")).unwrap();
    engine.run(keyed(charge("u1", "1"), "a")).unwrap();
    engine.run(keyed(charge("u1", "2"), "a")).unwrap_err();
    engine.run(charge("u1", "100")).unwrap_err();
    engine.run(charge("u1", "0")).unwrap_err();
    engine.submit(charge("u1", "0")).unwrap_err();
    engine.submit(charge("u1", "1")).unwrap().wait().unwrap();
    let many = engine.execute_many(vec![charge("u1", "1"), charge("u1", "0"), charge("u1", "100"), charge("u1", "1")]);
    assert_eq!(many.iter().filter(|answer| answer.is_ok()).count(), 2);
    let stats = engine.stats();
    assert_eq!((stats.commands.accepted, stats.commands.replayed), (5, 1));
    let denied = "amount_invalid 3, idempotency_conflict 1, insufficient_balance 2";
    assert_eq!((counts(&stats.commands.denied).as_str(), counts(&stats.commands.failed).as_str()), (denied, ""));
    // What is refused for its shape never reaches a batch.
    assert_eq!((stats.batch_size.count, stats.batch_size.sum, stats.batch_size.max), (7, 9, 3));
    assert_eq!(stats.batch_size.buckets, [6, 0, 1, 0, 0, 0, 0, 0, 0]);
    for spread in [&stats.batch_size, &stats.lock_wait_micros, &stats.commit_micros] {
        is_whole(spread);
        assert_eq!(spread.count, 7);
    }
    assert_eq!((stats.retries, stats.conflicts, stats.queued, stats.queued_bytes), (0, 0, 0, 0));
    // The lane may still be ending the turn of what was submitted when the next are sent.
    assert!((1..=3).contains(&stats.queued_max), "{}", stats.queued_max);
    assert_eq!(stats.staged.accepted, 0);
}

#[test]
fn a_group_that_is_refused_counts_once() {
    let engine = Engine::in_memory();
    engine.execute_all(vec![grant("u1", "10"), charge("u1", "1")]).unwrap();
    engine.execute_all(vec![charge("u1", "1"), charge("u1", "100"), charge("u1", "1")]).unwrap_err();
    engine.execute_all(vec![charge("u1", "1"), charge("u1", "0")]).unwrap_err();
    engine.execute_all(vec![charge("u1", "1"); 257]).unwrap_err();
    let stats = engine.stats();
    assert_eq!(stats.commands.accepted, 2);
    assert_eq!(counts(&stats.commands.denied), "amount_invalid 1, batch_too_large 1, insufficient_balance 1");
}

#[test]
fn previews_and_reads_are_no_traffic() {
    let engine = Engine::in_memory();
    engine.preview(charge("u1", "1")).unwrap_err();
    engine.preview(charge("u1", "0")).unwrap_err();
    engine.balance(&account("u1")).unwrap();
    assert_eq!(engine.stats(), Engine::in_memory().stats());
}

#[test]
fn what_the_store_does_is_counted() {
    let fail = |kind| Act::Fail(kind);
    let store = Scripted::new([
        fail(StoreErrorKind::Transient),
        fail(StoreErrorKind::Conflict),
        fail(StoreErrorKind::Transient),
        Act::LoseBefore,
    ]);
    let engine = store.engine(SECOND * 10);
    engine.run(grant("u1", "10")).unwrap();
    let stats = engine.stats();
    assert_eq!((stats.retries, stats.conflicts, stats.batch_size.count, stats.commands.accepted), (4, 1, 1, 1));
    store.act(fail(StoreErrorKind::Permanent));
    engine.run(charge("u1", "1")).unwrap_err();
    store.act(fail(StoreErrorKind::Corrupt));
    engine.run(charge("u1", "1")).unwrap_err();
    // A lost commit that is found was accepted, though the store never said so.
    store.act(Act::LoseAfter);
    engine.run(charge("u1", "1")).unwrap();
    engine.close();
    engine.run(charge("u1", "1")).unwrap_err();
    engine.submit(charge("u1", "1")).unwrap_err();
    assert!(engine.execute_many(vec![charge("u1", "1"); 2]).iter().all(Result::is_err));
    let stats = engine.stats();
    assert_eq!(counts(&stats.commands.failed), "closed 4, corrupt 1, store 1");
    assert_eq!((stats.commands.accepted, stats.batch_size.count, stats.retries), (2, 1, 4));
}

#[test]
fn what_waits_is_counted() {
    let store = Scripted::new([]);
    let engine = store.engine(SECOND * 10);
    store.shut_gate();
    let mut tickets = vec![engine.submit(grant("u1", "10")).unwrap()];
    store.wait_for_runs(1);
    tickets.extend((0..5).map(|_| engine.submit(charge("u1", "1")).unwrap()));
    let stats = engine.stats();
    assert_eq!((stats.queued, stats.queued_max), (5, 5));
    assert!(stats.queued_bytes > 5 * 100, "{}", stats.queued_bytes);
    assert_eq!((engine.health().queued, engine.health().queued_bytes), (stats.queued, stats.queued_bytes));
    store.open_gate();
    tickets.into_iter().for_each(|ticket| drop(ticket.wait().unwrap()));
    let stats = engine.stats();
    assert_eq!((stats.queued, stats.queued_max, stats.queued_bytes), (0, 5, 0));
    assert_eq!((stats.batch_size.count, stats.batch_size.max), (2, 5));
    assert!(stats.lock_wait_micros.max > 0);
}

#[test]
fn stats_are_json_with_their_units() {
    let engine = Engine::in_memory();
    engine.run(grant("u1", "10")).unwrap();
    engine.run(charge("u1", "11")).unwrap_err();
    let json = serde_json::to_value(engine.stats()).unwrap();
    assert_eq!(json["commands"]["denied"]["insufficient_balance"], 1);
    assert_eq!(json["batch_size"]["count"], 2);
    assert!(json["lock_wait_micros"]["buckets"].as_array().unwrap().len() == 26);
}

#[test]
fn a_well_engine_is_ok_and_says_what_is_due() {
    let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
    let engine = Engine::builder().clock(clock.clone()).build().unwrap();
    let health = engine.health();
    assert_eq!((health.status, health.next_due, health.overdue_micros), (HealthStatus::Ok, None, 0));
    assert!(health.read_micros.is_some());
    let mut trial = GrantCredit::new(Owner::user("u1").unwrap(), GrantType::Trial, "10".parse().unwrap());
    trial.expires_at = Some("2026-01-02T00:00:00Z".parse().unwrap());
    engine.execute(Context::tenant("t").unwrap().request(trial)).unwrap();
    let health = engine.health();
    assert_eq!((health.status, health.next_due, health.overdue_micros), (HealthStatus::Ok, "2026-01-02T00:00:00Z".parse().ok(), 0));
    clock.set("2026-01-02T01:00:00Z".parse().unwrap());
    let health = engine.health();
    assert_eq!((health.status, health.overdue_micros), (HealthStatus::Ok, 3_600_000_000));
    clock.set("2026-01-02T01:00:00.000001Z".parse().unwrap());
    let health = engine.health();
    assert_eq!((health.status, health.reasons), (HealthStatus::Degraded, vec![HealthReason::SweepLate]));
    engine.sweep(10).unwrap();
    assert_eq!(engine.health().status, HealthStatus::Ok);
}

#[test]
fn a_store_that_cannot_be_read_is_down_and_one_that_cannot_be_written_degraded() {
    let store = Scripted::new([]);
    let engine = store.engine(Duration::from_millis(20));
    store.failing_queries.store(1, std::sync::atomic::Ordering::SeqCst);
    let health = engine.health();
    assert_eq!((health.status, health.reasons), (HealthStatus::Down, vec![HealthReason::StoreUnreadable]));
    assert_eq!((health.store_error.as_deref(), health.read_micros), (Some("as scripted"), None));
    assert_eq!(engine.health().status, HealthStatus::Ok, "asked once, and mended");
    for kind in [StoreErrorKind::Permanent, StoreErrorKind::Transient] {
        store.act_forever(Act::Fail(kind));
        engine.run(grant("u1", "10")).unwrap_err();
        let health = engine.health();
        assert_eq!((health.status, health.reasons), (HealthStatus::Degraded, vec![HealthReason::WritesFailing]));
        store.act_never();
        engine.run(grant("u1", "10")).unwrap();
        assert_eq!(engine.health().status, HealthStatus::Ok);
    }
    // What one account alone is to blame for is no failure of the store.
    store.act(Act::Fail(StoreErrorKind::Corrupt));
    engine.run(grant("u1", "10")).unwrap_err();
    assert_eq!(engine.health().status, HealthStatus::Ok);
    engine.close();
    let health = engine.health();
    assert!(health.closed && health.status == HealthStatus::Down, "{health:?}");
    assert_eq!(health.reasons, [HealthReason::Closed]);
}

#[test]
fn a_clock_that_is_behind_is_seen() {
    let clock = Arc::new(ManualClock::at("2026-01-01T00:00:10Z".parse().unwrap()));
    let engine = Engine::builder().store(Arc::new(MemoryStore::new())).clock(clock.clone()).build().unwrap();
    engine.run(grant("u1", "10")).unwrap();
    clock.set("2026-01-01T00:00:09Z".parse().unwrap());
    engine.run(charge("u1", "1")).unwrap();
    assert_eq!((engine.health().status, engine.health().clock_skew_micros), (HealthStatus::Ok, 1_000_000));
    clock.set("2026-01-01T00:00:00Z".parse().unwrap());
    assert!(matches!(engine.run(charge("u1", "1")), Err(Failure::Failed(Error::ClockBehind { .. }))));
    let health = engine.health();
    assert_eq!((health.status, health.reasons), (HealthStatus::Degraded, vec![HealthReason::ClockBehind]));
    clock.set("2026-01-01T00:00:11Z".parse().unwrap());
    engine.run(charge("u1", "1")).unwrap();
    assert_eq!((engine.health().status, engine.health().clock_skew_micros), (HealthStatus::Ok, 0));
    assert_eq!(engine.stats().clock_skew_max_micros, 10_000_000);
    assert_eq!(counts(&engine.stats().commands.failed), "clock_behind 1");
}
