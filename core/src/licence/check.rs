//! Whether a template may be used: which licence counts, and what it says.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::terms::{Channel, Licence, LicenceKey, TemplateKey, quota, user_of_work};
use super::uses::{LicenceUse, LicenceUses};
use super::{LICENSE, VALID_FROM};
use crate::credit::{TenantPolicy, Work, named_enum};
use crate::decide::Case;
use crate::denial::{Denial, DenialKind};
use crate::facts::Facts;
use crate::id::{AuditId, LicenceId, PolicyTag, TemplateId, UserId};
use crate::ledger::posting::Posting;
use crate::time::Timestamp;

named_enum! {
    /// Why a template may be used or not. Of several the first that applies is said, in this order, and `valid` if none does.
    ReasonCode {
        /// The licence was revoked.
        Revoked = "revoked",
        /// Its time is over.
        Expired = "expired",
        /// Something is required: a document, a licence at all, or its beginning.
        MissingDocuments = "missing_documents",
        /// It is used up in all, and the tenant wants to tell that from the day.
        QuotaExceeded = "quota_exceeded",
        /// It is used up for today; or in all, then nothing remains.
        DailyQuotaExceeded = "daily_quota_exceeded",
        /// It may be used.
        Valid = "valid",
    }
}

/// Answers whether a template may be used. Counts are -1 where there is no limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LicenceCheck {
    /// Whether it may be used now.
    pub is_authorized: bool,
    /// Why, or why not.
    pub reason_code: ReasonCode,
    /// How many uses are left in all.
    pub remaining_quota: i64,
    /// How many uses are left of the day.
    pub daily_remaining: i64,
    /// Until when the licence is valid.
    pub valid_until: Option<Timestamp>,
    /// The licence's label of compliance; an engine says that of the template where the licence has none.
    pub policy_tag: Option<PolicyTag>,
    /// What is missing: documents; `license` where there is no licence; `valid_from` where it is not valid yet.
    pub requirements: Vec<String>,
    /// When waiting alone makes it valid, as far as it can be known.
    pub retry_at: Option<Timestamp>,
    /// The licence that counts.
    pub licence_id: Option<LicenceId>,
    /// The record of the audit. None where no engine has answered.
    pub audit_id: Option<AuditId>,
}

/// What is left of a licence after a command, and how often the user has used it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QuotaSnapshot {
    /// How many uses are left in all; -1 without a limit.
    pub template_quota: i64,
    /// How often this user has used the licence, open holds included.
    pub user_usage: u64,
}

/// Whether a template may be used, by facts that know its licences. A pure function; nothing is used up.
///
/// # Errors
/// `template_not_found`, where the policy says which templates exist.
///
/// # Examples
/// ```
/// use drawdown::facts::Facts;
/// use drawdown::{ReasonCode, TemplateKey, TenantPolicy, check_licence};
/// let template = TemplateKey::new("acme".parse()?, "poster".parse()?, Some("u1".parse()?));
/// let check = check_licence(&Facts::default(), &TenantPolicy::default(), &template, None)?;
/// assert_eq!((check.reason_code, check.requirements), (ReasonCode::MissingDocuments, vec!["license".to_owned()]));
/// let none_exists = TenantPolicy { templates: Some(Default::default()), ..TenantPolicy::default() };
/// assert_eq!(check_licence(&Facts::default(), &none_exists, &template, None).unwrap_err().name(), "template_not_found");
/// # Ok::<(), drawdown::Denial>(())
/// ```
pub fn check_licence(
    facts: &Facts,
    policy: &TenantPolicy,
    template: &TemplateKey,
    channel: Option<Channel>,
) -> Result<LicenceCheck, Denial> {
    template_exists(policy, &template.template_id)?;
    let uses = LicenceUses::of(facts);
    Ok(match best(&uses, policy, template, channel, facts.now) {
        Some(found) => found.check(facts.now),
        None => LicenceCheck {
            is_authorized: false,
            reason_code: ReasonCode::MissingDocuments,
            remaining_quota: 0,
            daily_remaining: 0,
            valid_until: None,
            policy_tag: None,
            requirements: vec![LICENSE.to_owned()],
            retry_at: None,
            licence_id: None,
            audit_id: None,
        },
    })
}

/// What work with a template goes by.
pub(crate) struct Licensed {
    /// The licence that it uses; none where none is needed.
    pub(crate) key: Option<LicenceKey>,
    /// The label of compliance: the licence's, else the command's.
    pub(crate) policy_tag: Option<PolicyTag>,
}

