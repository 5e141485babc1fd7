//! Books what has become due: the release of holds whose time is over, the expiry of grants, the beginning of those that
//! become effective, the boundaries of rules.

pub(crate) mod recur;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use uuid::Uuid;

use crate::credit::{Grant, GrantState, HoldState, MemberUses};
use crate::error::Error;
use crate::facts::AccountFacts;
use crate::id::{GrantId, HoldId, OpId, RuleId};
use crate::ledger::posting::{Before, Line, Posting, Stop};
use crate::ledger::{Draw, DrawLine, EntryKind, EntryText};
use crate::time::Timestamp;

/// What becomes due. At one instant a release comes before an expiry, an expiry before a beginning, and that before a boundary of
/// a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Release,
    End,
    Begin,
    Recur,
}

/// What is due, the first first: by time, kind, id.
struct Agenda {
    events: BinaryHeap<Reverse<(Timestamp, Due, Uuid)>>,
    course: recur::Course,
}

impl Agenda {
    fn of(posting: &Posting<'_>) -> Agenda {
        let now = posting.now;
        let holds = posting.due_holds().map(|hold| (hold.expires_at, Due::Release, hold.id.uuid()));
        let grants = posting.open_grants().filter_map(|grant| {
            let due = if grant.state == GrantState::Pending { Due::Begin } else { Due::End };
            let at = grant.due_at().filter(|at| *at <= now && !recur::is_governed(posting, grant));
            at.map(|at| (at, due, grant.id.uuid()))
        });
        let (course, rules) = recur::Course::of(posting);
        let rules = rules.into_iter().map(|(at, id)| (at, Due::Recur, id.uuid()));
        Agenda { events: holds.chain(grants).chain(rules).map(Reverse).collect(), course }
    }

    fn push(&mut self, at: Timestamp, due: Due, id: Uuid) {
        self.events.push(Reverse((at, due, id)));
    }
}

/// Books everything due by the posting's `now`, in order of (effective time, release before expire before begin before recur, id).
pub(crate) fn settle(posting: &mut Posting<'_>) -> Result<(), Stop> {
    if posting.account.due_at.is_none_or(|due| due > posting.now) {
        return Ok(());
    }
    let mut agenda = Agenda::of(posting);
    if posting.account.hold_due_at.is_some_and(|due| due <= posting.now) {
        posting.account.hold_due_at = posting.next_hold_at();
    }
    while let Some(Reverse((at, due, id))) = agenda.events.pop() {
        match due {
            Due::Release => release_hold(posting, HoldId::from_uuid(id), at, &mut agenda)?,
            Due::End => {
                let mut ended = vec![GrantId::from_uuid(id)];
                while let Some(Reverse((_, _, id))) = agenda.events.peek().filter(|next| (next.0.0, next.0.1) == (at, Due::End)) {
                    ended.push(GrantId::from_uuid(*id));
                    agenda.events.pop();
                }
                end_grants(posting, &ended, at)?;
            }
            Due::Begin => begin_grant(posting, GrantId::from_uuid(id), at, &mut agenda)?,
            Due::Recur => recur::recur(posting, RuleId::from_uuid(id), at, &mut agenda)?,
        }
    }
    Ok(())
}

/// An account as it stands at `at`, everything due by then settled. The result is for reading; nothing is booked.
///
/// # Errors
/// [`Error::Corrupt`] when the facts contradict themselves.
pub(crate) fn read(facts: &AccountFacts, at: Timestamp) -> Result<AccountFacts, Error> {
    let mut posting = Posting::new(Before::Known(facts), None, OpId::from_uuid(Uuid::nil()), at);
    settle(&mut posting).map_err(contradiction)?;
    let booked = posting.finish();
    let mut settled = facts.clone();
    settled.account = booked.account.unwrap_or(settled.account);
    settled.account.last_at = facts.account.last_at;
    // Its version is that of what is booked.
    settled.account.seq = facts.account.seq;
    settled.account.head = facts.account.head;
    for grant in booked.made_grants.into_iter().chain(booked.changed_grants) {
        if grant.is_open() {
            settled.grants.insert(grant.id, grant);
        } else {
            settled.grants.remove(&grant.id);
        }
    }
    for hold in booked.changed_holds {
        settled.due_holds.remove(&hold.id);
    }
    for rule in booked.changed_rules {
        if rule.is_running() {
            settled.rules.insert(rule.id, rule);
        } else {
            settled.rules.remove(&rule.id);
        }
    }
    Ok(settled)
}

