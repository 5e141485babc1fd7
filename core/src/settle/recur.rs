//! What rules do at their boundaries, and how missed periods are folded.
//!
//! At a boundary the instance of the period that ends gives its unheld rest, up to the cap, to a new grant; what is left
//! expires; the next instance begins. From the first boundary after which both grants of the period are whole, nobody can have
//! touched them until now, so all later periods look alike: they are folded into one group of entries at the last boundary, which
//! adds up to what booking each would have.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Agenda, Due, end_grants};
use crate::amount::Amount;
use crate::credit::{Grant, GrantState, GrantTerms, Recurrence, Rule};
use crate::id::{GrantId, RuleId};
use crate::ledger::posting::{Line, Posting, Stop};
use crate::ledger::{Draw, EntryKind, Terms};
use crate::time::Timestamp;

/// The grants of a rule's present period.
#[derive(Clone, Copy, Default)]
struct Period {
    instance: Option<GrantId>,
    rollover: Option<GrantId>,
}

/// How far rules have come while an account is settled.
#[derive(Default)]
pub(super) struct Course {
    present: HashMap<RuleId, Period>,
    /// Up to which boundary a rule is folded when its event comes.
    folds: HashMap<RuleId, u32>,
    /// How much can be issued still, in millionths, with what pending grants will be.
    room: i128,
    /// All instances that begin by then find room.
    horizon: Timestamp,
}

impl Course {
    /// Looks up the rules of an account that is about to be settled, and when each is due.
    pub(super) fn of(posting: &Posting<'_>) -> (Course, Vec<(Timestamp, RuleId)>) {
        let due: Vec<_> =
            posting.running_rules().filter(|rule| rule.next_at <= posting.now).map(|rule| (rule.next_at, rule.id)).collect();
        if due.is_empty() {
            return (Course::default(), due);
        }
        let governed = posting.open_grants().filter(|grant| is_governed(posting, grant));
        let period = |grant: &Grant| Some((grant.terms.recurrence?.rule_id, Period { instance: Some(grant.id), rollover: None }));
        let totals = &posting.account.totals;
        let pending = posting.open_grants().filter(|grant| grant.state == GrantState::Pending).map(|grant| grant.remaining);
        let taken: i128 = pending.chain([totals.issued, totals.adjusted_in]).map(|amount| i128::from(amount.micros())).sum();
        let mut course = Course {
            present: governed.filter_map(period).collect(),
            room: i128::from(Amount::MAX.micros()) - taken,
            ..Course::default()
        };
        course.horizon = course.horizon(posting);
        (course, due)
    }

    /// The last instant up to which all instances that begin find room: now, but for accounts near the end of what can be counted.
    fn horizon(&self, posting: &Posting<'_>) -> Timestamp {
        let fits = |at: i64| {
            let Some(at) = Timestamp::from_micros(at) else { return false };
            let count = |rule: &Rule| rule.last_by(at).map_or(0, |last| i128::from(last - rule.next) + 1);
            posting.running_rules().map(|rule| count(rule) * i128::from(rule.terms.amount.micros())).sum::<i128>() <= self.room
        };
        let (mut earlier, mut later) = (Timestamp::MIN.micros(), posting.now.micros());
        if fits(later) {
            return posting.now;
        }
        while later - earlier > 1 {
            let middle = earlier + (later - earlier) / 2;
            if fits(middle) { earlier = middle } else { later = middle }
        }
        Timestamp::from_micros(earlier).unwrap_or(Timestamp::MIN)
    }
}

/// Whether this is the present instance of a rule that runs, with the end that the rule gave it: then its end is a boundary. One
/// that was voided, or whose expiry was moved, is a grant like any other.
pub(super) fn is_governed(posting: &Posting<'_>, grant: &Grant) -> bool {
    let Some(of) = grant.terms.recurrence.filter(|of| !of.rollover) else { return false };
    let next_at = |rule: &Rule| (rule.is_running() && of.k.checked_add(1) == Some(rule.next)).then_some(rule.next_at);
    grant.state == GrantState::Active
        && grant.expires_at.is_some()
        && posting.rule(of.rule_id).and_then(next_at) == grant.expires_at
}

