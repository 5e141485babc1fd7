//! Taking a checkpoint, and finding one again.

use std::sync::Arc;

use super::Engine;
use super::reads::ask;
use crate::error::{Error, Failure};
use crate::ledger::checkpoint::HeadSum;
use crate::ledger::{AccountHead, Checkpoint, Fault, FaultKind, VerifyReport};
use crate::map::Map;
use crate::owner::AccountKey;
use crate::store::{Answer, Query};

/// Heads that are read at once.
const HEADS_A_READ: usize = 256;

impl Engine {
    /// Takes a checkpoint: the heads of all accounts of all tenants as of the last operation of the feed, in one digest. It is
    /// exact although commands go on meanwhile: what they book comes after it. It takes time in proportion to the accounts.
    ///
    /// Keep it where nobody who can write the books can change it. See [`Engine::verify_from`].
    ///
    /// # Errors
    /// [`Error`] when the store cannot be read.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Charge, Context, Engine, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let user = Owner::user("u1")?;
    /// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
    /// let checkpoint = engine.checkpoint()?;
    /// println!("{checkpoint}"); // to be signed, and kept elsewhere
    /// engine.execute(acme.request(Charge::new(user, "4".parse()?)))?;
    /// let report = engine.verify_from(&checkpoint)?;
    /// assert!(report.is_clean());
    /// assert_eq!((report.entries, report.uncovered_entries), (1, 1)); // the charge
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn checkpoint(&self) -> Result<Checkpoint, Failure> {
        let position = ask!(self, LastPosition, Query::LastPosition)?;
        let mut sum = HeadSum::default();
        let mut after = None;
        loop {
            let heads = self.heads(position, after)?;
            heads.iter().for_each(|head| sum.add(head));
            match heads.last().filter(|_| heads.len() == HEADS_A_READ) {
                Some(last) => after = Some((*last.account).clone()),
                None => return Ok(sum.checkpoint(position, self.now())),
            }
        }
    }

    fn heads(&self, position: u64, after: Option<AccountKey>) -> Result<Vec<AccountHead>, Failure> {
        ask!(self, HeadsAt, Query::HeadsAt { position, after, limit: HEADS_A_READ })
    }
}

/// A checkpoint that is looked for, page by page of accounts, while these are verified.
pub(super) struct Search<'a> {
    checkpoint: &'a Checkpoint,
    sum: HeadSum,
    /// A page of heads could not be read.
    unreadable: bool,
}

impl<'a> Search<'a> {
    /// # Errors
    /// `payload_invalid` for a version that is not known.
    pub(super) fn new(checkpoint: &'a Checkpoint) -> Result<Search<'a>, Failure> {
        checkpoint.check()?;
        Ok(Search { checkpoint, sum: HeadSum::default(), unreadable: false })
    }

    /// The heads, as of the checkpoint, of a page of accounts that are listed one after the other.
    pub(super) fn heads(
        &mut self,
        engine: &Engine,
        after: Option<AccountKey>,
        accounts: &[AccountKey],
        report: &mut VerifyReport,
    ) -> Result<Map<Arc<AccountKey>, AccountHead>, Failure> {
        let mut found = Map::default();
        let (mut after, last) = (after, accounts.last());
        loop {
            let heads = match engine.heads(self.checkpoint.position, after) {
                Err(Failure::Failed(Error::Corrupt(message))) => {
                    report.faults.push(Fault { account: None, kind: FaultKind::Unreadable, seq: None, ledger_id: None, message });
                    self.unreadable = true;
                    return Ok(Map::default());
                }
                read => read?,
            };
            let is_last = heads.len() < HEADS_A_READ;
            after = heads.last().map(|head| (*head.account).clone());
            for head in heads {
                if Some(&*head.account) > last {
                    return Ok(found);
                }
                self.sum.add(&head);
                found.insert(Arc::clone(&head.account), head);
            }
            if is_last {
                return Ok(found);
            }
        }
    }

    /// Compares what was found with the checkpoint. One that is not found again covers nothing.
    pub(super) fn finish(self, engine: &Engine, report: &mut VerifyReport) -> Result<(), Failure> {
        let found = self.sum.checkpoint(self.checkpoint.position, self.checkpoint.taken_at);
        if !self.unreadable && found == *self.checkpoint {
            return Ok(());
        }
        report.uncovered_entries = report.uncovered_entries.saturating_add(found.entries);
        let Checkpoint { position, accounts, entries, .. } = self.checkpoint;
        let last = ask!(engine, LastPosition, Query::LastPosition)?;
        let message = if last < *position {
            format!("the books end at position {last}, and the checkpoint covers {position}: they are older, or were cut off")
        } else if (found.accounts, found.entries) != (*accounts, *entries) {
            format!(
                "up to position {position} the checkpoint covers {accounts} accounts and {entries} entries, the books have {} and {}",
                found.accounts, found.entries
            )
        } else {
            format!("up to position {position} the books have as many entries as the checkpoint covers, but not the same")
        };
        report.faults.push(Fault { account: None, kind: FaultKind::CheckpointDiffers, seq: None, ledger_id: None, message });
        Ok(())
    }
}
