//! What the engine answers and keeps, against the naive model and against itself.

#![expect(clippy::indexing_slicing, reason = "a receipt's JSON answers null for a field that it does not have")]

use drawdown::store::AccountImage;
use drawdown::testing::generate::Made;
use drawdown::testing::model::{Effects, Lines, Model};
use drawdown::{
    Amount, ConsumptionOrder, ExpiredRefund, GrantState, GrantType, Operator, Payer, Policies, Receipt, TenantId, TenantPolicy,
    Timestamp,
};
use serde_json::Value;

/// Two tenants that decide as differently as they can, for the tenants of [`drawdown::testing::generate`].
///
/// # Panics
/// Never: the names are ids.
#[must_use]
pub fn policies() -> Policies {
    policies_in(1)
}

/// The same for several small worlds beside one another, as [`tenant_in`] names their tenants.
///
/// # Panics
/// Never: the names are ids.
#[must_use]
#[expect(clippy::expect_used, reason = "a tool of tests")]
pub fn policies_in(worlds: usize) -> Policies {
    let globex = TenantPolicy {
        payer: Payer::Tenant,
        consumption_order: ConsumptionOrder::new(vec![GrantType::Purchased, GrantType::Trial]).expect("an order"),
        expired_refund: ExpiredRefund::Forfeit,
        refund_window_days: Some(2),
        refund_operators: Some([Operator::new("ops").expect("an id")].into()),
        ..TenantPolicy::default()
    };
    let name = TenantId::new("globex").expect("an id");
    (0..worlds)
        .fold(Policies::new(TenantPolicy::default()), |policies, world| policies.tenant(tenant_in(world, &name), globex.clone()))
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
    if let Some(expected) = effects.expires_at {
        let expires_at = json["expires_at"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
        same("expires_at", expires_at.map(Timestamp::micros), Some(expected))?;
    }
    if let Some(status) = effects.status {
        same("status", json["status"].as_str(), Some(status.as_str()))?;
    }
    if let Some(draw) = &effects.draw {
        let lines = json["draw"].as_array().into_iter().flatten().map(|line| {
            let grant = line["grant_id"].as_str().and_then(|id| id.parse().ok());
            (grant.and_then(|id| model.grant_number(id)).unwrap_or(usize::MAX), micros(&line["amount"]).unwrap_or(-1))
        });
        same("draw", lines.collect::<Lines>(), draw.clone())?;
    }
    Ok(())
}

/// What came is what is there and what went; the row says what its grants and holds say; nothing is below zero.
///
/// # Errors
/// The first rule that is broken.
pub fn is_sound(image: &AccountImage) -> Result<(), String> {
    let (account, grants) = (&image.facts.account, &image.facts.grants);
    let totals = &account.totals;
    let sum = |amounts: &[Amount]| amounts.iter().map(|amount| amount.micros()).sum::<i64>();
    let there = sum(&[account.available, account.frozen]);
    let gone = sum(&[totals.consumed, totals.expired, totals.forfeited, totals.adjusted_out]);
    same("conservation", sum(&[totals.issued, totals.adjusted_in]), there + gone)?;
    let active = grants.values().filter(|grant| grant.state != GrantState::Pending);
    same("available by grants", active.map(|grant| grant.remaining.micros()).sum(), account.available.micros())?;
    same("frozen by grants", grants.values().map(|grant| grant.held.micros()).sum(), account.frozen.micros())?;
    same("frozen by holds", image.open_holds.iter().map(|hold| hold.held().micros()).sum(), account.frozen.micros())?;
    same("open grants", grants.len(), usize::try_from(account.open_grants).unwrap_or(usize::MAX))?;
    same("open holds", image.open_holds.len(), usize::try_from(account.open_holds).unwrap_or(usize::MAX))?;
    let mut amounts = vec![account.available, account.frozen];
    amounts.extend([totals.issued, totals.adjusted_in, totals.consumed, totals.expired, totals.forfeited, totals.adjusted_out]);
    amounts.extend(grants.values().flat_map(|grant| [grant.remaining, grant.held]));
    same("amounts below zero", amounts.iter().filter(|amount| amount.is_negative()).count(), 0)
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

/// The ids that later commands can name.
#[must_use]
pub fn made(receipt: &Receipt) -> Made {
    let json = receipt.to_json();
    let nil = uuid::Uuid::nil();
    let text = |name: &str| json[name].as_str();
    Made {
        grant_id: text("grant_id").and_then(|id| id.parse().ok()).unwrap_or(drawdown::GrantId::from_uuid(nil)),
        hold_id: text("hold_id").and_then(|id| id.parse().ok()).unwrap_or(drawdown::HoldId::from_uuid(nil)),
        ledger_id: text("ledger_id").and_then(|id| id.parse().ok()).unwrap_or(drawdown::LedgerId::from_uuid(nil)),
    }
}
