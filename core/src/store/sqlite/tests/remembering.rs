//! What a store remembers of accounts is what the file says.

use std::sync::Arc;

use super::{charge, grant, place, run_tampered, stranger};
use crate::amount::Amount;
use crate::store::sqlite::SqliteStore;
use crate::store::{Answer, Query, Store};

/// What is available and how many entries there are, as the file says.
fn balance(store: &SqliteStore) -> (String, u64) {
    let key = crate::AccountKey::new("acme".parse().unwrap(), "user:u1".parse().unwrap(), "credit".parse().unwrap());
    match store.query(&Query::AccountImage(key)) {
        Ok(Answer::AccountImage(Some(image))) => (image.facts.account.available.to_string(), image.facts.account.seq),
        other => panic!("no account: {other:?}"),
    }
}

#[test]
fn what_another_store_has_committed_is_seen() {
    let (_folder, path) = place();
    let stores = [SqliteStore::open(&path).unwrap(), SqliteStore::open(&path).unwrap()];
    grant(&stores[0], "2").unwrap();
    for number in 0..8 {
        charge(&stores[number % 2], &format!("k{number}")).unwrap();
    }
    grant(&stores[1], "1").unwrap();
    charge(&stores[0], "last").unwrap();
    assert_eq!(balance(&stores[0]), ("0.75".to_owned(), 11));
}

#[test]
fn what_another_program_has_changed_is_seen() {
    let (_folder, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    grant(&store, "1").unwrap();
    charge(&store, "a").unwrap();
    charge(&store, "b").unwrap();
    stranger(&path).execute_batch("UPDATE accounts SET last_at = -1; UPDATE grants SET held = 1").unwrap();
    let read = |changes: &mut crate::changes::Changes| assert_eq!(changes.changed_grants[0].held, Amount::from_micros(1));
    let command = r#"{"command": "charge", "tenant_id": "acme", "payer": "user:u1", "amount": "0.25"}"#;
    run_tampered(&store, command, &read).unwrap();
}

#[test]
fn a_batch_that_failed_leaves_nothing_behind() {
    let (_folder, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    grant(&store, "1").unwrap();
    charge(&store, "a").unwrap();
    let wrong = |changes: &mut crate::changes::Changes| changes.account.as_mut().unwrap().available = Amount::MAX;
    let command = r#"{"command": "charge", "tenant_id": "acme", "payer": "user:u1", "amount": "0.25"}"#;
    run_tampered(&store, command, &wrong).unwrap_err();
    charge(&store, "b").unwrap();
    assert_eq!(balance(&store), ("0.5".to_owned(), 3));
}

#[test]
fn grants_that_end_and_begin_are_followed() {
    let (_folder, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    for round in 0..20 {
        grant(&store, "0.5").unwrap();
        charge(&store, &format!("a{round}")).unwrap();
        charge(&store, &format!("b{round}")).unwrap();
    }
    assert_eq!(balance(&store), ("0".to_owned(), 60));
}

/// An engine over a file which has seen no key twice for so long that it presumes keys to be new, and a way to charge.
fn presuming() -> (tempfile::TempDir, crate::Engine) {
    let (folder, path) = place();
    let engine = crate::Engine::builder().store(Arc::new(SqliteStore::open(&path).unwrap())).build().unwrap();
    engine.run(command(r#""command": "grant", "owner": "user:u1", "type": "purchased", "amount": "100""#)).unwrap();
    (0..90).for_each(|number| drop(charged(&engine, number, "1").unwrap()));
    (folder, engine)
}

fn command(fields: &str) -> crate::Command {
    crate::Command::from_json(&format!(r#"{{"tenant_id": "acme", {fields}}}"#)).unwrap()
}

fn charged(engine: &crate::Engine, number: u32, amount: &str) -> Result<crate::Receipt, crate::Failure> {
    engine
        .run(command(&format!(r#""command": "charge", "payer": "user:u1", "amount": "{amount}", "idempotency_key": "k{number}""#)))
}

fn denied(answer: Result<crate::Receipt, crate::Failure>) -> String {
    match answer {
        Err(crate::Failure::Denied(denial)) => denial.name().to_owned(),
        other => panic!("not denied: {other:?}"),
    }
}

#[test]
fn a_key_that_was_presumed_to_be_new_is_answered_again() {
    let (_folder, engine) = presuming();
    let again = charged(&engine, 7, "1").unwrap();
    assert!(again.idempotent_replay);
    assert!(!charged(&engine, 90, "1").unwrap().idempotent_replay);
    assert_eq!(engine.balance(&account()).unwrap().available.to_string(), "9");
}

#[test]
fn a_key_that_was_presumed_to_be_new_has_one_payload() {
    let (_folder, engine) = presuming();
    assert_eq!(denied(charged(&engine, 7, "2")), "idempotency_conflict");
}

#[test]
fn what_would_be_denied_now_is_answered_again_too() {
    let (_folder, engine) = presuming();
    charged(&engine, 90, "9.5").unwrap();
    assert!(charged(&engine, 7, "1").unwrap().idempotent_replay);
    assert_eq!(denied(charged(&engine, 91, "1")), "insufficient_balance");
}

#[test]
fn a_batch_in_which_one_key_is_known_is_decided_again_as_a_whole() {
    // Fewer and more than one statement inserts.
    for (first, count) in [(100, 3), (200, 8), (300, 30)] {
        let (_folder, engine) = presuming();
        let numbers: Vec<u32> = (first..first + count).chain([7, first]).collect();
        let charges = numbers.iter().map(|number| {
            command(&format!(r#""command": "charge", "payer": "user:u1", "amount": "0.1", "idempotency_key": "k{number}""#))
        });
        let known = command(r#""command": "charge", "payer": "user:u1", "amount": "1", "idempotency_key": "k7""#);
        let charges = charges
            .map(|charge| if charge.context.idempotency_key == known.context.idempotency_key { known.clone() } else { charge });
        let answers = engine.execute_many(charges.collect());
        let replayed: Vec<bool> = answers.into_iter().map(|answer| answer.unwrap().idempotent_replay).collect();
        let expected: Vec<bool> = (0..numbers.len()).map(|at| at >= numbers.len() - 2).collect();
        assert_eq!(replayed, expected, "{count}");
        let left = 100_000_000 - i64::from(count) * 100_000 - 90_000_000;
        assert_eq!(engine.balance(&account()).unwrap().available.micros(), left, "{count}");
        assert!(engine.verify().unwrap().is_clean());
    }
}

#[test]
fn whoever_is_blocked_after_nobody_was_for_long_is_refused() {
    let (_folder, engine) = presuming();
    let blocking = |kind: &str| {
        command(&format!(r#""command": "{kind}", "target": {{"user": "u1"}}, "operator": "ops", "reason": "a doubt""#))
    };
    engine.run(blocking("block")).unwrap();
    assert_eq!(denied(charged(&engine, 90, "1")), "blocked");
    engine.run(blocking("unblock")).unwrap();
    charged(&engine, 90, "1").unwrap();
}

fn account() -> crate::AccountKey {
    crate::AccountKey::new("acme".parse().unwrap(), "user:u1".parse().unwrap(), "credit".parse().unwrap())
}
