//! A licence: what is agreed, and how much of it is used.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::credit::{Zone, named_enum};
use crate::id::{DocumentId, LicenceId, PolicyTag, TemplateId, TenantId, UserId};
use crate::owner::{AccountKey, Owner};
use crate::time::Timestamp;

named_enum! {
    /// By which way a template is used.
    Channel {
        /// Somebody looks at what it made.
        Viewer = "viewer",
        /// Somebody makes something with it.
        Creator = "creator",
        /// It is used from outside the platform.
        External = "external",
    }
}

/// Names one licence of a tenant, whether there is one or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LicenceKey {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The licence.
    pub licence_id: LicenceId,
}

impl LicenceKey {
    /// This licence of this tenant.
    #[must_use]
    pub const fn new(tenant_id: TenantId, licence_id: LicenceId) -> LicenceKey {
        LicenceKey { tenant_id, licence_id }
    }
}

/// Names a template as somebody uses it: the licences that count are those of this user and those for any user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateKey {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The template.
    pub template_id: TemplateId,
    /// Who uses it; none for nobody in particular.
    pub user_id: Option<UserId>,
}

impl TemplateKey {
    /// This template, as this user uses it.
    #[must_use]
    pub const fn new(tenant_id: TenantId, template_id: TemplateId, user_id: Option<UserId>) -> TemplateKey {
        TemplateKey { tenant_id, template_id, user_id }
    }

    /// The template of work that this account pays for: the user is the one who acts, else the one who pays.
    pub(crate) fn of_work(account: &AccountKey, template_id: &TemplateId, user_id: Option<&UserId>) -> TemplateKey {
        let user_id = user_of_work(account, user_id).cloned();
        TemplateKey::new(account.tenant_id.clone(), template_id.clone(), user_id)
    }

    /// Whether a licence with these terms counts.
    pub(crate) fn admits(&self, tenant_id: &TenantId, terms: &LicenceTerms) -> bool {
        self.tenant_id == *tenant_id
            && self.template_id == terms.template_id
            && (terms.user_id.is_none() || terms.user_id == self.user_id)
    }
}

/// Who uses a template in work that this account pays for: the user who acts, else the one who pays.
pub(crate) fn user_of_work<'a>(account: &'a AccountKey, user_id: Option<&'a UserId>) -> Option<&'a UserId> {
    match &account.owner {
        Owner::User(payer) => Some(user_id.unwrap_or(payer)),
        Owner::Pool | Owner::Organization(_) => user_id,
    }
}

/// What is agreed about a licence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LicenceTerms {
    /// The template. It never changes.
    pub template_id: TemplateId,
    /// The only user whom it is for; none for any user. It never changes.
    pub user_id: Option<UserId>,
    /// By which ways the template may be used.
    pub channels: BTreeSet<Channel>,
    /// Since when it is valid; none for ever before.
    pub valid_from: Option<Timestamp>,
    /// Until when; none for ever. At this very instant it is over.
    pub valid_until: Option<Timestamp>,
    /// How often it can be used in all; none without a limit, in JSON -1.
    #[serde(with = "quota")]
    #[cfg_attr(feature = "schema", schemars(with = "i64"))]
    pub total_quota: Option<u64>,
    /// How often it can be used in a day; none without a limit, in JSON -1.
    #[serde(with = "quota")]
    #[cfg_attr(feature = "schema", schemars(with = "i64"))]
    pub daily_quota: Option<u64>,
    /// Where its days begin. It never changes.
    pub zone: Zone,
    /// What must have been submitted.
    pub required_documents: BTreeSet<DocumentId>,
    /// The label of compliance.
    pub policy_tag: Option<PolicyTag>,
}

/// The row of a licence: an anchor. The use counts charges, captured holds, and what is reserved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Licence {
    /// What is agreed.
    pub terms: LicenceTerms,
    /// What was submitted.
    pub submitted_documents: BTreeSet<DocumentId>,
    /// Since when it is revoked, for good.
    pub revoked_at: Option<Timestamp>,
    /// How often it was used in all, as booked: holds that are due and not settled are counted still.
    pub used: u64,
    /// How many of these uses are reserved by open holds, as booked.
    pub reserved: u64,
    /// The use of the day that was last counted, as booked.
    pub day: DayUse,
    /// When a command was last about it, or about work that uses it.
    pub last_at: Timestamp,
}

/// How often a licence was used in a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DayUse {
    /// When the day began.
    pub from: Timestamp,
    /// When the next one begins.
    pub until: Timestamp,
    /// How often.
    pub used: u64,
}

impl DayUse {
    /// The day of this instant, with nothing used.
    pub(crate) fn of(zone: Zone, at: Timestamp) -> DayUse {
        let (from, until) = zone.day(at);
        DayUse { from, until, used: 0 }
    }

    /// Whether the instant is in this day.
    pub(crate) fn has(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }
}

impl Licence {
    /// A licence before its first use.
    pub(crate) fn new(terms: LicenceTerms, now: Timestamp) -> Licence {
        let day = DayUse::of(terms.zone, now);
        Licence { terms, submitted_documents: BTreeSet::new(), revoked_at: None, used: 0, reserved: 0, day, last_at: now }
    }

    /// Counts a use of now.
    pub(super) fn add(&mut self, now: Timestamp) {
        if now >= self.day.until {
            self.day = DayUse::of(self.terms.zone, now);
        }
        self.used = self.used.saturating_add(1);
        self.day.used = self.day.used.saturating_add(1);
    }

    /// Counts a use of the day of this earlier instant.
    pub(super) fn add_of(&mut self, made_at: Timestamp) {
        self.used = self.used.saturating_add(1);
        if self.day.has(made_at) {
            self.day.used = self.day.used.saturating_add(1);
        }
    }

    /// Takes back a use of the day of this instant.
    pub(super) fn give_back(&mut self, made_at: Timestamp) {
        self.used = self.used.saturating_sub(1);
        if self.day.has(made_at) {
            self.day.used = self.day.used.saturating_sub(1);
        }
    }
}

/// A quota in JSON: a whole number, and nothing or -1 for none.
pub(crate) mod quota {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(quota: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        shown(*quota).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        match Option::<i64>::deserialize(deserializer)? {
            None | Some(-1) => Ok(None),
            Some(quota) => u64::try_from(quota).map(Some).map_err(|_| de::Error::custom("a quota is not below -1")),
        }
    }

    /// A quota, or what is left of one, in an answer: -1 for none.
    pub(crate) fn shown(quota: Option<u64>) -> i64 {
        quota.map_or(-1, |quota| i64::try_from(quota).unwrap_or(i64::MAX))
    }
}
