//! Rules of recurring grants, as the model sees them: every boundary is gone through one by one.

use chrono::{DateTime, Days, Months, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::{Effects, Lot, Model, Period, Purse};
use crate::Timestamp;
use crate::command::RecurGrant;
use crate::credit::{Every, MAX_OPEN_GRANTS, MAX_RULES};
use crate::denial::DenialKind::{self, *};
use crate::id::{GrantId, RuleId, TenantId};
use crate::ledger::{Entry, Terms};

/// Periods within which a rule repays whatever can be owed.
const MAX_PERIODS_OF_DEBT: i64 = 1_000;

/// A rule.
#[derive(Clone, Debug)]
pub(super) struct Rhythm {
    purse: usize,
    ask: RecurGrant,
    anchor: i64,
    next: u32,
    pub(super) next_at: i64,
    pub(super) ended: bool,
    id: Option<RuleId>,
}

impl Model {
    pub(super) fn recur(&mut self, purse: usize, now: i64, ask: &RecurGrant) -> Result<Effects, DenialKind> {
        let anchor = ask.starts_at.map_or(now, Timestamp::micros);
        let ends_at = ask.ends_at.map_or(i64::MAX, Timestamp::micros);
        if ends_at <= now || ends_at <= anchor {
            return Err(PayloadInvalid);
        }
        let Purse { limit, owed, promised, .. } = self.purses[purse];
        if ask.amount.micros() < limit.max(owed + promised) / MAX_PERIODS_OF_DEBT {
            return Err(AmountInvalid);
        }
        if self.rhythms.iter().filter(|rhythm| rhythm.purse == purse && !rhythm.ended).count() >= MAX_RULES {
            return Err(CapacityExceeded);
        }
        let mut rhythm = Rhythm { purse, ask: ask.clone(), anchor, next: 0, next_at: anchor, ended: false, id: None };
        if anchor > now {
            self.rhythms.push(rhythm);
            return Ok(Effects { change: Some(0), ..Effects::default() });
        }
        if self.open_lots(purse) >= MAX_OPEN_GRANTS {
            return Err(CapacityExceeded);
        }
        // The period in force now, and none before it.
        while rhythm.boundary(rhythm.next + 1) <= now && rhythm.boundary(rhythm.next + 1) < ends_at {
            rhythm.next += 1;
        }
        rhythm.next_at = rhythm.boundary(rhythm.next);
        self.rhythms.push(rhythm);
        self.begin_period(self.rhythms.len() - 1);
        Ok(Effects { change: Some(ask.amount.micros()), ..Effects::default() })
    }

    /// Every rule repays what can be owed within so many periods.
    pub(super) fn refuse_beyond_rules(&self, purse: usize, limit: i64) -> Result<(), DenialKind> {
        let too_small =
            |rhythm: &Rhythm| rhythm.purse == purse && !rhythm.ended && rhythm.ask.amount.micros() < limit / MAX_PERIODS_OF_DEBT;
        if self.rhythms.iter().any(too_small) { Err(AmountInvalid) } else { Ok(()) }
    }

    pub(super) fn stop(&mut self, clock: i64, tenant: &TenantId, id: RuleId) -> Result<usize, DenialKind> {
        let mine = |rhythm: &Rhythm| rhythm.id == Some(id) && self.purses[rhythm.purse].key.tenant_id == *tenant;
        let rhythm = self.rhythms.iter().position(mine).ok_or(PayloadInvalid)?;
        let purse = self.rhythms[rhythm].purse;
        self.expect_version(purse)?;
        self.present(clock, purse, None);
        if self.rhythms[rhythm].ended {
            return Err(PayloadInvalid);
        }
        self.rhythms[rhythm].ended = true;
        Ok(purse)
    }

    /// The next boundary of any rule that has come, and whose it is.
    pub(super) fn next_boundary(&self, purse: usize, now: i64) -> Option<(i64, usize)> {
        let due = |n: &usize| {
            let rhythm = &self.rhythms[*n];
            rhythm.purse == purse && !rhythm.ended && rhythm.next_at <= now
        };
        let due = (0..self.rhythms.len()).filter(due).min_by_key(|n| (self.rhythms[*n].next_at, self.rhythms[*n].id))?;
        Some((self.rhythms[due].next_at, due))
    }

    /// Whether a lot is the present instance of a rule, with the end that the rule gave it.
    pub(super) fn goes_on(&self, lot: usize) -> bool {
        let lot = &self.lots[lot];
        lot.period.is_some_and(|period| {
            let rhythm = &self.rhythms[period.rule];
            !period.carried && !lot.voided && !rhythm.ended && period.k + 1 == rhythm.next && lot.until == Some(rhythm.next_at)
        })
    }

    /// What is left of the instance that ends goes on up to the cap, the rest is lost, and the next instance begins.
    pub(super) fn boundary(&mut self, rule: usize) {
        let Rhythm { purse, next: k, next_at: at, .. } = self.rhythms[rule];
        if let Some(lot) =
            (0..self.lots.len()).find(|lot| self.lots[*lot].period.is_some_and(|of| of.rule == rule) && self.goes_on(*lot))
        {
            let left = std::mem::take(&mut self.lots[lot].left);
            let carried = left.min(self.rhythms[rule].ask.rollover_cap.micros());
            self.purses[purse].gone += left - carried;
            if carried > 0 {
                self.add_period(rule, Period { rule, k, carried: true }, at, carried);
            }
        }
        self.begin_period(rule);
    }

    fn begin_period(&mut self, rule: usize) {
        let Rhythm { purse, next: k, next_at: at, .. } = self.rhythms[rule];
        let amount = self.rhythms[rule].ask.amount.micros();
        let (lot, until) = self.add_period(rule, Period { rule, k, carried: false }, at, amount);
        self.purses[purse].came += amount;
        self.repay(lot);
        let rhythm = &mut self.rhythms[rule];
        (rhythm.next, rhythm.next_at) = (k + 1, until);
        rhythm.ended = rhythm.ask.ends_at.is_some_and(|ends_at| ends_at.micros() <= until);
    }

    /// Makes a lot of a period; answers which it is, and until when it lasts.
    fn add_period(&mut self, rule: usize, period: Period, from: i64, left: i64) -> (usize, i64) {
        let Rhythm { purse, ask, id, .. } = self.rhythms[rule].clone();
        let until = self.rhythms[rule].boundary(period.k + 1);
        let id = id.map(|id| GrantId::of_rule(id, period.k, Timestamp::from_micros(from).unwrap_or_default(), period.carried));
        let lot = Lot {
            purse,
            grant_type: ask.grant_type,
            scope: ask.scope,
            priority: ask.priority,
            from,
            until: Some(until),
            left,
            held: 0,
            pending: false,
            voided: false,
            id,
            period: Some(period),
            kept: id.is_none(),
        };
        // Of thousands of periods that nobody saw, nobody can ask for one.
        let forgotten = |old: &Lot| {
            old.period.is_some_and(|of| of.rule == rule) && !old.kept && old.left == 0 && old.held == 0 && old.ended(from)
        };
        let place = self.lots.iter().position(forgotten).unwrap_or(self.lots.len());
        if let Some(old) = self.lots.get_mut(place) {
            *old = lot;
        } else {
            self.lots.push(lot);
        }
        (place, until)
    }

    /// Learns the name of the rule that the last accepted command made, and of the instance that it began with.
    pub(super) fn pair_rule(&mut self, entry: &Entry) {
        match &entry.terms {
            Some(Terms::Rule { rule_id, .. }) if !self.rhythms.iter().any(|rhythm| rhythm.id == Some(*rule_id)) => {
                let unnamed = self.rhythms.iter_mut().find(|rhythm| rhythm.id.is_none());
                unnamed.into_iter().for_each(|rhythm| rhythm.id = Some(*rule_id));
            }
            Some(Terms::Grant { terms, .. }) => {
                let Some(of) = terms.recurrence else { return };
                let rule = self.rhythms.iter().position(|rhythm| rhythm.id == Some(of.rule_id));
                let period = rule.map(|rule| Period { rule, k: of.k, carried: of.rollover });
                let lot = self.lots.iter_mut().find(|lot| lot.id.is_none() && lot.period == period);
                lot.into_iter().for_each(|lot| lot.id = entry.grant_id);
            }
            _ => {}
        }
    }
}

impl Rhythm {
    /// So many steps from the anchor's local time.
    fn boundary(&self, k: u32) -> i64 {
        let zone: Tz = self.ask.zone.to_string().parse().unwrap_or(Tz::UTC);
        let anchor = DateTime::<Utc>::from_timestamp_micros(self.anchor).unwrap_or_default();
        let local = anchor.with_timezone(&zone).naive_local();
        let steps = k * u32::from(self.ask.every.count());
        let days = |days: u32| local.checked_add_days(Days::new(u64::from(days)));
        let months = |months: u32| local.checked_add_months(Months::new(months));
        let local = match self.ask.every {
            _ if k == 0 => return self.anchor,
            Every::Days(_) => days(steps),
            Every::Weeks(_) => days(7 * steps),
            Every::Months(_) => months(steps),
            Every::Years(_) => months(12 * steps),
        };
        local.map_or(i64::MAX, |local| first_shown(local, zone))
    }
}

/// The first instant at which the clocks of the zone show this local time, or the first one after it, second by second.
fn first_shown(local: NaiveDateTime, zone: Tz) -> i64 {
    if let Some(at) = zone.from_local_datetime(&local).earliest() {
        return at.timestamp_micros();
    }
    let second = local.and_utc().timestamp();
    let whole = DateTime::from_timestamp(second, 0).unwrap_or_default().naive_utc();
    (1..=90_000)
        .find_map(|seconds| zone.from_local_datetime(&(whole + TimeDelta::seconds(seconds))).earliest())
        .map_or(i64::MAX, |at| at.timestamp_micros())
}
