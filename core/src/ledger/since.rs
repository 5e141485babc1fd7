//! Verification from a checkpoint: an account is continued from its head, and what stood before is known by how it moved since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::checkpoint::AccountHead;
use super::draw::DrawLine;
use super::entry::{Entry, EntryKind, Terms};
use super::posting::{earliest, move_in_debt, move_in_grant};
use super::verify::{FaultKind, Rebuilt, sentence};
use crate::amount::Amount;
use crate::credit::{Debt, Grant, GrantState, GrantTerms, GrantType, Hold, HoldState, LowBalance, Rule, Scope, Standing};
use crate::facts::{Account, Totals};
use crate::id::{GrantId, HoldId, RuleId};
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
    rules: BTreeMap<RuleId, MovedRule>,
    credit_limit: Option<Amount>,
    low_balance: Option<Option<LowBalance>>,
    is_blocked: Option<bool>,
}

/// Where the last entry about a rule has put it.
enum MovedRule {
    Begun { next: u32, next_at: Timestamp },
    Ended,
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

impl Before {
    /// What was agreed since about the account, and where its rules went.
    pub(super) fn agree(&mut self, terms: &Terms) {
        match terms {
            Terms::CreditLimit { credit_limit } => self.credit_limit = Some(*credit_limit),
            Terms::LowBalance { low_balance } => self.low_balance = Some(*low_balance),
            Terms::Blocked { blocked } => self.is_blocked = Some(*blocked),
            Terms::RuleEnd { rule_id } => _ = self.rules.insert(*rule_id, MovedRule::Ended),
            Terms::Grant { expires_at: Some(next_at), terms } => {
                if let Some(of) = terms.recurrence.filter(|of| !of.rollover) {
                    let begun = MovedRule::Begun { next: of.k.saturating_add(1), next_at: *next_at };
                    self.rules.insert(of.rule_id, begun);
                }
            }
            _ => {}
        }
    }

    /// Whether what the row says is agreed can be so.
    fn led_to_standing(&self, standing: &Standing) -> bool {
        !self.owed.was_negative(standing.debt.owed)
            && !self.held_debt.was_negative(standing.debt.held)
            && self.credit_limit.is_none_or(|limit| limit == standing.credit_limit)
            && self.low_balance.is_none_or(|low| low == standing.low_balance)
            && self.is_blocked.is_none_or(|blocked| blocked == standing.is_blocked)
    }

    /// Whether a rule can be so; none for one that runs no more.
    fn led_to_rule(&self, id: RuleId, row: Option<&Rule>) -> bool {
        match (self.rules.get(&id), row) {
            (Some(MovedRule::Begun { next, next_at }), Some(row)) => (row.next, row.next_at) == (*next, *next_at),
            (Some(MovedRule::Ended), row) => row.is_none(),
            // It may have ended with its last instance.
            (Some(MovedRule::Begun { .. }), None) | (None, _) => true,
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
        let standing = &image.facts.account.standing;
        if !self.before.as_ref().is_none_or(|before| before.led_to_standing(standing)) {
            let message = format!("the entries since the checkpoint cannot have led to {standing:?}");
            self.fault(FaultKind::WrongAccount, None, None, message);
        }
        self.compare_rules_before(image);
        self.compare_sums(image);
    }

    /// The rules that run are as many as the row says; those made since are as they were made, the others where they went.
    fn compare_rules_before(&mut self, image: &AccountImage) {
        let rows = &image.facts.rules;
        if usize::try_from(image.facts.account.standing.rules) != Ok(rows.len()) {
            let message = format!("the row counts {} rules that run, there are {}", image.facts.account.standing.rules, rows.len());
            self.fault(FaultKind::WrongAccount, None, None, message);
        }
        let Some(before) = &self.before else { return };
        let wrong = |id: &RuleId| match self.rules.get(id) {
            Some(rule) => rows.get(id) != Some(rule).filter(|rule| rule.is_running()),
            None => !before.led_to_rule(*id, rows.get(id)),
        };
        let ids: BTreeSet<RuleId> = self.rules.keys().chain(before.rules.keys()).chain(rows.keys()).copied().collect();
        for id in ids.into_iter().filter(wrong).collect::<Vec<_>>() {
            let message = format!("the entries since the checkpoint cannot have led to the rule {id} as {:?}", rows.get(&id));
            self.fault(FaultKind::WrongRule, None, None, message);
        }
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
