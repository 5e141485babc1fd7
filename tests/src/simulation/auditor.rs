//! The auditor: every answer is the model's, every operation was asked for, and took effect once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use drawdown::ledger::StoredOperation;
use drawdown::store::Store;
use drawdown::testing::generate::Made;
use drawdown::testing::model::{Effects, Model, Verdict};
use drawdown::{AccountKey, Body, Command, Engine, Error, Failure, GroupFailure, Policies, Receipt, Timestamp};
use serde_json::Value;

use super::anchors::{Anchors, Behind};
use super::ledger::Ledger;
use crate::compare::{same, same_effects};

/// How many past balances are kept for the end.
const MAX_PAST: usize = 400;

/// A command that was given, and the step that it is of.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) serial: Option<u32>,
    pub(super) command: Command,
}

/// What came back.
pub(super) enum Answers {
    Each(Vec<Result<Receipt, Failure>>),
    Group(Result<Vec<Receipt>, GroupFailure>),
}

/// What went wrong underneath while commands were executed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trouble {
    /// A call of the store failed on purpose.
    pub(super) failed: bool,
    /// The reply of a commit may have been lost.
    pub(super) lost: bool,
    /// The engine tries until it knows.
    pub(super) patient: bool,
    /// A commit is still on its way.
    pub(super) late: bool,
}

/// Commands as they were executed.
pub(super) struct Sent<'a> {
    pub(super) asked: &'a [Asked],
    pub(super) clock: Timestamp,
    /// When they would be decided if all of them are decided together.
    pub(super) together: Result<Timestamp, Behind>,
    pub(super) answers: Answers,
    pub(super) trouble: Trouble,
}

/// Knows what must be true.
pub(super) struct Auditor {
    pub(super) model: Model,
    policies: Policies,
    pub(super) ledger: Ledger,
    anchors: Anchors,
    pub(super) made: HashMap<u32, Made>,
    /// Commands whose commit is on its way.
    late: Vec<Asked>,
    /// What the model said of accounts at instants before anything else was booked.
    past: Vec<(AccountKey, Timestamp, (i64, i64))>,
    /// Accounts of the last commands.
    pub(super) touched: BTreeSet<AccountKey>,
    /// How often each command had each outcome.
    pub(super) seen: BTreeMap<String, u64>,
}

impl Auditor {
    pub(super) fn new(policies: Policies) -> Auditor {
        Auditor {
            model: Model::new(policies.clone()),
            policies,
            ledger: Ledger::default(),
            anchors: Anchors::default(),
            made: HashMap::new(),
            late: Vec::new(),
            past: Vec::new(),
            touched: BTreeSet::new(),
            seen: BTreeMap::new(),
        }
    }

    /// When commands will be decided if they are decided together. Those of a wrong shape are not decided at all.
    pub(super) fn foresee(&self, asked: &[Asked], clock: Timestamp) -> Result<Timestamp, Behind> {
        let decided: Vec<&Command> = asked.iter().map(|asked| &asked.command).filter(|command| command.check().is_ok()).collect();
        self.anchors.instant(clock, &decided, &self.policies)
    }

    /// A commit that was on its way has arrived.
    pub(super) fn landed(&mut self, books: &dyn Store) -> Result<(), String> {
        self.touched.clear();
        let new = self.ledger.read_on(books)?;
        let mut late = std::mem::take(&mut self.late);
        for stored in &new {
            let asked = claim(&mut late, stored).ok_or_else(|| unasked(stored))?;
            self.took_effect(&asked, stored)?;
        }
        self.adopt_settles(books, &late)
    }

    /// Judges what commands were answered, and what they left in the books. Answers those whose outcome is open.
    pub(super) fn judge(&mut self, sent: Sent<'_>, books: &dyn Store) -> Result<Vec<Asked>, String> {
        self.touched.clear();
        for asked in sent.asked {
            let needs = asked.command.needs(self.policies.of(&asked.command.context.tenant_id));
            self.touched.extend(needs.accounts);
        }
        let new = self.ledger.read_on(books)?;
        let open = if sent.trouble.failed { self.judge_troubled(&sent, &new, books)? } else { self.judge_calm(&sent, &new)? };
        if !self.model.is_sound() {
            return Err("the model itself is not sound".to_owned());
        }
        Ok(open)
    }

    // ---- nothing went wrong underneath: everything is foreseen exactly ----

