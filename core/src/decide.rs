//! The decision: pure and total. No clock, no I/O, no randomness, no panic; the same facts give the same answer anywhere.

use std::sync::Arc;

use crate::amount::Amount;
use crate::audit::{self, Trace};
use crate::changes::{Changes, Erased};
use crate::command::{AnswerRest, Body, Command, Context, Fingerprint, Receipt, Settle, paying_account};
use crate::credit::{
    Member, MemberUses, TenantPolicy, adjust, block, charge, erase, grants, holds, limits, members, recur, refund,
};
use crate::denial::{Denial, DenialKind};
use crate::facts::{AccountFacts, Facts, SubjectRow, Task};
use crate::id::{LedgerId, OpId, PolicyTag, TaskId, TenantId};
use crate::ledger::posting::{Before, Booked, Posting, Stop};
use crate::ledger::{Alert, Operation, OperationKind, StoredOperation};
use crate::licence::{self, LicenceRows, LicenceUses};
use crate::owner::{AccountKey, MemberKey, Subject};
use crate::risk::{self, RiskUses};
use crate::settle::settle;
use crate::task;
use crate::time::Timestamp;

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The command takes effect: what it changes, and its answer.
    Accepted(Box<Changes>, Receipt),
    /// The command took effect before: its answer again.
    Replayed(Receipt),
    /// The command is refused, and what the denial leaves behind.
    Denied(Denial, Trace),
    /// The command is refused, what keeps the denial under its key, and what it leaves behind besides.
    Remembered(Box<Changes>, Denial, Trace),
    /// The facts contradict themselves; nothing is decided.
    Contradiction(String),
}

/// Decides a command from facts. The order of checks: shape, replay, request limit, owner, version, membership, target, quote, licence,
/// risk limits, capacity, balance; within a command of a family, the function named here goes on in that order.
#[must_use]
pub fn decide(command: &Command, op_id: OpId, policy: &TenantPolicy, facts: &Facts) -> Decision {
    if let Err(denial) = command.check() {
        return Decision::Denied(denial, Trace::default());
    }
    let fingerprint = command.fingerprint();
    if let Some(earlier) = earlier(&command.context, facts) {
        return replay(earlier, &fingerprint, policy, facts.now);
    }
    let case = Case { context: &command.context, op_id, policy, facts };
    let taken = refuse_requests(&case, &command.body).and_then(|()| check_version(&case, command));
    match taken.and_then(|()| book(&case, &command.body)) {
        Ok(booking) => accept(&case, command.body.kind(), fingerprint, booking),
        Err(Stop::Denied(denial)) => {
            let (denial, trace) = audit::trace(command, op_id, policy, denial, facts.now);
            if command.context.remember_denials {
                let changes = remember(&case, command.body.kind(), fingerprint, &denial);
                Decision::Remembered(Box::new(changes), denial, trace)
            } else {
                Decision::Denied(denial, trace)
            }
        }
        Err(Stop::Contradiction(what)) => Decision::Contradiction(what),
    }
}

/// What a command to block, or one to unblock, asks for.
macro_rules! asked_block {
    ($body:ident) => {
        block::Ask { target: &$body.target, operator: &$body.operator, reason: &$body.reason, metadata: $body.metadata.as_ref() }
    };
}

fn book<'a>(case: &Case<'a>, body: &Body) -> Result<Booking<'a>, Stop> {
    match body {
        Body::Grant(body) => grants::give(case, body),
        Body::Void(body) => grants::void(case, body),
        Body::Amend(body) => grants::amend(case, body),
        Body::Adjust(body) => adjust::adjust(case, body),
        Body::Hold(body) => holds::place(case, body),
        Body::Extend(body) => holds::extend(case, body),
        Body::Capture(body) => holds::capture(case, body),
        Body::Release(body) => holds::release(case, body),
        Body::Charge(body) => charge::charge(case, body),
        Body::Refund(body) => refund::refund(case, body),
        Body::Settle(body) => settle_account(case, body),
        Body::Recur(body) => recur::recur(case, body),
        Body::StopRule(body) => recur::stop(case, body),
        Body::EraseText(body) => erase::erase(case, body),
        Body::Block(body) => block::set(case, &asked_block!(body), true),
        Body::Unblock(body) => block::set(case, &asked_block!(body), false),
        Body::SetMember(body) => members::set(case, body),
        Body::RemoveMember(body) => members::remove(case, body),
        Body::SetCreditLimit(body) => limits::set_credit_limit(case, body),
        Body::SetLowBalance(body) => limits::set_low_balance(case, body),
        Body::Import(body) => grants::import(case, body),
        Body::SetLicence(body) => licence::set(case, body),
        Body::RevokeLicence(body) => licence::revoke(case, body),
        Body::SubmitDocuments(body) => licence::submit_documents(case, body),
        Body::AdvanceTask(body) => Ok(task::advance::advance(case, body, holds::live_of_task(case, &body.task_id)?)),
        Body::CompleteTask(body) => holds::complete(case, body),
        Body::FailTask(body) => holds::fail(case, body),
    }
}

