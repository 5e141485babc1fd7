//! Verification: the ledger read again from its first entry, and compared with what the books say now.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::checkpoint::Checkpoint;
use super::entry::{Entry, EntryKind, Terms};
use super::hash::ChainHash;
use super::posting::{Stop, book_entry, earliest, move_in_debt, move_in_grant};
use super::rules::{rule_after, rule_of};
use super::since::Before;
use crate::amount::Amount;
use crate::credit::{Band, Grant, GrantState, GrantTerms, Hold, HoldState, HoldTerms, Rule};
use crate::facts::{Account, Totals};
use crate::id::{GrantId, HoldId, LedgerId, OpId, RuleId};
use crate::ledger::{Draw, StoredOperation};
use crate::map::Map;
use crate::owner::AccountKey;
use crate::store::AccountImage;
use crate::time::Timestamp;

/// What verification goes by, and from where it reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyOptions {
    /// It has to be found again in the stored entries, and what came after it is recomputed; none: everything is.
    pub checkpoint: Option<Checkpoint>,
    /// Everything is recomputed from the first entry on, although there is a checkpoint.
    pub full: bool,
}

/// What verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerifyReport {
    /// Accounts read.
    pub accounts: u64,
    /// Entries read.
    pub entries: u64,
    /// Tasks read: all, or none where only what came after a checkpoint is recomputed.
    pub tasks: u64,
    /// Of all entries, the newest, which no checkpoint that was found again covers: whoever can write the books could have
    /// rewritten these with all their hashes.
    pub uncovered_entries: u64,
    /// Records of the audit read.
    pub audit_records: u64,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fault {
    /// In this account; none where it cannot be told in which.
    pub account: Option<Arc<AccountKey>>,
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
        match &self.account {
            Some(account) => write!(f, "{account}: {}", self.message),
            None => f.write_str(&self.message),
        }
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
        /// What a checkpoint covers is not what it was when it was taken.
        CheckpointDiffers = "checkpoint_differs",
        /// A task says something else than what was booked about it.
        WrongTask = "wrong_task",
        /// A record of the audit is not what it was, or is not there, or is not told of.
        WrongAudit = "wrong_audit",
    }
}

/// An account rebuilt from its entries: from the first, or from its head at a checkpoint.
pub(crate) struct Rebuilt {
    pub(super) account: Account,
    /// What stood before the first entry that is read; none if nothing did.
    pub(super) before: Option<Before>,
    grants: Map<GrantId, Grant>,
    holds: Map<HoldId, Hold>,
    pub(super) rules: BTreeMap<RuleId, Rule>,
    /// What refunds gave back, as their entries say it, and as the operations of the charges do.
    refunded: Amount,
    noted_refunded: Amount,
    /// The text of an entry was erased, and with it its copies.
    has_erased: bool,
    /// Where the balance stood before the operation that is being read, and where operations took it.
    band_before: Band,
    crossings: Map<OpId, Band>,
    faults: Vec<Fault>,
}

impl Rebuilt {
    pub(crate) fn new(key: Arc<AccountKey>) -> Rebuilt {
        Rebuilt::begin(Account::new(key), None)
    }

    pub(super) fn begin(account: Account, before: Option<Before>) -> Rebuilt {
        Rebuilt {
            account,
            before,
            grants: Map::default(),
            holds: Map::default(),
            rules: BTreeMap::new(),
            refunded: Amount::ZERO,
            noted_refunded: Amount::ZERO,
            has_erased: false,
            band_before: Band::default(),
            crossings: Map::default(),
            faults: Vec::new(),
        }
    }

    pub(crate) fn seq(&self) -> u64 {
        self.account.seq
    }

    pub(crate) fn fault(&mut self, kind: FaultKind, seq: Option<u64>, entry: Option<&Entry>, message: String) {
        let account = Some(Arc::clone(&self.account.key));
        self.faults.push(Fault { account, kind, seq, ledger_id: entry.map(Entry::ledger_id), message });
    }

    /// Reads the next entry: its place, its hash, its sums, and what it did to its grants and its hold.
    pub(crate) fn read(&mut self, entry: &Entry) {
        let expected = self.account.seq + 1;
        self.has_erased |= entry.erased_text_hash.is_some();
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
        self.read_band(entry);
    }

