//! Giving credit, taking it back, moving its expiry.

use std::sync::Arc;

use super::MAX_OPEN_GRANTS;
use super::grant::{Grant, GrantState, GrantTerms, GrantType, Scope};
use crate::amount::Amount;
use crate::command::{AmendGrant, GrantCredit, ImportBalance, VoidGrant, paying_account, shared_metadata};
use crate::decide::{Booking, Case};
use crate::denial::{Denial, DenialKind};
use crate::id::GrantId;
use crate::ledger::posting::{Line, Posting, Stop};
use crate::ledger::{Draw, EntryKind, EntryText, Terms};
use crate::settle::end_grants;
use crate::time::Timestamp;

pub(crate) fn give<'a>(case: &Case<'a>, command: &GrantCredit) -> Result<Booking<'a>, Stop> {
    let key = paying_account(case.tenant_id(), case.policy, Some(&command.owner), None, command.unit.as_ref())?;
    let mut posting = case.open(&key)?;
    let effective_at = command.effective_at.unwrap_or(case.now());
    if let Some(expires_at) = command.expires_at
        && expires_at <= effective_at.max(case.now())
    {
        return Err(Denial::invalid("expires_at", expires_at, "a time after both now and the effective time").into());
    }
    let text = EntryText {
        user_id: None,
        operator: command.operator.clone(),
        reason: command.reason.clone(),
        metadata: shared_metadata(command.metadata.as_ref()),
    };
    let terms = GrantTerms {
        grant_type: command.grant_type,
        amount: command.amount,
        effective_at,
        scope: command.scope.clone(),
        priority: command.priority,
        reissue_of: None,
        recurrence: None,
        policy_tag: command.policy_tag.clone(),
        reason: text.reason.clone(),
        metadata: text.metadata.clone(),
    };
    make_grant(&mut posting, EntryKind::Grant, terms, command.expires_at, text)?;
    Ok(Booking { policy_tag: command.policy_tag.clone(), ..Booking::of(posting) })
}

/// Takes over a balance. Nothing is noted too: an entry of amount 0, without a grant.
pub(crate) fn import<'a>(case: &Case<'a>, command: &ImportBalance) -> Result<Booking<'a>, Stop> {
    let key = paying_account(case.tenant_id(), case.policy, Some(&command.owner), None, command.unit.as_ref())?;
    let mut posting = case.open(&key)?;
    if let Some(expires_at) = command.expires_at.filter(|at| *at <= case.now()) {
        return Err(Denial::invalid("expires_at", expires_at, "a time to come").into());
    }
    let text = EntryText {
        user_id: None,
        operator: command.operator.clone(),
        reason: command.reason.clone(),
        metadata: shared_metadata(command.metadata.as_ref()),
    };
    if command.balance.is_zero() {
        posting.post(Line::new(EntryKind::Import, Draw::default(), case.now()).text(text))?;
    } else {
        let terms = GrantTerms {
            grant_type: GrantType::Import,
            amount: command.balance,
            effective_at: case.now(),
            scope: Scope::default(),
            priority: 0,
            reissue_of: None,
            recurrence: None,
            policy_tag: command.policy_tag.clone(),
            reason: text.reason.clone(),
            metadata: text.metadata.clone(),
        };
        make_grant(&mut posting, EntryKind::Import, terms, command.expires_at, text)?;
    }
    Ok(Booking { policy_tag: command.policy_tag.clone(), ..Booking::of(posting) })
}

/// Makes a grant and books it. One that is effective later is booked with change 0: it is issued when it begins.
pub(super) fn make_grant(
    posting: &mut Posting<'_>,
    kind: EntryKind,
    terms: GrantTerms,
    expires_at: Option<Timestamp>,
    text: EntryText,
) -> Result<(), Stop> {
    if posting.open_grant_count() >= MAX_OPEN_GRANTS {
        return Err(Denial::capacity("open_grants", MAX_OPEN_GRANTS).into());
    }
    let pending = terms.effective_at > posting.now;
    if kind != EntryKind::Reissue {
        let field = if kind == EntryKind::Import { "balance" } else { "amount" };
        let repaid = if pending { Amount::ZERO } else { posting.account.standing.repaid_by(terms.amount) };
        refuse_overflow(posting, field, terms.amount, repaid)?;
    }
    let id = GrantId::derive(posting.op_id, posting.next_ordinal()?);
    let (amount, grant_type) = (terms.amount, terms.grant_type);
    let terms = Arc::new(terms);
    posting.make_grant(Grant {
        id,
        terms: Arc::clone(&terms),
        expires_at,
        state: if pending { GrantState::Pending } else { GrantState::Active },
        remaining: if pending { amount } else { Amount::ZERO },
        held: Amount::ZERO,
    });
    let draw = if pending { Draw::default() } else { posting.issued(id, grant_type, amount) };
    // The text stands in the text part of the entry, so that an entry is the same however it was read.
    let terms = if text.is_empty() { terms } else { Arc::new(GrantTerms { reason: None, metadata: None, ..(*terms).clone() }) };
    posting.post(Line::new(kind, draw, posting.now).about_grant(id).terms(Terms::Grant { expires_at, terms }).text(text))
}

