//! Quotes: estimates whose price is kept, for a hold or charge that names one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::record::{AuditKind, AuditRecord};
use crate::amount::Amount;
use crate::credit::Work;
use crate::decide::Case;
use crate::denial::Denial;
use crate::id::{AppId, AuditId, PolicyTag, PriceBasis, Scene, TemplateId, Unit};
use crate::owner::{AccountKey, Owner, Subject};
use crate::time::Timestamp;

/// What a quote pins: the price, and what of. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quote {
    /// The account that it was made for.
    pub account: Arc<AccountKey>,
    /// The app.
    pub app_id: Option<AppId>,
    /// The template.
    pub template_id: Option<TemplateId>,
    /// The scene.
    pub scene: Option<Scene>,
    /// The price.
    pub selected_cost: Amount,
    /// The version of the price book.
    pub price_basis: PriceBasis,
    /// The label of compliance.
    pub policy_tag: Option<PolicyTag>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What of the details of a record a quote is made of.
#[derive(Deserialize)]
struct Details {
    estimate: Estimated,
}

#[derive(Deserialize)]
struct Estimated {
    currency: Unit,
    app_id: Option<AppId>,
    scene: Option<Scene>,
    selected_cost: Amount,
    calculation_basis: PriceBasis,
}

impl Quote {
    /// The quote that a record of the audit is; none if it is none, or cannot be read.
    #[must_use]
    pub fn of(record: &AuditRecord) -> Option<Quote> {
        let owner = match record.subject.as_ref().filter(|_| record.kind == AuditKind::Quote)? {
            Subject::Tenant => Owner::Pool,
            Subject::User(user_id) => Owner::User(user_id.clone()),
            Subject::Organization(organization_id) => Owner::Organization(organization_id.clone()),
            Subject::Licence(_) | Subject::Task(_) => return None,
        };
        let Details { estimate } = serde_json::from_str(&record.details).ok()?;
        Some(Quote {
            account: Arc::new(AccountKey::new(record.tenant_id.clone(), owner, estimate.currency)),
            app_id: estimate.app_id,
            template_id: record.template_id.clone(),
            scene: estimate.scene,
            selected_cost: estimate.selected_cost,
            price_basis: estimate.calculation_basis,
            policy_tag: record.policy_tag.clone(),
            created_at: record.created_at,
        })
    }
}

/// The quote that a command names, if it names one; it must be of the same work, at the same price, and young enough.
///
/// # Errors
/// `payload_invalid` that names the first field that is not the quote's.
pub(crate) fn priced<'a>(case: &Case<'a>, work: &Work<'_>) -> Result<Option<&'a Quote>, Denial> {
    let Some(audit_id) = work.quote else { return Ok(None) };
    let quote = case.facts.quotes.get(&audit_id).filter(|quote| quote.account.tenant_id == *case.tenant_id());
    let Some(quote) = quote else {
        return Err(Denial::invalid("audit_id", audit_id, "the `audit_id` of a quote"));
    };
    let refused = || refuse_others(quote, work).and_then(|()| refuse_old(case, quote, audit_id));
    refused().map_err(|denial| denial.tagged(quote.policy_tag.clone()))?;
    Ok(Some(quote))
}

/// Refuses what is not the quote's. What the command does not name can be any.
fn refuse_others(quote: &Quote, work: &Work<'_>) -> Result<(), Denial> {
    let others = [
        differs("payer", Some(&work.account.owner), Some(&quote.account.owner)),
        differs("unit", Some(&work.account.unit), Some(&quote.account.unit)),
        differs("template_id", work.template_id, quote.template_id.as_ref()),
        differs("app_id", work.app_id, quote.app_id.as_ref()),
        differs("scene", work.scene, quote.scene.as_ref()),
        differs("price_basis", work.price_basis, Some(&quote.price_basis)),
        differs("amount", Some(&work.amount), Some(&quote.selected_cost)),
    ];
    others.into_iter().flatten().next().map_or(Ok(()), Err)
}

/// A quote is valid from the instant at which it was made, up to the end of its validity and without it.
fn refuse_old(case: &Case<'_>, quote: &Quote, audit_id: AuditId) -> Result<(), Denial> {
    let seconds = case.policy.quote_validity_seconds;
    let until = quote.created_at.plus_seconds(i64::from(seconds)).unwrap_or(Timestamp::MAX);
    if case.now() < until {
        return Ok(());
    }
    Err(Denial::invalid("audit_id", audit_id, &format!("a quote that is younger than {seconds} seconds"))
        .with("quoted_at", quote.created_at.to_string()))
}

/// The denial of a field that both name, and not the same.
fn differs<T: PartialEq + std::fmt::Display>(field: &str, given: Option<&T>, quoted: Option<&T>) -> Option<Denial> {
    match (given, quoted) {
        (Some(given), Some(quoted)) if given != quoted => {
            Some(Denial::invalid(field, given, &format!("`{quoted}`, as in the quote")))
        }
        _ => None,
    }
}
