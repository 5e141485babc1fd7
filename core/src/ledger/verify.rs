//! Verification: the ledger read again from its first entry, and compared with what the books say now.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::chain::{ChainHash, text_hash};
use super::entry::{Entry, EntryKind, Terms};
use super::posting::{Stop, book_entry, earliest, move_in_grant};
use super::rules::{rule_after, rule_of};
use crate::amount::Amount;
use crate::credit::{Grant, GrantState, GrantTerms, Hold, HoldState, Rule};
use crate::facts::{Account, Totals};
use crate::id::{GrantId, HoldId, LedgerId, RuleId};
use crate::ledger::Draw;
use crate::map::Map;
use crate::owner::AccountKey;
use crate::store::AccountImage;

/// What verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Accounts read.
    pub accounts: u64,
    /// Entries read.
    pub entries: u64,
    /// Where the books part from the ledger; empty when they agree.
    pub faults: Vec<Fault>,
}

impl VerifyReport {
    /// Whether the books agree with the ledger.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }
}

/// One place where the books part from the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// In this account.
    pub account: Arc<AccountKey>,
    /// What is wrong.
    pub kind: FaultKind,
    /// The place in the account.
    pub seq: Option<u64>,
    /// The entry, where there is one.
    pub ledger_id: Option<LedgerId>,
    /// One sentence: what is there, and what should be.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.account, self.message)
    }
}

super::super::credit::named_enum! {
    /// What is wrong.
    FaultKind {
        /// An entry does not have the hash that its content and the entry before it give.
        TamperedEntry = "tampered_entry",
        /// An entry is not there.
        MissingEntry = "missing_entry",
        /// An entry does not add up: its change, its draw or its balance.
        WrongBalance = "wrong_balance",
        /// The row of the account says something else than its entries.
        WrongAccount = "wrong_account",
        /// A grant says something else than its entries.
        WrongGrant = "wrong_grant",
        /// A hold says something else than its entries.
        WrongHold = "wrong_hold",
        /// The operation of an entry is not there, or does not list it.
        WrongOperation = "wrong_operation",
        /// A row cannot be read.
        Unreadable = "unreadable",
        /// A rule says something else than its entries.
        WrongRule = "wrong_rule",
    }
}

/// An account rebuilt from its entries.
pub(crate) struct Rebuilt {
    account: Account,
    grants: Map<GrantId, Grant>,
    holds: Map<HoldId, Hold>,
    rules: BTreeMap<RuleId, Rule>,
    /// What refunds gave back, as their entries say it, and as the operations of the charges do.
    refunded: Amount,
    noted_refunded: Amount,
    faults: Vec<Fault>,
}

impl Rebuilt {
    pub(crate) fn new(key: Arc<AccountKey>) -> Rebuilt {
        Rebuilt {
            account: Account::new(key),
            grants: Map::default(),
            holds: Map::default(),
            rules: BTreeMap::new(),
            refunded: Amount::ZERO,
            noted_refunded: Amount::ZERO,
            faults: Vec::new(),
        }
    }

    pub(crate) fn seq(&self) -> u64 {
        self.account.seq
    }

    pub(crate) fn fault(&mut self, kind: FaultKind, seq: Option<u64>, entry: Option<&Entry>, message: String) {
        let account = Arc::clone(&self.account.key);
        self.faults.push(Fault { account, kind, seq, ledger_id: entry.map(Entry::ledger_id), message });
    }

    /// Reads the next entry: its place, its hash, its sums, and what it did to its grants and its hold.
    pub(crate) fn read(&mut self, entry: &Entry) {
        let expected = self.account.seq + 1;
        if entry.seq > expected {
            let last = entry.seq - 1;
            let message = if last == expected {
                format!("the entry {expected} is missing")
            } else {
                format!("the entries {expected} to {last} are missing")
            };
            self.fault(FaultKind::MissingEntry, Some(expected), None, message);
        } else {
            self.check_hash(entry);
        }
        let clean = self.faults.is_empty();
        let booked = book_entry(&mut self.account, entry);
        match booked {
            Err(message) if clean => self.fault(FaultKind::WrongBalance, Some(entry.seq), Some(entry), message),
            _ => {}
        }
        // From here on the entry is believed, so that one fault is named once.
        self.account.seq = entry.seq;
        self.account.available = entry.balance_after;
        self.account.frozen = entry.frozen_after;
        self.account.head = entry.hash;
        self.account.last_at = entry.created_at;
        if matches!(entry.kind, EntryKind::Refund | EntryKind::Reissue) {
            self.refunded = self.refunded.checked_add(entry.change).unwrap_or(Amount::MAX);
        }
        if let Err(message) = self.rebuild(entry)
            && self.faults.is_empty()
        {
            self.fault(FaultKind::WrongBalance, Some(entry.seq), Some(entry), message);
        }
    }

