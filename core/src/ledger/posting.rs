//! Booking: the one place where balances, grants and holds change, entry by entry.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use super::chain::text_hash;
use super::draw::{Draw, DrawLine};
use super::entry::{Entry, EntryKind, EntryText, Terms};
use super::rules::{rule_after, rule_of};
use crate::amount::Amount;
use crate::credit::{Band, Debt, Grant, GrantState, GrantType, Hold, HoldState, Member, MemberUses, Rule, counted_amount};
use crate::denial::Denial;
use crate::facts::{Account, AccountFacts, Facts, Totals};
use crate::id::{AppId, GrantId, HoldId, OpId, RuleId, TaskId, TemplateId};
use crate::licence::{LicenceRows, LicenceUses, Stand};
use crate::map::Map;
use crate::owner::MemberKey;
use crate::risk::{RiskRows, RiskUses, Tally};
use crate::time::Timestamp;

/// Why a command is not booked.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    /// The rules refuse it.
    Denied(Denial),
    /// The facts contradict themselves: a store lost or changed something.
    Contradiction(String),
}

impl From<Denial> for Stop {
    fn from(denial: Denial) -> Stop {
        Stop::Denied(denial)
    }
}

/// One entry to be booked.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    kind: EntryKind,
    draw: Draw,
    outgoing: bool,
    terms: Option<Terms>,
    hold_id: Option<HoldId>,
    grant_id: Option<GrantId>,
    task_id: Option<TaskId>,
    template_id: Option<TemplateId>,
    app_id: Option<AppId>,
    text: EntryText,
    effective_at: Timestamp,
}

impl Line {
    pub(crate) fn new(kind: EntryKind, draw: Draw, effective_at: Timestamp) -> Line {
        Line {
            kind,
            draw,
            outgoing: false,
            terms: None,
            hold_id: None,
            grant_id: None,
            task_id: None,
            template_id: None,
            app_id: None,
            text: EntryText::default(),
            effective_at,
        }
    }

    /// An adjustment that takes.
    pub(crate) fn outgoing(mut self) -> Line {
        self.outgoing = true;
        self
    }

    /// An entry about this hold.
    pub(crate) fn about_hold(mut self, hold: &Hold) -> Line {
        self.hold_id = Some(hold.id);
        self.work(hold.terms.task_id.as_ref(), hold.terms.template_id.as_ref(), hold.terms.app_id.as_ref())
    }

    /// An entry that makes, amends or ends this grant.
    pub(crate) fn about_grant(mut self, grant_id: GrantId) -> Line {
        self.grant_id = Some(grant_id);
        self
    }

    /// What the credit was used for.
    pub(crate) fn work(mut self, task: Option<&TaskId>, template: Option<&TemplateId>, app: Option<&AppId>) -> Line {
        self.task_id = task.cloned();
        self.template_id = template.cloned();
        self.app_id = app.cloned();
        self
    }

    pub(crate) fn terms(mut self, terms: Terms) -> Line {
        self.terms = Some(terms.without_text());
        self
    }

    pub(crate) fn text(mut self, text: EntryText) -> Line {
        self.text = text;
        self
    }
}

/// What an account was before a command is booked in it.
pub(crate) enum Before<'a> {
    Known(&'a AccountFacts),
    New(Box<AccountFacts>),
}

impl Deref for Before<'_> {
    type Target = AccountFacts;

    fn deref(&self) -> &AccountFacts {
        match self {
            Before::Known(facts) => facts,
            Before::New(facts) => facts,
        }
    }
}

/// An account while a command is booked in it: what it was, and what has changed so far.
pub(crate) struct Posting<'a> {
    pub(crate) op_id: OpId,
    pub(crate) now: Timestamp,
    /// The row as it stands now.
    pub(crate) account: Account,
    pub(crate) entries: Vec<Entry>,
    /// What the members of the organization have used, if one owns the account.
    pub(crate) members: MemberUses<'a>,
    /// How often the licences of its work are used.
    pub(crate) licences: LicenceUses<'a>,
    /// What risk controls count.
    pub(crate) risk: RiskUses<'a>,
    before: Before<'a>,
    named: Option<&'a Facts>,
    grants: Map<GrantId, Grant>,
    made_grants: Vec<GrantId>,
    holds: Map<HoldId, Hold>,
    made_holds: Vec<HoldId>,
    rules: BTreeMap<RuleId, Rule>,
    made_rules: Vec<RuleId>,
    settled: usize,
}

