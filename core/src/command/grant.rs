//! Commands about grants.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fingerprint::{Field, Fields};
use super::{CommandParts, Metadata, paying_account, shape};
use crate::amount::Amount;
use crate::credit::{GrantType, Scope, TenantPolicy};
use crate::denial::Denial;
use crate::facts::Needs;
use crate::id::{AppId, GrantId, Operator, PolicyTag, TemplateId, TenantId, Unit};
use crate::owner::Owner;
use crate::time::Timestamp;

/// Gives credit: a grant with its own type, scope and life.
///
/// # Errors
/// `amount_invalid` unless the amount is positive and the balance stays in range; `payload_invalid` for an expiry that is
/// not after both now and the effective time; `capacity_exceeded` at 1,000 open grants.
///
/// # Examples
/// ```
/// use drawdown::{Context, Engine, GrantCredit, GrantType, Owner};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let grant = GrantCredit::new(Owner::user("u1")?, GrantType::Purchased, "100".parse()?);
/// let receipt = engine.execute(acme.key("order-1")?.request(grant.clone()))?;
/// assert_eq!(receipt.balance_after.to_string(), "100");
///
/// let nothing = GrantCredit { amount: "0".parse()?, ..grant };
/// let refused = engine.execute(acme.request(nothing)).unwrap_err();
/// assert_eq!(refused.denial().unwrap().name(), "amount_invalid");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GrantCredit {
    /// Who gets it.
    pub owner: Owner,
    /// The unit; if none the one of the tenant's policy, which is `credit` unless it says otherwise.
    #[serde(default)]
    pub unit: Option<Unit>,
    /// Where the credit comes from.
    #[serde(rename = "type", deserialize_with = "GrantType::read_given")]
    pub grant_type: GrantType,
    /// How much; greater than 0.
    pub amount: Amount,
    /// From when it can be spent; now if none, at once if it lies in the past.
    #[serde(default)]
    pub effective_at: Option<Timestamp>,
    /// Until when it can be spent, itself excluded; later than now and than `effective_at`; for ever if none.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
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

impl GrantCredit {
    /// A grant effective now, for ever, for anything.
    #[must_use]
    pub fn new(owner: Owner, grant_type: GrantType, amount: Amount) -> GrantCredit {
        GrantCredit {
            owner,
            unit: None,
            grant_type,
            amount,
            effective_at: None,
            expires_at: None,
            scope: Scope::default(),
            priority: 0,
            reason: None,
            operator: None,
            policy_tag: None,
            metadata: None,
        }
    }
}

impl CommandParts for GrantCredit {
    fn fields(&self, fields: &mut Fields) {
        fields.owner(Field::Owner, Some(&self.owner));
        fields.text(Field::Unit, self.unit.as_ref().map(Unit::as_str));
        fields.amount(Field::Amount, Some(self.amount));
        fields.text(Field::Type, Some(self.grant_type.as_str()));
        fields.instant(Field::EffectiveAt, self.effective_at);
        fields.instant(Field::ExpiresAt, self.expires_at);
        fields.text(Field::ScopeAppId, self.scope.app_id.as_ref().map(AppId::as_str));
        fields.text(Field::ScopeTemplateId, self.scope.template_id.as_ref().map(TemplateId::as_str));
        fields.number(Field::Priority, i64::from(self.priority), 0);
        fields.text(Field::PolicyTag, self.policy_tag.as_ref().map(PolicyTag::as_str));
        fields.text(Field::Reason, self.reason.as_deref());
        fields.text(Field::Operator, self.operator.as_ref().map(Operator::as_str));
    }

    fn check(&self, _keyed: bool) -> Result<(), Denial> {
        self.grant_type.check_given("type")?;
        shape::positive("amount", self.amount)?;
        shape::text(self.reason.as_deref(), self.metadata.as_ref())
    }