/// Books what a rule does at `at`: its next boundary, or all those up to the one that it is folded to.
pub(super) fn recur(posting: &mut Posting<'_>, id: RuleId, at: Timestamp, agenda: &mut Agenda) -> Result<(), Stop> {
    let Some(rule) = posting.rule(id).filter(|rule| rule.is_running()).cloned() else { return Ok(()) };
    let period = agenda.course.present.remove(&id).unwrap_or_default();
    let fold = agenda.course.folds.remove(&id);
    let issued = i128::from(fold.map_or(1, |last| last.saturating_sub(rule.next).saturating_add(1)));
    let issued = issued * i128::from(rule.terms.amount.micros());
    if issued > agenda.course.room {
        return end_rule(posting, id, period, at, agenda);
    }
    agenda.course.room -= issued;
    let (ending, k) = match fold {
        Some(last) => (Some(fold_to(posting, &rule, period, last, at)?), last),
        None => (period.instance, rule.next),
    };
    let rollover = match ending {
        Some(ending) => carry_over(posting, &rule, ending, k, at)?,
        None => None,
    };
    let instance = make_instance(posting, &rule, k, at)?;
    agenda.course.present.insert(id, Period { instance: Some(instance), rollover });
    go_on(posting, id, agenda);
    Ok(())
}

/// The next instance would take what was given to the account out of range: the rule ends, as if it had been stopped.
fn end_rule(posting: &mut Posting<'_>, id: RuleId, period: Period, at: Timestamp, agenda: &mut Agenda) -> Result<(), Stop> {
    posting.post(Line::new(EntryKind::Amend, Draw::default(), at).terms(Terms::RuleEnd { rule_id: id }))?;
    if let Some(instance) = period.instance {
        agenda.push(at, Due::End, instance.uuid());
    }
    agenda.course.horizon = agenda.course.horizon(posting);
    Ok(())
}

/// Ends the period before, and books the instances between it and the last as one; what is left of it at `at` is a period's.
fn fold_to(posting: &mut Posting<'_>, rule: &Rule, before: Period, last: u32, at: Timestamp) -> Result<GrantId, Stop> {
    let before: Vec<GrantId> = before.instance.into_iter().chain(before.rollover).collect();
    end_grants(posting, &before, at)?;
    let periods = last.saturating_sub(rule.next);
    let amount = rule.terms.amount.micros().checked_mul(i64::from(periods)).map(Amount::from_micros);
    let amount = amount.ok_or_else(|| Stop::Contradiction(format!("the rule {} is folded beyond its room", rule.id)))?;
    let k = last.saturating_sub(1);
    let of = Recurrence { rule_id: rule.id, k, rollover: false, periods };
    let start = rule.terms.boundary(k).unwrap_or(at);
    let grant = grant_of(rule, GrantId::of_rule(rule.id, k, start, false), of, amount, (rule.next_at, at));
    begin(posting, EntryKind::Grant, grant, None, at)
}

/// Carries the unheld rest over to a grant of the period that begins, up to the cap; the remainder expires.
fn carry_over(posting: &mut Posting<'_>, rule: &Rule, ending: GrantId, k: u32, at: Timestamp) -> Result<Option<GrantId>, Stop> {
    let rest = posting.grant(ending).map_or(Amount::ZERO, |grant| grant.remaining);
    // Of folded periods only the last one has anything left.
    let carried = rest.min(rule.terms.full_rollover());
    let rollover = if carried.is_positive() {
        let of = Recurrence { rule_id: rule.id, k, rollover: true, periods: 1 };
        let grant = grant_of(rule, GrantId::of_rule(rule.id, k, at, true), of, carried, (at, rule.terms.until(k)));
        Some(begin(posting, EntryKind::Rollover, grant, Some(ending), at)?)
    } else {
        None
    };
    end_grants(posting, &[ending], at)?;
    Ok(rollover)
}

