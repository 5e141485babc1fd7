//! The first five minutes: grant, explain, hold, capture, replay, refund, and the books afterwards.
//!
//! ```sh
//! cargo run --example quickstart
//! ```

use drawdown::ledger::{EntryQuery, EntryScope};
use drawdown::{AccountKey, CaptureHold, Context, Engine, GrantCredit, GrantType, Owner, PlaceHold, Refund};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::in_memory(); // in a file: Engine::open("sqlite://credits.db")?
    let acme = Context::tenant("acme")?;
    let user = Owner::user("u1")?;
    let account = AccountKey::new("acme".parse()?, user.clone(), "credit".parse()?);

    // Give 5 to try with, which end first, and 100 that were paid for.
    let mut trial = GrantCredit::new(user.clone(), GrantType::Trial, "5".parse()?);
    trial.expires_at = engine.now().plus_seconds(7 * 24 * 3600);
    engine.execute(acme.key("signup-u1")?.request(trial))?;
    engine.execute(acme.key("order-7")?.request(GrantCredit::new(user.clone(), GrantType::Purchased, "100".parse()?)))?;

    // Which grants would pay, and why in that order?
    for grant in engine.explain(&account, "8".parse()?, None, None)?.grants {
        println!("{}. {} pays {} of {}", grant.position, grant.grant_type, grant.take, grant.remaining);
    }

    // Freeze an upper bound, do the work, capture what it cost. The rest goes back where it came from.
    let held = engine.execute(acme.key("job-1/hold")?.request(PlaceHold::new(user.clone(), "8".parse()?)))?;
    let capture = acme.key("job-1/capture")?.request(CaptureHold::new(held.hold_id, "6.25".parse()?));
    let captured = engine.execute(capture.clone())?;
    assert_eq!((captured.captured.to_string(), captured.balance_after.to_string()), ("6.25".into(), "98.75".into()));

    // The answer got lost and the client sends it again: the same answer, and nothing is captured twice.
    let again = engine.execute(capture)?;
    assert!(again.idempotent_replay && again.ledger_id == captured.ledger_id);

    // The work was no good: give it back, to exactly the grants that paid.
    engine.execute(acme.request(Refund::of_charge(user, captured.ledger_id, "ops", "blurred picture")?))?;

    for entry in engine.entries(EntryQuery::new(EntryScope::Account(account.clone())))?.entries {
        println!(
            "{:>3}  {:<8} {:>7}  balance {:>6}  frozen {}",
            entry.seq, entry.kind, entry.change, entry.balance_after, entry.frozen_after
        );
    }
    let balance = engine.balance(&account)?;
    println!("{} {} available, {} frozen", balance.available, balance.unit, balance.frozen);
    assert!(engine.verify()?.is_clean()); // every hash, sum, grant and hold, recomputed from the ledger
    Ok(())
}
