//! All-or-nothing groups.

use std::sync::atomic::Ordering;
use std::time::Duration;

use drawdown::store::StoreErrorKind;
use drawdown::{Engine, Error, Failure};

use crate::scripted::{Act, SECOND, Scripted, available, charge, grant, keyed};

#[test]
fn a_group_takes_effect_whole() {
    let engine = Engine::in_memory();
    let receipts = engine.execute_all(vec![grant("u1", "5"), charge("u1", "2"), grant("u2", "1")]).unwrap();
    assert_eq!(receipts.iter().map(|r| r.to_json()["balance_after"].clone()).collect::<Vec<_>>(), ["5", "3", "1"]);
    assert_eq!((available(&engine, "u1"), available(&engine, "u2")), ("3".to_owned(), "1".to_owned()));
}

#[test]
fn a_group_with_a_refused_command_takes_no_effect() {
    let engine = Engine::in_memory();
    let refused = engine.execute_all(vec![keyed(grant("u1", "5"), "k1"), charge("u1", "9"), grant("u2", "1")]).unwrap_err();
    assert_eq!((refused.index, refused.failure.denial().unwrap().name()), (Some(1), "insufficient_balance"));
    assert_eq!((available(&engine, "u1"), available(&engine, "u2")), ("0".to_owned(), "0".to_owned()));
    assert!(!engine.run(keyed(grant("u1", "5"), "k1")).unwrap().idempotent_replay, "no key is taken");
}

#[test]
fn a_refused_group_disturbs_nobody_in_its_batch() {
    let store = Scripted::new([]);
    let engine = store.engine(SECOND);
    store.shut_gate();
    let first = engine.submit(grant("u1", "5")).unwrap();
    store.wait_for_runs(1);
    let before = engine.submit(charge("u1", "1")).unwrap();
    std::thread::scope(|scope| {
        let group = scope.spawn(|| engine.execute_all(vec![grant("u1", "100"), charge("u2", "1")]));
        while !group.is_finished() && store.runs().len() < 2 {
            store.open_gate();
        }
        assert_eq!(group.join().unwrap().unwrap_err().index, Some(1));
    });
    assert!(first.wait().is_ok() && before.wait().is_ok());
    assert_eq!(available(&engine, "u1"), "4");
}

/// In whatever order they queue: the refused groups leave nothing, and of the two who want all there is one gets it.
#[test]
fn a_group_shows_what_it_changed_to_the_commands_after_it() {
    let store = Scripted::new([]);
    let engine = store.engine(SECOND);
    engine.run(grant("u1", "5")).unwrap();
    store.shut_gate();
    let first = engine.submit(grant("u2", "1")).unwrap();
    store.wait_for_runs(2);
    std::thread::scope(|scope| {
        let refused = || engine.execute_all(vec![charge("u1", "5"), charge("u1", "1")]).unwrap_err().index;
        let refused: Vec<_> = (0..3).map(|_| scope.spawn(refused)).collect();
        std::thread::sleep(Duration::from_millis(20));
        let group = scope.spawn(|| engine.execute_all(vec![charge("u1", "3"), charge("u1", "2")]));
        std::thread::sleep(Duration::from_millis(20));
        let single = engine.submit(charge("u1", "5")).unwrap();
        store.open_gate();
        assert_ne!(group.join().unwrap().is_ok(), single.wait().is_ok());
        for group in refused {
            assert!(group.join().unwrap().is_some());
        }
    });
    first.wait().unwrap();
    assert_eq!(available(&engine, "u1"), "0");
    assert_eq!(store.runs().len(), 3, "one batch decided them all");
}

#[test]
fn a_group_of_bad_shape_or_size_is_refused_before_it_runs() {
    let store = Scripted::new([]);
    let engine = store.engine(SECOND);
    let shape = engine.execute_all(vec![grant("u1", "5"), charge("u1", "0")]).unwrap_err();
    assert_eq!((shape.index, shape.failure.denial().unwrap().name()), (Some(1), "amount_invalid"));
    let large = engine.execute_all((0..257).map(|_| grant("u1", "1")).collect()).unwrap_err();
    assert_eq!((large.index, large.failure.denial().unwrap().name()), (None, "batch_too_large"));
    assert_eq!(engine.execute_all(Vec::new()).unwrap(), []);
    assert!(store.runs().is_empty());
    assert_eq!(engine.execute_all((0..256).map(|_| grant("u1", "1")).collect()).unwrap().len(), 256);
}

#[test]
fn a_group_sent_again_is_replayed_whole() {
    let engine = Engine::in_memory();
    let group = vec![keyed(grant("u1", "5"), "k1"), keyed(charge("u1", "2"), "k2")];
    engine.execute_all(group.clone()).unwrap();
    let again = engine.execute_all(group).unwrap();
    assert!(again.iter().all(|receipt| receipt.idempotent_replay));
    assert_eq!(available(&engine, "u1"), "3");
}

#[test]
fn a_group_whose_commit_was_lost_is_answered_whole() {
    let store = Scripted::new([]);
    let engine = store.engine(SECOND * 10);
    engine.run(keyed(grant("u1", "5"), "k1")).unwrap();
    for blind in [0, 1] {
        store.blind_lookups.store(blind, Ordering::SeqCst);
        store.act(Act::LoseAfter);
        let receipts = engine.execute_all(vec![keyed(grant("u1", "5"), "k1"), charge("u1", "2")]).unwrap();
        assert_eq!(receipts.iter().map(|receipt| receipt.idempotent_replay).collect::<Vec<_>>(), [true, false]);
    }
    assert_eq!(available(&engine, "u1"), "1");
}

#[test]
fn a_group_blames_no_single_command_for_the_store() {
    let store = Scripted::new([Act::Fail(StoreErrorKind::Permanent)]);
    let failed = store.engine(SECOND).execute_all(vec![grant("u1", "5"), charge("u1", "2")]).unwrap_err();
    assert_eq!((failed.index, failed.failure), (None, Failure::Failed(Error::Store("as scripted".to_owned()))));
}
