//! What a tenant allows a spender in an app.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::gcra::Bucket;
use super::{MAX_VELOCITY_RULES, MAX_WINDOW_SECONDS};
use crate::amount::Amount;
use crate::id::UserId;

/// How much, how often and how fast a spender may spend in an app. What is left out is not limited.
///
/// A day is one of the policy's zone. Amounts are of the unit of the account that pays; each unit is counted by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RiskControls {
    /// Units in a day, 0 or more; exactly up to it is allowed.
    pub daily_cap: Option<Amount>,
    /// Charges and holds in a day.
    pub daily_count_cap: Option<u64>,
    /// Units of one charge or hold, 0 or more.
    pub single_cap: Option<Amount>,
    /// Units in a day for commands that are [`crate::Context::verified`]: instead of `daily_cap`, which it is not less than, and of
    /// `single_cap`. How often and how fast is the same for them.
    pub verified_daily_cap: Option<Amount>,
    /// How fast, at most 8 rules: each holds by itself.
    pub velocity: Vec<Velocity>,
    /// Users who can spend nothing here, neither as those who act nor as those who pay.
    pub deny_list: BTreeSet<UserId>,
    /// Users whom neither caps nor velocity hold up; their balance does.
    pub allow_list: BTreeSet<UserId>,
    /// Compliance is told of a charge or hold of more units than this, which is allowed.
    pub anomaly_threshold: Option<Amount>,
    /// For so many seconds after it was told, it is not told again of the same spender here.
    pub anomaly_cooldown_seconds: u32,
}

/// A rule of velocity: so much, or so often, within a window that moves along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Velocity {
    /// Units, greater than 0; this or a count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_units: Option<Amount>,
    /// Charges and holds, 1 or more; this or units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_count: Option<u64>,
    /// How long the window is: 1 to 2,592,000 seconds.
    pub window_seconds: u32,
}

/// Mistakes of a configuration, each with where it stands.
#[derive(Debug, Default)]
pub(super) struct Mistakes(Vec<(String, String)>);

impl Velocity {
    /// So many charges and holds.
    #[must_use]
    pub const fn count(max_count: u64, window_seconds: u32) -> Velocity {
        Velocity { max_units: None, max_count: Some(max_count), window_seconds }
    }

    /// So many units.
    #[must_use]
    pub const fn units(max_units: Amount, window_seconds: u32) -> Velocity {
        Velocity { max_units: Some(max_units), max_count: None, window_seconds }
    }

    pub(super) fn bucket(&self) -> Bucket {
        let units = self.max_units.map(micros);
        Bucket::new(units.or(self.max_count).unwrap_or(1), self.window_seconds)
    }

    /// What of this work the rule counts.
    pub(super) fn quantity(&self, units: Amount, count: u64) -> u64 {
        if self.max_units.is_some() { micros(units) } else { count }
    }

    /// A number of the rule, as its denial says it.
    pub(super) fn shown(&self, quantity: u64) -> Value {
        if self.max_units.is_none() {
            return quantity.into();
        }
        Amount::from_micros(i64::try_from(quantity).unwrap_or(i64::MAX)).to_string().into()
    }

    /// The most that the rule allows.
    pub(super) fn most(&self) -> Value {
        self.max_units.map_or_else(|| json!(self.max_count), |units| units.to_string().into())
    }

    fn check(&self, path: &str, mistakes: &mut Mistakes) {
        match (self.max_units, self.max_count) {
            (Some(units), None) if !units.is_positive() => {
                mistakes.add(format!("{path}.max_units"), format!("is `{units}`: it takes an amount greater than 0"));
            }
            (None, Some(count)) => mistakes.count(format!("{path}.max_count"), Some(count), 1),
            (Some(_), None) => {}
            _ => mistakes.add(path.to_owned(), "takes one of `max_units` and `max_count`".to_owned()),
        }
        if !(1..=MAX_WINDOW_SECONDS).contains(&self.window_seconds) {
            let message = format!("is `{}`: it takes 1 to {MAX_WINDOW_SECONDS}", self.window_seconds);
            mistakes.add(format!("{path}.window_seconds"), message);
        }
    }
}