    fn judge_calm(&mut self, sent: &Sent<'_>, new: &[Arc<StoredOperation>]) -> Result<Vec<Asked>, String> {
        let mut open = Vec::new();
        let mut new = new.iter();
        match &sent.answers {
            Answers::Each(answers) => {
                same("answers", answers.len(), sent.asked.len())?;
                // Of a batch that fails for good, each command is executed alone.
                let alone = sent.together.is_err();
                for (asked, answer) in sent.asked.iter().zip(answers) {
                    let instant = match () {
                        () if asked.command.check().is_err() => Ok(sent.clock),
                        () if alone => self.anchors.instant(sent.clock, &[&asked.command], &self.policies),
                        () => sent.together,
                    };
                    let said = self.judge_one(asked, instant, answer, &mut new);
                    said.map_err(|why| explain(asked, &why, &format!("{:?}", answer.as_ref().map(Receipt::to_json))))?;
                    if matches!(answer, Err(Failure::Failed(_))) {
                        open.push(asked.clone());
                    }
                }
            }
            Answers::Group(answer) => {
                self.judge_group(sent, answer, &mut new)?;
                if answer.as_ref().is_err_and(|group| group.failure.denial().is_none()) {
                    open.extend_from_slice(sent.asked);
                }
            }
        }
        match new.next() {
            Some(stored) => Err(unasked(stored)),
            None => Ok(open),
        }
    }