/// The licence for work with a template, if the tenant requires one. The label of compliance is the licence's, else this one.
///
/// # Errors
/// `template_not_found`; the denial of who has no licence; `authorization_missing`, `daily_quota_exceeded`,
/// `quota_exceeded`.
pub(crate) fn for_work(
    case: &Case<'_>,
    posting: &Posting<'_>,
    work: &Work<'_>,
    policy_tag: Option<&PolicyTag>,
) -> Result<Licensed, Denial> {
    let Some(template_id) = work.template_id.filter(|_| case.policy.licence_required) else {
        return Ok(Licensed { key: None, policy_tag: policy_tag.cloned() });
    };
    template_exists(case.policy, template_id)?;
    let template = TemplateKey::of_work(&work.account, template_id, work.user_id);
    let found = best(&posting.licences, case.policy, &template, None, case.now());
    let found = found.ok_or_else(|| unlicensed(work.without_licence, template_id, policy_tag))?;
    let policy_tag = found.licence.terms.policy_tag.as_ref().or(policy_tag).cloned();
    match found.reason {
        ReasonCode::Valid => Ok(Licensed { key: Some(found.key.clone()), policy_tag }),
        _ => Err(found.refusal(template_id, case.now()).tagged(policy_tag)),
    }
}

/// The label of compliance of work that is only priced: the licence's, else this one. Whether a quota is used up is asked when the
/// work begins.
///
/// # Errors
/// `template_not_found`, `authorization_missing`.
pub(crate) fn for_estimate(
    facts: &Facts,
    policy: &TenantPolicy,
    template: &TemplateKey,
    policy_tag: Option<PolicyTag>,
) -> Result<Option<PolicyTag>, Denial> {
    template_exists(policy, &template.template_id)?;
    let uses = LicenceUses::of(facts);
    let found = best(&uses, policy, template, None, facts.now);
    let found = found.ok_or_else(|| unlicensed(DenialKind::AuthorizationMissing, &template.template_id, policy_tag.as_ref()))?;
    let policy_tag = found.licence.terms.policy_tag.clone().or(policy_tag);
    match found.reason {
        ReasonCode::Valid | ReasonCode::QuotaExceeded | ReasonCode::DailyQuotaExceeded => Ok(policy_tag),
        _ => Err(found.refusal(&template.template_id, facts.now).tagged(policy_tag)),
    }
}

fn unlicensed(kind: DenialKind, template_id: &TemplateId, policy_tag: Option<&PolicyTag>) -> Denial {
    Denial::new(kind, format!("there is no licence for the template `{template_id}`"))
        .with("template_id", template_id.as_str())
        .with("reason_code", ReasonCode::MissingDocuments.as_str())
        .with("requirements", vec![LICENSE])
        .tagged(policy_tag.cloned())
}

fn template_exists(policy: &TenantPolicy, template_id: &TemplateId) -> Result<(), Denial> {
    match &policy.templates {
        Some(templates) if !templates.contains(template_id) => {
            Err(Denial::new(DenialKind::TemplateNotFound, format!("there is no template `{template_id}`"))
                .with("template_id", template_id.as_str()))
        }
        _ => Ok(()),
    }
}

/// The licence that counts: the user's own before one for any user, then one that is `valid`, then the one that ends last, then
/// the first by its name.
fn best<'a>(
    uses: &'a LicenceUses<'_>,
    policy: &TenantPolicy,
    template: &TemplateKey,
    channel: Option<Channel>,
    now: Timestamp,
) -> Option<Found<'a>> {
    let keys = uses.facts()?.template_licences.get(template)?;
    let found = keys.iter().filter_map(|key| Some((key, uses.licence(key)?)));
    let found = found.filter(|(_, licence)| channel.is_none_or(|channel| licence.terms.channels.contains(&channel)));
    // Of equals the first is kept.
    found
        .map(|(key, licence)| Found::of(uses, policy, key, licence, now))
        .reduce(|best, other| if other.rank() > best.rank() { other } else { best })
}

/// A licence, and what it says now.
pub(super) struct Found<'a> {
    key: &'a LicenceKey,
    licence: &'a Licence,
    pub(super) reason: ReasonCode,
    /// How often it was used today.
    pub(super) today: u64,
    pub(super) remaining: Option<u64>,
    pub(super) daily: Option<u64>,
    not_yet: bool,
}

