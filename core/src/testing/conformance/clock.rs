//! Law 3: what the present is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::Subject;
use super::desk::{
    Desk, account, blocked, id, licence, licence_key, member, member_key, needs_account, risk_count, risk_key, run, second, tenant,
    units,
};
use crate::facts::Needs;
use crate::id::TaskId;
use crate::ledger::OperationKind;
use crate::licence::TemplateKey;
use crate::owner::{AccountKey, Subject as Who};
use crate::store::StoreErrorKind;
use crate::testing::scripted::Draft;
use crate::time::{Clock, ManualClock, Timestamp};

pub fn the_present_is_the_clock_when_no_anchor_is_ahead(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    assert_eq!(desk.at(3).facts(needs_account(&key)).now, second(3), "no anchor yet");
    desk.grant(&key, 1);
    assert_eq!(desk.at(7).facts(needs_account(&key)).now, second(7));
}

pub fn the_present_is_the_last_booking_of_an_account_ahead(subject: &Subject) {
    let desk = Desk::new(subject);
    let (ahead, behind) = (account("a"), account("b"));
    desk.at(4).grant(&ahead, 1);
    desk.at(2).grant(&behind, 1);
    let both = Needs { accounts: vec![behind.clone(), ahead], ..Needs::default() };
    assert_eq!(desk.at(3).facts(both).now, second(4));
    assert_eq!(desk.at(1).facts(needs_account(&behind)).now, second(2));
}

pub fn the_present_is_the_last_booking_of_a_task_ahead(subject: &Subject) {
    let desk = Desk::new(subject);
    let (key, task): (_, TaskId) = (account("a"), id("job"));
    let grant = desk.grant(&key, 1);
    desk.at(4).hold(&key, grant, 1, 60, Some(&task));
    let needs = Needs { tasks: vec![(tenant(), task)], ..Needs::default() };
    assert_eq!(desk.at(1).facts(needs).now, second(4));
}

pub fn the_present_is_the_last_booking_of_an_account_reached_by_a_handle(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let grant = desk.grant(&key, 5);
    let hold = desk.hold(&key, grant, 1, 60, None);
    let charge = desk.charge(&key, grant, 1, None);
    desk.at(4).grant(&key, 1);
    let reached = [
        Needs { grants: vec![(tenant(), grant)], ..Needs::default() },
        Needs { holds: vec![(tenant(), hold)], ..Needs::default() },
        Needs { charges: vec![(tenant(), charge)], ..Needs::default() },
    ];
    for needs in reached {
        assert_eq!(desk.at(1).facts(needs.clone()).now, second(4), "{needs:?}");
    }
}

pub fn the_present_is_the_last_booking_of_a_task_reached_by_a_hold(subject: &Subject) {
    let desk = Desk::new(subject);
    let (key, other, task): (_, _, TaskId) = (account("a"), account("b"), id("job"));
    let (grant, elsewhere) = (desk.grant(&key, 1), desk.grant(&other, 1));
    let hold = desk.hold(&key, grant, 1, 60, Some(&task));
    desk.at(4).charge(&other, elsewhere, 1, Some(&task));
    let needs = Needs { holds: vec![(tenant(), hold)], ..Needs::default() };
    assert_eq!(desk.at(1).facts(needs).now, second(4));
}

pub fn the_present_is_the_last_word_about_who_is_named(subject: &Subject) {
    let desk = Desk::new(subject);
    let user = Who::User(id("u"));
    let put = |draft: Draft| {
        draft.with(|changes| {
            changes.subjects.push((user.clone(), blocked(second(3))));
            changes.members.push((member_key("u"), member(second(4))));
            changes.licences.licences.insert(licence_key("own"), licence("poster", Some("u"), second(5)));
            changes.licences.licences.insert(licence_key("any"), licence("poster", None, second(2)));
            changes.risk.counts.insert(risk_key("u"), risk_count(second(4)));
        })
    };
    desk.book(&account("a"), OperationKind::Block, put);
    let named = Needs { subjects: vec![(tenant(), user.clone()), (tenant(), Who::Tenant)], ..Needs::default() };
    assert_eq!(desk.at(1).facts(named).now, second(3));
    let named = Needs { members: vec![member_key("u")], ..Needs::default() };
    assert_eq!(desk.at(1).facts(named).now, second(4));
    let named = Needs { licences: vec![licence_key("own")], ..Needs::default() };
    assert_eq!(desk.at(1).facts(named).now, second(5));
    let named = Needs { risk: vec![risk_key("u")], ..Needs::default() };
    assert_eq!(desk.at(1).facts(named).now, second(4));
    for (user, last) in [(Some(id("u")), 5), (Some(id("v")), 2), (None, 2)] {
        let named = Needs { templates: vec![TemplateKey::new(tenant(), id("poster"), user)], ..Needs::default() };
        assert_eq!(desk.at(1).facts(named).now, second(last));
    }
}