impl<'a> Posting<'a> {
    /// Begins to book in an account. `named` are the facts of the command: closed grants and named holds stand there.
    pub(crate) fn new(before: Before<'a>, named: Option<&'a Facts>, op_id: OpId, now: Timestamp) -> Posting<'a> {
        Posting {
            op_id,
            now,
            account: before.account.clone(),
            entries: Vec::with_capacity(1),
            members: MemberUses::default(),
            licences: LicenceUses::default(),
            risk: RiskUses::default(),
            before,
            named,
            grants: Map::default(),
            made_grants: Vec::new(),
            holds: Map::default(),
            made_holds: Vec::new(),
            rules: BTreeMap::new(),
            made_rules: Vec::new(),
            settled: 0,
        }
    }

    /// What was booked so far had become due before the command.
    pub(crate) fn mark_settled(&mut self) {
        self.settled = self.entries.len();
    }

    /// How many entries booked what had become due before the command.
    pub(crate) fn settled_count(&self) -> u16 {
        u16::try_from(self.settled).unwrap_or(u16::MAX)
    }

    /// The ordinal of the next entry: ids of what it makes derive from it.
    pub(crate) fn next_ordinal(&self) -> Result<u16, Stop> {
        u16::try_from(self.entries.len() + 1).map_err(|_| Stop::Contradiction("an operation has more than 65,535 entries".into()))
    }

    /// A grant as it stands now.
    pub(crate) fn grant(&self, id: GrantId) -> Option<&Grant> {
        self.grants
            .get(&id)
            .or_else(|| self.before.grants.get(&id))
            .or_else(|| self.named.and_then(|facts| facts.grants.get(&id)).map(|(_, grant)| grant))
    }

    /// All grants that can be drawn or become due, as they stand now.
    pub(crate) fn open_grants(&self) -> impl Iterator<Item = &Grant> {
        let untouched = self.before.grants.values().filter(|grant| !self.grants.contains_key(&grant.id));
        untouched.chain(self.grants.values().filter(|grant| grant.is_open()))
    }

    /// How many grants are open now.
    pub(crate) fn open_grant_count(&self) -> usize {
        let opened = self.grants.values().filter(|grant| grant.is_open()).count();
        let touched_before = self.grants.keys().filter(|id| self.before.grants.contains_key(*id)).count();
        self.before.grants.len() + opened - touched_before
    }

    /// A hold as it stands now.
    pub(crate) fn hold(&self, id: HoldId) -> Option<&Hold> {
        self.holds
            .get(&id)
            .or_else(|| self.before.due_holds.get(&id))
            .or_else(|| self.named.and_then(|facts| facts.holds.get(&id)).map(|(_, hold)| hold))
    }

    /// The frozen holds whose time is over.
    pub(crate) fn due_holds(&self) -> impl Iterator<Item = &Hold> {
        self.before.due_holds.values().filter(|hold| !self.holds.contains_key(&hold.id) && hold.expires_at <= self.now)
    }

    /// The earliest expiry after now of the holds that were frozen before.
    pub(crate) fn next_hold_at(&self) -> Option<Timestamp> {
        self.before.next_hold_at
    }

    /// A rule as it stands now.
    pub(crate) fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.rules
            .get(&id)
            .or_else(|| self.before.rules.get(&id))
            .or_else(|| self.named.and_then(|facts| facts.rules.get(&id)).map(|(_, rule)| rule))
    }

    /// The rules that run now.
    pub(crate) fn running_rules(&self) -> impl Iterator<Item = &Rule> {
        let untouched = self.before.rules.values().filter(|rule| !self.rules.contains_key(&rule.id));
        untouched.chain(self.rules.values().filter(|rule| rule.is_running()))
    }

    /// Adds a grant with nothing in it yet (or pending): the entry that makes it fills it.
    pub(crate) fn make_grant(&mut self, grant: Grant) {
        self.made_grants.push(grant.id);
        self.grants.insert(grant.id, grant);
    }

    /// Adds a hold, or replaces one that is changed.
    pub(crate) fn put_hold(&mut self, hold: Hold) {
        let counted = self.hold(hold.id).map(counted_amount);
        self.members.recount(&self.account.key, counted, &hold, self.now);
        let stood = self.hold(hold.id).map_or(Stand::Free, Stand::of);
        self.licences.recount(&self.account.key, stood, &hold, self.now);
        let tally = self.hold(hold.id).map(Tally::of).unwrap_or_default();
        self.risk.recount(&self.account.key, &tally, &hold, self.now);
        let known = self.hold(hold.id).map(|known| known.state);
        if known.is_none() {
            self.made_holds.push(hold.id);
        }
        let was_frozen = known == Some(HoldState::Frozen);
        let is_frozen = hold.state == HoldState::Frozen;
        let open_holds = self.account.open_holds;
        self.account.open_holds = open_holds.saturating_add(u32::from(is_frozen)).saturating_sub(u32::from(was_frozen));
        if is_frozen {
            self.account.hold_due_at = earliest(self.account.hold_due_at, Some(hold.expires_at));
        } else if self.account.open_holds == 0 {
            self.account.hold_due_at = None;
        }
        self.holds.insert(hold.id, hold);
    }

    /// Changes a grant's expiry or state.
    pub(crate) fn put_grant(&mut self, grant: Grant) {
        self.grants.insert(grant.id, grant);
    }

    /// Books one entry: grants, balances and contra accounts change together, and the chain grows by one link.
    pub(crate) fn post(&mut self, line: Line) -> Result<(), Stop> {
        let flow = Flow::of(line.kind, line.outgoing);
        for part in line.draw.lines() {
            self.move_in_grant(line.kind, line.outgoing, part)?;
        }
        let total = line.draw.total();
        if let (EntryKind::Rollover, Some(id)) = (line.kind, line.grant_id) {
            let missing = || Stop::Contradiction(format!("the grant {id} is carried over to but not there"));
            let grant = self.grants.get_mut(&id).ok_or_else(missing)?;
            grant.remaining = sum(grant.remaining, total)?;
        }
        if let Some(id) = line.terms.as_ref().and_then(rule_of) {
            self.move_rule(id, &line);
        }
        let change = flow.available.of(total)?;
        let frozen_change = flow.frozen.of(total)?;
        self.account.available = sum(self.account.available, change)?;
        self.account.frozen = sum(self.account.frozen, frozen_change)?;
        flow.book_contra(&mut self.account.totals, total)?;
        self.account.seq = self.account.seq.saturating_add(1);
        let mut entry = Entry {
            op_id: self.op_id,
            ordinal: self.next_ordinal()?,
            account: Arc::clone(&self.account.key),
            seq: self.account.seq,
            kind: line.kind,
            change,
            frozen_change,
            balance_after: self.account.available,
            frozen_after: self.account.frozen,
            draw: line.draw,
            terms: line.terms,
            hold_id: line.hold_id,
            grant_id: line.grant_id,
            task_id: line.task_id,
            template_id: line.template_id,
            app_id: line.app_id,
            text: line.text,
            erased_text_hash: None,
            effective_at: line.effective_at,
            created_at: self.now,
            hash: super::ChainHash::default(),
        };
        entry.hash = entry.chain_after(&self.account.head, &text_hash(&entry.text));
        self.account.head = entry.hash;
        self.entries.push(entry);
        Ok(())
    }

    /// What comes with a grant of this amount: first what is owed is repaid, the rest is in the grant.
    pub(crate) fn issued(&self, id: GrantId, grant_type: GrantType, amount: Amount) -> Draw {
        let repaid = self.account.standing.repaid_by(amount);
        let mut draw = Draw::single(id, grant_type, amount.checked_sub(repaid).unwrap_or_default());
        if repaid.is_positive() {
            draw.push(DrawLine::debt(repaid));
        }
        draw
    }

    fn move_in_grant(&mut self, kind: EntryKind, outgoing: bool, part: &DrawLine) -> Result<(), Stop> {
        if part.is_debt() {
            return move_in_debt(&mut self.account.standing.debt, kind, part.amount);
        }
        let missing = || Stop::Contradiction(format!("the grant {} is drawn from but not there", part.grant_id));
        let mut grant = self.grant(part.grant_id).cloned().ok_or_else(missing)?;
        move_in_grant(&mut grant, kind, outgoing, part.amount)?;
        self.grants.insert(grant.id, grant);
        Ok(())
    }

    /// Rules follow from entries, as everything does: from the one that makes a rule, from each instance, from the one that ends it.
    fn move_rule(&mut self, id: RuleId, line: &Line) {
        let before = self.rule(id).cloned();
        let was_running = before.as_ref().is_some_and(Rule::is_running);
        if before.is_none() {
            self.made_rules.push(id);
        }
        if let Some(rule) = line.terms.as_ref().and_then(|terms| rule_after(before, terms, &line.text)) {
            let rules = &mut self.account.standing.rules;
            *rules = rules.saturating_add(u32::from(rule.is_running())).saturating_sub(u32::from(was_running));
            self.rules.insert(id, rule);
        }
    }

    /// Nothing becomes due before this. Exact after everything due was booked, else a lower bound.
    fn due_at(&self, settled: bool) -> Option<Timestamp> {
        let grants_due = |grants: &mut dyn Iterator<Item = &Grant>| grants.filter_map(Grant::due_at).min();
        let of_grants = if settled {
            grants_due(&mut self.open_grants())
        } else {
            earliest(self.before.account.due_at, grants_due(&mut self.grants.values()))
        };
        let of_rules = if settled {
            self.running_rules().filter_map(Rule::due_at).min()
        } else {
            self.rules.values().filter_map(Rule::due_at).min()
        };
        earliest(earliest(of_grants, of_rules), self.account.hold_due_at)
    }

    /// Ends the booking: the row as it stands, and what changed.
    pub(crate) fn finish(mut self) -> Booked {
        let settled = self.before.account.due_at.is_some_and(|due| due <= self.now);
        // With no open hold and no grant touched that could have set it, the bound may be that of a hold that has ended.
        let stale = self.before.account.due_at.is_some() && self.before.account.due_at == self.before.account.hold_due_at;
        self.account.due_at = self.due_at(settled || stale);
        self.account.open_grants = u32::try_from(self.open_grant_count()).unwrap_or(u32::MAX);
        self.account.last_at = self.now;
        self.account.standing.band = self.account.standing.band_at(self.account.available);
        let band = self.account.standing.band;
        let made_grants = taken(&self.made_grants, |id| self.grants.remove(id));
        let made_holds = taken(&self.made_holds, |id| self.holds.remove(id));
        let made_rules = taken(&self.made_rules, |id| self.rules.remove(id));
        let mut changed_grants: Vec<Grant> = self.grants.into_values().collect();
        let mut changed_holds: Vec<Hold> = if self.holds.is_empty() { Vec::new() } else { self.holds.into_values().collect() };
        let changed_rules = if self.rules.is_empty() { Vec::new() } else { self.rules.into_values().collect() };
        changed_grants.sort_unstable_by_key(|grant| grant.id);
        changed_holds.sort_unstable_by_key(|hold| hold.id);
        Booked {
            band: (band != self.before.account.standing.band).then_some(band),
            account_is_new: self.before.account.seq == 0,
            account: Some(self.account),
            entries: self.entries,
            made_grants,
            changed_grants,
            made_holds,
            changed_holds,
            made_rules,
            changed_rules,
            changed_members: self.members.into_changed(),
            changed_licences: self.licences.into_rows(),
            changed_risk: self.risk.into_rows(),
        }
    }
}

