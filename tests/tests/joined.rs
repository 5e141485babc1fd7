//! The second door: commands that are committed, or rolled back, with the host's own rows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use drawdown::rusqlite::{Connection, Transaction, TransactionBehavior};
use drawdown::store::StoreErrorKind;
use drawdown::store::memory::MemoryStore;
use drawdown::store::sqlite::SqliteStore;
use drawdown::testing::fault::{Fault, FaultStore, When};
use drawdown::{
    Amount, CaptureHold, Charge, ChargeReceipt, Denial, Engine, Error, Failure, GrantCredit, GrantType, LimitPeriod, ManualClock,
    MemberLimit, Owner, Pending, PlaceHold, Request, Role, SetMember,
};
use drawdown_tests::load;
use tempfile::TempDir;

/// An engine whose account 0 has 100, and a connection of the host to its file, with a table of the host's.
struct World {
    _folder: TempDir,
    path: PathBuf,
    engine: Engine,
    host: Connection,
}

fn world() -> World {
    world_within(Duration::from_secs(30))
}

fn world_within(deadline: Duration) -> World {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let engine = load::open(path.to_str().unwrap(), deadline).unwrap();
    engine.run(load::grant(0, 100)).unwrap();
    let host = connect(&path);
    host.execute_batch("CREATE TABLE app_orders (id TEXT PRIMARY KEY) STRICT").unwrap();
    World { _folder: folder, path, engine, host }
}

fn connect(path: &Path) -> Connection {
    Connection::open(path).unwrap()
}

fn begin(host: &mut Connection) -> Transaction<'_> {
    host.transaction_with_behavior(TransactionBehavior::Immediate).unwrap()
}

fn charge(key: &str, units: i64) -> Request<Charge> {
    load::tenant().key(key).unwrap().request(Charge::new(load::owner(0), Amount::from_units(units).unwrap()))
}

fn stage(engine: &Engine, transaction: &Transaction<'_>, key: &str, units: i64) -> Result<Pending<ChargeReceipt>, Failure> {
    engine.join(transaction)?.stage(charge(key, units))
}

fn order(transaction: &Connection, id: &str) {
    transaction.execute("INSERT INTO app_orders VALUES (?1)", [id]).unwrap();
}

fn orders(path: &Path) -> i64 {
    connect(path).query_row("SELECT count(*) FROM app_orders", [], |row| row.get(0)).unwrap()
}

fn available(engine: &Engine) -> String {
    engine.balance(&load::account(0)).unwrap().available.to_string()
}

fn denial<T: std::fmt::Debug>(answer: Result<T, Failure>) -> Denial {
    answer.unwrap_err().denial().expect("a denial").clone()
}

