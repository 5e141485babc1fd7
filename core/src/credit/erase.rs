//! Erasing the text about people.

use crate::changes::Erased;
use crate::command::{AnswerRest, EraseText, ErasedAnswer, paying_account};
use crate::credit::HoldState;
use crate::decide::{Booking, Case};
use crate::denial::Denial;
use crate::facts::MAX_ERASED;
use crate::ledger::posting::{Posting, Stop};
use crate::ledger::{Entry, Terms};

pub(crate) fn erase<'a>(case: &Case<'a>, command: &EraseText) -> Result<Booking<'a>, Stop> {
    let key = paying_account(case.tenant_id(), case.policy, Some(&command.owner), None, command.unit.as_ref())?;
    if !case.facts.accounts.contains_key(&key) {
        return Err(Denial::no_account(&key).into());
    }
    let posting = case.open(&key)?;
    let page = case.facts.texts.get(&(key, command.after_seq)).map_or(&[][..], Vec::as_slice);
    let mut erased = Erased::default();
    let mut kept = 0;
    let meant = |entry: &&Entry| command.user_id.is_none() || entry.text.user_id == command.user_id;
    for entry in page.iter().filter(meant) {
        if is_of_open_hold(&posting, entry) {
            kept += u64::from(!entry.text.is_empty());
        } else {
            add(&mut erased, entry);
        }
    }
    // What this command books itself, because it had become due, is left to the next.
    let is_more = page.len() >= MAX_ERASED || !posting.entries.is_empty();
    let last = page.last().map_or(command.after_seq, |entry| entry.seq);
    let answer = AnswerRest {
        available: Some(posting.account.available),
        frozen: Some(posting.account.frozen),
        erased: Some(ErasedAnswer {
            erased: u64::try_from(erased.entries.len()).unwrap_or(u64::MAX),
            kept,
            next_seq: is_more.then_some(last),
            operator: command.operator.clone(),
            reason: command.reason.clone(),
        }),
        ..AnswerRest::default()
    };
    Ok(Booking { answer: Some(answer), erased, ..Booking::of(posting) })
}

/// An open hold goes by its user, and gives it to the entries to come.
fn is_of_open_hold(posting: &Posting<'_>, entry: &Entry) -> bool {
    entry.hold_id.and_then(|id| posting.hold(id)).is_some_and(|hold| hold.state == HoldState::Frozen)
}

fn add(erased: &mut Erased, entry: &Entry) {
    if erased.operations.last() != Some(&entry.op_id) {
        erased.operations.push(entry.op_id);
    }
    if entry.text.is_empty() {
        return;
    }
    erased.entries.push((entry.ledger_id(), entry.seq, entry.text_hash()));
    match &entry.terms {
        Some(Terms::Grant { .. }) => erased.grants.extend(entry.grant_id),
        Some(Terms::Hold { .. }) => erased.holds.extend(entry.hold_id),
        Some(Terms::Rule { rule_id, .. }) => erased.rules.push(*rule_id),
        _ => {}
    }
}
