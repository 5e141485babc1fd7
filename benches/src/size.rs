//! What charges cost as the books grow: time, space, and what it takes to open them.

use std::cell::Cell;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use drawdown::{Context, Engine};
use rusqlite::Connection;

use crate::Outcome;
use crate::contender::{Contender, Spread};
use crate::engine::{self, TENANT};
use crate::floor::FloorA;
use crate::table::{Rate, Ratio, Table, grouped};

/// Where growth is measured from.
const SMALL: u64 = 10_000;

/// Charges that are timed at either size, and the size of a call: four commits of the most that fits into one.
const TIMED: u64 = 10 * CALL;
const CALL: u64 = 1_024;
const COMMIT: u64 = 256;

/// Grows books to `entries` charges, and those of floor A beside them.
pub(crate) fn rows(folder: &Path, entries: u64, table: &mut Table) -> Outcome<()> {
    let (file, floor_file) = (folder.join("growth.db"), folder.join("growth-floor.db"));
    let engine = engine::open(&file)?;
    engine::open(&floor_file)?.run(engine::charge(&Context::tenant(TENANT)?, "sample", 0, &engine::owner(0)?)?)?;
    let floor = FloorA::open(&floor_file, COMMIT, Spread::Even)?;
    let mut growing = Growing { engine, floor, sent: 0 };
    growing.to(SMALL)?;
    let small_bytes = bytes(&file)?;
    let [small, small_floor] = growing.timed()?;
    growing.to(entries.saturating_sub(TIMED))?;
    let [large, large_floor] = growing.timed()?;
    let grown = bytes(&file)?.saturating_sub(small_bytes);
    let sizes = format!("at {} charges against {}", grouped(growing.sent), grouped(SMALL));
    table.fact(format!("the same {sizes}"), format!("{large} against {small}, {}", Ratio::new(large, small)));
    table
        .fact(format!("floor A {sizes}"), format!("{large_floor} against {small_floor}, {}", Ratio::new(large_floor, small_floor)));
    table.fact("bytes of a charge in the file", grouped(grown / (growing.sent - SMALL)));
    drop(growing);
    table.fact("opening that file, until the first balance", opening(&file)?);
    table.fact("the same for a file with nothing in it", opening(&folder.join("empty.db"))?);
    Ok(())
}

/// The books of the engine and of floor A, of one size.
struct Growing {
    engine: Engine,
    floor: FloorA,
    sent: u64,
}

impl Growing {
    fn to(&mut self, entries: u64) -> Outcome<()> {
        while self.sent < entries {
            self.call()?;
        }
        Ok(())
    }

    /// How fast both are, in turns.
    fn timed(&mut self) -> Outcome<[Rate; 2]> {
        let mut rates = [Rate::default(); 2];
        for _ in 0..TIMED / CALL {
            let passed = self.call()?;
            rates.iter_mut().zip(passed).for_each(|(rate, passed)| rate.add(passed));
        }
        Ok(rates)
    }

    /// The same number of charges more in both.
    fn call(&mut self) -> Outcome<[Rate; 2]> {
        let context = Context::tenant(TENANT)?;
        let numbers = self.sent..self.sent + CALL;
        self.sent += CALL;
        let charge = |number| engine::charge(&context, "growth", number, &engine::owner(number % engine::ACCOUNTS)?);
        let began = Instant::now();
        for answer in self.engine.execute_many(numbers.map(charge).collect::<Outcome<Vec<_>>>()?) {
            answer?;
        }
        let of_engine = Rate { count: CALL, nanos: u64::try_from(began.elapsed().as_nanos())? };
        let commits = Cell::new(CALL / COMMIT);
        let began = Instant::now();
        let count = self.floor.turn(&|| commits.replace(commits.get().saturating_sub(1)) == 0)?;
        Ok([of_engine, Rate { count, nanos: u64::try_from(began.elapsed().as_nanos())? }])
    }
}

/// Opens books, reads a balance, and prints how long that took and what the process keeps in memory.
pub(crate) fn open(file: &Path) -> Outcome<()> {
    let began = Instant::now();
    let engine = engine::reopen(file)?;
    engine.balance(&engine::account(0)?)?;
    let passed = began.elapsed().as_micros();
    // Where the system does not say what a process keeps there is nothing to print.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).map_or("", str::trim);
    println!("{} us, {resident} resident", grouped(u64::try_from(passed)?));
    Ok(())
}

/// What a process of its own says about opening these books.
fn opening(file: &Path) -> Outcome<String> {
    let output = Command::new(std::env::current_exe()?).arg("open").arg(file).output()?;
    if !output.status.success() {
        return Err(format!("opening the books ended with {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The size of the books: pages in use, wherever they stand.
fn bytes(file: &Path) -> Outcome<u64> {
    let connection = Connection::open(file)?;
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let pages = number("PRAGMA page_count")? - number("PRAGMA freelist_count")?;
    Ok(u64::try_from(pages * number("PRAGMA page_size")?)?)
}