pub fn the_present_is_the_last_use_of_a_licence_reached_by_a_hold(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let grant = desk.grant(&key, 9);
    let under = |draft: Draft, licence_id: &str, until: i64| {
        let draft = draft.hold(grant, units(1), second(until), None);
        draft.with(|changes| {
            changes.licences.licences.insert(licence_key(licence_id), licence("poster", None, second(4)));
            Arc::make_mut(&mut changes.new_holds[0].terms).licence_id = Some(id(licence_id));
        })
    };
    let named = desk.book(&key, OperationKind::Hold, |draft| under(draft, "named", 60)).new_holds[0].id;
    let facts = desk.at(1).facts(Needs { holds: vec![(tenant(), named)], ..Needs::default() });
    assert_eq!((facts.now, facts.licences.len()), (second(4), 1));
    desk.book(&key, OperationKind::Hold, |draft| under(draft, "due", 2));
    let facts = desk.at(2).facts(needs_account(&key));
    assert_eq!((facts.now, facts.licences.len()), (second(2), 1), "what is due is settled with the account");
}

pub fn the_present_is_not_that_of_a_member_reached_by_a_hold(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = AccountKey::new(tenant(), id("organization:o"), id("credit"));
    let put = |draft: Draft| draft.grant(units(9), None).with(|changes| changes.members.push((member_key("u"), member(second(4)))));
    let grant = desk.book(&key, OperationKind::Grant, put).new_grants[0].id;
    let by = |draft: Draft| {
        let draft = draft.hold(grant, units(1), second(1), None);
        draft.with(|changes| Arc::make_mut(&mut changes.new_holds[0].terms).user_id = Some(id("u")))
    };
    desk.book(&key, OperationKind::Hold, by);
    let facts = desk.at(2).facts(needs_account(&key));
    assert_eq!((facts.now, facts.members.len()), (second(2), 1));
}

pub fn a_clock_too_far_behind_decides_nothing(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    desk.at(100).grant(&key, 1);
    let just_too_far = second(95).plus_micros(-1).unwrap();
    desk.clock.set(just_too_far);
    let mut decided = 0;
    let error = desk.try_run(needs_account(&key), |_| {
        decided += 1;
        Vec::new()
    });
    let error = error.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::ClockBehind { now: just_too_far, last_at: second(100) });
    assert_eq!((decided, error.may_have_applied), (0, false));
}

pub fn five_seconds_are_not_too_far(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    desk.at(100).grant(&key, 1);
    assert_eq!(desk.at(95).facts(needs_account(&key)).now, second(100));
}

pub fn an_account_that_is_not_locked_does_not_count(subject: &Subject) {
    let desk = Desk::new(subject);
    desk.at(100).grant(&account("a"), 1);
    assert_eq!(desk.at(1).facts(needs_account(&account("b"))).now, second(1));
}

/// A clock that notes whether the batch before was decided when it is read.
struct Witness<'a> {
    decided: &'a AtomicBool,
    saw_it: AtomicBool,
}

impl Clock for Witness<'_> {
    fn now(&self) -> Timestamp {
        self.saw_it.store(self.decided.load(Ordering::SeqCst), Ordering::SeqCst);
        second(0)
    }
}

pub fn the_clock_is_read_after_the_locks(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    desk.grant(&key, 1);
    let decided = AtomicBool::new(false);
    let (locked, wait_for_lock) = mpsc::channel();
    thread::scope(|scope| {
        let (store, key, decided) = (subject.store(), &key, &decided);
        scope.spawn(move || {
            run(&*store, &ManualClock::at(second(0)), needs_account(key), |facts| {
                locked.send(()).unwrap();
                // Time enough for the other batch to read its clock, if it does so before it waits.
                thread::sleep(Duration::from_millis(50));
                decided.store(true, Ordering::SeqCst);
                vec![Draft::of(&facts, key, OperationKind::Grant).grant(units(1), None).done()]
            });
        });
        wait_for_lock.recv().unwrap();
        let witness = Witness { decided, saw_it: AtomicBool::new(false) };
        run(&*desk.store, &witness, needs_account(key), |_| Vec::new());
        assert!(witness.saw_it.load(Ordering::SeqCst), "the clock was read before the account was locked");
    });
}