    /// Adds what the operation of a charge or capture says was refunded of it.
    pub(crate) fn note_refunded(&mut self, refunded: Amount) {
        self.noted_refunded = self.noted_refunded.checked_add(refunded).unwrap_or(Amount::MAX);
    }

    fn check_hash(&mut self, entry: &Entry) {
        if entry.chain_after(&self.account.head, &text_hash(&entry.text)) != entry.hash {
            let message =
                format!("the entry {} ({}) was changed, or does not follow the one before it", entry.seq, entry.ledger_id());
            self.fault(FaultKind::TamperedEntry, Some(entry.seq), Some(entry), message);
        }
    }

    /// Grants and holds as the entry leaves them.
    fn rebuild(&mut self, entry: &Entry) -> Result<(), String> {
        if let (Some(Terms::Grant { expires_at, terms }), Some(id)) = (&entry.terms, entry.grant_id) {
            let pending = terms.effective_at > entry.created_at;
            let state = if pending { GrantState::Pending } else { GrantState::Active };
            let remaining = if pending { terms.amount } else { Amount::ZERO };
            // The reason and the metadata stand in the text part of the entry.
            let text = (entry.text.reason.clone(), entry.text.metadata.clone());
            let terms = Arc::new(GrantTerms { reason: text.0, metadata: text.1, ..(**terms).clone() });
            let grant = Grant { id, terms, expires_at: *expires_at, state, remaining, held: Amount::ZERO };
            self.grants.insert(id, grant);
        }
        let outgoing = entry.change.is_negative();
        for line in entry.draw.lines() {
            let grant = self
                .grants
                .get_mut(&line.grant_id)
                .ok_or_else(|| format!("the entry {} draws from a grant that no entry made", entry.seq))?;
            move_in_grant(grant, entry.kind, outgoing, line.amount).map_err(|stop| sentence(&stop))?;
        }
        if let (EntryKind::Rollover, Some(grant)) = (entry.kind, entry.grant_id.and_then(|id| self.grants.get_mut(&id))) {
            grant.remaining = entry.draw.total();
        }
        self.end_or_amend_grant(entry);
        self.rebuild_hold(entry);
        self.rebuild_rule(entry);
        Ok(())
    }

    fn end_or_amend_grant(&mut self, entry: &Entry) {
        let Some(grant) = entry.grant_id.and_then(|id| self.grants.get_mut(&id)) else { return };
        match (entry.kind, &entry.terms) {
            (EntryKind::Void, _) => {
                if grant.state == GrantState::Pending {
                    grant.remaining = Amount::ZERO;
                }
                grant.state = GrantState::Voided;
            }
            (EntryKind::Amend, Some(Terms::Expiry { expires_at })) => grant.expires_at = Some(*expires_at),
            _ => {}
        }
    }

    fn rebuild_hold(&mut self, entry: &Entry) {
        let Some(id) = entry.hold_id else { return };
        if let Some(Terms::Hold { expires_at, terms }) = &entry.terms {
            let (terms, draw) = (Arc::clone(terms), entry.draw.clone());
            self.holds
                .insert(id, Hold { id, terms, state: HoldState::Frozen, expires_at: *expires_at, draw, captured: Amount::ZERO });
            return;
        }
        let Some(hold) = self.holds.get_mut(&id) else { return };
        let total = entry.draw.total();
        match entry.kind {
            EntryKind::Hold => hold.draw.extend(&entry.draw),
            EntryKind::Capture => {
                let _: Draw = hold.draw.take_first(total);
                hold.captured = hold.captured.checked_add(total).unwrap_or(Amount::MAX);
            }
            EntryKind::Release => {
                let _: Draw = hold.draw.take_last(total);
            }
            _ => {}
        }
        match &entry.terms {
            Some(Terms::Expiry { expires_at }) => hold.expires_at = *expires_at,
            Some(Terms::HoldState { state }) => hold.state = *state,
            _ => {}
        }
    }

