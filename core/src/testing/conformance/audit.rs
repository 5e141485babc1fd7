//! Law 10: records of the audit, and the order in which they and the operations were written.

use std::sync::Arc;

use super::Subject;
use super::desk::{Desk, account, id, second, tenant, units};
use crate::audit::{AuditFilter, AuditKind, AuditOutcome, AuditPage, AuditPlace, AuditQuery, AuditRecord, Audited, Quote};
use crate::facts::Needs;
use crate::id::{AuditId, OpId, TenantId};
use crate::ledger::{Alert, AlertRule, ChainHash, OperationKind, PageOrder};
use crate::owner::{AccountKey, Subject as Who};
use crate::store::{Answer, Query, StoreErrorKind};
use crate::testing::scripted::next_op_id;

/// A record with something of its own in every column.
pub(super) fn full(kind: AuditKind, audit_id: AuditId) -> AuditRecord {
    AuditRecord {
        audit_id,
        tenant_id: tenant(),
        kind,
        subject: Some(Who::User(id("a"))),
        template_id: Some(id("poster")),
        actor: Some(id("alice")),
        request_id: Some(id("req-1")),
        policy_tag: Some(id("strict")),
        outcome: AuditOutcome::Refused,
        reason_code: Some("revoked".into()),
        created_at: second(3),
        op_id: Some(OpId::from_uuid(audit_id.uuid())),
        count: 4,
        details: r#"{"estimate":{"currency":"credit","app_id":"x","scene":null,"selected_cost":"2.5","calculation_basis":"p1"}}"#
            .into(),
        hash: ChainHash::default(),
    }
    .sealed()
}

/// A record with all that can be absent absent.
fn bare(audit_id: AuditId) -> AuditRecord {
    AuditRecord {
        subject: None,
        template_id: None,
        actor: None,
        request_id: None,
        policy_tag: None,
        outcome: AuditOutcome::Allowed,
        reason_code: None,
        op_id: None,
        count: 1,
        details: "{}".into(),
        ..full(AuditKind::Estimate, audit_id)
    }
    .sealed()
}

pub(super) fn name() -> AuditId {
    AuditId::derive(next_op_id(second(0), &tenant()), 0)
}

fn record(desk: &Desk, records: &[AuditRecord]) {
    while let Err(error) = desk.store.record(records) {
        assert!(error.is_transient(), "{error:?}");
    }
}

fn page(desk: &Desk, query: AuditQuery) -> AuditPage {
    match desk.ask(&Query::Audit(query)) {
        Answer::Audit(page) => page,
        other => panic!("the audit is answered by {other:?}"),
    }
}

fn named(desk: &Desk, tenant_id: TenantId, ids: &[AuditId]) -> Vec<Arc<AuditRecord>> {
    match desk.ask(&Query::AuditRecords(tenant_id, ids.to_vec())) {
        Answer::AuditRecords(found) => found,
        other => panic!("records are answered by {other:?}"),
    }
}

pub fn a_record_reads_as_it_was_written(subject: &Subject) {
    let desk = Desk::new(subject);
    let written = [full(AuditKind::LicenceCheck, name()), bare(name())];
    record(&desk, &written);
    let ids = [written[0].audit_id, name(), written[1].audit_id];
    let found: Vec<AuditRecord> = named(&desk, tenant(), &ids).iter().map(|found| AuditRecord::clone(found)).collect();
    assert_eq!(found, written);
    assert!(found.iter().all(|found| found.hash == found.content_hash()));
    assert!(named(&desk, id("t2"), &ids).is_empty(), "another tenant's");
    assert!(page(&desk, AuditQuery::new(id("t2"))).audited.is_empty(), "another tenant's");
}

pub fn a_record_with_a_taken_name_adds_to_a_refusal_alone(subject: &Subject) {
    let desk = Desk::new(subject);
    let (check, refusal) = (full(AuditKind::LicenceCheck, name()), full(AuditKind::Refusal, name()));
    record(&desk, &[check.clone(), refusal.clone()]);
    let again = |record: &AuditRecord| AuditRecord { actor: Some(id("bob")), count: 3, ..record.clone() };
    record(&desk, &[again(&check), again(&refusal), again(&refusal)]);
    let found = named(&desk, tenant(), &[check.audit_id, refusal.audit_id]);
    assert_eq!((&*found[0], found[1].count), (&check, 10));
    assert_eq!(AuditRecord { count: 4, ..AuditRecord::clone(&found[1]) }, refusal);
    // The same name in another tenant is another record.
    let other = AuditRecord { tenant_id: id("t2"), ..refusal.clone() }.sealed();
    record(&desk, std::slice::from_ref(&other));
    assert_eq!(*named(&desk, id("t2"), &[other.audit_id])[0], other);
}

