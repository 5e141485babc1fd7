//! What spenders have used, while a command is booked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::controls::Velocity;
use super::gcra::Arrival;
use super::policy::RequestLimits;
use crate::amount::Amount;
use crate::credit::{Hold, HoldState, TenantPolicy, counted_amount, named_enum};
use crate::facts::Facts;
use crate::id::{AppId, HoldId, TenantId, Unit, UserId};
use crate::owner::{AccountKey, Owner};
use crate::time::Timestamp;

named_enum! {
    /// Whom a hold counts for.
    Spender {
        /// The user who acts.
        User = "user",
        /// The owner of the account, as nobody is named.
        Owner = "owner",
    }
}

/// Names what is counted together: of one spender, the work for an app in a unit; or the requests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskKey {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The user who acts; where nobody is named, the owner of the account that pays.
    pub spender: Owner,
    /// What is counted.
    pub counted: Counted,
}

/// What is counted of a spender.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Counted {
    /// Charges, whatever for.
    Requests,
    /// Charges and holds for an app, or for none, in a unit.
    Work {
        /// The app.
        app_id: Option<AppId>,
        /// The unit.
        unit: Unit,
    },
}

/// The row of a spender: an anchor. It counts what open holds reserve; reads leave out what is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskCount {
    /// When the day began that was last counted.
    pub day_from: Timestamp,
    /// Units charged and held in that day, less what came back.
    pub used: Amount,
    /// Charges and holds in that day, less those that came back whole.
    pub count: u64,
    /// Holds that reserve something of it.
    pub reserved: u64,
    /// Where each rule of velocity stands.
    pub velocity: Vec<VelocityUse>,
    /// When compliance was last told of an anomaly.
    pub alerted_at: Option<Timestamp>,
    /// When it was last counted.
    pub last_at: Timestamp,
}

/// Where a rule of velocity stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VelocityUse {
    /// The rule. Another one begins anew.
    pub rule: Velocity,
    /// When all that was taken will have drained.
    pub arrival: Arrival,
}

/// What an open hold reserves, and gives back when its time is over, booked or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskUse {
    /// Units.
    pub used: Amount,
    /// 1, or 0 once something of it was captured.
    pub count: u64,
    /// When the hold was made: it counts in that day.
    pub made_at: Timestamp,
    /// When the hold expires.
    pub expires_at: Timestamp,
}

/// A row, and what comes back to it without a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskFacts {
    /// The row.
    pub count: RiskCount,
    /// What holds reserve whose expiry is not after the batch's `now`: the row counts it still.
    pub due: BTreeMap<HoldId, RiskUse>,
}

/// Rows of spenders that a command changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RiskRows {
    /// Rows, as they stand afterwards; inserted or updated.
    pub counts: BTreeMap<RiskKey, RiskCount>,
    /// What holds reserve, inserted or updated; none for one that reserves nothing any more, whose row goes.
    pub uses: BTreeMap<HoldId, (RiskKey, Option<RiskUse>)>,
}

impl RiskRows {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.uses.is_empty()
    }
}

impl RiskKey {
    /// Where work that this account pays for counts.
    #[must_use]
    pub fn of_work(account: &AccountKey, user_id: Option<&UserId>, app_id: Option<&AppId>) -> RiskKey {
        let counted = Counted::Work { app_id: app_id.cloned(), unit: account.unit.clone() };
        RiskKey { counted, ..RiskKey::of_requests(account, user_id) }
    }

    /// Where requests for work that this account pays for count.
    #[must_use]
    pub fn of_requests(account: &AccountKey, user_id: Option<&UserId>) -> RiskKey {
        let spender = user_id.map_or_else(|| account.owner.clone(), |user_id| Owner::User(user_id.clone()));
        RiskKey { tenant_id: account.tenant_id.clone(), spender, counted: Counted::Requests }
    }

