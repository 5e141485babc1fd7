//! Lanes: in place when idle, together when many wait, busy when too many do.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use drawdown::{Charge, Engine, Error, Failure};

use crate::scripted::{SECOND, Scripted, acme, amount, available, charge, grant, keyed, user};

#[test]
fn a_caller_who_finds_the_lane_idle_runs_in_place() {
    let store = Scripted::new([]);
    let engine = store.engine(SECOND);
    engine.run(grant("u1", "1")).unwrap();
    engine.run(grant("u1", "1")).unwrap();
    assert!(store.runs().iter().all(|run| run.thread == thread::current().id()));
}

#[test]
fn submitted_commands_run_on_the_thread_of_the_lane() {
    let store = Scripted::new([]);
    let engine = store.engine(SECOND);
    engine.submit(grant("u1", "1")).unwrap().wait().unwrap();
    assert_eq!(store.runs()[0].thread_name.as_deref(), Some("drawdown-lane"));
}

#[test]
fn what_queues_while_a_batch_runs_is_committed_together() {
    let store = Scripted::new([]);
    let engine = store.engine(SECOND);
    store.shut_gate();
    let first = engine.submit(grant("u1", "1000")).unwrap();
    store.wait_for_runs(1);
    let tickets: Vec<_> = (0..600).map(|_| engine.submit(charge("u1", "1")).unwrap()).collect();
    store.open_gate();
    first.wait().unwrap();
    let balances: Vec<String> = tickets.into_iter().map(|t| t.wait().unwrap().entries()[0].balance_after.to_string()).collect();
    assert_eq!((balances[0].as_str(), balances[599].as_str()), ("999", "400"), "in the order of submission");
    assert_eq!(store.runs().iter().map(|run| run.changes).collect::<Vec<_>>(), [1, 256, 256, 88]);
}

#[test]
fn a_denied_command_disturbs_nobody_in_its_batch() {
    let store = Scripted::new([]);
    let engine = store.engine(SECOND);
    let answers = engine.execute_many(vec![grant("u1", "5"), charge("u1", "9"), charge("u1", "2")]);
    assert_eq!(answers[1].as_ref().unwrap_err().denial().unwrap().name(), "insufficient_balance");
    assert!(answers[0].is_ok() && answers[2].is_ok());
    assert_eq!(store.runs().len(), 1);
    assert_eq!(available(&engine, "u1"), "3");
}

#[test]
fn a_key_takes_effect_once_within_a_batch() {
    let engine = Engine::in_memory();
    let same = keyed(grant("u1", "5"), "k1");
    let answers = engine.execute_many(vec![same.clone(), same.clone(), keyed(grant("u1", "6"), "k1"), same]);
    let replays: Vec<Option<bool>> = answers.iter().map(|a| a.as_ref().ok().map(|r| r.idempotent_replay)).collect();
    assert_eq!(replays, [Some(false), Some(true), None, Some(true)]);
    assert_eq!(answers[2].as_ref().unwrap_err().denial().unwrap().name(), "idempotency_conflict");
    assert_eq!(available(&engine, "u1"), "5");
}

