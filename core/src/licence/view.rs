//! A licence as a person reads it: what is agreed, what was used by now, and what it says.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::check::{Found, ReasonCode};
use super::terms::{LicenceKey, LicenceTerms, quota};
use super::uses::LicenceUses;
use crate::credit::TenantPolicy;
use crate::facts::Facts;
use crate::id::{DocumentId, LicenceId};
use crate::time::Timestamp;

/// A licence as it stands now: uses that holds have reserved whose time is over are left out, booked or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LicenceView {
    /// The licence.
    pub licence_id: LicenceId,
    /// What is agreed.
    #[serde(flatten)]
    pub terms: LicenceTerms,
    /// What was submitted.
    pub submitted_documents: BTreeSet<DocumentId>,
    /// Since when it is revoked.
    pub revoked_at: Option<Timestamp>,
    /// Why it may be used or not.
    pub reason_code: ReasonCode,
    /// How often it was used in all: charges, captured holds, and what open holds reserve.
    pub used: u64,
    /// How many of these uses open holds reserve.
    pub reserved: u64,
    /// How often it was used today.
    pub used_today: u64,
    /// How many uses are left in all; -1 without a limit.
    pub remaining_quota: i64,
    /// How many uses are left of the day; -1 without a limit.
    pub daily_remaining: i64,
}

/// A licence that these facts know; none if there is none.
pub(crate) fn view(facts: &Facts, policy: &TenantPolicy, key: &LicenceKey) -> Option<LicenceView> {
    let uses = LicenceUses::of(facts);
    let licence = uses.licence(key)?;
    let found = Found::of(&uses, policy, key, licence, facts.now);
    let due = u64::try_from(uses.due(key).count()).unwrap_or(u64::MAX);
    Some(LicenceView {
        licence_id: key.licence_id.clone(),
        terms: licence.terms.clone(),
        submitted_documents: licence.submitted_documents.clone(),
        revoked_at: licence.revoked_at,
        reason_code: found.reason,
        used: licence.used.saturating_sub(due),
        reserved: licence.reserved.saturating_sub(due),
        used_today: found.today,
        remaining_quota: quota::shown(found.remaining),
        daily_remaining: quota::shown(found.daily),
    })
}
