//! Kills a process in the middle of its load, or lets its disk fill up, and opens its books again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command as Program, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use drawdown::ledger::EntryKind;
use drawdown::{Amount, Engine};
use drawdown_tests::load;

const DEADLINE: Duration = Duration::from_secs(30);

/// Every operation of the books, by its key; and that no key stands there twice.
fn booked_kinds(engine: &Engine) -> HashMap<String, Option<EntryKind>> {
    let mut kinds = HashMap::new();
    let mut after = 0;
    loop {
        let page = engine.feed(None, after, 1_000).unwrap();
        let Some(last) = page.last() else { return kinds };
        after = last.position;
        for stored in &page {
            let key = stored.operation.key.as_ref().unwrap().as_str().to_owned();
            assert!(stored.entries.len() <= 1, "{key}");
            let kind = stored.entries.first().map(|entry| entry.kind);
            assert!(kinds.insert(key.clone(), kind).is_none(), "`{key}` was booked twice");
        }
    }
}

/// What all accounts have together: available, frozen.
fn balances(engine: &Engine) -> (Amount, Amount) {
    (0..load::ACCOUNTS).map(|number| engine.balance(&load::account(number)).unwrap()).fold(
        (Amount::ZERO, Amount::ZERO),
        |(available, frozen), balance| {
            (available.checked_add(balance.available).unwrap(), frozen.checked_add(balance.frozen).unwrap())
        },
    )
}

/// Everything acknowledged is there, once; the balances are what the operations leave; the chains hold.
fn check_books(engine: &Engine, acknowledged: &[String]) {
    let kinds = booked_kinds(engine);
    for key in acknowledged {
        assert!(kinds.contains_key(key), "`{key}` was acknowledged and is lost");
    }
    let count = |kind| i64::try_from(kinds.values().filter(|booked| **booked == Some(kind)).count()).unwrap();
    let granted = Amount::from_units(load::GRANTED * count(EntryKind::Grant)).unwrap();
    let (charged, held) = (count(EntryKind::Charge), count(EntryKind::Hold));
    let left = granted.checked_sub(Amount::from_units(charged + held).unwrap()).unwrap();
    assert_eq!(balances(engine), (left, Amount::from_units(held).unwrap()));
    load::assert_clean(engine);
}

/// Sent again, all of them are replayed and nothing moves.
fn check_replays(engine: &Engine, acknowledged: &[String]) {
    let before = balances(engine);
    let commands = acknowledged.iter().map(|key| load::command_of(key)).collect();
    for (key, answer) in acknowledged.iter().zip(engine.execute_many(commands)) {
        assert!(answer.unwrap().idempotent_replay, "`{key}` was executed again");
    }
    assert_eq!(balances(engine), before);
}

/// The keys that a worker says were acknowledged, as they come. Ends when the worker does.
fn acknowledgements(worker: &mut Child) -> thread::JoinHandle<Vec<String>> {
    let out = BufReader::new(worker.stdout.take().unwrap());
    thread::spawn(move || out.lines().map(Result::unwrap).collect())
}

#[test]
fn what_was_acknowledged_before_a_kill_is_there_exactly_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.db");
    let path = path.to_str().unwrap();
    let mut acknowledged = Vec::new();
    let mut seed = 7_u64;
    for round in 0..10 {
        let before = acknowledged.len();
        let prefix = format!("round{round}");
        let mut worker = Program::new(env!("CARGO_BIN_EXE_crash_worker"));
        let mut worker = worker.args(["load", path, &prefix, "4", "30000"]).stdout(Stdio::piped()).spawn().unwrap();
        let reader = acknowledgements(&mut worker);
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        thread::sleep(Duration::from_micros(80_000 + (seed >> 33) % 250_000));
        worker.kill().unwrap();
        worker.wait().unwrap();
        acknowledged.extend(reader.join().unwrap());
        assert!(!acknowledged.iter().any(|line| line.starts_with("failed")), "{acknowledged:?}");

        let engine = load::open(path, DEADLINE).unwrap();
        check_books(&engine, &acknowledged);
        check_replays(&engine, &acknowledged[before..]);
    }
    assert!(acknowledged.len() > 100, "only {} commands were acknowledged in all rounds", acknowledged.len());
    check_replays(&load::open(path, DEADLINE).unwrap(), &acknowledged);
}

