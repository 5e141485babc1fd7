//! The engine and the naive model of its rules agree, command by command, over every store.
//!
//! `DRAWDOWN_SEQUENCES` runs more sequences than the default, `DRAWDOWN_SEED` a single one. A failing sequence is shrunk
//! and printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use drawdown::ledger::{Entry, EntryKind, Terms};
use drawdown::store::memory::MemoryStore;
use drawdown::store::sqlite::SqliteStore;
use drawdown::store::{Answer, Query, Store};
use drawdown::testing::generate::{Made, START, Step, Wait, policies, quotes, sequence};
use drawdown::testing::model::{Model, Verdict};
use drawdown::testing::soundness;
use drawdown::{AccountKey, Amount, Body, Charge, Command, Engine, Failure, ManualClock, PlaceHold, Receipt, Timestamp};
use drawdown_tests::compare::{same, same_effects, same_tasks};
use drawdown_tests::shrink::shrink;
use serde_json::Value;

const STEPS: u32 = 60;

#[test]
fn the_memory_store_agrees_with_the_model() {
    let seen = agree("memory", 600, 1, || (Arc::new(MemoryStore::new()), None));
    if std::env::var("DRAWDOWN_SEED").is_err() {
        for outcome in REACHED {
            assert!(seen.contains_key(*outcome), "no sequence has `{outcome}`, only {seen:#?}");
        }
    }
}

/// What random commands must reach, or they prove nothing.
const REACHED: &[&str] = &[
    "adjust accepted",
    "adjust on credit",
    "adjust insufficient_balance",
    "amend accepted",
    "amend payload_invalid",
    "block accepted",
    "block account_not_found",
    "capture committed",
    "capture of redrawn debt",
    "capture on credit",
    "capture expired",
    "capture frozen",
    "capture hold_exceeded",
    "capture insufficient_balance",
    "capture payload_invalid",
    "capture pre_deduct_already_processed",
    "capture pre_deduct_not_found",
    "capture replayed",
    "charge accepted",
    "charge authorization_missing",
    "charge blocked",
    "charge cap_exceeded",
    "charge charge_rate_limited",
    "charge daily_quota_exceeded",
    "charge idempotency_conflict",
    "charge insufficient_balance",
    "charge member_limit_exceeded",
    "charge not_a_member",
    "charge on credit",
    "charge owner_invalid",
    "charge by a quote",
    "charge payload_invalid",
    "charge replayed",
    "charge version_conflict",
    "capture version_conflict",
    "erase_text accepted",
    "extend accepted",
    "extend payload_invalid",
    "extend pre_deduct_already_processed",
    "grant accepted",
    "grant amount_invalid",
    "grant idempotency_conflict",
    "grant on credit",
    "grant payload_invalid",
    "charge told",
    "grant replayed",
    "hold told",
    "hold accepted",
    "hold by a quote",
    "hold payload_invalid",
    "hold authorization_missing",
    "hold authorization_not_found",
    "hold blocked",
    "hold cap_exceeded",
    "hold daily_quota_exceeded",
    "hold insufficient_balance",
    "hold member_limit_exceeded",
    "hold not_a_member",
    "hold on credit",
    "hold pre_deduct_already_processed",
    "hold replayed",
    "import accepted",
    "import amount_invalid",
    "import payload_invalid",
    "import replayed",
    "recur accepted",
    "recur amount_invalid",
    "recur payload_invalid",
    "recur replayed",
    "refund accepted",
    "refund invalid_refund_amount",
    "refund of repaid debt",
    "refund on credit",
    "refund payload_invalid",
    "refund refund_duplicate",
    "refund refund_not_allowed",
    "refund replayed",
    "release amount_invalid",
    "release cancelled",
    "release frozen",
    "release on credit",
    "release pre_deduct_already_processed",
    "remove_member accepted",
    "remove_member not_a_member",
    "set_credit_limit accepted",
    "set_credit_limit amount_invalid",
    "set_credit_limit replayed",
    "set_low_balance accepted",
    "set_low_balance amount_invalid",
    "set_low_balance replayed",
    "set_licence accepted",
    "set_licence payload_invalid",
    "set_licence replayed",
    "revoke_licence accepted",
    "revoke_licence authorization_not_found",
    "submit_documents accepted",
    "advance_task accepted",
    "advance_task payload_invalid",
    "advance_task pre_deduct_already_processed",
    "advance_task replayed",
    "advance_task task_not_found",
    "complete_task committed",
    "complete_task hold_exceeded",
    "complete_task payload_invalid",
    "complete_task pre_deduct_already_processed",
    "complete_task task_not_found",
    "fail_task cancelled",
    "fail_task pre_deduct_already_processed",
    "set_member accepted",
    "set_member amount_invalid",
    "settle accepted",
    "stop_rule accepted",
    "stop_rule payload_invalid",
    "the band is low",
    "the band is normal",
    "unblock accepted",
    "void accepted",
    "void grant_not_found",
    "void payload_invalid",
];