    /// The band that the balance is in if the operation ends with this entry.
    fn read_band(&mut self, entry: &Entry) {
        let standing = &mut self.account.standing;
        if entry.ordinal == 1 {
            self.band_before = standing.band;
        }
        standing.band = self.band_before;
        standing.band = standing.band_at(self.account.available);
        if standing.band == self.band_before {
            self.crossings.remove(&entry.op_id);
        } else {
            self.crossings.insert(entry.op_id, standing.band);
        }
    }

    /// What the operation that ends with this entry says wrongly about the band that it took the balance to. Once an entry is
    /// wrong, bands are not known.
    pub(crate) fn wrong_band(&mut self, stored: &StoredOperation, entry: &Entry) -> Option<String> {
        let operation = &stored.operation;
        // What was agreed before a checkpoint is not read, the threshold neither.
        if u32::from(entry.ordinal) != operation.entry_count || !self.is_clean() || self.before.is_some() {
            return None;
        }
        let crossing = self.crossings.remove(&entry.op_id);
        let named = |band: Option<Band>| band.map_or("none", Band::as_str);
        (operation.band != crossing).then(|| {
            let (says, found) = (named(operation.band), named(crossing));
            format!("the operation {} says that the balance went to the band {says}, its entries {found}", operation.op_id)
        })
    }

    /// Adds what the operation of a charge or capture says was refunded of it.
    pub(crate) fn note_refunded(&mut self, refunded: Amount) {
        self.noted_refunded = self.noted_refunded.checked_add(refunded).unwrap_or(Amount::MAX);
    }

    fn check_hash(&mut self, entry: &Entry) {
        let is_both = entry.erased_text_hash.is_some() && !entry.text.is_empty();
        if is_both || entry.chain_after(&self.account.head, &entry.text_hash()) != entry.hash {
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
            match (self.grants.get_mut(&line.grant_id), &mut self.before) {
                (Some(grant), _) => {
                    move_in_grant(grant, entry.kind, outgoing, line.amount).map_err(|stop| sentence(&stop))?;
                }
                (None, Some(before)) => before.move_line(entry, line)?,
                (None, None) if line.is_debt() => {
                    move_in_debt(&mut self.account.standing.debt, entry.kind, line.amount).map_err(|stop| sentence(&stop))?;
                }
                (None, None) => return Err(format!("the entry {} draws from a grant that no entry made", entry.seq)),
            }
        }
        if let (EntryKind::Rollover, Some(grant)) = (entry.kind, entry.grant_id.and_then(|id| self.grants.get_mut(&id))) {
            grant.remaining = entry.draw.total();
        }
        if let Some(Terms::Blocked { blocked }) = entry.terms {
            self.account.standing.is_blocked = blocked;
        }
        if let Some(Terms::CreditLimit { credit_limit }) = &entry.terms {
            self.account.standing.credit_limit = *credit_limit;
        }
        if let Some(Terms::LowBalance { low_balance }) = &entry.terms {
            self.account.standing.low_balance = *low_balance;
        }
        self.end_or_amend_grant(entry);
        self.rebuild_hold(entry);
        self.rebuild_rule(entry);
        if let (Some(before), Some(terms)) = (&mut self.before, &entry.terms) {
            before.agree(terms);
        }
        Ok(())
    }

    fn end_or_amend_grant(&mut self, entry: &Entry) {
        let Some(id) = entry.grant_id else { return };
        let Some(grant) = self.grants.get_mut(&id) else {
            return self.before.iter_mut().for_each(|before| before.end_or_amend_grant(id, entry));
        };
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
            // The user stands in the text part of the entry.
            let terms = Arc::new(HoldTerms { user_id: entry.text.user_id.clone(), ..(**terms).clone() });
            let draw = entry.draw.clone();
            self.holds
                .insert(id, Hold { id, terms, state: HoldState::Frozen, expires_at: *expires_at, draw, captured: Amount::ZERO });
            return;
        }
        let Some(hold) = self.holds.get_mut(&id) else {
            return self.before.iter_mut().for_each(|before| before.move_hold(id, entry));
        };
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

    /// Whether text was erased in it, perhaps after its row was read.
    pub(crate) fn has_erased(&self) -> bool {
        self.has_erased
    }

