//! Stores that fail: what is tried again, what is looked up, and who gets the error.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use drawdown::store::{StoreError, StoreErrorKind};
use drawdown::{Error, Failure};

use crate::scripted::{Act, SECOND, Scripted, account, available, charge, grant, keyed, lost};

const SHORT: Duration = Duration::from_millis(60);

#[test]
fn contention_is_tried_again() {
    let store = Scripted::new([Act::Fail(StoreErrorKind::Transient), Act::Fail(StoreErrorKind::Conflict)]);
    let engine = store.engine(SECOND * 10);
    assert_eq!(engine.run(grant("u1", "5")).unwrap().to_json()["balance_after"], "5");
    assert_eq!(store.runs().len(), 3);
}

#[test]
fn contention_that_lasts_ends_busy_at_the_deadline() {
    let store = Scripted::forever(Act::Fail(StoreErrorKind::Transient));
    let engine = store.engine(SHORT);
    let begun = Instant::now();
    assert!(matches!(engine.run(grant("u1", "5")), Err(Failure::Failed(Error::Busy(_)))));
    assert!(begun.elapsed() >= SHORT, "tried until the deadline");
    assert!(store.runs().len() > 2, "tried more than once");
}

#[test]
fn a_lost_commit_that_applied_is_found_and_answered_once() {
    let store = Scripted::new([Act::LoseAfter]);
    let engine = store.engine(SECOND * 10);
    let receipt = engine.run(grant("u1", "5")).unwrap();
    assert!(!receipt.idempotent_replay);
    assert_eq!((store.runs().len(), available(&engine, "u1").as_str()), (1, "5"));
}

#[test]
fn a_lost_commit_that_did_not_apply_is_run_again() {
    let store = Scripted::new([Act::LoseBefore]);
    let engine = store.engine(SECOND * 10);
    engine.run(grant("u1", "5")).unwrap();
    assert_eq!((store.runs().len(), available(&engine, "u1").as_str()), (2, "5"));
}

#[test]
fn the_lookup_after_a_lost_commit_is_tried_again() {
    let store = Scripted::new([Act::LoseAfter]);
    let engine = store.engine(SECOND * 10);
    store.failing_queries.store(3, Ordering::SeqCst);
    engine.run(grant("u1", "5")).unwrap();
    assert_eq!((store.runs().len(), available(&engine, "u1").as_str()), (1, "5"));
}

#[test]
fn a_lost_commit_that_cannot_be_looked_up_is_unknown_and_its_key_answers_later() {
    let store = Scripted::new([Act::LoseAfter]);
    let engine = store.engine(SHORT);
    store.failing_queries.store(usize::MAX, Ordering::SeqCst);
    let unknown = engine.run(keyed(grant("u1", "5"), "k1")).unwrap_err();
    assert!(matches!(unknown, Failure::Failed(Error::Unknown(_))), "{unknown:?}");
    store.failing_queries.store(0, Ordering::SeqCst);
    assert!(engine.run(keyed(grant("u1", "5"), "k1")).unwrap().idempotent_replay);
    assert_eq!(available(&engine, "u1"), "5");
}

/// The first lookup comes before the lost commit lands. The second try meets its own operation: as a conflict, as a
/// replay, or as an empty account; and answers what was booked.
#[test]
fn a_lost_commit_that_lands_after_the_lookup_takes_effect_once() {
    for (what, command, left) in
        [("conflict", charge("u1", "2"), "8"), ("replay", keyed(charge("u1", "2"), "k1"), "8"), ("denial", charge("u1", "10"), "0")]
    {
        let store = Scripted::new([]);
        let engine = store.engine(SECOND * 10);
        engine.run(grant("u1", "10")).unwrap();
        store.blind_lookups.store(1, Ordering::SeqCst);
        store.act(Act::LoseAfter);
        let receipt = engine.run(command).unwrap_or_else(|failure| panic!("{what}: {failure:?}"));
        assert!(!receipt.idempotent_replay, "{what}");
        assert_eq!(available(&engine, "u1"), left, "{what}");
    }
}

/// What was lost may land after the last lookup: whoever is told that the store failed must not take it for nothing.
#[test]
fn a_lost_commit_that_may_yet_land_is_unknown() {
    for (after, expected) in [(StoreErrorKind::Transient, "busy"), (StoreErrorKind::Permanent, "failed")] {
        for lost in [true, false] {
            let store = Scripted::new(lost.then_some(Act::LoseBefore));
            store.act_forever(Act::Fail(after.clone()));
            let failure = store.engine(SHORT).run(keyed(grant("u1", "5"), "k1")).unwrap_err();
            let told = match failure {
                Failure::Failed(Error::Unknown(_)) => "unknown",
                Failure::Failed(Error::Busy(_)) => "busy",
                Failure::Failed(Error::Store(_)) => "failed",
                other => panic!("{other:?}"),
            };
            assert_eq!(told, if lost { "unknown" } else { expected }, "{after:?}");
        }
    }
}

