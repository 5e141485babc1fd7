//! Commands about rules of recurring grants.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fingerprint::{Field, Fields};
use super::{CommandParts, Metadata, paying_account, shape};
use crate::amount::Amount;
use crate::credit::{Every, GrantType, Scope, TenantPolicy, Zone};
use crate::denial::Denial;
use crate::facts::Needs;
use crate::id::{AppId, Operator, PolicyTag, RuleId, TemplateId, TenantId, Unit};
use crate::owner::Owner;
use crate::time::Timestamp;

/// The most steps of the calendar that a period can have.
pub(super) const MAX_STEPS: u16 = 1_000;

/// Makes a rule that gives credit each period, for that period. What is left of it then expires, but for what the rule carries
/// over for one more period.
///
/// A rule whose start lies in the past begins with the instance in force now, whole: earlier periods were never promised.
///
/// # Errors
/// `amount_invalid` unless the amount is positive, the cap is not negative, and the amount is at least a thousandth of the
/// account's credit limit and of its debt; `payload_invalid` for a number of steps outside 1 to 1,000 and for an end that is
/// not after both now and the start; `capacity_exceeded` at 16 rules or 1,000 open grants.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use drawdown::{Context, Engine, Every, GrantType, ManualClock, Owner, RecurGrant};
/// let clock = Arc::new(ManualClock::at("2026-01-31T00:00:00Z".parse()?));
/// let engine = Engine::builder().clock(clock.clone()).build()?;
/// let acme = Context::tenant("acme")?;
/// let user = Owner::user("u1")?;
/// let monthly = RecurGrant { rollover_cap: "20".parse()?, ..RecurGrant::new(user.clone(), GrantType::Plan, "100".parse()?, Every::Months(1)) };
/// let rule = engine.execute(acme.key("plan-u1")?.request(monthly.clone()))?;
/// assert_eq!((rule.change.to_string(), rule.next_at), ("100".into(), Some("2026-02-28T00:00:00Z".parse()?)));
/// clock.set("2026-03-31T00:00:00Z".parse()?); // counted from the 31st, and 20 of the 100 were carried over
/// assert_eq!(engine.balance(&acme.account(user, "credit")?)?.available.to_string(), "120");
///
/// let never = RecurGrant { every: Every::Days(0), ..monthly };
/// let refused = engine.execute(acme.request(never)).unwrap_err();
/// assert_eq!(refused.denial().unwrap().details()["field"], "every");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RecurGrant {
    /// Who gets it.
    pub owner: Owner,
    /// The unit; if none the one of the tenant's policy, which is `credit` unless it says otherwise.
    #[serde(default)]
    pub unit: Option<Unit>,
    /// Where the credit comes from.
    #[serde(rename = "type", deserialize_with = "GrantType::read_given")]
    pub grant_type: GrantType,
    /// How much each period; greater than 0.
    pub amount: Amount,
    /// How long a period is: `{"days": n}`, `weeks`, `months` or `years`, n from 1 to 1,000.
    pub every: Every,
    /// The anchor, from whose local date and time periods are counted; now if none.
    #[serde(default)]
    pub starts_at: Option<Timestamp>,
    /// No instance begins at this instant or after it, and the last carries nothing over; later than now and than the start; for
    /// ever if none.
    #[serde(default)]
    pub ends_at: Option<Timestamp>,
    /// The time zone, by its IANA name, in which days begin; UTC if not given.
    #[serde(default)]
    pub zone: Zone,
    /// How much of what is left of a period goes on for one more; not negative, 0 if not given.
    #[serde(default)]
    pub rollover_cap: Amount,
    /// What it can pay for; anything if none.
    #[serde(default)]
    pub scope: Scope,
    /// Lower is drawn first, within a type; 0 if not given.
    #[serde(default)]
    pub priority: i32,
    /// Why, in the caller's words; at most 64 KiB together with the metadata, no U+0000.
    #[serde(default)]
    pub reason: Option<Arc<str>>,
    /// Who answers for it.
    #[serde(default)]
    pub operator: Option<Operator>,
    /// The label of compliance; kept and passed on, not read.
    #[serde(default)]
    pub policy_tag: Option<PolicyTag>,
    /// What the host notes; kept as it is, no part of what tells a repetition from another command. Nested at most 64 deep.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl RecurGrant {
    /// A rule that begins now and goes on for ever, for anything, and carries nothing over.
    #[must_use]
    pub fn new(owner: Owner, grant_type: GrantType, amount: Amount, every: Every) -> RecurGrant {
        RecurGrant {
            owner,
            unit: None,
            grant_type,
            amount,
            every,
            starts_at: None,
            ends_at: None,
            zone: Zone::UTC,
            rollover_cap: Amount::ZERO,
            scope: Scope::default(),
            priority: 0,
            reason: None,
            operator: None,
            policy_tag: None,
            metadata: None,
        }
    }
}

