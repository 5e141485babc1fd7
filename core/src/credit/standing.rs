//! What is agreed about an account besides its grants.

use serde::{Deserialize, Serialize};

use crate::amount::Amount;

/// What is agreed about an account besides its grants, and what follows from it. Rarely anything: then all is default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// What was drawn on a credit limit. The available balance is what remains in effective grants, less both parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debt {
    /// Consumed and not repaid: what is granted next repays it first.
    pub owed: Amount,
    /// Kept by open holds.
    pub held: Amount,
}

/// When a balance counts as low, and when it has recovered. The distance of the two keeps a balance that moves around one
/// number from being announced again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