/// Refuses an amount that would take all that is given to the account out of range, now or when pending grants begin. What it
/// repays at once is owed no more.
pub(super) fn refuse_overflow(posting: &Posting<'_>, field: &str, amount: Amount, repaid: Amount) -> Result<(), Denial> {
    if fits(posting, amount, posting.account.standing.after_repaying(repaid).reserved()) {
        return Ok(());
    }
    let allowed = "an amount with which all that was given to the account stays at most 9223372036854.775807";
    Err(Denial::amount(field, amount, allowed))
}

/// All that was ever issued, all that will be when pending grants begin, and the credit limit must fit together: else a grant
/// that begins or a hold that is captured could not be booked, and the account would be stuck.
pub(super) fn fits(posting: &Posting<'_>, amount: Amount, reserved: Amount) -> bool {
    let totals = posting.account.totals;
    let pending = posting.open_grants().filter(|grant| grant.state == GrantState::Pending).map(|grant| grant.remaining);
    pending.chain([totals.issued, totals.adjusted_in, amount, reserved]).try_fold(Amount::ZERO, Amount::checked_add).is_some()
}

pub(crate) fn void<'a>(case: &Case<'a>, command: &VoidGrant) -> Result<Booking<'a>, Stop> {
    let mut posting = open_account_of(case, command.grant_id)?;
    let mut grant = live_grant(&posting, command.grant_id)?;
    let was_pending = grant.state == GrantState::Pending;
    let policy_tag = grant.terms.policy_tag.clone();
    grant.state = GrantState::Voided;
    // A pending grant was never issued, so nothing is forfeited.
    let forfeited = if was_pending { Amount::ZERO } else { grant.remaining };
    let draw = if forfeited.is_zero() { Draw::default() } else { Draw::single(grant.id, grant.terms.grant_type, forfeited) };
    if was_pending {
        grant.remaining = Amount::ZERO;
    }
    posting.put_grant(grant);
    let text = EntryText {
        user_id: None,
        operator: Some(command.operator.clone()),
        reason: Some(Arc::clone(&command.reason)),
        metadata: shared_metadata(command.metadata.as_ref()),
    };
    posting.post(Line::new(EntryKind::Void, draw, case.now()).about_grant(command.grant_id).text(text))?;
    Ok(Booking { policy_tag, ..Booking::of(posting) })
}

pub(crate) fn amend<'a>(case: &Case<'a>, command: &AmendGrant) -> Result<Booking<'a>, Stop> {
    let mut posting = open_account_of(case, command.grant_id)?;
    let mut grant = live_grant(&posting, command.grant_id)?;
    let policy_tag = grant.terms.policy_tag.clone();
    let Some(expires_at) = grant.expires_at else {
        return Err(Denial::invalid("grant_id", command.grant_id, "a grant that expires").into());
    };
    if command.expires_at <= expires_at {
        return Err(
            Denial::invalid("expires_at", command.expires_at, &format!("a time after the present expiry {expires_at}")).into()
        );
    }
    // What a rule made is over with its period, and its rule goes on: one that lasts longer counts like one that is given.
    if grant.terms.recurrence.is_some() && posting.open_grant_count() > MAX_OPEN_GRANTS {
        return Err(Denial::capacity("open_grants", MAX_OPEN_GRANTS).into());
    }
    grant.expires_at = Some(command.expires_at);
    posting.put_grant(grant);
    let text = EntryText {
        user_id: None,
        operator: command.operator.clone(),
        reason: command.reason.clone(),
        metadata: shared_metadata(command.metadata.as_ref()),
    };
    let line = Line::new(EntryKind::Amend, Draw::default(), case.now())
        .about_grant(command.grant_id)
        .terms(Terms::Expiry { expires_at: command.expires_at })
        .text(text);
    posting.post(line)?;
    Ok(Booking { policy_tag, ..Booking::of(posting) })
}

fn open_account_of<'a>(case: &Case<'a>, id: GrantId) -> Result<Box<Posting<'a>>, Stop> {
    let Some((key, _)) = case.facts.grants.get(&id).filter(|(key, _)| key.tenant_id == *case.tenant_id()) else {
        return Err(Denial::new(DenialKind::GrantNotFound, format!("there is no grant `{id}`"))
            .with("grant_id", id.to_string())
            .into());
    };
    case.open(key)
}

/// A grant whose time is not over and that was not voided.
fn live_grant(posting: &Posting<'_>, id: GrantId) -> Result<Grant, Stop> {
    const ALLOWED: &str = "a grant that is neither voided nor expired";
    let grant = posting.grant(id).cloned().ok_or_else(|| Stop::Contradiction(format!("the grant {id} has no row")))?;
    if grant.state == GrantState::Voided || grant.is_expired(posting.now) {
        return Err(Denial::invalid("grant_id", id, ALLOWED).into());
    }
    Ok(grant)
}

/// Books the end of what came back to grants that have expired or were voided since.
pub(super) fn end_returned(posting: &mut Posting<'_>, returned: &Draw) -> Result<(), Stop> {
    let ids: Vec<GrantId> = returned.lines().iter().map(|line| line.grant_id).collect();
    end_grants(posting, &ids, posting.now)
}
