//! Risk controls. What was spent is counted anew each time, from marks of charges and holds.

use super::{DAY, Model, spending};
use crate::Timestamp;
use crate::command::Charge;
use crate::credit::{HoldState, LimitPeriod};
use crate::denial::DenialKind::{self, *};
use crate::id::{AppId, TenantId, Unit, UserId};
use crate::owner::{AccountKey, Owner};
use crate::risk::{Counted, RiskControls, RiskKey, Velocity};

const SECOND: i64 = 1_000_000;

/// What is known of one who spends, in an app and a unit; or, without these, as one who asks.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    key: RiskKey,
    at: i64,
    told: Option<i64>,
    marks: Vec<Mark>,
    /// When something was taken, and how much: nothing comes back of it.
    taken: Vec<(i64, i64, i64)>,
}

/// What was spent at a time; a hold's mark can become less.
#[derive(Clone, Debug)]
struct Mark {
    freeze: Option<usize>,
    at: i64,
    amount: i64,
    times: i64,
}

impl Model {
    /// What each spender has used of the present day, in units and in number. The present is not before the last time that something
    /// was counted.
    #[must_use]
    pub fn spent(&self, now: Timestamp) -> Vec<(RiskKey, i64, i64)> {
        let mut settled = self.clone();
        (0..settled.purses.len()).for_each(|purse| settled.settle(purse, now.micros()));
        let of_work = settled.tallies.iter().filter(|tally| tally.key.counted != Counted::Requests);
        let today = |tally: &Tally| {
            let (amount, times) = settled.today(tally, now.micros().max(tally.at));
            (tally.key.clone(), amount, times)
        };
        of_work.map(today).collect()
    }

    /// When something was last counted of who would spend here.
    pub(super) fn last_tallied(&self, account: &AccountKey, user: Option<&UserId>, app: Option<&AppId>, is_charge: bool) -> i64 {
        let keys = [RiskKey::of_work(account, user, app), RiskKey::of_requests(account, user)];
        let named = |tally: &&Tally| tally.key == keys[0] || is_charge && tally.key == keys[1];
        self.tallies.iter().filter(named).map(|tally| tally.at).max().unwrap_or(i64::MIN)
    }

    /// The account that would pay; none if that is not clear.
    pub(super) fn would_pay(
        &self,
        tenant: &TenantId,
        payer: Option<&Owner>,
        user: Option<&UserId>,
        unit: Option<&Unit>,
    ) -> Result<AccountKey, DenialKind> {
        let unit = unit.unwrap_or(&self.policies.of(tenant).unit).clone();
        Ok(AccountKey::new(tenant.clone(), self.payer(tenant, payer, user)?, unit))
    }

    /// Too many charges in this minute.
    pub(super) fn refuse_requests(&self, clock: i64, account: &AccountKey, ask: &Charge) -> Result<(), DenialKind> {
        let Some(most) = self.policies.of(&account.tenant_id).risk.limits().charges_per_minute else { return Ok(()) };
        let of_account = self.purses.iter().find(|purse| purse.key == *account).map_or(i64::MIN, |purse| purse.last_at);
        let of_task = self.tasks.iter().filter(|task| task.0 == account.tenant_id && Some(&task.1) == ask.task_id.as_ref());
        let now = of_task.map(|task| task.2).fold(clock.max(of_account), i64::max);
        let tally = self.tally(&RiskKey::of_requests(account, ask.user_id.as_ref()));
        if tally.is_some_and(|tally| self.tallies[tally].is_too_fast(&Velocity::count(most, 60), 0, now)) {
            return Err(ChargeRateLimited);
        }
        Ok(())
    }

    /// Who is on the deny list, as who acts or as who pays.
    pub(super) fn is_denied(&self, purse: usize, user: Option<&UserId>, app: Option<&AppId>) -> bool {
        let key = &self.purses[purse].key;
        let denied = |user: &UserId| self.controls(&key.tenant_id, app).is_some_and(|controls| controls.deny_list.contains(user));
        user.is_some_and(denied) || matches!(&key.owner, Owner::User(payer) if denied(payer))
    }

    /// Whether the controls let this be spent; and whether compliance is told.
    pub(super) fn may_risk(
        &self,
        purse: usize,
        user: Option<&UserId>,
        app: Option<&AppId>,
        amount: i64,
        now: i64,
    ) -> Result<bool, DenialKind> {
        let key = &self.purses[purse].key;
        let Some(controls) = self.controls(&key.tenant_id, app) else { return Ok(false) };
        let key = RiskKey::of_work(key, user, app);
        let tally = self.tally(&key).map(|tally| &self.tallies[tally]);
        let (used, times) = tally.map_or((0, 0), |tally| self.today(tally, now));
        let exempt = matches!(&key.spender, Owner::User(user) if controls.allow_list.contains(user));
        let verified = controls.verified_daily_cap.filter(|_| self.verified);
        let beyond = |cap: Option<crate::Amount>, used: i64| cap.is_some_and(|cap| amount > 0 && used + amount > cap.micros());
        let too_much = beyond(verified.or(controls.daily_cap), used) || verified.is_none() && beyond(controls.single_cap, 0);
        let too_often = controls.daily_count_cap.is_some_and(|cap| times >= i64::try_from(cap).unwrap_or(i64::MAX));
        let too_fast = |rule: &Velocity| match tally {
            Some(tally) => tally.is_too_fast(rule, amount, now),
            None => rule.max_units.is_some_and(|most| amount > most.micros()),
        };
        if !exempt && (too_much || too_often || controls.velocity.iter().any(too_fast)) {
            return Err(CapExceeded);
        }
        let cooldown = i64::from(controls.anomaly_cooldown_seconds) * SECOND;
        let told_lately = tally.and_then(|tally| tally.told).is_some_and(|told| now < told + cooldown);
        Ok(controls.anomaly_threshold.is_some_and(|most| amount > most.micros()) && !told_lately)
    }

