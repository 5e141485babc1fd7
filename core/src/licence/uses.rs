//! How often licences are used, while a command is booked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::terms::{Licence, LicenceKey, user_of_work};
use crate::credit::{Hold, HoldState};
use crate::facts::Facts;
use crate::id::{HoldId, UserId};
use crate::owner::AccountKey;
use crate::time::Timestamp;

/// The use that a hold reserves. Once its time is over, reads leave it out of what is used, booked or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LicenceUse {
    /// Whose use it is.
    pub user_id: Option<UserId>,
    /// When the hold was made: the use belongs to that day.
    pub made_at: Timestamp,
    /// When the hold expires.
    pub expires_at: Timestamp,
}

/// Rows of licences that a command changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LicenceRows {
    /// Licences, as they stand afterwards; inserted or updated.
    pub licences: BTreeMap<LicenceKey, Licence>,
    /// Uses that holds reserve, inserted or updated; none for one that is reserved no more, whose row goes.
    pub uses: BTreeMap<HoldId, (LicenceKey, Option<LicenceUse>)>,
    /// How often a user used a licence, as booked; inserted or updated.
    pub users: BTreeMap<(LicenceKey, UserId), u64>,
}

impl LicenceRows {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.licences.is_empty() && self.uses.is_empty() && self.users.is_empty()
    }

    /// Adds what else changes.
    pub(crate) fn extend(&mut self, mut more: LicenceRows) {
        self.licences.append(&mut more.licences);
        self.uses.append(&mut more.uses);
        self.users.append(&mut more.users);
    }
}

/// What a hold does to its licence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// Nothing: it is not made, or it has ended without a capture.
    Free,
    /// It reserves a use until then.
    Reserved(Timestamp),
    /// Something of it was captured: the use stays.
    Used,
}

impl Stand {
    pub(crate) fn of(hold: &Hold) -> Stand {
        match hold.state {
            _ if hold.captured.is_positive() => Stand::Used,
            HoldState::Committed => Stand::Used,
            HoldState::Frozen => Stand::Reserved(hold.expires_at),
            HoldState::Cancelled | HoldState::Expired => Stand::Free,
        }
    }
}

/// How often licences are used, as it stands while a command is booked.
#[derive(Default)]
pub(crate) struct LicenceUses<'a> {
    /// Where the rows stand; none while an account is only read.
    known: Option<&'a Facts>,
    rows: LicenceRows,
}

impl<'a> LicenceUses<'a> {
    /// What these facts know.
    pub(crate) fn of(facts: &'a Facts) -> LicenceUses<'a> {
        LicenceUses { known: Some(facts), rows: LicenceRows::default() }
    }

    /// The facts that it goes by.
    pub(super) fn facts(&self) -> Option<&'a Facts> {
        self.known
    }

    /// A licence as it stands now.
    pub(super) fn licence(&self, key: &LicenceKey) -> Option<&Licence> {
        self.rows.licences.get(key).or_else(|| self.known.and_then(|facts| facts.licences.get(key)).map(|known| &known.licence))
    }

    /// The uses that holds reserve whose time is over, and that are counted still.
    pub(super) fn due(&self, key: &LicenceKey) -> impl Iterator<Item = &LicenceUse> {
        let known = self.known.and_then(|facts| facts.licences.get(key));
        let due = known.into_iter().flat_map(|known| &known.due);
        due.filter(|(hold_id, _)| !self.rows.uses.contains_key(hold_id)).map(|(_, due)| due)
    }

    /// How often a user has used a licence by now.
    pub(super) fn used_by(&self, key: &LicenceKey, user_id: &UserId) -> u64 {
        let due = self.due(key).filter(|due| due.user_id.as_ref() == Some(user_id)).count();
        self.booked_for(&(key.clone(), user_id.clone())).saturating_sub(u64::try_from(due).unwrap_or(u64::MAX))
    }

    fn booked_for(&self, user: &(LicenceKey, UserId)) -> u64 {
        let known = || self.known.and_then(|facts| facts.licence_users.get(user));
        self.rows.users.get(user).or_else(known).copied().unwrap_or_default()
    }

    /// Counts a charge.
    pub(crate) fn charge(&mut self, key: &LicenceKey, user_id: Option<&UserId>, now: Timestamp) {
        let Some(licence) = self.touch(key, now) else { return };
        licence.add(now);
        self.count_user(key, user_id, 1);
    }

    /// Counts what a change of a hold does. A use belongs to the day on which the hold was made, whenever it comes back.
    pub(crate) fn recount(&mut self, account: &AccountKey, before: Stand, hold: &Hold, now: Timestamp) {
        let Some(licence_id) = &hold.terms.licence_id else { return };
        let key = LicenceKey::new(account.tenant_id.clone(), licence_id.clone());
        let (after, made_at) = (Stand::of(hold), hold.terms.created_at);
        let Some(licence) = self.touch(&key, now) else { return };
        let more = match (before, after) {
            (Stand::Free, Stand::Reserved(_)) => {
                licence.add(now);
                licence.reserved = licence.reserved.saturating_add(1);
                1
            }
            (Stand::Free, Stand::Used) => {
                licence.add_of(made_at);
                1
            }
            (Stand::Reserved(_), Stand::Free) => {
                licence.give_back(made_at);
                licence.reserved = licence.reserved.saturating_sub(1);
                -1
            }
            (Stand::Reserved(_), Stand::Used) => {
                licence.reserved = licence.reserved.saturating_sub(1);
                0
            }
            _ => 0,
        };
        let user_id = user_of_work(account, hold.terms.user_id.as_ref());
        self.count_user(&key, user_id, more);
        let reserved = match (before, after) {
            (before, after) if before == after => return,
            (_, Stand::Reserved(expires_at)) => Some(LicenceUse { user_id: user_id.cloned(), made_at, expires_at }),
            (Stand::Reserved(_), _) => None,
            _ => return,
        };
        self.rows.uses.insert(hold.id, (key, reserved));
    }

    /// The rows that changed.
    pub(crate) fn into_rows(self) -> LicenceRows {
        self.rows
    }

    /// A licence, to be changed: a command is about it, or about work that uses it.
    fn touch(&mut self, key: &LicenceKey, now: Timestamp) -> Option<&mut Licence> {
        if !self.rows.licences.contains_key(key) {
            let known = self.licence(key)?.clone();
            self.rows.licences.insert(key.clone(), known);
        }
        let licence = self.rows.licences.get_mut(key)?;
        // A hold that is due is settled with its account: the licence may have seen a later instant.
        licence.last_at = licence.last_at.max(now);
        Some(licence)
    }

    fn count_user(&mut self, key: &LicenceKey, user_id: Option<&UserId>, more: i64) {
        let Some(user_id) = user_id.filter(|_| more != 0) else { return };
        let user = (key.clone(), user_id.clone());
        let used = self.booked_for(&user).saturating_add_signed(more);
        self.rows.users.insert(user, used);
    }
}
