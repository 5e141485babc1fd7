//! What is agreed about an account besides its grants.

use std::sync::Arc;

use super::grants::fits;
use super::recur::least_a_period;
use super::standing::Standing;
use crate::amount::Amount;
use crate::command::{SetCreditLimit, SetLowBalance, paying_account, shared_metadata};
use crate::decide::{Booking, Case};
use crate::denial::Denial;
use crate::ledger::posting::{Line, Posting, Stop};
use crate::ledger::{Draw, EntryKind, EntryText, Terms};

/// Sets how far the balance may go below zero. A limit below the present debt stops drawing until the balance is
/// above minus the limit again.
pub(crate) fn set_credit_limit<'a>(case: &Case<'a>, command: &SetCreditLimit) -> Result<Booking<'a>, Stop> {
    let key = paying_account(case.tenant_id(), case.policy, Some(&command.owner), None, command.unit.as_ref())?;
    let mut posting = case.open(&key)?;
    let standing = Standing { credit_limit: command.credit_limit, ..posting.account.standing };
    if !fits(&posting, Amount::ZERO, standing.reserved()) {
        let allowed = "a limit that, with all that was given to the account, is at most 9223372036854.775807";
        return Err(Denial::amount("credit_limit", command.credit_limit, allowed).into());
    }
    refuse_beyond_rules(&posting, command.credit_limit)?;
    posting.account.standing.credit_limit = command.credit_limit;
    let text = EntryText {
        user_id: None,
        operator: Some(command.operator.clone()),
        reason: Some(Arc::clone(&command.reason)),
        metadata: shared_metadata(command.metadata.as_ref()),
    };
    let terms = Terms::CreditLimit { credit_limit: command.credit_limit };
    posting.post(Line::new(EntryKind::Amend, Draw::default(), case.now()).terms(terms).text(text))?;
    Ok(Booking::of(posting))
}

/// Every rule repays the debt within so many periods, however many were missed.
fn refuse_beyond_rules(posting: &Posting<'_>, credit_limit: Amount) -> Result<(), Denial> {
    let smallest = posting.running_rules().map(|rule| rule.terms.amount).min();
    match smallest {
        Some(smallest) if smallest < least_a_period(credit_limit) => {
            let allowed = format!("at most a thousand times the {smallest} that a rule of the account gives a period");
            Err(Denial::amount("credit_limit", credit_limit, &allowed))
        }
        _ => Ok(()),
    }
}

/// Sets when the balance counts as low. The operation itself tells the band that the balance goes to by it.
pub(crate) fn set_low_balance<'a>(case: &Case<'a>, command: &SetLowBalance) -> Result<Booking<'a>, Stop> {
    let key = paying_account(case.tenant_id(), case.policy, Some(&command.owner), None, command.unit.as_ref())?;
    let mut posting = case.open(&key)?;
    posting.account.standing.low_balance = command.low_balance;
    let text = EntryText {
        user_id: None,
        operator: Some(command.operator.clone()),
        reason: command.reason.clone(),
        metadata: shared_metadata(command.metadata.as_ref()),
    };
    let terms = Terms::LowBalance { low_balance: command.low_balance };
    posting.post(Line::new(EntryKind::Amend, Draw::default(), case.now()).terms(terms).text(text))?;
    Ok(Booking::of(posting))
}
