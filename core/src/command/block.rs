//! Commands that stop all spending of a tenant, a user or an account, and allow it again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fingerprint::{Field, Fields};
use super::{CommandParts, Metadata, paying_account, shape};
use crate::credit::TenantPolicy;
use crate::denial::Denial;
use crate::facts::Needs;
use crate::id::{Operator, TenantId, Unit, UserId};
use crate::owner::{AccountKey, Owner, Subject};

/// What can be blocked. It is always said in so many words: no field that is forgotten blocks a whole tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BlockTarget {
    /// Nothing can be spent in the tenant.
    Tenant,
    /// The user can neither pay nor act.
    User(UserId),
    /// Nothing can be spent from this account.
    Account(BlockedAccount),
}

/// The account that is blocked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BlockedAccount {
    /// Its owner.
    pub owner: Owner,
    /// Its unit; if none the one of the tenant's policy, which is `credit` unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
}

impl BlockedAccount {
    /// This account.
    #[must_use]
    pub fn of(account: &AccountKey) -> BlockedAccount {
        BlockedAccount { owner: account.owner.clone(), unit: Some(account.unit.clone()) }
    }
}

impl BlockTarget {
    fn fields(&self, fields: &mut Fields) {
        match self {
            BlockTarget::Tenant => fields.text(Field::Target, Some("tenant")),
            BlockTarget::User(user_id) => {
                fields.text(Field::UserId, Some(user_id.as_str()));
                fields.text(Field::Target, Some("user"));
            }
            BlockTarget::Account(account) => {
                fields.owner(Field::Owner, Some(&account.owner));
                fields.text(Field::Unit, account.unit.as_ref().map(Unit::as_str));
                fields.text(Field::Target, Some("account"));
            }
        }
    }

    fn needs(&self, tenant_id: &TenantId, policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        match self {
            BlockTarget::Tenant => needs.subjects.push((tenant_id.clone(), Subject::Tenant)),
            BlockTarget::User(user_id) => needs.subjects.push((tenant_id.clone(), Subject::User(user_id.clone()))),
            BlockTarget::Account(account) => {
                needs.accounts.push(paying_account(tenant_id, policy, Some(&account.owner), None, account.unit.as_ref())?);
            }
        }
        Ok(())
    }
}

macro_rules! block_command {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// What: `"tenant"`, `{"user": "u1"}` or `{"account": {"owner": "user:u1", "unit": "credit"}}`.
            pub target: BlockTarget,
            /// Who answers for it.
            pub operator: Operator,
            /// Why, in the caller's words; at most 64 KiB together with the metadata, no U+0000.
            pub reason: Arc<str>,
            /// What the host notes; kept as it is, no part of what tells a repetition from another command. Nested at most 64 deep.
            #[serde(default)]
            pub metadata: Option<Metadata>,
        }

        impl $name {
            /// Of this target.
            ///
            /// # Errors
            /// `payload_invalid` for an operator that is no id.
            pub fn new(target: BlockTarget, operator: &str, reason: &str) -> Result<$name, Denial> {
                Ok($name { target, operator: Operator::new(operator)?, reason: Arc::from(reason), metadata: None })
            }
        }

        impl CommandParts for $name {
            fn fields(&self, fields: &mut Fields) {
                self.target.fields(fields);
                fields.text(Field::Reason, Some(&self.reason));
                fields.text(Field::Operator, Some(self.operator.as_str()));
            }

            fn check(&self, _keyed: bool) -> Result<(), Denial> {
                shape::text(Some(&self.reason), self.metadata.as_ref())
            }

            fn needs(&self, tenant_id: &TenantId, policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
                self.target.needs(tenant_id, policy, needs)
            }
        }
    };
}

block_command! {
    /// Stops all spending of a tenant, a user or an account: charges and holds are denied as `blocked` until it is unblocked.
    ///
    /// What was held stays held, and can be captured, above the hold too, or released: the work is done. Refunds, grants and
    /// what operators do go on. What is blocked already stays blocked, and the answer says that nothing changed.
    ///
    /// # Errors
    /// `account_not_found` for an account that never had an entry.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Block, BlockTarget, Charge, Context, Engine, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let user = Owner::user("u1")?;
    /// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
    /// let block = Block::new(BlockTarget::User("u1".parse()?), "ops", "a stolen card")?;
    /// assert!(engine.execute(acme.request(block.clone()))?.changed);
    /// assert!(!engine.execute(acme.request(block))?.changed);
    /// let refused = engine.execute(acme.request(Charge::new(user, "1".parse()?))).unwrap_err();
    /// assert_eq!(refused.denial().unwrap().name(), "blocked");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Block
}

block_command! {
    /// Allows spending again. What is not blocked stays so, and the answer says that nothing changed.
    ///
    /// # Errors
    /// `account_not_found` for an account that never had an entry.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Block, BlockTarget, Charge, Context, Engine, GrantCredit, GrantType, Owner, Unblock};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let user = Owner::user("u1")?;
    /// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
    /// engine.execute(acme.request(Block::new(BlockTarget::Tenant, "ops", "unpaid")?))?;
    /// assert!(engine.execute(acme.request(Charge::new(user.clone(), "1".parse()?))).is_err());
    /// assert!(engine.execute(acme.request(Unblock::new(BlockTarget::Tenant, "ops", "paid")?))?.changed);
    /// assert!(engine.execute(acme.request(Charge::new(user, "1".parse()?))).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Unblock
}
