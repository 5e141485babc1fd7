//! The first five minutes: a price, a licence, a hold for a task, its capture, a replay, a refund, and the books afterwards.
//!
//! ```sh
//! cargo run --example quickstart
//! ```
#![expect(clippy::unwrap_used, reason = "it shows a refusal")]

use drawdown::event::EventQuery;
use drawdown::ledger::{EntryQuery, EntryScope};
use drawdown::pricing::{EstimateRequest, PriceBook, PriceBooks};
use drawdown::{AdvanceTask, Caller, Charge, CompleteTask, Context, Engine, GrantCredit, GrantType, Owner, PlaceHold, Policies};
use drawdown::{Refund, SetLicence, TenantPolicy};

const PRICES: &str = "
version: 2026-01
effective_at: 2026-01-01T00:00:00Z
unit: credit
templates: {poster: {base: 6, policy_tag: standard}}
resolutions: {hd: 1, 4k: 1.5}
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Work with a template needs a licence here. In a file: .url("sqlite://credits.db")
    let policy = TenantPolicy { licence_required: true, ..TenantPolicy::default() };
    let prices = PriceBooks::new([PriceBook::from_yaml(PRICES)?])?;
    let engine = Engine::builder().policies(Policies::new(policy)).prices(prices).build()?;
    let acme = Context::tenant("acme")?;
    let (user, account) = (Owner::user("u1")?, acme.account(Owner::user("u1")?, "credit")?);

    // Give 5 to try with, which end first, and 100 that were paid for; and the right to use a template 3 times a day.
    let mut trial = GrantCredit::new(user.clone(), GrantType::Trial, "5".parse()?);
    trial.expires_at = engine.now().plus_seconds(7 * 24 * 3600);
    engine.execute(acme.key("signup-u1")?.request(trial))?;
    engine.execute(acme.key("order-7")?.request(GrantCredit::new(user.clone(), GrantType::Purchased, "100".parse()?)))?;
    engine.execute(acme.request(SetLicence { daily_quota: Some(3), ..SetLicence::new("lic-1", "poster", "ops")? }))?;

    // What does it cost? A quote is kept: for 15 minutes it can be held at this price.
    let request = EstimateRequest::from_json(r#"{"template_id": "poster", "resolution": "4k"}"#)?;
    let quote = engine.quote(&account, &request, &Caller::from(&acme))?;
    println!("a poster in 4k costs {}", quote.estimate.selected_cost);
    for grant in engine.explain(&account, quote.estimate.selected_cost, None, None)?.grants {
        println!("{}. {} pays {} of {}", grant.position, grant.grant_type, grant.take, grant.remaining);
    }

    // Freeze it for a task, say how far the work is, and capture what it did cost. The rest goes back where it came from.
    let hold = PlaceHold {
        task_id: Some("job-1".parse()?),
        template_id: Some("poster".parse()?),
        audit_id: quote.audit_id,
        ..PlaceHold::new(user.clone(), quote.estimate.selected_cost)
    };
    engine.execute(acme.key("job-1/hold")?.request(hold))?;
    engine.execute(acme.request(AdvanceTask { progress: Some(40), ..AdvanceTask::new("job-1".parse()?) }))?;
    let complete = acme.key("job-1/done")?.request(CompleteTask::new("job-1".parse()?, Some("7.25".parse()?)));
    let captured = engine.execute(complete.clone())?;

    // The answer got lost and the client sends it again: the same answer, and nothing is captured twice.
    let again = engine.execute(complete)?;
    assert!(again.idempotent_replay && again.ledger_id == captured.ledger_id);

    // What is not allowed says why. Compliance is told of the first refusal in a minute.
    let unlicensed = Charge { template_id: Some("flyer".parse()?), ..Charge::new(user.clone(), "1".parse()?) };
    println!("refused: {}", engine.execute(acme.request(unlicensed)).unwrap_err());

    // The work was no good: give it back, to exactly the grants that paid.
    engine.execute(acme.request(Refund::of_charge(user, captured.ledger_id, "ops", "blurred picture")?))?;

    for entry in engine.entries(EntryQuery::new(EntryScope::Account(account.clone())))?.entries {
        let (change, balance, frozen) = (entry.change, entry.balance_after, entry.frozen_after);
        println!("{:>3}  {:<8} {change:>6}  balance {balance:>6}  frozen {frozen}", entry.seq, entry.kind);
    }
    let events = engine.events(&EventQuery::of_tenant(acme.tenant_id))?.events;
    println!("events: {}", events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>().join(", "));
    assert!(engine.verify()?.is_clean()); // every hash, sum, grant, hold, task and refusal, recomputed from the books
    Ok(())
}
