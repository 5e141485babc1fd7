//! Exact counts of winners when many threads, and several processes, want the same thing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command as Program, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use drawdown::{Amount, Charge, Command, Engine, Error, Failure, PlaceHold, Receipt, TaskId};
use drawdown_tests::load;

const THREADS: u32 = 16;
const DEADLINE: Duration = Duration::from_secs(30);

/// Runs a test on an engine in memory and on one over a file.
fn on_both_stores(test: impl Fn(&Engine)) {
    test(&Engine::in_memory());
    let folder = tempfile::tempdir().unwrap();
    test(&load::open(folder.path().join("books.db").to_str().unwrap(), DEADLINE).unwrap());
}

/// Sends the commands of every thread at once, each thread's in order.
fn race(engine: &Engine, commands: impl Fn(u32) -> Vec<Command> + Sync) -> Vec<Result<Receipt, Failure>> {
    let barrier = Barrier::new(usize::try_from(THREADS).unwrap());
    thread::scope(|scope| {
        let racer = |thread| {
            let (barrier, commands) = (&barrier, commands(thread));
            scope.spawn(move || {
                barrier.wait();
                commands.into_iter().map(|command| engine.run(command)).collect::<Vec<_>>()
            })
        };
        let racers: Vec<_> = (0..THREADS).map(racer).collect();
        racers.into_iter().flat_map(|racer| racer.join().unwrap()).collect()
    })
}

fn charge_of_one() -> Charge {
    Charge::new(load::owner(0), Amount::from_units(1).unwrap())
}

fn denied_as(answers: &[Result<Receipt, Failure>], name: &str) -> usize {
    answers.iter().filter(|answer| answer.as_ref().is_err_and(|failure| failure.denial().is_some_and(|d| d.name() == name))).count()
}

fn available(engine: &Engine) -> String {
    engine.balance(&load::account(0)).unwrap().available.to_string()
}

#[test]
fn a_balance_of_100_pays_for_exactly_100_charges() {
    on_both_stores(|engine| {
        engine.run(load::grant(0, 100)).unwrap();
        let answers = race(engine, |thread| {
            let key = |number| load::tenant().key(format!("charge-{thread}-{number}")).unwrap();
            (0..50).map(|number| key(number).request(charge_of_one()).into_command()).collect()
        });
        assert_eq!(answers.len(), 800);
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 100);
        assert_eq!(denied_as(&answers, "insufficient_balance"), 700);
        assert_eq!(available(engine), "0");
    });
}

#[test]
fn of_16_commands_under_one_key_one_executes_and_15_replay_it() {
    on_both_stores(|engine| {
        engine.run(load::grant(0, 100)).unwrap();
        let command = load::tenant().key("once").unwrap().request(charge_of_one()).into_command();
        let answers = race(engine, |_| vec![command.clone()]);
        let receipts: Vec<Receipt> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(receipts.iter().filter(|receipt| !receipt.idempotent_replay).count(), 1);
        let first = &receipts[0].stored.operation.op_id;
        assert!(receipts.iter().all(|receipt| receipt.stored.operation.op_id == *first));
        assert_eq!(available(engine), "99");
    });
}

#[test]
fn of_16_holds_for_one_task_one_is_placed() {
    on_both_stores(|engine| {
        engine.run(load::grant(0, 100)).unwrap();
        let answers = race(engine, |thread| {
            let task_id = Some(TaskId::new("task").unwrap());
            let hold = PlaceHold { task_id, ..PlaceHold::new(load::owner(0), Amount::from_units(1).unwrap()) };
            vec![load::tenant().key(format!("hold-{thread}")).unwrap().request(hold).into_command()]
        });
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        assert_eq!(denied_as(&answers, "pre_deduct_already_processed"), 15);
        assert_eq!(available(engine), "99");
    });
}

fn worker(arguments: &[&str]) -> Child {
    Program::new(env!("CARGO_BIN_EXE_crash_worker")).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// The numbers in what a worker printed.
fn numbers(worker: Child) -> Vec<u32> {
    let output = worker.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn two_processes_spend_one_balance_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.db");
    let path = path.to_str().unwrap();
    let engine = load::open(path, DEADLINE).unwrap();
    engine.run(load::grant(0, 100)).unwrap();
    let workers = ["a", "b"].map(|prefix| worker(&["spend", path, prefix, "8", "25"]));
    let [a, b] = workers.map(numbers);
    assert_eq!(a[0] + b[0], 100, "accepted");
    assert_eq!(a[1] + b[1], 300, "refused");
    assert_eq!(available(&engine), "0");
}

#[test]
fn two_processes_execute_one_key_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.db");
    let path = path.to_str().unwrap();
    let engine = load::open(path, DEADLINE).unwrap();
    engine.run(load::grant(0, 100)).unwrap();
    let workers = [(); 2].map(|()| worker(&["same", path, "once", "16"]));
    let [a, b] = workers.map(numbers);
    assert_eq!((a[0] + b[0], a[1] + b[1]), (1, 31));
    assert_eq!(available(&engine), "99");
}

#[test]
fn a_file_that_another_process_keeps_locked_is_busy_within_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.db");
    let path = path.to_str().unwrap();
    let deadline = Duration::from_millis(400);
    let engine = load::open(path, deadline).unwrap();
    engine.run(load::grant(0, 100)).unwrap();
    let mut locker = worker(&["lock", path]);
    let mut line = String::new();
    BufReader::new(locker.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "locked\n");

    let command = load::tenant().key("charge").unwrap().request(charge_of_one()).into_command();
    let began = Instant::now();
    let refused = engine.run(command.clone()).unwrap_err();
    let waited = began.elapsed();
    assert!(matches!(refused, Failure::Failed(Error::Busy(_))), "{refused:?}");
    assert!(waited >= deadline && waited < deadline + Duration::from_secs(5), "gave up after {waited:?}");
    // Readers do not wait for a writer.
    assert_eq!(available(&engine), "100");

    locker.kill().unwrap();
    locker.wait().unwrap();
    assert!(!engine.run(command).unwrap().idempotent_replay);
    assert_eq!(available(&engine), "99");
}
