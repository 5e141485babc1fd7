//! Commands about what is agreed about an account besides its grants.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fingerprint::{Field, Fields};
use super::{CommandParts, Metadata, paying_account, shape};
use crate::amount::Amount;
use crate::credit::{LowBalance, TenantPolicy};
use crate::denial::Denial;
use crate::facts::Needs;
use crate::id::{Operator, TenantId, Unit};
use crate::owner::Owner;

/// Sets how far the available balance may go below zero. What is granted next repays the debt first.
///
/// A limit below the present debt only stops further drawing.
///
/// # Errors
/// `amount_invalid` for a limit below 0, or one that with all that was given to the account is out of range.
///
/// # Examples
/// ```
/// use drawdown::{Charge, Context, Engine, GrantCredit, GrantType, Owner, SetCreditLimit};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let user = Owner::user("u1")?;
/// engine.execute(acme.request(SetCreditLimit::new(user.clone(), "5".parse()?, "ops", "a good customer")?))?;
/// let charged = engine.execute(acme.request(Charge::new(user.clone(), "4".parse()?)))?;
/// assert_eq!(charged.balance_after.to_string(), "-4");
/// let refused = engine.execute(acme.request(Charge::new(user.clone(), "2".parse()?))).unwrap_err();
/// assert_eq!(refused.denial().unwrap().details()["credit_left"], "1");
/// let granted = engine.execute(acme.request(GrantCredit::new(user, GrantType::Purchased, "10".parse()?)))?;
/// assert_eq!((granted.repaid.to_string(), granted.balance_after.to_string()), ("4".into(), "6".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SetCreditLimit {
    /// Whose balance.
    pub owner: Owner,
    /// The unit; if none the one of the tenant's policy, which is `credit` unless it says otherwise.
    #[serde(default)]
    pub unit: Option<Unit>,
    /// How far the balance may go below zero; 0 or more.
    pub credit_limit: Amount,
    /// Who answers for it.
    pub operator: Operator,
    /// Why, in the caller's words; at most 64 KiB together with the metadata, no U+0000.
    pub reason: Arc<str>,
    /// What the host notes; kept as it is, no part of what tells a repetition from another command. Nested at most 64 deep.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl SetCreditLimit {
    /// Lets the balance go down to minus this much.
    ///
    /// # Errors
    /// `payload_invalid` for an operator that is no id.
    pub fn new(owner: Owner, credit_limit: Amount, operator: &str, reason: &str) -> Result<SetCreditLimit, Denial> {
        let operator = Operator::new(operator)?;
        Ok(SetCreditLimit { owner, unit: None, credit_limit, operator, reason: Arc::from(reason), metadata: None })
    }
}

impl CommandParts for SetCreditLimit {
    fn fields(&self, fields: &mut Fields) {
        fields.owner(Field::Owner, Some(&self.owner));
        fields.text(Field::Unit, self.unit.as_ref().map(Unit::as_str));
        fields.text(Field::Reason, Some(&self.reason));
        fields.text(Field::Operator, Some(self.operator.as_str()));
        fields.amount(Field::CreditLimit, Some(self.credit_limit));
    }

    fn check(&self, _keyed: bool) -> Result<(), Denial> {
        shape::not_negative("credit_limit", self.credit_limit)?;
        shape::text(Some(&self.reason), self.metadata.as_ref())
    }

    fn needs(&self, tenant_id: &TenantId, policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        needs.accounts.push(paying_account(tenant_id, policy, Some(&self.owner), None, self.unit.as_ref())?);
        Ok(())
    }
}

/// Sets when the balance counts as low, and when it has recovered. The operation with which it does so tells the band that the
/// balance went to: once for each crossing, in its receipt and in the feed.
///
/// A balance that crosses by the passing of time alone is told of by the next command or sweep.
///
/// # Errors
/// `amount_invalid` when it recovers below where it is low.
///
/// # Examples
/// ```
/// use drawdown::{Band, Charge, Context, Engine, GrantCredit, GrantType, LowBalance, Owner, SetLowBalance};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let user = Owner::user("u1")?;
/// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
/// let low = LowBalance { below: "5".parse()?, recovered_from: "8".parse()? };
/// engine.execute(acme.request(SetLowBalance::new(user.clone(), Some(low), "ops")?))?;
/// let charge = |amount: &str| Ok::<_, drawdown::Denial>(acme.request(Charge::new(user.clone(), amount.parse()?)));
/// assert_eq!(engine.execute(charge("6")?)?.band, Some(Band::Low));
/// assert_eq!(engine.execute(charge("1")?)?.band, None); // it is low already
/// let upside_down = LowBalance { below: "5".parse()?, recovered_from: "4".parse()? };
/// let refused = engine.execute(acme.request(SetLowBalance::new(user.clone(), Some(upside_down), "ops")?)).unwrap_err();
/// assert_eq!(refused.denial().unwrap().name(), "amount_invalid");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SetLowBalance {
    /// Whose balance.
    pub owner: Owner,
    /// The unit; if none the one of the tenant's policy, which is `credit` unless it says otherwise.
    #[serde(default)]
    pub unit: Option<Unit>,
    /// Below what it is low, and from what on it has recovered; never low if none.
    #[serde(default)]
    pub low_balance: Option<LowBalance>,
    /// Who answers for it.
    pub operator: Operator,
    /// Why, in the caller's words; at most 64 KiB together with the metadata, no U+0000.
    #[serde(default)]
    pub reason: Option<Arc<str>>,
    /// What the host notes; kept as it is, no part of what tells a repetition from another command. Nested at most 64 deep.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl SetLowBalance {
    /// Sets when the balance counts as low.
    ///
    /// # Errors
    /// `payload_invalid` for an operator that is no id.
    pub fn new(owner: Owner, low_balance: Option<LowBalance>, operator: &str) -> Result<SetLowBalance, Denial> {
        let operator = Operator::new(operator)?;
        Ok(SetLowBalance { owner, unit: None, low_balance, operator, reason: None, metadata: None })
    }
}

impl CommandParts for SetLowBalance {
    fn fields(&self, fields: &mut Fields) {
        fields.owner(Field::Owner, Some(&self.owner));
        fields.text(Field::Unit, self.unit.as_ref().map(Unit::as_str));
        fields.text(Field::Reason, self.reason.as_deref());
        fields.text(Field::Operator, Some(self.operator.as_str()));
        fields.amount(Field::Below, self.low_balance.map(|low| low.below));
        fields.amount(Field::RecoveredFrom, self.low_balance.map(|low| low.recovered_from));
    }

    fn check(&self, _keyed: bool) -> Result<(), Denial> {
        if let Some(low) = self.low_balance.filter(|low| low.recovered_from < low.below) {
            let allowed = format!("an amount of {} or more: what `below` says", low.below);
            return Err(Denial::amount("low_balance.recovered_from", low.recovered_from, &allowed));
        }
        shape::text(self.reason.as_deref(), self.metadata.as_ref())
    }

    fn needs(&self, tenant_id: &TenantId, policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        needs.accounts.push(paying_account(tenant_id, policy, Some(&self.owner), None, self.unit.as_ref())?);
        Ok(())
    }
}
