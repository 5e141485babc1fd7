//! Whether work may be paid for by the risk controls.

use serde_json::{Map, Value};

use super::controls::{RiskControls, Velocity};
use super::counts::{RiskCount, RiskKey, Spender};
use super::policy::RequestLimits;
use crate::amount::Amount;
use crate::command::{BlockTarget, Charge, paying_account};
use crate::credit::{TenantPolicy, Work, subjects_of_spending};
use crate::decide::Case;
use crate::denial::{Denial, DenialKind};
use crate::facts::Needs;
use crate::id::{AppId, PolicyTag, UserId};
use crate::ledger::posting::Posting;
use crate::ledger::{Alert, AlertRule};
use crate::owner::{AccountKey, Owner, Subject};
use crate::time::Timestamp;

/// The handle of where work counts, if it does.
pub(crate) fn needs(
    policy: &TenantPolicy,
    account: &AccountKey,
    user_id: Option<&UserId>,
    app_id: Option<&AppId>,
    needs: &mut Needs,
) {
    if policy.risk.controls(app_id).is_some_and(RiskControls::counts) {
        needs.risk.push(RiskKey::of_work(account, user_id, app_id));
    }
}

/// The handle of where charges count as requests, if they do.
pub(crate) fn request_needs(policy: &TenantPolicy, account: &AccountKey, user_id: Option<&UserId>, needs: &mut Needs) {
    if policy.risk.limits().charges_per_minute.is_some() {
        needs.risk.push(RiskKey::of_requests(account, user_id));
    }
}

/// Denies a charge that is one too many in its minute.
///
/// # Errors
/// `charge_rate_limited`.
pub(crate) fn refuse_requests(case: &Case<'_>, command: &Charge) -> Result<(), Denial> {
    let Some(allowed) = case.policy.risk.limits().charges_per_minute else { return Ok(()) };
    let (payer, user_id, unit) = (command.payer.as_ref(), command.user_id.as_ref(), command.unit.as_ref());
    // Whoever is not known is not counted; that it is not clear who pays is said next.
    let Ok(account) = paying_account(case.tenant_id(), case.policy, payer, user_id, unit) else { return Ok(()) };
    let rule = RequestLimits::rule(allowed);
    let known = case.facts.risk.get(&RiskKey::of_requests(&account, user_id));
    let arrival = known.and_then(|known| known.count.arrival(&rule));
    rule.bucket().fits(arrival, 1, case.now()).map_err(|full| {
        let message = format!("`{}` charges were accepted lately, and {allowed} are allowed in a minute", full.taken);
        Denial::new(DenialKind::ChargeRateLimited, message)
            .with("limit", "charges_per_minute")
            .with("used", full.taken)
            .with("allowed", allowed)
            .until(full.retry_at)
            .tagged(command.policy_tag.clone())
    })
}

/// Denies work of those who are on the deny list of the app.
///
/// # Errors
/// `blocked`.
pub(crate) fn refuse_denied(case: &Case<'_>, work: &Work<'_>) -> Result<(), Denial> {
    let Some(controls) = case.policy.risk.controls(work.app_id).filter(|controls| !controls.deny_list.is_empty()) else {
        return Ok(());
    };
    let on_the_list = |subject| match subject {
        Subject::User(user_id) if controls.deny_list.contains(&user_id) => Some(user_id),
        _ => None,
    };
    let Some(user_id) = subjects_of_spending(&work.account, work.user_id).find_map(on_the_list) else { return Ok(()) };
    let message = format!("the user `{user_id}` is on the deny list: nothing can be spent");
    Err(Denial::new(DenialKind::Blocked, message)
        .with("target", serde_json::to_value(BlockTarget::User(user_id)).unwrap_or_default())
        .with("list", "deny_list")
        .with("app_id", shown(work.app_id)))
}

/// Work that the controls let through.
#[derive(Default)]
pub(crate) struct Admitted {
    /// Whom a hold counts for; none where nothing is counted.
    pub(crate) counted_for: Option<Spender>,
    /// What compliance is told.
    pub(crate) alert: Option<Alert>,
    key: Option<RiskKey>,
}

impl Admitted {
    /// Counts a charge, and what compliance is told of it.
    pub(crate) fn charge(&self, posting: &mut Posting<'_>, case: &Case<'_>, work: &Work<'_>) {
        if case.policy.risk.limits().charges_per_minute.is_some() {
            posting.risk.add(&RiskKey::of_requests(&work.account, work.user_id), Amount::ZERO, 1, case.now());
        }
        if let Some(key) = &self.key {
            posting.risk.add(key, work.amount, 1, case.now());
        }
        self.note(posting, case.now());
    }

    /// Notes what compliance is told; a hold is counted where it is put.
    pub(crate) fn note(&self, posting: &mut Posting<'_>, now: Timestamp) {
        if let Some(key) = self.key.as_ref().filter(|_| self.alert.is_some()) {
            posting.risk.note_alert(key, now);
        }
    }
}

/// Whether this work may be paid for, and what compliance is told of it.
///
/// # Errors
/// `cap_exceeded`: the details name the cap, what was used and asked and what is allowed; with `challenge` where a second
/// verification lets it through.
pub(crate) fn for_work(
    case: &Case<'_>,
    posting: &Posting<'_>,
    work: &Work<'_>,
    policy_tag: Option<&PolicyTag>,
) -> Result<Admitted, Denial> {
    let Some(controls) = case.policy.risk.controls(work.app_id) else { return Ok(Admitted::default()) };
    let key = RiskKey::of_work(&work.account, work.user_id, work.app_id);
    let counted = posting.risk.present(&key, case.now());
    if !matches!(&key.spender, Owner::User(user_id) if controls.allow_list.contains(user_id)) {
        let asked = Asked { controls, counted: &counted, amount: work.amount, case };
        if let Some(denial) = asked.denial() {
            return Err(asked.named(denial, &key).tagged(policy_tag.cloned()));
        }
    }
    let alert = anomaly(controls, &counted, &key, work, case.now());
    let counted_for = if work.user_id.is_some() { Spender::User } else { Spender::Owner };
    let counts = controls.counts();
    Ok(Admitted { counted_for: counts.then_some(counted_for), alert, key: counts.then_some(key) })
}

