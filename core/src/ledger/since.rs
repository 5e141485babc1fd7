//! Verification from a checkpoint: an account is continued from its head, and what stood before is known by how it moved since.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::checkpoint::AccountHead;
use super::draw::DrawLine;
use super::entry::{Entry, EntryKind, Terms};
use super::posting::{earliest, move_in_debt, move_in_grant};
use super::verify::{FaultKind, Rebuilt, sentence};
use crate::amount::Amount;
use crate::credit::{Debt, Grant, GrantState, GrantTerms, GrantType, Hold, HoldState, Rule, Scope};
use crate::facts::{Account, Totals};
use crate::id::{GrantId, HoldId};
use crate::map::Map;
use crate::store::AccountImage;
use crate::time::Timestamp;

/// How the grants and holds that were there before have moved since.
#[derive(Default)]
pub(super) struct Before {
    grants: BTreeMap<GrantId, MovedGrant>,
    holds: BTreeMap<HoldId, MovedHold>,
    owed: Moved,
    held_debt: Moved,
}

#[derive(Default)]
struct MovedGrant {
    remaining: Moved,
    held: Moved,
    /// Where an amendment has put its expiry.
    expires_at: Option<Timestamp>,
    /// It became effective, or was taken back.
    state: Option<GrantState>,
}

#[derive(Default)]
struct MovedHold {
    held: Moved,
    captured: Moved,
    expires_at: Option<Timestamp>,
    state: Option<HoldState>,
}

/// A sum of changes, and the least that it was on the way.
#[derive(Default)]
struct Moved {
    sum: i128,
    least: i128,
}

impl Moved {
    fn add(&mut self, change: i128) {
        self.sum += change;
        self.least = self.least.min(self.sum);
    }

    /// Whether an amount that is this now was below zero at the beginning or on the way.
    fn was_negative(&self, now: Amount) -> bool {
        micros(now) - self.sum + self.least < 0
    }
}

impl Before {
    /// The grants that moved.
    pub(super) fn grants(&self) -> impl Iterator<Item = GrantId> {
        self.grants.keys().copied()
    }

    /// The holds that moved.
    pub(super) fn holds(&self) -> impl Iterator<Item = HoldId> {
        self.holds.keys().copied()
    }

    /// Moves a part of an entry through a grant from before, or through the debt.
    pub(super) fn move_line(&mut self, entry: &Entry, line: &DrawLine) -> Result<(), String> {
        if line.is_debt() {
            let (owed, held) = change_in_debt(entry, line)?;
            self.owed.add(owed);
            self.held_debt.add(held);
            return Ok(());
        }
        let grant = self.grants.entry(line.grant_id).or_default();
        if matches!(entry.kind, EntryKind::Grant | EntryKind::Import) {
            grant.state = Some(GrantState::Active); // It was pending, and had its amount already.
            return Ok(());
        }
        let (remaining, held) = change_in_grant(entry, line)?;
        grant.remaining.add(remaining);
        grant.held.add(held);
        Ok(())
    }

    /// Takes a grant back, or moves its expiry.
    pub(super) fn end_or_amend_grant(&mut self, id: GrantId, entry: &Entry) {
        let grant = self.grants.entry(id).or_default();
        match (entry.kind, &entry.terms) {
            (EntryKind::Void, _) => grant.state = Some(GrantState::Voided),
            (EntryKind::Amend, Some(Terms::Expiry { expires_at })) => grant.expires_at = Some(*expires_at),
            _ => {}
        }
    }

    /// What the entry did to a hold from before.
    pub(super) fn move_hold(&mut self, id: HoldId, entry: &Entry) {
        let hold = self.holds.entry(id).or_default();
        let total = micros(entry.draw.total());
        match entry.kind {
            EntryKind::Hold => hold.held.add(total),
            EntryKind::Capture => {
                hold.held.add(-total);
                hold.captured.add(total);
            }
            EntryKind::Release => hold.held.add(-total),
            _ => {}
        }
        match &entry.terms {
            Some(Terms::Expiry { expires_at }) => hold.expires_at = Some(*expires_at),
            Some(Terms::HoldState { state }) => hold.state = Some(*state),
            _ => {}
        }
    }
}

