//! Reads: what is due is settled in the answer, booked or not.

use std::sync::Arc;

use drawdown::ledger::{EntryQuery, EntryScope};
use drawdown::{CaptureHold, Clock, Engine, GrantCredit, GrantType, HoldState, ManualClock, PlaceHold, Timestamp};

use crate::scripted::{account, acme, amount, available, charge, grant, keyed, user};

const NOON: &str = "2026-03-01T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn engine_at_noon() -> (Engine, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(at(NOON)));
    (Engine::builder().clock(Arc::clone(&clock) as Arc<dyn Clock>).build().unwrap(), clock)
}

fn trial(name: &str, given: &str, until: &str) -> drawdown::Command {
    let mut trial = GrantCredit::new(user(name), GrantType::Trial, amount(given));
    trial.expires_at = Some(at(until));
    acme().request(trial).into_command()
}

#[test]
fn an_account_without_entries_has_zeros() {
    let (engine, _) = engine_at_noon();
    let balance = engine.balance(&account("u1")).unwrap();
    assert_eq!((balance.available, balance.frozen, balance.as_of), (amount("0"), amount("0"), at(NOON)));
    assert_eq!(engine.balance_at(&account("u1"), at(NOON)).unwrap(), balance);
    assert_eq!(engine.grants(&account("u1")).unwrap(), []);
    let refused = engine.entries(EntryQuery::new(EntryScope::Account(account("u1")))).unwrap_err();
    assert_eq!(refused.denial().unwrap().name(), "account_not_found");
}

#[test]
fn an_expiry_is_read_before_it_is_booked_and_swept_once() {
    let (engine, clock) = engine_at_noon();
    engine.run(trial("u1", "10", "2026-03-02T12:00:00Z")).unwrap();
    engine.run(grant("u1", "5")).unwrap();
    clock.set(at("2026-03-02T12:00:00Z"));
    assert_eq!(available(&engine, "u1"), "5");
    assert_eq!(engine.grants(&account("u1")).unwrap().len(), 1);
    let swept = engine.sweep(10).unwrap();
    assert_eq!((swept.accounts, swept.entries, swept.more_due), (1, 1, false));
    assert_eq!(engine.sweep(10).unwrap(), drawdown::SweepReport::default());
    assert_eq!(available(&engine, "u1"), "5");
}

#[test]
fn a_sweep_stops_at_its_limit_and_says_that_more_is_due() {
    let (engine, clock) = engine_at_noon();
    for name in ["u1", "u2", "u3"] {
        engine.run(trial(name, "10", "2026-03-02T12:00:00Z")).unwrap();
    }
    clock.set(at("2026-03-03T12:00:00Z"));
    let first = engine.sweep(2).unwrap();
    assert_eq!((first.accounts, first.entries, first.more_due), (2, 2, true));
    let second = engine.sweep(2).unwrap();
    assert_eq!((second.accounts, second.entries, second.more_due), (1, 1, false));
}

#[test]
fn grants_stand_in_the_order_of_consumption() {
    let (engine, _) = engine_at_noon();
    engine.run(grant("u1", "5")).unwrap();
    engine.run(trial("u1", "2", "2026-03-09T12:00:00Z")).unwrap();
    engine.run(trial("u1", "1", "2026-03-05T12:00:00Z")).unwrap();
    let amounts: Vec<String> = engine.grants(&account("u1")).unwrap().iter().map(|g| g.remaining.to_string()).collect();
    assert_eq!(amounts, ["1", "2", "5"]);
    let explained = engine.explain(&account("u1"), amount("4"), None, None).unwrap();
    let takes: Vec<String> = explained.grants.iter().map(|g| g.take.to_string()).collect();
    assert_eq!((takes, explained.missing), (vec!["1".to_owned(), "2".to_owned(), "1".to_owned()], amount("0")));
}

