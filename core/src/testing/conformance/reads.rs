//! Law 8, and the answers about accounts, holds, grants and tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::Subject;
use super::desk::{
    Desk, Ended, account, account_at, account_of, feed, id, licence, licence_key, member, member_key, needs_account, run, second,
    tenant, units,
};
use crate::credit::{Band, Debt, Every, Grant, GrantTerms, LowBalance, Member, Recurrence, RuleTerms, Scope, Standing};
use crate::facts::{AccountFacts, Needs};
use crate::id::{LicenceId, RuleId, TaskId, UserId};
use crate::ledger::OperationKind;
use crate::owner::{AccountKey, MemberKey};
use crate::store::{Answer, Query};
use crate::testing::scripted::Draft;
use crate::time::{ManualClock, Timestamp};

pub fn an_account_reads_as_it_was_written(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let first = desk.book(&key, OperationKind::Grant, |draft| draft.grant(units(9), Some(second(60))));
    let grant = first.new_grants[0].id;
    let hold = desk.hold(&key, grant, 2, 30, None);
    let last = desk.at(1).book(&key, OperationKind::Charge, |draft| draft.charge(grant, units(3), None));
    let read = desk.account(&key, second(1)).unwrap();
    assert_eq!(Some(read.account), last.account);
    assert_eq!(read.grants.values().collect::<Vec<_>>(), [&last.changed_grants[0]]);
    assert!(read.due_holds.is_empty());
    let read = desk.account(&key, second(30)).unwrap();
    assert_eq!((read.due_holds[&hold].held(), read.next_hold_at), (units(2), None));
}

pub fn what_is_agreed_about_an_account_reads_as_it_was_written(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let agreed = Standing {
        credit_limit: units(9),
        debt: Debt { owed: units(2), held: units(3) },
        low_balance: Some(LowBalance { below: units(4), recovered_from: units(5) }),
        band: Band::Low,
        is_blocked: true,
        rules: 6,
    };
    // Of an account that is new, of one that is there, and back to nothing.
    for standing in [agreed, Standing { credit_limit: units(8), ..agreed }, Standing::default()] {
        desk.book(&key, OperationKind::Grant, |draft| {
            draft.grant(units(1), None).with(|changes| changes.account_mut().standing = standing)
        });
        assert_eq!(desk.account(&key, second(0)).unwrap().account.standing, standing);
    }
}

pub fn an_account_without_entries_is_none(subject: &Subject) {
    let desk = Desk::new(subject);
    assert!(desk.account(&account("a"), second(0)).is_none());
    assert!(matches!(desk.ask(&Query::AccountImage(account("a"))), Answer::AccountImage(None)));
}

pub fn an_image_has_all_open_holds(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let grant = desk.grant(&key, 10);
    let holds = [5, 60, 600].map(|until| desk.hold(&key, grant, 1, until, None));
    let ended = desk.hold(&key, grant, 1, 60, None);
    desk.capture(&key, ended);
    let Answer::AccountImage(Some(image)) = desk.at(100).ask(&Query::AccountImage(key.clone())) else {
        panic!("no image");
    };
    let mut open: Vec<_> = image.open_holds.iter().map(|hold| hold.id).collect();
    open.sort();
    assert_eq!(open, holds, "whatever their expiry");
    assert!(image.facts.due_holds.is_empty());
    assert_eq!((image.facts.account.open_holds, image.facts.grants[&grant].held), (3, units(3)));
}

pub fn a_hold_a_grant_and_a_task_read_as_they_were_written(subject: &Subject) {
    let desk = Desk::new(subject);
    let (key, task): (_, TaskId) = (account("a"), id("job"));
    let granted = desk.book(&key, OperationKind::Grant, |draft| draft.grant(units(9), Some(second(60))).with(describe_grant));
    let grant = &granted.new_grants[0];
    let read_grant = || match desk.ask(&Query::Grant(tenant(), grant.id)) {
        Answer::Grant(Some((of, grant))) => (Arc::unwrap_or_clone(of), grant),
        other => panic!("the grant is answered by {other:?}"),
    };
    assert_eq!(read_grant(), (key.clone(), grant.clone()));
    let needs = Needs { tasks: vec![(tenant(), task.clone())], ..Needs::default() };
    let draw_up = |draft: Draft| draft.hold(grant.id, units(9), second(30), Some(&task));
    let held = desk.book_with(needs, &key, OperationKind::Hold, draw_up);
    assert_eq!(read_grant().1, held.changed_grants[0]);
    let Answer::Hold(Some((of, hold))) = desk.ask(&Query::Hold(tenant(), held.new_holds[0].id)) else {
        panic!("no hold");
    };
    assert_eq!((&*of, &hold), (&key, &held.new_holds[0]));
    let Answer::Task(Some(read)) = desk.ask(&Query::Task(tenant(), task.clone())) else { panic!("no task") };
    assert_eq!(Some((task, read)), held.task);
}

