//! What an accepted command changes: data for a store to write, and for the next command of the batch to see.

use std::sync::Arc;

use crate::amount::Amount;
use crate::credit::{Grant, Hold, Rule};
use crate::facts::{Account, AccountFacts, ChargeFact, Facts, Task};
use crate::id::{LedgerId, OpId, TaskId, TenantId};
use crate::ledger::{Entry, EntryKind, Operation, OperationKind, StoredOperation};
use crate::owner::AccountKey;

/// What one accepted command changes. A store writes the changes of a batch all or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The operation row and its entries: always new. Written if [`Changes::is_recorded`]. Shared with the receipt, so that
    /// what is answered is what is written. Its position is the store's to give.
    pub stored: Arc<StoredOperation>,
    /// The account, as it stands afterwards; none for an operation that books in none.
    pub account: Option<Account>,
    /// The account had no row before.
    pub account_is_new: bool,
    /// Grants that the operation made.
    pub new_grants: Vec<Grant>,
    /// Grants that it changed: `state`, `expires_at`, `remaining`, `held`.
    pub changed_grants: Vec<Grant>,
    /// Holds that it made.
    pub new_holds: Vec<Hold>,
    /// Holds that it changed: `state`, `expires_at`, `draw`, `captured`.
    pub changed_holds: Vec<Hold>,
    /// Rules that it made.
    pub new_rules: Vec<Rule>,
    /// Rules that it changed: `state`, `next`, `next_at`.
    pub changed_rules: Vec<Rule>,
    /// The task, as it stands afterwards; inserted or updated.
    pub task: Option<(TaskId, Task)>,
    /// Operations of which more was refunded: their new total.
    pub refunded: Vec<(LedgerId, Amount)>,
}

impl Changes {
    /// The tenant of all these rows.
    #[must_use]
    pub fn tenant_id(&self) -> &TenantId {
        &self.operation().tenant_id
    }

    /// Whether the operation is written. Not so for a settle without a key that found nothing due: it only makes
    /// [`Account::due_at`] exact.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        !self.entries().is_empty() || self.operation().key.is_some() || self.operation().kind != OperationKind::Settle
    }

    /// The operation.
    #[must_use]
    pub fn op_id(&self) -> OpId {
        self.operation().op_id
    }

    /// The operation row.
    #[must_use]
    pub fn operation(&self) -> &Operation {
        &self.stored.operation
    }

    /// The operation and its entries, to be changed before they are written: for those who draw up changes by hand.
    pub fn stored_mut(&mut self) -> &mut StoredOperation {
        Arc::make_mut(&mut self.stored)
    }

    /// The account, to be changed before it is written: for those who draw up changes by hand.
    ///
    /// # Panics
    /// When the operation books in none.
    #[cfg(feature = "testing")]
    #[expect(clippy::expect_used, reason = "a script that does not fit is a mistake of the test, which then fails")]
    pub fn account_mut(&mut self) -> &mut Account {
        self.account.as_mut().expect("an operation that books in an account")
    }

    /// The entries of the operation.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.stored.entries
    }
}

impl Facts {
    /// Shows the changes of an accepted command to the commands decided after it.
    pub fn apply(&mut self, changes: &Changes) {
        let tenant_id = changes.tenant_id();
        if let Some(idempotency_key) = &changes.operation().key {
            self.replays.insert((tenant_id.clone(), idempotency_key.clone()), Arc::clone(&changes.stored));
        }
        if let Some(account) = &changes.account {
            self.apply_account(changes, account);
        }
        if let Some((task_id, task)) = &changes.task {
            self.tasks.insert((tenant_id.clone(), task_id.clone()), task.clone());
        }
        for (ledger_id, refunded) in &changes.refunded {
            if let Some(charge) = self.charges.get_mut(ledger_id) {
                charge.refunded = *refunded;
            }
        }
        self.note_charges(changes);
    }

    fn apply_account(&mut self, changes: &Changes, row: &Account) {
        let key: &Arc<AccountKey> = &row.key;
        // The key of an account that is known is not copied.
        if !self.accounts.contains_key(&**key) {
            self.accounts.insert((**key).clone(), AccountFacts::new(Arc::clone(key)));
        }
        let Some(account) = self.accounts.get_mut(&**key) else { return };
        account.account = row.clone();
        for grant in changes.new_grants.iter().chain(&changes.changed_grants) {
            if grant.is_open() {
                account.grants.insert(grant.id, grant.clone());
            } else {
                account.grants.remove(&grant.id);
            }
            self.grants.insert(grant.id, (Arc::clone(key), grant.clone()));
        }
        for hold in changes.new_holds.iter().chain(&changes.changed_holds) {
            account.due_holds.remove(&hold.id);
            self.holds.insert(hold.id, (Arc::clone(key), hold.clone()));
        }
        for rule in changes.new_rules.iter().chain(&changes.changed_rules) {
            if rule.is_running() {
                account.rules.insert(rule.id, rule.clone());
            } else {
                account.rules.remove(&rule.id);
            }
            self.rules.insert(rule.id, (Arc::clone(key), rule.clone()));
        }
    }

    /// Charges and captures made in this batch can be refunded in this batch.
    fn note_charges(&mut self, changes: &Changes) {
        for entry in changes.entries().iter().filter(|e| matches!(e.kind, EntryKind::Charge | EntryKind::Capture)) {
            let fact =
                ChargeFact { entry: entry.clone(), refunded: Amount::ZERO, policy_tag: changes.operation().policy_tag.clone() };
            self.charges.insert(entry.ledger_id(), fact);
            if let Some(task_id) = &entry.task_id
                && let Some(listed) = self.task_charges.get_mut(&((*entry.account).clone(), task_id.clone()))
            {
                listed.push(entry.ledger_id());
            }
        }
    }
}
