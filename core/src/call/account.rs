//! Accounts: what is there, what would be drawn, what stands in the way.

use super::declare::{asked, page};
use crate::amount::Amount;
use crate::engine::Engine;
use crate::id::{AppId, TemplateId, TenantId, Unit, UserId};
use crate::owner::{AccountKey, Owner};
use crate::risk::RiskKey;
use crate::time::Timestamp;

asked! {
    /// An account.
    OfAccount {
        /// The tenant.
        tenant_id: TenantId,
        /// Who owns it.
        owner: Owner,
        /// Its unit; if none the one of the tenant's policy.
        #[serde(default)]
        unit: Option<Unit>,
    }

    /// An account at an instant.
    OfAccountAt {
        /// The tenant.
        tenant_id: TenantId,
        /// Who owns it.
        owner: Owner,
        /// Its unit; if none the one of the tenant's policy.
        #[serde(default)]
        unit: Option<Unit>,
        /// The instant, in the past or to come; now if none.
        #[serde(default)]
        at: Option<Timestamp>,
    }

    /// An account, and who acts.
    OfAccountBy {
        /// The tenant.
        tenant_id: TenantId,
        /// Who owns it.
        owner: Owner,
        /// Its unit; if none the one of the tenant's policy.
        #[serde(default)]
        unit: Option<Unit>,
        /// The user who acts.
        #[serde(default)]
        user_id: Option<UserId>,
    }

    /// An amount to be drawn from an account.
    ExplainFor {
        /// The tenant.
        tenant_id: TenantId,
        /// Who owns the account.
        owner: Owner,
        /// Its unit; if none the one of the tenant's policy.
        #[serde(default)]
        unit: Option<Unit>,
        /// How much.
        amount: Amount,
        /// The app that it is for.
        #[serde(default)]
        app_id: Option<AppId>,
        /// The template that it is for.
        #[serde(default)]
        template_id: Option<TemplateId>,
    }

    /// Whose spending is counted.
    SpentBy {
        /// The tenant.
        tenant_id: TenantId,
        /// The user who acts; where nobody is named, the owner of the account that pays.
        spender: Owner,
        /// The app; if none, work for no app.
        #[serde(default)]
        app_id: Option<AppId>,
        /// The unit; if none the one of the tenant's policy.
        #[serde(default)]
        unit: Option<Unit>,
    }

    /// Accounts, in order.
    AccountsAfter {
        /// Goes on after this account.
        #[serde(default)]
        after: Option<AccountKey>,
        /// How many at most: 1 to 1,000.
        #[serde(default = "page")]
        limit: usize,
    }
}

macro_rules! names_an_account {
    ($($asked:ty),+) => {$(
        impl $asked {
            /// The account, in the unit that the tenant's policy says where none is named.
            #[must_use]
            pub fn account(&self, engine: &Engine) -> AccountKey {
                account_of(engine, &self.tenant_id, &self.owner, self.unit.as_ref())
            }
        }
    )+};
}

names_an_account!(OfAccount, OfAccountAt, OfAccountBy, ExplainFor);

impl SpentBy {
    pub(super) fn key(&self, engine: &Engine) -> RiskKey {
        let account = account_of(engine, &self.tenant_id, &self.spender, self.unit.as_ref());
        RiskKey::of_work(&account, None, self.app_id.as_ref())
    }
}

pub(super) fn account_of(engine: &Engine, tenant_id: &TenantId, owner: &Owner, unit: Option<&Unit>) -> AccountKey {
    let unit = unit.unwrap_or(&engine.policy(tenant_id).unit).clone();
    AccountKey::new(tenant_id.clone(), owner.clone(), unit)
}
