//! Two processes on one file.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use drawdown::Context;
use hdrhistogram::Histogram;

use crate::Outcome;
use crate::engine::{self, TENANT};
use crate::table::{Rate, Table, grouped};

/// Charges a file, one by one, and prints how often and the longest wait in microseconds.
pub(crate) fn run(file: &Path, name: &str, time: Duration) -> Outcome<()> {
    let engine = engine::open(file)?;
    let context = Context::tenant(TENANT)?;
    let mut waits: Histogram<u64> = Histogram::new_with_bounds(1, 3_600_000_000, 3)?;
    let began = Instant::now();
    while began.elapsed() < time {
        let number = waits.len();
        let sent = Instant::now();
        engine.run(engine::charge(&context, name, number, number % engine::ACCOUNTS)?)?;
        waits.record(u64::try_from(sent.elapsed().as_micros())?)?;
    }
    println!("{} {} {}", waits.len(), waits.value_at_quantile(0.99), waits.max());
    Ok(())
}

/// Lets two processes charge one file at the same time, one caller each.
pub(crate) fn rows(folder: &Path, time: Duration, table: &mut Table) -> Outcome<()> {
    let file = folder.join("rivals.db");
    drop(engine::open(&file)?);
    let rivals = ["left", "right"].map(|name| spawn(&file, name, time));
    let mut results = Vec::new();
    for rival in rivals {
        results.push(answer(rival?)?);
    }
    let [left, right] = results[..] else { return Err("two rivals were started".into()) };
    let rate = Rate { count: left.0 + right.0, nanos: u64::try_from(time.as_nanos())? };
    let share = left.0.min(right.0) * 100 / (left.0 + right.0).max(1);
    table.fact("two processes on one file, one caller each", format!("{rate}, the smaller share {share} %"));
    let waits = format!("p99 {} us, longest {} us", grouped(left.1.max(right.1)), grouped(left.2.max(right.2)));
    table.fact("how long their callers wait", waits);
    Ok(())
}

fn spawn(file: &Path, name: &str, time: Duration) -> Outcome<Child> {
    let mut rival = Command::new(std::env::current_exe()?);
    rival.arg("rival").arg(file).arg(name).arg(time.as_millis().to_string());
    Ok(rival.stdout(Stdio::piped()).spawn()?)
}

/// How often it charged, and what 99 % of its callers and the most patient one waited.
fn answer(rival: Child) -> Outcome<(u64, u64, u64)> {
    let output = rival.wait_with_output()?;
    let text = String::from_utf8(output.stdout)?;
    let numbers = text.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    match numbers[..] {
        [count, p99, longest] if output.status.success() => Ok((count, p99, longest)),
        _ => Err(format!("a rival ended with {}", output.status).into()),
    }
}