#[test]
fn the_sqlite_store_agrees_with_the_model() {
    agree("sqlite", 30, 1, || {
        let folder = tempfile::tempdir().unwrap();
        (Arc::new(SqliteStore::open(folder.path().join("books.db")).unwrap()), Some(folder))
    });
}

#[test]
fn batches_agree_with_the_model() {
    agree("memory, in batches", 100, 5, || (Arc::new(MemoryStore::new()), None));
}

/// How often each command had each outcome.
type Seen = BTreeMap<String, u32>;

type Opened = (Arc<dyn Store>, Option<tempfile::TempDir>);

/// Runs sequences; the first that does not agree is shrunk and shown.
fn agree(name: &str, default_count: u64, batch: usize, open: impl Fn() -> Opened) -> Seen {
    let mut seen = Seen::new();
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("DRAWDOWN_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("DRAWDOWN_SEQUENCES").unwrap_or(default_count),
    };
    for seed in seeds {
        let steps = sequence(seed, STEPS);
        match run(&steps, batch, &open) {
            Ok(outcomes) => outcomes.into_iter().for_each(|(outcome, times)| *seen.entry(outcome).or_default() += times),
            Err(first) => {
                let (steps, why) = shrink(steps, first, |steps| run(steps, batch, &open));
                let shown: Vec<String> = steps.iter().map(show).collect();
                panic!("{name}: seed {seed}: {why}\nafter these steps:\n{}", shown.join("\n"));
            }
        }
    }
    seen
}

fn show(step: &Step) -> String {
    let about = step.about.map(|about| format!(" about #{about}")).unwrap_or_default();
    format!("#{} {:?}{about} {}", step.serial, step.wait, Value::Object(step.template.to_fields()))
}

/// What an answer says besides the names of what it made.
fn without_ids(answer: &Result<Receipt, Failure>) -> Result<Vec<String>, Failure> {
    let receipt = answer.as_ref().map_err(Clone::clone)?;
    let line = |entry: &Entry| {
        let amounts: Vec<_> = entry.draw.lines().iter().map(|line| (line.grant_type, line.amount)).collect();
        let balances = (entry.change, entry.frozen_change, entry.balance_after, entry.frozen_after);
        format!("{} {amounts:?} {balances:?} {} {}", entry.kind, entry.effective_at, entry.created_at)
    };
    Ok(receipt.entries().iter().map(line).collect())
}

/// An engine and a model side by side.
struct Pair {
    engine: Engine,
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
    model: Model,
    latest: Timestamp,
    made: HashMap<u32, Made>,
    /// What the model said of accounts at instants that nothing can be booked at any more.
    past: Vec<(AccountKey, Timestamp, (i64, i64))>,
    seen: Seen,
}

