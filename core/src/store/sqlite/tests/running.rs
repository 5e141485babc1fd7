//! A full disk, locks, odd rows, and several stores at one file.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::{account, available, charge, grant, impatient, operations, place, run_tampered, stranger};
use crate::amount::Amount;
use crate::credit::GrantState;
use crate::ledger::{EntryQuery, EntryScope};
use crate::store::sqlite::{SqliteOptions, SqliteStore};
use crate::store::{Answer, Query, Store, StoreErrorKind};

/// Two stores at one file, of which the second has not written.
fn two() -> (TempDir, SqliteStore, SqliteStore) {
    let (folder, path) = place();
    let (store, other) = (SqliteStore::open(&path).unwrap(), SqliteStore::open(&path).unwrap());
    grant(&store, "1000").unwrap();
    (folder, store, other)
}

#[test]
fn stores_that_share_a_file_are_courteous_until_they_are_alone() {
    let (_folder, store, other) = two();
    (0..2).for_each(|number| charge(&store, &format!("alone{number}")).unwrap());
    assert!(!store.turns.are_shared());
    charge(&other, "other").unwrap();
    assert!(!store.turns.are_shared(), "it has not looked since");
    charge(&store, "shared").unwrap();
    assert!(store.turns.are_shared() && !other.turns.are_shared());
    (0..8).for_each(|number| charge(&store, &format!("again{number}")).unwrap());
    assert!(!store.turns.are_shared());
}

#[test]
fn a_store_that_comes_back_at_once_lets_the_others_go_first() {
    let (_folder, store, other) = two();
    (0..8).for_each(|number| charge(&store, &format!("alone{number}")).unwrap());
    assert_eq!(store.turns.waits(), 0);
    // Unless the machine is slower than the turn of the others is long, the first time.
    let has_waited = |round: u32| {
        charge(&other, &format!("other{round}")).unwrap();
        (0..4).for_each(|number| charge(&store, &format!("{round}-{number}")).unwrap());
        store.turns.waits() > 0
    };
    assert!((0..200).any(has_waited));
}

#[test]
fn a_full_disk_leaves_the_batch_out_and_nothing_else() {
    let (_folder, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    grant(&store, "1000").unwrap();
    let pages = |limit: i64| {
        let sql = format!("PRAGMA max_page_count = {limit}");
        store.writer().query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let unlimited = pages(0);
    pages(1);
    let mut charged = 0;
    let error = loop {
        match charge(&store, &format!("k{charged}")) {
            Ok(()) => charged += 1,
            Err(error) => break error,
        }
        assert!(charged < 1_000, "the disk never filled");
    };
    assert_eq!((error.kind, error.may_have_applied), (StoreErrorKind::Permanent, false));
    assert!(error.message.starts_with("the disk is full"), "{}", error.message);
    assert_eq!(operations(&store), charged + 1);
    pages(unlimited);
    charge(&store, &format!("k{charged}")).unwrap();
    assert_eq!(operations(&store), charged + 2);
}

#[test]
fn a_file_that_stays_locked_is_given_up_at_the_deadline() {
    let (_folder, path) = place();
    let store = SqliteStore::open_with(&path, impatient()).unwrap();
    grant(&store, "1").unwrap();
    let other = stranger(&path);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = charge(&store, "a").unwrap_err();
    assert_eq!((error.kind, error.may_have_applied), (StoreErrorKind::Transient, false));
    assert!(error.message.starts_with("the file is locked by another process"), "{}", error.message);
    assert_eq!(operations(&store), 1, "who reads does not wait");
    other.execute_batch("ROLLBACK").unwrap();
    charge(&store, "a").unwrap();
}

#[test]
fn a_file_that_is_freed_in_time_is_written() {
    let (_folder, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    grant(&store, "1").unwrap();
    let other = stranger(&path);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let holder = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        other.execute_batch("ROLLBACK").unwrap();
    });
    charge(&store, "a").unwrap();
    holder.join().unwrap();
}

#[test]
fn stores_at_one_file_write_one_after_the_other() {
    let (_folder, path) = place();
    grant(&SqliteStore::open(&path).unwrap(), "100").unwrap();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let store = SqliteStore::open(&path).unwrap();
            std::thread::spawn(move || (0..20).for_each(|n| charge(&store, &format!("{writer}-{n}")).unwrap()))
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!((operations(&store), available(&store)), (81, "80".to_owned()));
}

#[test]
fn more_may_read_than_there_are_connections() {
    let (_folder, path) = place();
    let options = SqliteOptions { readers: 2, ..SqliteOptions::default() };
    let store = Arc::new(SqliteStore::open_with(&path, options).unwrap());
    grant(&store, "1").unwrap();
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let store = Arc::clone(&store);
            std::thread::spawn(move || (0..50).for_each(|_| assert_eq!(operations(&store), 1)))
        })
        .collect();
    readers.into_iter().for_each(|reader| reader.join().unwrap());
}

