//! Law 6: the feed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Map, Value};

use super::Subject;
use super::desk::{Desk, Ended, account, account_of, feed, id, needs_account, run, second, tenant, units};
use crate::denial::Denial;
use crate::facts::Needs;
use crate::id::OpId;
use crate::ledger::{Alert, AlertRule, OperationKind};
use crate::owner::Subject as Who;
use crate::store::{Answer, Query};
use crate::testing::scripted::Draft;
use crate::time::ManualClock;

const WRITERS: usize = 4;
const BATCHES: usize = 40;

pub fn positions_follow_the_order_of_commits(subject: &Subject) {
    let desk = Desk::new(subject);
    let mut booked = Vec::new();
    for n in 0..6_i64 {
        // Ids are not in the order of commits: the clock of the host may step back.
        let key = account(&format!("u{n}"));
        booked.push(desk.at(60 - n).book(&key, OperationKind::Grant, |draft| draft.grant(units(1), None)).op_id());
    }
    let feed = desk.feed(None, 0, 10);
    assert_eq!(feed.iter().map(|stored| stored.operation.op_id).collect::<Vec<_>>(), booked);
    assert!(feed[0].position > 0, "0 is before the first");
    assert!(feed.windows(2).all(|pair| pair[0].position < pair[1].position));
}

pub fn a_tenant_sees_its_own_operations(subject: &Subject) {
    let desk = Desk::new(subject);
    for tenant_id in ["t1", "t2", "t1", "t3", "t2", "t1"] {
        desk.grant(&account_of(tenant_id, "a"), 1);
    }
    let all = desk.feed(None, 0, 10);
    let own = desk.feed(Some(tenant()), 0, 10);
    let expected: Vec<_> = all.iter().filter(|stored| stored.operation.tenant_id == tenant()).cloned().collect();
    assert_eq!((own.len(), &own), (3, &expected));
    assert_eq!(desk.feed(Some(tenant()), own[0].position, 1), expected[1..2].to_vec());
    assert!(desk.feed(Some(id("t9")), 0, 10).is_empty());
}

pub fn an_operation_without_an_account_is_kept(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    desk.grant(&key, 1);
    for who in [Who::Tenant, Who::User(id("u")), Who::Organization(id("o"))] {
        let bare = |draft: Draft| {
            draft.key(&who.to_string()).with(|changes| {
                changes.account = None;
                let operation = &mut changes.stored_mut().operation;
                (operation.account, operation.first_seq, operation.subject) = (None, 0, Some(who.clone()));
                operation.answer = Some("{}".into());
                let details = Map::from_iter([("used".to_owned(), Value::from("7.5"))]);
                operation.alerts = vec![Alert { rule: AlertRule::Anomaly, details }];
            })
        };
        let booked = desk.book(&key, OperationKind::Block, bare);
        let last = desk.feed(Some(tenant()), 0, 10).pop().unwrap();
        assert_eq!((&last.operation, last.entries.len()), (booked.operation(), 0));
        let found = desk.ask(&Query::OperationByKey(tenant(), id(&who.to_string())));
        assert!(matches!(found, Answer::OperationByKey(Some(stored)) if stored == last));
    }
    assert_eq!(desk.account(&key, second(0)).unwrap().account.seq, 1, "the account is left alone");
}

pub fn pages_of_the_feed_join_without_gaps(subject: &Subject) {
    let desk = Desk::new(subject);
    for n in 0..7_i64 {
        desk.grant(&account("a"), n + 1);
    }
    let all = desk.feed(None, 0, 100);
    for limit in [1, 2, 3, 7, 8] {
        let (mut joined, mut after) = (Vec::new(), 0);
        loop {
            let page = desk.feed(None, after, limit);
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            assert!(last.position > after, "the feed goes back");
            after = last.position;
            joined.extend(page);
        }
        assert_eq!(joined, all, "pages of {limit}");
    }
    assert!(desk.feed(None, u64::from(u32::MAX), 10).is_empty());
}

pub fn nothing_appears_behind_a_position_handed_out(subject: &Subject) {
    let desk = Desk::new(subject);
    let writing = AtomicUsize::new(WRITERS);
    let mut seen: Vec<OpId> = Vec::new();
    thread::scope(|scope| {
        for n in 0..WRITERS {
            let (store, writing) = (subject.store(), &writing);
            scope.spawn(move || {
                let _ended = Ended(writing);
                let (clock, key) = (ManualClock::at(second(0)), account(&format!("u{n}")));
                for _ in 0..BATCHES {
                    run(&*store, &clock, needs_account(&key), |mut facts| {
                        let first = Draft::of(&facts, &key, OperationKind::Grant).grant(units(1), None).done();
                        facts.apply(&first);
                        let second = Draft::of(&facts, &key, OperationKind::Grant).grant(units(1), None).done();
                        vec![first, second]
                    });
                }
            });
        }
        let store = subject.store();
        let mut after = 0;
        loop {
            // Asked before the page: when all had ended by then, an empty page is the end.
            let ended = writing.load(Ordering::SeqCst) == 0;
            let page = feed(&*store, None, after, 7);
            if page.is_empty() && ended {
                break;
            }
            for stored in page {
                assert!(stored.position > after);
                after = stored.position;
                seen.push(stored.operation.op_id);
            }
        }
    });
    let all: Vec<_> = desk.feed(None, 0, usize::MAX >> 33).iter().map(|stored| stored.operation.op_id).collect();
    assert_eq!(all.len(), WRITERS * BATCHES * 2);
    assert_eq!(seen, all, "what was read while it was written is all that was written");
}