fn anomaly(controls: &RiskControls, counted: &RiskCount, key: &RiskKey, work: &Work<'_>, now: Timestamp) -> Option<Alert> {
    let threshold = controls.anomaly_threshold.filter(|threshold| work.amount > *threshold)?;
    let cooldown = i64::from(controls.anomaly_cooldown_seconds);
    if counted.alerted_at.and_then(|at| at.plus_seconds(cooldown)).is_some_and(|until| now < until) {
        return None;
    }
    let mut details = Map::new();
    let mut say = |name: &str, value: Value| _ = details.insert(name.to_owned(), value);
    say("spender", key.spender.to_string().into());
    say("app_id", shown(work.app_id));
    say("amount", work.amount.to_string().into());
    say("unit", work.account.unit.as_str().into());
    say("anomaly_threshold", threshold.to_string().into());
    Some(Alert { rule: AlertRule::Anomaly, details })
}

/// What is asked of the controls.
struct Asked<'a> {
    controls: &'a RiskControls,
    counted: &'a RiskCount,
    amount: Amount,
    case: &'a Case<'a>,
}

/// A control that stands in the way.
struct Excess {
    cap: &'static str,
    used: Value,
    asked: Value,
    allowed: Value,
    rule: Option<Velocity>,
    /// When it does not any more; none if never.
    until: Option<Timestamp>,
}

impl Asked<'_> {
    /// Names the first control that stands in the way; all of them say until when.
    fn denial(&self) -> Option<Denial> {
        let excesses = self.excesses(self.case.is_verified());
        let first = excesses.first()?;
        let message = format!("the `{}` of the risk controls does not allow so much", first.cap);
        let denial = Denial::new(DenialKind::CapExceeded, message)
            .with("cap", first.cap)
            .with("used", first.used.clone())
            .with("asked", first.asked.clone())
            .with("allowed", first.allowed.clone());
        let denial = match &first.rule {
            Some(rule) => denial.with("window_seconds", rule.window_seconds),
            None => denial,
        };
        let all = excesses.iter().map(|excess| excess.until).collect::<Option<Vec<_>>>();
        let denial = denial.until(all.and_then(|all| all.into_iter().max()));
        let helps = !self.case.is_verified() && self.excesses(true).is_empty();
        Some(if helps { denial.with("challenge", "second_verification") } else { denial })
    }

    /// Whose use it is about.
    fn named(&self, denial: Denial, key: &RiskKey) -> Denial {
        denial.with("spender", key.spender.to_string()).with("app_id", shown(key.app_id()))
    }

    /// All that stands in the way: the largest amount, the day, its number, the velocity.
    fn excesses(&self, is_verified: bool) -> Vec<Excess> {
        let controls = self.controls;
        let (daily, cap, single) = match controls.verified_daily_cap.filter(|_| is_verified) {
            Some(verified) => (Some(verified), "verified_daily_cap", None),
            None => (controls.daily_cap, "daily_cap", controls.single_cap),
        };
        let single = single.filter(|single| self.amount > *single).map(|single| Excess {
            cap: "single_cap",
            used: Value::Null,
            asked: self.amount.to_string().into(),
            allowed: single.to_string().into(),
            rule: None,
            until: None,
        });
        let daily = daily.filter(|daily| self.is_beyond(*daily)).map(|daily| Excess {
            cap,
            used: self.counted.used.to_string().into(),
            asked: self.amount.to_string().into(),
            allowed: daily.to_string().into(),
            rule: None,
            until: (self.amount <= daily).then(|| self.tomorrow()),
        });
        let count = controls.daily_count_cap.filter(|cap| self.counted.count >= *cap).map(|cap| Excess {
            cap: "daily_count_cap",
            used: self.counted.count.into(),
            asked: 1.into(),
            allowed: cap.into(),
            rule: None,
            until: (cap > 0).then(|| self.tomorrow()),
        });
        let velocity = controls.velocity.iter().filter_map(|rule| self.too_fast(rule));
        single.into_iter().chain(daily).chain(count).chain(velocity).collect()
    }

    /// Exactly up to a cap is allowed, and so is work that costs nothing.
    fn is_beyond(&self, cap: Amount) -> bool {
        !self.amount.is_zero() && self.counted.used.checked_add(self.amount).is_none_or(|total| total > cap)
    }

    fn too_fast(&self, rule: &Velocity) -> Option<Excess> {
        let asked = rule.quantity(self.amount, 1);
        let full = rule.bucket().fits(self.counted.arrival(rule), asked, self.case.now()).err()?;
        Some(Excess {
            cap: "velocity",
            used: rule.shown(full.taken),
            asked: rule.shown(asked),
            allowed: rule.most(),
            rule: Some(*rule),
            until: full.retry_at,
        })
    }

    fn tomorrow(&self) -> Timestamp {
        self.case.policy.zone.day(self.case.now()).1
    }
}

fn shown(app_id: Option<&AppId>) -> Value {
    app_id.map_or(Value::Null, |app_id| app_id.as_str().into())
}