pub fn a_batch_with_a_taken_name_leaves_nothing(subject: &Subject) {
    let desk = Desk::new(subject);
    let refusal = full(AuditKind::Refusal, name());
    let with = |refusal: &AuditRecord| {
        let refusal = refusal.clone();
        move |draft: crate::testing::scripted::Draft| {
            let refusal = refusal.clone();
            draft.grant(units(1), None).with(move |changes| changes.audit.push(refusal))
        }
    };
    desk.book(&account("a"), OperationKind::Grant, with(&refusal));
    assert_eq!(*named(&desk, tenant(), &[refusal.audit_id])[0], refusal);
    let (key, again) = (account("a"), with(&refusal));
    let failed = desk.try_run(super::desk::needs_account(&key), |facts| {
        vec![again(crate::testing::scripted::Draft::of(&facts, &key, OperationKind::Grant)).done()]
    });
    assert_eq!(failed.unwrap_err().kind, StoreErrorKind::Conflict);
    assert_eq!(desk.feed(None, 0, 10).len(), 1);
    assert_eq!(named(&desk, tenant(), &[refusal.audit_id])[0].count, 4);
}

pub fn a_quote_comes_as_it_was_written(subject: &Subject) {
    let desk = Desk::new(subject);
    let (quote, estimate) = (full(AuditKind::Quote, name()), full(AuditKind::Estimate, name()));
    record(&desk, &[quote.clone(), estimate.clone()]);
    let ids = [quote.audit_id, estimate.audit_id, name()];
    let needs = |tenant_id: TenantId| Needs {
        quotes: ids.iter().map(|audit_id| (tenant_id.clone(), *audit_id)).collect(),
        ..Needs::default()
    };
    let facts = desk.facts(needs(tenant()));
    let found = Quote {
        account: Arc::new(AccountKey::new(tenant(), id("user:a"), id("credit"))),
        app_id: Some(id("x")),
        template_id: Some(id("poster")),
        scene: None,
        selected_cost: id("2.5"),
        price_basis: id("p1"),
        policy_tag: Some(id("strict")),
        created_at: second(3),
    };
    assert_eq!(facts.quotes.into_iter().collect::<Vec<_>>(), [(quote.audit_id, found)]);
    assert_eq!(facts.now, second(0), "a quote is no anchor");
    assert!(desk.facts(needs(id("t2"))).quotes.is_empty(), "another tenant's");
}

