//! What is pure, alone: the decision and the estimate. No queue, no store.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use drawdown::changes::Changes;
use drawdown::decide::{Decision, decide};
use drawdown::facts::{AccountFacts, Facts};
use drawdown::pricing::{EstimateRequest, PriceBook};
use drawdown::{Amount, Command, Context, GrantCredit, GrantType, OpId, TenantId, TenantPolicy, Timestamp};

use crate::Outcome;
use crate::engine::{self, TENANT};
use crate::table::Table;

/// A price book as a platform has it.
const PRICES: &str = "
version: 20250918
effective_at: 2025-09-18T00:00:00Z
unit: credit
rounding: {mode: half_up, step: 0.01}
priorities: {standard: {eta_minutes: 30}, accelerated: {multiplier: 1.5, eta_minutes: 10}}
resolutions: {sd: 0.8, hd: 1, 4k: 2.5}
templates: {poster: {base: 10.25, policy_tag: tag}}
scenes: {film: 12}
extras:
  no_watermark: {flat: 3}
  review: {multiplier: 1.2}
  seconds: {graduated: [{up_to: 10, price: 1}, {up_to: 60, price: 0.8}, {price: 0.5}]}
";
const REQUEST: &str = r#"{"template_id": "poster", "scene": "film", "resolution": "4k", "priority": "accelerated",
    "extras": {"no_watermark": true, "review": true, "seconds": 25}}"#;

/// The rows about what is pure.
pub(crate) fn rows(time: Duration, table: &mut Table) -> Outcome<()> {
    decision(time, table)?;
    estimate(time, table)
}

/// Estimates the same work with three extras, again and again by the same price book.
fn estimate(time: Duration, table: &mut Table) -> Outcome<()> {
    let (book, request) = (PriceBook::from_yaml(PRICES)?, EstimateRequest::from_json(REQUEST)?);
    book.estimate(&request)?;
    let nanos = nanos_of(time, || _ = black_box(black_box(&book).estimate(black_box(&request))))?;
    table.fact("estimating with 3 extras", microseconds(nanos));
    Ok(())
}

/// Decides a charge of an account with three open grants, again and again from the same facts.
fn decision(time: Duration, table: &mut Table) -> Outcome<()> {
    let policy = TenantPolicy::default();
    let context = Context::tenant(TENANT)?;
    let tenant = TENANT.parse::<TenantId>()?;
    let now: Timestamp = "2026-03-01T12:00:00Z".parse()?;
    let op_id = |random| OpId::new(now, &tenant, None, random);
    let account = engine::account(0)?;
    let mut facts = Facts { now, ..Facts::default() };
    facts.accounts.insert(account.clone(), AccountFacts::new(Arc::new(account)));
    for (random, grant_type) in [(1, GrantType::Trial), (2, GrantType::Campaign), (3, GrantType::Purchased)] {
        let grant = GrantCredit::new(engine::owner(0)?, grant_type, Amount::from_micros(1_000_000));
        let changes = accepted(&context.request(grant).into_command(), op_id(random), &policy, &facts)?;
        facts.apply(&changes);
    }
    let charge = engine::charge(&context, "pure", 1, 0)?;
    accepted(&charge, op_id(4), &policy, &facts)?;
    let nanos = nanos_of(time, || _ = black_box(decide(black_box(&charge), op_id(4), &policy, black_box(&facts))))?;
    table.fact("deciding a charge, 3 open grants", microseconds(nanos));
    Ok(())
}

/// How long one run takes, on average over a time.
fn nanos_of(time: Duration, mut run: impl FnMut()) -> Outcome<u64> {
    let began = Instant::now();
    let mut runs: u64 = 0;
    while began.elapsed() < time {
        for _ in 0..1_000 {
            run();
        }
        runs += 1_000;
    }
    Ok(u64::try_from(began.elapsed().as_nanos())? / runs.max(1))
}

fn microseconds(nanos: u64) -> String {
    format!("{}.{:02} us", nanos / 1_000, nanos % 1_000 / 10)
}

fn accepted(command: &Command, op_id: OpId, policy: &TenantPolicy, facts: &Facts) -> Outcome<Box<Changes>> {
    match decide(command, op_id, policy, facts) {
        Decision::Accepted(changes, _) => Ok(changes),
        other => Err(format!("not accepted: {other:?}").into()),
    }
}
