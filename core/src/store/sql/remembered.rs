//! What the last batches left, so that whoever is charged again is not read again.

use std::sync::Arc;

use super::uses::Uses;
use crate::changes::Changes;
use crate::credit::Grant;
use crate::facts::{Account, AccountFacts};
use crate::id::GrantId;
use crate::map::Map;
use crate::owner::AccountKey;

/// The most accounts that are remembered; past them it begins anew.
const MAX_ACCOUNTS: usize = 4_096;
/// An account with more open grants is read each time, as is one that has rules.
const MAX_GRANTS: usize = 16;
/// So many batches without a key that was used before make it likely that the next has none either.
const LOOKING_BATCHES: u32 = 64;

/// What one connection knows of the books, true for as long as it alone commits. What was remembered for a batch that was not
/// committed is dropped with the machine that held it.
#[derive(Debug)]
pub(crate) struct Remembered {
    version: Option<u32>,
    accounts: Map<AccountKey, RememberedAccount>,
    /// The end of the feed.
    pub(super) last_position: Option<i64>,
    /// Whether there is any row of a tenant or user that was ever blocked.
    pub(super) has_subjects: Option<bool>,
    /// Licences, and what was used.
    pub(super) uses: Uses,
    /// For so many batches keys are looked up before anything is decided.
    looking: u32,
}

impl Default for Remembered {
    /// Nothing is known.
    fn default() -> Remembered {
        let (accounts, uses) = (Map::default(), Uses::default());
        Remembered { version: None, accounts, last_position: None, has_subjects: None, uses, looking: LOOKING_BATCHES }
    }
}

/// An account with its open grants, and the numbers of their rows.
#[derive(Debug)]
pub(super) struct RememberedAccount {
    pub(super) account_id: i64,
    pub(super) account: Account,
    pub(super) grants: Vec<(i64, Grant)>,
}

impl RememberedAccount {
    /// The account as it would be read; without the holds that are due.
    pub(super) fn facts(&self) -> AccountFacts {
        let mut facts = AccountFacts::new(Arc::clone(&self.account.key));
        facts.account.clone_from(&self.account);
        facts.grants.extend(self.grants.iter().map(|(_, grant)| (grant.id, grant.clone())));
        facts
    }
}

impl Remembered {
    /// Forgets everything if the file says another version than after the last batch: somebody else has committed since.
    pub(crate) fn forget_unless(&mut self, version: u32) {
        if self.version != Some(version) {
            let looking = self.looking;
            *self = Remembered { version: Some(version), looking, ..Remembered::default() };
        }
    }

    /// Stays true through a transaction of its own connection, which began at one version and made another.
    pub(crate) fn go_on(&mut self, began: u32, version: u32) {
        if self.version == Some(began) {
            self.version = Some(version);
        }
    }

    /// Whether the keys of a batch are looked up before it is decided. Otherwise they are presumed to be new: then whatever is
    /// written proves that its key is, and the rest is looked up afterwards.
    pub(super) const fn looks_for_keys(&self) -> bool {
        self.looking > 0
    }

    /// A batch has looked, and found this many keys that were used before.
    pub(super) const fn looked(&mut self, found: usize) {
        self.looking = if found > 0 { LOOKING_BATCHES } else { self.looking.saturating_sub(1) };
    }

    pub(super) fn get(&self, key: &AccountKey) -> Option<&RememberedAccount> {
        self.accounts.get(key)
    }

    /// Remembers an account as it was read.
    pub(super) fn learn(&mut self, account_id: i64, facts: &AccountFacts, grant_rows: &Map<GrantId, i64>) {
        // Each field is named, so that none is forgotten. Holds that are due are read each time.
        let AccountFacts { account, grants, due_holds: _, next_hold_at: _, rules } = facts;
        if grants.len() > MAX_GRANTS || !rules.is_empty() {
            return;
        }
        let grants = grants.values().filter_map(|grant| Some((*grant_rows.get(&grant.id)?, grant.clone()))).collect();
        if self.accounts.len() >= MAX_ACCOUNTS {
            self.accounts.clear();
        }
        self.accounts.insert((*account.key).clone(), RememberedAccount { account_id, account: account.clone(), grants });
    }

    /// Follows what a batch writes. An account that gets a new grant is forgotten, as the number of that row
    /// is not known; so is one that gets a rule, and one whose grants lose their text.
    pub(super) fn follow(&mut self, changes: &Changes, grant_rows: &Map<GrantId, i64>) {
        if !changes.subjects.is_empty() {
            self.has_subjects = Some(true);
        }
        if changes.is_recorded() {
            self.last_position = self.last_position.and_then(|position| position.checked_add(1));
        }
        self.uses.follow(changes);
        let Some(account) = &changes.account else { return };
        let Some(known) = self.accounts.get_mut(&*account.key) else { return };
        if !changes.new_grants.is_empty() || !changes.new_rules.is_empty() || !changes.erased.grants.is_empty() {
            self.accounts.remove(&*account.key);
            return;
        }
        known.account.clone_from(account);
        for grant in &changes.changed_grants {
            match known.grants.iter().position(|(_, before)| before.id == grant.id) {
                Some(at) if grant.is_open() => {
                    if let Some((_, before)) = known.grants.get_mut(at) {
                        before.clone_from(grant);
                    }
                }
                Some(at) => drop(known.grants.swap_remove(at)),
                None => known.grants.extend(grant_rows.get(&grant.id).filter(|_| grant.is_open()).map(|row| (*row, grant.clone()))),
            }
        }
    }
}
