//! Booking what has become due, for accounts that nobody writes to.

use serde::Serialize;

use super::Engine;
use super::reads::ask;
use crate::command::{Context, Settle};
use crate::error::{Error, Failure};
use crate::owner::AccountKey;
use crate::store::{Answer, Query};
use crate::time::Timestamp;

/// How many accounts are looked up at once.
const PAGE: usize = 1_000;

/// What a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SweepReport {
    /// Accounts that were settled.
    pub accounts: usize,
    /// Entries that were booked.
    pub entries: usize,
    /// Accounts whose own books cannot be settled, and why; they count towards the limit. The others go on.
    pub failed: Vec<(AccountKey, String)>,
    /// Whether other accounts are due still.
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
    /// [`Failure`] when the store cannot be read or written; what was settled before stays so.
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
        // One instant for all of it: what becomes due meanwhile is left to the next sweep, so that this one ends.
        let now = self.now();
        let mut report = SweepReport::default();
        let mut before: Option<AccountKey> = None;
        loop {
            let swept = report.accounts + report.failed.len();
            let due = self.due(now, &report, limit.saturating_sub(swept).clamp(1, PAGE))?;
            report.more_due = !due.is_empty();
            // Settled and still the longest due: the clock was set back meanwhile.
            let stuck = before.is_some() && before.as_ref() == due.first();
            if due.is_empty() || swept >= limit || stuck {
                return Ok(report);
            }
            before = due.first().cloned();
            let answers = self.execute_many(due.iter().map(settle_command).collect());
            for (account, answer) in due.into_iter().zip(answers) {
                match answer {
                    Ok(receipt) => {
                        report.accounts += 1;
                        report.entries += receipt.entries().len();
                    }
                    Err(Failure::Failed(error @ (Error::Corrupt(_) | Error::ClockBehind { .. }))) => {
                        report.failed.push((account, error.to_string()));
                    }
                    Err(failure) => return Err(failure),
                }
            }
        }
    }

    /// The accounts that are due, without those that failed: they are due for as long as they are not mended.
    fn due(&self, now: Timestamp, report: &SweepReport, limit: usize) -> Result<Vec<AccountKey>, Failure> {
        let mut due = ask!(self, DueAccounts, Query::DueAccounts(now, limit.saturating_add(report.failed.len())))?;
        due.retain(|account| report.failed.iter().all(|(failed, _)| failed != account));
        due.truncate(limit);
        Ok(due)
    }
}

fn settle_command(account: &AccountKey) -> crate::command::Command {
    let context = Context::of(account.tenant_id.clone());
    context.request(Settle { owner: account.owner.clone(), unit: Some(account.unit.clone()) }).into_command()
}
