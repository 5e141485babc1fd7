//! What was decided is decided again from its recording, bit for bit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;

use drawdown::decide::Decision;
use drawdown::store::Store;
use drawdown::testing::generate::{Made, START, policies, quotes, sequence};
use drawdown::{
    CaptureHold, Charge, Command, Context, Engine, Failure, GrantCredit, GrantType, ManualClock, Owner, Receipt, Recording,
    Timestamp,
};
use drawdown_tests::script::Bank;
use drawdown_tests::stores;
use serde_json::Value;

const STEPS: u32 = 40;

/// Through JSON and back, and decided again.
fn again(recording: &Recording) -> Decision {
    let json = recording.to_json();
    let read = Recording::from_json(&json).unwrap_or_else(|denial| panic!("{denial} {:?}: {json}", denial.details()));
    assert_eq!(read, *recording);
    assert_eq!(read.to_json(), json, "equal recordings have equal bytes");
    let decision = read.decide();
    assert_eq!(decision, recording.decide());
    decision
}

/// Every id, hash, balance and time of what was answered.
fn same(decision: &Decision, answer: &Result<Receipt, Failure>) {
    match (decision, answer) {
        (Decision::Accepted(changes, _), Ok(receipt)) if !receipt.idempotent_replay => {
            assert_eq!(changes.operation(), &receipt.stored.operation);
            assert_eq!(changes.entries(), receipt.entries());
        }
        (Decision::Replayed(decided), Ok(receipt)) if receipt.idempotent_replay => assert_eq!(decided, receipt),
        (Decision::Denied(denial, _) | Decision::Remembered(_, denial, _), Err(Failure::Denied(answered))) => {
            assert_eq!(denial, &**answered);
        }
        _ => panic!("decided {decision:?}\nanswered {answer:?}"),
    }
}

fn replays(store: Arc<dyn Store>, seed: u64) -> u32 {
    let mut latest = Timestamp::from_micros(START).unwrap();
    let clock = Arc::new(ManualClock::at(latest));
    store.record(&quotes()).unwrap();
    let engine = Engine::builder().store(store).clock(clock.clone()).policies(policies()).build().unwrap();
    let mut made: HashMap<u32, Made> = HashMap::new();
    let mut recorded = 0;
    for step in sequence(seed, STEPS) {
        let now = step.wait.end(engine.now(), latest, None);
        latest = latest.max(now);
        clock.set(now);
        let command = step.command(|serial| made.get(&serial).copied());
        if command.check().is_ok() {
            let foreseen = engine.recording_of(command.clone()).unwrap();
            let decision = again(&foreseen);
            let previewed = engine.preview(command.clone());
            let accepted = matches!(decision, Decision::Accepted(..) | Decision::Replayed(_));
            assert_eq!(accepted, previewed.is_ok(), "{command:?}");
        }
        let (recording, answer) = engine.execute_recorded(command.clone());
        match recording {
            Some(recording) => {
                same(&again(&recording), &answer);
                recorded += 1;
            }
            None => assert_eq!(command.check().map_err(Failure::from).unwrap_err(), answer.clone().unwrap_err()),
        }
        if let Ok(receipt) = &answer {
            made.insert(step.serial, Made::of(receipt));
        }
    }
    recorded
}

#[test]
fn every_decision_is_made_again_from_its_recording() {
    let folder = tempfile::tempdir().unwrap();
    for (name, seeds) in [("memory", 40), ("sqlite", 5)] {
        let mut recorded = 0;
        for seed in 0..seeds {
            let path = folder.path().join(format!("{name}-{seed}.db"));
            let store = stores(&path).into_iter().find(|(found, _)| *found == name).unwrap().1;
            recorded += replays(store, seed);
        }
        assert!(recorded > seeds as u32 * STEPS / 2, "{recorded} on {name}");
    }
}