fn run(steps: &[Step], batch: usize, open: &impl Fn() -> Opened) -> Result<Seen, String> {
    let (store, folder) = open();
    let start = Timestamp::from_micros(START).unwrap();
    let clock = Arc::new(ManualClock::at(start));
    let builder = Engine::builder().store(Arc::clone(&store)).clock(clock.clone()).policies(policies());
    let engine = builder.build().map_err(|error| error.to_string())?;
    store.record(&quotes()).map_err(|error| error.to_string())?;
    let model = Model::new(policies()).quoted(&quotes());
    let mut pair = Pair { engine, store, clock, model, latest: start, made: HashMap::new(), past: Vec::new(), seen: Seen::new() };
    let mut rest = steps;
    let mut checkpoint = None;
    while let Some(first) = rest.first() {
        if checkpoint.is_none() && rest.len() <= steps.len() / 2 {
            checkpoint = Some(pair.engine.checkpoint().map_err(|error| error.to_string())?);
        }
        pair.wait(first.wait, batch == 1);
        let together = 1 + rest[1..].iter().take(batch - 1).take_while(|step| step.wait == Wait::None).count();
        pair.steps(&rest[..together])?;
        rest = &rest[together..];
    }
    pair.compare_past()?;
    let report = pair.engine.verify().map_err(|error| error.to_string())?;
    if !report.is_clean() {
        return Err(format!("the books part from the ledger: {:?}", report.faults));
    }
    if let Some(checkpoint) = checkpoint {
        let since = pair.engine.verify_from(&checkpoint).map_err(|error| error.to_string())?;
        if !since.is_clean() || since.uncovered_entries + checkpoint.entries != report.entries {
            return Err(format!("verified from {checkpoint}: {since:?}"));
        }
    }
    pair.engine.close();
    drop(folder);
    Ok(pair.seen)
}

impl Pair {
    /// Moves the clock on, and writes down what the model says of the time that passes.
    fn wait(&mut self, wait: Wait, may_go_back: bool) {
        let now = self.engine.now();
        let due = self.model.next_due(self.latest);
        let goes_back = matches!(wait, Wait::Micros(micros) if micros < 0);
        let to = if goes_back && !may_go_back { now } else { wait.end(now, self.latest, due) };
        if to < now {
            self.past.retain(|(_, at, _)| *at < to);
        } else if now == self.latest && to > now {
            let mut instants = vec![now, to.plus_micros(-1).unwrap()];
            instants.extend(due.filter(|due| *due < to).into_iter().flat_map(|due| [due.plus_micros(-1).unwrap(), due]));
            for key in self.model.accounts() {
                let said = instants.iter().map(|at| (key.clone(), *at, self.model.balance(key, *at)));
                self.past.extend(said);
            }
        }
        self.latest = self.latest.max(to);
        self.clock.set(to);
    }

    fn steps(&mut self, steps: &[Step]) -> Result<(), String> {
        let commands: Vec<Command> = steps.iter().map(|step| step.command(|serial| self.made.get(&serial).copied())).collect();
        let answers = match commands.as_slice() {
            [command] => {
                let foreseen = self.engine.preview(command.clone());
                let answer = self.engine.run(command.clone());
                if without_ids(&foreseen) != without_ids(&answer) {
                    return Err(format!("previewed {foreseen:?}\nanswered {answer:?}"));
                }
                vec![answer]
            }
            many => self.engine.execute_many(many.to_vec()),
        };
        for ((step, command), answer) in steps.iter().zip(&commands).zip(answers) {
            let expected = self.model.decide(self.clock_now(), command);
            let outcome = match &expected {
                Verdict::Accepted(effects) => effects.status.map_or("accepted", |status| status.as_str()),
                Verdict::Replayed(_) => "replayed",
                Verdict::Denied(kind) => kind.name(),
            };
            *self.seen.entry(format!("{} {outcome}", command.body.kind().as_str())).or_default() += 1;
            self.compare(&expected, &answer).map_err(|why| {
                let answer = answer.as_ref().map(Receipt::to_json);
                format!(
                    "step #{}: {why}\nmodel: {expected:?}\nengine: {answer:?}\ncommand: {}",
                    step.serial,
                    Value::Object(command.to_fields())
                )
            })?;
            if let (
                Verdict::Accepted(_),
                Body::Hold(PlaceHold { audit_id: Some(_), .. }) | Body::Charge(Charge { audit_id: Some(_), .. }),
            ) = (&expected, &command.body)
            {
                *self.seen.entry(format!("{} by a quote", command.body.kind())).or_default() += 1;
            }
            if let Ok(receipt) = &answer {
                self.note_limits(receipt);
                self.made.insert(step.serial, Made::of(receipt));
            }
        }
        self.compare_balances().map_err(|why| format!("after step #{}: {why}", steps.last().unwrap().serial))
    }

