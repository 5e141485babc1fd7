//! What the engine answers and keeps, against the naive model and against itself.

#![expect(clippy::indexing_slicing, reason = "a receipt's JSON answers null for a field that it does not have")]

use drawdown::testing::generate;
use drawdown::testing::model::{Effects, Lines, Model};
use drawdown::{Amount, Band, Policies, Receipt, TenantId, TenantPolicy, Timestamp};
use serde_json::Value;

/// The policies of several small worlds beside one another, as [`tenant_in`] names their tenants.
///
/// # Panics
/// Never: the name is an id.
#[must_use]
#[expect(clippy::expect_used, reason = "a tool of tests")]
pub fn policies_in(worlds: usize) -> Policies {
    let name = TenantId::new("globex").expect("an id");
    let policy = TenantPolicy::clone(generate::policies().of(&name));
    (0..worlds).fold(generate::policies(), |policies, world| policies.tenant(tenant_in(world, &name), policy.clone()))
}

/// The tenant of this name in one of several small worlds.
///
/// # Panics
/// Never: the name is an id.
#[must_use]
#[expect(clippy::expect_used, reason = "a tool of tests")]
pub fn tenant_in(world: usize, name: &TenantId) -> TenantId {
    if world == 0 { name.clone() } else { TenantId::new(format!("{name}-{world}")).expect("an id") }
}

/// Whether a receipt says what the model says that the command did.
///
/// # Errors
/// The first field that differs.
pub fn same_effects(model: &Model, effects: &Effects, receipt: &Receipt) -> Result<(), String> {
    let json = receipt.to_json();
    if effects.changed.is_some() {
        return same("changed", json["changed"].as_bool(), effects.changed);
    }
    if effects.progress.is_some() {
        return same("progress", json["progress"].as_u64(), effects.progress.map(u64::from));
    }
    same("balance_after", micros(&json["balance_after"]), Some(effects.balance_after))?;
    same("frozen_after", micros(&json["frozen_after"]), Some(effects.frozen_after))?;
    let amounts = [
        ("change", effects.change),
        ("refunded", effects.refunded),
        ("forfeited", effects.forfeited),
        ("released", effects.released),
        ("captured", effects.captured),
        ("captured_total", effects.captured_total),
        ("held", effects.held),
    ];
    for (name, expected) in amounts {
        if expected.is_some() {
            same(name, micros(&json[name]), expected)?;
        }
    }
    same("band", json["band"].as_str(), effects.band.map(Band::as_str))?;
    if let Some(expected) = effects.expires_at {
        let expires_at = json["expires_at"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
        same("expires_at", expires_at.map(Timestamp::micros), Some(expected))?;
    }
    if let Some(status) = effects.status {
        same("status", json["status"].as_str(), Some(status.as_str()))?;
    }
    let snapshot = &json["quota_snapshot"];
    let quota = snapshot["template_quota"].as_i64().zip(snapshot["user_usage"].as_u64());
    same("quota_snapshot", quota, effects.quota)?;
    if let Some(draw) = &effects.draw {
        let lines = json["draw"].as_array().into_iter().flatten().map(|line| {
            let grant = line["grant_id"].as_str().and_then(|id| id.parse().ok());
            (grant.and_then(|id| model.grant_number(id)).unwrap_or(usize::MAX), micros(&line["amount"]).unwrap_or(-1))
        });
        same("draw", lines.collect::<Lines>(), draw.clone())?;
    }
    Ok(())
}

/// Whether two values are the same.
///
/// # Errors
/// Both, and what they are of.
pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: the engine says {found:?}, the model {expected:?}")) }
}

fn micros(json: &Value) -> Option<i64> {
    json.as_str().and_then(|text| text.parse::<Amount>().ok()).map(Amount::micros)
}
