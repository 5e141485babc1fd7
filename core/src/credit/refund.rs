//! Giving consumed credit back to the exact grants that it came from.

use std::sync::Arc;

use super::MAX_OPEN_GRANTS;
use super::grant::{Grant, GrantState, GrantTerms};
use super::grants::{end_returned, make_grant};
use super::policy::ExpiredRefund;
use crate::amount::Amount;
use crate::command::{Refund, RefundOf, paying_account, shared_metadata};
use crate::decide::{Booking, Case};
use crate::denial::{Denial, DenialKind};
use crate::facts::ChargeFact;
use crate::id::LedgerId;
use crate::ledger::posting::{Line, Posting, Stop};
use crate::ledger::{Draw, DrawLine, EntryKind, EntryText};
use crate::owner::AccountKey;
use crate::time::Timestamp;

const SECONDS_A_DAY: i64 = 24 * 3_600;

pub(crate) fn refund<'a>(case: &Case<'a>, command: &Refund) -> Result<Booking<'a>, Stop> {
    let tenant_id = case.tenant_id();
    let key = paying_account(tenant_id, case.policy, command.payer.as_ref(), command.user_id.as_ref(), command.unit.as_ref())?;
    let charges = refundable(case, command, &key)?;
    let rest = charges.iter().map(|charge| charge_rest(charge)).try_fold(Amount::ZERO, Amount::checked_add).unwrap_or(Amount::MAX);
    let amount = check_amount(command, rest, case.is_keyed())?;
    let mut posting = case.open(&key)?;
    let (returned, refunded) = take_back(&charges, amount);
    let text = EntryText {
        user_id: command.user_id.clone(),
        operator: Some(command.operator.clone()),
        reason: Some(Arc::clone(&command.reason)),
        metadata: shared_metadata(command.metadata.as_ref()),
    };
    book(case, &mut posting, &charges, returned, &text)?;
    let policy_tag = charges.first().and_then(|charge| charge.policy_tag.clone());
    Ok(Booking { policy_tag, refunded, ..Booking::of(posting) })
}

/// What can be refunded, the latest first: found, by this operator, in time.
fn refundable<'a>(case: &Case<'a>, command: &Refund, key: &AccountKey) -> Result<Vec<&'a ChargeFact>, Denial> {
    let charges: Vec<&ChargeFact> = match &command.of {
        RefundOf::LedgerId(id) => case.facts.charges.get(id).into_iter().collect(),
        RefundOf::TaskId(task_id) => {
            let listed = case.facts.task_charges.get(&(key.clone(), task_id.clone()));
            listed.into_iter().flatten().rev().filter_map(|id| case.facts.charges.get(id)).collect()
        }
    };
    let charges: Vec<&ChargeFact> = charges.into_iter().filter(|charge| *charge.entry.account == *key).collect();
    let refused = |why: String| Denial::new(DenialKind::RefundNotAllowed, why);
    let asked = match &command.of {
        RefundOf::LedgerId(id) => ("ledger_id", id.to_string()),
        RefundOf::TaskId(id) => ("task_id", id.to_string()),
    };
    if charges.is_empty() {
        return Err(refused(format!("there is no charge `{}` in this account", asked.1)).with(asked.0, asked.1));
    }
    if case.policy.refund_operators.as_ref().is_some_and(|allowed| !allowed.contains(&command.operator)) {
        return Err(refused(format!("`{}` may not refund", command.operator)).with("operator", command.operator.as_str()));
    }
    let Some(days) = case.policy.refund_window_days else { return Ok(charges) };
    let in_window = |charge: &&ChargeFact| after_days(charge.entry.created_at, days) > case.now();
    let in_time: Vec<&ChargeFact> = charges.into_iter().filter(in_window).collect();
    if in_time.is_empty() {
        return Err(refused(format!("a refund is possible for {days} days"))
            .with("refund_window_days", days)
            .with(asked.0, asked.1));
    }
    Ok(in_time)
}

/// What is left to refund of a charge.
fn charge_rest(charge: &ChargeFact) -> Amount {
    charge.entry.draw.total().checked_sub(charge.refunded).unwrap_or(Amount::ZERO)
}

