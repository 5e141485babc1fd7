//! Whether credit may be spent at all: nothing that is concerned is blocked, and an organization's is spent by its members.

use serde::{Deserialize, Serialize};

use super::{holds, members};
use crate::amount::Amount;
use crate::audit::{self, Quote};
use crate::command::{BlockTarget, BlockedAccount};
use crate::decide::Case;
use crate::denial::{Denial, DenialKind};
use crate::facts::{AccountFacts, Facts};
use crate::id::{AppId, AuditId, PolicyTag, PriceBasis, Scene, TaskId, TemplateId, UserId};
use crate::ledger::posting::{Posting, Stop};
use crate::licence::{self, Licensed};
use crate::owner::{AccountKey, Owner, Subject};
use crate::risk;
use crate::time::Timestamp;

/// A block that stands in the way of spending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Blocked {
    /// What is blocked.
    pub target: BlockTarget,
    /// Since when; not known of an account, whose entries say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// Work that a charge or hold pays for.
pub(crate) struct Work<'a> {
    /// The account that pays.
    pub(crate) account: AccountKey,
    pub(crate) user_id: Option<&'a UserId>,
    pub(crate) app_id: Option<&'a AppId>,
    pub(crate) template_id: Option<&'a TemplateId>,
    pub(crate) scene: Option<&'a Scene>,
    pub(crate) policy_tag: Option<&'a PolicyTag>,
    pub(crate) amount: Amount,
    /// The quote that says the price, if one is named.
    pub(crate) quote: Option<AuditId>,
    pub(crate) price_basis: Option<&'a PriceBasis>,
    /// The task that must not have a live or captured hold: that of a hold.
    pub(crate) free_task: Option<&'a TaskId>,
    /// The denial of who has no licence.
    pub(crate) without_licence: DenialKind,
}

/// An account that may pay for the work.
pub(super) struct Opened<'a> {
    /// The account, with everything due booked.
    pub(super) posting: Box<Posting<'a>>,
    pub(super) quote: Option<&'a Quote>,
    pub(super) licensed: Licensed,
    pub(super) risk: risk::Admitted,
}

/// Opens an account for a charge or hold, with the right to do this work checked. The order of checks: owner, membership, target,
/// quote, licence, risk limits; capacity and balance are left.
///
/// # Errors
/// `blocked`; `not_a_member`, `member_limit_exceeded`; `pre_deduct_already_processed`; `payload_invalid` of a quote; those of licences;
/// `cap_exceeded`.
pub(super) fn open<'a>(case: &Case<'a>, work: &Work<'_>) -> Result<Opened<'a>, Stop> {
    let found = case.facts.accounts.get(&work.account);
    refuse_blocked(case, found, work)?;
    risk::refuse_denied(case, work)?;
    let member = members::spender(case, &work.account, work.user_id)?;
    let posting = case.open_found(&work.account, found)?;
    if let Some(member) = member {
        posting.members.refuse_excess(&member, &work.account, work.amount, case.now())?;
    }
    if let Some(task_id) = work.free_task {
        holds::refuse_busy_task(case, task_id)?;
    }
    let quote = audit::priced(case, work)?;
    let policy_tag = work.policy_tag.or_else(|| quote?.policy_tag.as_ref());
    let licensed = licence::for_work(case, &posting, work, policy_tag)?;
    let risk = risk::for_work(case, &posting, work, licensed.policy_tag.as_ref())?;
    Ok(Opened { posting, quote, licensed, risk })
}

fn refuse_blocked(case: &Case<'_>, found: Option<&AccountFacts>, work: &Work<'_>) -> Result<(), Denial> {
    blocks(case.facts, found, &work.account, work.user_id).first().map_or(Ok(()), |blocked| Err(refusal(blocked)))
}

/// The handles of who must not be blocked when this account is spent from: the tenant, the user who pays, the user who acts.
pub(crate) fn subjects(account: &AccountKey, user_id: Option<&UserId>) -> impl Iterator<Item = Subject> {
    let payer = if let Owner::User(payer) = &account.owner { Some(payer) } else { None };
    let acting = user_id.filter(|acting| payer != Some(acting));
    let users = [payer, acting].map(|user_id| user_id.cloned().map(Subject::User));
    std::iter::once(Subject::Tenant).chain(users.into_iter().flatten())
}

/// What is blocked of the tenant, the account (as it was found), the user who pays and the user who acts, in this order.
pub(crate) fn blocks(facts: &Facts, found: Option<&AccountFacts>, account: &AccountKey, user_id: Option<&UserId>) -> Vec<Blocked> {
    let is_account_blocked = found.is_some_and(|facts| facts.account.standing.is_blocked);
    let mut blocks = Vec::new();
    if facts.subjects.is_empty() && !is_account_blocked {
        return blocks;
    }
    for subject in subjects(account, user_id) {
        let row = facts.subjects.get(&(account.tenant_id.clone(), subject.clone()));
        let target = match &subject {
            Subject::Tenant => Some(BlockTarget::Tenant),
            Subject::User(user_id) => Some(BlockTarget::User(user_id.clone())),
            Subject::Organization(_) | Subject::Licence(_) | Subject::Task(_) => None,
        };
        if let (Some(row), Some(target)) = (row.filter(|row| row.is_blocked), target) {
            blocks.push(Blocked { target, since: Some(row.since) });
        }
        if subject == Subject::Tenant && is_account_blocked {
            blocks.push(Blocked { target: BlockTarget::Account(BlockedAccount::of(account)), since: None });
        }
    }
    blocks
}

fn refusal(blocked: &Blocked) -> Denial {
    let what = match &blocked.target {
        BlockTarget::Tenant => "the tenant".to_owned(),
        BlockTarget::User(user_id) => format!("the user `{user_id}`"),
        BlockTarget::Account(account) => format!("the account of `{}`", account.owner),
    };
    let denial = Denial::new(DenialKind::Blocked, format!("{what} is blocked: nothing can be spent"))
        .with("target", serde_json::to_value(&blocked.target).unwrap_or_default());
    match blocked.since {
        Some(since) => denial.with("since", since.to_string()),
        None => denial,
    }
}