#[test]
fn a_row_that_cannot_be_read_is_named() {
    let cases = [
        ("UPDATE grants SET type = 'monopoly money'", "`type` of row 1 of `grants` cannot be read"),
        ("UPDATE accounts SET head = x'00'", "`head` of row 1 of `accounts` cannot be read"),
        ("UPDATE accounts SET open_holds = -1", "`open_holds` of row 1 of `accounts` cannot be read"),
        ("UPDATE accounts SET last_at = 9223372036854775807", "`last_at` of row 1 of `accounts` cannot be read"),
        ("UPDATE entries SET draw = x'0102'", "`draw` of row 1 of `entries` cannot be read"),
        ("UPDATE entries SET terms = '{'", "`terms` of row 1 of `entries` cannot be read"),
        ("UPDATE entries SET reason = CAST(x'ff' AS TEXT)", "`reason` of row 1 of `entries` cannot be read"),
        ("UPDATE operations SET fingerprint = x''", "`fingerprint` of row 1 of `operations` cannot be read"),
        ("UPDATE operations SET actor = ''", "`actor` of row 1 of `operations` cannot be read"),
        ("DELETE FROM entries", "row 1 of `operations` has not all of its entries"),
    ];
    for (sql, message) in cases {
        let (_folder, path) = place();
        let store = SqliteStore::open(&path).unwrap();
        grant(&store, "1").unwrap();
        stranger(&path).execute_batch(sql).unwrap();
        let feed = Query::Feed { tenant_id: None, after: 0, limit: 1 };
        let questions = [Query::AccountImage(account()), feed];
        let error = questions.iter().find_map(|question| store.query(question).err()).unwrap();
        assert_eq!((error.kind, error.message.as_str()), (StoreErrorKind::Corrupt, message), "{sql}");
    }
}

#[test]
fn a_task_whose_row_cannot_be_read_is_named() {
    let (_folder, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    grant(&store, "1").unwrap();
    charge(&store, "a").unwrap();
    let task = Query::Task("acme".parse().unwrap(), "task-a".parse().unwrap());
    for (sql, column) in [("UPDATE tasks SET charges = -7", "charges"), ("UPDATE tasks SET hold_id = x'00'", "hold_id")] {
        stranger(&path).execute_batch(sql).unwrap();
        let error = store.query(&task).unwrap_err();
        let message = format!("`{column}` of row task-a of `tasks` cannot be read");
        assert_eq!((error.kind, error.message), (StoreErrorKind::Corrupt, message), "{sql}");
        stranger(&path).execute_batch("UPDATE tasks SET charges = 1").unwrap();
    }
}

const CHARGE: &str = r#"{"command": "charge", "tenant_id": "acme", "payer": "user:u1", "amount": "1"}"#;

#[test]
fn a_row_that_would_contradict_itself_is_not_written() {
    let (_folder, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    grant(&store, "10").unwrap();
    let one = Amount::from_units(1).unwrap();
    let minus_one = Amount::from_units(-1).unwrap();
    let error = run_tampered(&store, CHARGE, &|changes| changes.account.as_mut().unwrap().totals.issued = one).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error}");
    let error = run_tampered(&store, CHARGE, &|changes| changes.changed_grants[0].remaining = minus_one).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error}");
    let nowhere = crate::GrantId::from_uuid(uuid::Uuid::nil());
    let error = run_tampered(&store, CHARGE, &|changes| changes.changed_grants[0].id = nowhere).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error}");
    assert_eq!((operations(&store), available(&store)), (1, "10".to_owned()));
}

