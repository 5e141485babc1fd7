//! What a tenant decides about its credit.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::order::ConsumptionOrder;
use super::rule::Zone;
use crate::id::{Operator, TemplateId, TenantId, Unit};
use crate::map::Map;
use crate::risk::RiskPolicy;
use crate::time::Timestamp;

named_enum! {
    /// Who pays for a call that names no payer itself.
    #[derive(Default)]
    Payer {
        /// The user whom it names.
        #[default]
        User = "user",
        /// The tenant's pool; the user is recorded.
        Tenant = "tenant",
    }
}

named_enum! {
    /// What happens to the part of a refund that came from a grant which has expired or was voided since.
    #[derive(Default)]
    ExpiredRefund {
        /// It is reissued for `grace_days`, as a grant of the same type and scope.
        #[default]
        Reissue = "reissue",
        /// It is forfeited.
        Forfeit = "forfeit",
    }
}

/// The policy of a tenant. Immutable while the engine runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantPolicy {
    /// The unit of a command that names none.
    pub unit: Unit,
    /// Who pays for a call that names no payer.
    pub payer: Payer,
    /// In which order types of grants are drawn.
    pub consumption_order: ConsumptionOrder,
    /// What happens to refunds of expired credit.
    pub expired_refund: ExpiredRefund,
    /// Days that a reissued grant lasts (default 7).
    pub grace_days: u16,
    /// Days after a charge in which it can be refunded; none for ever.
    pub refund_window_days: Option<u16>,
    /// Who may refund; none for anyone whom the host lets through.
    pub refund_operators: Option<BTreeSet<Operator>>,
    /// Days for which a key is answered again (default 90); none for ever. From then on it is an `idempotency_conflict`.
    pub answer_retention_days: Option<u16>,
    /// Where a day and a month begin (default UTC).
    pub zone: Zone,
    /// Whether a hold or charge with a template needs a licence for it (default no).
    pub licence_required: bool,
    /// Whether a licence that is used up in all says `quota_exceeded`; by default it says `daily_quota_exceeded`, and that nothing
    /// remains.
    pub tells_quota_exceeded: bool,
    /// The templates that exist, for licences; none for whatever is named.
    pub templates: Option<Arc<BTreeSet<TemplateId>>>,
    /// How much, how often and how fast may be spent, by app and spender, and how many requests are taken (default: no limits).
    pub risk: RiskPolicy,
    /// Seconds for which a quote can be held or charged (default 900), counted from when it was made; at their end it is too old.
    pub quote_validity_seconds: u32,
    /// Whether every estimate is a quote (default no).
    pub estimates_are_quotes: bool,
}

impl Default for TenantPolicy {
    fn default() -> TenantPolicy {
        TenantPolicy {
            unit: default_unit(),
            payer: Payer::default(),
            consumption_order: ConsumptionOrder::default(),
            expired_refund: ExpiredRefund::default(),
            grace_days: 7,
            refund_window_days: None,
            refund_operators: None,
            answer_retention_days: Some(90),
            zone: Zone::default(),
            licence_required: false,
            tells_quota_exceeded: false,
            templates: None,
            risk: RiskPolicy::default(),
            quote_validity_seconds: 900,
            estimates_are_quotes: false,
        }
    }
}

impl TenantPolicy {
    /// Whether the answer to what was booked at this instant is no longer given.
    pub(crate) fn answer_is_expired(&self, created_at: Timestamp, now: Timestamp) -> bool {
        let kept = self.answer_retention_days.map(|days| i64::from(days) * 24 * 3_600);
        kept.and_then(|seconds| created_at.plus_seconds(seconds)).is_some_and(|end| end <= now)
    }
}

fn default_unit() -> Unit {
    #[expect(clippy::expect_used, reason = "a literal that is an id")]
    Unit::new("credit").expect("`credit` is an id")
}

/// The policies of all tenants: one by default, others by name.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    default: Arc<TenantPolicy>,
    tenants: Map<TenantId, Arc<TenantPolicy>>,
}

impl Policies {
    /// The same policy for every tenant.
    #[must_use]
    pub fn new(default: TenantPolicy) -> Policies {
        Policies { default: Arc::new(default), tenants: Map::default() }
    }

    /// Gives one tenant a policy of its own.
    #[must_use]
    pub fn tenant(mut self, tenant_id: TenantId, policy: TenantPolicy) -> Policies {
        self.tenants.insert(tenant_id, Arc::new(policy));
        self
    }

    /// Says which templates exist, to every policy that does not say it itself.
    #[must_use]
    pub(crate) fn templates(mut self, templates: &Arc<BTreeSet<TemplateId>>) -> Policies {
        for policy in self.tenants.values_mut().chain([&mut self.default]) {
            if policy.templates.is_none() {
                Arc::make_mut(policy).templates = Some(Arc::clone(templates));
            }
        }
        self
    }

    /// The policy of a tenant.
    #[must_use]
    pub fn of(&self, tenant_id: &TenantId) -> &Arc<TenantPolicy> {
        self.tenants.get(tenant_id).unwrap_or(&self.default)
    }
}
