//! Booking what has become due, for accounts that nobody writes to.

use serde::Serialize;

use super::Engine;
use super::reads::ask;
use crate::command::{Context, Settle};
use crate::error::{Error, Failure};
use crate::owner::AccountKey;
use crate::store::{Answer, Query};

/// How many accounts are looked up at once.
const PAGE: usize = 1_000;

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SweepReport {
    /// Accounts that were settled.
    pub accounts: usize,
    /// Entries that were booked.
    pub entries: usize,
    /// Whether accounts are due still.
    pub more_due: bool,
}

impl Engine {
    /// Books what has become due in at most `limit` accounts, the longest due first. With a limit of 0 it only says whether
    /// something is due.
    ///
    /// No balance depends on it: reads settle by themselves, and so does every command. It makes entries of what has
    /// become due in accounts that nobody writes to.
    ///
    /// # Errors
    /// [`Failure`] of the first account that could not be settled; those before it are.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use drawdown::{Context, Engine, GrantCredit, GrantType, ManualClock, Owner};
    /// let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse()?));
    /// let engine = Engine::builder().clock(clock.clone()).build()?;
    /// let mut trial = GrantCredit::new(Owner::user("u1")?, GrantType::Trial, "10".parse()?);
    /// trial.expires_at = Some("2026-01-08T00:00:00Z".parse()?);
    /// engine.execute(Context::tenant("acme")?.request(trial))?;
    /// assert_eq!(engine.sweep(100)?.entries, 0);
    /// clock.set("2026-01-08T00:00:00Z".parse()?);
    /// assert!(engine.sweep(0)?.more_due);
    /// assert_eq!(engine.sweep(100)?.entries, 1);
    /// assert!(!engine.sweep(100)?.more_due);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sweep(&self, limit: usize) -> Result<SweepReport, Failure> {
        let mut report = SweepReport::default();
        while report.accounts < limit {
            let page = (limit - report.accounts).min(PAGE);
            let due = self.due(page)?;
            if due.is_empty() {
                return Ok(report);
            }
            let commands = due.iter().map(settle_command).collect();
            for answer in self.execute_many(commands) {
                report.accounts += 1;
                report.entries += answer?.entries().len();
            }
        }
        report.more_due = !self.due(1)?.is_empty();
        Ok(report)
    }

    fn due(&self, limit: usize) -> Result<Vec<AccountKey>, Failure> {
        ask!(self, DueAccounts, Query::DueAccounts(self.now(), limit))
    }
}

fn settle_command(account: &AccountKey) -> crate::command::Command {
    let context = Context { tenant_id: account.tenant_id.clone(), idempotency_key: None, actor: None, request_id: None };
    context.request(Settle { owner: account.owner.clone(), unit: Some(account.unit.clone()) }).into_command()
}
