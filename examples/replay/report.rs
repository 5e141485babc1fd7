//! What became of the credit, read from the ledger alone.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;

use drawdown::ledger::{Entry, EntryKind, EntryQuery, EntryScope, PageOrder, Terms, VerifyOptions, VerifyReport};
use drawdown::{Amount, GrantId, GrantType};

use crate::Outcome;
use crate::life::Life;
use crate::run::{Replay, Tally};
use crate::trace::Trace;

/// Entries read at once.
const PAGE: usize = 1_000;

/// What became of one type of grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Total {
    granted: Amount,
    consumed: Amount,
    expired: Amount,
}

impl Total {
    fn remaining(&self) -> Outcome<Amount> {
        let rest = self.granted.checked_sub(self.consumed).and_then(|rest| rest.checked_sub(self.expired));
        rest.ok_or_else(|| "a sum is out of range".into())
    }
}

/// Adds up every entry of every user, and checks the sum against the balances. A grant counts from when it is effective.
pub(crate) fn totals(replay: &Replay) -> Outcome<BTreeMap<GrantType, Total>> {
    let mut totals = BTreeMap::new();
    let mut balances = Amount::ZERO;
    let mut types = HashMap::new();
    let life = Life::of("adding up", Some(replay.accounts.len()));
    for account in &replay.accounts {
        let mut query = EntryQuery { order: PageOrder::Asc, limit: PAGE, ..EntryQuery::new(EntryScope::Account(account.clone())) };
        loop {
            let page = replay.engine.entries(query.clone())?;
            page.entries.iter().try_for_each(|entry| add(&mut totals, &mut types, entry))?;
            if page.next_cursor.is_none() {
                break;
            }
            query.cursor = page.next_cursor;
        }
        let balance = replay.engine.balance(account)?;
        if !balance.frozen.is_zero() {
            return Err(format!("`{}` still holds {}", account.owner, balance.frozen).into());
        }
        increase(&mut balances, balance.available)?;
        life.advance();
    }
    let mut remaining = Amount::ZERO;
    totals.values().try_for_each(|total: &Total| increase(&mut remaining, total.remaining()?))?;
    if remaining != balances {
        return Err(format!("the entries leave {remaining}, the balances say {balances}").into());
    }
    Ok(totals)
}

fn add(totals: &mut BTreeMap<GrantType, Total>, types: &mut HashMap<GrantId, GrantType>, entry: &Entry) -> Outcome<()> {
    if let (EntryKind::Grant, Some(grant_id)) = (entry.kind, entry.grant_id) {
        // A grant that begins later has two entries: the first makes it and moves nothing, the second brings the credit.
        if let Some(Terms::Grant { terms, .. }) = &entry.terms {
            types.insert(grant_id, terms.grant_type);
        }
        let grant_type = *types.get(&grant_id).ok_or("a grant begins that was never made")?;
        increase(&mut totals.entry(grant_type).or_default().granted, entry.change)?;
        return Ok(());
    }
    for line in entry.draw.lines() {
        let total = totals.entry(line.grant_type).or_default();
        match entry.kind {
            EntryKind::Capture => increase(&mut total.consumed, line.amount)?,
            EntryKind::Expire => increase(&mut total.expired, line.amount)?,
            _ => {}
        }
    }
    Ok(())
}

fn increase(sum: &mut Amount, by: Amount) -> Outcome<()> {
    *sum = sum.checked_add(by).ok_or("a sum is out of range")?;
    Ok(())
}

/// Verifies the books.
pub(crate) fn verify(replay: &Replay) -> Outcome<VerifyReport> {
    let life = Life::of("verifying", Some(replay.accounts.len()));
    Ok(replay.engine.verify_with(&VerifyOptions::default(), &mut |report| life.reach(report.accounts))?)
}

/// Writes the report.
pub(crate) fn print(
    out: &mut impl Write,
    trace: &Trace,
    replay: &Replay,
    tally: &Tally,
    totals: &BTreeMap<GrantType, Total>,
    verified: &VerifyReport,
) -> Outcome<()> {
    let commands = tally.latencies.len();
    let millis = u64::try_from(tally.elapsed.as_millis())?.max(1);
    let skipped = trace.bad_rows.len();
    writeln!(
        out,
        "requests    {} by {} users in {} steps, {skipped} lines skipped",
        trace.rows.len(),
        replay.accounts.len(),
        tally.steps
    )?;
    writeln!(out, "throughput  {commands} commands in {millis} ms, {} a second", commands.saturating_mul(1_000) / millis)?;
    let quantile = |q| tally.latencies.value_at_quantile(q);
    writeln!(out, "latency     p50 {} us, p99 {} us", quantile(0.5), quantile(0.99))?;
    writeln!(out, "accepted    {} executed, {} replayed", tally.executed, tally.replayed)?;
    if tally.denials.is_empty() {
        writeln!(out, "denied      none")?;
    }
    for (name, count) in &tally.denials {
        writeln!(out, "denied      {count} {name}")?;
    }
    writeln!(out, "{:<12}{:>14}{:>14}{:>14}{:>14}", "credit", "granted", "consumed", "expired", "remaining")?;
    for (grant_type, total) in totals {
        let Total { granted, consumed, expired } = total;
        let cells = [granted.to_string(), consumed.to_string(), expired.to_string(), total.remaining()?.to_string()];
        let [granted, consumed, expired, remaining] = cells;
        writeln!(out, "{:<12}{granted:>14}{consumed:>14}{expired:>14}{remaining:>14}", grant_type.as_str())?;
    }
    if verified.is_clean() {
        writeln!(out, "verify      {} entries of {} accounts agree with the books", verified.entries, verified.accounts)?;
    }
    for fault in &verified.faults {
        writeln!(out, "verify      {fault}")?;
    }
    Ok(())
}