    /// Where a hold counts. None where nothing is counted, or nobody knows any more whose it is: the user of one that has ended can be
    /// erased.
    #[must_use]
    pub fn of_hold(account: &AccountKey, hold: &Hold) -> Option<RiskKey> {
        let terms = &hold.terms;
        let user_id = match terms.counted_for? {
            Spender::User => Some(terms.user_id.as_ref()?),
            Spender::Owner => None,
        };
        Some(RiskKey::of_work(account, user_id, terms.app_id.as_ref()))
    }

    /// The app of the work.
    pub(super) fn app_id(&self) -> Option<&AppId> {
        match &self.counted {
            Counted::Requests => None,
            Counted::Work { app_id, .. } => app_id.as_ref(),
        }
    }

    fn rules(&self, policy: &TenantPolicy) -> Vec<Velocity> {
        match self.counted {
            Counted::Requests => policy.risk.limits().charges_per_minute.map(RequestLimits::rule).into_iter().collect(),
            Counted::Work { .. } => {
                policy.risk.controls(self.app_id()).map(|controls| controls.velocity.clone()).unwrap_or_default()
            }
        }
    }
}

impl RiskCount {
    /// A row before anything is counted.
    pub(super) fn new(day_from: Timestamp) -> RiskCount {
        let (used, count, reserved) = (Amount::ZERO, 0, 0);
        RiskCount { day_from, used, count, reserved, velocity: Vec::new(), alerted_at: None, last_at: Timestamp::MIN }
    }

    /// Where a rule stands; none where nothing was taken.
    pub(super) fn arrival(&self, rule: &Velocity) -> Option<Arrival> {
        self.velocity.iter().find(|known| known.rule == *rule).map(|known| known.arrival)
    }

    /// The same in the day that begins then.
    fn turn_to(&mut self, day_from: Timestamp) {
        if day_from > self.day_from {
            (self.day_from, self.used, self.count) = (day_from, Amount::ZERO, 0);
        }
    }

    fn add(&mut self, used: Amount, count: u64) {
        self.used = self.used.checked_add(used).unwrap_or(Amount::MAX);
        self.count = self.count.saturating_add(count);
    }

    /// What was counted on a day that is over does not come back to this one.
    fn give_back(&mut self, used: Amount, count: u64, made_at: Timestamp) {
        if made_at >= self.day_from {
            self.used = self.used.checked_sub(used).unwrap_or(Amount::ZERO).max(Amount::ZERO);
            self.count = self.count.saturating_sub(count);
        }
    }
}

/// What a spender used of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Spent {
    /// Units charged and held, less what came back.
    pub used: Amount,
    /// Charges and holds, less those that came back whole.
    pub count: u64,
}

/// What a spender used of the present day.
pub(crate) fn spent(facts: &Facts, policy: &TenantPolicy, key: &RiskKey) -> Spent {
    let RiskCount { used, count, .. } = RiskUses::of(facts, policy).present(key, facts.now);
    Spent { used, count }
}

/// What spenders have used, as it stands while a command is booked.
#[derive(Default)]
pub(crate) struct RiskUses<'a> {
    /// Where the rows stand, and by whose rules and days they are counted; none while an account is only read.
    known: Option<(&'a Facts, &'a TenantPolicy)>,
    rows: RiskRows,
}

