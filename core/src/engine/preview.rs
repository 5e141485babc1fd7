//! What a command would do.

use super::job::late;
use super::refusals::{Kept, Outbox, Refusals};
use super::{Engine, typed};
use crate::command::{Operate, Request};
use crate::error::Failure;

impl Engine {
    /// Decides a command as it would be decided now, and commits nothing: the receipt, or the denial, that it would be
    /// answered with. The ids in it are of no use: the command gets others when it is executed, and nothing is kept in the audit.
    ///
    /// It locks nothing and waits for no writer. Whoever executes the command later may find the books changed.
    ///
    /// # Errors
    /// As [`Engine::execute`].
    ///
    /// # Examples
    /// ```
    /// use drawdown::{AccountKey, Charge, Context, Engine, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let user = Owner::user("u1")?;
    /// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
    /// assert_eq!(engine.preview(acme.request(Charge::new(user.clone(), "4".parse()?)))?.balance_after.to_string(), "6");
    /// assert!(engine.preview(acme.request(Charge::new(user.clone(), "11".parse()?))).is_err());
    /// let account = AccountKey::new("acme".parse()?, user, "credit".parse()?);
    /// assert_eq!(engine.balance(&account)?.available.to_string(), "10");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn preview<B: Operate>(&self, request: Request<B>) -> Result<B::Receipt, Failure> {
        let prepared = self.prepare(request.into_command())?;
        if prepared.is_late(self.now()) {
            return Err(late().into());
        }
        let mut facts = self.facts_of(&prepared)?;
        let refusals = Refusals::default();
        let mut outbox = Outbox::new(&refusals, false, 1, Kept::default());
        typed::<B>(&prepared.decide(&mut facts, None, &mut outbox, true)?)
    }
}
