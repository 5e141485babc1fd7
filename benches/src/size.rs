//! What charges cost as the books grow: time and space.

use std::path::Path;
use std::time::Instant;

use drawdown::{Context, Engine};
use rusqlite::Connection;

use crate::Outcome;
use crate::engine::{self, TENANT};
use crate::table::{Rate, Ratio, Table, grouped};

/// Where growth is measured from.
const SMALL: u64 = 10_000;

/// Charges that are timed at either size, and the size of a call.
const TIMED: u64 = 5_000;
const CALL: u64 = 1_000;

/// Grows books to `entries` charges.
pub(crate) fn rows(folder: &Path, entries: u64, table: &mut Table) -> Outcome<()> {
    let file = folder.join("growth.db");
    let engine = engine::open(&file)?;
    charge(&engine, 0, SMALL)?;
    let small_bytes = bytes(&file)?;
    let small = charge(&engine, SMALL, SMALL + TIMED)?;
    charge(&engine, SMALL + TIMED, entries - TIMED)?;
    let large = charge(&engine, entries - TIMED, entries)?;
    let grown = bytes(&file)?.saturating_sub(small_bytes);
    let what = format!("the same at {} charges against {}", grouped(entries), grouped(SMALL));
    table.fact(what, format!("{large} against {small}, {}", Ratio::new(large, small)));
    table.fact("bytes of a charge in the file", grouped(grown / (entries - SMALL)));
    Ok(())
}

/// Sends the charges of these numbers.
fn charge(engine: &Engine, from: u64, to: u64) -> Outcome<Rate> {
    let context = Context::tenant(TENANT)?;
    let began = Instant::now();
    let mut next = from;
    while next < to {
        let end = to.min(next + CALL);
        let charge = |number| engine::charge(&context, "growth", number, number % engine::ACCOUNTS);
        for answer in engine.execute_many((next..end).map(charge).collect::<Outcome<Vec<_>>>()?) {
            answer?;
        }
        next = end;
    }
    Ok(Rate { count: to - from, nanos: u64::try_from(began.elapsed().as_nanos())? })
}

/// The size of the books: pages in use, wherever they stand.
fn bytes(file: &Path) -> Outcome<u64> {
    let connection = Connection::open(file)?;
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let pages = number("PRAGMA page_count")? - number("PRAGMA freelist_count")?;
    Ok(u64::try_from(pages * number("PRAGMA page_size")?)?)
}
