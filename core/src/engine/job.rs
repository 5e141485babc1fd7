//! Commands on their way: checked, named, and bound to the ticket that waits for them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use tracing::Span;

use super::GroupFailure;
use super::record::Recorder;
use super::refusals::Outbox;
use super::stats::Outcomes;
use super::ticket::{Answer, Outcome, Receipts, Ticket, ticket};
use super::trace;
use crate::changes::Looks;
use crate::command::{Body, Command, Fingerprint, Metadata, Receipt};
use crate::credit::TenantPolicy;
use crate::decide::{Decision, decide};
use crate::denial::Denial;
use crate::error::{Error, Failure};
use crate::facts::{Facts, Needs};
use crate::id::{DocumentId, OpId, Stage, TenantId};
use crate::ledger::{OperationKind, StoredOperation};
use crate::map::Map;
use crate::recording::Recording;
use crate::time::Timestamp;

/// A command whose shape is right, with the id that it takes effect under however often it is tried.
pub(super) struct Prepared {
    command: Command,
    op_id: OpId,
    policy: Arc<TenantPolicy>,
    /// Its handles, worked out when it was named, until its first batch takes them.
    needs: Option<Box<Needs>>,
    recorder: Option<Recorder>,
    /// Until it is answered; of one that is only previewed there is none.
    span: Span,
}

impl Prepared {
    /// Checks the shape of a command, and names its operation.
    pub(super) fn new(command: Command, policy: Arc<TenantPolicy>, now: Timestamp, random: u64) -> Result<Prepared, Denial> {
        command.check()?;
        let mut needs = Box::<Needs>::default();
        command.add_needs(&policy, &mut needs);
        let op_id = command.op_id(&needs, now, random);
        Ok(Prepared { command, op_id, policy, needs: Some(needs), recorder: None, span: Span::none() })
    }

    /// The same, which notes what it is decided from.
    pub(super) fn recorded_by(self, recorder: Recorder) -> Prepared {
        Prepared { recorder: Some(recorder), ..self }
    }

    /// It with its part of the facts.
    pub(super) fn recording(&self, facts: &Facts) -> Recording {
        Recording::new(self.command.clone(), self.op_id, (*self.policy).clone(), facts.part(&self.needs()))
    }

    /// Its own operation among those found. An operation that has its id by chance is another command's.
    fn own<'a>(&self, found: &'a Map<OpId, Arc<StoredOperation>>) -> Option<&'a Arc<StoredOperation>> {
        found.get(&self.op_id).filter(|stored| {
            let operation = &stored.operation;
            // What compliance was told of it has no key.
            let is_keyed = operation.kind == OperationKind::Alert || operation.key == self.command.context.idempotency_key;
            is_keyed && operation.fingerprint == self.command.fingerprint()
        })
    }

    fn draw_id(&mut self, random: impl Fn() -> u64) {
        self.op_id = self.op_id.with_random(random());
        trace::renamed(&self.span, self.op_id);
    }

    /// Whether it had to begin before `now`.
    pub(super) fn is_late(&self, now: Timestamp) -> bool {
        self.command.context.deadline.is_some_and(|deadline| deadline < now)
    }

    /// Handles to what decides it.
    pub(super) fn needs(&self) -> Needs {
        self.command.needs(&self.policy)
    }

    /// Decides it on the facts, and shows what it changes to the commands after it, which look at no more than `looks`. Without that no
    /// command comes after it.
    /// `is_alone`: it is no part of a group, of which no denial is remembered.
    pub(super) fn decide(
        &self,
        facts: &mut Facts,
        looks: Option<Looks>,
        outbox: &mut Outbox<'_>,
        is_alone: bool,
    ) -> Result<Receipt, Failure> {
        let _entered = self.span.enter();
        if let Some(recorder) = &self.recorder {
            recorder.note(self.recording(facts));
        }
        let decision = catch_unwind(AssertUnwindSafe(|| decide(&self.command, self.op_id, &self.policy, facts)));
        match decision {
            Ok(Decision::Accepted(changes, receipt)) => {
                looks.into_iter().for_each(|looks| facts.show(&changes, looks));
                outbox.changes.push(*changes);
                Ok(receipt)
            }
            // Its own operation, committed by an earlier try of this very command, is no replay for the caller.
            Ok(Decision::Replayed(receipt)) if receipt.stored.operation.op_id == self.op_id => Ok(first_answer(receipt.stored)),
            Ok(Decision::Replayed(receipt)) => Ok(receipt),
            Ok(Decision::Remembered(mut changes, denial, trace)) if is_alone => {
                looks.into_iter().for_each(|looks| facts.show(&changes, looks));
                outbox.keep(trace, || self.said(&denial), Some(&mut changes));
                outbox.changes.push(*changes);
                Err(denial.into())
            }
            Ok(Decision::Denied(denial, trace) | Decision::Remembered(_, denial, trace)) => {
                outbox.keep(trace, || self.said(&denial), None);
                Err(denial.into())
            }
            Ok(Decision::Contradiction(what)) => Err(Error::Corrupt(what).into()),
            Err(panic) => Err(Error::Corrupt(format!("the decision gave up: {}", panic_text(&*panic))).into()),
        }
    }
}

