//! Law 7: nothing crosses the border of a tenant, and what is not found is absent.

use super::Subject;
use super::audit::{full, name};
use super::desk::{
    Desk, account, account_of, blocked, id, licence, licence_key, member, member_key, needs_account, risk_count, risk_key, second,
    tenant, units,
};
use crate::audit::AuditKind;
use crate::facts::{Facts, Needs};
use crate::id::{AuditId, GrantId, HoldId, LedgerId, RuleId, TaskId, TenantId};
use crate::ledger::{EntryQuery, EntryScope, OperationKind, PageOrder};
use crate::licence::{LicenceKey, TemplateKey};
use crate::owner::{AccountKey, MemberKey, Owner, Subject as Who};
use crate::risk::RiskKey;
use crate::store::{Answer, Query};
use crate::testing::scripted::{Draft, next_op_id};

/// Something of every kind in tenant `t1`.
struct Own {
    grant: GrantId,
    hold: HoldId,
    charge: LedgerId,
    task: TaskId,
    rule: RuleId,
    quote: AuditId,
}

fn book_everything(desk: &Desk) -> Own {
    let (key, task) = (account("a"), id("job"));
    let of_tenant = |draft: Draft| draft.with(|changes| changes.subjects.push((Who::Tenant, blocked(second(0)))));
    let of_user = |draft: Draft| draft.with(|changes| changes.subjects.push((Who::User(id("a")), blocked(second(0)))));
    let of_member = |draft: Draft| draft.with(|changes| changes.members.push((member_key("a"), member(second(0)))));
    let of_licence = |draft: Draft| {
        draft.with(|changes| {
            changes.licences.licences.insert(licence_key("l"), licence("a", Some("u"), second(0)));
            changes.licences.users.insert((licence_key("l"), id("u")), 3);
            changes.risk.counts.insert(risk_key("a"), risk_count(second(0)));
        })
    };
    let everything = |draft: Draft| of_licence(of_member(of_user(of_tenant(draft.key("k").grant(units(10), None)))));
    let booked = desk.book(&key, OperationKind::Grant, everything);
    let grant = booked.new_grants[0].id;
    let hold = desk.hold(&key, grant, 1, 60, Some(&task));
    let rule = desk.book(&key, OperationKind::Recur, |draft| draft.rule(second(60))).new_rules[0].id;
    let quote = full(AuditKind::Quote, name());
    desk.store.record(std::slice::from_ref(&quote)).unwrap();
    Own { quote: quote.audit_id, grant, hold, charge: desk.charge(&key, grant, 2, Some(&task)), task, rule }
}

/// Every handle, as another tenant would name it.
fn all_needs(tenant_id: &TenantId, own: &Own) -> Needs {
    Needs {
        keys: vec![(tenant_id.clone(), id("k"))],
        accounts: vec![AccountKey { tenant_id: tenant_id.clone(), ..account("a") }],
        tasks: vec![(tenant_id.clone(), own.task.clone())],
        task_holds: vec![(tenant_id.clone(), own.task.clone())],
        holds: vec![(tenant_id.clone(), own.hold)],
        grants: vec![(tenant_id.clone(), own.grant)],
        charges: vec![(tenant_id.clone(), own.charge)],
        task_charges: vec![(AccountKey { tenant_id: tenant_id.clone(), ..account("a") }, own.task.clone())],
        rules: vec![(tenant_id.clone(), own.rule)],
        texts: vec![(AccountKey { tenant_id: tenant_id.clone(), ..account("a") }, 0)],
        subjects: vec![(tenant_id.clone(), Who::Tenant), (tenant_id.clone(), Who::User(id("a")))],
        members: vec![MemberKey::new(tenant_id.clone(), id("o"), id("a"))],
        licences: vec![LicenceKey::new(tenant_id.clone(), id("l"))],
        templates: vec![TemplateKey::new(tenant_id.clone(), id("a"), Some(id("u")))],
        risk: vec![RiskKey { tenant_id: tenant_id.clone(), ..risk_key("a") }],
        quotes: vec![(tenant_id.clone(), own.quote)],
    }
}

fn assert_nothing(facts: &Facts) {
    assert!(facts.replays.is_empty(), "{:?}", facts.replays);
    assert!(facts.accounts.is_empty(), "{:?}", facts.accounts);
    assert!(facts.tasks.is_empty(), "{:?}", facts.tasks);
    assert!(facts.holds.is_empty(), "{:?}", facts.holds);
    assert!(facts.grants.is_empty(), "{:?}", facts.grants);
    assert!(facts.rules.is_empty(), "{:?}", facts.rules);
    assert!(facts.charges.is_empty(), "{:?}", facts.charges);
    assert!(facts.task_charges.values().all(Vec::is_empty), "{:?}", facts.task_charges);
    assert!(facts.texts.is_empty(), "{:?}", facts.texts);
    assert!(facts.subjects.is_empty(), "{:?}", facts.subjects);
    assert!(facts.members.is_empty(), "{:?}", facts.members);
    assert!(facts.licences.is_empty(), "{:?}", facts.licences);
    assert!(facts.template_licences.values().all(Vec::is_empty), "{:?}", facts.template_licences);
    assert!(facts.licence_users.is_empty(), "{:?}", facts.licence_users);
    assert!(facts.risk.is_empty(), "{:?}", facts.risk);
    assert!(facts.quotes.is_empty(), "{:?}", facts.quotes);
}