/// What stands under these names, which is mostly none.
fn taken<K, V>(names: &[K], take: impl FnMut(&K) -> Option<V>) -> Vec<V> {
    if names.is_empty() { Vec::new() } else { names.iter().filter_map(take).collect() }
}

/// What was booked.
#[derive(Default)]
pub(crate) struct Booked {
    pub(crate) account: Option<Account>,
    pub(crate) account_is_new: bool,
    /// The band that the balance went to; none if it stayed in its band.
    pub(crate) band: Option<Band>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) made_grants: Vec<Grant>,
    pub(crate) changed_grants: Vec<Grant>,
    pub(crate) made_holds: Vec<Hold>,
    pub(crate) changed_holds: Vec<Hold>,
    pub(crate) made_rules: Vec<Rule>,
    pub(crate) changed_rules: Vec<Rule>,
    pub(crate) changed_members: Vec<(MemberKey, Member)>,
    pub(crate) changed_licences: LicenceRows,
    pub(crate) changed_risk: RiskRows,
}

/// The earlier of two instants, where there is one.
pub(crate) fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Whether a kind adds to a balance, takes from it, or leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Plus,
    Minus,
    None,
}

impl Sign {
    fn of(self, amount: Amount) -> Result<Amount, Stop> {
        match self {
            Sign::Plus => Ok(amount),
            Sign::Minus => amount.checked_neg().ok_or_else(out_of_range),
            Sign::None => Ok(Amount::ZERO),
        }
    }
}

