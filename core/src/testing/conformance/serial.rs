//! Law 2: batches with a common anchor are decided one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::Subject;
use super::desk::{Desk, account, ask, id, needs_account, risk_count, risk_key, run, second, tenant, units};
use crate::changes::Changes;
use crate::facts::Needs;
use crate::id::TaskId;
use crate::ledger::{EntryQuery, EntryScope, MAX_PAGE, OperationKind, PageOrder};
use crate::risk::RiskCount;
use crate::store::{Answer, Query};
use crate::testing::scripted::Draft;
use crate::time::ManualClock;

const THREADS: usize = 4;
const BATCHES: usize = 25;

/// Gives the other threads time to do what they may not do now.
fn linger() {
    thread::sleep(Duration::from_micros(300));
}

pub fn batches_of_one_account_are_decided_one_after_the_other(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    thread::scope(|scope| {
        for _ in 0..THREADS {
            let store = subject.store();
            let key = key.clone();
            scope.spawn(move || {
                let clock = ManualClock::at(second(0));
                for _ in 0..BATCHES {
                    run(&*store, &clock, needs_account(&key), |facts| {
                        linger();
                        vec![Draft::of(&facts, &key, OperationKind::Grant).grant(units(1), None).done()]
                    });
                }
            });
        }
    });
    let query = EntryQuery { order: PageOrder::Asc, limit: MAX_PAGE, ..EntryQuery::new(EntryScope::Account(key.clone())) };
    let entries = desk.entries(query).entries;
    assert_eq!(entries.len(), THREADS * BATCHES);
    for (expected, entry) in (1..).zip(&entries) {
        assert_eq!((entry.seq, entry.balance_after), (u64::try_from(expected).unwrap(), units(expected)));
    }
    let facts = desk.account(&key, second(0)).unwrap();
    assert_eq!(facts.grants.len(), THREADS * BATCHES);
    assert_eq!(facts.account.head, entries.last().unwrap().hash);
}

pub fn batches_that_share_a_task_are_decided_one_after_the_other(subject: &Subject) {
    let desk = Desk::new(subject);
    let task: TaskId = id("job");
    let accounts: Vec<_> = (0..THREADS).map(|n| account(&format!("u{n}"))).collect();
    let grants: Vec<_> = accounts.iter().map(|key| desk.grant(key, 10)).collect();
    thread::scope(|scope| {
        for (key, grant) in accounts.iter().zip(&grants) {
            let (store, task) = (subject.store(), &task);
            scope.spawn(move || {
                let clock = ManualClock::at(second(0));
                let needs = Needs { accounts: vec![key.clone()], tasks: vec![(tenant(), task.clone())], ..Needs::default() };
                run(&*store, &clock, needs, |facts| {
                    linger();
                    if !facts.tasks.is_empty() {
                        return Vec::new();
                    }
                    let draft = Draft::of(&facts, key, OperationKind::Hold);
                    vec![draft.hold(*grant, units(1), second(60), Some(task)).done()]
                });
            });
        }
    });
    let frozen = accounts.iter().filter(|key| desk.account(key, second(0)).unwrap().account.open_holds == 1).count();
    assert_eq!(frozen, 1, "one hold for one task");
}

pub fn batches_that_share_a_spender_are_decided_one_after_the_other(subject: &Subject) {
    let desk = Desk::new(subject);
    let spender = risk_key("u");
    let needs_spender = |accounts| Needs { accounts, risk: vec![spender.clone()], ..Needs::default() };
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, spender, key) = (subject.store(), &spender, account(&format!("u{thread}")));
            let needs = needs_spender(vec![key.clone()]);
            scope.spawn(move || {
                let clock = ManualClock::at(second(0));
                for _ in 0..BATCHES {
                    run(&*store, &clock, needs.clone(), |facts| {
                        linger();
                        let count = facts.risk.get(spender).map_or(0, |known| known.count.count) + 1;
                        let row = RiskCount { count, ..risk_count(second(0)) };
                        let put = |changes: &mut Changes| _ = changes.risk.counts.insert(spender.clone(), row);
                        vec![Draft::of(&facts, &key, OperationKind::Grant).grant(units(1), None).with(put).done()]
                    });
                }
            });
        }
    });
    let count = desk.facts(needs_spender(Vec::new())).risk[&spender].count.count;
    assert_eq!(usize::try_from(count), Ok(THREADS * BATCHES));
}

pub fn a_key_is_looked_up_when_the_locks_are_held(subject: &Subject) {
    let key = account("a");
    let booked = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            let (store, key, booked) = (subject.store(), &key, &booked);
            scope.spawn(move || {
                let clock = ManualClock::at(second(0));
                let needs = Needs { keys: vec![(tenant(), id("k"))], ..needs_account(key) };
                let mut booked_here = 0;
                run(&*store, &clock, needs, |facts| {
                    linger();
                    booked_here = usize::from(facts.replays.is_empty());
                    if booked_here == 0 {
                        return Vec::new();
                    }
                    vec![Draft::of(&facts, key, OperationKind::Grant).key("k").grant(units(1), None).done()]
                });
                booked.fetch_add(booked_here, Ordering::SeqCst);
            });
        }
    });
    assert_eq!(booked.load(Ordering::SeqCst), 1);
    let store = subject.store();
    let Answer::OperationByKey(Some(stored)) = ask(&*store, &Query::OperationByKey(tenant(), id("k"))) else {
        panic!("the key has no operation");
    };
    assert_eq!(Arc::unwrap_or_clone(stored).entries.len(), 1);
}