    fn needs(&self, tenant_id: &TenantId, policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        needs.accounts.push(paying_account(tenant_id, policy, Some(&self.owner), None, self.unit.as_ref())?);
        Ok(())
    }
}

/// Takes a grant back: the unheld rest is forfeited at once, a held part stays capturable and is forfeited when released.
///
/// # Errors
/// `grant_not_found` for an unknown or foreign id; `payload_invalid` for a grant that was voided before or has expired.
///
/// # Examples
/// ```
/// use drawdown::{Context, Engine, GrantCredit, GrantType, Owner, VoidGrant};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let granted = engine.execute(acme.request(GrantCredit::new(Owner::user("u1")?, GrantType::Trial, "5".parse()?)))?;
/// let voided = engine.execute(acme.request(VoidGrant::new(granted.grant_id, "ops", "abuse")?))?;
/// assert_eq!(voided.forfeited.to_string(), "5");
/// let again = engine.execute(acme.request(VoidGrant::new(granted.grant_id, "ops", "abuse")?)).unwrap_err();
/// assert_eq!(again.denial().unwrap().name(), "payload_invalid");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct VoidGrant {
    /// The grant.
    pub grant_id: GrantId,
    /// Who answers for it.
    pub operator: Operator,
    /// Why, in the caller's words; at most 64 KiB together with the metadata, no U+0000.
    pub reason: Arc<str>,
    /// What the host notes; kept as it is, no part of what tells a repetition from another command. Nested at most 64 deep.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl VoidGrant {
    /// Takes back this grant.
    ///
    /// # Errors
    /// `payload_invalid` for an operator that is no id.
    pub fn new(grant_id: GrantId, operator: &str, reason: &str) -> Result<VoidGrant, Denial> {
        Ok(VoidGrant { grant_id, operator: Operator::new(operator)?, reason: Arc::from(reason), metadata: None })
    }
}

impl CommandParts for VoidGrant {
    fn fields(&self, fields: &mut Fields) {
        fields.text(Field::GrantId, Some(&self.grant_id.to_string()));
        fields.text(Field::Operator, Some(self.operator.as_str()));
        fields.text(Field::Reason, Some(&self.reason));
    }

    fn check(&self, _keyed: bool) -> Result<(), Denial> {
        shape::text(Some(&self.reason), self.metadata.as_ref())
    }

    fn needs(&self, tenant_id: &TenantId, _policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        needs.grants.push((tenant_id.clone(), self.grant_id));
        Ok(())
    }
}

/// Moves the expiry of a grant to a later time, before it has come.
///
/// # Errors
/// `grant_not_found` for an unknown or foreign id; `payload_invalid` for a grant that was voided, has expired or never
/// expires, and for a time that is not later.
///
/// # Examples
/// ```
/// use drawdown::{AmendGrant, Context, Engine, GrantCredit, GrantType, Owner};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let mut grant = GrantCredit::new(Owner::user("u1")?, GrantType::Campaign, "5".parse()?);
/// grant.expires_at = Some("2100-01-01T00:00:00Z".parse()?);
/// let granted = engine.execute(acme.request(grant))?;
/// let moved = engine.execute(acme.request(AmendGrant::new(granted.grant_id, "2101-01-01T00:00:00Z".parse()?)))?;
/// assert_eq!(moved.expires_at.to_string(), "2101-01-01T00:00:00.000000Z");
/// let back = AmendGrant::new(granted.grant_id, "2100-06-01T00:00:00Z".parse()?);
/// assert_eq!(engine.execute(acme.request(back)).unwrap_err().denial().unwrap().details()["field"], "expires_at");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AmendGrant {
    /// The grant.
    pub grant_id: GrantId,
    /// The new expiry; later than the old one, which must not have come.
    pub expires_at: Timestamp,
    /// Who answers for it.
    #[serde(default)]
    pub operator: Option<Operator>,
    /// Why, in the caller's words; at most 64 KiB together with the metadata, no U+0000.
    #[serde(default)]
    pub reason: Option<Arc<str>>,
    /// What the host notes; kept as it is, no part of what tells a repetition from another command. Nested at most 64 deep.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl AmendGrant {
    /// Moves the expiry of this grant.
    #[must_use]
    pub const fn new(grant_id: GrantId, expires_at: Timestamp) -> AmendGrant {
        AmendGrant { grant_id, expires_at, operator: None, reason: None, metadata: None }
    }
}