impl RiskControls {
    /// Whether anything has to be counted for them.
    pub(super) fn counts(&self) -> bool {
        self.daily_cap.is_some() || self.daily_count_cap.is_some() || !self.velocity.is_empty() || self.anomaly_threshold.is_some()
    }

    /// Adds what is wrong with them.
    pub(super) fn check(&self, path: &str, mistakes: &mut Mistakes) {
        let at = |field: &str| format!("{path}.{field}");
        for (field, amount) in [
            ("daily_cap", self.daily_cap),
            ("single_cap", self.single_cap),
            ("verified_daily_cap", self.verified_daily_cap),
            ("anomaly_threshold", self.anomaly_threshold),
        ] {
            if let Some(amount) = amount.filter(|amount| amount.is_negative()) {
                mistakes.add(at(field), format!("is `{amount}`: it takes an amount of 0 or more"));
            }
        }
        mistakes.count(at("daily_count_cap"), self.daily_count_cap, 0);
        match (self.daily_cap, self.verified_daily_cap) {
            (Some(cap), Some(verified)) if !verified.is_negative() && verified < cap => {
                mistakes.add(at("verified_daily_cap"), format!("is `{verified}`, less than the `daily_cap` of `{cap}`"));
            }
            (None, Some(_)) => mistakes.add(at("verified_daily_cap"), "stands without a `daily_cap`".to_owned()),
            _ => {}
        }
        self.check_velocity(path, mistakes);
        for user_id in self.deny_list.intersection(&self.allow_list) {
            mistakes.add(at("deny_list"), format!("has `{user_id}`, who is on the `allow_list` too"));
        }
        if self.anomaly_cooldown_seconds > 0 && self.anomaly_threshold.is_none() {
            mistakes.add(at("anomaly_cooldown_seconds"), "stands without an `anomaly_threshold`".to_owned());
        }
    }

    fn check_velocity(&self, path: &str, mistakes: &mut Mistakes) {
        if self.velocity.len() > MAX_VELOCITY_RULES {
            let message = format!("has {} rules, more than {MAX_VELOCITY_RULES}", self.velocity.len());
            mistakes.add(format!("{path}.velocity"), message);
        }
        for (number, rule) in self.velocity.iter().enumerate() {
            let path = format!("{path}.velocity[{number}]");
            rule.check(&path, mistakes);
            if self.velocity.iter().take(number).any(|before| before == rule) {
                mistakes.add(path, "stands twice".to_owned());
            }
        }
    }
}

impl Mistakes {
    fn add(&mut self, path: String, message: String) {
        self.0.push((path, message));
    }

    /// Counts that a store can keep.
    pub(super) fn count(&mut self, path: String, count: Option<u64>, least: u64) {
        if let Some(count) = count.filter(|count| *count < least || i64::try_from(*count).is_err()) {
            self.add(path, format!("is `{count}`: it takes {least} to 9223372036854775807"));
        }
    }

    /// Nothing if there are none.
    pub(super) fn into_result(self) -> Result<(), crate::Denial> {
        let Some((path, message)) = self.0.first() else { return Ok(()) };
        let more = if self.0.len() > 1 { format!(", and {} more", self.0.len() - 1) } else { String::new() };
        let message = format!("the risk controls have mistakes: `{path}` {message}{more}");
        let errors: Vec<Value> = self.0.iter().map(|(path, message)| json!({"path": path, "message": message})).collect();
        Err(crate::Denial::new(crate::DenialKind::ConfigInvalid, message).with("errors", errors))
    }
}

/// The millionths of an amount that is not negative.
fn micros(amount: Amount) -> u64 {
    u64::try_from(amount.micros()).unwrap_or_default()
}
