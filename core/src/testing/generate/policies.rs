//! What the tenants of the small world decide.

use std::collections::BTreeSet;

use crate::Amount;
use crate::credit::{ConsumptionOrder, ExpiredRefund, GrantType, Payer, Policies, TenantPolicy};
use crate::id::{AppId, Operator, TenantId, UserId};
use crate::risk::{RequestLimits, RiskControls, RiskPolicy, Velocity};

/// The policies of the tenants that the commands are of: one has the default, one all that can differ from it.
#[must_use]
pub fn policies() -> Policies {
    let types = vec![GrantType::Purchased, GrantType::Trial];
    #[expect(clippy::expect_used, reason = "the words and the order are constants")]
    let (order, operator, tenant_id, zone) = (
        ConsumptionOrder::new(types).expect("each type stands once"),
        Operator::new("ops").expect("the word is an id"),
        TenantId::new("globex").expect("the word is an id"),
        "Asia/Shanghai".parse().expect("the zone is in the list"),
    );
    let (cap, few) = (Amount::from_micros(30_000_000), Amount::from_micros(12_000_000));
    let strict = RiskControls {
        daily_cap: Some(cap),
        daily_count_cap: Some(9),
        single_cap: Some(few),
        verified_daily_cap: Some(cap.checked_add(few).unwrap_or(cap)),
        velocity: vec![Velocity::count(4, 7), Velocity::units(few, 60)],
        deny_list: user_ids(&["u2"]),
        anomaly_threshold: Some(Amount::from_micros(8_000_000)),
        anomaly_cooldown_seconds: 30,
        ..RiskControls::default()
    };
    let loose = RiskControls { daily_cap: Some(cap), allow_list: user_ids(&["u2"]), ..RiskControls::default() };
    let (risk, risk_of_globex) = risk_policies(strict, loose);
    let globex = TenantPolicy {
        payer: Payer::Tenant,
        consumption_order: order,
        expired_refund: ExpiredRefund::Forfeit,
        refund_window_days: Some(2),
        refund_operators: Some([operator].into()),
        answer_retention_days: None,
        zone,
        licence_required: true,
        tells_quota_exceeded: true,
        risk: risk_of_globex,
        ..TenantPolicy::default()
    };
    let default = TenantPolicy { answer_retention_days: None, licence_required: true, risk, ..TenantPolicy::default() };
    Policies::new(default).tenant(tenant_id, globex)
}

/// The controls of an app in one tenant, in the other those of every app; and limits on charges.
#[expect(clippy::expect_used, reason = "the controls are constants")]
fn risk_policies(strict: RiskControls, loose: RiskControls) -> (RiskPolicy, RiskPolicy) {
    let app_id = AppId::new("x").expect("the word is an id");
    let limit = |count| RequestLimits { charges_per_minute: Some(count), ..RequestLimits::default() };
    let of_app = RiskPolicy::default().app(app_id, strict).and_then(|policy| policy.requests(limit(2)));
    let of_all = RiskPolicy::new(loose).and_then(|policy| policy.requests(limit(1)));
    (of_app.expect("the controls are valid"), of_all.expect("the controls are valid"))
}

fn user_ids(words: &[&str]) -> BTreeSet<UserId> {
    words.iter().filter_map(|word| UserId::new(word).ok()).collect()
}