fn check_amount(command: &Refund, rest: Amount, keyed: bool) -> Result<Amount, Denial> {
    let invalid = |given: Amount, allowed: String| {
        Denial::new(DenialKind::InvalidRefundAmount, format!("`{given}` cannot be refunded: it takes {allowed}"))
            .with("field", "amount")
            .with("given", given.to_string())
            .with("allowed", allowed)
    };
    if let Some(amount) = command.amount.filter(|amount| !amount.is_positive()) {
        return Err(invalid(amount, "an amount greater than 0".into()));
    }
    if rest.is_zero() {
        return Err(Denial::new(DenialKind::RefundDuplicate, "everything was refunded before").with("refundable", "0"));
    }
    let amount = command.amount.unwrap_or(rest);
    if amount > rest {
        return Err(invalid(amount, format!("at most the {rest} that are left")).with("refundable", rest.to_string()));
    }
    if amount < rest && !keyed {
        return Err(Denial::new(DenialKind::PayloadInvalid, "a partial refund needs an idempotency key")
            .with("field", "idempotency_key")
            .with("given", serde_json::Value::Null)
            .with("allowed", "1 to 255 bytes of text"));
    }
    Ok(amount)
}

/// Takes `amount` back from the charges in turn, of each the last drawn first, never more than each gave. Since parts come
/// back in a fixed order, one number a charge says which of its grants have theirs back.
fn take_back(charges: &[&ChargeFact], amount: Amount) -> (Draw, Vec<(LedgerId, Amount)>) {
    let mut wanted = amount;
    let mut returned = Draw::default();
    let mut refunded = Vec::new();
    for charge in charges {
        let part = charge_rest(charge).min(wanted);
        if !part.is_positive() {
            continue;
        }
        let mut unreturned = charge.entry.draw.clone();
        let _ = unreturned.take_last(charge.refunded);
        returned.extend(&unreturned.take_last(part));
        refunded.push((charge.entry.ledger_id(), charge.refunded.checked_add(part).unwrap_or(Amount::MAX)));
        wanted = wanted.checked_sub(part).unwrap_or(Amount::ZERO);
    }
    (returned, refunded)
}

fn book(case: &Case<'_>, posting: &mut Posting<'_>, charges: &[&ChargeFact], returned: Draw, text: &EntryText) -> Result<(), Stop> {
    let reissues = case.policy.expired_refund == ExpiredRefund::Reissue && case.policy.grace_days > 0;
    let mut restored = Draw::default();
    let mut ended: Vec<DrawLine> = Vec::new();
    for line in returned.lines() {
        let grant = posting.grant(line.grant_id);
        let grant = grant.ok_or_else(|| Stop::Contradiction(format!("the grant {} of a charge has no row", line.grant_id)))?;
        if reissues && has_ended(grant, posting.now) { merge(&mut ended, line) } else { restored.push(*line) }
    }
    let work = charges.first().map(|charge| &charge.entry);
    if !restored.is_empty() {
        let mut line = Line::new(EntryKind::Refund, restored.clone(), posting.now).text(text.clone());
        if let Some(entry) = work {
            line = line.work(entry.task_id.as_ref(), entry.template_id.as_ref(), entry.app_id.as_ref());
        }
        posting.post(line)?;
        end_returned(posting, &restored)?;
        if posting.open_grant_count() > MAX_OPEN_GRANTS {
            return Err(Denial::capacity("open_grants", MAX_OPEN_GRANTS).into());
        }
    }
    ended.iter().try_for_each(|line| reissue(case, posting, line, text))
}

/// Paid credit comes back as paid credit: a grant of the same type and scope, for the days of grace.
fn reissue(case: &Case<'_>, posting: &mut Posting<'_>, line: &DrawLine, text: &EntryText) -> Result<(), Stop> {
    let Some(ended) = posting.grant(line.grant_id) else { return Ok(()) };
    let terms = GrantTerms {
        amount: line.amount,
        effective_at: posting.now,
        reissue_of: Some(ended.id),
        recurrence: None,
        reason: text.reason.clone(),
        metadata: text.metadata.clone(),
        ..(*ended.terms).clone()
    };
    let expires_at = after_days(posting.now, case.policy.grace_days);
    make_grant(posting, EntryKind::Reissue, terms, Some(expires_at), text.clone())
}

fn has_ended(grant: &Grant, now: Timestamp) -> bool {
    grant.state == GrantState::Voided || grant.is_expired(now)
}

fn merge(lines: &mut Vec<DrawLine>, line: &DrawLine) {
    match lines.iter_mut().find(|known| known.grant_id == line.grant_id) {
        Some(known) => known.amount = known.amount.checked_add(line.amount).unwrap_or(Amount::MAX),
        None => lines.push(*line),
    }
}

fn after_days(at: Timestamp, days: u16) -> Timestamp {
    at.plus_seconds(i64::from(days) * SECONDS_A_DAY).unwrap_or(Timestamp::MAX)
}