pub fn a_rule_reads_as_it_was_written(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let metadata = serde_json::json!({ "plan": "gold" });
    let describe = |changes: &mut crate::changes::Changes| {
        let rule = &mut changes.new_rules[0];
        (rule.next, rule.next_at) = (3, second(99));
        rule.terms = Arc::new(RuleTerms {
            every: Every::Months(2),
            ends_at: Some(second(999)),
            zone: id("Europe/Berlin"),
            rollover_cap: units(2),
            scope: Scope { app_id: Some(id("app")), template_id: Some(id("template")) },
            priority: -3,
            policy_tag: Some(id("eu")),
            reason: Some(Arc::from("bought")),
            metadata: metadata.as_object().cloned().map(Arc::new),
            ..(*rule.terms).clone()
        });
    };
    let made = desk.book(&key, OperationKind::Recur, |draft| draft.rule(second(60)).with(describe)).new_rules[0].clone();
    let read = || match desk.ask(&Query::Rule(tenant(), made.id)) {
        Answer::Rule(Some((of, rule))) => (Arc::unwrap_or_clone(of), rule),
        other => panic!("the rule is answered by {other:?}"),
    };
    assert_eq!(read(), (key.clone(), made.clone()));
    let Answer::AccountImage(Some(image)) = desk.ask(&Query::AccountImage(key.clone())) else { panic!("no image") };
    assert_eq!(image.facts.rules.values().collect::<Vec<_>>(), [&made]);
    let ended = desk.book(&key, OperationKind::StopRule, |draft| draft.end_rule(&made)).changed_rules[0].clone();
    assert_eq!(read(), (key, ended));
}

/// Fills every field of the terms.
fn describe_grant(changes: &mut crate::changes::Changes) {
    let grant: &mut Grant = &mut changes.new_grants[0];
    let metadata = serde_json::json!({ "invoice": "r-1", "amount": 12.50 });
    grant.terms = Arc::new(GrantTerms {
        scope: Scope { app_id: Some(id("app")), template_id: Some(id("template")) },
        priority: -3,
        reissue_of: Some(grant.id),
        recurrence: Some(Recurrence { rule_id: RuleId::from_uuid(grant.id.uuid()), k: 7, rollover: true, periods: 3 }),
        policy_tag: Some(id("eu")),
        reason: Some(Arc::from("bought")),
        metadata: metadata.as_object().cloned().map(Arc::new),
        ..(*grant.terms).clone()
    });
}

pub fn the_longest_due_account_comes_first(subject: &Subject) {
    let desk = Desk::new(subject);
    assert!(matches!(desk.ask(&Query::NextDue), Answer::NextDue(None)));
    for (key, at) in [(account("a"), Some(30)), (account_of("t2", "b"), Some(10)), (account("c"), Some(20)), (account("d"), None)] {
        desk.book(&key, OperationKind::Grant, |draft| draft.grant(units(1), at.map(second)));
    }
    let due = |at: i64, limit: usize| match desk.ask(&Query::DueAccounts(second(at), limit)) {
        Answer::DueAccounts(keys) => keys,
        other => panic!("due accounts are answered by {other:?}"),
    };
    assert_eq!(due(9, 10), []);
    assert_eq!(due(20, 10), [account_of("t2", "b"), account("c")]);
    assert_eq!(due(99, 10), [account_of("t2", "b"), account("c"), account("a")]);
    assert_eq!(due(99, 1), [account_of("t2", "b")]);
    assert!(matches!(desk.ask(&Query::NextDue), Answer::NextDue(Some(at)) if at == second(10)));
    desk.book(&account_of("t2", "b"), OperationKind::Settle, |draft| draft.with(|changes| changes.account_mut().due_at = None));
    desk.book(&account("c"), OperationKind::Settle, |draft| draft.with(|changes| changes.account_mut().due_at = Some(second(40))));
    assert_eq!(due(99, 10), [account("a"), account("c")]);
    assert!(matches!(desk.ask(&Query::NextDue), Answer::NextDue(Some(at)) if at == second(30)));
}

pub fn accounts_come_in_order_a_page_at_a_time(subject: &Subject) {
    let desk = Desk::new(subject);
    let mut keys: Vec<AccountKey> = Vec::new();
    for tenant_id in ["t2", "t1", "t10"] {
        for owner in ["user:b", "pool", "organization:a", "user:a"] {
            keys.extend(["credit", "UC"].map(|unit| AccountKey::new(id(tenant_id), id(owner), id(unit))));
        }
    }
    for key in &keys {
        desk.grant(key, 1);
    }
    keys.sort();
    for limit in [1, 5, 24, 100] {
        let mut read: Vec<AccountKey> = Vec::new();
        loop {
            let Answer::Accounts(page) = desk.ask(&Query::Accounts(read.last().cloned(), limit)) else {
                panic!("accounts are answered by something else");
            };
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            read.extend(page);
            assert!(read.len() <= keys.len(), "an account comes twice");
        }
        assert_eq!(read, keys, "pages of {limit}");
    }
}

