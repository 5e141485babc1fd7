//! Every expected refusal, in order of precedence.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::amount::Amount;
use crate::id::{AuditId, PolicyTag};
use crate::owner::AccountKey;
use crate::time::Timestamp;

macro_rules! denial_kinds {
    ($(#[doc = $meaning:literal] $kind:ident = $name:literal, retryable: $retryable:literal;)+) => {
        /// The name of an expected refusal. The order of the variants is the order of precedence.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum DenialKind {
            $(#[doc = $meaning] $kind,)+
        }

        impl DenialKind {
            /// Every kind, the first in precedence first.
            pub const ALL: &[DenialKind] = &[$(DenialKind::$kind),+];

            /// The stable name that clients branch on.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(DenialKind::$kind => $name,)+ }
            }

            /// One sentence that says when it occurs.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(DenialKind::$kind => $meaning.trim_ascii(),)+ }
            }

            /// Whether the same command can succeed later without being changed.
            #[must_use]
            pub const fn retryable(self) -> bool {
                match self { $(DenialKind::$kind => $retryable,)+ }
            }
        }
    };
}

// Authentication, shape, replay, request limit, owner, version, membership, target, price and quote, licence, risk limits,
// capacity, balance: the order in which a command is checked.
denial_kinds! {
    /// The caller is not known.
    Unauthenticated = "unauthenticated", retryable: false;
    /// The API key is not known or revoked.
    ApiKeyInvalid = "api_key_invalid", retryable: false;
    /// The API key may not be used from this address.
    IpNotAllowed = "ip_not_allowed", retryable: false;
    /// A field is missing, unknown or out of its range.
    PayloadInvalid = "payload_invalid", retryable: false;
    /// A number is no amount, or the amount is not allowed here.
    AmountInvalid = "amount_invalid", retryable: false;
    /// A configuration has mistakes.
    ConfigInvalid = "config_invalid", retryable: false;
    /// The request is larger than allowed.
    PayloadTooLarge = "payload_too_large", retryable: false;
    /// The batch has more items than allowed.
    BatchTooLarge = "batch_too_large", retryable: false;
    /// The key was used before for another request, or its answer is no longer kept.
    IdempotencyConflict = "idempotency_conflict", retryable: false;
    /// Too many estimates or checks in this minute.
    EstimateRateLimited = "estimate_rate_limited", retryable: true;
    /// Too many charges in this minute.
    ChargeRateLimited = "charge_rate_limited", retryable: true;
    /// Neither or both of the possible owners are named.
    OwnerInvalid = "owner_invalid", retryable: false;
    /// The account has another version than the command expects.
    VersionConflict = "version_conflict", retryable: false;
    /// The account, user or tenant is blocked: nothing can be spent.
    Blocked = "blocked", retryable: false;
    /// The user is no member of the organization.
    NotAMember = "not_a_member", retryable: false;
    /// The member has spent what a member may in this period.
    MemberLimitExceeded = "member_limit_exceeded", retryable: true;
    /// No such account in this tenant.
    AccountNotFound = "account_not_found", retryable: false;
    /// No such grant in this tenant.
    GrantNotFound = "grant_not_found", retryable: false;
    /// No such hold in this tenant.
    PreDeductNotFound = "pre_deduct_not_found", retryable: false;
    /// No such task in this tenant.
    TaskNotFound = "task_not_found", retryable: false;
    /// No such batch in this tenant.
    BatchNotFound = "batch_not_found", retryable: false;
    /// No configuration is published.
    ConfigNotFound = "config_not_found", retryable: false;
    /// What follows the cursor is older than events are retained; the details name the oldest cursor that can be used.
    CursorExpired = "cursor_expired", retryable: false;
    /// The hold has ended, or the task already has a live or captured one.
    PreDeductAlreadyProcessed = "pre_deduct_already_processed", retryable: false;
    /// More was to be captured than the hold has left, and its policy is `reject`.
    HoldExceeded = "hold_exceeded", retryable: false;
    /// Such a grant was given before.
    GrantDuplicate = "grant_duplicate", retryable: false;
    /// No such charge, not this operator, or too late.
    RefundNotAllowed = "refund_not_allowed", retryable: false;
    /// Everything was refunded before.
    RefundDuplicate = "refund_duplicate", retryable: false;
    /// The refund is not positive or more than what is left.
    InvalidRefundAmount = "invalid_refund_amount", retryable: false;
    /// No such template.
    TemplateNotFound = "template_not_found", retryable: false;
    /// No such model.
    ModelUnknown = "model_unknown", retryable: false;
    /// No price is in force.
    PricingUnavailable = "pricing_unavailable", retryable: true;
    /// No licence for this template, or none that is in force.
    AuthorizationMissing = "authorization_missing", retryable: false;
    /// No such licence, or none for this template to hold under.
    AuthorizationNotFound = "authorization_not_found", retryable: false;
    /// The licence was revoked.
    AuthorizationRevoked = "authorization_revoked", retryable: false;
    /// The licence is used up for today, or in all.
    DailyQuotaExceeded = "daily_quota_exceeded", retryable: true;
    /// The licence is used up in all, and the tenant wants that told apart.
    QuotaExceeded = "quota_exceeded", retryable: false;
    /// A cap of the risk controls is reached.
    CapExceeded = "cap_exceeded", retryable: true;
    /// A structural limit is reached; the details name it.
    CapacityExceeded = "capacity_exceeded", retryable: false;
    /// The grants that could pay, and what the credit limit leaves, are less than is needed.
    InsufficientBalance = "insufficient_balance", retryable: false;
}

