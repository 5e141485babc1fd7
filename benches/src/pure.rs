//! The decision alone: no queue, no store.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use drawdown::changes::Changes;
use drawdown::decide::{Decision, decide};
use drawdown::facts::{AccountFacts, Facts};
use drawdown::{Amount, Command, Context, GrantCredit, GrantType, OpId, TenantId, TenantPolicy, Timestamp};

use crate::Outcome;
use crate::engine::{self, TENANT};
use crate::table::Table;

/// Decides a charge of an account with three open grants, again and again from the same facts.
pub(crate) fn rows(time: Duration, table: &mut Table) -> Outcome<()> {
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
    let began = Instant::now();
    let mut decided: u64 = 0;
    while began.elapsed() < time {
        for _ in 0..1_000 {
            black_box(decide(black_box(&charge), op_id(4), &policy, black_box(&facts)));
        }
        decided += 1_000;
    }
    let nanos = u64::try_from(began.elapsed().as_nanos())? / decided;
    table.fact("deciding a charge, 3 open grants", format!("{}.{:02} us", nanos / 1_000, nanos % 1_000 / 10));
    Ok(())
}

fn accepted(command: &Command, op_id: OpId, policy: &TenantPolicy, facts: &Facts) -> Outcome<Box<Changes>> {
    match decide(command, op_id, policy, facts) {
        Decision::Accepted(changes, _) => Ok(changes),
        other => Err(format!("not accepted: {other:?}").into()),
    }
}