    /// Counts where balances went, what was drawn on a credit limit, and what came of it.
    fn note_limits(&mut self, receipt: &Receipt) {
        if let Some(band) = receipt.stored.operation.band {
            *self.seen.entry(format!("the band is {band}")).or_default() += 1;
        }
        if !receipt.stored.operation.alerts.is_empty() {
            *self.seen.entry(format!("{} told", receipt.kind())).or_default() += 1;
        }
        for entry in receipt.entries() {
            if entry.draw.debt().is_positive() {
                *self.seen.entry(format!("{} on credit", entry.kind)).or_default() += 1;
            }
            if let (EntryKind::Reissue, Some(Terms::Grant { terms, .. })) = (entry.kind, &entry.terms)
                && terms.reissue_of.is_none()
            {
                *self.seen.entry("refund of repaid debt".to_owned()).or_default() += 1;
            }
        }
        let kinds: Vec<EntryKind> = receipt.entries().iter().map(|entry| entry.kind).collect();
        if kinds.windows(3).any(|kinds| kinds == [EntryKind::Release, EntryKind::Hold, EntryKind::Capture]) {
            *self.seen.entry("capture of redrawn debt".to_owned()).or_default() += 1;
        }
    }

    fn clock_now(&self) -> Timestamp {
        self.engine.now()
    }

    fn compare(&mut self, expected: &Verdict, answer: &Result<Receipt, Failure>) -> Result<(), String> {
        match (expected, answer) {
            (Verdict::Denied(kind), Err(Failure::Denied(denial))) if denial.kind() == *kind => Ok(()),
            (Verdict::Accepted(effects), Ok(receipt)) if !receipt.idempotent_replay => {
                self.model.pair(receipt);
                same_effects(&self.model, effects, receipt)
            }
            (Verdict::Replayed(effects), Ok(receipt)) if receipt.idempotent_replay => same_effects(&self.model, effects, receipt),
            _ => Err("they do not agree".to_owned()),
        }
    }

    fn compare_balances(&self) -> Result<(), String> {
        if !self.model.is_sound() {
            return Err("the model itself is not sound".to_owned());
        }
        let now = self.clock_now();
        for (key, used) in self.model.used_by_members(now) {
            let member =
                self.engine.member(&key.tenant_id, &key.organization_id, &key.user_id).map_err(|error| error.to_string())?;
            same(&format!("used by {key:?}"), member.used.micros(), used)?;
        }
        for (key, used, times) in self.model.spent(now) {
            let spent = self.engine.spent(&key).map_err(|error| error.to_string())?;
            same(&format!("spent by {key:?}"), (spent.used.micros(), i64::try_from(spent.count).unwrap()), (used, times))?;
        }
        same_tasks(&self.model, &self.engine)?;
        for key in self.model.accounts() {
            let balance = self.engine.balance(key).map_err(|error| error.to_string())?;
            same(
                &format!("balance of {key}"),
                (balance.available.micros(), balance.frozen.micros()),
                self.model.balance(key, now),
            )?;
            same(
                &format!("debt and band of {key}"),
                balance.owed.map(Amount::micros).zip(balance.band),
                Some(self.model.owed_and_band(key, now)),
            )?;
            let ahead = self.latest.plus_seconds(1_000).unwrap();
            let balance = self.engine.balance_at(key, ahead).map_err(|error| error.to_string())?;
            let found = (balance.available.micros(), balance.frozen.micros());
            same(&format!("balance of {key} in 1,000 seconds"), found, self.model.balance(key, ahead))?;
            if let Answer::AccountImage(Some(image)) = self.store.query(&Query::AccountImage(key.clone())).unwrap() {
                soundness::check(&image).map_err(|why| format!("{key}: {why}"))?;
            }
        }
        Ok(())
    }

    fn compare_past(&self) -> Result<(), String> {
        for (key, at, expected) in &self.past {
            let balance = self.engine.balance_at(key, *at).map_err(|error| error.to_string())?;
            same(&format!("balance of {key} at {at}"), (balance.available.micros(), balance.frozen.micros()), *expected)?;
        }
        Ok(())
    }
}