/// What the store refused, for good.
fn refusal(engine: &Engine, transaction: &Transaction<'_>) -> String {
    match engine.join(transaction) {
        Err(Error::Store(message)) => message,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_charge_is_committed_with_the_hosts_rows() {
    let World { _folder, path, engine, mut host } = world();
    let transaction = begin(&mut host);
    let pending = stage(&engine, &transaction, "order-1", 30).unwrap();
    order(&transaction, "order-1");
    assert_eq!(pending.as_uncommitted().balance_after.to_string(), "70");
    assert_eq!((available(&engine).as_str(), orders(&path)), ("100", 0), "nobody sees it yet");
    assert_eq!(engine.feed(None, 1, 10).unwrap().len(), 0);
    transaction.commit().unwrap();
    let receipt = pending.assuming_commit();
    assert!(!receipt.idempotent_replay);
    assert_eq!((available(&engine).as_str(), orders(&path)), ("70", 1));
    let feed = engine.feed(None, 1, 10).unwrap();
    assert_eq!((feed.len(), feed[0].operation.audit_id()), (1, receipt.audit_id));
    load::assert_clean(&engine);
}

#[test]
fn a_rollback_leaves_nothing_and_the_same_command_works_afterwards() {
    let World { _folder, path, engine, mut host } = world();
    let transaction = begin(&mut host);
    let pending = stage(&engine, &transaction, "order-1", 30).unwrap();
    order(&transaction, "order-1");
    transaction.rollback().unwrap();
    drop(pending);
    assert_eq!((available(&engine).as_str(), orders(&path)), ("100", 0));
    let receipt = engine.execute(charge("order-1", 30)).unwrap();
    assert!(!receipt.idempotent_replay);
    assert_eq!(available(&engine), "70");
    load::assert_clean(&engine);
}

#[test]
fn a_host_that_ends_without_a_commit_leaves_nothing() {
    let World { _folder, path, engine, mut host } = world();
    let transaction = begin(&mut host);
    let _ = stage(&engine, &transaction, "order-1", 30).unwrap();
    order(&transaction, "order-1");
    drop(transaction);
    drop(host);
    assert_eq!((available(&engine).as_str(), orders(&path)), ("100", 0));
    let mut host = connect(&path);
    let transaction = begin(&mut host);
    assert!(!stage(&engine, &transaction, "order-1", 30).unwrap().as_uncommitted().idempotent_replay);
    transaction.commit().unwrap();
    assert_eq!(available(&engine), "70");
    load::assert_clean(&engine);
}

#[test]
fn a_refused_command_leaves_the_transaction_usable_and_the_hosts_rows_in_it() {
    let World { _folder, path, engine, mut host } = world();
    let transaction = begin(&mut host);
    let joined = engine.join(&transaction).unwrap();
    order(&transaction, "before");
    assert_eq!(denial(joined.stage(charge("order-1", 101))).name(), "insufficient_balance");
    assert_eq!(denial(joined.stage(charge("order-1", 0))).name(), "amount_invalid");
    order(&transaction, "after");
    let _ = joined.stage(charge("order-1", 100)).unwrap();
    transaction.commit().unwrap();
    assert_eq!((available(&engine).as_str(), orders(&path)), ("0", 2));
    load::assert_clean(&engine);
    let stats = engine.stats();
    assert_eq!((stats.staged.accepted, stats.staged.denied.values().sum::<u64>()), (1, 2));
    assert_eq!((stats.commands.accepted, stats.batch_size.count), (1, 1), "the grant");
}

/// Fails in the midst of what is written.
#[test]
fn a_command_that_fails_leaves_nothing_behind_and_the_transaction_usable() {
    let World { _folder, path, engine, mut host } = world();
    let transaction = begin(&mut host);
    let joined = engine.join(&transaction).unwrap();
    order(&transaction, "order-1");
    transaction.execute_batch("CREATE TRIGGER app_stop AFTER UPDATE ON grants BEGIN SELECT RAISE(ABORT, 'stop'); END").unwrap();
    assert!(matches!(joined.stage(charge("order-1", 1)), Err(Failure::Failed(Error::Corrupt(_)))));
    let rows: i64 = transaction.query_row("SELECT count(*) FROM operations", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1, "the grant");
    transaction.execute_batch("DROP TRIGGER app_stop").unwrap();
    assert!(!joined.stage(charge("order-1", 1)).unwrap().as_uncommitted().idempotent_replay);
    transaction.commit().unwrap();
    assert_eq!((available(&engine).as_str(), orders(&path)), ("99", 1));
    load::assert_clean(&engine);
}

#[test]
fn a_transaction_that_sqlite_rolls_back_is_said_to_have_ended() {
    let World { _folder, path, engine, mut host } = world();
    host.execute_batch("CREATE TRIGGER app_stop AFTER UPDATE ON grants BEGIN SELECT RAISE(ROLLBACK, 'stop'); END").unwrap();
    let transaction = begin(&mut host);
    let joined = engine.join(&transaction).unwrap();
    order(&transaction, "order-1");
    let failed = joined.stage(charge("order-1", 1)).unwrap_err().to_string();
    assert!(failed.ends_with("; the whole transaction was rolled back"), "{failed}");
    let failed = joined.stage(charge("order-1", 1)).unwrap_err().to_string();
    assert_eq!(failed, "the store failed: the transaction that was joined has ended");
    assert_eq!(engine.stats().staged.failed.values().sum::<u64>(), 2);
    transaction.commit().unwrap_err();
    assert_eq!((available(&engine).as_str(), orders(&path)), ("100", 0));
    load::assert_clean(&engine);
}

#[test]
fn an_account_ahead_of_the_clock_is_no_more_decided_here_than_elsewhere() {
    let World { _folder, path, engine: _, mut host } = world();
    let clock = Arc::new(ManualClock::at("2020-01-01T00:00:00Z".parse().unwrap()));
    let engine = Engine::builder().url(format!("sqlite://{}", path.display())).clock(clock).build().unwrap();
    let transaction = begin(&mut host);
    assert!(matches!(stage(&engine, &transaction, "a", 1), Err(Failure::Failed(Error::ClockBehind { .. }))));
    order(&transaction, "order-1");
    transaction.commit().unwrap();
    assert_eq!(orders(&path), 1);
}

#[test]
fn either_door_replays_what_the_other_did() {
    let World { _folder, path: _, engine, mut host } = world();
    let first = engine.execute(charge("first", 1)).unwrap();
    let transaction = begin(&mut host);
    let joined = engine.join(&transaction).unwrap();
    let replay = joined.stage(charge("first", 1)).unwrap();
    assert!(replay.as_uncommitted().idempotent_replay);
    assert_eq!(replay.as_uncommitted().audit_id, first.audit_id);
    assert_eq!(denial(joined.stage(charge("first", 2))).name(), "idempotency_conflict");
    let second = joined.stage(charge("second", 2)).unwrap();
    let again = joined.stage(charge("second", 2)).unwrap();
    assert!(again.as_uncommitted().idempotent_replay);
    transaction.commit().unwrap();
    let (second, replay) = (second.assuming_commit(), engine.execute(charge("second", 2)).unwrap());
    assert!(!second.idempotent_replay && replay.idempotent_replay);
    assert_eq!((replay.audit_id, available(&engine).as_str()), (second.audit_id, "97"));
    load::assert_clean(&engine);
}

#[test]
fn options_hold_at_the_second_door() {
    let World { _folder, path: _, engine, mut host } = world();
    let transaction = begin(&mut host);
    let joined = engine.join(&transaction).unwrap();
    let past = charge("late", 1).context.deadline("2020-01-01T00:00:00Z".parse().unwrap());
    let late = joined.stage(past.request(charge("late", 1).body));
    assert!(matches!(late, Err(Failure::Failed(Error::Busy(_)))), "{late:?}");
    let expecting = |version, key| {
        let Request { context, body } = charge(key, 1);
        context.expected_version(version).request(body)
    };
    assert_eq!(denial(joined.stage(expecting(0, "old"))).name(), "version_conflict");
    assert_eq!(joined.stage(expecting(1, "a")).unwrap().as_uncommitted().version, 2);
    assert_eq!(joined.stage(expecting(2, "b")).unwrap().as_uncommitted().version, 3, "what was staged counts");
    transaction.rollback().unwrap();
    assert_eq!(engine.execute(expecting(1, "a")).unwrap().version, 2, "what was rolled back does not");
    load::assert_clean(&engine);
}

/// A member who is denied by one door is denied again by the other, whatever the limit is by then; a rollback forgets it.
#[test]
fn a_remembered_denial_of_a_member_holds_at_both_doors() {
    let World { _folder, path: _, engine, mut host } = world();
    let organization = Owner::organization("o1").unwrap();
    let tenant = load::tenant();
    let set_limit = |units: i64| {
        let limit = MemberLimit { amount: Amount::from_units(units).unwrap(), unit: None, per: LimitPeriod::Day };
        SetMember { limit: Some(limit), ..SetMember::new("o1", "u1", Role::Member, "ops").unwrap() }
    };
    let spend = |key: &str, units: i64| {
        let charge = Charge::new(organization.clone(), Amount::from_units(units).unwrap());
        let charge = Charge { user_id: Some("u1".parse().unwrap()), ..charge };
        tenant.key(key).unwrap().remember_denials().request(charge)
    };
    let hundred = Amount::from_units(100).unwrap();
    engine.execute(tenant.request(GrantCredit::new(organization.clone(), GrantType::Purchased, hundred))).unwrap();
    engine.execute(tenant.request(set_limit(10))).unwrap();

    let transaction = begin(&mut host);
    let joined = engine.join(&transaction).unwrap();
    let _ = joined.stage(spend("a", 6)).unwrap();
    let refused = denial(joined.stage(spend("b", 5)));
    assert_eq!((refused.name(), refused.details()["used"].as_str()), ("member_limit_exceeded", Some("6")));
    let _ = joined.stage(tenant.request(set_limit(50))).unwrap();
    assert_eq!(denial(joined.stage(spend("b", 5))), refused, "within the transaction");
    transaction.commit().unwrap();
    assert_eq!(denial(engine.execute(spend("b", 5))), refused, "by the first door");
    assert_eq!(engine.execute(spend("c", 44)).unwrap().balance_after.to_string(), "50");

    let by_first_door = denial(engine.execute(spend("d", 1)));
    let transaction = begin(&mut host);
    let joined = engine.join(&transaction).unwrap();
    let _ = joined.stage(tenant.request(set_limit(60))).unwrap();
    assert_eq!(denial(joined.stage(spend("d", 1))), by_first_door, "by the second door");
    assert_eq!(denial(joined.stage(spend("e", 11))).name(), "member_limit_exceeded");
    transaction.rollback().unwrap();
    engine.execute(tenant.request(set_limit(61))).unwrap();
    assert!(engine.execute(spend("e", 11)).is_ok(), "what was rolled back was not denied");
    load::assert_clean(&engine);
}

#[test]
fn commands_of_one_transaction_see_one_another() {
    let World { _folder, path: _, engine, mut host } = world();
    let transaction = begin(&mut host);
    let joined = engine.join(&transaction).unwrap();
    let all = Amount::from_units(100).unwrap();
    let held = joined.stage(load::tenant().request(PlaceHold::new(load::owner(0), all))).unwrap();
    assert_eq!(denial(joined.stage(charge("a", 1))).name(), "insufficient_balance");
    let capture = CaptureHold::new(held.as_uncommitted().hold_id, Amount::from_units(60).unwrap());
    let _ = joined.stage(load::tenant().request(capture)).unwrap();
    // Any kind of command, and through another joining of the same transaction.
    let pending = engine.join(&transaction).unwrap().stage(charge("a", 40).into_command()).unwrap();
    assert_eq!(pending.as_uncommitted().to_json()["balance_after"], "0");
    transaction.commit().unwrap();
    assert_eq!(available(&engine), "0");
    load::assert_clean(&engine);
}

#[test]
fn a_part_of_the_hosts_transaction_can_be_rolled_back() {
    let World { _folder, path, engine, mut host } = world();
    let mut transaction = begin(&mut host);
    let _ = stage(&engine, &transaction, "kept", 1).unwrap();
    let mut part = transaction.savepoint().unwrap();
    order(&part, "undone");
    part.rollback().unwrap();
    drop(part);
    transaction.execute_batch("SAVEPOINT app").unwrap();
    let _ = stage(&engine, &transaction, "undone", 1).unwrap();
    transaction.execute_batch("ROLLBACK TO app; RELEASE app").unwrap();
    let _ = stage(&engine, &transaction, "also kept", 1).unwrap();
    transaction.commit().unwrap();
    assert_eq!((available(&engine).as_str(), orders(&path)), ("98", 0));
    assert!(!engine.execute(charge("undone", 1)).unwrap().idempotent_replay);
    load::assert_clean(&engine);
}

#[test]
fn the_first_door_waits_for_the_hosts_transaction_and_is_busy_at_the_deadline() {
    let World { _folder, path: _, engine, mut host } = world_within(Duration::from_millis(200));
    let transaction = begin(&mut host);
    let _ = stage(&engine, &transaction, "joined", 1).unwrap();
    let began = Instant::now();
    assert!(matches!(engine.execute(charge("alone", 1)), Err(Failure::Failed(Error::Busy(_)))));
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert_eq!(available(&engine), "100", "reads do not wait");
    let _ = stage(&engine, &transaction, "joined too", 1).unwrap();
    transaction.commit().unwrap();
    assert!(!engine.execute(charge("alone", 1)).unwrap().idempotent_replay);
    assert_eq!(available(&engine), "97");
    load::assert_clean(&engine);
}

fn busy_timeout(host: &Connection) -> i64 {
    host.query_row("PRAGMA busy_timeout", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_lock_that_another_keeps_is_busy_at_the_timeout_and_the_hosts_settings_stay() {
    let World { _folder, path, engine, mut host } = world();
    let mut other = connect(&path);
    let locked = begin(&mut other);
    let before = busy_timeout(&host);
    assert!(before > 1_000, "the host would wait longer by itself");
    let transaction = host.transaction().unwrap();
    let timeout = Duration::from_millis(150);
    let began = Instant::now();
    assert!(matches!(engine.join_within(&transaction, timeout), Err(Error::Busy(_))));
    let waited = began.elapsed();
    assert!(waited >= timeout && waited < Duration::from_secs(4), "{waited:?}");
    assert_eq!(busy_timeout(&transaction), before);
    // The transaction goes on, and gets the lock once it is free.
    locked.rollback().unwrap();
    let _ = stage(&engine, &transaction, "a", 1).unwrap();
    transaction.commit().unwrap();
    assert_eq!((available(&engine).as_str(), busy_timeout(&host)), ("99", before));
}

#[test]
fn a_deferred_transaction_waits_for_the_lock() {
    let World { _folder, path, engine, mut host } = world();
    let mut other = connect(&path);
    let locked = begin(&mut other);
    thread::scope(|scope| {
        let joiner = scope.spawn(|| {
            let transaction = host.transaction().unwrap();
            let _ = stage(&engine, &transaction, "a", 1).unwrap();
            transaction.commit().unwrap();
        });
        thread::sleep(Duration::from_millis(50));
        order(&locked, "meanwhile");
        locked.commit().unwrap();
        joiner.join().unwrap();
    });
    assert_eq!((available(&engine).as_str(), orders(&path)), ("99", 1));
}

#[test]
fn a_transaction_that_read_an_older_state_is_told_at_once_to_begin_immediate() {
    let World { _folder, path, engine, mut host } = world();
    let transaction = host.transaction().unwrap();
    transaction.query_row("SELECT count(*) FROM app_orders", [], |row| row.get::<_, i64>(0)).unwrap();
    engine.execute(charge("meanwhile", 1)).unwrap();
    let began = Instant::now();
    let Err(Error::Busy(message)) = engine.join(&transaction) else { panic!("not busy") };
    assert!(message.contains("begin it IMMEDIATE"), "{message}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    transaction.rollback().unwrap();
    let transaction = host.transaction().unwrap();
    assert_eq!(orders(&path), 0);
    transaction.query_row("SELECT count(*) FROM app_orders", [], |row| row.get::<_, i64>(0)).unwrap();
    let _ = stage(&engine, &transaction, "a", 1).expect("what was read is the newest state");
    transaction.commit().unwrap();
    assert_eq!(available(&engine), "98");
}

#[test]
fn other_files_are_refused() {
    let World { _folder, path, engine, host: _ } = world();
    let beside = |name: &str| path.with_file_name(name);
    // The books of another engine, the file of another program, a copy, none at all.
    let other = load::open(beside("other.db").to_str().unwrap(), Duration::from_secs(1)).unwrap();
    connect(&beside("notes.db")).execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    connect(&path).execute("VACUUM INTO ?1", [beside("copy.db").to_str().unwrap()]).unwrap();
    for name in ["other.db", "notes.db", "copy.db"] {
        let mut host = connect(&beside(name));
        let message = refusal(&engine, &begin(&mut host));
        assert!(message.contains("is not the file of the engine") && message.contains(name), "{message}");
    }
    let mut host = connect(&path);
    let message = refusal(&other, &begin(&mut host));
    assert!(message.contains("is not the file of the engine"), "{message}");
    let mut memory = Connection::open_in_memory().unwrap();
    assert_eq!(refusal(&engine, &begin(&mut memory)), "the connection has no file");
    // The books are there, but not as the connection's main file.
    memory.execute("ATTACH ?1 AS books", [path.to_str().unwrap()]).unwrap();
    assert_eq!(refusal(&engine, &begin(&mut memory)), "the connection has no file");
}

#[cfg(unix)]
#[test]
fn a_file_that_was_replaced_is_refused_and_a_link_to_it_is_not() {
    let World { _folder, path, engine, mut host } = world();
    let link = path.with_file_name("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let mut linked = connect(&link);
    let transaction = begin(&mut linked);
    let _ = stage(&engine, &transaction, "a", 1).unwrap();
    transaction.commit().unwrap();
    std::fs::copy(&path, path.with_file_name("copy.db")).unwrap();
    std::fs::rename(path.with_file_name("copy.db"), &path).unwrap();
    let message = refusal(&engine, &host.transaction().unwrap());
    assert!(message.ends_with("is no longer the file that was opened"), "{message}");
}

#[test]
fn connections_that_cannot_write_the_books_are_refused() {
    let World { _folder, path, engine, mut host } = world();
    let mut reader = Connection::open_with_flags(&path, drawdown::rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let message = refusal(&engine, &reader.transaction().unwrap());
    assert!(message.ends_with("was opened to be read only"), "{message}");
    host.execute_batch("PRAGMA query_only = ON").unwrap();
    let message = refusal(&engine, &host.transaction().unwrap());
    assert!(message.starts_with("the file cannot be written"), "{message}");
    host.execute_batch("PRAGMA query_only = OFF; CREATE TEMP TABLE Accounts (x)").unwrap();
    let message = refusal(&engine, &begin(&mut host));
    assert!(message.contains("a temporary one"), "{message}");
    host.execute_batch("DROP TABLE temp.Accounts").unwrap();
    let transaction = begin(&mut host);
    transaction.execute_batch("PRAGMA user_version = 99").unwrap();
    let message = refusal(&engine, &transaction);
    assert!(message.contains("has schema version 99"), "{message}");
    transaction.rollback().unwrap();
    let _ = stage(&engine, &begin(&mut host), "a", 1).unwrap();
}

#[test]
fn an_engine_without_a_file_and_a_closed_one_join_nothing() {
    let World { _folder, path, engine, mut host } = world();
    let transaction = begin(&mut host);
    let message = refusal(&Engine::in_memory(), &transaction);
    assert!(message.contains("in no SQLite file"), "{message}");
    let joined = engine.join(&transaction).unwrap();
    engine.close();
    assert!(matches!(engine.join(&transaction), Err(Error::Closed)));
    assert!(matches!(joined.stage(charge("a", 1)), Err(Failure::Failed(Error::Closed))));
    // A store that hands its calls to another says which file it is.
    let store = |inner| FaultStore::planned(inner, [Fault { call: 9, when: When::Before, kind: StoreErrorKind::Transient }]);
    let wrapped = Engine::builder().store(Arc::new(store(Arc::new(SqliteStore::open(&path).unwrap())))).build().unwrap();
    let _ = stage(&wrapped, &transaction, "a", 1).unwrap();
    let wrapped = Engine::builder().store(Arc::new(store(Arc::new(MemoryStore::new())))).build().unwrap();
    assert!(refusal(&wrapped, &transaction).contains("in no SQLite file"));
}

/// Eight threads want the same 60 charges, half of them with a row of the host in the same transaction.
#[test]
fn threads_that_mix_both_doors_spend_exactly_once() {
    const KEYS: i64 = 60;
    let World { _folder, path, engine, host: _ } = world();
    let executed: i64 = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let (path, engine) = (&path, &engine);
                scope.spawn(
                    move || if thread % 2 == 0 { by_first_door(engine, thread) } else { by_second_door(engine, path, thread) },
                )
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((executed, orders(&path)), (KEYS, 4 * KEYS));
    assert_eq!(available(&engine), "40");
    let feed = engine.feed(None, 0, 1_000).unwrap();
    assert_eq!(feed.len(), 61);
    assert!(feed.iter().enumerate().all(|(at, stored)| stored.position == at as u64 + 1), "without gaps");
    load::assert_clean(&engine);

    fn key(thread: i64, number: i64) -> String {
        format!("key-{}", (number + thread * 11) % KEYS)
    }

    fn by_first_door(engine: &Engine, thread: i64) -> i64 {
        let charges = (0..KEYS).map(|number| engine.execute(charge(&key(thread, number), 1)).unwrap());
        charges.map(|receipt| i64::from(!receipt.idempotent_replay)).sum()
    }

    fn by_second_door(engine: &Engine, path: &Path, thread: i64) -> i64 {
        let mut host = connect(path);
        // Some begin to write only when they join.
        let behavior = if thread % 4 == 1 { TransactionBehavior::Immediate } else { TransactionBehavior::Deferred };
        host.busy_timeout(Duration::from_secs(60)).unwrap();
        let mut executed = 0;
        for number in 0..KEYS {
            for commits in [number % 7 != 0, true] {
                let transaction = host.transaction_with_behavior(behavior).unwrap();
                let joined = engine.join(&transaction).unwrap();
                let pending = joined.stage(charge(&key(thread, number), 1)).unwrap();
                order(&transaction, &format!("{thread}-{number}"));
                if commits {
                    transaction.commit().unwrap();
                    executed += i64::from(!pending.assuming_commit().idempotent_replay);
                    break;
                }
                transaction.rollback().unwrap();
            }
        }
        executed
    }
}
