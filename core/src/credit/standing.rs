//! What is agreed about an account besides its grants.

use serde::{Deserialize, Serialize};

use crate::amount::Amount;

/// What is agreed about an account besides its grants, and what follows from it. Rarely anything: then all is default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// How far the available balance may go below zero; 0 by default.
    pub credit_limit: Amount,
    /// What was drawn on the credit limit and not repaid.
    pub debt: Debt,
    /// When the balance counts as low; never by default.
    pub low_balance: Option<LowBalance>,
    /// Where the balance stood after the last operation.
    pub band: Band,
    /// Nothing can be spent from it.
    pub is_blocked: bool,
    /// Rules that make recurring grants in it.
    pub rules: u32,
}

impl Standing {
    /// What can still be drawn on the credit limit; nothing when it was lowered below the debt.
    #[must_use]
    pub fn credit_left(&self) -> Amount {
        let left = self.credit_limit.checked_sub(self.debt.owed).and_then(|left| left.checked_sub(self.debt.held));
        left.unwrap_or(Amount::ZERO).max(Amount::ZERO)
    }

    /// What can be spent of this balance until it is at minus the credit limit; of grants too, where the limit was lowered below the
    /// debt that stands beside them.
    #[must_use]
    pub fn spendable(&self, available: Amount) -> Amount {
        available.checked_add(self.credit_limit).unwrap_or(Amount::MAX).max(Amount::ZERO)
    }

    /// What can be owed at most: the credit limit, or the debt where it is more.
    #[must_use]
    pub fn reserved(&self) -> Amount {
        let debt = self.debt.owed.checked_add(self.debt.held).unwrap_or(Amount::MAX);
        self.credit_limit.max(debt)
    }

    /// What of an amount that is granted now repays.
    pub(crate) fn repaid_by(&self, amount: Amount) -> Amount {
        self.debt.owed.min(amount)
    }

    /// What is repaid before anything can be drawn on the credit limit again, which was lowered below the debt.
    pub(crate) fn repaid_in_vain(&self) -> Amount {
        let debt = self.debt.owed.checked_add(self.debt.held).unwrap_or(Amount::MAX);
        let above = debt.checked_sub(self.credit_limit).unwrap_or(Amount::MAX).max(Amount::ZERO);
        self.repaid_by(above)
    }

    /// The same, with so much repaid.
    pub(crate) fn after_repaying(self, repaid: Amount) -> Standing {
        let owed = self.debt.owed.checked_sub(repaid).unwrap_or(Amount::ZERO);
        Standing { debt: Debt { owed, ..self.debt }, ..self }
    }

    /// Where a balance of this much stands, coming from the present band: between the two thresholds it stays there.
    #[must_use]
    pub fn band_at(&self, available: Amount) -> Band {
        match self.low_balance {
            Some(low) if available < low.below => Band::Low,
            Some(low) if available < low.recovered_from => self.band,
            _ => Band::Normal,
        }
    }
}

/// What was drawn on a credit limit. The available balance is what remains in effective grants, less both parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Debt {
    /// Consumed and not repaid: what is granted next repays it first.
    pub owed: Amount,
    /// Kept by open holds.
    pub held: Amount,
}

/// When a balance counts as low, and when it has recovered. The distance of the two keeps a balance that moves around one
/// number from being announced again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LowBalance {
    /// Below this the available balance is low.
    pub below: Amount,
    /// From this on it has recovered; not less than `below`.
    pub recovered_from: Amount,
}

named_enum! {
    /// Where a balance stands by its threshold.
    #[derive(Default)]
    Band {
        /// Not low, or there is no threshold.
        #[default]
        Normal = "normal",
        /// It went below the threshold and has not recovered.
        Low = "low",
    }
}
