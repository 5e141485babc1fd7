//! A sequence of commands, four bytes a step, over a clock that is set: the engine says what the model says, and the books
//! are sound after every step and verify at the end.

#![no_main]

use std::collections::HashMap;
use std::sync::Arc;

use drawdown::store::memory::MemoryStore;
use drawdown::store::{Answer, Query, Store};
use drawdown::testing::generate::{Made, START, policies, quotes, sequence_of};
use drawdown::testing::model::{Effects, Model, Verdict};
use drawdown::testing::soundness;
use drawdown::{Amount, Command, Engine, Failure, ManualClock, Receipt, Timestamp};
use libfuzzer_sys::fuzz_target;

/// The model copies its books for each command, so sequences are kept short.
const MAX_STEPS: usize = 48;

fuzz_target!(|data: &[u8]| {
    let seeds = data.as_chunks::<4>().0.iter().take(MAX_STEPS).map(|bytes| u64::from(u32::from_be_bytes(*bytes)));
    let mut latest = Timestamp::from_micros(START).unwrap();
    let clock = Arc::new(ManualClock::at(latest));
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = Engine::builder().store(Arc::clone(&store)).clock(clock.clone()).policies(policies()).build().unwrap();
    store.record(&quotes()).unwrap();
    let mut model = Model::new(policies()).quoted(&quotes());
    let mut made: HashMap<u32, Made> = HashMap::new();

    for step in sequence_of(seeds) {
        let now = step.wait.end(engine.now(), latest, model.next_due(latest));
        latest = latest.max(now);
        clock.set(now);
        let command = step.command(|serial| made.get(&serial).copied());
        let verdict = model.decide(now, &command);
        let answer = engine.run(command.clone());
        agree(&verdict, &answer, &command);
        if let Ok(receipt) = &answer {
            if !receipt.idempotent_replay {
                model.pair(receipt);
            }
            made.insert(step.serial, Made::of(receipt));
            are_sound(&*store, receipt);
        }
    }
    for account in model.accounts() {
        let balance = engine.balance(account).unwrap();
        assert_eq!((balance.available.micros(), balance.frozen.micros()), model.balance(account, engine.now()), "{account}");
    }
    let report = engine.verify().unwrap();
    assert!(report.is_clean(), "{:?}", report.faults);
});

fn agree(verdict: &Verdict, answer: &Result<Receipt, Failure>, command: &Command) {
    let agreed = match (verdict, answer) {
        (Verdict::Denied(kind), Err(Failure::Denied(denial))) => denial.kind() == *kind,
        (Verdict::Accepted(effects), Ok(receipt)) => !receipt.idempotent_replay && says(receipt, effects),
        (Verdict::Replayed(effects), Ok(receipt)) => receipt.idempotent_replay && says(receipt, effects),
        _ => false,
    };
    let answer = answer.as_ref().map(Receipt::to_json);
    assert!(agreed, "model: {verdict:?}\nengine: {answer:?}\ncommand: {:?}", command.to_fields());
}

/// The conservation equation, and what else holds of the books of an account.
fn are_sound(store: &dyn Store, receipt: &Receipt) {
    let Some(entry) = receipt.entries().first() else { return };
    let Answer::AccountImage(Some(image)) = store.query(&Query::AccountImage((*entry.account).clone())).unwrap() else {
        panic!("the account {} is not there", entry.account);
    };
    soundness::check(&image).unwrap();
}

/// Whether the receipt says the balances that the model has, if it says any.
fn says(receipt: &Receipt, effects: &Effects) -> bool {
    let json = receipt.to_json();
    let is = |name: &str, micros| json.get(name).is_none_or(|told| *told == Amount::from_micros(micros).to_string());
    is("balance_after", effects.balance_after) && is("frozen_after", effects.frozen_after)
}