impl<'a> Found<'a> {
    pub(super) fn of(
        uses: &LicenceUses<'_>,
        policy: &TenantPolicy,
        key: &'a LicenceKey,
        licence: &'a Licence,
        now: Timestamp,
    ) -> Found<'a> {
        let (used, today) = used(licence, uses.due(key), now);
        let terms = &licence.terms;
        let remaining = terms.total_quota.map(|quota| quota.saturating_sub(used));
        let daily = terms.daily_quota.map(|quota| quota.saturating_sub(today));
        let not_yet = terms.valid_from.is_some_and(|from| now < from);
        let reason = match () {
            () if licence.revoked_at.is_some() => ReasonCode::Revoked,
            () if terms.valid_until.is_some_and(|until| until <= now) => ReasonCode::Expired,
            () if not_yet || !terms.required_documents.is_subset(&licence.submitted_documents) => ReasonCode::MissingDocuments,
            () if remaining == Some(0) && policy.tells_quota_exceeded => ReasonCode::QuotaExceeded,
            () if remaining == Some(0) || daily == Some(0) => ReasonCode::DailyQuotaExceeded,
            () => ReasonCode::Valid,
        };
        Found { key, licence, reason, today, remaining, daily, not_yet }
    }

    fn rank(&self) -> (bool, bool, Timestamp) {
        let terms = &self.licence.terms;
        (terms.user_id.is_some(), self.reason == ReasonCode::Valid, terms.valid_until.unwrap_or(Timestamp::MAX))
    }

    fn check(&self, now: Timestamp) -> LicenceCheck {
        let requirements = self.requirements();
        LicenceCheck {
            retry_at: self.retry_at(&requirements, now),
            is_authorized: self.reason == ReasonCode::Valid,
            reason_code: self.reason,
            remaining_quota: quota::shown(self.remaining),
            daily_remaining: quota::shown(self.daily),
            valid_until: self.licence.terms.valid_until,
            policy_tag: self.licence.terms.policy_tag.clone(),
            requirements,
            licence_id: Some(self.key.licence_id.clone()),
            audit_id: None,
        }
    }

    /// What is missing, whatever else stands in the way.
    fn requirements(&self) -> Vec<String> {
        let missing = self.licence.terms.required_documents.difference(&self.licence.submitted_documents);
        let beginning = self.not_yet.then(|| VALID_FROM.to_owned());
        missing.map(|document| document.as_str().to_owned()).chain(beginning).collect()
    }

    fn refusal(&self, template_id: &TemplateId, now: Timestamp) -> Denial {
        let (kind, why) = match self.reason {
            ReasonCode::Revoked => (DenialKind::AuthorizationMissing, "is revoked"),
            ReasonCode::Expired => (DenialKind::AuthorizationMissing, "has expired"),
            ReasonCode::MissingDocuments | ReasonCode::Valid => (DenialKind::AuthorizationMissing, "lacks what it requires"),
            ReasonCode::QuotaExceeded => (DenialKind::QuotaExceeded, "is used up"),
            ReasonCode::DailyQuotaExceeded if self.remaining == Some(0) => (DenialKind::DailyQuotaExceeded, "is used up"),
            ReasonCode::DailyQuotaExceeded => (DenialKind::DailyQuotaExceeded, "is used up for today"),
        };
        let requirements = self.requirements();
        let retry_at = self.retry_at(&requirements, now);
        let denial = Denial::new(kind, format!("the licence `{}` for the template `{template_id}` {why}", self.key.licence_id))
            .with("template_id", template_id.as_str())
            .with("licence_id", self.key.licence_id.as_str())
            .with("reason_code", self.reason.as_str())
            .with("requirements", requirements)
            .with("remaining_quota", quota::shown(self.remaining))
            .with("daily_remaining", quota::shown(self.daily))
            .with("valid_until", self.licence.terms.valid_until.map_or(Value::Null, |until| until.to_string().into()));
        denial.until(retry_at)
    }

    /// When waiting alone makes the licence valid, as far as it can be known.
    fn retry_at(&self, requirements: &[String], now: Timestamp) -> Option<Timestamp> {
        let terms = &self.licence.terms;
        let at = match self.reason {
            ReasonCode::MissingDocuments if self.not_yet && requirements.len() == 1 => terms.valid_from,
            ReasonCode::DailyQuotaExceeded if self.remaining != Some(0) && terms.daily_quota != Some(0) => {
                Some(terms.zone.day(now).1)
            }
            _ => None,
        };
        at.filter(|at| terms.valid_until.is_none_or(|until| *at < until))
    }
}

/// What is left of a licence now, and how often the user of this work has used it.
pub(crate) fn snapshot(posting: &Posting<'_>, key: &LicenceKey, user_id: Option<&UserId>) -> QuotaSnapshot {
    let licence = posting.licences.licence(key);
    let remaining = licence.and_then(|licence| {
        let (used, _) = used(licence, posting.licences.due(key), posting.now);
        licence.terms.total_quota.map(|quota| quota.saturating_sub(used))
    });
    let user = user_of_work(&posting.account.key, user_id);
    let user_usage = user.map_or(0, |user_id| posting.licences.used_by(key, user_id));
    QuotaSnapshot { template_quota: quota::shown(remaining), user_usage }
}

/// How often it was used in all and today, once the uses that are due are left out.
fn used<'a>(licence: &Licence, due: impl Iterator<Item = &'a LicenceUse>, now: Timestamp) -> (u64, u64) {
    let (mut used, mut of_day) = (licence.used, licence.day.used);
    for due in due {
        used = used.saturating_sub(1);
        of_day = of_day.saturating_sub(u64::from(licence.day.has(due.made_at)));
    }
    (used, if now < licence.day.until { of_day } else { 0 })
}
