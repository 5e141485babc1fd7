//! A member of an organization: a role, and how much may be spent of the organization's credit in a day or month.

use serde::{Deserialize, Serialize};

use super::rule::Zone;
use crate::amount::Amount;
use crate::id::{Unit, UserId};
use crate::time::Timestamp;

named_enum! {
    /// What a member is in an organization. It is kept and answered; the engine treats all alike.
    Role {
        /// Answers for the organization.
        Owner = "owner",
        /// Runs it.
        Admin = "admin",
        /// Belongs to it.
        Member = "member",
    }
}

named_enum! {
    /// How long a member's limit lasts, by the calendar of the tenant's zone.
    LimitPeriod {
        /// A day.
        Day = "day",
        /// A month.
        Month = "month",
    }
}

impl LimitPeriod {
    /// When the period of an instant began, and when the next one begins.
    #[must_use]
    pub(crate) fn around(self, zone: Zone, at: Timestamp) -> (Timestamp, Timestamp) {
        match self {
            LimitPeriod::Day => zone.day(at),
            LimitPeriod::Month => zone.month(at),
        }
    }
}

/// How much a member may spend of an organization's credit in a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MemberLimit {
    /// How much; 0 or more.
    pub amount: Amount,
    /// Of which unit; if none the one of the tenant's policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// In which period.
    pub per: LimitPeriod,
}

/// Who a member is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Membership {
    /// The user.
    pub user_id: UserId,
    /// The role.
    pub role: Role,
    /// How much the member may spend; none for as much as there is.
    pub limit: Option<MemberLimit>,
}

/// The row of a member. It stays when the member is removed, so that what was used is not forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The role; none for one who was removed.
    pub role: Option<Role>,
    /// In which unit the use is counted, and the limit is.
    pub unit: Unit,
    /// The limit, of this unit.
    pub limit: Option<(Amount, LimitPeriod)>,
    /// The use of the day that was last counted.
    pub day: PeriodUse,
    /// The use of the month that was last counted.
    pub month: PeriodUse,
    /// When the member was last added, changed or removed.
    pub last_at: Timestamp,
}

/// What a member used in a period: charges and holds, less what came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeriodUse {
    /// Since when it is counted: the beginning of the period, or when its counting in this unit began.
    pub from: Timestamp,
    /// How much.
    pub used: Amount,
}

impl Member {
    /// A member before the first use.
    pub(crate) fn new(unit: Unit, zone: Zone, now: Timestamp) -> Member {
        let begin = |per: LimitPeriod| PeriodUse { from: per.around(zone, now).0, used: Amount::ZERO };
        Member { role: None, unit, limit: None, day: begin(LimitPeriod::Day), month: begin(LimitPeriod::Month), last_at: now }
    }

    /// What is known of this user as a member; none for one who was removed.
    #[must_use]
    pub fn membership(&self, user_id: &UserId) -> Option<Membership> {
        let limit = |(amount, per)| MemberLimit { amount, unit: Some(self.unit.clone()), per };
        Some(Membership { user_id: user_id.clone(), role: self.role?, limit: self.limit.map(limit) })
    }

    /// The use of the period that `now` is in.
    pub(crate) fn used(&self, per: LimitPeriod, zone: Zone, now: Timestamp) -> Amount {
        let counted = match per {
            LimitPeriod::Day => self.day,
            LimitPeriod::Month => self.month,
        };
        counted.at(per.around(zone, now).0).used
    }

    /// Counts in another unit from now on. What was used before is not known in it.
    pub(crate) fn count_in(&mut self, unit: Unit, now: Timestamp) {
        if self.unit != unit {
            // After now, so that a hold made before, and not counted, does not come back.
            let anew = PeriodUse { from: now.plus_micros(1).unwrap_or(now), used: Amount::ZERO };
            (self.unit, self.day, self.month) = (unit, anew, anew);
        }
    }

    /// Adds to the use of the present day and month.
    pub(super) fn add(&mut self, amount: Amount, zone: Zone, now: Timestamp) {
        self.each_period(zone, now, |counted| counted.used = counted.used.checked_add(amount).unwrap_or(Amount::MAX));
    }

    /// Gives back what was used at `made_at`, as far as that is in the present day or month.
    pub(super) fn give_back(&mut self, amount: Amount, made_at: Timestamp, zone: Zone, now: Timestamp) {
        self.each_period(zone, now, |counted| {
            if made_at >= counted.from {
                counted.used = counted.used.checked_sub(amount).unwrap_or(Amount::ZERO).max(Amount::ZERO);
            }
        });
    }

    fn each_period(&mut self, zone: Zone, now: Timestamp, change: impl Fn(&mut PeriodUse)) {
        for (per, counted) in [(LimitPeriod::Day, &mut self.day), (LimitPeriod::Month, &mut self.month)] {
            *counted = counted.at(per.around(zone, now).0);
            change(counted);
        }
    }
}

impl PeriodUse {
    /// The same, or nothing where another period has begun since.
    fn at(self, begin: Timestamp) -> PeriodUse {
        if begin > self.from { PeriodUse { from: begin, used: Amount::ZERO } } else { self }
    }
}
