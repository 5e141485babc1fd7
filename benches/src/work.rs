//! One contender alone, for a number of charges: for tools that count instructions, which no mood of the disk changes.

use std::cell::Cell;
use std::path::Path;

use clap::ValueEnum;
use drawdown::{Context, Engine};

use crate::Outcome;
use crate::contender::{Contender, Spread};
use crate::engine::{self, Charging, Sending, TENANT};
use crate::floor::{FloorA, FloorB};
use crate::rules;

/// Who charges.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Who {
    Memory,
    Sqlite,
    /// SQLite under all the rules of a platform.
    Ruled,
    FloorA,
    FloorB,
}

/// How many charges are committed at once.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum How {
    One,
    InFlight,
    Many,
}

/// Lets a contender take `turns` turns.
pub(crate) fn run(folder: &Path, who: Who, how: How, spread: Spread, turns: u64) -> Outcome<()> {
    let (sending, batch) = match how {
        How::One => (Sending::OneByOne, 1),
        How::InFlight => (Sending::InFlight(64), 64),
        How::Many => (Sending::Many(1_024), 256),
    };
    let file = folder.join("work.db");
    let mut contender: Box<dyn Contender> = match who {
        Who::Memory => {
            let engine = Engine::in_memory();
            engine::grant_all(&engine)?;
            Box::new(Charging::new(engine, "work", sending, spread)?)
        }
        Who::Sqlite => Box::new(Charging::new(engine::open(&file)?, "work", sending, spread)?),
        Who::Ruled => Box::new(Charging::new(rules::open(&file)?, "work", sending, spread)?.asking(rules::under_rules)),
        Who::FloorA => {
            engine::open(&file)?.run(engine::charge(&Context::tenant(TENANT)?, "sample", 0, &engine::owner(0)?)?)?;
            Box::new(FloorA::open(&file, batch, spread)?)
        }
        Who::FloorB => Box::new(FloorB::open(&file, batch, spread)?),
    };
    let left = Cell::new(turns);
    let until = || left.replace(left.get().saturating_sub(1)) == 0;
    println!("{} charges", contender.turn(&until)?);
    Ok(())
}
