//! Which grants pay, in the one order, and why.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use super::MAX_DRAW_GRANTS;
use super::grant::{Grant, GrantState, GrantType, Scope, named_enum};
use super::order::{Criterion, OrderKey};
use super::policy::TenantPolicy;
use super::spending::Blocked;
use crate::amount::Amount;
use crate::denial::{Denial, DenialKind};
use crate::facts::{Account, AccountFacts};
use crate::id::{AppId, GrantId, TemplateId};
use crate::ledger::posting::{Posting, Stop};
use crate::ledger::{Draw, DrawLine};
use crate::time::Timestamp;

/// Chooses what pays `amount` for work in this app and template: grants in the one order, then the credit limit.
///
/// # Errors
/// `capacity_exceeded` when more than 256 grants would be needed, `insufficient_balance` when they and the credit limit do not
/// cover it.
pub(crate) fn draw(
    posting: &Posting<'_>,
    policy: &TenantPolicy,
    amount: Amount,
    app: Option<&AppId>,
    template: Option<&TemplateId>,
) -> Result<Draw, Stop> {
    let (mut draw, missing) = from_grants(posting, policy, amount, app, template).within_capacity()?;
    let Account { available, standing, .. } = &posting.account;
    let credit_left = standing.credit_left();
    let down_to = standing.spendable(*available);
    if missing > credit_left || amount > down_to {
        return Err(insufficient(amount, draw.total().min(down_to), *available, credit_left).into());
    }
    if missing.is_positive() {
        draw.push(DrawLine::debt(missing));
    }
    Ok(draw)
}

/// Chooses the grants that an operator takes `amount` from: those for anything, and never so much that the balance goes below
/// zero.
///
/// # Errors
/// `capacity_exceeded` when more than 256 grants would be needed, `insufficient_balance` when they do not cover it.
pub(crate) fn draw_granted(posting: &Posting<'_>, policy: &TenantPolicy, amount: Amount) -> Result<Draw, Stop> {
    let (draw, _) = from_grants(posting, policy, amount, None, None).within_capacity()?;
    let available = draw.total().min(posting.account.available).max(Amount::ZERO);
    if amount > available {
        return Err(insufficient(amount, available, posting.account.available, Amount::ZERO).into());
    }
    Ok(draw)
}

/// The grants that pay `amount` for work in this app and template, or as much of it as they can.
pub(crate) fn draw_at_most(
    posting: &Posting<'_>,
    policy: &TenantPolicy,
    amount: Amount,
    app: Option<&AppId>,
    template: Option<&TemplateId>,
) -> Draw {
    from_grants(posting, policy, amount, app, template).draw
}

/// What grants give of an amount.
struct FromGrants {
    draw: Draw,
    missing: Amount,
    /// More grants could have paid than a draw can have.
    is_capped: bool,
}

impl FromGrants {
    /// The draw, and what is missing of the amount.
    fn within_capacity(self) -> Result<(Draw, Amount), Denial> {
        if self.is_capped { Err(Denial::capacity("grants_per_draw", MAX_DRAW_GRANTS)) } else { Ok((self.draw, self.missing)) }
    }
}

fn from_grants(
    posting: &Posting<'_>,
    policy: &TenantPolicy,
    amount: Amount,
    app: Option<&AppId>,
    template: Option<&TemplateId>,
) -> FromGrants {
    let mut drawn = FromGrants { draw: Draw::default(), missing: amount, is_capped: false };
    if amount.is_zero() {
        return drawn;
    }
    let spendable = || {
        let grants = posting.open_grants();
        let spendable = grants.filter(|grant| grant.is_spendable(posting.now) && grant.terms.scope.admits(app, template));
        spendable.map(|grant| Candidate::of(grant, policy))
    };
    // Most draws need the first grant alone: then nothing is put in order.
    if let Some(first) = spendable().min().filter(|first| first.remaining >= amount) {
        return FromGrants { draw: Draw::single(first.id, first.grant_type, amount), missing: Amount::ZERO, is_capped: false };
    }
    // A heap, not a sort: most draws need the first few of many grants.
    let mut queue: BinaryHeap<Reverse<Candidate>> = spendable().map(Reverse).collect();
    while drawn.missing.is_positive()
        && let Some(Reverse(candidate)) = queue.pop()
    {
        if drawn.draw.lines().len() == MAX_DRAW_GRANTS {
            drawn.is_capped = true;
            break;
        }
        let part = candidate.remaining.min(drawn.missing);
        drawn.draw.push(DrawLine { grant_id: candidate.id, grant_type: candidate.grant_type, amount: part });
        drawn.missing = drawn.missing.checked_sub(part).unwrap_or(Amount::ZERO);
    }
    drawn
}

fn insufficient(needed: Amount, available: Amount, balance: Amount, credit_left: Amount) -> Denial {
    let credit = if credit_left.is_zero() { String::new() } else { format!(", the credit limit leaves `{credit_left}`") };
    let message = format!("`{needed}` is needed, and the grants that could pay have `{available}`{credit}");
    Denial::new(DenialKind::InsufficientBalance, message)
        .with("needed", needed.to_string())
        .with("available", available.to_string())
        .with("balance", balance.to_string())
        .with("credit_left", credit_left.to_string())
}

/// A grant that could pay, by its place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    key: OrderKey,
    id: GrantId,
    grant_type: GrantType,
    remaining: Amount,
}