impl MovedGrant {
    /// What the row of the grant says that its entries since cannot have led to.
    fn contradicts(&self, row: &Grant) -> bool {
        self.remaining.was_negative(row.remaining)
            || self.held.was_negative(row.held)
            || self.expires_at.is_some_and(|at| row.expires_at != Some(at))
            || self.state.is_some_and(|state| row.state != state)
    }
}

impl MovedHold {
    fn contradicts(&self, row: &Hold) -> bool {
        self.held.was_negative(row.held())
            || self.captured.was_negative(row.captured)
            || self.expires_at.is_some_and(|at| row.expires_at != at)
            || self.state.is_some_and(|state| row.state != state)
    }
}

impl Rebuilt {
    /// An account that is continued from its head.
    pub(crate) fn after(head: &AccountHead) -> Rebuilt {
        let mut account = Account::new(Arc::clone(&head.account));
        account.seq = head.seq;
        account.available = head.balance_after;
        account.frozen = head.frozen_after;
        account.head = head.hash;
        account.last_at = head.created_at;
        Rebuilt::begin(account, Some(Before::default()))
    }

    /// Whether the entries since can have led to this row.
    pub(crate) fn led_to_grant(&self, row: &Grant) -> bool {
        self.before.as_ref().and_then(|before| before.grants.get(&row.id)).is_none_or(|moved| !moved.contradicts(row))
    }

    /// Whether the entries since can have led to this row.
    pub(crate) fn led_to_hold(&self, row: &Hold) -> bool {
        self.before.as_ref().and_then(|before| before.holds.get(&row.id)).is_none_or(|moved| !moved.contradicts(row))
    }

    /// The sums before the entries that were read: none was below zero, and they balance. Of them no more is known.
    pub(super) fn compare_totals_before(&mut self, row: &Account) {
        let (now, since) = (parts(&row.totals), parts(&self.account.totals));
        let negative = now.iter().zip(&since).any(|(now, since)| micros(*now) < micros(*since));
        let [issued, adjusted_in, out @ ..] = now.map(micros);
        let balances = issued + adjusted_in == micros(row.available) + micros(row.frozen) + out.iter().sum::<i128>();
        if negative || !balances {
            let message = format!("the totals of the row do not add up, or cannot have led here: {:?}", row.totals);
            self.fault(FaultKind::WrongAccount, None, None, message);
        }
        self.account.totals = row.totals;
    }

    /// When something becomes due in the account, as the rows of its grants and holds say.
    pub(super) fn due_of_rows(image: &AccountImage) -> (Option<Timestamp>, Option<Timestamp>) {
        let hold_due_at = image.open_holds.iter().map(|hold| hold.expires_at).min();
        let of_rules = image.facts.rules.values().filter_map(Rule::due_at).min();
        let of_grants = image.facts.grants.values().filter_map(Grant::due_at).min();
        (hold_due_at, earliest(earliest(hold_due_at, of_rules), of_grants))
    }

    /// Grants and holds from before: each can have been led to by what was read, and together they make up the balances.
    pub(super) fn compare_rows_before(&mut self, image: &AccountImage) {
        let wrong_grants = image.facts.grants.values().filter(|row| !self.led_to_grant(row)).map(|row| format!("{row:?}"));
        let wrong_holds = image.open_holds.iter().filter(|row| !self.led_to_hold(row)).map(|row| format!("{row:?}"));
        let wrong: Vec<(FaultKind, String)> = wrong_grants
            .map(|row| (FaultKind::WrongGrant, row))
            .chain(wrong_holds.map(|row| (FaultKind::WrongHold, row)))
            .collect();
        for (kind, row) in wrong {
            self.fault(kind, None, None, format!("the entries since the checkpoint cannot have led to {row}"));
        }
        let debt = image.facts.account.standing.debt;
        let led_to_debt = |before: &Before| !before.owed.was_negative(debt.owed) && !before.held_debt.was_negative(debt.held);
        if !self.before.as_ref().is_none_or(led_to_debt) {
            self.fault(
                FaultKind::WrongAccount,
                None,
                None,
                format!("the entries since the checkpoint cannot have led to {debt:?}"),
            );
        }
        self.compare_sums(image);
    }