    /// Grants that have ended: nothing can come of them but a refund. Without what the entries make of those from before.
    pub(crate) fn ended_grants<'a>(&'a self, image: &'a AccountImage) -> impl Iterator<Item = (GrantId, Option<&'a Grant>)> {
        let rebuilt = self.grants.values().filter(|grant| !grant.is_open()).map(|grant| (grant.id, Some(grant)));
        let moved = self.before.iter().flat_map(Before::grants).map(|id| (id, None));
        rebuilt.chain(moved.filter(|(id, _)| !image.facts.grants.contains_key(id)))
    }

    /// Holds that have ended, likewise.
    pub(crate) fn ended_holds<'a>(&'a self, image: &'a AccountImage) -> impl Iterator<Item = (HoldId, Option<&'a Hold>)> {
        let rebuilt = self.holds.values().filter(|hold| hold.state != HoldState::Frozen).map(|hold| (hold.id, Some(hold)));
        let moved = self.before.iter().flat_map(Before::holds).map(|id| (id, None));
        rebuilt.chain(moved.filter(|(id, _)| !image.open_holds.iter().any(|hold| hold.id == *id)))
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
        if self.before.is_some() {
            self.compare_totals_before(row);
        }
        self.compare_row(row);
        self.compare_times(image);
        // Operations are read after the row, so they may know of later refunds; of fewer they cannot. Those from before a
        // checkpoint are not read.
        if self.before.is_none() && self.noted_refunded < self.refunded {
            let message = format!("{} were refunded, and the operations know of {}", self.refunded, self.noted_refunded);
            self.fault(FaultKind::WrongOperation, None, None, message);
        }
        self.compare_grants(image);
        self.compare_holds(image);
        if self.before.is_some() {
            self.compare_rows_before(image);
        } else {
            self.compare_rules(image);
        }
    }

    fn compare_row(&mut self, row: &Account) {
        // What was agreed before a checkpoint is not read.
        if self.before.is_none() && self.account.standing != row.standing {
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
    fn compare_times(&mut self, image: &AccountImage) {
        let row = &image.facts.account;
        if row.last_at < self.account.last_at {
            let message = format!("the row was last booked at {}, its last entry at {}", row.last_at, self.account.last_at);
            self.fault(FaultKind::WrongAccount, None, None, message);
        }
        let (hold_due_at, due_at) = if self.before.is_some() { Rebuilt::due_of_rows(image) } else { self.due() };
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

    fn due(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let hold_due_at = self.holds.values().filter(|hold| hold.state == HoldState::Frozen).map(|hold| hold.expires_at).min();
        let of_rules = self.rules.values().filter_map(Rule::due_at).min();
        (hold_due_at, earliest(earliest(hold_due_at, of_rules), self.grants.values().filter_map(Grant::due_at).min()))
    }

    fn compare_grants(&mut self, image: &AccountImage) {
        let grants = std::mem::take(&mut self.grants);
        let rebuilt: Map<GrantId, &Grant> =
            grants.values().filter(|grant| grant.is_open()).map(|grant| (grant.id, grant)).collect();
        // Of what no entry made that was read, the row alone can tell.
        let is_compared = |id: &GrantId| self.before.is_none() || grants.contains_key(id);
        let older = image.facts.grants.keys().filter(|id| !is_compared(id)).count();
        let ids: Vec<GrantId> = union(rebuilt.keys(), image.facts.grants.keys()).into_iter().filter(is_compared).collect();
        if row_count_differs(image.facts.account.open_grants, rebuilt.len() + older) {
            let (row, counted) = (image.facts.account.open_grants, rebuilt.len() + older);
            let message = format!("the row counts {row} open grants, its entries {counted}");
            self.fault(FaultKind::WrongAccount, None, None, message);
        }
        for id in ids {
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
        let is_compared = |id: &HoldId| self.before.is_none() || holds.contains_key(id);
        let older = stored.keys().filter(|id| !is_compared(id)).count();
        let ids: Vec<HoldId> = union(rebuilt.keys(), stored.keys()).into_iter().filter(is_compared).collect();
        if row_count_differs(image.facts.account.open_holds, rebuilt.len() + older) {
            let (row, counted) = (image.facts.account.open_holds, rebuilt.len() + older);
            let message = format!("the row counts {row} open holds, its entries {counted}");
            self.fault(FaultKind::WrongAccount, None, None, message);
        }
        for id in ids {
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

pub(super) fn sentence(stop: &Stop) -> String {
    match stop {
        Stop::Denied(denial) => denial.message().to_owned(),
        Stop::Contradiction(what) => what.clone(),
    }
}
