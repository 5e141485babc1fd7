//! What a charge costs where there are many grants, open or past.

use std::path::Path;
use std::time::Duration;

use drawdown::{Amount, Charge, Context};

use crate::Outcome;
use crate::contender::{Spread, take_turns};
use crate::engine::{self, Charging, Sending, TENANT};
use crate::table::{Ratio, Table};

/// Open grants of an account: as many as it can have.
const OPEN: u64 = 1_000;
/// Grants of an account that are used up, and how many are drawn by one charge.
const PAST: u64 = 10_000;
const PART: u64 = 250;

/// Charges an account with one grant, one with many open ones, and one with many past ones, in turns.
pub(crate) fn rows(folder: &Path, time: Duration, table: &mut Table) -> Outcome<()> {
    let open = engine::open(&folder.join("open-grants.db"))?;
    engine::grant_more(&open, "open", 0, OPEN - 1, Amount::from_micros(1_000_000_000))?;
    let past = engine::open(&folder.join("past-grants.db"))?;
    use_up(&past)?;
    let plain = engine::open(&folder.join("one-grant.db"))?;
    let charging = |name, engine| Charging::new(engine, name, Sending::OneByOne, Spread::Hot);
    let (mut plain, mut open, mut past) = (charging("plain", plain)?, charging("open", open)?, charging("past", past)?);
    let [plain, open, past] = take_turns([&mut plain, &mut open, &mut past], time)?;
    for (what, rate) in [("1,000 open grants", open), ("10,000 past grants", past)] {
        let measured = format!("{rate} against {plain} with one, {}", Ratio::new(rate, plain));
        table.fact(format!("SQLite, one caller, an account with {what}"), measured);
    }
    Ok(())
}

/// Gives grants of a millionth, and draws them to the end.
fn use_up(engine: &drawdown::Engine) -> Outcome<()> {
    let context = Context::tenant(TENANT)?;
    for round in 0..PAST / PART {
        engine::grant_more(engine, &format!("past-{round}"), 0, PART, Amount::from_micros(1))?;
        let charge = Charge::new(engine::owner(0)?, Amount::from_micros(i64::try_from(PART)?));
        engine.execute(context.request(charge))?;
    }
    Ok(())
}