    fn compare_sums(&mut self, image: &AccountImage) {
        let effective = image.facts.grants.values().filter(|grant| grant.state != GrantState::Pending);
        let remaining: i128 = effective.map(|grant| micros(grant.remaining)).sum();
        let debt = image.facts.account.standing.debt;
        if remaining - micros(debt.owed) - micros(debt.held) != micros(self.account.available) {
            let message = format!("the effective grants have not {}, which is available", self.account.available);
            self.fault(FaultKind::WrongGrant, None, None, message);
        }
        let mut held: Map<GrantId, i128> = Map::default();
        for line in image.open_holds.iter().flat_map(|hold| hold.draw.lines()) {
            *held.entry(line.grant_id).or_default() += micros(line.amount);
        }
        if held.values().sum::<i128>() != micros(self.account.frozen) {
            let message = format!("the open holds keep not {}, which is frozen", self.account.frozen);
            self.fault(FaultKind::WrongHold, None, None, message);
        }
        if held.remove(&GrantId::DEBT).unwrap_or(0) != micros(debt.held) {
            let message = format!("of the credit limit is {} held, and open holds say otherwise", debt.held);
            self.fault(FaultKind::WrongAccount, None, None, message);
        }
        for grant in image.facts.grants.values() {
            if held.remove(&grant.id).unwrap_or(0) != micros(grant.held) {
                let message = format!("of the grant {} are {} held, and open holds say otherwise", grant.id, grant.held);
                self.fault(FaultKind::WrongGrant, None, None, message);
            }
        }
        if let Some(id) = held.into_keys().min() {
            let message = format!("open holds keep credit of the grant {id}, which is not open");
            self.fault(FaultKind::WrongHold, None, None, message);
        }
    }
}

/// By how much an entry changes what is owed and what is held of a debt: booked in one that has just what is taken from it.
fn change_in_debt(entry: &Entry, line: &DrawLine) -> Result<(i128, i128), String> {
    let mut refused = String::new();
    for (owed, held) in [(Amount::ZERO, Amount::ZERO), (line.amount, Amount::ZERO), (Amount::ZERO, line.amount)] {
        let mut debt = Debt { owed, held };
        match move_in_debt(&mut debt, entry.kind, line.amount) {
            Ok(()) => return Ok((micros(debt.owed) - micros(owed), micros(debt.held) - micros(held))),
            Err(stop) => refused = sentence(&stop),
        }
    }
    Err(refused)
}

/// By how much an entry changes what remains and what is held of a grant: booked in one that has just what is taken from it.
fn change_in_grant(entry: &Entry, line: &DrawLine) -> Result<(i128, i128), String> {
    let outgoing = entry.change.is_negative();
    let mut refused = String::new();
    for (remaining, held) in [(Amount::ZERO, Amount::ZERO), (line.amount, Amount::ZERO), (Amount::ZERO, line.amount)] {
        let mut grant = Grant { remaining, held, ..some_grant(line) };
        match move_in_grant(&mut grant, entry.kind, outgoing, line.amount) {
            Ok(()) => return Ok((micros(grant.remaining) - micros(remaining), micros(grant.held) - micros(held))),
            Err(stop) => refused = sentence(&stop),
        }
    }
    Err(refused)
}

fn some_grant(line: &DrawLine) -> Grant {
    let terms = GrantTerms {
        grant_type: GrantType::Purchased,
        amount: Amount::ZERO,
        effective_at: Timestamp::MIN,
        scope: Scope::default(),
        priority: 0,
        reissue_of: None,
        recurrence: None,
        policy_tag: None,
        reason: None,
        metadata: None,
    };
    let (remaining, held) = (Amount::ZERO, Amount::ZERO);
    Grant { id: line.grant_id, terms: Arc::new(terms), expires_at: None, state: GrantState::Active, remaining, held }
}

fn micros(amount: Amount) -> i128 {
    i128::from(amount.micros())
}

/// What came in, then what went out.
const fn parts(totals: &Totals) -> [Amount; 6] {
    [totals.issued, totals.adjusted_in, totals.consumed, totals.expired, totals.forfeited, totals.adjusted_out]
}