/// The contra accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contra {
    Issued,
    AdjustedIn,
    Consumed,
    Refunded,
    Expired,
    Forfeited,
    AdjustedOut,
    None,
}

/// Between which balances a kind moves an amount. Every row balances: that is double entry.
#[derive(Clone, Copy, Debug)]
struct Flow {
    available: Sign,
    frozen: Sign,
    contra: Contra,
}

impl Flow {
    const fn of(kind: EntryKind, outgoing: bool) -> Flow {
        let (available, frozen, contra) = match kind {
            EntryKind::Grant | EntryKind::Import => (Sign::Plus, Sign::None, Contra::Issued),
            EntryKind::Hold => (Sign::Minus, Sign::Plus, Contra::None),
            EntryKind::Capture => (Sign::None, Sign::Minus, Contra::Consumed),
            EntryKind::Release => (Sign::Plus, Sign::Minus, Contra::None),
            EntryKind::Charge => (Sign::Minus, Sign::None, Contra::Consumed),
            EntryKind::Refund | EntryKind::Reissue => (Sign::Plus, Sign::None, Contra::Refunded),
            EntryKind::Expire => (Sign::Minus, Sign::None, Contra::Expired),
            EntryKind::Void => (Sign::Minus, Sign::None, Contra::Forfeited),
            EntryKind::Adjust if outgoing => (Sign::Minus, Sign::None, Contra::AdjustedOut),
            EntryKind::Adjust => (Sign::Plus, Sign::None, Contra::AdjustedIn),
            EntryKind::Extend | EntryKind::Amend | EntryKind::Rollover => (Sign::None, Sign::None, Contra::None),
        };
        Flow { available, frozen, contra }
    }

