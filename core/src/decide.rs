//! The decision: pure and total. No clock, no I/O, no randomness, no panic; the same facts give the same answer anywhere.

use std::borrow::Cow;
use std::sync::Arc;

use crate::amount::Amount;
use crate::changes::Changes;
use crate::command::{AnswerRest, Body, Command, Context, Fingerprint, Receipt, Settle, paying_account};
use crate::credit::{TenantPolicy, adjust, charge, grants, holds, recur, refund};
use crate::denial::{Denial, DenialKind};
use crate::facts::{AccountFacts, Facts, Task};
use crate::id::{LedgerId, OpId, PolicyTag, TaskId, TenantId};
use crate::ledger::posting::{Booked, Posting, Stop};
use crate::ledger::{Operation, OperationKind, StoredOperation};
use crate::owner::{AccountKey, Subject};
use crate::settle::settle;
use crate::time::Timestamp;

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The command takes effect: what it changes, and its answer.
    Accepted(Box<Changes>, Receipt),
    /// The command took effect before: its answer again.
    Replayed(Receipt),
    /// The command is refused.
    Denied(Denial),
    /// The facts contradict themselves; nothing is decided.
    Contradiction(String),
}

/// Decides a command from facts. The order of checks: shape, replay, owner, target, capacity, balance; within a command of
/// a family, the function named here goes on in that order.
#[must_use]
pub fn decide(command: &Command, op_id: OpId, policy: &TenantPolicy, facts: &Facts) -> Decision {
    if let Err(denial) = command.check() {
        return Decision::Denied(denial);
    }
    let fingerprint = command.fingerprint();
    if let Some(earlier) = earlier(&command.context, facts) {
        return replay(earlier, &fingerprint);
    }
    let case = Case { context: &command.context, op_id, policy, facts };
    let booking = match &command.body {
        Body::Grant(body) => grants::give(&case, body),
        Body::Void(body) => grants::void(&case, body),
        Body::Amend(body) => grants::amend(&case, body),
        Body::Adjust(body) => adjust::adjust(&case, body),
        Body::Hold(body) => holds::place(&case, body),
        Body::Extend(body) => holds::extend(&case, body),
        Body::Capture(body) => holds::capture(&case, body),
        Body::Release(body) => holds::release(&case, body),
        Body::Charge(body) => charge::charge(&case, body),
        Body::Refund(body) => refund::refund(&case, body),
        Body::Settle(body) => settle_account(&case, body),
        Body::Recur(body) => recur::recur(&case, body),
        Body::StopRule(body) => recur::stop(&case, body),
    };
    match booking {
        Ok(booking) => accept(&case, command.body.kind(), fingerprint, booking),
        Err(Stop::Denied(denial)) => Decision::Denied(denial),
        Err(Stop::Contradiction(what)) => Decision::Contradiction(what),
    }
}

/// The operation that the command's key stands for, if it was accepted before.
fn earlier<'a>(context: &Context, facts: &'a Facts) -> Option<&'a Arc<StoredOperation>> {
    let key = context.idempotency_key.as_ref()?;
    facts.replays.get(&(context.tenant_id.clone(), key.clone()))
}

/// The first answer again; or, for another command under the same key, what differs.
fn replay(earlier: &Arc<StoredOperation>, fingerprint: &Fingerprint) -> Decision {
    match earlier.operation.fingerprint.first_difference(fingerprint) {
        None => Decision::Replayed(Receipt { stored: Arc::clone(earlier), idempotent_replay: true }),
        Some(field) => Decision::Denied(
            Denial::new(DenialKind::IdempotencyConflict, format!("the idempotency key was used before with another `{field}`"))
                .with("field", field)
                .with("audit_id", earlier.operation.audit_id().to_string()),
        ),
    }
}

/// A command under decision, with what decides it.
pub(crate) struct Case<'a> {
    context: &'a Context,
    pub(crate) op_id: OpId,
    pub(crate) policy: &'a TenantPolicy,
    pub(crate) facts: &'a Facts,
}