pub fn an_operation_reads_the_same_everywhere(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let booked = desk.book(&key, OperationKind::Grant, |draft| draft.key("k").grant(units(5), Some(second(60))));
    let stored = desk.feed(None, 0, 1).remove(0);
    assert_eq!((&stored.operation, &stored.entries), (&booked.stored.operation, &booked.stored.entries));
    let Answer::OperationByKey(Some(by_key)) = desk.ask(&Query::OperationByKey(tenant(), id("k"))) else {
        panic!("the key has no operation");
    };
    assert_eq!(by_key, stored);
    let Answer::Operations(by_id) = desk.ask(&Query::Operations(tenant(), vec![booked.op_id()])) else {
        panic!("operations are answered by something else");
    };
    assert_eq!(by_id, vec![stored.clone()]);
    let replays = desk.facts(Needs { keys: vec![(tenant(), id("k"))], ..Needs::default() }).replays;
    assert_eq!(replays[&(tenant(), id("k"))], stored);
}

pub fn what_was_refunded_shows_in_the_operation(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let grant = desk.grant(&key, 5);
    let charge = desk.charge(&key, grant, 4, None);
    desk.book(&key, OperationKind::Refund, |draft| draft.refund(charge, grant, units(1), units(1)));
    desk.book(&key, OperationKind::Refund, |draft| draft.refund(charge, grant, units(2), units(3)));
    let refunded: Vec<_> = desk.feed(None, 0, 10).iter().map(|stored| stored.operation.refunded).collect();
    assert_eq!(refunded, [units(0), units(3), units(0), units(0)]);
}

pub fn the_last_position_is_the_end_of_the_feed(subject: &Subject) {
    let desk = Desk::new(subject);
    let last = || match desk.ask(&Query::LastPosition) {
        Answer::LastPosition(position) => position,
        other => panic!("the last position is answered by {other:?}"),
    };
    assert_eq!(last(), 0, "there is none");
    for tenant_id in ["t1", "t2", "t1"] {
        desk.grant(&account_of(tenant_id, "a"), 1);
        let feed = desk.feed(None, 0, 10);
        assert_eq!(Some(last()), feed.last().map(|stored| stored.position));
        assert!(desk.feed(None, last(), 10).is_empty());
    }
}

pub fn what_is_forgotten_is_gone_and_nothing_else(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let with_answer = |name: &'static str| {
        move |draft: Draft| {
            draft.key(name).grant(units(1), None).with(|changes| {
                let operation = &mut changes.stored_mut().operation;
                operation.answer = Some(Arc::from(r#"{"held":"1"}"#));
                operation.denial = Some(Arc::new(Denial::capacity("limit", 7).with("needed", 1.5).retry_at(second(3))));
            })
        }
    };
    let booked = ["k", "l"].map(|name| desk.book(&key, OperationKind::Grant, with_answer(name)).stored);
    let op_ids = booked.each_ref().map(|stored| stored.operation.op_id);
    let before = desk.feed(None, 0, 10);
    assert_eq!((&before[0].operation, &before[1].operation), (&booked[0].operation, &booked[1].operation));
    let store = subject.store();
    store.forget(&id("t2"), &op_ids).unwrap();
    store.forget(&tenant(), &[]).unwrap();
    assert_eq!(desk.feed(None, 0, 10), before, "a foreign tenant has nothing to forget");
    for _ in 0..2 {
        store.forget(&tenant(), &[op_ids[0], OpId::from_uuid(uuid::Uuid::nil())]).unwrap();
        let after = desk.feed(None, 0, 10);
        assert!(after[0].operation.is_forgotten() && after[0].operation.denial.is_none());
        let mut expected = (*before[0]).clone();
        (expected.operation.answer, expected.operation.denial) = (Some(Arc::from("")), None);
        assert_eq!((&*after[0], &after[1]), (&expected, &before[1]));
        let facts = desk.facts(Needs { keys: vec![(tenant(), id("k"))], ..Needs::default() });
        assert_eq!(facts.replays[&(tenant(), id("k"))].operation, expected.operation);
    }
}
