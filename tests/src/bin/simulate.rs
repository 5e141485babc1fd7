//! Plays seeds of the simulation: `simulate 0..1000 300` plays a thousand, of 300 commands each.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a program for people")]

use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use drawdown_tests::simulation::{Tally, simulate_all};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seeds = arguments.next().and_then(|text| range(&text));
    let steps = arguments.next().and_then(|text| text.parse().ok());
    let (Some(seeds), Some(steps)) = (seeds, steps) else {
        eprintln!("usage: simulate FROM..TO STEPS");
        return ExitCode::from(2);
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let all = seeds.end.saturating_sub(seeds.start);
    let shown = Mutex::new(Instant::now());
    let progress = |done: u64, tally: &Tally| {
        let Ok(mut shown) = shown.lock() else { return };
        if shown.elapsed() >= Duration::from_secs(2) || done == all {
            let Tally { commands, operations, faults, .. } = tally;
            eprintln!("{done} of {all} seeds clean: {commands} commands, {operations} operations, {faults} faults");
            *shown = Instant::now();
        }
    };
    match simulate_all(seeds, steps, threads, &progress) {
        Ok(tally) => {
            println!("{tally:#?}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn range(text: &str) -> Option<Range<u64>> {
    let (from, to) = text.split_once("..")?;
    Some(from.parse().ok()?..to.parse().ok()?)
}