impl<'a> Case<'a> {
    pub(crate) fn tenant_id(&self) -> &'a TenantId {
        &self.context.tenant_id
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.facts.now
    }

    pub(crate) fn is_keyed(&self) -> bool {
        self.context.idempotency_key.is_some()
    }

    pub(crate) fn task(&self, task_id: &TaskId) -> Option<&'a Task> {
        self.facts.tasks.get(&(self.context.tenant_id.clone(), task_id.clone()))
    }

    /// Opens an account to book in, with everything due booked first.
    pub(crate) fn open(&self, key: &AccountKey) -> Result<Posting<'a>, Stop> {
        let before = match self.facts.accounts.get(key) {
            Some(known) => Cow::Borrowed(known),
            None => Cow::Owned(AccountFacts::new(Arc::new(key.clone()))),
        };
        let mut posting = Posting::new(before, Some(self.facts), self.op_id, self.facts.now);
        settle(&mut posting)?;
        posting.mark_settled();
        Ok(posting)
    }
}

/// What a family's function books.
pub(crate) struct Booking<'a> {
    /// What was booked; none for a command that books in no account.
    pub(crate) posting: Option<Posting<'a>>,
    /// What a command that books in no account is about.
    pub(crate) subject: Option<Subject>,
    pub(crate) answer: Option<AnswerRest>,
    pub(crate) policy_tag: Option<PolicyTag>,
    pub(crate) task: Option<(TaskId, Task)>,
    pub(crate) refunded: Vec<(LedgerId, Amount)>,
}

impl<'a> Booking<'a> {
    pub(crate) fn of(posting: Posting<'a>) -> Booking<'a> {
        Booking { posting: Some(posting), subject: None, answer: None, policy_tag: None, task: None, refunded: Vec::new() }
    }
}

/// Booking what is due is all that this command does.
fn settle_account<'a>(case: &Case<'a>, command: &Settle) -> Result<Booking<'a>, Stop> {
    let key = paying_account(case.tenant_id(), case.policy, Some(&command.owner), None, command.unit.as_ref())?;
    if !case.facts.accounts.contains_key(&key) {
        return Err(Denial::new(DenialKind::AccountNotFound, format!("there is no account `{key}`")).into());
    }
    let posting = case.open(&key)?;
    let (available, frozen) = (posting.account.available, posting.account.frozen);
    let answer = AnswerRest { available: Some(available), frozen: Some(frozen), ..AnswerRest::default() };
    Ok(Booking { answer: posting.entries.is_empty().then_some(answer), ..Booking::of(posting) })
}

fn accept(case: &Case<'_>, kind: OperationKind, fingerprint: Fingerprint, booking: Booking<'_>) -> Decision {
    let Booking { posting, subject, answer, policy_tag, task, refunded } = booking;
    let settled_count = posting.as_ref().map_or(0, Posting::settled_count);
    let booked = posting.map(Posting::finish).unwrap_or_default();
    let Booked {
        account,
        account_is_new,
        entries,
        made_grants,
        changed_grants,
        made_holds,
        changed_holds,
        made_rules,
        changed_rules,
    } = booked;
    let entry_count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    let first_seq = account.as_ref().map_or(0, |account| account.seq + 1 - u64::from(entry_count));
    let operation = Operation {
        op_id: case.op_id,
        kind,
        tenant_id: case.tenant_id().clone(),
        account: account.as_ref().map(|account| Arc::clone(&account.key)),
        subject,
        key: case.context.idempotency_key.clone(),
        fingerprint,
        first_seq,
        entry_count,
        settled_count,
        actor: case.context.actor.clone(),
        request_id: case.context.request_id.clone(),
        policy_tag,
        created_at: case.now(),
        refunded: Amount::ZERO,
        answer: answer.and_then(|rest| serde_json::to_string(&rest).ok()).map(Arc::from),
    };
    let stored = Arc::new(StoredOperation { operation, entries, position: 0 });
    let changes = Changes {
        stored: Arc::clone(&stored),
        account,
        account_is_new,
        new_grants: made_grants,
        changed_grants,
        new_holds: made_holds,
        changed_holds,
        new_rules: made_rules,
        changed_rules,
        task,
        refunded,
    };
    Decision::Accepted(Box::new(changes), Receipt { stored, idempotent_replay: false })
}