    fn book_contra(self, totals: &mut Totals, amount: Amount) -> Result<(), Stop> {
        let total = match self.contra {
            Contra::Issued => &mut totals.issued,
            Contra::AdjustedIn => &mut totals.adjusted_in,
            Contra::Consumed | Contra::Refunded => &mut totals.consumed,
            Contra::Expired => &mut totals.expired,
            Contra::Forfeited => &mut totals.forfeited,
            Contra::AdjustedOut => &mut totals.adjusted_out,
            Contra::None => return Ok(()),
        };
        let change = if self.contra == Contra::Refunded { Sign::Minus.of(amount)? } else { amount };
        *total = sum(*total, change)?;
        // Both sides of the equation stay in range when what came in does.
        sum(totals.issued, totals.adjusted_in).map(|_| ())
    }
}

/// Books an entry that was read in an account that is rebuilt, and says what does not add up.
pub(crate) fn book_entry(account: &mut Account, entry: &Entry) -> Result<(), String> {
    let flow = Flow::of(entry.kind, entry.change.is_negative());
    let total = entry.draw.total();
    let wrong = |_: Stop| format!("the entry {} takes a balance out of range", entry.seq);
    let (change, frozen_change) = (flow.available.of(total).map_err(wrong)?, flow.frozen.of(total).map_err(wrong)?);
    let (available, frozen) = (sum(account.available, change).map_err(wrong)?, sum(account.frozen, frozen_change).map_err(wrong)?);
    flow.book_contra(&mut account.totals, total).map_err(wrong)?;
    if (change, frozen_change) != (entry.change, entry.frozen_change) {
        return Err(format!(
            "the entry {} changes ({}, {}), its draw ({change}, {frozen_change})",
            entry.seq, entry.change, entry.frozen_change
        ));
    }
    if (available, frozen) != (entry.balance_after, entry.frozen_after) {
        let says = (entry.balance_after, entry.frozen_after);
        return Err(format!("the entry {} leaves ({}, {}), and should leave ({available}, {frozen})", entry.seq, says.0, says.1));
    }
    Ok(())
}