    /// Something is spent, for a hold or for good.
    #[expect(clippy::too_many_arguments, reason = "each is a word of the rule")]
    pub(super) fn spend(
        &mut self,
        purse: usize,
        user: Option<&UserId>,
        app: Option<&AppId>,
        freeze: Option<usize>,
        at: i64,
        (amount, times): (i64, i64),
        told: bool,
    ) {
        let account = self.purses[purse].key.clone();
        let counts = |controls: RiskControls| {
            let caps = controls.daily_cap.is_some() || controls.daily_count_cap.is_some();
            caps || controls.anomaly_threshold.is_some() || !controls.velocity.is_empty()
        };
        if !self.controls(&account.tenant_id, app).is_some_and(counts) {
            return;
        }
        let tally = self.tally_of(RiskKey::of_work(&account, user, app), at);
        tally.marks.push(Mark { freeze, at, amount, times });
        tally.taken.push((at, amount, times));
        tally.told = if told { Some(at) } else { tally.told };
    }

    /// A charge was accepted.
    pub(super) fn count_request(&mut self, purse: usize, user: Option<&UserId>, at: i64) {
        let account = self.purses[purse].key.clone();
        if self.policies.of(&account.tenant_id).risk.limits().charges_per_minute.is_some() {
            self.tally_of(RiskKey::of_requests(&account, user), at).taken.push((at, 0, 1));
        }
    }

    /// A part of a hold comes back; and the hold as such, if nothing of it was captured and nothing is held any more.
    pub(super) fn unspend(&mut self, freeze: usize, amount: i64, is_over: bool) {
        let uncaptured = self.freezes[freeze].captured == 0;
        let marks = self.tallies.iter_mut().flat_map(|tally| tally.marks.iter_mut());
        for mark in marks.filter(|mark| mark.freeze == Some(freeze)) {
            mark.amount -= amount;
            mark.times -= i64::from(is_over && uncaptured);
        }
    }

    /// Something is done about a hold: its spender was counted then.
    pub(super) fn touch_tally(&mut self, freeze: usize, now: i64) {
        let key = |own: &Model| {
            let of = &own.freezes[freeze];
            Some(RiskKey::of_work(&own.purses[of.purse].key, of.known_user()?, of.ask.app_id.as_ref()))
        };
        if let Some(tally) = key(self).and_then(|key| self.tally(&key)) {
            self.tallies[tally].at = self.tallies[tally].at.max(now);
        }
    }

    fn today(&self, tally: &Tally, now: i64) -> (i64, i64) {
        let zone = self.policies.of(&tally.key.tenant_id).zone.to_string();
        let date = |at: i64| spending::period(&zone, LimitPeriod::Day, at);
        let recent = tally.marks.iter().filter(|mark| mark.at > now - 3 * DAY);
        let of_day = recent.filter(|mark| date(mark.at) == date(now)).map(|mark| {
            let (amount, times) = self.overdue(mark.freeze, now);
            (mark.amount - amount, mark.times - times)
        });
        of_day.fold((0, 0), |(amount, times), (more, again)| (amount + more, times + again))
    }

    /// What comes back of a hold whose time is over, in whatever account: it need not be booked for that.
    fn overdue(&self, freeze: Option<usize>, now: i64) -> (i64, i64) {
        let freeze = freeze.map(|freeze| &self.freezes[freeze]);
        let Some(freeze) = freeze.filter(|freeze| freeze.state == HoldState::Frozen && freeze.until <= now) else { return (0, 0) };
        (freeze.lines.iter().map(|(_, part)| part).sum(), i64::from(freeze.captured == 0))
    }

    fn controls(&self, tenant: &TenantId, app: Option<&AppId>) -> Option<RiskControls> {
        self.policies.of(tenant).risk.controls(app).cloned()
    }

    fn tally(&self, key: &RiskKey) -> Option<usize> {
        self.tallies.iter().position(|tally| tally.key == *key)
    }

    fn tally_of(&mut self, key: RiskKey, at: i64) -> &mut Tally {
        let known = self.tally(&key).unwrap_or_else(|| {
            self.tallies.push(Tally { key, at, told: None, marks: Vec::new(), taken: Vec::new() });
            self.tallies.len() - 1
        });
        let tally = &mut self.tallies[known];
        tally.at = tally.at.max(at);
        tally
    }
}

impl Tally {
    /// Whether one more of this amount makes a bucket run over that all that was taken fell into, and that drains evenly.
    fn is_too_fast(&self, rule: &Velocity, amount: i64, now: i64) -> bool {
        let most = rule.max_units.map_or_else(|| i128::from(rule.max_count.unwrap_or(0)), |units| i128::from(units.micros()));
        let window = i128::from(rule.window_seconds) * i128::from(SECOND);
        let counted = |amount: i64, times: i64| i128::from(if rule.max_units.is_some() { amount } else { times });
        let (mut level, mut seen) = (0_i128, i128::from(i64::MIN));
        for (at, amount, times) in &self.taken {
            // A moment that is said to be earlier drains nothing: it has drained before.
            level = (level - (i128::from(*at) - seen).max(0) * most).max(0) + counted(*amount, *times) * window;
            seen = seen.max(i128::from(*at));
        }
        // Before the last moment the bucket is fuller by what drained until then.
        level = (level - (i128::from(now) - seen) * most).max(0);
        let more = counted(amount, 1);
        more > 0 && level + more * window > most * window
    }
}
