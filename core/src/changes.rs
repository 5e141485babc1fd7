//! What an accepted command changes: data for a store to write, and for the next command of the batch to see.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::amount::Amount;
use crate::audit::AuditRecord;
use crate::credit::{Grant, GrantTerms, Hold, HoldTerms, Member, Rule, RuleTerms};
use crate::facts::{Account, AccountFacts, ChargeFact, Facts, LicenceFacts, MAX_ERASED, Needs, SubjectRow, Task};
use crate::id::{GrantId, HoldId, LedgerId, OpId, RuleId, TaskId, TenantId};
use crate::ledger::{ChainHash, Entry, EntryKind, Operation, OperationKind, StoredOperation};
use crate::licence::LicenceRows;
use crate::owner::{AccountKey, MemberKey, Subject};
use crate::risk::{RiskFacts, RiskRows};

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
    /// Tenants and users, as they stand afterwards; inserted or updated.
    pub subjects: Vec<(Subject, SubjectRow)>,
    /// Members, as they stand afterwards; inserted or updated.
    pub members: Vec<(MemberKey, Member)>,
    /// Licences, and their use.
    pub licences: LicenceRows,
    /// What risk controls count.
    pub risk: RiskRows,
    /// Text about people that goes.
    pub erased: Erased,
    /// Records of the audit: always new.
    pub audit: Vec<AuditRecord>,
}

/// Text that is erased in an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Entries whose text part goes, by their place in the account; the hash of it stays.
    pub entries: Vec<(LedgerId, u64, ChainHash)>,
    /// Operations whose actor goes.
    pub operations: Vec<OpId>,
    /// Grants whose reason and metadata go.
    pub grants: Vec<GrantId>,
    /// Holds whose user goes.
    pub holds: Vec<HoldId>,
    /// Rules whose reason and metadata go.
    pub rules: Vec<RuleId>,
}

impl Erased {
    /// Whether nothing is erased.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        // Each field is named, so that none is forgotten.
        let Erased { entries, operations, grants, holds, rules } = self;
        entries.is_empty() && operations.is_empty() && grants.is_empty() && holds.is_empty() && rules.is_empty()
    }

    /// Erases what is meant of an operation and its entries.
    pub(crate) fn apply(&self, stored: &mut StoredOperation) {
        if self.operations.contains(&stored.operation.op_id) {
            stored.operation.actor = None;
        }
        for entry in &mut stored.entries {
            if self.entries.iter().any(|(id, ..)| *id == entry.ledger_id()) {
                entry.erase();
            }
        }
    }
}

impl Changes {
    /// An operation that changes nothing but is recorded.
    #[must_use]
    pub fn of(stored: StoredOperation) -> Changes {
        Changes {
            stored: Arc::new(stored),
            account: None,
            account_is_new: false,
            new_grants: Vec::new(),
            changed_grants: Vec::new(),
            new_holds: Vec::new(),
            changed_holds: Vec::new(),
            new_rules: Vec::new(),
            changed_rules: Vec::new(),
            task: None,
            refunded: Vec::new(),
            subjects: Vec::new(),
            members: Vec::new(),
            licences: LicenceRows::default(),
            risk: RiskRows::default(),
            erased: Erased::default(),
            audit: Vec::new(),
        }
    }

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

/// What the commands of a batch look at besides accounts. What none of them can see need not be shown to them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looks {
    /// Whether two of them have the same key.
    replays: bool,
    /// Whether one of them names a grant, or refunds what was drawn from grants.
    grants: bool,
    /// Whether one of them refunds.
    charges: bool,
}

impl Looks {
    /// At everything that was changed.
    const ALL: Looks = Looks { replays: true, grants: true, charges: true };

    /// What commands look at that have these needs.
    pub(crate) fn of(needs: &Needs, has_key_twice: bool) -> Looks {
        let charges = !needs.charges.is_empty() || !needs.task_charges.is_empty();
        Looks { replays: has_key_twice, grants: charges || !needs.grants.is_empty(), charges }
    }
}

impl Facts {
    /// Shows the changes of an accepted command to the commands decided after it.
    pub fn apply(&mut self, changes: &Changes) {
        self.show(changes, Looks::ALL);
    }

    /// Shows the changes of an accepted command to commands that look at no more than this.
    pub(crate) fn show(&mut self, changes: &Changes, looks: Looks) {
        let tenant_id = changes.tenant_id();
        if let Some(idempotency_key) = changes.operation().key.as_ref().filter(|_| looks.replays) {
            self.replays.insert((tenant_id.clone(), idempotency_key.clone()), Arc::clone(&changes.stored));
        }
        if let Some(account) = &changes.account {
            self.apply_account(changes, account, looks);
        }
        if let Some((task_id, task)) = &changes.task {
            self.tasks.insert((tenant_id.clone(), task_id.clone()), task.clone());
        }
        for (ledger_id, refunded) in &changes.refunded {
            if let Some(charge) = self.charges.get_mut(ledger_id) {
                charge.refunded = *refunded;
            }
        }
        for (subject, row) in &changes.subjects {
            self.subjects.insert((tenant_id.clone(), subject.clone()), row.clone());
        }
        self.members.extend(changes.members.iter().cloned());
        if !changes.licences.is_empty() {
            self.apply_licences(&changes.licences);
        }
        if !changes.risk.is_empty() {
            self.apply_risk(&changes.risk);
        }
        if looks.charges {
            self.note_charges(changes);
        }
        self.apply_erased(changes);
        self.note_texts(changes);
    }