#[test]
fn a_taken_sequence_number_is_a_lost_race() {
    let (_folder, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    grant(&store, "10").unwrap();
    let error = run_tampered(&store, CHARGE, &|changes| changes.stored_mut().entries[0].seq = 1).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Conflict, "{error}");
}

#[test]
fn an_ended_grant_leaves_the_index_of_open_ones() {
    let (_folder, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    grant(&store, "0.25").unwrap();
    grant(&store, "0.5").unwrap();
    charge(&store, "a").unwrap();
    let Ok(Answer::AccountImage(Some(image))) = store.query(&Query::AccountImage(account())) else { panic!("no account") };
    let open: Vec<_> = image.facts.grants.values().map(|grant| (grant.remaining.to_string(), grant.state)).collect();
    assert_eq!(open, [("0.5".to_owned(), GrantState::Active)]);
}

#[test]
fn the_views_show_words_and_decimals() {
    let (_folder, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    grant(&store, "10").unwrap();
    charge(&store, "a").unwrap();
    let query = EntryQuery::new(EntryScope::Account(account()));
    let Ok(Answer::Entries(page)) = store.query(&Query::Entries(query)) else { panic!("no page") };
    let reader = stranger(&path);
    let sql = "SELECT ledger_id || ' ' || owner || ' ' || kind || ' ' || change || ' ' || balance_after || ' ' || created_at \
               FROM ledger WHERE tenant_id = 'acme' AND seq = 2";
    let line: String = reader.query_row(sql, [], |row| row.get(0)).unwrap();
    let id = page.entries[0].ledger_id();
    assert_eq!(line, format!("{id} user:u1 charge -0.250000 9.750000 2026-03-01T12:00:00.000000Z"));
    let sql = "SELECT owner || ' ' || available || ' ' || frozen || ' ' || consumed || ' ' || last_at FROM balances";
    let line: String = reader.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(line, "user:u1 9.750000 0.000000 0.250000 2026-03-01T12:00:00.000000Z");
}

#[test]
fn the_views_show_any_amount_and_any_time() {
    let (_folder, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    grant(&store, "10").unwrap();
    let other = stranger(&path);
    let shown = |micros: i64, at: i64| -> (String, String, String, String) {
        let sql = format!(
            "UPDATE entries SET change = {micros}, created_at = {at}, effective_at = {at} - 1; \
             UPDATE accounts SET last_at = {at}, due_at = {at} - 1;"
        );
        other.execute_batch(&sql).unwrap();
        let sql = "SELECT change, created_at, effective_at, last_at || ' ' || due_at FROM ledger, balances";
        other.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap()
    };
    for micros in [0, 1, -1, 999_999, -999_999, 1_000_000, -1_000_000, -1_000_001, i64::MAX, i64::MIN] {
        let digits = format!("{:07}", micros.unsigned_abs());
        let (units, rest) = digits.split_at(digits.len() - 6);
        assert_eq!(shown(micros, 1).0, format!("{}{units}.{rest}", if micros < 0 { "-" } else { "" }));
    }
    for at in [1, 0, -1, -999_999, -1_000_000, -1_000_001, -62_135_596_799_999_999, 253_402_300_799_999_999] {
        let text = |micros| crate::Timestamp::from_micros(micros).unwrap().to_string();
        let (_, created_at, effective_at, both) = shown(1, at);
        assert_eq!((created_at, effective_at), (text(at), text(at - 1)));
        assert_eq!(both, format!("{} {}", text(at), text(at - 1)));
    }
}

#[test]
fn a_charge_takes_at_most_450_bytes_of_the_file() {
    const CHARGES: i64 = 2_000;
    let (_folder, path) = place();
    let options = SqliteOptions { synchronous: crate::store::sqlite::Synchronous::Normal, ..SqliteOptions::default() };
    let store = SqliteStore::open_with(&path, options).unwrap();
    grant(&store, "1000").unwrap();
    let bytes = || {
        let sql = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";
        stranger(&path).query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let before = bytes();
    for n in 0..CHARGES {
        let json = format!(
            r#"{{"command": "charge", "tenant_id": "acme", "payer": "user:u1", "amount": "0.25",
                "idempotency_key": "request-{n:08}"}}"#
        );
        super::run(&store, &json).unwrap();
    }
    let each = (bytes() - before) / CHARGES;
    println!("{each} bytes a charge");
    assert!(each <= 450, "{each} bytes a charge");
}