impl CommandParts for RecurGrant {
    fn fields(&self, fields: &mut Fields) {
        fields.owner(Field::Owner, Some(&self.owner));
        fields.text(Field::Unit, self.unit.as_ref().map(Unit::as_str));
        fields.amount(Field::Amount, Some(self.amount));
        fields.text(Field::Type, Some(self.grant_type.as_str()));
        fields.text(Field::ScopeAppId, self.scope.app_id.as_ref().map(AppId::as_str));
        fields.text(Field::ScopeTemplateId, self.scope.template_id.as_ref().map(TemplateId::as_str));
        fields.number(Field::Priority, i64::from(self.priority), 0);
        fields.text(Field::PolicyTag, self.policy_tag.as_ref().map(PolicyTag::as_str));
        fields.text(Field::Reason, self.reason.as_deref());
        fields.text(Field::Operator, self.operator.as_ref().map(Operator::as_str));
        fields.text(Field::Every, Some(&self.every.to_string()));
        fields.instant(Field::StartsAt, self.starts_at);
        fields.instant(Field::EndsAt, self.ends_at);
        fields.text(Field::Zone, (self.zone != Zone::UTC).then(|| self.zone.to_string()).as_deref());
        fields.amount(Field::RolloverCap, (!self.rollover_cap.is_zero()).then_some(self.rollover_cap));
    }

    fn check(&self, _keyed: bool) -> Result<(), Denial> {
        self.grant_type.check_given("type")?;
        shape::positive("amount", self.amount)?;
        shape::not_negative("rollover_cap", self.rollover_cap)?;
        shape::every(self.every)?;
        shape::text(self.reason.as_deref(), self.metadata.as_ref())
    }

    fn needs(&self, tenant_id: &TenantId, policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        needs.accounts.push(paying_account(tenant_id, policy, Some(&self.owner), None, self.unit.as_ref())?);
        Ok(())
    }
}

/// Stops a rule: its present instance stays until its end, and carries nothing over.
///
/// # Errors
/// `payload_invalid` for a rule that this tenant does not have, or that has ended.
///
/// # Examples
/// ```
/// use drawdown::{Context, Engine, Every, GrantType, Owner, RecurGrant, StopRule};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let daily = RecurGrant::new(Owner::user("u1")?, GrantType::Plan, "5".parse()?, Every::Days(1));
/// let rule = engine.execute(acme.request(daily))?;
/// let stopped = engine.execute(acme.request(StopRule::new(rule.rule_id, "ops", "plan cancelled")?))?;
/// assert_eq!(stopped.balance_after.to_string(), "5");
/// let again = engine.execute(acme.request(StopRule::new(rule.rule_id, "ops", "plan cancelled")?)).unwrap_err();
/// assert_eq!(again.denial().unwrap().details()["field"], "rule_id");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StopRule {
    /// The rule.
    pub rule_id: RuleId,
    /// Who answers for it.
    pub operator: Operator,
    /// Why, in the caller's words; at most 64 KiB together with the metadata, no U+0000.
    pub reason: Arc<str>,
    /// What the host notes; kept as it is, no part of what tells a repetition from another command. Nested at most 64 deep.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl StopRule {
    /// Stops this rule.
    ///
    /// # Errors
    /// `payload_invalid` for an operator that is no id.
    pub fn new(rule_id: RuleId, operator: &str, reason: &str) -> Result<StopRule, Denial> {
        Ok(StopRule { rule_id, operator: Operator::new(operator)?, reason: Arc::from(reason), metadata: None })
    }
}

impl CommandParts for StopRule {
    fn fields(&self, fields: &mut Fields) {
        fields.text(Field::Operator, Some(self.operator.as_str()));
        fields.text(Field::Reason, Some(&self.reason));
        fields.text(Field::RuleId, Some(&self.rule_id.to_string()));
    }

    fn check(&self, _keyed: bool) -> Result<(), Denial> {
        shape::text(Some(&self.reason), self.metadata.as_ref())
    }

    fn needs(&self, tenant_id: &TenantId, _policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        needs.rules.push((tenant_id.clone(), self.rule_id));
        Ok(())
    }
}