pub fn records_and_operations_come_in_the_order_of_writing(subject: &Subject) {
    let desk = Desk::new(subject);
    let records: Vec<AuditRecord> = (0..7).map(|_| bare(name())).collect();
    let mut written = Vec::new();
    let mut put = |record: &AuditRecord| {
        super::audit::record(&desk, std::slice::from_ref(record));
        written.push(record.audit_id);
    };
    put(&records[0]);
    put(&records[1]);
    let mut names = Vec::new();
    for (turn, record) in records[2..].iter().enumerate() {
        let booked = desk.book(&account("a"), OperationKind::Grant, |draft| draft.grant(units(1), None));
        names.push(booked.operation().audit_id());
        if turn % 2 == 0 {
            super::audit::record(&desk, std::slice::from_ref(record));
            names.push(record.audit_id);
        }
    }
    written.extend(names);
    for order in [PageOrder::Asc, PageOrder::Desc] {
        for limit in [1, 2, 3, 100] {
            let (mut found, mut cursor) = (Vec::new(), None);
            loop {
                let page = page(&desk, AuditQuery { order, limit, cursor, ..AuditQuery::new(tenant()) });
                assert!(page.audited.len() <= limit);
                found.extend(page.audited.iter().map(|(_, audited)| audited.audit_id()));
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            if order == PageOrder::Desc {
                found.reverse();
            }
            assert_eq!(found, written, "{order:?} {limit}");
        }
    }
    // What is written later stands behind every place.
    let all = page(&desk, AuditQuery { order: PageOrder::Asc, ..AuditQuery::new(tenant()) });
    let last: AuditPlace = all.audited.last().unwrap().0;
    super::audit::record(&desk, &[records[3].clone()]);
    let more = page(&desk, AuditQuery { order: PageOrder::Asc, cursor: Some(last), ..AuditQuery::new(tenant()) });
    assert_eq!(more.audited.iter().map(|(_, found)| found.audit_id()).collect::<Vec<_>>(), [records[3].audit_id]);
}

pub fn all_records_and_all_alerts_are_found(subject: &Subject) {
    let desk = Desk::new(subject);
    let other = AuditRecord { tenant_id: id("t2"), ..bare(name()) }.sealed();
    let written = [bare(name()), other, bare(name())];
    record(&desk, &written);
    let after = |after: u64, limit: usize| match desk.ask(&Query::AuditAfter { after, limit }) {
        Answer::AuditAfter(found) => found,
        other => panic!("records are answered by {other:?}"),
    };
    let (mut found, mut last) = (Vec::new(), 0);
    while let Some((row, record)) = after(last, 1).pop() {
        found.push(AuditRecord::clone(&record));
        last = row;
    }
    assert_eq!(found, written);
    assert_eq!(after(0, 2).len(), 2);
    let told = Alert { rule: AlertRule::Refusal, details: Default::default() };
    for alerts in [vec![], vec![told.clone()], vec![], vec![told]] {
        desk.book(&account("a"), OperationKind::Grant, |draft| {
            let alerts = alerts.clone();
            draft.grant(units(1), None).with(move |changes| changes.stored_mut().operation.alerts = alerts)
        });
    }
    let alerts = |after: u64, limit: usize| match desk.ask(&Query::Alerts { after, limit }) {
        Answer::Alerts(found) => found.iter().map(|stored| stored.position).collect::<Vec<_>>(),
        other => panic!("alerts are answered by {other:?}"),
    };
    let positions: Vec<u64> = desk.feed(None, 0, 10).iter().map(|stored| stored.position).collect();
    assert_eq!(alerts(0, 10), [positions[1], positions[3]]);
    assert_eq!((alerts(0, 1), alerts(positions[1], 10)), (vec![positions[1]], vec![positions[3]]));
}

pub fn every_condition_of_a_question_about_the_audit_holds(subject: &Subject) {
    let desk = Desk::new(subject);
    let (one, other) = (full(AuditKind::Refusal, name()), bare(name()));
    record(&desk, &[one.clone(), other.clone()]);
    let booked = desk.at(9).book(&account("a"), OperationKind::Grant, |draft| {
        draft.grant(units(1), None).with(|changes| changes.stored_mut().operation.actor = Some(id("bob")))
    });
    let operation = booked.operation().audit_id();
    let found = |filter: AuditFilter| {
        let asked = AuditQuery { filter, order: PageOrder::Asc, ..AuditQuery::new(tenant()) };
        page(&desk, asked).audited.iter().map(|(_, audited)| audited.audit_id()).collect::<Vec<_>>()
    };
    let filter = AuditFilter::default;
    let (one, other) = (one.audit_id, other.audit_id);
    let cases = [
        (filter(), vec![one, other, operation]),
        (AuditFilter { audit_id: Some(one), ..filter() }, vec![one]),
        (AuditFilter { audit_id: Some(operation), ..filter() }, vec![operation]),
        (AuditFilter { audit_id: Some(name()), ..filter() }, vec![]),
        (AuditFilter { audit_id: Some(one), outcome: Some(AuditOutcome::Allowed), ..filter() }, vec![]),
        (AuditFilter { actor: Some(id("alice")), ..filter() }, vec![one]),
        (AuditFilter { actor: Some(id("bob")), ..filter() }, vec![operation]),
        (AuditFilter { outcome: Some(AuditOutcome::Refused), ..filter() }, vec![one]),
        (AuditFilter { outcome: Some(AuditOutcome::Allowed), ..filter() }, vec![other, operation]),
        (AuditFilter { kind: Some("estimate".into()), ..filter() }, vec![other]),
        (AuditFilter { kind: Some("grant".into()), ..filter() }, vec![operation]),
        (AuditFilter { subject: Some(Who::User(id("a"))), ..filter() }, vec![one, operation]),
        (AuditFilter { from: Some(second(4)), ..filter() }, vec![operation]),
        (AuditFilter { to: Some(second(9)), ..filter() }, vec![one, other]),
    ];
    for (filter, expected) in cases {
        assert_eq!(found(filter.clone()), expected, "{filter:?}");
    }
    // A filter passes over many.
    let many: Vec<AuditRecord> = (0..600).map(|_| bare(name())).collect();
    record(&desk, &many);
    let asked = AuditQuery { filter: AuditFilter { actor: Some(id("bob")), ..filter() }, limit: 1, ..AuditQuery::new(tenant()) };
    let page = page(&desk, asked);
    assert!(matches!(&page.audited[..], [(_, Audited::Operation(found))] if found.audit_id() == operation));
    assert_eq!(page.next_cursor, None);
}