/// The operation that the command's key stands for, if it was accepted before.
fn earlier<'a>(context: &Context, facts: &'a Facts) -> Option<&'a Arc<StoredOperation>> {
    let key = context.idempotency_key.as_ref()?;
    if facts.replays.is_empty() {
        return None; // As nearly always: then no name is put together to look for.
    }
    facts.replays.get(&(context.tenant_id.clone(), key.clone()))
}

/// The first answer again, if it was a denial that is remembered too; or, for another command under the same key, what
/// differs.
fn replay(earlier: &Arc<StoredOperation>, fingerprint: &Fingerprint, policy: &TenantPolicy, now: Timestamp) -> Decision {
    // By the time alone, so that it does not matter what was removed and when.
    if earlier.operation.is_forgotten() || policy.answer_is_expired(earlier.operation.created_at, now) {
        return Decision::Denied(answer_expired(earlier), Trace::default());
    }
    if let Some(field) = earlier.operation.fingerprint.first_difference(fingerprint) {
        return Decision::Denied(
            Denial::new(DenialKind::IdempotencyConflict, format!("the idempotency key was used before with another `{field}`"))
                .with("field", field)
                .with("audit_id", earlier.operation.audit_id().to_string()),
            Trace::default(),
        );
    }
    match &earlier.operation.denial {
        Some(denial) => Decision::Denied(Denial::clone(denial), Trace::default()),
        None => Decision::Replayed(Receipt { stored: Arc::clone(earlier), idempotent_replay: true }),
    }
}

/// The key was used, and its answer is no longer kept: what it booked is named, so that it can be looked up.
fn answer_expired(earlier: &StoredOperation) -> Denial {
    let own = earlier.entries.iter().skip(usize::from(earlier.operation.settled_count));
    let ledger_ids: Vec<String> = own.map(|entry| entry.ledger_id().to_string()).collect();
    Denial::new(DenialKind::IdempotencyConflict, "the idempotency key was used before, and its answer is no longer kept")
        .with("reason", "answer_expired")
        .with("ledger_ids", ledger_ids)
        .with("audit_id", earlier.operation.audit_id().to_string())
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

    /// Whether the host made sure, for this command, that the user means it.
    pub(crate) fn is_verified(&self) -> bool {
        self.context.verified
    }

    pub(crate) fn task(&self, task_id: &TaskId) -> Option<&'a Task> {
        self.facts.tasks.get(&(self.context.tenant_id.clone(), task_id.clone()))
    }

    /// Opens an account to book in, with everything due booked first.
    pub(crate) fn open(&self, key: &AccountKey) -> Result<Box<Posting<'a>>, Stop> {
        self.open_found(key, self.facts.accounts.get(key))
    }

    /// The same, when the account was looked for already.
    pub(crate) fn open_found(&self, key: &AccountKey, found: Option<&'a AccountFacts>) -> Result<Box<Posting<'a>>, Stop> {
        let before = match found {
            Some(known) => Before::Known(known),
            None => Before::New(Box::new(AccountFacts::new(Arc::new(key.clone())))),
        };
        // In a box: it is handed on from function to function until it is booked.
        let mut posting = Box::new(Posting::new(before, Some(self.facts), self.op_id, self.facts.now));
        posting.members = MemberUses::of(self.facts, self.policy.zone);
        posting.licences = LicenceUses::of(self.facts);
        posting.risk = RiskUses::of(self.facts, self.policy);
        settle(&mut posting)?;
        posting.mark_settled();
        Ok(posting)
    }
}

/// What a family's function books.
pub(crate) struct Booking<'a> {
    /// What was booked; none for a command that books in no account.
    pub(crate) posting: Option<Box<Posting<'a>>>,
    /// What a command that books in no account is about.
    pub(crate) subject: Option<Subject>,
    pub(crate) answer: Option<AnswerRest>,
    pub(crate) policy_tag: Option<PolicyTag>,
    pub(crate) task: Option<(TaskId, Task)>,
    pub(crate) refunded: Vec<(LedgerId, Amount)>,
    pub(crate) erased: Erased,
    pub(crate) subjects: Vec<(Subject, SubjectRow)>,
    pub(crate) members: Vec<(MemberKey, Member)>,
    pub(crate) licences: LicenceRows,
    pub(crate) alerts: Vec<Alert>,
}

impl<'a> Booking<'a> {
    pub(crate) fn of(posting: Box<Posting<'a>>) -> Booking<'a> {
        Booking { posting: Some(posting), ..Booking::none() }
    }

    /// What a command that books in no account is about.
    pub(crate) fn about(subject: Subject) -> Booking<'a> {
        Booking { subject: Some(subject), ..Booking::none() }
    }

    fn none() -> Booking<'a> {
        Booking {
            posting: None,
            subject: None,
            answer: None,
            policy_tag: None,
            task: None,
            refunded: Vec::new(),
            erased: Erased::default(),
            subjects: Vec::new(),
            members: Vec::new(),
            licences: LicenceRows::default(),
            alerts: Vec::new(),
        }
    }
}