impl Prepared {
    /// What it said, and what it is answered.
    fn said(&self, denial: &Denial) -> (Fingerprint, Denial) {
        (self.command.fingerprint(), denial.clone())
    }
}

/// What is decided, committed and answered as one: a single command, or an all-or-nothing group.
pub(super) struct Job {
    items: Vec<Prepared>,
    deadline: Instant,
    bytes: usize,
    /// What the last try decided.
    decided: Option<Outcome>,
    /// The receipts of an earlier try that accepted it. Those of replays stay true whatever became of the try.
    accepted_before: Option<Receipts>,
    answer: Answer,
}

impl Job {
    /// A job of these commands, and the ticket that is answered when it ends.
    pub(super) fn new(mut items: Vec<Prepared>, deadline: Instant, outcomes: &Arc<Outcomes>) -> (Job, Ticket) {
        let (answer, ticket) = ticket(outcomes);
        items.iter_mut().for_each(|item| item.span = trace::command(&item.command, item.op_id));
        let bytes = items.iter().map(|item| estimated_bytes(&item.command)).fold(0, usize::saturating_add);
        (Job { items, deadline, bytes, decided: None, accepted_before: None, answer }, ticket)
    }

    /// How many commands it has.
    pub(super) const fn commands(&self) -> usize {
        self.items.len()
    }

    /// About how many bytes it keeps while it waits.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Until when it is tried again.
    pub(super) const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Adds the handles of all its commands to those of a batch.
    pub(super) fn add_needs(&mut self, needs: &mut Option<Box<Needs>>) {
        for item in &mut self.items {
            match (item.needs.take(), &mut *needs) {
                (Some(own), None) => *needs = Some(own),
                (Some(own), Some(others)) => others.append(*own),
                (None, others) => item.command.add_needs(&item.policy, others.get_or_insert_default()),
            }
        }
    }

    /// Has its handles worked out anew with its batch: of many that wait they take more time to keep than that does.
    pub(super) fn forget_needs(&mut self) {
        self.items.iter_mut().for_each(|item| item.needs = None);
    }

    /// Adds the ids of its operations, by tenant.
    pub(super) fn add_op_ids(&self, op_ids: &mut Map<TenantId, Vec<OpId>>) {
        for item in &self.items {
            op_ids.entry(item.command.context.tenant_id.clone()).or_default().push(item.op_id);
        }
    }

    /// Decides it on the facts, and shows what it changes to the jobs after it, unless it is the last.
    pub(super) fn decide(&mut self, facts: &mut Facts, looks: Looks, outbox: &mut Outbox<'_>, is_last: bool) {
        let outcome = match self.items.as_slice() {
            [item] => {
                let decided = item.decide(facts, (!is_last).then_some(looks), outbox, true);
                decided.map(Receipts::One).map_err(|failure| GroupFailure::at(0, failure))
            }
            items => decide_group(items, facts, looks, outbox),
        };
        self.decided = Some(outcome);
    }

    /// Puts aside what an earlier try decided, before the next.
    pub(super) fn begin_try(&mut self) {
        if let Some(Ok(receipts)) = self.decided.take() {
            self.accepted_before = Some(receipts);
        }
    }

    /// Whether the last try accepted it.
    pub(super) const fn is_accepted(&self) -> bool {
        matches!(self.decided, Some(Ok(_)))
    }

