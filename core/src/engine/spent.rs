//! What spenders have used by the risk controls.

use super::Engine;
use crate::error::Failure;
use crate::facts::Needs;
use crate::risk::{RiskKey, Spent, spent};

impl Engine {
    /// What a spender has charged and holds in the present day, as the risk controls of the tenant count it; nothing where they
    /// count nothing.
    ///
    /// # Errors
    /// [`crate::Error`] when the store cannot be read.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Charge, Context, Engine, GrantCredit, GrantType, Owner, Policies, RiskControls, RiskKey, RiskPolicy, TenantPolicy};
    /// let controls = RiskControls { daily_cap: Some("10".parse()?), ..RiskControls::default() };
    /// let policy = TenantPolicy { risk: RiskPolicy::new(controls)?, ..TenantPolicy::default() };
    /// let engine = Engine::builder().policies(Policies::new(policy)).build()?;
    /// let acme = Context::tenant("acme")?;
    /// let user = Owner::user("u1")?;
    /// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "100".parse()?)))?;
    /// engine.execute(acme.request(Charge::new(user.clone(), "4".parse()?)))?;
    /// let spent = engine.spent(&RiskKey::of_work(&acme.account(user, "credit")?, None, None))?;
    /// assert_eq!((spent.used.to_string(), spent.count), ("4".into(), 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spent(&self, key: &RiskKey) -> Result<Spent, Failure> {
        let needs = Needs { risk: vec![key.clone()], ..Needs::default() };
        let facts = self.facts(needs)?;
        Ok(spent(&facts, self.policy(&key.tenant_id), key))
    }
}