    fn judge_one<'a>(
        &mut self,
        asked: &Asked,
        instant: Result<Timestamp, Behind>,
        answer: &Result<Receipt, Failure>,
        new: &mut impl Iterator<Item = &'a Arc<StoredOperation>>,
    ) -> Result<(), String> {
        let Ok(now) = instant else {
            self.count(asked, "clock_behind");
            return same("the clock is behind", matches!(answer, Err(Failure::Failed(Error::ClockBehind { .. }))), true);
        };
        let verdict = self.model.decide(now, &asked.command);
        match (&verdict, answer) {
            (Verdict::Denied(kind), Err(Failure::Denied(denial))) if denial.kind() == *kind => {
                self.count(asked, kind.name());
                Ok(())
            }
            (Verdict::Replayed(effects), Ok(receipt)) if receipt.idempotent_replay => self.replayed(asked, effects, receipt),
            (Verdict::Accepted(effects), Ok(receipt)) if !receipt.idempotent_replay => {
                same("decided at", receipt.stored.operation.created_at, now)?;
                self.accepted(asked, effects, receipt)?;
                if !is_recorded(receipt) {
                    return Ok(());
                }
                let stored = new.next().ok_or("it is not in the feed")?;
                same_operation(stored, &receipt.stored)
            }
            _ => Err(format!("at {now} the model says {verdict:?}")),
        }
    }

    fn judge_group<'a>(
        &mut self,
        sent: &Sent<'_>,
        answer: &Result<Vec<Receipt>, GroupFailure>,
        new: &mut impl Iterator<Item = &'a Arc<StoredOperation>>,
    ) -> Result<(), String> {
        let wrong_shape = sent.asked.iter().position(|asked| asked.command.check().is_err());
        if let Some((index, denial)) = wrong_shape.and_then(|at| Some((at, sent.asked.get(at)?.command.check().err()?))) {
            return same_refusal(answer, index, denial.kind().name());
        }
        let Ok(now) = sent.together else {
            let behind = matches!(answer, Err(GroupFailure { failure: Failure::Failed(Error::ClockBehind { .. }), .. }));
            return same("the clock is behind the group", behind, true);
        };
        let before = self.model.clone();
        let refused = sent.asked.iter().enumerate().find_map(|(index, asked)| match self.model.decide(now, &asked.command) {
            Verdict::Denied(kind) => Some((index, kind)),
            _ => None,
        });
        self.model = before;
        if let Some((index, kind)) = refused {
            self.count_all(sent, "refused with its group");
            return same_refusal(answer, index, kind.name());
        }
        let receipts = answer.as_ref().map_err(|group| format!("the model accepts the group, the engine: {group:?}"))?;
        same("receipts", receipts.len(), sent.asked.len())?;
        for (asked, receipt) in sent.asked.iter().zip(receipts) {
            let answer = Ok(receipt.clone());
            let said = self.judge_one(asked, Ok(now), &answer, new);
            said.map_err(|why| explain(asked, &why, &receipt.to_json().to_string()))?;
        }
        Ok(())
    }

    // ---- calls of the store failed: what is in the books counts, and answers must fit it ----

    fn judge_troubled(&mut self, sent: &Sent<'_>, new: &[Arc<StoredOperation>], books: &dyn Store) -> Result<Vec<Asked>, String> {
        let answers = each_of(sent);
        let own = |auditor: &Auditor, asked: &Asked| auditor.anchors.instant(sent.clock, &[&asked.command], &auditor.policies);
        let before: Vec<_> = sent.asked.iter().map(|asked| own(self, asked)).collect();
        let unknown = |answer: &Result<Receipt, Failure>| matches!(answer, Err(Failure::Failed(Error::Unknown(_))));
        let mut open: Vec<Asked> =
            sent.asked.iter().zip(&answers).filter(|(_, answer)| unknown(answer)).map(|(asked, _)| asked.clone()).collect();
        let mut states = vec![self.model.clone()];
        let mut instants: Vec<Timestamp> = before.iter().copied().chain([sent.together]).flatten().chain([sent.clock]).collect();
        let mut found = 0;
        for stored in new {
            let told = |answer: &Result<Receipt, Failure>| {
                answer
                    .as_ref()
                    .is_ok_and(|receipt| !receipt.idempotent_replay && receipt.stored.operation.op_id == stored.operation.op_id)
            };
            let asked = match answers.iter().position(told).and_then(|at| sent.asked.get(at)) {
                Some(asked) => asked.clone(),
                None => claim(&mut open, stored).ok_or_else(|| unasked(stored))?,
            };
            let at = stored.operation.created_at;
            same("decided at", [own(self, &asked), sent.together].contains(&Ok(at)), true)
                .map_err(|why| explain(&asked, &why, &at.to_string()))?;
            self.took_effect(&asked, stored)?;
            (found, instants) = (found + 1, [instants, vec![at]].concat());
            states.push(self.model.clone());
        }
        for (asked, answer) in sent.asked.iter().zip(&answers) {
            let said = self.judge_fitting(asked, answer, new, sent, (&states, &instants));
            said.map_err(|why| explain(asked, &why, &format!("{:?}", answer.as_ref().map(Receipt::to_json))))?;
        }
        if let Answers::Group(Err(_)) = sent.answers
            && found > 0
        {
            let rest = open.iter().filter(|asked| !self.is_replay(asked) && !leaves_nothing(asked)).count();
            same("commands of a group that took effect without the others", rest, 0)?;
        }
        self.adopt_settles(books, &open)?;
        if sent.trouble.late {
            self.late.clone_from(&open);
        }
        let failed = |answer: &Result<Receipt, Failure>| matches!(answer, Err(Failure::Failed(_)));
        Ok(sent.asked.iter().zip(&answers).filter(|(_, answer)| failed(answer)).map(|(asked, _)| asked.clone()).collect())
    }

    fn judge_fitting(
        &mut self,
        asked: &Asked,
        answer: &Result<Receipt, Failure>,
        new: &[Arc<StoredOperation>],
        sent: &Sent<'_>,
        (states, instants): (&[Model], &[Timestamp]),
    ) -> Result<(), String> {
        let trouble = sent.trouble;
        match answer {
            Ok(receipt) if receipt.idempotent_replay => match self.model.decide(sent.clock, &asked.command) {
                Verdict::Replayed(effects) => self.replayed(asked, &effects, receipt),
                verdict => Err(format!("the model says {verdict:?}")),
            },
            Ok(receipt) if is_recorded(receipt) => {
                let own = new.iter().find(|stored| stored.operation.op_id == receipt.stored.operation.op_id);
                same_operation(own.ok_or("it is not in the feed")?, &receipt.stored)
            }
            Ok(receipt) => self.settled_nothing(asked, receipt, states),
            Err(Failure::Denied(denial)) if matches!(sent.answers, Answers::Each(_)) => {
                let mut said =
                    states.iter().flat_map(|state| instants.iter().map(|now| state.clone().decide(*now, &asked.command)));
                same("the model denies it so", said.any(|verdict| verdict == Verdict::Denied(denial.kind())), true)
            }
            // Refused with its group: no state but the one before can have refused it.
            Err(Failure::Denied(denial)) => self.refused_in_group(sent, denial.kind(), instants),
            Err(Failure::Failed(Error::ClockBehind { .. })) => {
                let own = self.anchors.instant(sent.clock, &[&asked.command], &self.policies);
                same("the clock is behind", own.is_err() || sent.together.is_err(), true)
            }
            Err(Failure::Failed(Error::Unknown(_))) => {
                self.count(asked, if asked.serial.is_some() { "unknown" } else { "swept" });
                same("a reply was lost", trouble.lost, true)
            }
            Err(Failure::Failed(Error::Busy(_))) => {
                self.count(asked, "busy");
                same("given up by a patient engine", trouble.patient, false)
            }
            Err(Failure::Failed(Error::Store(_))) => {
                self.count(asked, "store");
                Ok(())
            }
            Err(Failure::Failed(error)) => Err(format!("nobody foresaw {error}")),
        }
    }

    /// A settle that found nothing due leaves no operation, so its place among the others is not known.
    fn settled_nothing(&mut self, asked: &Asked, receipt: &Receipt, states: &[Model]) -> Result<(), String> {
        let at = receipt.stored.operation.created_at;
        let fits = |state: &Model| match state.clone().decide(at, &asked.command) {
            Verdict::Accepted(effects) => same_effects(state, &effects, receipt).is_ok(),
            _ => false,
        };
        same("the model settles nothing so", states.iter().any(fits), true)?;
        self.model.decide(at, &asked.command);
        self.anchors.learn(&receipt.stored);
        self.count(asked, "accepted");
        Ok(())
    }

    fn refused_in_group(&self, sent: &Sent<'_>, kind: drawdown::DenialKind, instants: &[Timestamp]) -> Result<(), String> {
        let refuses = |now: &Timestamp| {
            let mut model = self.model.clone();
            let shape = sent.asked.iter().find_map(|asked| asked.command.check().err()).map(|denial| denial.kind());
            let first = sent.asked.iter().find_map(|asked| match model.decide(*now, &asked.command) {
                Verdict::Denied(kind) => Some(kind),
                _ => None,
            });
            shape.or(first) == Some(kind)
        };
        same("the model refuses the group so", instants.iter().any(refuses), true)
    }

    // ---- what follows from an operation ----

    /// An operation stands in the feed that this command asked for: the model accepts it at that instant.
    fn took_effect(&mut self, asked: &Asked, stored: &Arc<StoredOperation>) -> Result<(), String> {
        let receipt = Receipt { stored: Arc::clone(stored), idempotent_replay: false };
        let said = match self.model.decide(stored.operation.created_at, &asked.command) {
            Verdict::Accepted(effects) => self.accepted(asked, &effects, &receipt),
            verdict => Err(format!("at {} the model says {verdict:?}", stored.operation.created_at)),
        };
        said.map_err(|why| explain(asked, &why, &receipt.to_json().to_string()))
    }

    fn accepted(&mut self, asked: &Asked, effects: &Effects, receipt: &Receipt) -> Result<(), String> {
        self.model.pair(receipt);
        same_effects(&self.model, effects, receipt)?;
        let operation = &receipt.stored.operation;
        same("fingerprint", &operation.fingerprint, &asked.command.fingerprint())?;
        same("key", operation.key.as_ref(), asked.command.context.idempotency_key.as_ref())?;
        self.anchors.learn(&receipt.stored);
        if let Some(account) = &operation.account {
            self.touched.insert((**account).clone());
            self.past.retain(|(key, at, _)| *key != **account || *at < operation.created_at);
        }
        self.made.extend(asked.serial.map(|serial| (serial, Made::of(receipt))));
        self.count(asked, "accepted");
        Ok(())
    }

    fn replayed(&mut self, asked: &Asked, effects: &Effects, receipt: &Receipt) -> Result<(), String> {
        same_effects(&self.model, effects, receipt)?;
        let first = self.ledger.find(receipt.stored.operation.op_id).ok_or("what is replayed is not in the feed")?;
        same_operation(first, &receipt.stored)?;
        self.made.extend(asked.serial.map(|serial| (serial, Made::of(receipt))));
        self.count(asked, "replayed");
        Ok(())
    }

    fn is_replay(&self, asked: &Asked) -> bool {
        let context = &asked.command.context;
        context.idempotency_key.as_ref().is_some_and(|key| self.ledger.has_key(&context.tenant_id, key))
    }

    /// A settle that finds nothing due leaves no operation, only the instant at which the account was looked at.
    fn adopt_settles(&mut self, books: &dyn Store, open: &[Asked]) -> Result<(), String> {
        for asked in open.iter().filter(|asked| leaves_nothing(asked)) {
            for key in asked.command.needs(self.policies.of(&asked.command.context.tenant_id)).accounts {
                let Some(last_at) = self.ledger.compare(books, &key)? else { continue };
                if self.anchors.account(&key) != Some(last_at) {
                    self.model.decide(last_at, &asked.command);
                    self.anchors.book(&key, last_at);
                    self.past.retain(|(known, at, _)| *known != key || *at < last_at);
                }
            }
        }
        Ok(())
    }

    // ---- balances ----

    /// The rows of an account and its balance by an engine.
    pub(super) fn compare(&self, engine: &Engine, books: &dyn Store, key: &AccountKey) -> Result<(), String> {
        let booked = self.ledger.compare(books, key)?;
        same(&format!("last_at of {key}"), booked, self.anchors.account(key))?;
        let now = engine.now().max(booked.unwrap_or(Timestamp::MIN));
        let balance = engine.balance(key).map_err(|error| error.to_string())?;
        let found = (balance.available.micros(), balance.frozen.micros());
        same(&format!("balance of {key} at {now}"), found, self.model.balance(key, now))
    }

    /// Writes down what the model says of an account at an instant that is not before its last booking.
    pub(super) fn remember(&mut self, key: &AccountKey, at: Timestamp) {
        if self.anchors.account(key).is_some_and(|booked| booked <= at) && self.past.len() < MAX_PAST {
            self.past.push((key.clone(), at, self.model.balance(key, at)));
        }
    }

    /// The past is still what it was.
    pub(super) fn compare_past(&self, engine: &Engine) -> Result<(), String> {
        for (key, at, expected) in &self.past {
            let balance = engine.balance_at(key, *at).map_err(|error| error.to_string())?;
            same(&format!("balance of {key} at {at}"), (balance.available.micros(), balance.frozen.micros()), *expected)?;
        }
        Ok(())
    }

    fn count(&mut self, asked: &Asked, outcome: &str) {
        *self.seen.entry(format!("{} {outcome}", asked.command.body.kind())).or_default() += 1;
    }

    fn count_all(&mut self, sent: &Sent<'_>, outcome: &str) {
        sent.asked.iter().for_each(|asked| self.count(asked, outcome));
    }
}