    fn apply_licences(&mut self, rows: &LicenceRows) {
        for (key, licence) in &rows.licences {
            if let Some(known) = self.licences.get_mut(key) {
                known.licence = licence.clone();
                continue;
            }
            self.licences.insert(key.clone(), LicenceFacts { licence: licence.clone(), due: BTreeMap::new() });
            for (_, keys) in self.template_licences.iter_mut().filter(|(name, _)| name.admits(&key.tenant_id, &licence.terms)) {
                let place = keys.partition_point(|before| before < key);
                keys.insert(place, key.clone());
            }
        }
        // A use that is reserved in this batch is not due in it.
        for (hold_id, (key, _)) in rows.uses.iter().filter(|(_, (_, reserved))| reserved.is_none()) {
            self.licences.get_mut(key).map(|known| known.due.remove(hold_id));
        }
        self.licence_users.extend(rows.users.iter().map(|(user, used)| (user.clone(), *used)));
    }

    fn apply_risk(&mut self, rows: &RiskRows) {
        for (key, count) in &rows.counts {
            let new = || RiskFacts { count: count.clone(), due: BTreeMap::new() };
            self.risk.entry(key.clone()).or_insert_with(new).count = count.clone();
        }
        // What is reserved in this batch is not due in it.
        for (hold_id, (key, _)) in &rows.uses {
            self.risk.get_mut(key).map(|known| known.due.remove(hold_id));
        }
    }

    fn apply_erased(&mut self, changes: &Changes) {
        let (Some(account), erased) = (&changes.account, &changes.erased) else { return };
        if erased.is_empty() {
            return;
        }
        self.replays.values_mut().for_each(|stored| erased.apply(Arc::make_mut(stored)));
        for entries in self.texts.iter_mut().filter(|(page, _)| page.0 == *account.key).map(|(_, entries)| entries) {
            let meant = |entry: &&mut Entry| erased.entries.iter().any(|(id, ..)| *id == entry.ledger_id());
            entries.iter_mut().filter(meant).for_each(Entry::erase);
        }
        for id in &erased.grants {
            let open = self.accounts.get_mut(&*account.key).and_then(|facts| facts.grants.get_mut(id));
            let named = self.grants.get_mut(id).map(|(_, grant)| grant);
            open.into_iter().chain(named).for_each(erase_grant);
        }
        for id in &erased.holds {
            self.holds.get_mut(id).map(|(_, hold)| hold).into_iter().for_each(erase_hold);
        }
        for id in &erased.rules {
            let running = self.accounts.get_mut(&*account.key).and_then(|facts| facts.rules.get_mut(id));
            let named = self.rules.get_mut(id).map(|(_, rule)| rule);
            running.into_iter().chain(named).for_each(erase_rule);
        }
    }

    /// Text that is booked in this batch can be erased in this batch.
    fn note_texts(&mut self, changes: &Changes) {
        for (page, entries) in &mut self.texts {
            let of_page = changes.entries().iter().filter(|entry| *entry.account == page.0 && entry.seq > page.1);
            let room = MAX_ERASED.saturating_sub(entries.len());
            entries.extend(of_page.take(room).cloned());
        }
    }

    fn apply_account(&mut self, changes: &Changes, row: &Account, looks: Looks) {
        let key: &Arc<AccountKey> = &row.key;
        // The name of an account that is known needs no further reference.
        let account = match self.accounts.get_mut(key) {
            Some(known) => known,
            None => self.accounts.entry(Arc::clone(key)).or_insert_with(|| AccountFacts::new(Arc::clone(key))),
        };
        account.account.clone_from(row);
        for grant in changes.new_grants.iter().chain(&changes.changed_grants) {
            if grant.is_open() {
                account.grants.insert(grant.id, grant.clone());
            } else {
                account.grants.remove(&grant.id);
            }
            if looks.grants {
                self.grants.insert(grant.id, (Arc::clone(key), grant.clone()));
            }
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

/// Erases the copies that a grant has of its entry's text.
pub(crate) fn erase_grant(grant: &mut Grant) {
    grant.terms = Arc::new(GrantTerms { reason: None, metadata: None, ..GrantTerms::clone(&grant.terms) });
}

/// Erases the copies that a rule has of its entry's text.
pub(crate) fn erase_rule(rule: &mut Rule) {
    rule.terms = Arc::new(RuleTerms { reason: None, metadata: None, ..RuleTerms::clone(&rule.terms) });
}

/// Erases the copy that a hold has of its entry's text.
pub(crate) fn erase_hold(hold: &mut Hold) {
    hold.terms = Arc::new(HoldTerms { user_id: None, ..HoldTerms::clone(&hold.terms) });
}