pub fn members_come_in_order_a_page_at_a_time(subject: &Subject) {
    let desk = Desk::new(subject);
    let put = |draft: Draft| {
        draft.with(|changes| {
            let present = ["c", "a", "B", "d"].map(|user| (member_key(user), member(second(0))));
            let removed = (member_key("b"), Member { role: None, ..member(second(0)) });
            let elsewhere = (MemberKey { organization_id: id("p"), ..member_key("e") }, member(second(0)));
            changes.members.extend(present.into_iter().chain([removed, elsewhere]));
        })
    };
    desk.book(&account("a"), OperationKind::SetMember, put);
    for limit in [1, 3, 10] {
        let mut read: Vec<(UserId, Member)> = Vec::new();
        loop {
            let after = read.last().map(|(user, _)| user.clone());
            let query = Query::Members { tenant_id: tenant(), organization_id: id("o"), after, limit };
            let Answer::Members(page) = desk.ask(&query) else { panic!("members are answered by something else") };
            assert!(page.len() <= limit && read.len() <= 4);
            if page.is_empty() {
                break;
            }
            read.extend(page);
        }
        assert_eq!(read, ["B", "a", "c", "d"].map(|user| (id(user), member(second(0)))), "pages of {limit}");
    }
}

pub fn licences_come_in_order_a_page_at_a_time(subject: &Subject) {
    let desk = Desk::new(subject);
    let put = |draft: Draft| {
        draft.with(|changes| {
            for (name, template, user) in [("c", "p", None), ("B", "p", Some("u")), ("a", "p", Some("v")), ("d", "q", None)] {
                changes.licences.licences.insert(licence_key(name), licence(template, user, second(0)));
            }
        })
    };
    desk.book(&account("a"), OperationKind::SetLicence, put);
    for (template, expected) in [(None, vec!["B", "a", "c", "d"]), (Some("p"), vec!["B", "a", "c"]), (Some("x"), vec![])] {
        for limit in [1, 2, 10] {
            let mut read: Vec<LicenceId> = Vec::new();
            loop {
                let (template_id, after) = (template.map(id), read.last().cloned());
                let query = Query::Licences { tenant_id: tenant(), template_id, after, limit };
                let Answer::Licences(page) = desk.ask(&query) else { panic!("licences are answered by something else") };
                assert!(page.len() <= limit && read.len() <= 4);
                if page.is_empty() {
                    break;
                }
                read.extend(page);
            }
            assert_eq!(read.iter().map(LicenceId::as_str).collect::<Vec<_>>(), expected, "pages of {limit}");
        }
    }
}

pub fn a_read_does_not_wait_for_a_batch(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    desk.grant(&key, 1);
    let mut read = None;
    desk.run(needs_account(&key), |facts| {
        let (answered, wait_for_answer) = mpsc::channel();
        let (store, key) = (subject.store(), key.clone());
        thread::spawn(move || answered.send(account_at(&*store, &key, second(0)).unwrap().account.available));
        read = wait_for_answer.recv_timeout(Duration::from_secs(10)).ok();
        vec![Draft::of(&facts, &account("a"), OperationKind::Grant).grant(units(1), None).done()]
    });
    assert_eq!(read, Some(units(1)), "what was committed before");
    assert_eq!(desk.account(&key, second(0)).unwrap().account.available, units(2));
}

pub fn a_read_sees_whole_batches_only(subject: &Subject) {
    let key = account("a");
    let store = subject.store();
    let writing = AtomicUsize::new(1);
    thread::scope(|scope| {
        let (writer, key, writing) = (subject.store(), &key, &writing);
        scope.spawn(move || {
            let _ended = Ended(writing);
            let clock = ManualClock::at(second(0));
            for _ in 0..60 {
                run(&*writer, &clock, needs_account(key), |mut facts| {
                    let first = Draft::of(&facts, key, OperationKind::Grant).grant(units(1), None).done();
                    facts.apply(&first);
                    let second = Draft::of(&facts, key, OperationKind::Grant).grant(units(2), None).done();
                    vec![first, second]
                });
            }
        });
        while writing.load(Ordering::SeqCst) > 0 {
            if let Some(read) = account_at(&*store, key, Timestamp::MAX) {
                assert_whole(&read);
            }
            assert_eq!(feed(&*store, None, 0, 1_000).len() % 2, 0, "half a batch in the feed");
        }
    });
    assert_whole(&account_at(&*store, &key, second(0)).unwrap());
    assert_eq!(feed(&*store, None, 0, 1_000).len(), 120);
}

fn assert_whole(read: &AccountFacts) {
    assert_eq!(read.account.seq % 2, 0, "half a batch");
    let remaining = read.grants.values().map(|grant| grant.remaining.micros()).sum::<i64>();
    assert_eq!(remaining, read.account.available.micros(), "grants and account of one state");
    assert_eq!(read.grants.len(), usize::try_from(read.account.open_grants).unwrap());
}
