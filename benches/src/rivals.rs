//! Several processes on one file.

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
    // The accounts are granted: nobody is to wait for lists of grants of those who come later.
    let engine = engine::reopen(file)?;
    let context = Context::tenant(TENANT)?;
    let mut waits: Histogram<u64> = Histogram::new_with_bounds(1, 3_600_000_000, 3)?;
    let began = Instant::now();
    while began.elapsed() < time {
        let number = waits.len();
        let sent = Instant::now();
        engine.run(engine::charge(&context, name, number, &engine::owner(number % engine::ACCOUNTS)?)?)?;
        waits.record(u64::try_from(sent.elapsed().as_micros())?)?;
    }
    println!("{} {} {}", waits.len(), waits.value_at_quantile(0.99), waits.max());
    Ok(())
}

/// Lets two and four processes charge one file at the same time, one caller each.
pub(crate) fn rows(folder: &Path, time: Duration, table: &mut Table) -> Outcome<()> {
    for (many, count) in [("two", 2), ("four", 4)] {
        let file = folder.join(format!("rivals-{many}.db"));
        drop(engine::open(&file)?);
        let rivals = (0..count).map(|number| spawn(&file, &format!("rival-{number}"), time)).collect::<Vec<_>>();
        let results = rivals.into_iter().map(|rival| answer(rival?)).collect::<Outcome<Vec<_>>>()?;
        let charges: u64 = results.iter().map(|result| result.0).sum();
        let even = (charges / count).max(1);
        let least = results.iter().map(|result| result.0).min().unwrap_or(0) * 100 / even;
        let most = results.iter().map(|result| result.0).max().unwrap_or(0) * 100 / even;
        let rate = Rate { count: charges, nanos: u64::try_from(time.as_nanos())? };
        let shares = format!("{rate}, shares {least} % to {most} % of even");
        table.fact(format!("{many} processes on one file, one caller each"), shares);
        let p99 = results.iter().map(|result| result.1).max().unwrap_or(0);
        let longest = results.iter().map(|result| result.2).max().unwrap_or(0);
        table.fact("how long their callers wait", format!("p99 {} us, longest {} us", grouped(p99), grouped(longest)));
    }
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
