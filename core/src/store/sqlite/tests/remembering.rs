//! What a store remembers of accounts is what the file says.

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