/// An expected refusal: a stable name, a sentence, what was needed and what there was, and whether waiting helps.
///
/// A denial touches no anchor, key, entry, quota or cap; except that a command may ask for its denial to be kept under its key
/// ([`crate::Context::remember_denials`]). One for a reason of compliance or risk leaves a record of the audit, which it names.
///
/// # Examples
/// ```
/// use drawdown::Amount;
/// let denial = "1e400".parse::<Amount>().unwrap_err();
/// assert_eq!(denial.name(), "amount_invalid");
/// assert_eq!(denial.details()["given"], "1e400");
/// assert!(!denial.retryable());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Denial {
    #[serde(rename = "error")]
    kind: DenialKind,
    message: String,
    details: Map<String, Value>,
    retryable: bool,
    retry_at: Option<Timestamp>,
    policy_tag: Option<PolicyTag>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audit_id: Option<AuditId>,
}

impl Denial {
    /// A denial of this kind; the message is one sentence in lower case, user input in backticks.
    #[must_use]
    pub fn new(kind: DenialKind, message: impl Into<String>) -> Denial {
        Denial {
            kind,
            message: message.into(),
            details: Map::new(),
            retryable: kind.retryable(),
            retry_at: None,
            policy_tag: None,
            audit_id: None,
        }
    }

    /// `payload_invalid` that names the field, what was given and what is allowed.
    #[must_use]
    pub fn invalid(field: &str, given: impl fmt::Display, allowed: &str) -> Denial {
        let given = shown(&given.to_string());
        Denial::new(DenialKind::PayloadInvalid, format!("`{field}` cannot be `{given}`: it takes {allowed}"))
            .with("field", field)
            .with("given", given)
            .with("allowed", allowed)
    }

    /// `amount_invalid` that names the field, what was given and what is allowed.
    #[must_use]
    pub fn amount(field: &str, given: Amount, allowed: &str) -> Denial {
        Denial::new(DenialKind::AmountInvalid, format!("`{field}` cannot be `{given}`: it takes {allowed}"))
            .with("field", field)
            .with("given", given.to_string())
            .with("allowed", allowed)
    }

    /// `account_not_found` that names the account.
    pub(crate) fn no_account(account: &AccountKey) -> Denial {
        Denial::new(DenialKind::AccountNotFound, format!("there is no account `{account}`")).with("given", account.to_string())
    }

    /// `capacity_exceeded` that names the limit.
    #[must_use]
    pub fn capacity(limit: &str, allowed: usize) -> Denial {
        Denial::new(DenialKind::CapacityExceeded, format!("the limit `{limit}` of {allowed} is reached"))
            .with("limit", limit)
            .with("allowed", allowed)
    }

    /// Adds a detail.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Denial {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// Names the field that this is about, when a caller above knows it better.
    #[must_use]
    pub fn at(self, field: &str) -> Denial {
        self.with("field", field)
    }

    /// Says when a retry can succeed.
    #[must_use]
    pub fn retry_at(mut self, at: Timestamp) -> Denial {
        self.retryable = true;
        self.retry_at = Some(at);
        self
    }

    /// Says that waiting does not help, although it often does with a denial of this kind.
    #[must_use]
    pub fn for_good(mut self) -> Denial {
        self.retryable = false;
        self
    }

    /// Says when a retry can succeed, or that waiting does not help.
    pub(crate) fn until(self, at: Option<Timestamp>) -> Denial {
        match at {
            Some(at) => self.retry_at(at),
            None => self.for_good(),
        }
    }

    /// Carries the policy tag of what was asked for.
    #[must_use]
    pub fn tagged(mut self, policy_tag: Option<PolicyTag>) -> Denial {
        self.policy_tag = policy_tag;
        self
    }

    /// Names the record of the audit that keeps it.
    #[must_use]
    pub(crate) const fn audited(mut self, audit_id: AuditId) -> Denial {
        self.audit_id = Some(audit_id);
        self
    }

    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> DenialKind {
        self.kind
    }

    /// The stable name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// One sentence for a developer.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What was needed, what there was, what is allowed.
    #[must_use]
    pub const fn details(&self) -> &Map<String, Value> {
        &self.details
    }

    /// Whether the same command can succeed later.
    #[must_use]
    pub const fn retryable(&self) -> bool {
        self.retryable
    }

    /// When a retry can succeed, where that is known.
    #[must_use]
    pub const fn when_to_retry(&self) -> Option<Timestamp> {
        self.retry_at
    }

    /// The policy tag.
    #[must_use]
    pub const fn policy_tag(&self) -> Option<&PolicyTag> {
        self.policy_tag.as_ref()
    }

    /// The record of the audit that keeps it; none where it is kept nowhere.
    #[must_use]
    pub const fn audit_id(&self) -> Option<AuditId> {
        self.audit_id
    }
}

/// At most 64 characters of user input, control characters escaped.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String =
        text.chars().take(64).flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect();
    if text.chars().count() > 64 {
        shown.push('…');
    }
    shown
}