#[test]
fn only_the_culprit_of_a_failed_batch_gets_the_error() {
    let store = Scripted::new([]);
    let engine = store.engine(SECOND);
    store.blame(account("culprit"));
    let answers = engine.execute_many(vec![grant("u1", "1"), grant("culprit", "1"), grant("u2", "1")]);
    assert!(answers[0].is_ok() && answers[2].is_ok());
    assert_eq!(answers[1], Err(Failure::Failed(Error::Store("as scripted".to_owned()))));
    assert_eq!(store.runs().len(), 4, "together once, then each alone once");
}

#[test]
fn the_kinds_of_failure_reach_the_caller() {
    for (kind, expected) in [
        (StoreErrorKind::Permanent, Error::Store("as scripted".to_owned())),
        (StoreErrorKind::Corrupt, Error::Corrupt("as scripted".to_owned())),
    ] {
        let store = Scripted::new([Act::Fail(kind)]);
        assert_eq!(store.engine(SECOND).run(grant("u1", "1")), Err(Failure::Failed(expected)));
        assert_eq!(store.runs().len(), 1, "not tried again");
    }
}

#[test]
fn a_panic_in_the_store_is_an_error_and_the_lane_goes_on() {
    let store = Scripted::new([Act::Panic, Act::Panic]);
    let engine = store.engine(SECOND);
    let in_place = engine.run(grant("u1", "1")).unwrap_err();
    assert!(matches!(in_place, Failure::Failed(Error::Store(_))), "{in_place:?}");
    let queued = engine.submit(grant("u1", "1")).unwrap().wait().unwrap_err();
    assert!(matches!(queued, Failure::Failed(Error::Store(_))), "{queued:?}");
    assert!(engine.submit(grant("u1", "1")).unwrap().wait().is_ok());
    assert_eq!(available(&engine, "u1"), "1");
}

#[test]
fn a_panic_in_a_batch_is_found_by_running_each_alone() {
    let store = Scripted::new([Act::Panic]);
    let engine = store.engine(SECOND);
    let answers = engine.execute_many(vec![grant("u1", "1"), grant("u2", "1")]);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

#[test]
fn a_command_out_of_time_does_not_hold_up_the_others_behind_it() {
    let store = Scripted::new([]);
    let engine = store.engine(SHORT);
    store.shut_gate();
    let tickets: Vec<_> = (0..300).map(|_| engine.submit(grant("u1", "1")).unwrap()).collect();
    std::thread::sleep(SHORT * 2);
    store.act_forever(Act::Fail(StoreErrorKind::Transient));
    let begun = Instant::now();
    store.open_gate();
    for ticket in tickets {
        assert!(matches!(ticket.wait(), Err(Failure::Failed(Error::Busy(_)))));
    }
    assert!(begun.elapsed() < SECOND * 5, "what is out of time is tried once, not for another deadline");
}

#[test]
fn a_command_whose_ids_another_one_took_is_given_others() {
    let taken = StoreError::new(StoreErrorKind::Conflict, "a unique key is taken");
    for (error, key) in [(taken.clone(), None), (taken, Some("k")), (lost(), None), (lost(), Some("k"))] {
        let store = Scripted::new([Act::Collide(error)]);
        let engine = store.engine(SECOND * 2);
        let command = grant("u1", "5");
        let command = key.map_or(command.clone(), |key| keyed(command, key));
        let receipt = engine.run(command).unwrap();
        let feed = engine.feed(None, 0, 10).unwrap();
        assert_eq!((feed.len(), available(&engine, "u1").as_str()), (2, "10"));
        assert_eq!(receipt.stored.operation.op_id, feed[1].operation.op_id, "its own operation");
        assert!(!receipt.idempotent_replay && engine.verify().unwrap().is_clean());
    }
}

#[test]
fn a_group_whose_ids_another_one_took_is_given_others() {
    let store = Scripted::new([Act::Collide(lost())]);
    let engine = store.engine(SECOND * 2);
    let receipts = engine.execute_all(vec![grant("u1", "5"), grant("u1", "2")]).unwrap();
    assert_eq!(receipts[1].to_json()["balance_after"], "14");
    assert!(engine.verify().unwrap().is_clean());
}