#[test]
fn the_queue_is_bounded_in_commands() {
    let store = Scripted::new([]);
    let engine = store.engine(SECOND * 10);
    store.shut_gate();
    let first = engine.submit(grant("u1", "20000")).unwrap();
    store.wait_for_runs(1);
    let answers: Vec<_> = (0..8_193).map(|_| engine.submit(charge("u1", "1"))).collect();
    let in_place = thread::scope(|scope| {
        let in_place = scope.spawn(|| engine.run(grant("u1", "1")));
        while !in_place.is_finished() && engine.stats().queued <= 8_192 {
            thread::yield_now();
        }
        // Before anything is asserted: an engine is not dropped while its batch stands at the gate.
        store.open_gate();
        in_place.join().unwrap()
    });
    assert!(matches!(in_place, Err(Failure::Failed(Error::Busy(_)))), "{in_place:?}");
    first.wait().unwrap();
    let (taken, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((taken.len(), refused.len()), (8_192, 1));
    assert!(matches!(refused[0], Err(Failure::Failed(Error::Busy(_)))));
    taken.into_iter().for_each(|ticket| drop(ticket.unwrap().wait().unwrap()));
    assert_eq!(store.runs().iter().map(|run| run.changes).sum::<usize>(), 8_193);
}

#[test]
fn the_queue_is_bounded_in_bytes() {
    let store = Scripted::new([]);
    let engine = store.engine(SECOND * 10);
    store.shut_gate();
    let first = engine.submit(grant("u1", "20000")).unwrap();
    store.wait_for_runs(1);
    let mut large = Charge::new(user("u1"), amount("1"));
    large.reason = Some(Arc::from("x".repeat(60_000)));
    let large = acme().request(large).into_command();
    let mut tickets = Vec::new();
    let refused = loop {
        match engine.submit(large.clone()) {
            Ok(ticket) => tickets.push(ticket),
            Err(refused) => break refused,
        }
    };
    store.open_gate();
    assert!(matches!(refused, Failure::Failed(Error::Busy(_))));
    // Each is counted with its 60,000 bytes of text and 1,024 for itself.
    assert_eq!(tickets.len(), 64 * 1024 * 1024 / 61_024);
    first.wait().unwrap();
    tickets.into_iter().for_each(|ticket| drop(ticket.wait().unwrap()));
}

#[test]
fn no_batch_has_more_than_256_commands() {
    let store = Scripted::new([]);
    let engine = store.engine(SECOND * 10);
    store.shut_gate();
    let first = engine.submit(grant("u1", "20000")).unwrap();
    store.wait_for_runs(1);
    let tickets: Vec<_> = (0..600).map(|_| engine.submit(charge("u1", "1")).unwrap()).collect();
    store.open_gate();
    first.wait().unwrap();
    tickets.into_iter().for_each(|ticket| drop(ticket.wait().unwrap()));
    let sizes: Vec<usize> = store.runs().iter().map(|run| run.changes).collect();
    assert_eq!(sizes, [1, 256, 256, 88]);
}

/// A group that is larger than the queue may be waits in an empty one: else it would be refused for ever.
#[test]
fn an_empty_queue_takes_any_batch() {
    let store = Scripted::new([]);
    let engine = store.engine(SECOND * 10);
    store.shut_gate();
    let first = engine.submit(grant("u1", "20000")).unwrap();
    store.wait_for_runs(1);
    // As text short enough, in memory much longer.
    let many = serde_json::json!({ "n": vec![1; 30_000] });
    let large = Charge { metadata: many.as_object().cloned(), ..Charge::new(user("u1"), amount("1")) };
    let group = vec![acme().request(large).into_command(); 80];
    thread::scope(|scope| {
        let (waiting, group) = (&engine, group.clone());
        let answered = scope.spawn(move || waiting.execute_all(group));
        while engine.stats().queued == 0 && !answered.is_finished() {
            thread::yield_now();
        }
        assert!(engine.stats().queued_bytes > 64 * 1024 * 1024, "{}", engine.stats().queued_bytes);
        assert!(matches!(engine.submit(charge("u1", "1")), Err(Failure::Failed(Error::Busy(_)))), "and nothing beside it");
        store.open_gate();
        assert_eq!(answered.join().unwrap().unwrap().len(), 80);
    });
    first.wait().unwrap();
    assert_eq!(available(&engine, "u1"), "19920");
}

#[test]
fn many_commands_of_many_callers_pass_a_full_queue_without_deadlock() {
    let store = Scripted::new([]);
    let engine = store.engine(SECOND * 30);
    store.shut_gate();
    let first = engine.submit(grant("u1", "20000")).unwrap();
    store.wait_for_runs(1);
    let tickets: Vec<_> = (0..8_192).map(|_| engine.submit(charge("u1", "1")).unwrap()).collect();
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let engine = engine.clone();
            thread::spawn(move || engine.execute_many((0..1_000).map(|_| charge("u1", "1")).collect()))
        })
        .collect();
    thread::sleep(Duration::from_millis(20));
    store.open_gate();
    first.wait().unwrap();
    tickets.into_iter().for_each(|ticket| drop(ticket.wait().unwrap()));
    for caller in callers {
        let answers = caller.join().unwrap();
        assert_eq!((answers.len(), answers.iter().filter(|answer| answer.is_ok()).count()), (1_000, 1_000));
    }
    assert_eq!(available(&engine, "u1"), "8808");
}