#[test]
fn a_hold_past_its_expiry_reads_as_expired_and_its_amount_is_back() {
    let (engine, clock) = engine_at_noon();
    engine.run(grant("u1", "10")).unwrap();
    let held = engine.execute(acme().request(PlaceHold::new(user("u1"), amount("4")))).unwrap();
    let tenant = acme().tenant_id;
    let balance = engine.balance(&account("u1")).unwrap();
    assert_eq!((balance.available, balance.frozen), (amount("6"), amount("4")));
    let (owner, hold) = engine.hold(&tenant, held.hold_id).unwrap();
    assert_eq!((&*owner, hold.state, hold.held()), (&account("u1"), HoldState::Frozen, amount("4")));
    clock.advance_seconds(900);
    let (_, hold) = engine.hold(&tenant, held.hold_id).unwrap();
    assert_eq!((hold.state, hold.held()), (HoldState::Expired, amount("0")));
    let balance = engine.balance(&account("u1")).unwrap();
    assert_eq!((balance.available, balance.frozen), (amount("10"), amount("0")));
    let refused = engine.execute(acme().request(CaptureHold::new(held.hold_id, amount("4")))).unwrap_err();
    assert_eq!(refused.denial().unwrap().details()["status"], "expired");
}

#[test]
fn a_grant_is_read_as_time_has_left_it() {
    let (engine, clock) = engine_at_noon();
    let receipt = engine.run(trial("u1", "10", "2026-03-02T12:00:00Z")).unwrap();
    let grant_id = receipt.entries()[0].grant_id.unwrap();
    let tenant = acme().tenant_id;
    assert_eq!(engine.grant(&tenant, grant_id).unwrap().1.remaining, amount("10"));
    clock.set(at("2026-03-02T12:00:00Z"));
    assert_eq!(engine.grant(&tenant, grant_id).unwrap().1.remaining, amount("0"));
    engine.sweep(1).unwrap();
    assert_eq!(engine.grant(&tenant, grant_id).unwrap().1.remaining, amount("0"));
}

#[test]
fn a_grant_that_began_and_ended_reads_the_same_booked_or_not() {
    let (engine, clock) = engine_at_noon();
    let mut later = GrantCredit::new(user("u1"), GrantType::Trial, amount("10"));
    later.effective_at = Some(at("2026-03-02T12:00:00Z"));
    later.expires_at = Some(at("2026-03-03T12:00:00Z"));
    let grant_id = engine.execute(acme().request(later)).unwrap().grant_id;
    clock.set(at("2026-03-04T12:00:00Z"));
    let unbooked = engine.grant(&acme().tenant_id, grant_id).unwrap();
    assert_eq!(engine.sweep(10).unwrap().entries, 2);
    assert_eq!(engine.grant(&acme().tenant_id, grant_id).unwrap(), unbooked);
}

#[test]
fn nothing_of_another_tenant_is_found() {
    let (engine, _) = engine_at_noon();
    let granted = engine.run(keyed(grant("u1", "10"), "k1")).unwrap();
    let held = engine.execute(acme().request(PlaceHold::new(user("u1"), amount("4")))).unwrap();
    let other = "other".parse().unwrap();
    let name = |failure: drawdown::Failure| failure.denial().unwrap().name();
    assert_eq!(name(engine.hold(&other, held.hold_id).unwrap_err()), "pre_deduct_not_found");
    assert_eq!(name(engine.grant(&other, granted.entries()[0].grant_id.unwrap()).unwrap_err()), "grant_not_found");
    assert_eq!(name(engine.task(&other, &"t1".parse().unwrap()).unwrap_err()), "task_not_found");
    assert_eq!(engine.operation_by_key(&other, &"k1".parse().unwrap()).unwrap(), None);
    assert!(engine.operation_by_key(&acme().tenant_id, &"k1".parse().unwrap()).unwrap().is_some());
    assert!(engine.feed(Some(&other), 0, 10).unwrap().is_empty());
}

