//! Whether credit may be spent at all: nothing that is concerned is blocked, and an organization's is spent by its members.

use serde::{Deserialize, Serialize};

use super::members;
use crate::amount::Amount;
use crate::command::{BlockTarget, BlockedAccount};
use crate::decide::Case;
use crate::denial::{Denial, DenialKind};
use crate::facts::Facts;
use crate::id::UserId;
use crate::ledger::posting::{Posting, Stop};
use crate::owner::{AccountKey, Owner, Subject};
use crate::time::Timestamp;

/// A block that stands in the way of spending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// What is blocked.
    pub target: BlockTarget,
    /// Since when; not known of an account, whose entries say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// Opens an account for a charge or hold: settled, and with the right to spend this amount checked.
///
/// # Errors
/// `blocked`, `not_a_member`, `member_limit_exceeded`.
pub(super) fn open<'a>(
    case: &Case<'a>,
    account: &AccountKey,
    user_id: Option<&UserId>,
    amount: Amount,
) -> Result<Posting<'a>, Stop> {
    if let Some(blocked) = blocks(case.facts, account, user_id).first() {
        return Err(refusal(blocked).into());
    }
    let member = members::spender(case, account, user_id)?;
    let posting = case.open(account)?;
    if let Some(member) = member {
        posting.members.refuse_excess(&member, account, amount, case.now())?;
    }
    Ok(posting)
}

/// The handles of who must not be blocked when this account is spent from: the tenant, the user who pays, the user who acts.
pub(crate) fn subjects(account: &AccountKey, user_id: Option<&UserId>) -> impl Iterator<Item = Subject> {
    let payer = if let Owner::User(payer) = &account.owner { Some(payer) } else { None };
    let acting = user_id.filter(|acting| payer != Some(acting));
    let users = [payer, acting].map(|user_id| user_id.cloned().map(Subject::User));
    std::iter::once(Subject::Tenant).chain(users.into_iter().flatten())
}

/// What is blocked of the tenant, the account, the user who pays and the user who acts, in this order.
pub(crate) fn blocks(facts: &Facts, account: &AccountKey, user_id: Option<&UserId>) -> Vec<Blocked> {
    let is_account_blocked = facts.accounts.get(account).is_some_and(|facts| facts.account.standing.is_blocked);
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
