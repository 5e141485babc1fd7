//! The command that erases text about people.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fingerprint::{Field, Fields};
use super::{CommandParts, paying_account, shape};
use crate::credit::TenantPolicy;
use crate::denial::Denial;
use crate::facts::Needs;
use crate::id::{Operator, TenantId, Unit, UserId};
use crate::owner::Owner;

/// Erases the text about people (user, operator, reason, metadata) of at most 1,000 entries of an account, from `after_seq` on.
///
/// The hash of what is erased stays, so the chain still verifies; amounts, times and ids stay too. The copies go with it: the reason
/// and metadata of the grants that the entries made, the user of the holds, the actor of the operations. What belongs to an open
/// hold stays until the hold has ended. [`crate::Engine::erase_text`] repeats the command to the end of the account.
///
/// # Errors
/// `account_not_found`; `payload_too_large` for a reason above 64 KiB.
///
/// # Examples
/// ```
/// use drawdown::{Charge, Context, Engine, EraseText, GrantCredit, GrantType, Owner};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let user = Owner::user("u1")?;
/// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
/// let charge = Charge { reason: Some("a picture of Ann".into()), ..Charge::new(user.clone(), "4".parse()?) };
/// engine.execute(acme.request(charge))?;
/// let erased = engine.execute(acme.request(EraseText::new(user, "ops", "Ann asked for it")?))?;
/// assert_eq!((erased.erased, erased.next_seq), (1, None));
/// assert!(engine.verify()?.is_clean());
/// let unknown = EraseText::new(Owner::user("u2")?, "ops", "asked for")?;
/// assert_eq!(engine.execute(acme.request(unknown)).unwrap_err().denial().unwrap().name(), "account_not_found");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EraseText {
    /// The owner of the account.
    pub owner: Owner,
    /// The unit; if none the one of the tenant's policy, which is `credit` unless it says otherwise.
    #[serde(default)]
    pub unit: Option<Unit>,
    /// Only entries that name this user.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// From the entry after this sequence number on; 0 for the first.
    #[serde(default)]
    pub after_seq: u64,
    /// The person who answers for it.
    pub operator: Operator,
    /// Why. It is kept with the operation, and is not what is erased.
    pub reason: Arc<str>,
}

impl EraseText {
    /// Erases the text of an account from its first entry on.
    ///
    /// # Errors
    /// `payload_invalid` for an operator that is no id.
    pub fn new(owner: Owner, operator: &str, reason: &str) -> Result<EraseText, Denial> {
        let operator = Operator::new(operator)?;
        Ok(EraseText { owner, unit: None, user_id: None, after_seq: 0, operator, reason: Arc::from(reason) })
    }
}

impl CommandParts for EraseText {
    fn fields(&self, fields: &mut Fields) {
        fields.owner(Field::Owner, Some(&self.owner));
        fields.text(Field::Unit, self.unit.as_ref().map(Unit::as_str));
        fields.text(Field::UserId, self.user_id.as_ref().map(UserId::as_str));
        fields.text(Field::Reason, Some(&self.reason));
        fields.text(Field::Operator, Some(self.operator.as_str()));
        fields.version(Field::AfterSeq, (self.after_seq > 0).then_some(self.after_seq));
    }

    fn check(&self, _keyed: bool) -> Result<(), Denial> {
        shape::text(Some(&self.reason), None)
    }

    fn needs(&self, tenant_id: &TenantId, policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        let account = paying_account(tenant_id, policy, Some(&self.owner), None, self.unit.as_ref())?;
        needs.texts.push((account.clone(), self.after_seq));
        needs.accounts.push(account);
        Ok(())
    }
}