/// Moves a part of an entry through its grant. Verification rebuilds grants with the same function.
pub(crate) fn move_in_grant(grant: &mut Grant, kind: EntryKind, outgoing: bool, amount: Amount) -> Result<(), Stop> {
    let short = |id: GrantId| Stop::Contradiction(format!("the grant {id} has less than is taken from it"));
    let take = |from: Amount, id: GrantId| from.checked_sub(amount).filter(|rest| !rest.is_negative()).ok_or_else(|| short(id));
    match kind {
        EntryKind::Grant | EntryKind::Import if grant.state == GrantState::Pending => {
            (grant.state, grant.remaining) = (GrantState::Active, amount);
        }
        EntryKind::Grant | EntryKind::Import | EntryKind::Refund | EntryKind::Reissue => {
            grant.remaining = sum(grant.remaining, amount)?
        }
        EntryKind::Adjust if !outgoing => grant.remaining = sum(grant.remaining, amount)?,
        EntryKind::Charge | EntryKind::Expire | EntryKind::Void | EntryKind::Adjust | EntryKind::Rollover => {
            grant.remaining = take(grant.remaining, grant.id)?
        }
        EntryKind::Hold => {
            grant.remaining = take(grant.remaining, grant.id)?;
            grant.held = sum(grant.held, amount)?;
        }
        EntryKind::Capture => grant.held = take(grant.held, grant.id)?,
        EntryKind::Release => {
            grant.held = take(grant.held, grant.id)?;
            grant.remaining = sum(grant.remaining, amount)?;
        }
        EntryKind::Extend | EntryKind::Amend => {}
    }
    Ok(())
}

/// Moves a part of an entry that is drawn on the credit limit. Verification rebuilds the debt with the same function.
pub(crate) fn move_in_debt(debt: &mut Debt, kind: EntryKind, amount: Amount) -> Result<(), Stop> {
    let beyond = || Stop::Contradiction("less is drawn on the credit limit than is taken back".to_owned());
    let take = |from: Amount| from.checked_sub(amount).filter(|rest| !rest.is_negative()).ok_or_else(beyond);
    match kind {
        EntryKind::Charge => debt.owed = sum(debt.owed, amount)?,
        EntryKind::Hold => debt.held = sum(debt.held, amount)?,
        EntryKind::Capture => (debt.held, debt.owed) = (take(debt.held)?, sum(debt.owed, amount)?),
        EntryKind::Release => debt.held = take(debt.held)?,
        EntryKind::Grant | EntryKind::Import | EntryKind::Adjust | EntryKind::Refund | EntryKind::Reissue => {
            debt.owed = take(debt.owed)?;
        }
        EntryKind::Expire | EntryKind::Void | EntryKind::Extend | EntryKind::Amend | EntryKind::Rollover => {
            return Err(Stop::Contradiction(format!("an entry of kind {kind} is drawn on the credit limit")));
        }
    }
    Ok(())
}

fn sum(one: Amount, other: Amount) -> Result<Amount, Stop> {
    one.checked_add(other).ok_or_else(out_of_range)
}

fn out_of_range() -> Stop {
    let range = "a balance between -9223372036854.775808 and 9223372036854.775807";
    Stop::Denied(
        Denial::new(crate::denial::DenialKind::AmountInvalid, "the amount takes a balance out of range")
            .with("field", "amount")
            .with("allowed", range),
    )
}