/// What members have used once everything due by `at` in an account of their organization was booked. Nothing is booked.
///
/// # Errors
/// [`Error::Corrupt`] when the facts contradict themselves.
pub(crate) fn read_uses<'a>(facts: &'a AccountFacts, uses: MemberUses<'a>, at: Timestamp) -> Result<MemberUses<'a>, Error> {
    let mut posting = Posting::new(Before::Known(facts), None, OpId::from_uuid(Uuid::nil()), at);
    posting.members = uses;
    settle(&mut posting).map_err(contradiction)?;
    Ok(posting.members)
}

fn contradiction(stop: Stop) -> Error {
    match stop {
        Stop::Denied(denial) => Error::Corrupt(denial.message().to_owned()),
        Stop::Contradiction(what) => Error::Corrupt(what),
    }
}

fn release_hold(posting: &mut Posting<'_>, id: HoldId, at: Timestamp, agenda: &mut Agenda) -> Result<(), Stop> {
    let Some(mut hold) = posting.hold(id).cloned() else { return Ok(()) };
    let all = hold.held();
    let draw = hold.draw.take_last(all);
    hold.state = HoldState::Expired;
    // What comes back to a grant whose time is over, or that was voided, ends at the same instant.
    for line in draw.lines() {
        let has_ended = |grant: &Grant| {
            grant.state == GrantState::Voided || grant.is_expired(posting.now) && !recur::is_governed(posting, grant)
        };
        if posting.grant(line.grant_id).is_some_and(has_ended) {
            let expires_at = posting.grant(line.grant_id).and_then(|grant| grant.expires_at).unwrap_or(at);
            let voided = posting.grant(line.grant_id).is_some_and(|grant| grant.state == GrantState::Voided);
            let ends_at = if voided { at } else { expires_at.max(at) };
            agenda.push(ends_at, Due::End, line.grant_id.uuid());
        }
    }
    let text = EntryText { user_id: hold.terms.user_id.clone(), ..EntryText::default() };
    let line = Line::new(EntryKind::Release, draw, at)
        .about_hold(&hold)
        .terms(crate::ledger::Terms::HoldState { state: HoldState::Expired })
        .text(text);
    posting.put_hold(hold);
    posting.post(line)
}

/// Ends what remains of grants that have expired or were voided, all at one instant, in one entry a kind: so what becomes due
/// in an account takes no more entries than its limits allow an operation, however many grants its holds were drawn from.
/// Nothing remaining: nothing to book.
pub(crate) fn end_grants(posting: &mut Posting<'_>, ids: &[GrantId], at: Timestamp) -> Result<(), Stop> {
    let (mut expired, mut voided) = (Draw::default(), Draw::default());
    let mut seen = HashSet::new();
    for id in ids.iter().filter(|id| seen.insert(**id)) {
        let Some(grant) = posting.grant(*id).filter(|grant| grant.remaining.is_positive()) else { continue };
        let line = DrawLine { grant_id: *id, grant_type: grant.terms.grant_type, amount: grant.remaining };
        match grant.state {
            GrantState::Voided => voided.push(line),
            GrantState::Active if grant.is_expired(posting.now) => expired.push(line),
            GrantState::Active | GrantState::Pending => {}
        }
    }
    for (kind, draw) in [(EntryKind::Expire, expired), (EntryKind::Void, voided)] {
        let only = if let [line] = draw.lines() { Some(line.grant_id) } else { None };
        let line = match only {
            Some(id) => Line::new(kind, draw, at).about_grant(id),
            None if draw.is_empty() => continue,
            None => Line::new(kind, draw, at),
        };
        posting.post(line)?;
    }
    Ok(())
}