/// Makes instance `k` of a rule, booked as effective at `at`.
pub(crate) fn make_instance(posting: &mut Posting<'_>, rule: &Rule, k: u32, at: Timestamp) -> Result<GrantId, Stop> {
    let start = if k == rule.next { rule.next_at } else { rule.terms.boundary(k).unwrap_or(at) };
    let of = Recurrence { rule_id: rule.id, k, rollover: false, periods: 1 };
    let grant = grant_of(rule, GrantId::of_rule(rule.id, k, start, false), of, rule.terms.amount, (start, rule.terms.until(k)));
    begin(posting, EntryKind::Grant, grant, None, at)
}

fn grant_of(rule: &Rule, id: GrantId, of: Recurrence, amount: Amount, (from, until): (Timestamp, Timestamp)) -> Grant {
    let terms = GrantTerms {
        grant_type: rule.terms.grant_type,
        amount,
        effective_at: from,
        scope: rule.terms.scope.clone(),
        priority: rule.terms.priority,
        reissue_of: None,
        recurrence: Some(of),
        policy_tag: rule.terms.policy_tag.clone(),
        reason: None,
        metadata: None,
    };
    let state = GrantState::Active;
    Grant { id, terms: Arc::new(terms), expires_at: Some(until), state, remaining: Amount::ZERO, held: Amount::ZERO }
}

/// Makes a grant and books it: as issued, or as carried over `from` another.
fn begin(posting: &mut Posting<'_>, kind: EntryKind, grant: Grant, from: Option<GrantId>, at: Timestamp) -> Result<GrantId, Stop> {
    let (id, expires_at, terms) = (grant.id, grant.expires_at, Arc::clone(&grant.terms));
    posting.make_grant(grant);
    let draw = Draw::single(from.unwrap_or(id), terms.grant_type, terms.amount);
    posting.post(Line::new(kind, draw, at).about_grant(id).terms(Terms::Grant { expires_at, terms }))?;
    Ok(id)
}

/// What comes next for a rule whose present period has just begun.
fn go_on(posting: &Posting<'_>, id: RuleId, agenda: &mut Agenda) {
    let period = agenda.course.present.get(&id).copied().unwrap_or_default();
    let Some(rule) = posting.rule(id) else { return };
    let due = rule.due_at().filter(|at| *at <= posting.now);
    if due.is_some()
        && is_whole(posting, rule, period)
        && let Some(last) = rule.last_by(agenda.course.horizon).filter(|last| *last > rule.next)
        && let Some(at) = rule.terms.boundary(last)
    {
        agenda.course.folds.insert(id, last);
        agenda.push(at.max(rule.next_at), Due::Recur, id.uuid());
        return;
    }
    if let Some(at) = due {
        agenda.push(at, Due::Recur, id.uuid());
    }
    for grant in period.instance.into_iter().chain(period.rollover).filter_map(|id| posting.grant(id)) {
        if let Some(at) = grant.due_at().filter(|at| *at <= posting.now && !is_governed(posting, grant)) {
            agenda.push(at, Due::End, grant.id.uuid());
        }
    }
}

/// Whether the present period is as every later one will be. What is granted to an account that owes is not.
fn is_whole(posting: &Posting<'_>, rule: &Rule, period: Period) -> bool {
    let whole = |id: Option<GrantId>, amount: Amount| {
        let grant = id.and_then(|id| posting.grant(id));
        grant.map_or(Amount::ZERO, |grant| grant.remaining) == amount && grant.is_none_or(|grant| grant.held.is_zero())
    };
    posting.account.standing.debt.owed.is_zero()
        && whole(period.instance, rule.terms.amount)
        && whole(period.rollover, rule.terms.full_rollover())
}
