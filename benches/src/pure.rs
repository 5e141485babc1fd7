//! The decision alone: no queue, no store.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use drawdown::changes::Changes;
use drawdown::decide::{Decision, decide};
use drawdown::facts::{AccountFacts, Facts};
use drawdown::{
    Amount, Channel, Command, Context, GrantCredit, GrantType, OpId, SetLicence, SubmitDocuments, TemplateKey, TenantId,
    TenantPolicy, Timestamp, check_licence,
};

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
    check(time, &policy, &context, facts, table)
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
    let began = Instant::now();
    let mut checked: u64 = 0;
    while began.elapsed() < time {
        for _ in 0..1_000 {
            _ = black_box(check_licence(black_box(&facts), policy, black_box(&template), Some(Channel::Creator)));
        }
        checked += 1_000;
    }
    let nanos = u64::try_from(began.elapsed().as_nanos())? / checked;
    table.fact("checking a licence, 3 candidates", format!("{nanos} ns"));
    Ok(())
}

fn accepted(command: &Command, op_id: OpId, policy: &TenantPolicy, facts: &Facts) -> Outcome<Box<Changes>> {
    match decide(command, op_id, policy, facts) {
        Decision::Accepted(changes, _) => Ok(changes),
        other => Err(format!("not accepted: {other:?}").into()),
    }
}