    fn rebuild_rule(&mut self, entry: &Entry) {
        let Some((terms, id)) = entry.terms.as_ref().and_then(|terms| Some((terms, rule_of(terms)?))) else { return };
        let before = self.rules.remove(&id);
        self.rules.extend(rule_after(before, terms, &entry.text).map(|rule| (id, rule)));
        let running = self.rules.values().filter(|rule| rule.is_running()).count();
        self.account.standing.rules = u32::try_from(running).unwrap_or(u32::MAX);
    }

    /// What was found before there was anything to compare with.
    pub(crate) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    /// Whether nothing wrong was found so far.
    pub(crate) fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    /// Grants that have ended: nothing can come of them but a refund.
    pub(crate) fn ended_grants(&self) -> impl Iterator<Item = &Grant> {
        self.grants.values().filter(|grant| !grant.is_open())
    }

    /// Holds that have ended.
    pub(crate) fn ended_holds(&self) -> impl Iterator<Item = &Hold> {
        self.holds.values().filter(|hold| hold.state != HoldState::Frozen)
    }

    /// Rules that have ended.
    pub(crate) fn ended_rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.values().filter(|rule| !rule.is_running())
    }

    /// Compares with the row of the account and all that is open in it.
    pub(crate) fn compare(&mut self, image: &AccountImage) {
        let row = &image.facts.account;
        if self.account.seq < row.seq {
            let (first, last) = (self.account.seq + 1, row.seq);
            let message = if first == last {
                format!("the entry {first} is missing")
            } else {
                format!("the entries {first} to {last} are missing")
            };
            self.fault(FaultKind::MissingEntry, Some(first), None, message);
        }
        // Once an entry is wrong, everything that follows from it would be reported again.
        if !self.faults.is_empty() {
            return;
        }
        self.compare_row(row);
        self.compare_times(row);
        // Operations are read after the row, so they may know of later refunds; of fewer they cannot.
        if self.noted_refunded < self.refunded {
            let message = format!("{} were refunded, and the operations know of {}", self.refunded, self.noted_refunded);
            self.fault(FaultKind::WrongOperation, None, None, message);
        }
        self.compare_grants(image);
        self.compare_holds(image);
        self.compare_rules(image);
    }

    fn compare_row(&mut self, row: &Account) {
        if self.account.standing != row.standing {
            let message = format!("the row says {:?}, its entries {:?}", row.standing, self.account.standing);
            self.fault(FaultKind::WrongAccount, None, None, message);
        }
        let numbers = |account: &Account| (account.available, account.frozen, Sums(account.totals));
        if numbers(&self.account) != numbers(row) {
            let message = format!("the row says {:?}, its entries {:?}", numbers(row), numbers(&self.account));
            self.fault(FaultKind::WrongAccount, None, None, message);
        }
        if self.account.head != row.head {
            let message = format!("the row ends its chain with {}, its entries with {}", Short(row.head), Short(self.account.head));
            self.fault(FaultKind::WrongAccount, None, None, message);
        }
    }

    /// Time does not go back, and nothing becomes due before the row says that something could.
    fn compare_times(&mut self, row: &Account) {
        if row.last_at < self.account.last_at {
            let message = format!("the row was last booked at {}, its last entry at {}", row.last_at, self.account.last_at);
            self.fault(FaultKind::WrongAccount, None, None, message);
        }
        let hold_due_at = self.holds.values().filter(|hold| hold.state == HoldState::Frozen).map(|hold| hold.expires_at).min();
        let of_rules = self.rules.values().filter_map(Rule::due_at).min();
        let due_at = earliest(earliest(hold_due_at, of_rules), self.grants.values().filter_map(Grant::due_at).min());
        for (name, bound, due) in [("hold_due_at", row.hold_due_at, hold_due_at), ("due_at", row.due_at, due_at)] {
            if let Some(due) = due
                && bound.is_none_or(|bound| bound > due)
            {
                let bound = bound.map_or_else(|| "none".to_owned(), |bound| bound.to_string());
                let message = format!("the row says {bound} as `{name}`, its entries {due}");
                self.fault(FaultKind::WrongAccount, None, None, message);
            }
        }
    }

    fn compare_grants(&mut self, image: &AccountImage) {
        let grants = std::mem::take(&mut self.grants);
        let rebuilt: Map<GrantId, &Grant> =
            grants.values().filter(|grant| grant.is_open()).map(|grant| (grant.id, grant)).collect();
        if row_count_differs(image.facts.account.open_grants, rebuilt.len()) {
            let message = format!("the row counts {} open grants, its entries {}", image.facts.account.open_grants, rebuilt.len());
            self.fault(FaultKind::WrongAccount, None, None, message);
        }
        for id in union(rebuilt.keys(), image.facts.grants.keys()) {
            let (ours, theirs) = (rebuilt.get(&id).copied(), image.facts.grants.get(&id));
            if ours != theirs {
                let message = format!("the grant {id} is {theirs:?}, its entries say {ours:?}");
                self.fault(FaultKind::WrongGrant, None, None, message);
            }
        }
        self.grants = grants;
    }

    fn compare_holds(&mut self, image: &AccountImage) {
        let frozen = |hold: &&Hold| hold.state == HoldState::Frozen;
        let holds = std::mem::take(&mut self.holds);
        let rebuilt: Map<HoldId, &Hold> = holds.values().filter(frozen).map(|hold| (hold.id, hold)).collect();
        let stored: Map<HoldId, &Hold> = image.open_holds.iter().map(|hold| (hold.id, hold)).collect();
        if row_count_differs(image.facts.account.open_holds, rebuilt.len()) {
            let message = format!("the row counts {} open holds, its entries {}", image.facts.account.open_holds, rebuilt.len());
            self.fault(FaultKind::WrongAccount, None, None, message);
        }
        for id in union(rebuilt.keys(), stored.keys()) {
            if rebuilt.get(&id) != stored.get(&id) {
                let message = format!("the hold {id} is {:?}, its entries say {:?}", stored.get(&id), rebuilt.get(&id));
                self.fault(FaultKind::WrongHold, None, None, message);
            }
        }
        self.holds = holds;
    }

    fn compare_rules(&mut self, image: &AccountImage) {
        let rules = std::mem::take(&mut self.rules);
        let running: BTreeMap<RuleId, &Rule> =
            rules.values().filter(|rule| rule.is_running()).map(|rule| (rule.id, rule)).collect();
        for id in union(running.keys(), image.facts.rules.keys()) {
            let (ours, theirs) = (running.get(&id).copied(), image.facts.rules.get(&id));
            if ours != theirs {
                let message = format!("the rule {id} is {theirs:?}, its entries say {ours:?}");
                self.fault(FaultKind::WrongRule, None, None, message);
            }
        }
        self.rules = rules;
    }
}

/// The totals, shown with their names.
#[derive(PartialEq, Eq)]
struct Sums(Totals);

impl fmt::Debug for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { issued, adjusted_in, consumed, expired, forfeited, adjusted_out } = self.0;
        write!(
            f,
            "issued {issued} adjusted in {adjusted_in} consumed {consumed} expired {expired} forfeited {forfeited} adjusted out {adjusted_out}"
        )
    }
}

/// The first bytes of a hash: enough to tell two apart by eye.
struct Short(ChainHash);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.0.iter().take(6).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn row_count_differs(row: u32, count: usize) -> bool {
    usize::try_from(row).is_ok_and(|row| row != count)
}

fn union<'a, T: Copy + Ord + 'a>(one: impl Iterator<Item = &'a T>, other: impl Iterator<Item = &'a T>) -> Vec<T> {
    let mut all: Vec<T> = one.chain(other).copied().collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn sentence(stop: &Stop) -> String {
    match stop {
        Stop::Denied(denial) => denial.message().to_owned(),
        Stop::Contradiction(what) => what.clone(),
    }
}