/// In a batch, a command is decided on what those before it changed, and its recording holds its own part of the facts alone.
#[test]
fn commands_that_are_committed_together_are_recorded_apart() {
    let folder = tempfile::tempdir().unwrap();
    for (_, store) in stores(&folder.path().join("books.db")) {
        let engine = Engine::builder().store(store).build().unwrap();
        let acme = Context::tenant("acme").unwrap();
        for owner in ["a", "b"] {
            let grant = GrantCredit::new(Owner::user(owner).unwrap(), GrantType::Purchased, "25".parse().unwrap());
            engine.execute(acme.request(grant)).unwrap();
        }
        thread::scope(|scope| {
            for number in 0..4 {
                let (engine, acme) = (&engine, &acme);
                scope.spawn(move || {
                    for _ in 0..15 {
                        let owner = Owner::user(if number % 2 == 0 { "a" } else { "b" }).unwrap();
                        let command: Command = acme.request(Charge::new(owner, "1".parse().unwrap())).into_command();
                        let (recording, answer) = engine.execute_recorded(command);
                        let recording = recording.unwrap();
                        same(&again(&recording), &answer);
                        assert_eq!((recording.facts.accounts.len(), recording.facts.holds.len()), (1, 0));
                    }
                });
            }
        });
        assert!(engine.verify().unwrap().is_clean());
    }
}

fn recording() -> Recording {
    let mut bank = Bank::in_memory();
    for statement in [
        "grant 10 type=trial expires_at=+60 reason=welcome metadata={\"a\":1.50,\"b\":{\"c\":[null,true]}}",
        "grant 5 as=g",
        "wait 60",
        "hold 3 task_id=t as=h",
    ] {
        bank.given(statement).unwrap();
    }
    let charge = Charge { reason: Some("订单".into()), ..Charge::new(Owner::user("u1").unwrap(), "7".parse().unwrap()) };
    bank.engine.recording_of(Context::tenant("acme").unwrap().request(charge)).unwrap()
}

/// An organization that owes, with rules that are due, holds that are over and a member who spends late; blocks, a threshold.
fn recording_of_all_that_is_agreed() -> Recording {
    let mut bank = Bank::in_memory();
    let organization = "owner=organization:o1";
    for statement in [
        &format!("set_credit_limit 20 {organization}"),
        &format!("grant 3 {organization} scope.app_id=x expires_at=+2d as=g"),
        &format!("grant 1 {organization} effective_at=+30"),
        &format!("set_low_balance {organization} low_balance.below=5 low_balance.recovered_from=8"),
        "set_member limit=10/day",
        "set_member user_id=u2 limit=9/month",
        "block target=user:u2",
        "unblock target=user:u2",
        "charge 6 payer=organization:o1 user_id=u1",
        "hold 2 payer=organization:o1 user_id=u2 expire_in=60",
        "hold 3 payer=organization:o1 user_id=u1 late_commit=draw over_capture=draw task_id=t expire_in=60 as=h",
        &format!("recur 2 {organization} rollover_cap=1 starts_at=+40 reason=gift"),
        &format!("recur 1 {organization} scope.app_id=x ends_at=+9d"),
        "at +4d",
    ] {
        bank.given(statement).unwrap_or_else(|why| panic!("{why}"));
    }
    let hold_id =
        bank.engine.feed(None, 0, 100).unwrap().iter().filter_map(|stored| stored.entries.last()?.hold_id).next_back().unwrap();
    let capture = CaptureHold { reason: Some("late".into()), ..CaptureHold::new(hold_id, "4".parse().unwrap()) };
    bank.engine.recording_of(Context::tenant("acme").unwrap().request(capture)).unwrap()
}

/// The members whose holds are over are in a recording, and in what is decided from it: their use goes back.
#[test]
fn a_recording_has_the_members_whose_use_it_changes() {
    let Decision::Accepted(changes, _) = again(&recording_of_all_that_is_agreed()) else { panic!("it is accepted") };
    let used: Vec<(&str, String)> =
        changes.members.iter().map(|(key, member)| (key.user_id.as_str(), member.month.used.to_string())).collect();
    // What was held came back; what is captured late counts now.
    assert_eq!(used, [("u1", "10".to_owned()), ("u2", "0".to_owned())]);

    let mut bank = Bank::in_memory();
    for statement in ["grant 50 owner=organization:o1", "set_member limit=10/day", "set_member user_id=u2"] {
        bank.given(statement).unwrap();
    }
    bank.given("hold 7 payer=organization:o1 user_id=u1 expire_in=60").unwrap();
    bank.given("wait 60").unwrap();
    let charge = Charge::new(Owner::organization("o1").unwrap(), "1".parse().unwrap());
    let charge = Charge { user_id: Some("u2".parse().unwrap()), ..charge };
    let (recording, answer) = bank.engine.execute_recorded(Context::tenant("acme").unwrap().request(charge).into_command());
    let decision = again(&recording.unwrap());
    same(&decision, &answer);
    let Decision::Accepted(changes, _) = decision else { panic!("it is accepted") };
    let used: Vec<String> = changes.members.iter().map(|(key, member)| format!("{}: {}", key.user_id, member.day.used)).collect();
    assert_eq!(used, ["u1: 0", "u2: 1"]);
}