    /// Answers with what the last try decided.
    pub(super) fn answer_decided(mut self) {
        let unheard = || Err(Error::Store("the store committed a batch without having it decided".to_owned()).into());
        let outcome = self.decided.take().unwrap_or_else(unheard);
        self.answer(outcome);
    }

    /// Answers that all of it failed.
    pub(super) fn answer_error(self, error: Error) {
        self.answer(Err(error.into()));
    }

    fn answer(self, outcome: Outcome) {
        if let Err(GroupFailure { index, failure: Failure::Failed(error) }) = &outcome {
            let blamed = self.items.iter().enumerate().filter(|(at, _)| index.is_none_or(|index| index == *at));
            blamed.for_each(|(_, item)| trace::failed(&item.span, error));
        }
        self.answer.send(outcome);
    }

    /// Says of a batch's span that it follows from its commands'.
    pub(super) fn lead_to(&self, batch: &Span) {
        for item in &self.items {
            batch.follows_from(&item.span);
        }
    }

    /// Gives its commands other ids: nothing was committed under those that they have.
    #[cfg(feature = "sqlite")]
    pub(super) fn draw_ids(&mut self, random: impl Fn() -> u64) {
        self.items.iter_mut().for_each(|item| item.draw_id(&random));
    }

    /// Gives a command another id when its own was found to be another command's: then it never took effect under it.
    pub(super) fn rename(mut self, found: &Map<OpId, Arc<StoredOperation>>, random: impl Fn() -> u64) -> Job {
        for item in &mut self.items {
            if found.contains_key(&item.op_id) && item.own(found).is_none() {
                item.draw_id(&random);
            }
        }
        self
    }

    /// Answers from operations that were found in the store. Gives itself back when there is none of its own among them.
    pub(super) fn answer_found(self, found: &Map<OpId, Arc<StoredOperation>>) -> Option<Job> {
        if !self.items.iter().any(|item| item.own(found).is_some()) {
            return Some(self);
        }
        if let Some(refused) = self.remembered(found) {
            self.answer.send(Err(refused));
            return None;
        }
        // A batch commits whole: what was accepted is found, and what is not found was a replay.
        let accepted = self.decided.as_ref().and_then(|outcome| outcome.as_ref().ok()).or(self.accepted_before.as_ref());
        let receipts = self.items.iter().enumerate().map(|(index, item)| {
            let stored = item.own(found).map(|stored| first_answer(Arc::clone(stored)));
            stored.or_else(|| accepted.and_then(|receipts| receipts.as_slice().get(index)).cloned())
        });
        let lost = || Error::Unknown("the group took effect, but the answer of a part cannot be told".to_owned()).into();
        let outcome = receipts.collect::<Option<Vec<_>>>().map(Receipts::Group).ok_or_else(lost);
        self.answer(outcome);
        None
    }
}

impl Job {
    /// The denial that an earlier try kept under the key of its command.
    fn remembered(&self, found: &Map<OpId, Arc<StoredOperation>>) -> Option<GroupFailure> {
        let kept = |item: &Prepared| item.own(found).and_then(|stored| stored.operation.denial.clone());
        let (index, denial) = self.items.iter().enumerate().find_map(|(index, item)| Some((index, kept(item)?)))?;
        Some(GroupFailure::at(index, Arc::unwrap_or_clone(denial).into()))
    }

    /// Whether one of its commands had to begin before `now`.
    pub(super) fn is_late(&self, now: Timestamp) -> bool {
        self.items.iter().any(|item| item.is_late(now))
    }

    /// Whether one of its commands has to begin by some instant.
    pub(super) fn has_deadline(&self) -> bool {
        self.items.iter().any(|item| item.command.context.deadline.is_some())
    }

    /// Decides that it never begins: busy as a whole.
    pub(super) fn refuse_late(&mut self) {
        self.decided = Some(Err(late().into()));
    }
}

/// What a command is answered that did not begin by its deadline.
pub(super) fn late() -> Error {
    Error::Busy("the command did not begin by its `deadline`".to_owned())
}

