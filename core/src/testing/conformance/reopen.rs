//! What a durable store keeps when it is closed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Subject;
use super::desk::{
    Desk, account, account_of, blocked, id, licence, licence_key, member, member_key, needs_account, risk_count, risk_key, second,
    tenant, units,
};
use crate::credit::{Grant, Hold, Member};
use crate::event::{Consumer, EventCursor};
use crate::facts::{Account, LicenceFacts, Needs, SubjectRow, Task};
use crate::id::{GrantId, HoldId, TaskId, TenantId, UserId};
use crate::ledger::{OperationKind, StoredOperation};
use crate::licence::{LicenceKey, LicenceUse, TemplateKey};
use crate::owner::{AccountKey, MemberKey, Subject as Who};
use crate::risk::{RiskFacts, RiskKey, RiskUse};
use crate::store::{Answer, Query, StoreErrorKind};
use crate::testing::scripted::Draft;
use crate::time::Timestamp;

/// All that a store can be asked for, in a form that can be compared.
#[derive(Debug, PartialEq)]
struct Dump {
    feed: Vec<Arc<StoredOperation>>,
    accounts: Vec<(Account, BTreeMap<GrantId, Grant>, Vec<Hold>)>,
    task: Option<Task>,
    next_due: Option<Timestamp>,
    subjects: BTreeMap<(TenantId, Who), SubjectRow>,
    members: BTreeMap<MemberKey, Member>,
    licences: BTreeMap<LicenceKey, LicenceFacts>,
    licence_users: BTreeMap<(LicenceKey, UserId), u64>,
    consumer: Option<EventCursor>,
    risk: BTreeMap<RiskKey, RiskFacts>,
}

fn dump(desk: &Desk, task: &TaskId) -> Dump {
    let Answer::Accounts(keys) = desk.ask(&Query::Accounts(None, 100)) else { panic!("no accounts") };
    let Answer::Task(task) = desk.ask(&Query::Task(tenant(), task.clone())) else { panic!("no answer") };
    let Answer::Consumer(consumer) = desk.ask(&Query::Consumer(mailer())) else { panic!("no answer") };
    let Answer::NextDue(next_due) = desk.ask(&Query::NextDue) else { panic!("no answer") };
    let image = |key: AccountKey| {
        let Answer::AccountImage(Some(image)) = desk.ask(&Query::AccountImage(key)) else { panic!("no image") };
        let mut holds = image.open_holds;
        holds.sort_by_key(|hold| hold.id);
        (image.facts.account, image.facts.grants.into_iter().collect(), holds)
    };
    let templates = vec![TemplateKey::new(tenant(), id("poster"), Some(id("u")))];
    let (subjects, members, risk) = (vec![(tenant(), Who::Tenant)], vec![member_key("u")], vec![risk_key("u")]);
    let needs = Needs { subjects, members, templates, risk, ..Needs::default() };
    let facts = desk.facts(needs);
    let (subjects, members) = (facts.subjects.into_iter().collect(), facts.members.into_iter().collect());
    let (licences, licence_users) = (facts.licences.into_iter().collect(), facts.licence_users.into_iter().collect());
    Dump {
        subjects,
        members,
        licences,
        licence_users,
        risk: facts.risk.into_iter().collect(),
        feed: desk.feed(None, 0, 100),
        accounts: keys.into_iter().map(image).collect(),
        task,
        next_due,
        consumer,
    }
}

fn mailer() -> Consumer {
    Consumer::of_tenant(tenant(), id("mailer"))
}

fn book_some(desk: &Desk, task: &TaskId) {
    for key in [account("a"), account_of("t2", "b")] {
        let grant = desk.book(&key, OperationKind::Grant, |draft| draft.grant(units(9), Some(second(900)))).new_grants[0].id;
        desk.hold(&key, grant, 2, 60, Some(task));
        desk.charge(&key, grant, 3, Some(task));
    }
    let who = |draft: Draft| {
        draft.with(|changes| {
            changes.subjects.push((Who::Tenant, blocked(second(0))));
            changes.members.push((member_key("u"), member(second(0))));
            let rows = &mut changes.licences;
            rows.licences.insert(licence_key("l"), licence("poster", Some("u"), second(0)));
            rows.users.insert((licence_key("l"), id("u")), 3);
            let reserved = LicenceUse { user_id: Some(id("u")), made_at: second(-2), expires_at: second(-1) };
            let hold_id = HoldId::derive(changes.op_id(), 7);
            changes.licences.uses.insert(hold_id, (licence_key("l"), Some(reserved)));
            changes.risk.counts.insert(risk_key("u"), risk_count(second(0)));
            let reserved = RiskUse { used: units(1), count: 1, made_at: second(-2), expires_at: second(-1) };
            changes.risk.uses.insert(hold_id, (risk_key("u"), Some(reserved)));
        })
    };
    desk.book(&account("a"), OperationKind::Block, who);
    desk.store.acknowledge(&mailer(), EventCursor::end_of(3)).unwrap();
}

pub fn everything_is_as_it_was(subject: &Subject) {
    let task: TaskId = id("job");
    let desk = Desk::new(subject);
    book_some(&desk, &task);
    let before = dump(&desk, &task);
    assert_eq!((before.feed.len(), before.accounts.len()), (7, 2));
    assert_eq!((before.subjects.len(), before.members.len()), (1, 1));
    assert_eq!(before.consumer, Some(EventCursor::end_of(3)));
    assert_eq!((before.licences[&licence_key("l")].due.len(), before.licence_users.len()), (1, 1));
    assert_eq!(before.risk[&risk_key("u")].due.len(), 1);
    drop(desk);
    subject.close();
    assert_eq!(dump(&Desk::new(subject), &task), before);
}

pub fn positions_go_on_and_keys_stay_taken(subject: &Subject) {
    let key = account("a");
    let desk = Desk::new(subject);
    desk.book(&key, OperationKind::Grant, |draft| draft.key("k").grant(units(1), None));
    let last = desk.feed(None, 0, 10).last().unwrap().position;
    drop(desk);
    subject.close();
    let desk = Desk::new(subject);
    let again = desk.try_run(needs_account(&key), |facts| {
        vec![Draft::of(&facts, &key, OperationKind::Grant).key("k").grant(units(1), None).done()]
    });
    assert_eq!(again.unwrap_err().kind, StoreErrorKind::Conflict);
    desk.grant(&key, 1);
    let after = desk.feed(None, last, 10);
    assert_eq!(after.len(), 1);
    assert!(after[0].position > last);
}
