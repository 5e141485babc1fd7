//! Stopping all spending from an account, by a user or in a tenant, and allowing it again.

use std::sync::Arc;

use crate::command::{AnswerRest, BlockTarget, Metadata, paying_account, shared_metadata};
use crate::decide::{Booking, Case};
use crate::denial::Denial;
use crate::facts::SubjectRow;
use crate::id::Operator;
use crate::ledger::posting::{Line, Stop};
use crate::ledger::{Draw, EntryKind, EntryText, Terms};
use crate::owner::{AccountKey, Subject};

/// What is to be blocked or unblocked, by whom and why.
pub(crate) struct Ask<'c> {
    pub(crate) target: &'c BlockTarget,
    pub(crate) operator: &'c Operator,
    pub(crate) reason: &'c Arc<str>,
    pub(crate) metadata: Option<&'c Metadata>,
}

/// Blocks the target, or unblocks it. What is so already stays so: the answer says that nothing changed.
pub(crate) fn set<'a>(case: &Case<'a>, ask: &Ask<'_>, blocked: bool) -> Result<Booking<'a>, Stop> {
    let note = EntryText {
        user_id: None,
        operator: Some(ask.operator.clone()),
        reason: Some(Arc::clone(ask.reason)),
        metadata: shared_metadata(ask.metadata),
    };
    match ask.target {
        BlockTarget::Tenant => Ok(set_subject(case, Subject::Tenant, blocked, note)),
        BlockTarget::User(user_id) => Ok(set_subject(case, Subject::User(user_id.clone()), blocked, note)),
        BlockTarget::Account(account) => {
            let key = paying_account(case.tenant_id(), case.policy, Some(&account.owner), None, account.unit.as_ref())?;
            set_account(case, &key, blocked, note)
        }
    }
}

fn set_subject<'a>(case: &Case<'a>, subject: Subject, blocked: bool, note: EntryText) -> Booking<'a> {
    let before = case.facts.subjects.get(&(case.tenant_id().clone(), subject.clone()));
    let changed = before.is_some_and(|before| before.is_blocked) != blocked;
    let since = before.filter(|_| !changed).map_or(case.now(), |before| before.since);
    let row = SubjectRow { is_blocked: blocked, since, last_at: case.now() };
    let answer = AnswerRest { changed: Some(changed), note: Some(note), ..AnswerRest::default() };
    Booking { subjects: vec![(subject.clone(), row)], answer: Some(answer), ..Booking::about(subject) }
}

fn set_account<'a>(case: &Case<'a>, key: &AccountKey, blocked: bool, note: EntryText) -> Result<Booking<'a>, Stop> {
    if !case.facts.accounts.contains_key(key) {
        return Err(Denial::no_account(key).into());
    }
    let mut posting = case.open(key)?;
    let changed = posting.account.standing.is_blocked != blocked;
    let mut answer = AnswerRest { changed: Some(changed), ..AnswerRest::default() };
    if changed {
        posting.account.standing.is_blocked = blocked;
        posting.post(Line::new(EntryKind::Amend, Draw::default(), case.now()).terms(Terms::Blocked { blocked }).text(note))?;
    } else {
        answer.note = Some(note);
    }
    Ok(Booking { answer: Some(answer), ..Booking::of(posting) })
}