/// Two processes that write in turns, so that the log has to be begun anew. With pages of 64 kB it is full soon.
#[test]
fn a_kill_while_a_full_log_is_written_over_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA page_size = 65536; PRAGMA journal_mode = WAL").unwrap();
    drop(connection);
    let log_bytes = || std::fs::metadata(path.with_extension("db-wal")).map_or(0, |log| log.len());
    let path = path.to_str().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let before = acknowledged.len();
        let mut workers = ["a", "b"].map(|name| {
            let prefix = format!("round{round}{name}");
            let mut worker = Program::new(env!("CARGO_BIN_EXE_crash_worker"));
            worker.args(["load", path, &prefix, "2", "30000"]).stdout(Stdio::piped()).spawn().unwrap()
        });
        let readers = workers.each_mut().map(acknowledgements);
        let began = Instant::now();
        while log_bytes() < 64_000_000 {
            assert!(began.elapsed() < DEADLINE, "the log has {} bytes", log_bytes());
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(40 + 70 * round));
        workers.iter_mut().for_each(|worker| worker.kill().unwrap());
        workers.iter_mut().for_each(|worker| assert!(!worker.wait().unwrap().success()));
        acknowledged.extend(readers.into_iter().flat_map(|reader| reader.join().unwrap()));
        assert!(!acknowledged.iter().any(|line: &String| line.starts_with("failed")), "{acknowledged:?}");

        let engine = load::open(path, DEADLINE).unwrap();
        check_books(&engine, &acknowledged);
        check_replays(&engine, &acknowledged[before..]);
    }
}

/// The shell gives the worker a limit on the size of its files: from some write on, its disk takes no more.
///
/// A commit whose write fails is of unknown outcome until the books are asked again. Then it is there or it is not, and
/// sending it again makes it once.
#[cfg(unix)]
#[test]
fn a_disk_that_takes_no_more_fails_commands_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.db");
    let path = path.to_str().unwrap();
    let script = "trap '' XFSZ; ulimit -f 8192; exec \"$0\" \"$@\"";
    let mut worker = Program::new("sh");
    let worker = worker.args(["-c", script, env!("CARGO_BIN_EXE_crash_worker"), "load", path, "full", "2", "500"]);
    let mut worker = worker.stdout(Stdio::piped()).spawn().unwrap();
    let lines = acknowledgements(&mut worker).join().unwrap();
    assert!(worker.wait().unwrap().success());
    let (failed, acknowledged): (Vec<String>, Vec<String>) = lines.into_iter().partition(|line| line.starts_with("failed"));
    assert_eq!(failed.len(), 2, "{failed:?}");
    // The one whose write fails is told so; the other may wait behind it until its deadline, and then never begins.
    let of_the_disk = |line: &String| line.contains("Failed(Store(") || line.contains("Failed(Unknown(");
    assert!(failed.iter().any(of_the_disk), "{failed:?}");
    assert!(failed.iter().all(|line| of_the_disk(line) || line.contains("Failed(Busy(")), "{failed:?}");
    assert!(acknowledged.len() > 20, "only {} commands fitted", acknowledged.len());

    let engine = load::open(path, DEADLINE).unwrap();
    check_books(&engine, &acknowledged);
    check_replays(&engine, &acknowledged);
    let failed: Vec<String> = failed.iter().map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect();
    for key in &failed {
        engine.run(load::command_of(key)).unwrap();
    }
    check_books(&engine, &failed);
    check_replays(&engine, &failed);
}
