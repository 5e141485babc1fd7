//! Upkeep: what keeps the books in order, and says whether they are.

use super::declare::{answered, asked, page};
use crate::engine::SweepReport;
use crate::id::TenantId;
use crate::ledger::Checkpoint;
use crate::owner::AccountKey;

asked! {
    /// Nothing has to be said.
    NoFields {}

    /// A tenant.
    OfTenant {
        /// The tenant.
        tenant_id: TenantId,
    }

    /// A checkpoint.
    VerifyFrom {
        /// As it was taken.
        checkpoint: Checkpoint,
    }

    /// How much is done at once.
    UpTo {
        /// In how many accounts at most.
        #[serde(default = "page")]
        limit: usize,
    }

    /// How much is done at once, and from where.
    UpToFrom {
        /// After this position: that of the last report, 0 at the beginning.
        #[serde(default)]
        after: u64,
        /// How many operations are looked at, at most.
        #[serde(default = "page")]
        limit: usize,
    }
}

answered! {
    /// What a sweep did.
    SweepView {
        /// Accounts that were settled.
        accounts: usize,
        /// Entries that were booked.
        entries: usize,
        /// Accounts whose own books cannot be settled; they count towards the limit.
        failed: Vec<FailedAccount>,
        /// Whether other accounts are due still.
        more_due: bool,
    }

    /// An account whose own books cannot be settled.
    FailedAccount {
        /// The account.
        account: AccountKey,
        /// Why.
        message: String,
    }
}

impl SweepView {
    pub(super) fn of(report: SweepReport) -> SweepView {
        let SweepReport { accounts, entries, failed, more_due } = report;
        let failed = failed.into_iter().map(|(account, message)| FailedAccount { account, message }).collect();
        SweepView { accounts, entries, failed, more_due }
    }
}
