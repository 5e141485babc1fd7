//! Commands about what is agreed about an account besides its grants.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fingerprint::{Field, Fields};
use super::{CommandParts, Metadata, paying_account, shape};
use crate::amount::Amount;
use crate::credit::TenantPolicy;
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
