//! Rows of what risk controls count: statements, facts and parameters.

use super::codec::json;
use super::row::Columns;
use super::statements as sql;
use super::{Row, Statement, Value, count, params};
use crate::id::{AppId, HoldId};
use crate::risk::{Counted, RiskCount, RiskKey, RiskUse};
use crate::store::StoreError;
use crate::time::Timestamp;

pub(super) fn by_key(key: &RiskKey) -> Statement<'_> {
    Statement::new(sql::RISK_COUNT, name(key))
}

pub(super) fn due_uses(key: &RiskKey, now: Timestamp) -> Statement<'_> {
    let mut bound = name(key);
    bound.push(now.into());
    Statement::new(sql::DUE_RISK_USES, bound)
}

pub(super) fn counted(key: &RiskKey, row: Row<'_>) -> Result<RiskCount, StoreError> {
    let name = key.spender.to_string();
    let mut columns = Columns::named("risk_counts", &name, row);
    Ok(RiskCount {
        day_from: columns.time("day_from")?,
        used: columns.amount("used")?,
        count: columns.number("count")?,
        reserved: columns.number("reserved")?,
        velocity: columns.optional_json("velocity")?.unwrap_or_default(),
        alerted_at: columns.optional_time("alerted_at")?,
        last_at: columns.time("last_at")?,
    })
}

/// What a hold reserves.
pub(super) fn reserved(row: Row<'_>) -> Result<(HoldId, RiskUse), StoreError> {
    let mut columns = Columns::of("risk_uses", row);
    let hold_id = HoldId::from_uuid(columns.uuid("hold_id")?);
    let (used, count) = (columns.amount("used")?, columns.number("count")?);
    Ok((hold_id, RiskUse { used, count, made_at: columns.time("made_at")?, expires_at: columns.time("expires_at")? }))
}

pub(super) fn write<'a>(key: &'a RiskKey, row: &'a RiskCount) -> Statement<'a> {
    let mut bound = name(key);
    bound.extend(params![
        row.day_from,
        row.used,
        count(row.count),
        count(row.reserved),
        json(Some(&row.velocity).filter(|velocity| !velocity.is_empty())),
        row.alerted_at,
        row.last_at,
    ]);
    Statement::new(sql::RISK_COUNT_UPSERT, bound)
}

/// Writes what a hold reserves, or removes the row of one that reserves nothing any more.
pub(super) fn write_use<'a>(hold_id: HoldId, key: &'a RiskKey, reserved: Option<&RiskUse>) -> Statement<'a> {
    let Some(reserved) = reserved else { return Statement::new(sql::RISK_USE_END, params![hold_id.uuid()]) };
    let mut bound = params![hold_id.uuid()];
    bound.extend(name(key));
    bound.extend(params![reserved.used, count(reserved.count), reserved.made_at, reserved.expires_at]);
    Statement::new(sql::RISK_USE_UPSERT, bound)
}

fn name(key: &RiskKey) -> Vec<Value<'_>> {
    let (app_id, unit) = match &key.counted {
        Counted::Requests => ("", ""),
        Counted::Work { app_id, unit } => (app_id.as_ref().map_or("", AppId::as_str), unit.as_str()),
    };
    params![key.tenant_id.as_str(), key.spender.to_string(), app_id, unit]
}