/// Takes out the first command that can have made this operation.
fn claim(open: &mut Vec<Asked>, stored: &StoredOperation) -> Option<Asked> {
    let operation = &stored.operation;
    let made_it = |asked: &Asked| {
        let context = &asked.command.context;
        context.tenant_id == operation.tenant_id
            && context.idempotency_key == operation.key
            && asked.command.body.kind() == operation.kind
            && asked.command.fingerprint() == operation.fingerprint
    };
    let at = open.iter().position(made_it)?;
    Some(open.remove(at))
}

/// An answer for each command, whether they were a group or not.
fn each_of(sent: &Sent<'_>) -> Vec<Result<Receipt, Failure>> {
    match &sent.answers {
        Answers::Each(answers) => answers.clone(),
        Answers::Group(Ok(receipts)) => receipts.iter().cloned().map(Ok).collect(),
        Answers::Group(Err(group)) => vec![Err(group.failure.clone()); sent.asked.len()],
    }
}

/// Whether the command may leave no operation: a settle without a key.
const fn leaves_nothing(asked: &Asked) -> bool {
    matches!(asked.command.body, Body::Settle(_)) && asked.command.context.idempotency_key.is_none()
}

fn is_recorded(receipt: &Receipt) -> bool {
    !receipt.entries().is_empty() || receipt.stored.operation.key.is_some()
}

