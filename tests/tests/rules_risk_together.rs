//! Risk controls where several come together: threads, engines over one file, policies that change, a transaction of the host.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::{Arc, Barrier};
use std::thread;

use drawdown::rusqlite::TransactionBehavior;
use drawdown::store::Store;
use drawdown::store::sqlite::SqliteStore;
use drawdown::{
    CaptureHold, Charge, Context, Engine, GrantCredit, GrantType, HoldId, ManualClock, Owner, PlaceHold, Policies, ReleaseHold,
    RiskKey, RiskPolicy, TenantPolicy,
};
use serde_json::{Value, json};

fn engine(store: Arc<dyn Store>, controls: Value) -> Engine {
    let risk: RiskPolicy = serde_json::from_value(json!({"default": controls})).unwrap();
    let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
    let policies = Policies::new(TenantPolicy { risk, ..TenantPolicy::default() });
    Engine::builder().store(store).clock(clock).policies(policies).build().unwrap()
}

fn over(file: &Path, controls: Value) -> Engine {
    engine(Arc::new(SqliteStore::open(file).unwrap()), controls)
}

fn acme() -> Context {
    Context::tenant("acme").unwrap()
}

fn grant(engine: &Engine, amount: &str) {
    engine.execute(acme().request(GrantCredit::new(user(), GrantType::Purchased, amount.parse().unwrap()))).unwrap();
}

fn user() -> Owner {
    Owner::user("u1").unwrap()
}

fn charge(engine: &Engine, amount: &str) -> bool {
    engine.execute(acme().request(Charge::new(user(), amount.parse().unwrap()))).is_ok()
}

fn hold(engine: &Engine, amount: &str) -> HoldId {
    engine.execute(acme().request(PlaceHold::new(user(), amount.parse().unwrap()))).unwrap().hold_id
}

fn spent(engine: &Engine) -> (String, u64) {
    let spent = engine.spent(&RiskKey::of_work(&acme().account(user(), "credit").unwrap(), None, None)).unwrap();
    (spent.used.to_string(), spent.count)
}

#[test]
fn threads_never_spend_more_than_the_cap() {
    let folder = tempfile::tempdir().unwrap();
    for (name, store) in drawdown_tests::stores(&folder.path().join("books.db")) {
        let engine = engine(store, json!({"daily_cap": "10"}));
        grant(&engine, "90");
        let barrier = Barrier::new(4);
        let accepted: usize = thread::scope(|scope| {
            let spend = || {
                barrier.wait();
                (0..10).filter(|_| charge(&engine, "0.7")).count()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(spend)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!((accepted, spent(&engine)), (14, ("9.8".to_owned(), 14)), "{name}");
    }
}

#[test]
fn engines_over_one_file_share_the_count() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("books.db");
    let controls = || json!({"daily_cap": "10", "velocity": [{"max_count": 4, "window_seconds": 60}]});
    let (one, other) = (over(&file, controls()), over(&file, controls()));
    grant(&one, "90");
    let held = hold(&one, "6");
    assert!(!charge(&other, "5") && charge(&other, "4"));
    one.execute(acme().request(ReleaseHold::new(held))).unwrap();
    assert!(charge(&other, "5") && charge(&one, "1"));
    assert!(!charge(&other, "0.000001"), "velocity");
    assert_eq!(spent(&one), spent(&other));
}

#[test]
fn a_hold_corrects_what_it_counted_whatever_the_policy_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("books.db");
    let cap = || json!({"daily_cap": "10"});
    let (counted, before) = {
        let engine = over(&file, cap());
        grant(&engine, "90");
        (hold(&engine, "6"), spent(&engine))
    };
    assert_eq!(before, ("6".to_owned(), 1));
    let uncounted = {
        let engine = over(&file, json!({}));
        engine.execute(acme().request(CaptureHold::new(counted, "2".parse().unwrap()))).unwrap();
        assert!(charge(&engine, "30"), "nothing is limited");
        hold(&engine, "20")
    };
    let engine = over(&file, cap());
    assert_eq!(spent(&engine), ("2".to_owned(), 1), "what was captured of what was counted");
    engine.execute(acme().request(ReleaseHold::new(uncounted))).unwrap();
    assert_eq!(spent(&engine), ("2".to_owned(), 1), "what was not counted does not come back");
    assert!(charge(&engine, "8") && !charge(&engine, "0.000001"));
}

#[test]
fn another_rule_of_velocity_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("books.db");
    let rule = |count: u32| json!({"velocity": [{"max_count": count, "window_seconds": 60}]});
    let engine = over(&file, rule(2));
    grant(&engine, "90");
    assert!(charge(&engine, "1") && charge(&engine, "1") && !charge(&engine, "1"));
    drop(engine);
    let engine = over(&file, rule(3));
    assert!((0..3).all(|_| charge(&engine, "1")) && !charge(&engine, "1"));
}

#[test]
fn staged_commands_count_if_the_host_commits() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("books.db");
    let engine = over(&file, json!({"daily_cap": "10"}));
    grant(&engine, "90");
    for (commits, used) in [(false, "0"), (true, "6")] {
        let mut connection = drawdown::rusqlite::Connection::open(&file).unwrap();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        let joined = engine.join(&transaction).unwrap();
        assert!(joined.stage(acme().request(Charge::new(user(), "6".parse().unwrap()))).is_ok());
        let beyond = joined.stage(acme().request(Charge::new(user(), "5".parse().unwrap()))).unwrap_err();
        assert_eq!(beyond.denial().unwrap().details()["used"], "6");
        if commits {
            transaction.commit().unwrap();
        } else {
            transaction.rollback().unwrap();
        }
        assert_eq!(spent(&engine).0, used);
    }
    assert!(charge(&engine, "4") && !charge(&engine, "1"));
}
