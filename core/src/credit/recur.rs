//! Making and stopping rules of recurring grants. What they make at their boundaries is settled.

use std::sync::Arc;

use super::grants::refuse_overflow;
use super::rule::{Rule, RuleTerms};
use super::{MAX_OPEN_GRANTS, MAX_RULES};
use crate::amount::Amount;
use crate::command::{RecurGrant, StopRule, paying_account, shared_metadata};
use crate::decide::{Booking, Case};
use crate::denial::Denial;
use crate::id::RuleId;
use crate::ledger::posting::{Line, Posting, Stop};
use crate::ledger::{Draw, EntryKind, EntryText, Terms};
use crate::settle::recur::make_instance;
use crate::time::Timestamp;

/// What a rule gives a period is at least this part of the account's credit limit, and of what it owes: so a debt is repaid
/// within so many periods, however many were missed.
const MAX_PERIODS_OF_DEBT: i64 = 1_000;

pub(crate) fn recur<'a>(case: &Case<'a>, command: &RecurGrant) -> Result<Booking<'a>, Stop> {
    let key = paying_account(case.tenant_id(), case.policy, Some(&command.owner), None, command.unit.as_ref())?;
    let mut posting = case.open(&key)?;
    let starts_at = command.starts_at.unwrap_or(case.now());
    if let Some(ends_at) = command.ends_at
        && ends_at <= starts_at.max(case.now())
    {
        return Err(Denial::invalid("ends_at", ends_at, "a time after both now and the start").into());
    }
    refuse_small(&posting, command.amount)?;
    if usize::try_from(posting.account.standing.rules).is_ok_and(|rules| rules >= MAX_RULES) {
        return Err(Denial::capacity("rules", MAX_RULES).into());
    }
    let text = EntryText {
        user_id: None,
        operator: command.operator.clone(),
        reason: command.reason.clone(),
        metadata: shared_metadata(command.metadata.as_ref()),
    };
    let rule_id = RuleId::derive(posting.op_id, posting.next_ordinal()?);
    let terms = Arc::new(terms_of(command, starts_at, &text));
    let rule = Rule::new(rule_id, Arc::clone(&terms));
    posting.post(Line::new(EntryKind::Amend, Draw::default(), case.now()).terms(Terms::Rule { rule_id, terms }).text(text))?;
    // Boundaries before now were never promised: the rule begins with the instance in force.
    if let Some(k) = rule.last_by(case.now()) {
        if posting.open_grant_count() >= MAX_OPEN_GRANTS {
            return Err(Denial::capacity("open_grants", MAX_OPEN_GRANTS).into());
        }
        refuse_overflow(&posting, "amount", command.amount, posting.account.standing.repaid_by(command.amount))?;
        make_instance(&mut posting, &rule, k, case.now())?;
    }
    Ok(Booking { policy_tag: command.policy_tag.clone(), ..Booking::of(posting) })
}

fn terms_of(command: &RecurGrant, starts_at: Timestamp, text: &EntryText) -> RuleTerms {
    RuleTerms {
        grant_type: command.grant_type,
        amount: command.amount,
        every: command.every,
        starts_at,
        ends_at: command.ends_at,
        zone: command.zone,
        rollover_cap: command.rollover_cap,
        scope: command.scope.clone(),
        priority: command.priority,
        policy_tag: command.policy_tag.clone(),
        reason: text.reason.clone(),
        metadata: text.metadata.clone(),
    }
}

fn refuse_small(posting: &Posting<'_>, amount: Amount) -> Result<(), Denial> {
    let least = least_a_period(posting.account.standing.reserved());
    if amount >= least {
        return Ok(());
    }
    let allowed = format!("at least {least}, a thousandth of the account's credit limit and of its debt");
    Err(Denial::amount("amount", amount, &allowed))
}

/// What a rule gives a period at least in an account that can owe so much.
pub(super) fn least_a_period(debt: Amount) -> Amount {
    Amount::from_micros(debt.micros().div_euclid(MAX_PERIODS_OF_DEBT))
}

pub(crate) fn stop<'a>(case: &Case<'a>, command: &StopRule) -> Result<Booking<'a>, Stop> {
    let unknown = || Denial::invalid("rule_id", command.rule_id, "a rule of this tenant that runs");
    let found = case.facts.rules.get(&command.rule_id).filter(|(key, _)| key.tenant_id == *case.tenant_id());
    let (key, _) = found.ok_or_else(unknown)?;
    let mut posting = case.open(key)?;
    let rule = posting.rule(command.rule_id).filter(|rule| rule.is_running()).ok_or_else(unknown)?;
    let policy_tag = rule.terms.policy_tag.clone();
    let text = EntryText {
        user_id: None,
        operator: Some(command.operator.clone()),
        reason: Some(Arc::clone(&command.reason)),
        metadata: shared_metadata(command.metadata.as_ref()),
    };
    let line =
        Line::new(EntryKind::Amend, Draw::default(), case.now()).terms(Terms::RuleEnd { rule_id: command.rule_id }).text(text);
    posting.post(line)?;
    Ok(Booking { policy_tag, ..Booking::of(posting) })
}
