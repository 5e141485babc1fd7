//! What the rules of a platform add to a charge: a licence and its quota, risk limits, and what the audit is told.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use drawdown::store::sqlite::SqliteStore;
use drawdown::{
    Amount, Charge, Command, Context, Engine, Owner, Policies, RiskControls, RiskPolicy, SetLicence, TenantPolicy, Velocity,
};

use crate::Outcome;
use crate::contender::{Spread, take_turns};
use crate::engine::{self, Charging, Sending, TENANT};
use crate::table::{Ratio, Table};

const TEMPLATE: &str = "poster";

/// Charges 1,000 accounts with nothing but their balance to look at, and with all the rules, in turns.
pub(crate) fn rows(folder: &Path, time: Duration, table: &mut Table) -> Outcome<()> {
    let plain = engine::open(&folder.join("bare.db"))?;
    let ruled = open(&folder.join("ruled.db"))?;
    let sending = Sending::InFlight(64);
    for spread in [Spread::Even, Spread::Hot] {
        let mut plain = Charging::new(plain.clone(), &format!("bare{spread:?}"), sending, spread)?;
        let mut ruled = Charging::new(ruled.clone(), &format!("ruled{spread:?}"), sending, spread)?.asking(under_rules);
        let [plain, ruled] = take_turns([&mut plain, &mut ruled], time)?;
        let measured = format!("{ruled} against {plain} without, {} of the time", Ratio::new(plain, ruled));
        table.fact(format!("SQLite, 64 in flight, licence, limits and audit, {}", spread.name()), measured);
    }
    Ok(())
}

/// An engine over a file whose tenant asks for all that it can, with its accounts granted and a licence for everyone.
pub(crate) fn open(file: &Path) -> Outcome<Engine> {
    let controls = RiskControls {
        daily_cap: Some("1000000000".parse()?),
        daily_count_cap: Some(1_000_000_000_000),
        single_cap: Some("1000".parse()?),
        velocity: vec![Velocity::count(1_000_000_000, 3_600)],
        anomaly_threshold: Some("100".parse()?),
        ..RiskControls::default()
    };
    let risk = RiskPolicy::new(controls)?;
    let policy = TenantPolicy { licence_required: true, risk, ..TenantPolicy::default() };
    let store = Arc::new(SqliteStore::open(file)?);
    let engine = Engine::builder().store(store).policies(Policies::new(policy)).build()?;
    engine::grant_all(&engine)?;
    let plenty = Some(1_000_000_000_000);
    let licence = SetLicence { total_quota: plenty, daily_quota: plenty, ..SetLicence::new("everyone", TEMPLATE, "bench")? };
    engine.execute(Context::tenant(TENANT)?.request(licence))?;
    Ok(engine)
}

/// A charge for work with a template, as a platform asks for it.
pub(crate) fn under_rules(context: &Context, name: &str, number: u64, owner: &Owner) -> Outcome<Command> {
    let mut charge = Charge::new(owner.clone(), Amount::from_micros(1));
    charge.template_id = Some(TEMPLATE.parse()?);
    let context = context.key(format!("{name}-{number:012}"))?.actor("bench")?.request_id(format!("request-{number:012}"))?;
    Ok(context.request(charge).into_command())
}
