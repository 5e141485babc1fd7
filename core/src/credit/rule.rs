//! A rule that makes a grant each period.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono_tz::Tz;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};

use super::grant::{GrantType, Scope, is_zero};
use super::whole_terms::{NotedText, TermsWithText};
use crate::amount::Amount;
use crate::denial::Denial;
use crate::id::{PolicyTag, RuleId};
use crate::time::Timestamp;

/// How long a period is, in steps of the calendar: each number is 1 to 1,000.
///
/// Steps are counted from the anchor, never from the boundary before: a rule of months that begins on 31 January goes on
/// 28 February and 31 March.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// So many days.
    Days(u16),
    /// So many weeks.
    Weeks(u16),
    /// So many months; where a month is too short, its last day.
    Months(u16),
    /// So many years; 29 February becomes 28 February where there is none.
    Years(u16),
}

impl Every {
    /// How many of the steps a period has.
    #[must_use]
    pub const fn count(self) -> u16 {
        match self {
            Every::Days(count) | Every::Weeks(count) | Every::Months(count) | Every::Years(count) => count,
        }
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self {
            Every::Days(_) => "days",
            Every::Weeks(_) => "weeks",
            Every::Months(_) => "months",
            Every::Years(_) => "years",
        };
        write!(f, "{} {step}", self.count())
    }
}

/// The time zone in which days begin, by its IANA name (`Europe/Berlin`); `UTC` by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Zone(pub(super) Tz);

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Zone = Zone(Tz::UTC);

    fn is_utc(&self) -> bool {
        *self == Zone::UTC
    }
}

impl Default for Zone {
    fn default() -> Zone {
        Zone::UTC
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl FromStr for Zone {
    type Err = Denial;

    fn from_str(text: &str) -> Result<Zone, Denial> {
        text.parse().map(Zone).map_err(|_| Denial::invalid("zone", text, "the IANA name of a time zone, as `Europe/Berlin`"))
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Zone, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(|denial: Denial| de::Error::custom(denial.message()))
    }
}

/// What was agreed when the rule was made. None of it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleTerms {
    /// Where the credit of its grants comes from.
    #[serde(rename = "type")]
    pub grant_type: GrantType,
    /// How much each instance is.
    pub amount: Amount,
    /// How long a period is.
    pub every: Every,
    /// The anchor: boundary 0, from which periods are counted.
    pub starts_at: Timestamp,
    /// No instance begins at this instant or after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// Where its days begin.
    #[serde(default, skip_serializing_if = "Zone::is_utc")]
    pub zone: Zone,
    /// How much of what is left of an instance goes on for one more period.
    #[serde(default, skip_serializing_if = "no_amount")]
    pub rollover_cap: Amount,
    /// What its grants can pay for.
    #[serde(default, skip_serializing_if = "Scope::is_open")]
    pub scope: Scope,
    /// The priority number of its grants.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// The label of compliance; its grants bear it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_tag: Option<PolicyTag>,
    /// Why it was made. Not in the hashed terms of an entry: there it is text, hashed apart.
    #[serde(skip)]
    pub reason: Option<Arc<str>>,
    /// What the host noted. Not in the hashed terms of an entry: there it is text, hashed apart.
    #[serde(skip)]
    pub metadata: Option<Arc<Map<String, Value>>>,
}

fn no_amount(amount: &Amount) -> bool {
    amount.is_zero()
}

impl TermsWithText for RuleTerms {
    type Text = NotedText;

    fn text(&self) -> NotedText {
        NotedText { reason: self.reason.clone(), metadata: self.metadata.clone() }
    }

    fn with_text(self, text: NotedText) -> RuleTerms {
        RuleTerms { reason: text.reason, metadata: text.metadata, ..self }
    }
}

impl RuleTerms {
    /// How much is carried over from an instance that nobody touched.
    pub(crate) fn full_rollover(&self) -> Amount {
        self.amount.min(self.rollover_cap)
    }

    /// Until when instance `k` lasts: the next boundary, or the last instant that there is.
    pub(crate) fn until(&self, k: u32) -> Timestamp {
        k.checked_add(1).and_then(|next| self.boundary(next)).unwrap_or(Timestamp::MAX)
    }

    /// Whether no instance can begin at this instant.
    fn is_over(&self, at: Timestamp) -> bool {
        at == Timestamp::MAX || self.ends_at.is_some_and(|ends_at| at >= ends_at)
    }
}

super::grant::named_enum! {
    /// Whether a rule makes further grants.
    RuleState {
        /// It does.
        Running = "running",
        /// It was stopped, or its end has come: its last instance is a grant like any other.
        Ended = "ended",
    }
}

/// A rule as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name.
    pub id: RuleId,
    /// What was agreed.
    #[serde(with = "super::whole_terms")]
    pub terms: Arc<RuleTerms>,
    /// Whether it makes further grants.
    pub state: RuleState,
    /// The boundary at which it makes the next instance, counted from 0.
    pub next: u32,
    /// When that is. As booked: zones that change their clocks later move only what comes after it.
    pub next_at: Timestamp,
}

impl Rule {
    /// A rule that has made nothing.
    pub(crate) fn new(id: RuleId, terms: Arc<RuleTerms>) -> Rule {
        let next_at = terms.starts_at;
        Rule { id, terms, state: RuleState::Running, next: 0, next_at }
    }

    /// Whether it makes further grants.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == RuleState::Running
    }

    /// When settling has something to do with it next.
    #[must_use]
    pub fn due_at(&self) -> Option<Timestamp> {
        self.is_running().then_some(self.next_at)
    }

    /// The rule once it has made instance `k`, which lasts until then.
    pub(crate) fn begun(mut self, k: u32, until: Timestamp) -> Rule {
        self.next = k.saturating_add(1);
        self.next_at = until;
        if self.terms.is_over(until) {
            self.state = RuleState::Ended;
        }
        self
    }

    /// The last boundary that has come by `at`, from the next one on.
    pub(crate) fn last_by(&self, at: Timestamp) -> Option<u32> {
        let before_end = self.terms.ends_at.and_then(|ends_at| ends_at.plus_micros(-1));
        let limit = before_end.map_or(at, |end| end.min(at));
        (self.is_running() && self.next_at <= limit).then(|| self.terms.last_from(self.next, self.next_at, limit))
    }
}

/// Of which rule a grant is, and of which period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Recurrence {
    /// The rule.
    pub rule_id: RuleId,
    /// The boundary at which it begins, counted from 0.
    pub k: u32,
    /// It is what was carried over from the instance before.
    #[serde(default, skip_serializing_if = "is_false")]
    pub rollover: bool,
    /// How many periods it stands for: more than one where periods passed that nobody booked, the last of them being `k`.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub periods: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
const fn is_false(rollover: &bool) -> bool {
    !*rollover
}

const fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
const fn is_one(periods: &u32) -> bool {
    *periods == 1
}