#[test]
fn a_recording_says_which_grants_would_have_paid() {
    let recording = recording();
    let Decision::Denied(denial, _) = again(&recording) else { panic!("it is refused") };
    assert_eq!((denial.name(), denial.details()["available"].as_str()), ("insufficient_balance", Some("2")));
    let explanation = recording.explain().unwrap();
    assert_eq!((explanation.missing.to_string(), explanation.grants.len()), ("5".to_owned(), 1));
}

#[test]
fn what_is_no_recording_is_refused() {
    let json = recording().to_json();
    assert!(json.starts_with("{\"version\":1,"));
    for (from, to, why) in [
        ("\"version\":1", "\"version\":2", "version 2 of recordings is not known"),
        ("\"version\":1", "\"version\":1,\"version\":1", "twice"),
        ("\"version\":1,", "", "missing field `version`"),
        ("\"version\":1", "\"version\":1,\"more\":1", "unknown field `more`"),
        ("\"now\":", "\"then\":", "unknown field `then`"),
        ("\"seq\":", "\"more\":0,\"seq\":", "unknown field `more`"),
        ("\"head\":\"", "\"head\":\"0", "64 hexadecimal digits"),
        ("\"amount\":\"7\"", "\"amount\":\"1e400\"", "is not an amount"),
        ("\"command\":\"charge\"", "\"command\":\"steal\"", "it takes one of"),
        ("\"op_id\":\"op_", "\"op_id\":\"op-", "it takes `op_` and a UUID"),
        ("{\"version\"", "[{\"version\"", ""),
        (&json.clone(), "", ""),
    ] {
        let changed = json.replacen(from, to, 1);
        assert_ne!(changed, json, "{from}");
        let denial = Recording::from_json(&changed).unwrap_err();
        assert_eq!(denial.name(), "payload_invalid");
        assert!(denial.message().contains(why), "{denial} has no `{why}`");
    }
}

/// Whatever stands in a recording, deciding it is total: no number in it makes it panic.
#[test]
fn a_recording_that_was_tampered_with_is_decided_without_a_panic() {
    for recording in [recording(), recording_of_all_that_is_agreed()] {
        tamper_with(&recording);
    }
}

fn tamper_with(recording: &Recording) {
    let json: Value = serde_json::from_str(&recording.to_json()).unwrap();
    let mut decided = 0;
    for path in paths(&json, String::new()) {
        for value in [
            "0",
            "18446744073709551615",
            "4294967295",
            "-1",
            "null",
            "[]",
            "\"-9223372036854.775808\"",
            "\"9223372036854.775807\"",
            "\"9999-12-31T23:59:59Z\"",
            "\"0001-01-01T00:00:00Z\"",
            "\"pending\"",
            "\"voided\"",
            "\"expired\"",
            "\"0.000001\"",
            "{\"days\": 1}",
            "true",
            "\"user:u2\"",
        ] {
            let mut changed = json.clone();
            *changed.pointer_mut(&path).unwrap() = serde_json::from_str(value).unwrap();
            if let Ok(read) = Recording::from_json(&changed.to_string()) {
                let _ = (read.decide(), read.explain());
                decided += 1;
            }
        }
    }
    assert!(decided > 100, "{decided}");
}

/// Where everything stands that is no object.
fn paths(json: &Value, at: String) -> Vec<String> {
    match json {
        Value::Object(fields) => fields.iter().flat_map(|(name, value)| paths(value, format!("{at}/{name}"))).collect(),
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().flat_map(|(index, value)| paths(value, format!("{at}/{index}"))).collect()
        }
        _ => vec![at],
    }
}
