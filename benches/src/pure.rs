//! What is pure, alone: the decision and the estimate. No queue, no store.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use drawdown::changes::Changes;
use drawdown::decide::{Decision, decide};
use drawdown::facts::{AccountFacts, Facts};
use drawdown::pricing::{EstimateRequest, PriceBook};
use drawdown::{
    Amount, Channel, Command, Context, GrantCredit, GrantType, OpId, SetLicence, SubmitDocuments, TemplateKey, TenantId,
    TenantPolicy, Timestamp, check_licence,
};

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
    let account = Arc::new(account);
    facts.accounts.insert(Arc::clone(&account), AccountFacts::new(account));
    for (random, grant_type) in [(1, GrantType::Trial), (2, GrantType::Campaign), (3, GrantType::Purchased)] {
        let grant = GrantCredit::new(engine::owner(0)?, grant_type, Amount::from_micros(1_000_000));
        let changes = accepted(&context.request(grant).into_command(), op_id(random), &policy, &facts)?;
        facts.apply(&changes);
    }
    let charge = engine::charge(&context, "pure", 1, &engine::owner(0)?)?;
    accepted(&charge, op_id(4), &policy, &facts)?;
    let nanos = nanos_of(time, || _ = black_box(decide(black_box(&charge), op_id(4), &policy, black_box(&facts))))?;
    table.fact("deciding a charge, 3 open grants", microseconds(nanos));
    check(time, &policy, &context, facts, table)
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

/// Checks a template with three licences, one of them the user's own with quotas and a document, again and again.
fn check(time: Duration, policy: &TenantPolicy, context: &Context, mut facts: Facts, table: &mut Table) -> Outcome<()> {
    let template = TemplateKey::new(context.tenant_id.clone(), "poster".parse()?, Some("u1".parse()?));
    facts.template_licences.insert(template.clone(), Vec::new());
    let any = |name: &str| SetLicence::new(name, "poster", "ops");
    let own = SetLicence {
        user_id: Some("u1".parse()?),
        total_quota: Some(1_000),
        daily_quota: Some(10),
        required_documents: ["consent".parse()?].into(),
        ..any("own")?
    };
    let commands = [
        context.request(any("first")?).into_command(),
        context.request(any("second")?).into_command(),
        context.request(own).into_command(),
        context.request(SubmitDocuments::new("own", &["consent"], "ops")?).into_command(),
    ];
    for (random, command) in (10..).zip(commands) {
        let op_id = OpId::new(facts.now, &context.tenant_id, None, random);
        let changes = accepted(&command, op_id, policy, &facts)?;
        facts.apply(&changes);
    }
    if !check_licence(&facts, policy, &template, Some(Channel::Creator))?.is_authorized {
        return Err("the licence is not valid".into());
    }
    let check = || _ = black_box(check_licence(black_box(&facts), policy, black_box(&template), Some(Channel::Creator)));
    let nanos = nanos_of(time, check)?;
    table.fact("checking a licence, 3 candidates", format!("{nanos} ns"));
    Ok(())
}

fn accepted(command: &Command, op_id: OpId, policy: &TenantPolicy, facts: &Facts) -> Outcome<Box<Changes>> {
    match decide(command, op_id, policy, facts) {
        Decision::Accepted(changes, _) => Ok(changes),
        other => Err(format!("not accepted: {other:?}").into()),
    }
}