impl<'a> RiskUses<'a> {
    /// What these facts know.
    pub(crate) fn of(facts: &'a Facts, policy: &'a TenantPolicy) -> RiskUses<'a> {
        RiskUses { known: Some((facts, policy)), rows: RiskRows::default() }
    }

    /// A row as it stands in the day of `now`, without what is due.
    pub(super) fn present(&self, key: &RiskKey, now: Timestamp) -> RiskCount {
        let mut count = self.row(key, now);
        for due in self.due(key) {
            count.give_back(due.used, due.count, due.made_at);
        }
        count
    }

    /// Counts what is charged, or what a capture takes beyond its hold.
    pub(super) fn add(&mut self, key: &RiskKey, used: Amount, count: u64, now: Timestamp) {
        let rules = self.known.map(|(_, policy)| key.rules(policy)).unwrap_or_default();
        self.change(key, now, |row| {
            row.add(used, count);
            let taken = |rule: Velocity| {
                let arrival = rule.bucket().take(row.arrival(&rule), rule.quantity(used, count), now);
                VelocityUse { rule, arrival }
            };
            row.velocity = rules.into_iter().map(taken).collect();
        });
    }

    /// Notes that compliance is told of an anomaly.
    pub(super) fn note_alert(&mut self, key: &RiskKey, now: Timestamp) {
        self.change(key, now, |row| row.alerted_at = Some(now));
    }

    /// Counts what a change of a hold does: what is more counts now, what is less comes back to the day on which the hold was made.
    pub(crate) fn recount(&mut self, account: &AccountKey, before: &Tally, hold: &Hold, now: Timestamp) {
        let Some(key) = RiskKey::of_hold(account, hold) else { return };
        let after = Tally::of(hold);
        let (more, less) = (after.beyond(before), before.beyond(&after));
        if more != (Amount::ZERO, 0) {
            self.add(&key, more.0, more.1, now);
        }
        let (was, is) = (u64::from(before.reserved.is_some()), u64::from(after.reserved.is_some()));
        // Whatever is done about a hold, its spender is counted now.
        self.change(&key, now, |row| {
            row.give_back(less.0, less.1, hold.terms.created_at);
            row.reserved = row.reserved.saturating_add(is).saturating_sub(was);
        });
        if before.reserved != after.reserved {
            self.rows.uses.insert(hold.id, (key, after.reserved));
        }
    }

    /// The rows that changed.
    pub(crate) fn into_rows(self) -> RiskRows {
        self.rows
    }

    fn row(&self, key: &RiskKey, now: Timestamp) -> RiskCount {
        let known = || self.known.and_then(|(facts, _)| facts.risk.get(key)).map(|known| &known.count);
        let day_from = self.known.map_or(Timestamp::MIN, |(_, policy)| policy.zone.day(now).0);
        let mut row = self.rows.counts.get(key).or_else(known).cloned().unwrap_or_else(|| RiskCount::new(day_from));
        row.turn_to(day_from);
        row
    }

    fn due(&self, key: &RiskKey) -> impl Iterator<Item = &RiskUse> {
        let known = self.known.and_then(|(facts, _)| facts.risk.get(key));
        let due = known.into_iter().flat_map(|known| &known.due);
        due.filter(|(hold_id, _)| !self.rows.uses.contains_key(hold_id)).map(|(_, due)| due)
    }

    fn change(&mut self, key: &RiskKey, now: Timestamp, change: impl FnOnce(&mut RiskCount)) {
        if self.known.is_none() {
            return;
        }
        let mut row = self.row(key, now);
        change(&mut row);
        // What is due is settled with its account: the row may have seen a later instant.
        row.last_at = row.last_at.max(now);
        self.rows.counts.insert(key.clone(), row);
    }
}

/// What a hold counts for.
#[derive(Default)]
pub(crate) struct Tally {
    units: Amount,
    /// 1 while it is open, or something of it was captured.
    count: u64,
    /// What would come back if its time were over.
    reserved: Option<RiskUse>,
}

impl Tally {
    pub(crate) fn of(hold: &Hold) -> Tally {
        let (is_open, is_captured) = (hold.state == HoldState::Frozen, hold.captured.is_positive());
        let reserved = || RiskUse {
            used: hold.held(),
            count: u64::from(!is_captured),
            made_at: hold.terms.created_at,
            expires_at: hold.expires_at,
        };
        let counts = is_open || is_captured || hold.state == HoldState::Committed;
        Tally { units: counted_amount(hold), count: u64::from(counts), reserved: is_open.then(reserved) }
    }

    /// How much, and how often, it counts for beyond another.
    fn beyond(&self, other: &Tally) -> (Amount, u64) {
        let units = self.units.checked_sub(other.units).unwrap_or_default().max(Amount::ZERO);
        (units, self.count.saturating_sub(other.count))
    }
}