/// Decides a group on a layer of its own; the layer becomes the facts when its last command is accepted. What is told to compliance of
/// one that is refused stays.
fn decide_group(items: &[Prepared], facts: &mut Facts, looks: Looks, outbox: &mut Outbox<'_>) -> Outcome {
    let mut layer = facts.clone();
    let before = outbox.changes.len();
    let mut receipts = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        match item.decide(&mut layer, Some(looks), outbox, false) {
            Ok(receipt) => receipts.push(receipt),
            Err(failure) => {
                let of_group = outbox.changes.split_off(before);
                outbox.changes.extend(of_group.into_iter().filter(|changes| changes.operation().kind == OperationKind::Alert));
                return Err(GroupFailure::at(index, failure));
            }
        }
    }
    *facts = layer;
    Ok(Receipts::Group(receipts))
}

const fn first_answer(stored: Arc<StoredOperation>) -> Receipt {
    Receipt { stored, idempotent_replay: false }
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason given")
}

/// Bytes of a command without its text: ids, handles, and its place in the queue.
const COMMAND_BYTES: usize = 1_024;

fn estimated_bytes(command: &Command) -> usize {
    let (reason, metadata): (Option<&str>, Option<&Metadata>) = match &command.body {
        Body::Grant(body) => (body.reason.as_deref(), body.metadata.as_ref()),
        Body::Void(body) => (Some(&body.reason), body.metadata.as_ref()),
        Body::Amend(body) => (body.reason.as_deref(), body.metadata.as_ref()),
        Body::Adjust(body) => (Some(&body.reason), body.metadata.as_ref()),
        Body::Hold(body) => (body.reason.as_deref(), body.metadata.as_ref()),
        Body::Extend(body) => (body.reason.as_deref(), body.metadata.as_ref()),
        Body::Capture(body) => (body.reason.as_deref(), body.metadata.as_ref()),
        Body::Release(body) => (body.reason.as_deref(), body.metadata.as_ref()),
        Body::Charge(body) => (body.reason.as_deref(), body.metadata.as_ref()),
        Body::Refund(body) => (Some(&body.reason), body.metadata.as_ref()),
        Body::Settle(_) => (None, None),
        Body::Recur(body) => (body.reason.as_deref(), body.metadata.as_ref()),
        Body::StopRule(body) => (Some(&body.reason), body.metadata.as_ref()),
        Body::EraseText(body) => (Some(&body.reason), None),
        Body::Block(body) => (Some(&body.reason), body.metadata.as_ref()),
        Body::Unblock(body) => (Some(&body.reason), body.metadata.as_ref()),
        Body::SetMember(body) => (body.reason.as_deref(), body.metadata.as_ref()),
        Body::RemoveMember(body) => (body.reason.as_deref(), body.metadata.as_ref()),
        Body::SetCreditLimit(body) => (Some(&body.reason), body.metadata.as_ref()),
        Body::Import(body) => (body.reason.as_deref(), body.metadata.as_ref()),
        Body::SetLowBalance(body) => (body.reason.as_deref(), body.metadata.as_ref()),
        Body::SetLicence(body) => (body.reason.as_deref(), body.metadata.as_ref()),
        Body::RevokeLicence(body) => (Some(&body.reason), body.metadata.as_ref()),
        Body::SubmitDocuments(body) => (body.reason.as_deref(), body.metadata.as_ref()),
        Body::AdvanceTask(body) => (body.stage.as_ref().map(Stage::as_str), body.metadata.as_ref()),
        Body::CompleteTask(body) => (body.reason.as_deref(), body.metadata.as_ref()),
        Body::FailTask(body) => (Some(&body.reason), body.metadata.as_ref()),
    };
    let documents = match &command.body {
        Body::SetLicence(body) => Some(&body.required_documents),
        Body::SubmitDocuments(body) => Some(&body.documents),
        _ => None,
    };
    let documents = documents.map_or(0, |names| names.iter().map(|name| size_of::<DocumentId>() + name.as_str().len()).sum());
    COMMAND_BYTES + reason.map_or(0, str::len) + metadata.map_or(0, map_bytes) + documents
}

fn map_bytes(map: &Metadata) -> usize {
    map.iter().map(|(name, value)| size_of::<(String, Value)>() + name.len() + value_bytes(value)).sum()
}

/// The heap behind a JSON value. Its depth is bounded by what a JSON reader takes.
fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 0,
        Value::Number(number) => number.as_str().len(),
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| size_of::<Value>() + value_bytes(item)).sum(),
        Value::Object(map) => map_bytes(map),
    }
}