#[test]
fn many_commands_end_busy_in_order_when_the_queue_stays_full() {
    let store = Scripted::new([]);
    let engine = store.engine(Duration::from_millis(50));
    store.shut_gate();
    let first = engine.submit(grant("u1", "20000")).unwrap();
    store.wait_for_runs(1);
    let tickets: Vec<_> = (0..8_192).map(|_| engine.submit(charge("u1", "1")).unwrap()).collect();
    let begun = Instant::now();
    let answers = engine.execute_many((0..5_000).map(|_| charge("u1", "1")).collect());
    assert!(answers.len() == 5_000 && answers.iter().all(|answer| matches!(answer, Err(Failure::Failed(Error::Busy(_))))));
    assert!(begun.elapsed() < SECOND, "one deadline for all, not one for each batch");
    store.open_gate();
    assert!(first.wait().is_ok());
    // What has not begun by its deadline never begins: it does not wait once more for each batch before it.
    assert!(tickets.into_iter().all(|ticket| matches!(ticket.wait(), Err(Failure::Failed(Error::Busy(_))))));
    assert_eq!(available(&engine, "u1"), "20000");
}

#[test]
fn many_commands_are_answered_in_their_order() {
    let engine = Engine::in_memory();
    let mut commands = vec![grant("u1", "1000")];
    commands.extend((0..700).map(|i| charge("u1", if i % 2 == 0 { "1" } else { "-1" })));
    let answers = engine.execute_many(commands);
    assert_eq!(answers.len(), 701);
    for (index, answer) in answers.iter().enumerate().skip(1) {
        match answer {
            Ok(receipt) => assert_eq!(receipt.entries()[0].balance_after, amount(&(1000 - index / 2 - 1).to_string())),
            Err(failure) => assert_eq!((index % 2, failure.denial().unwrap().name()), (0, "amount_invalid")),
        }
    }
}

#[test]
fn threads_who_spend_the_same_balance_never_overdraw_it() {
    let engine = Engine::in_memory();
    engine.run(grant("u1", "100")).unwrap();
    let spent: usize = thread::scope(|scope| {
        let spend = || (0..50).filter(|_| engine.run(charge("u1", "1")).is_ok()).count();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(spend)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((spent, available(&engine, "u1").as_str()), (100, "0"));
}

#[test]
fn closing_answers_what_was_queued_and_takes_nothing_more() {
    let store = Scripted::new([]);
    let engine = store.engine(SECOND);
    store.shut_gate();
    let tickets: Vec<_> = (0..300).map(|_| engine.submit(grant("u1", "1")).unwrap()).collect();
    let closing = {
        let engine = engine.clone();
        thread::spawn(move || engine.close())
    };
    let begun = Instant::now();
    while engine.submit(grant("u1", "1")).is_ok() {
        assert!(begun.elapsed() < SECOND * 10, "closing takes no new commands");
    }
    store.open_gate();
    closing.join().unwrap();
    assert!(tickets.iter().all(|ticket| ticket.try_take().is_some_and(|answer| answer.is_ok())));
    assert_eq!(engine.run(grant("u1", "1")).unwrap_err(), Failure::Failed(Error::Closed));
    assert_eq!(engine.submit(grant("u1", "1")).unwrap_err(), Failure::Failed(Error::Closed));
    assert_eq!(engine.execute_many(vec![grant("u1", "1")]), [Err(Failure::Failed(Error::Closed))]);
    assert_eq!(engine.execute_all(vec![grant("u1", "1")]).unwrap_err().failure, Failure::Failed(Error::Closed));
    engine.close();
}

#[test]
fn dropping_the_last_engine_answers_what_was_queued_and_frees_the_store() {
    let store = Scripted::new([]);
    let engine = store.engine(SECOND);
    let tickets: Vec<_> = (0..300).map(|_| engine.submit(grant("u1", "1")).unwrap()).collect();
    drop(engine);
    assert!(tickets.iter().all(|ticket| ticket.try_take().is_some_and(|answer| answer.is_ok())));
    assert_eq!(Arc::strong_count(&store), 1);
}

#[test]
fn shapes_are_refused_at_once() {
    let store = Scripted::new([]);
    let engine = store.engine(SECOND);
    assert_eq!(engine.submit(charge("u1", "0")).unwrap_err().denial().unwrap().name(), "amount_invalid");
    assert!(store.runs().is_empty());
    let nobody = acme().request(Charge::by_policy(None, amount("1")));
    assert_eq!(engine.execute(nobody).unwrap_err().denial().unwrap().name(), "owner_invalid");
}
