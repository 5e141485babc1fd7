//! The engine and the floors, taking turns.

use std::path::Path;
use std::time::{Duration, Instant};

use drawdown::Engine;

use crate::Outcome;
use crate::engine::{self, ACCOUNTS, Charging, Sending};
use crate::floor::{FloorA, FloorB};
use crate::table::{Rate, Ratio, Table};

/// Turns that each contender takes in a row.
const TURNS: u32 = 5;

/// Who can take a turn.
pub(crate) trait Contender {
    /// Charges until told to stop; how often.
    fn turn(&mut self, until: &dyn Fn() -> bool) -> Outcome<u64>;
}

/// Which accounts are charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Spread {
    /// One.
    Hot,
    /// All, in turn.
    Even,
}

impl Spread {
    /// The account of the `number`-th charge.
    pub(crate) const fn account(self, number: u64) -> u64 {
        match self {
            Spread::Hot => 0,
            Spread::Even => number % ACCOUNTS,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Spread::Hot => "one hot account",
            Spread::Even => "1,000 accounts",
        }
    }
}

/// Ways of sending, and how many charges the engine can put into one commit then; the floors commit as many.
const SENDINGS: [(&str, Sending, u64); 3] = [
    ("SQLite, one caller", Sending::OneByOne, 1),
    ("SQLite, 64 in flight", Sending::InFlight(64), 64),
    ("SQLite, execute_many(1000)", Sending::Many(1_000), 256),
];

/// Measures every way of sending against both floors.
pub(crate) fn rows(folder: &Path, time: Duration, table: &mut Table) -> Outcome<()> {
    let engine = engine::open(&folder.join("engine.db"))?;
    engine::open(&folder.join("floor.db"))?.run(engine::charge(
        &drawdown::Context::tenant(engine::TENANT)?,
        "sample",
        0,
        &engine::owner(0)?,
    )?)?;
    for (name, sending, batch) in SENDINGS {
        for spread in [Spread::Even, Spread::Hot] {
            let key = format!("{sending:?}{spread:?}");
            let mut charging = Charging::new(engine.clone(), &key, sending, spread)?;
            let mut floor_a = FloorA::open(&folder.join("floor.db"), batch, spread)?;
            let mut floor_b = FloorB::open(&folder.join(format!("{key}.db")), batch, spread)?;
            let [rate, a, b] = take_turns([&mut charging, &mut floor_a, &mut floor_b], time)?;
            let measured = format!("{rate} against {a} and {b}");
            table.row(format!("{name}, {}", spread.name()), measured, [Some(Ratio::new(rate, a)), Some(Ratio::new(rate, b))]);
        }
    }
    in_memory(time, table)
}

fn in_memory(time: Duration, table: &mut Table) -> Outcome<()> {
    let engine = Engine::in_memory();
    engine::grant_all(&engine)?;
    for (name, sending) in [("memory, one caller", Sending::OneByOne), ("memory, execute_many(1000)", Sending::Many(1_000))] {
        let mut charging = Charging::new(engine.clone(), name, sending, Spread::Even)?;
        let [rate] = take_turns([&mut charging], time)?;
        table.fact(format!("{name}, {}", Spread::Even.name()), rate.to_string());
    }
    Ok(())
}

/// Lets all of them run for `time`, in short turns one after the other, so that each sees the same moods of the disk. Before that each has a
/// turn that does not count: until its log has grown to its size, every commit makes the file longer, and waits for that.
pub(crate) fn take_turns<const N: usize>(mut contenders: [&mut dyn Contender; N], time: Duration) -> Outcome<[Rate; N]> {
    let mut rates = [Rate::default(); N];
    for turn in 0..=TURNS {
        let length = if turn == 0 { time / 2 } else { time / TURNS };
        for (contender, rate) in contenders.iter_mut().zip(&mut rates) {
            let began = Instant::now();
            let count = contender.turn(&|| began.elapsed() >= length)?;
            if turn > 0 {
                rate.add(Rate { count, nanos: u64::try_from(began.elapsed().as_nanos())? });
            }
        }
    }
    Ok(rates)
}
