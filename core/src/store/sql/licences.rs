//! Rows of licences and of their use: statements, facts and parameters.

use super::codec::json;
use super::row::Columns;
use super::statements as sql;
use super::{Row, Statement, Value, count, params};
use crate::credit::Zone;
use crate::id::{HoldId, LicenceId, PolicyTag, TemplateId, TenantId, UserId};
use crate::licence::{DayUse, Licence, LicenceKey, LicenceTerms, LicenceUse, TemplateKey};
use crate::store::StoreError;
use crate::time::Timestamp;

pub(super) fn by_name(key: &LicenceKey) -> Statement<'_> {
    Statement::new(sql::LICENCE, name(key))
}

pub(super) fn by_template(template: &TemplateKey) -> Statement<'_> {
    let user_id = template.user_id.as_ref().map_or("", |user_id| user_id.as_str());
    Statement::new(sql::TEMPLATE_LICENCES, params![template.tenant_id.as_str(), template.template_id.as_str(), user_id])
}

pub(super) fn due_uses(key: &LicenceKey, now: Timestamp) -> Statement<'_> {
    let mut bound = name(key);
    bound.push(now.into());
    Statement::new(sql::DUE_USES, bound)
}

pub(super) fn used_by<'a>(key: &'a LicenceKey, user_id: &'a UserId) -> Statement<'a> {
    let mut bound = name(key);
    bound.push(user_id.as_str().into());
    Statement::new(sql::LICENCE_USER, bound)
}

/// The name of a licence.
pub(super) fn name_of(row: Row<'_>) -> Result<LicenceId, StoreError> {
    Columns::of("licences", row).id("licence_id", LicenceId::new)
}

/// A licence of this tenant, with its name.
pub(super) fn licence(tenant_id: &TenantId, row: Row<'_>) -> Result<(LicenceKey, Licence), StoreError> {
    let name = match row.value(0) {
        Value::Text(licence_id) => licence_id.into_owned(),
        _ => "?".to_owned(),
    };
    let mut columns = Columns::named("licences", &name, row);
    let key = LicenceKey::new(tenant_id.clone(), columns.id("licence_id", LicenceId::new)?);
    let template_id = columns.id("template_id", TemplateId::new)?;
    // Empty for any user.
    let user_id = Some(columns.text("user_id")?).filter(|user_id| !user_id.is_empty()).map(UserId::new).transpose();
    let user_id = user_id.map_err(|_| columns.unreadable("user_id"))?;
    let channels = columns.json("channels")?;
    let (valid_from, valid_until) = (columns.optional_time("valid_from")?, columns.optional_time("valid_until")?);
    let (total_quota, daily_quota) = (columns.optional_number("total_quota")?, columns.optional_number("daily_quota")?);
    let zone = columns.text("zone")?.parse::<Zone>().map_err(|_| columns.unreadable("zone"))?;
    let (required_documents, submitted_documents) = (columns.json("required_documents")?, columns.json("submitted_documents")?);
    let revoked_at = columns.optional_time("revoked_at")?;
    let policy_tag = columns.optional_id("policy_tag", PolicyTag::new)?;
    let terms = LicenceTerms {
        template_id,
        user_id,
        channels,
        valid_from,
        valid_until,
        total_quota,
        daily_quota,
        zone,
        required_documents,
        policy_tag,
    };
    let (used, reserved) = (columns.number("used")?, columns.number("reserved")?);
    let day = DayUse { from: columns.time("day_from")?, until: columns.time("day_until")?, used: columns.number("day_used")? };
    Ok((key, Licence { terms, submitted_documents, revoked_at, used, reserved, day, last_at: columns.time("last_at")? }))
}

/// A use that is reserved, and the hold that reserves it.
pub(super) fn reserved(row: Row<'_>) -> Result<(HoldId, LicenceUse), StoreError> {
    let mut columns = Columns::of("licence_uses", row);
    let hold_id = HoldId::from_uuid(columns.uuid("hold_id")?);
    let user_id = columns.optional_id("user_id", UserId::new)?;
    let (made_at, expires_at) = (columns.time("made_at")?, columns.time("expires_at")?);
    Ok((hold_id, LicenceUse { user_id, made_at, expires_at }))
}

/// How often a user used a licence.
pub(super) fn used(row: Row<'_>) -> Result<u64, StoreError> {
    Columns::of("licence_users", row).number("used")
}

pub(super) fn write<'a>(key: &'a LicenceKey, licence: &'a Licence) -> Statement<'a> {
    let terms = &licence.terms;
    let mut bound = name(key);
    bound.extend(params![
        terms.template_id.as_str(),
        terms.user_id.as_ref().map_or("", UserId::as_str),
        json(Some(&terms.channels)),
        terms.valid_from,
        terms.valid_until,
        terms.total_quota.map(count),
        terms.daily_quota.map(count),
        terms.zone.to_string(),
        json(Some(&terms.required_documents)),
        json(Some(&licence.submitted_documents)),
        licence.revoked_at,
        terms.policy_tag.as_ref().map(PolicyTag::as_str),
        count(licence.used),
        count(licence.reserved),
        licence.day.from,
        licence.day.until,
        count(licence.day.used),
        licence.last_at,
    ]);
    Statement::new(sql::LICENCE_UPSERT, bound)
}

/// Writes a use that is reserved, or removes the row of one that is reserved no more.
pub(super) fn write_use<'a>(hold_id: HoldId, key: &'a LicenceKey, reserved: Option<&'a LicenceUse>) -> Statement<'a> {
    let Some(reserved) = reserved else { return Statement::new(sql::LICENCE_USE_END, params![hold_id.uuid()]) };
    let mut bound = params![hold_id.uuid()];
    bound.extend(name(key));
    bound.extend(params![reserved.user_id.as_ref().map(UserId::as_str), reserved.made_at, reserved.expires_at]);
    Statement::new(sql::LICENCE_USE_UPSERT, bound)
}

pub(super) fn write_user<'a>((key, user_id): &'a (LicenceKey, UserId), used: u64) -> Statement<'a> {
    let mut bound = name(key);
    bound.extend([user_id.as_str().into(), count(used)]);
    Statement::new(sql::LICENCE_USER_UPSERT, bound)
}

fn name(key: &LicenceKey) -> Vec<Value<'_>> {
    params![key.tenant_id.as_str(), key.licence_id.as_str()]
}
