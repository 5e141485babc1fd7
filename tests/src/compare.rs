//! What the engine answers and keeps, against the naive model and against itself.

#![expect(clippy::indexing_slicing, reason = "a receipt's JSON answers null for a field that it does not have")]

use drawdown::testing::generate;
use drawdown::testing::model::{Deed, Effects, Lines, Model};
use drawdown::{Amount, Band, Engine, Policies, Receipt, TaskStep, TenantId, TenantPolicy, Timestamp};
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
    same("told", receipt.stored.operation.alerts.len(), usize::from(effects.told))?;
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

/// Whether the history of each task, and where it stands now, are what the model says.
///
/// # Errors
/// The first that differs.
pub fn same_tasks(model: &Model, engine: &Engine) -> Result<(), String> {
    let now = engine.now();
    for (tenant, task) in model.tasks() {
        let page = engine.task_events(&tenant, &task, None, 1_000).map_err(|error| error.to_string())?;
        let history: Vec<Deed> = page.steps.into_iter().map(deed).collect();
        same(&format!("history of {tenant}/{task}"), history, model.history(&tenant, &task, now))?;
        let view = engine.task(&tenant, &task).map_err(|error| error.to_string())?;
        let found = view.status.map(|status| Deed {
            hold_id: view.hold_id,
            status,
            stage: view.stage,
            progress: Some(view.progress),
            credits_delta: view.credits_delta.micros(),
            ts: view.ts.micros(),
            next_eta: view.next_eta.map(Timestamp::micros),
            booked: true,
        });
        let expected = model.stands(&tenant, &task, now).map(|deed| Deed { booked: true, ..deed });
        same(&format!("{tenant}/{task}"), found, expected)?;
    }
    Ok(())
}

/// A step as the model says it.
fn deed(step: TaskStep) -> Deed {
    Deed {
        hold_id: Some(step.hold_id),
        status: step.status,
        stage: step.stage,
        progress: step.progress,
        credits_delta: step.credits_delta.micros(),
        ts: step.ts.micros(),
        next_eta: step.next_eta.map(Timestamp::micros),
        booked: step.cursor.is_some(),
    }
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
