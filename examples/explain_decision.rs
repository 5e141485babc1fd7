//! A customer asks why a charge was refused: it is recorded, sent as JSON, decided again elsewhere, and explained.
//!
//! ```sh
//! cargo run --example explain_decision
//! ```

use std::sync::Arc;

use drawdown::decide::Decision;
use drawdown::ledger::Entry;
use drawdown::{Charge, Context, Engine, GrantCredit, GrantType, ManualClock, Owner, PlaceHold, Recording, Timestamp};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    for json in at_the_customer()? {
        // Elsewhere, later: no books are needed.
        explain(&Recording::from_json(&json)?);
    }
    Ok(())
}

/// A trial that ends, a hold, and two charges: one is accepted, one refused.
fn at_the_customer() -> Outcome<Vec<String>> {
    let clock = Arc::new(ManualClock::at("2026-03-01T12:00:00Z".parse()?));
    let engine = Engine::builder().clock(clock.clone()).build()?;
    let acme = Context::tenant("acme")?;
    let user = Owner::user("u1")?;
    let give = |grant_type, amount: &str, until: Option<Timestamp>| -> Outcome<()> {
        let grant = GrantCredit { expires_at: until, ..GrantCredit::new(user.clone(), grant_type, amount.parse()?) };
        engine.execute(acme.request(grant))?;
        Ok(())
    };
    give(GrantType::Trial, "20", Some("2026-03-02T12:00:00Z".parse()?))?;
    give(GrantType::Campaign, "5", Some("2026-03-09T12:00:00Z".parse()?))?;
    give(GrantType::Purchased, "30", None)?;
    clock.set("2026-03-02T11:59:00Z".parse()?);
    engine.execute(acme.request(PlaceHold::new(user.clone(), "8".parse()?)))?;

    clock.set("2026-03-02T12:00:00Z".parse()?);
    let mut recorded = Vec::new();
    for amount in ["6", "40"] {
        let (recording, _answer) = engine.execute_recorded(acme.request(Charge::new(user.clone(), amount.parse()?)));
        recorded.push(recording.ok_or("nothing was decided")?.to_json());
    }
    Ok(recorded)
}

/// What was decided, from what, and why.
fn explain(recording: &Recording) {
    let context = &recording.command.context;
    println!("{} of tenant {}, decided at {}", recording.command.body.kind(), context.tenant_id, recording.facts.now);
    for facts in recording.facts.accounts.values() {
        let account = &facts.account;
        println!("  found   {} with {} available and {} frozen, as booked", account.key, account.available, account.frozen);
    }
    match recording.decide() {
        Decision::Accepted(changes, receipt) => {
            let settled = usize::from(receipt.stored.operation.settled_count);
            println!("  decided accepted, {} entries", changes.entries().len());
            for (index, entry) in changes.entries().iter().enumerate() {
                println!("  {} {}", if index < settled { "first  " } else { "booked " }, line(entry));
            }
        }
        Decision::Replayed(_) => println!("  decided accepted before under the same key: the first answer again"),
        Decision::Denied(denial, _) | Decision::Remembered(_, denial, _) => {
            println!("  decided denied, {}: {denial}", denial.name());
            denial.details().iter().for_each(|(name, value)| println!("          {name} {value}"));
        }
        Decision::Contradiction(what) => println!("  decided nothing, the books contradict themselves: {what}"),
    }
    if let Some(explanation) = recording.explain() {
        println!("  why     of {} needed, {} could be paid by", explanation.amount, explanation.available);
        for grant in &explanation.grants {
            let before = grant.before_next_by.map(|by| format!(", before the next by its {by}")).unwrap_or_default();
            println!("          {}. {} with {}, pays {}{before}", grant.position, grant.grant_type, grant.remaining, grant.take);
        }
        for grant in &explanation.unusable {
            println!("          not {}: {}, {} remain, {} held", grant.grant_type, grant.why, grant.remaining, grant.held);
        }
    }
    println!();
}

fn line(entry: &Entry) -> String {
    let draw: Vec<String> = entry.draw.lines().iter().map(|line| format!("{} {}", line.grant_type, line.amount)).collect();
    format!(
        "{} {} ({}), balance {}, hash {:.12}",
        entry.kind,
        entry.change,
        draw.join(", "),
        entry.balance_after,
        entry.hash.to_string()
    )
}