impl CommandParts for AmendGrant {
    fn fields(&self, fields: &mut Fields) {
        fields.text(Field::GrantId, Some(&self.grant_id.to_string()));
        fields.instant(Field::ExpiresAt, Some(self.expires_at));
        fields.text(Field::Operator, self.operator.as_ref().map(Operator::as_str));
        fields.text(Field::Reason, self.reason.as_deref());
    }

    fn check(&self, _keyed: bool) -> Result<(), Denial> {
        shape::text(self.reason.as_deref(), self.metadata.as_ref())
    }

    fn needs(&self, tenant_id: &TenantId, _policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        needs.grants.push((tenant_id.clone(), self.grant_id));
        Ok(())
    }
}

/// Corrects a balance by hand: plus makes a grant of type `adjustment`, minus draws in the normal order, never below zero.
///
/// # Errors
/// `amount_invalid` for nothing; `insufficient_balance` for a minus that the unscoped grants do not cover.
///
/// # Examples
/// ```
/// use drawdown::{Adjust, Context, Engine, Owner};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let plus = Adjust::new(Owner::user("u1")?, "10".parse()?, "ops", "goodwill")?;
/// assert_eq!(engine.execute(acme.key("t-1")?.request(plus))?.change.to_string(), "10");
/// let minus = Adjust::new(Owner::user("u1")?, "-11".parse()?, "ops", "mistake")?;
/// let refused = engine.execute(acme.key("t-2")?.request(minus)).unwrap_err();
/// assert_eq!(refused.denial().unwrap().name(), "insufficient_balance");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Adjust {
    /// Whose balance.
    pub owner: Owner,
    /// The unit; if none the one of the tenant's policy, which is `credit` unless it says otherwise.
    #[serde(default)]
    pub unit: Option<Unit>,
    /// What is added, or taken when negative; not 0.
    pub amount: Amount,
    /// Who answers for it.
    pub operator: Operator,
    /// Why, in the caller's words; at most 64 KiB together with the metadata, no U+0000.
    pub reason: Arc<str>,
    /// What the host notes; kept as it is, no part of what tells a repetition from another command. Nested at most 64 deep.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl Adjust {
    /// Corrects a balance by this much.
    ///
    /// # Errors
    /// `payload_invalid` for an operator that is no id.
    pub fn new(owner: Owner, amount: Amount, operator: &str, reason: &str) -> Result<Adjust, Denial> {
        Ok(Adjust { owner, unit: None, amount, operator: Operator::new(operator)?, reason: Arc::from(reason), metadata: None })
    }
}

impl CommandParts for Adjust {
    fn fields(&self, fields: &mut Fields) {
        fields.owner(Field::Owner, Some(&self.owner));
        fields.text(Field::Unit, self.unit.as_ref().map(Unit::as_str));
        fields.amount(Field::Amount, Some(self.amount));
        fields.text(Field::Operator, Some(self.operator.as_str()));
        fields.text(Field::Reason, Some(&self.reason));
    }

    fn check(&self, _keyed: bool) -> Result<(), Denial> {
        if self.amount.is_zero() || self.amount == Amount::MIN {
            return Err(Denial::amount("amount", self.amount, "an amount other than 0"));
        }
        shape::text(Some(&self.reason), self.metadata.as_ref())
    }

    fn needs(&self, tenant_id: &TenantId, policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        needs.accounts.push(paying_account(tenant_id, policy, Some(&self.owner), None, self.unit.as_ref())?);
        Ok(())
    }
}
