//! A grant: a lot of credit with its own type, scope and life.

use std::sync::Arc;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rule::Recurrence;
use super::whole_terms::{NotedText, TermsWithText};
use crate::amount::Amount;
use crate::denial::Denial;
use crate::id::{AppId, GrantId, PolicyTag, TemplateId};
use crate::time::Timestamp;

macro_rules! named_enum {
    ($(#[$doc:meta])* $name:ident { $($variants:tt)+ }) => {
        $crate::credit::named_enum! { @words $(#[$doc])* $name { $($variants)+ } }

        impl std::str::FromStr for $name {
            type Err = crate::denial::Denial;

            fn from_str(text: &str) -> Result<$name, crate::denial::Denial> {
                $name::from_name(text).ok_or_else(|| $crate::credit::not_among(stringify!($name), text, $name::ALL.iter().map(|value| value.as_str())))
            }
        }
    };
    (@words $(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every value, in order.
            pub const ALL: &[$name] = &[$($name::$variant),+];

            /// The word on the wire and in the store.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }

            /// The value that this word names.
            #[must_use]
            pub fn from_name(text: &str) -> Option<$name> {
                match text { $($text => Some($name::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(crate) use named_enum;

/// The denial of a word that is none of these.
pub(crate) fn not_among<'a>(field: &str, given: &str, allowed: impl Iterator<Item = &'a str>) -> Denial {
    Denial::invalid(field, given, &format!("one of {}", allowed.collect::<Vec<_>>().join(", ")))
}

named_enum! {
    @words
    /// Where a grant's credit comes from. The order of the variants is the default order of consumption.
    GrantType {
        /// Credit to try an app with.
        Trial = "trial",
        /// Given to a new user.
        NewUser = "new_user",
        /// Given in a campaign.
        Campaign = "campaign",
        /// Given for an invitation.
        Invite = "invite",
        /// Paid for.
        Purchased = "purchased",
        /// Part of a plan.
        Plan = "plan",
        /// Given back.
        Refund = "refund",
        /// Added by an operator.
        Adjustment = "adjustment",
        /// Taken over from a system before.
        Import = "import",
        /// No grant: what is drawn on the credit limit, the last of a draw.
        Debt = "debt",
    }
}

impl GrantType {
    /// The types that a grant can have: all but [`GrantType::Debt`].
    pub const GIVEN: &[GrantType] = &[
        GrantType::Trial,
        GrantType::NewUser,
        GrantType::Campaign,
        GrantType::Invite,
        GrantType::Purchased,
        GrantType::Plan,
        GrantType::Refund,
        GrantType::Adjustment,
        GrantType::Import,
    ];

    /// Checks that a grant can have this type.
    pub(crate) fn check_given(self, field: &str) -> Result<(), Denial> {
        if GrantType::GIVEN.contains(&self) { Ok(()) } else { Err(GrantType::not_given(field, self.as_str())) }
    }

    fn not_given(field: &str, given: &str) -> Denial {
        not_among(field, given, GrantType::GIVEN.iter().map(|grant_type| grant_type.as_str()))
    }

    /// Reads the type of a grant to be given; the allowed ones are named where it is another.
    pub(crate) fn read_given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<GrantType, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(|denial: Denial| de::Error::custom(denial.message()))
    }

    /// The number of this type in the hashed layout of an entry. Never changes.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The type with this number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<GrantType> {
        GrantType::ALL.get(usize::from(code)).copied()
    }
}

impl std::str::FromStr for GrantType {
    type Err = Denial;

    fn from_str(text: &str) -> Result<GrantType, Denial> {
        let given = GrantType::from_name(text).filter(|grant_type| GrantType::GIVEN.contains(grant_type));
        given.ok_or_else(|| GrantType::not_given("type", text))
    }
}

/// What a grant can pay for: with an app or a template named, only commands that name the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Only for this app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_id: Option<AppId>,
    /// Only for this template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_id: Option<TemplateId>,
}

impl Scope {
    /// Whether this restricts nothing.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.app_id.is_none() && self.template_id.is_none()
    }

    /// Whether a command that names this app and template can be paid within this scope.
    #[must_use]
    pub fn admits(&self, app: Option<&AppId>, template: Option<&TemplateId>) -> bool {
        self.app_id.as_ref().is_none_or(|own| Some(own) == app) && self.template_id.as_ref().is_none_or(|own| Some(own) == template)
    }
}

/// What was agreed when the grant was given; only its expiry can be moved later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantTerms {
    /// Where the credit comes from.
    #[serde(rename = "type")]
    pub grant_type: GrantType,
    /// How much was given.
    pub amount: Amount,
    /// From when it can be spent.
    pub effective_at: Timestamp,
    /// What it can pay for.
    #[serde(default, skip_serializing_if = "Scope::is_open")]
    pub scope: Scope,
    /// Lower is drawn first, within a type. 0 by default.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// The grant that this reissues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reissue_of: Option<GrantId>,
    /// The rule and the period that it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recurrence: Option<Recurrence>,
    /// The label of compliance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_tag: Option<PolicyTag>,
    /// Why it was given. Not in the hashed terms of an entry: there it is text, hashed apart.
    #[serde(skip)]
    pub reason: Option<Arc<str>>,
    /// What the host noted. Not in the hashed terms of an entry: there it is text, hashed apart.
    #[serde(skip)]
    pub metadata: Option<Arc<Map<String, Value>>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
pub(super) const fn is_zero(priority: &i32) -> bool {
    *priority == 0
}

named_enum! {
    /// Where a grant stands. Expiry is no state: it is decided from the time when it is read.
    GrantState {
        /// Not effective yet; its amount is not in the balance.
        Pending = "pending",
        /// Effective: what remains is in the balance until it expires.
        Active = "active",
        /// Taken back by an operator; what is held stays capturable.
        Voided = "voided",
    }
}

/// A grant as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Its name.
    pub id: GrantId,
    /// What was agreed.
    #[serde(with = "super::whole_terms")]
    pub terms: Arc<GrantTerms>,
    /// Until when it can be spent; none for ever. Can be moved later.
    pub expires_at: Option<Timestamp>,
    /// Where it stands.
    pub state: GrantState,
    /// What can still be drawn: neither held nor consumed. The whole amount while it is pending.
    pub remaining: Amount,
    /// What open holds keep.
    pub held: Amount,
}

impl Grant {
    /// Whether anything can still come of it: such grants are loaded with their account.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == GrantState::Pending || !self.remaining.is_zero() || !self.held.is_zero()
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Whether its remainder can be drawn at this instant.
    #[must_use]
    pub fn is_spendable(&self, now: Timestamp) -> bool {
        self.state == GrantState::Active && self.remaining.is_positive() && self.terms.effective_at <= now && !self.is_expired(now)
    }

    /// When settling has something to do with it next.
    #[must_use]
    pub fn due_at(&self) -> Option<Timestamp> {
        match self.state {
            GrantState::Pending => Some(self.terms.effective_at),
            GrantState::Active if self.remaining.is_positive() => self.expires_at,
            GrantState::Active | GrantState::Voided => None,
        }
    }
}

impl TermsWithText for GrantTerms {
    type Text = NotedText;

    fn text(&self) -> NotedText {
        NotedText { reason: self.reason.clone(), metadata: self.metadata.clone() }
    }

    fn with_text(self, text: NotedText) -> GrantTerms {
        GrantTerms { reason: text.reason, metadata: text.metadata, ..self }
    }
}
