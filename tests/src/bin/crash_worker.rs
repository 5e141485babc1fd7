//! The other process of the tests about crashes, contention and full disks.
//!
//! - `load FILE PREFIX THREADS DEADLINE_MILLIS`: sends commands for ever; prints the key of each that was acknowledged, or
//!   `failed KEY ERROR` and ends.
//! - `spend FILE PREFIX THREADS EACH`: sends that many charges of 1 to account 0; prints how many were accepted, refused.
//! - `same FILE KEY THREADS`: sends one charge of 1 under one key from all threads; prints how many executed, replayed.
//! - `lock FILE`: locks the file, prints `locked`, and keeps it until it is killed or its input ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{Write, stdout};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use drawdown::{Amount, Charge, Engine, Failure};
use drawdown_tests::load;

const DEADLINE: Duration = Duration::from_secs(30);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["load", file, prefix, threads, millis] => {
            put_load(file, prefix, threads.parse().unwrap(), Duration::from_millis(millis.parse().unwrap()));
        }
        ["spend", file, prefix, threads, each] => spend(file, prefix, threads.parse().unwrap(), each.parse().unwrap()),
        ["same", file, key, threads] => send_same(file, key, threads.parse().unwrap()),
        ["lock", file] => lock(file),
        _ => panic!("unknown arguments: {arguments:?}"),
    }
}

/// Prints a line whole, at once.
fn say(line: &str) {
    let mut out = stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

fn put_load(file: &str, prefix: &str, threads: u32, deadline: Duration) {
    let engine = load::open(file, deadline).unwrap();
    for number in 0..load::ACCOUNTS {
        engine.run(load::grant(number, load::GRANTED)).unwrap();
    }
    thread::scope(|scope| {
        for thread in 0..threads {
            let engine = &engine;
            scope.spawn(move || {
                for number in 0.. {
                    let key = format!("{prefix}-{thread}-{number}");
                    match engine.run(load::command(prefix, thread, number)) {
                        Ok(_) => say(&key),
                        Err(failure) => {
                            say(&format!("failed {key} {failure:?}"));
                            return;
                        }
                    }
                }
            });
        }
    });
}

fn spend(file: &str, prefix: &str, threads: u32, each: u32) {
    let engine = load::open(file, DEADLINE).unwrap();
    let barrier = Barrier::new(usize::try_from(threads).unwrap());
    let accepted: u32 = thread::scope(|scope| {
        let spender = |thread: u32| {
            let (engine, barrier) = (&engine, &barrier);
            scope.spawn(move || {
                barrier.wait();
                (0..each).filter(|number| charge(engine, &format!("{prefix}-{thread}-{number}")).is_some()).count()
            })
        };
        let handles: Vec<_> = (0..threads).map(spender).collect();
        handles.into_iter().map(|handle| u32::try_from(handle.join().unwrap()).unwrap()).sum()
    });
    say(&format!("accepted {accepted} refused {}", threads * each - accepted));
}

fn send_same(file: &str, key: &str, threads: u32) {
    let engine = load::open(file, DEADLINE).unwrap();
    let barrier = Barrier::new(usize::try_from(threads).unwrap());
    let replayed: u32 = thread::scope(|scope| {
        let sender = |_| {
            let (engine, barrier) = (&engine, &barrier);
            scope.spawn(move || {
                barrier.wait();
                u32::from(charge(engine, key).unwrap())
            })
        };
        let handles: Vec<_> = (0..threads).map(sender).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).sum()
    });
    say(&format!("executed {} replayed {replayed}", threads - replayed));
}

/// Charges account 0 one unit: whether it was a replay; `None` when the balance does not cover it.
fn charge(engine: &Engine, key: &str) -> Option<bool> {
    let charge = Charge::new(load::owner(0), Amount::from_units(1).unwrap());
    match engine.execute(load::tenant().key(key).unwrap().request(charge)) {
        Ok(receipt) => Some(receipt.idempotent_replay),
        Err(Failure::Denied(denial)) if denial.name() == "insufficient_balance" => None,
        Err(failure) => panic!("{key}: {failure:?}"),
    }
}

fn lock(file: &str) {
    let connection = rusqlite::Connection::open(file).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    say("locked");
    // The input ends with the test that opened it, however that ends.
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}