/// Given, at noon, 10 that expire the next noon; charged 3 after two days. The books of the days between, asked before and after
/// the expiry is booked.
#[test]
fn the_balance_of_the_past_does_not_depend_on_when_it_is_asked() {
    let (engine, clock) = engine_at_noon();
    engine.run(trial("u1", "10", "2026-03-02T12:00:00Z")).unwrap();
    engine.run(grant("u1", "5")).unwrap();
    clock.set(at("2026-03-03T12:00:00Z"));
    let cases = [
        ("2026-03-01T11:59:59Z", "0"),
        (NOON, "15"),
        ("2026-03-02T11:59:59Z", "15"),
        ("2026-03-02T12:00:00Z", "5"),
        ("2026-03-03T11:59:59Z", "5"),
    ];
    let ask = |moment: &str| engine.balance_at(&account("u1"), at(moment)).unwrap().available.to_string();
    for (moment, expected) in cases {
        assert_eq!(ask(moment), expected, "{moment}, before it is booked");
    }
    engine.run(charge("u1", "3")).unwrap();
    for (moment, expected) in cases {
        assert_eq!(ask(moment), expected, "{moment}, after it is booked");
    }
    assert_eq!(ask("2026-03-03T12:00:00Z"), "2");
}

#[test]
fn the_feed_and_the_accounts_are_read_in_pages() {
    let (engine, _) = engine_at_noon();
    for name in ["u2", "u1", "u3"] {
        engine.run(grant(name, "1")).unwrap();
    }
    let first = engine.feed(None, 0, 2).unwrap();
    let rest = engine.feed(None, first[1].position, 2).unwrap();
    let owners: Vec<String> =
        first.iter().chain(&rest).map(|op| op.operation.account.as_ref().unwrap().owner.to_string()).collect();
    assert_eq!(owners, ["user:u2", "user:u1", "user:u3"]);
    let accounts = engine.accounts(None, 2).unwrap();
    assert_eq!(accounts, [account("u1"), account("u2")]);
    assert_eq!(engine.accounts(accounts.last(), 2).unwrap(), [account("u3")]);
    assert_eq!(engine.feed(None, 0, 1_001).unwrap_err().denial().unwrap().name(), "payload_invalid");
    assert_eq!(engine.accounts(None, 0).unwrap_err().denial().unwrap().name(), "payload_invalid");
}

#[test]
fn an_address_that_names_no_store_is_refused_without_repeating_it() {
    let refused = Engine::open("postgres://me:secret@host/db").unwrap_err().to_string();
    assert!(refused.contains("`postgres`") && !refused.contains("secret"), "{refused}");
    assert!(Engine::open("nowhere").is_err() && Engine::open("sqlite://").is_err() && Engine::open("memory://x").is_err());
    for wrong in ["sqlite:app.db", "sqlite://app.db?mode=ro", "sqlite://app.db#1", "file:app.db", "file://app.db"] {
        assert!(matches!(Engine::open(wrong), Err(drawdown::Error::Store(_))), "{wrong}");
    }
    assert!(!std::path::Path::new("app.db").exists() && !std::path::Path::new("sqlite:app.db").exists());
    assert!(Engine::open("memory://").is_ok());
}

#[cfg(feature = "sqlite")]
#[test]
fn the_books_in_a_file_outlive_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.db");
    let path = path.to_str().unwrap();
    let engine = Engine::open(&format!("sqlite://{path}")).unwrap();
    let tickets: Vec<_> = (0..20).map(|i| engine.submit(keyed(grant("u1", "1"), &format!("k{i}"))).unwrap()).collect();
    assert!(engine.run(charge("u1", "21")).is_err());
    drop(engine);
    assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
    let engine = Engine::open(path).unwrap();
    assert_eq!(available(&engine, "u1"), "20");
    assert!(engine.run(keyed(grant("u1", "1"), "k7")).unwrap().idempotent_replay);
    assert!(Engine::open(folder.path().join("none/books.db").to_str().unwrap()).is_err());
}

/// Two engines are two connections to one file: as two processes are.
#[cfg(feature = "sqlite")]
#[test]
fn engines_that_share_a_file_never_overdraw_it() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("books.db").to_str().unwrap());
    let engines = [Engine::open(&url).unwrap(), Engine::open(&url).unwrap()];
    engines[0].run(grant("u1", "60")).unwrap();
    let spend = |engine: &Engine| (0..50).filter(|_| engine.run(charge("u1", "1")).is_ok()).count();
    let spent: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = engines.iter().map(|engine| scope.spawn(|| spend(engine))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((spent, available(&engines[1], "u1").as_str()), (60, "0"));
}