/// Requests that come too fast are refused before anything is looked at, and never those that were answered before.
fn refuse_requests(case: &Case<'_>, body: &Body) -> Result<(), Stop> {
    match body {
        Body::Charge(body) => Ok(risk::refuse_requests(case, body)?),
        _ => Ok(()),
    }
}

/// Compares the version that the command expects with the one that is booked. A hold, grant, rule or task that is not there leads
/// to no account: its family says so.
fn check_version(case: &Case<'_>, command: &Command) -> Result<(), Stop> {
    let Some(expected) = command.context.expected_version else { return Ok(()) };
    let needs = command.needs(case.policy);
    let (facts, tenant_id) = (case.facts, case.tenant_id());
    let of_task = needs.task_holds.first().and_then(|task| facts.tasks.get(task)?.hold_id);
    let named_hold = needs.holds.first().map(|(_, id)| *id).or(of_task);
    let of_hold = || named_hold.and_then(|id| facts.holds.get(&id)).map(|(key, _)| &**key);
    let of_grant = || needs.grants.first().and_then(|(_, id)| facts.grants.get(id)).map(|(key, _)| &**key);
    let of_rule = || needs.rules.first().and_then(|(_, id)| facts.rules.get(id)).map(|(key, _)| &**key);
    let account = needs.accounts.first().or_else(of_hold).or_else(of_grant).or_else(of_rule);
    let account = account.filter(|key| key.tenant_id == *tenant_id);
    let Some(account) = account else { return Ok(()) };
    let version = facts.accounts.get(account).map_or(0, |known| known.account.seq);
    if version == expected {
        return Ok(());
    }
    let message = format!("the account has version {version}, the command expects {expected}");
    Err(Denial::new(DenialKind::VersionConflict, message).with("expected", expected).with("version", version).into())
}

/// Booking what is due is all that this command does.
fn settle_account<'a>(case: &Case<'a>, command: &Settle) -> Result<Booking<'a>, Stop> {
    let key = paying_account(case.tenant_id(), case.policy, Some(&command.owner), None, command.unit.as_ref())?;
    if !case.facts.accounts.contains_key(&key) {
        return Err(Denial::no_account(&key).into());
    }
    let posting = case.open(&key)?;
    let (available, frozen) = (posting.account.available, posting.account.frozen);
    let answer = AnswerRest { available: Some(available), frozen: Some(frozen), ..AnswerRest::default() };
    Ok(Booking { answer: posting.entries.is_empty().then_some(answer), ..Booking::of(posting) })
}

fn accept(case: &Case<'_>, kind: OperationKind, fingerprint: Fingerprint, booking: Booking<'_>) -> Decision {
    let Booking { posting, subject, answer, policy_tag, task, refunded, erased, subjects, mut members, mut licences, alerts } =
        booking;
    let settled_count = posting.as_ref().map_or(0, |posting| posting.settled_count());
    let booked = posting.map(|posting| posting.finish()).unwrap_or_default();
    let Booked {
        account,
        account_is_new,
        band,
        entries,
        made_grants,
        changed_grants,
        made_holds,
        changed_holds,
        made_rules,
        changed_rules,
        changed_members,
        changed_licences,
        changed_risk,
    } = booked;
    members.extend(changed_members);
    if !changed_licences.is_empty() {
        licences.extend(changed_licences);
    }
    let entry_count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    let first_seq = account.as_ref().map_or(0, |account| account.seq.saturating_sub(u64::from(entry_count)).saturating_add(1));
    let operation = Operation {
        account: account.as_ref().map(|account| Arc::clone(&account.key)),
        subject,
        first_seq,
        entry_count,
        settled_count,
        policy_tag,
        band,
        alerts,
        answer: answer.and_then(|rest| serde_json::to_string(&rest).ok()).map(Arc::from),
        ..operation(case, kind, fingerprint)
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
        erased,
        subjects,
        members,
        licences,
        risk: changed_risk,
        audit: Vec::new(),
    };
    Decision::Accepted(Box::new(changes), Receipt { stored, idempotent_replay: false })
}

/// What keeps a denial: an operation that books nothing. No account is touched.
fn remember(case: &Case<'_>, kind: OperationKind, fingerprint: Fingerprint, denial: &Denial) -> Changes {
    let operation = Operation {
        policy_tag: denial.policy_tag().cloned(),
        denial: Some(Arc::new(denial.clone())),
        ..operation(case, kind, fingerprint)
    };
    Changes::of(StoredOperation { operation, entries: Vec::new(), position: 0 })
}

/// The operation of a command that has booked nothing yet.
fn operation(case: &Case<'_>, kind: OperationKind, fingerprint: Fingerprint) -> Operation {
    Operation {
        op_id: case.op_id,
        kind,
        tenant_id: case.tenant_id().clone(),
        account: None,
        subject: None,
        key: case.context.idempotency_key.clone(),
        fingerprint,
        first_seq: 0,
        entry_count: 0,
        settled_count: 0,
        actor: case.context.actor.clone(),
        request_id: case.context.request_id.clone(),
        policy_tag: None,
        created_at: case.now(),
        refunded: Amount::ZERO,
        band: None,
        answer: None,
        denial: None,
        alerts: Vec::new(),
    }
}