/// What is answered is what stands in the feed; how much of it was refunded since is no part of the answer. The hash of an
/// entry stands for all of it but its text.
fn same_operation(stored: &StoredOperation, answered: &StoredOperation) -> Result<(), String> {
    let mut operation = answered.operation.clone();
    operation.refunded = stored.operation.refunded;
    same("the operation", &operation, &stored.operation)?;
    for (answered, stored) in answered.entries.iter().zip(&stored.entries) {
        same("the entry", (answered.ledger_id(), answered.hash), (stored.ledger_id(), stored.hash))?;
        same("the text of the entry", &answered.text, &stored.text)?;
    }
    same("entries", answered.entries.len(), stored.entries.len())
}

fn same_refusal(answer: &Result<Vec<Receipt>, GroupFailure>, index: usize, kind: &str) -> Result<(), String> {
    let group = answer.as_ref().err().ok_or_else(|| format!("the model refuses the group at {index} with {kind}"))?;
    let found = (group.index, group.failure.denial().map(drawdown::Denial::name));
    same("the group is refused", found, (Some(index), Some(kind)))
}

fn unasked(stored: &StoredOperation) -> String {
    format!("nobody asked for what stands in the feed: {stored:?}")
}

fn explain(asked: &Asked, why: &str, answer: &str) -> String {
    format!("{why}\nengine: {answer}\ncommand: {}", Value::Object(asked.command.to_fields()))
}