impl Candidate {
    fn of(grant: &Grant, policy: &TenantPolicy) -> Candidate {
        Candidate {
            key: policy.consumption_order.key(grant),
            id: grant.id,
            grant_type: grant.terms.grant_type,
            remaining: grant.remaining,
        }
    }
}

/// Which grants an amount would be drawn from, and why in that order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Explanation {
    /// The amount that was asked about.
    pub amount: Amount,
    /// What the grants that could pay have.
    pub available: Amount,
    /// What can still be drawn on the credit limit.
    pub credit_left: Amount,
    /// What would be drawn on the credit limit of this amount: what the grants do not cover.
    pub on_credit: Amount,
    /// What is missing; 0 when grants and credit limit cover it. Beside a debt above a limit that was lowered, grants alone may
    /// not: the balance cannot go below minus the limit.
    pub missing: Amount,
    /// The grants that could pay, in the order of consumption.
    pub grants: Vec<ExplainedGrant>,
    /// The open grants that could not, and why.
    pub unusable: Vec<UnusableGrant>,
    /// What would be refused all the same: blocks of the tenant, the account, and the user who owns it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<Blocked>,
}

/// A grant that could pay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExplainedGrant {
    /// Its place, from 1.
    pub position: usize,
    /// The grant.
    pub grant_id: GrantId,
    /// Its type.
    #[serde(rename = "type")]
    pub grant_type: GrantType,
    /// What it can still pay.
    pub remaining: Amount,
    /// What it would pay of this amount.
    pub take: Amount,
    /// Until when it can be spent.
    pub expires_at: Option<Timestamp>,
    /// Its priority number.
    pub priority: i32,
    /// What it can pay for.
    pub scope: Scope,
    /// What puts it before the next; none for the last.
    pub before_next_by: Option<Criterion>,
}

named_enum! {
    /// Why an open grant could not pay.
    Unusable {
        /// It is not effective yet.
        Pending = "pending",
        /// Its time is over; what is held of it stays capturable.
        Expired = "expired",
        /// It was taken back; what is held of it stays capturable.
        Voided = "voided",
        /// Everything that remains of it is held.
        Held = "held",
        /// It is for another app or template.
        OutOfScope = "out_of_scope",
    }
}

/// An open grant that could not pay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UnusableGrant {
    /// The grant.
    pub grant_id: GrantId,
    /// Its type.
    #[serde(rename = "type")]
    pub grant_type: GrantType,
    /// What remains of it.
    pub remaining: Amount,
    /// What open holds keep of it.
    pub held: Amount,
    /// Why.
    pub why: Unusable,
}

/// Explains from which grants of a settled account `amount` would be drawn.
pub(crate) fn explain(
    facts: &AccountFacts,
    policy: &TenantPolicy,
    amount: Amount,
    app: Option<&AppId>,
    template: Option<&TemplateId>,
    now: Timestamp,
) -> Explanation {
    let mut unusable = Vec::new();
    let mut usable: Vec<(OrderKey, &Grant)> = Vec::new();
    for grant in facts.grants.values() {
        match why_not(grant, app, template, now) {
            None => usable.push((policy.consumption_order.key(grant), grant)),
            Some(why) => unusable.push(UnusableGrant {
                grant_id: grant.id,
                grant_type: grant.terms.grant_type,
                remaining: grant.remaining,
                held: grant.held,
                why,
            }),
        }
    }
    usable.sort_unstable_by_key(|(key, _)| *key);
    unusable.sort_unstable_by_key(|grant| grant.grant_id);
    let mut missing = amount.max(Amount::ZERO);
    let mut available = Amount::ZERO;
    let mut grants = Vec::with_capacity(usable.len());
    for (index, (key, grant)) in usable.iter().enumerate() {
        let take = grant.remaining.min(missing);
        missing = missing.checked_sub(take).unwrap_or(Amount::ZERO);
        available = available.checked_add(grant.remaining).unwrap_or(Amount::MAX);
        grants.push(ExplainedGrant {
            position: index + 1,
            grant_id: grant.id,
            grant_type: grant.terms.grant_type,
            remaining: grant.remaining,
            take,
            expires_at: grant.expires_at,
            priority: grant.terms.priority,
            scope: grant.terms.scope.clone(),
            before_next_by: usable.get(index + 1).map(|(next, _)| key.decided_by(next)),
        });
    }
    let credit_left = facts.account.standing.credit_left();
    let on_credit = missing.min(credit_left);
    let beyond = amount.checked_sub(facts.account.standing.spendable(facts.account.available)).unwrap_or(Amount::ZERO);
    let missing = missing.checked_sub(on_credit).unwrap_or(Amount::ZERO).max(beyond);
    Explanation { amount, available, credit_left, on_credit, missing, grants, unusable, blocked: Vec::new() }
}

fn why_not(grant: &Grant, app: Option<&AppId>, template: Option<&TemplateId>, now: Timestamp) -> Option<Unusable> {
    match grant.state {
        GrantState::Pending => Some(Unusable::Pending),
        GrantState::Voided => Some(Unusable::Voided),
        GrantState::Active if grant.is_expired(now) => Some(Unusable::Expired),
        GrantState::Active if !grant.remaining.is_positive() => Some(Unusable::Held),
        GrantState::Active if !grant.terms.scope.admits(app, template) => Some(Unusable::OutOfScope),
        GrantState::Active => None,
    }
}