fn begin_grant(posting: &mut Posting<'_>, id: GrantId, at: Timestamp, agenda: &mut Agenda) -> Result<(), Stop> {
    let Some(grant) = posting.grant(id) else { return Ok(()) };
    let draw = posting.issued(id, grant.terms.grant_type, grant.remaining);
    if let Some(expires_at) = grant.expires_at.filter(|expires_at| *expires_at <= posting.now) {
        agenda.push(expires_at.max(at), Due::End, id.uuid());
    }
    posting.post(Line::new(EntryKind::Grant, draw, at).about_grant(id))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::amount::Amount;
    use crate::credit::{GrantTerms, GrantType, Hold, HoldTerms, LateCommit, MAX_OPEN_HOLDS, OverCapture, Scope};
    use crate::id::Unit;
    use crate::owner::{AccountKey, Owner};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000).unwrap()
    }

    fn grant(number: u16) -> Grant {
        let terms = GrantTerms {
            grant_type: GrantType::Trial,
            amount: Amount::from_micros(1_000_000),
            effective_at: at(0),
            scope: Scope::default(),
            priority: 0,
            reissue_of: None,
            recurrence: None,
            policy_tag: None,
            reason: None,
            metadata: None,
        };
        let id = GrantId::derive(OpId::from_uuid(Uuid::nil()), number);
        let held = Amount::from_micros(i64::try_from(MAX_OPEN_HOLDS).unwrap());
        Grant { id, terms: Arc::new(terms), expires_at: Some(at(1)), state: GrantState::Active, remaining: Amount::ZERO, held }
    }

    fn hold(number: u16, draw: Draw) -> Hold {
        let terms = HoldTerms {
            amount: draw.total(),
            task_id: None,
            template_id: None,
            app_id: None,
            user_id: None,
            scene: None,
            price_basis: None,
            quote_id: None,
            policy_tag: None,
            licence_id: None,
            counted_for: None,
            over_capture: OverCapture::Reject,
            late_commit: LateCommit::Reject,
            created_at: at(0),
        };
        let id = HoldId::derive(OpId::from_uuid(Uuid::nil()), number);
        Hold {
            id,
            terms: Arc::new(terms),
            state: HoldState::Frozen,
            expires_at: at(2 + i64::from(number)),
            draw,
            captured: Amount::ZERO,
        }
    }

    /// As many holds as can be open, each from many grants that have expired since, and each due at an instant of its own.
    #[test]
    fn whatever_is_due_fits_one_operation() {
        let key = AccountKey::new("acme".parse().unwrap(), Owner::Pool, Unit::new("credit").unwrap());
        let mut facts = AccountFacts::new(Arc::new(key));
        let grants: Vec<Grant> = (0..40).map(grant).collect();
        let line = |grant: &Grant| DrawLine { grant_id: grant.id, grant_type: GrantType::Trial, amount: Amount::from_micros(1) };
        let draw: Draw = grants.iter().map(line).collect();
        facts.grants = grants.into_iter().map(|grant| (grant.id, grant)).collect();
        let holds = (0..u16::try_from(MAX_OPEN_HOLDS).unwrap()).map(|number| hold(number, draw.clone()));
        facts.due_holds = holds.map(|hold| (hold.id, hold)).collect();
        let all = Amount::from_micros(40 * i64::try_from(MAX_OPEN_HOLDS).unwrap());
        (facts.account.frozen, facts.account.totals.issued) = (all, all);
        facts.account.open_holds = u32::try_from(MAX_OPEN_HOLDS).unwrap();
        (facts.account.due_at, facts.account.hold_due_at) = (Some(at(2)), Some(at(2)));
        let settled = read(&facts, at(1_000_000)).unwrap();
        assert_eq!((settled.account.available, settled.account.frozen), (Amount::ZERO, Amount::ZERO));
        assert_eq!(settled.account.totals.expired, all);
        let mut posting = Posting::new(Before::Known(&facts), None, OpId::from_uuid(Uuid::nil()), at(1_000_000));
        settle(&mut posting).unwrap();
        assert_eq!(posting.entries.len(), 2 * MAX_OPEN_HOLDS);
    }
}