pub fn a_foreign_handle_loads_nothing(subject: &Subject) {
    let desk = Desk::new(subject);
    let own = book_everything(&desk);
    let found = desk.facts(all_needs(&tenant(), &own));
    assert_eq!((found.replays.len(), found.accounts.len(), found.tasks.len()), (1, 1, 1));
    assert_eq!((found.holds.len(), found.charges.len(), found.task_charges.len(), found.rules.len()), (1, 1, 1, 1));
    assert_eq!((found.texts.len(), found.subjects.len(), found.members.len()), (1, 2, 1));
    assert_eq!((found.licences.len(), found.template_licences.len(), found.licence_users.len()), (1, 1, 1));
    assert_eq!(found.risk.len(), 1);
    assert_eq!(found.quotes.len(), 1);
    assert_nothing(&desk.facts(all_needs(&id("t2"), &own)));
}

pub fn a_foreign_question_finds_nothing(subject: &Subject) {
    let desk = Desk::new(subject);
    let own = book_everything(&desk);
    let foreign: TenantId = id("t2");
    let op_id = desk.feed(None, 0, 1)[0].operation.op_id;
    let account = account_of("t2", "a");
    assert!(matches!(desk.ask(&Query::Account(account.clone(), second(0))), Answer::Account(None)));
    assert!(matches!(desk.ask(&Query::AccountImage(account.clone())), Answer::AccountImage(None)));
    assert!(matches!(desk.ask(&Query::Hold(foreign.clone(), own.hold)), Answer::Hold(None)));
    assert!(matches!(desk.ask(&Query::Grant(foreign.clone(), own.grant)), Answer::Grant(None)));
    assert!(matches!(desk.ask(&Query::Rule(foreign.clone(), own.rule)), Answer::Rule(None)));
    assert!(matches!(desk.ask(&Query::Task(foreign.clone(), own.task.clone())), Answer::Task(None)));
    assert!(desk.task_operations(&foreign, &own.task, PageOrder::Asc, 0, 10).is_empty());
    assert!(matches!(desk.ask(&Query::OperationByKey(foreign.clone(), id("k"))), Answer::OperationByKey(None)));
    assert!(matches!(desk.ask(&Query::Operations(foreign.clone(), vec![op_id])), Answer::Operations(found) if found.is_empty()));
    assert!(matches!(desk.ask(&Query::EntriesAt(account.clone(), second(0))), Answer::EntriesAt(None)));
    let scopes = [EntryScope::Account(account), EntryScope::Task(foreign.clone(), own.task), EntryScope::Tenant(foreign.clone())];
    for scope in scopes {
        assert!(desk.entries(EntryQuery::new(scope)).entries.is_empty());
    }
    let licences = Query::Licences { tenant_id: foreign.clone(), template_id: None, after: None, limit: 10 };
    assert!(matches!(desk.ask(&licences), Answer::Licences(found) if found.is_empty()));
    let members = Query::Members { tenant_id: foreign.clone(), organization_id: id("o"), after: None, limit: 10 };
    assert!(matches!(desk.ask(&members), Answer::Members(found) if found.is_empty()));
    assert!(desk.feed(Some(foreign), 0, 10).is_empty());
}

pub fn an_unknown_handle_loads_nothing(subject: &Subject) {
    let desk = Desk::new(subject);
    book_everything(&desk);
    let unknown = next_op_id(second(0), &tenant());
    let needs = Needs {
        keys: vec![(tenant(), id("other"))],
        accounts: vec![account("other")],
        tasks: vec![(tenant(), id("other"))],
        task_holds: vec![(tenant(), id("other"))],
        holds: vec![(tenant(), HoldId::derive(unknown, 1))],
        grants: vec![(tenant(), GrantId::derive(unknown, 1))],
        charges: vec![(tenant(), LedgerId::derive(unknown, 1))],
        task_charges: vec![(account("other"), id("job"))],
        rules: vec![(tenant(), RuleId::derive(unknown, 1))],
        texts: vec![(account("other"), 0)],
        subjects: vec![(tenant(), Who::User(id("other")))],
        members: vec![MemberKey::new(tenant(), id("o"), id("other")), MemberKey::new(tenant(), id("other"), id("a"))],
        licences: vec![licence_key("other")],
        templates: vec![
            TemplateKey::new(tenant(), id("other"), Some(id("u"))),
            TemplateKey::new(tenant(), id("a"), Some(id("other"))),
            TemplateKey::new(tenant(), id("a"), None),
        ],
        risk: vec![
            risk_key("other"),
            RiskKey::of_work(&account("a"), None, None),
            RiskKey::of_work(&account("a"), None, Some(&id("other"))),
            RiskKey::of_work(&AccountKey { unit: id("UC"), ..account("a") }, None, Some(&id("app"))),
            RiskKey::of_requests(&account("a"), None),
        ],
        quotes: vec![(tenant(), AuditId::derive(unknown, 0))],
    };
    assert_nothing(&desk.facts(needs));
}

pub fn accounts_of_a_tenant_do_not_meet(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = |owner: Owner, unit: &str| AccountKey::new(tenant(), owner, id(unit));
    let keys = [
        key(Owner::Pool, "credit"),
        key(id("user:a"), "credit"),
        key(id("user:a"), "UC"),
        key(id("user:A"), "credit"),
        key(id("organization:a"), "credit"),
    ];
    for (amount, key) in (1..).zip(&keys) {
        desk.grant(key, amount);
    }
    for (amount, key) in (1..).zip(&keys) {
        assert_eq!(desk.account(key, second(0)).unwrap().account.available, units(amount), "{key}");
        assert_eq!(desk.facts(needs_account(key)).accounts[key].account.available, units(amount), "{key}");
        assert_eq!(desk.entries(EntryQuery::new(EntryScope::Account(key.clone()))).entries.len(), 1, "{key}");
    }
}
