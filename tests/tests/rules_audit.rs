//! The audit: what is asked is kept a moment later, what is refused before it is answered, and compliance is told once a minute.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use drawdown::audit::{AuditFilter, AuditKind, AuditOutcome, AuditPage, AuditQuery, AuditRecord, Audited};
use drawdown::event::{Consumer, EventCursor};
use drawdown::ledger::{AlertRule, OperationKind, PageOrder, StoredOperation};
use drawdown::pricing::{EstimateRequest, PriceBook, PriceBooks};
use drawdown::store::memory::MemoryStore;
use drawdown::store::sqlite::SqliteStore;
use drawdown::store::{Answer, Batch, Query, Store, StoreError, StoreErrorKind};
use drawdown::testing::fault::{Fault, FaultStore, When};
use drawdown::{
    AuditId, Block, BlockTarget, Caller, Charge, Context, Denial, Engine, GrantCredit, GrantType, ManualClock, OpId, Owner,
    PlaceHold, Policies, ReasonCode, SetLicence, TemplateKey, TenantId, TenantPolicy, Unblock,
};

fn id<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn user() -> Owner {
    id("user:u1")
}

fn acme() -> Context {
    Context::tenant("acme").unwrap()
}

/// An engine that wants licences, and its clock.
struct Desk {
    engine: Engine,
    clock: Arc<ManualClock>,
    store: Arc<dyn Store>,
}

impl Desk {
    fn over(store: Arc<dyn Store>) -> Desk {
        let clock = Arc::new(ManualClock::at(id("2026-01-01T00:00:00Z")));
        Desk { engine: Desk::engine(&store, &clock), clock, store }
    }

    fn engine(store: &Arc<dyn Store>, clock: &Arc<ManualClock>) -> Engine {
        let policy = TenantPolicy { licence_required: true, ..TenantPolicy::default() };
        let yaml = "{version: 1, effective_at: 2025-01-01T00:00:00Z, unit: credit, templates: {poster: {base: 10, policy_tag: t}}, scenes: {film: 10}}";
        let prices = PriceBooks::new([PriceBook::from_yaml(yaml).unwrap()]).unwrap();
        let builder = Engine::builder().store(Arc::clone(store)).clock(clock.clone()).policies(Policies::new(policy));
        builder.prices(prices).build().unwrap()
    }

    /// The same books, by another process.
    fn beside(&self) -> Desk {
        let engine = Desk::engine(&self.store, &self.clock);
        Desk { engine, clock: Arc::clone(&self.clock), store: Arc::clone(&self.store) }
    }

    fn grant(&self, amount: &str) {
        self.engine.execute(acme().request(GrantCredit::new(user(), GrantType::Purchased, id(amount)))).unwrap();
    }

    fn refused(&self, charge: Charge) -> Denial {
        self.engine.execute(acme().request(charge)).unwrap_err().denial().unwrap().clone()
    }

    fn page(&self, filter: AuditFilter) -> AuditPage {
        self.engine.audit_records(&AuditQuery { filter, order: PageOrder::Asc, ..AuditQuery::new(id("acme")) }).unwrap()
    }

    /// The records of a kind, in the order of writing.
    fn records(&self, kind: AuditKind) -> Vec<Arc<AuditRecord>> {
        let page = self.page(AuditFilter { kind: Some(kind.as_str().into()), ..AuditFilter::default() });
        let record = |audited: Audited| match audited {
            Audited::Record(record) => record,
            Audited::Operation(operation) => panic!("{operation:?}"),
        };
        page.audited.into_iter().map(|(_, audited)| record(audited)).collect()
    }

    /// Refusals once the trailing writer has written, with how often.
    fn refusals(&self) -> Vec<(AuditId, u64)> {
        self.engine.flush_audit().unwrap();
        self.records(AuditKind::Refusal).iter().map(|record| (record.audit_id, record.count)).collect()
    }

    /// The operations that tell compliance.
    fn alerts(&self) -> Vec<Arc<StoredOperation>> {
        let feed = self.engine.feed(None, 0, 1_000).unwrap();
        feed.into_iter().filter(|stored| !stored.operation.alerts.is_empty()).collect()
    }

    fn told(&self) -> Vec<AuditId> {
        self.alerts().iter().map(|stored| id(stored.operation.alerts[0].details["audit_id"].as_str().unwrap())).collect()
    }
}

fn charge(template: &str) -> Charge {
    Charge { template_id: Some(id(template)), ..Charge::new(user(), id("1")) }
}

/// Runs a test over each store.
fn each(test: impl Fn(Desk)) {
    let folder = tempfile::tempdir().unwrap();
    test(Desk::over(Arc::new(MemoryStore::new())));
    test(Desk::over(Arc::new(SqliteStore::open(folder.path().join("books.db")).unwrap())));
}

#[test]
fn the_first_refusal_of_a_minute_is_told_and_later_ones_are_counted() {
    each(|desk| {
        desk.grant("10");
        let before = desk.engine.feed(None, 0, 10).unwrap().len();
        let first = desk.refused(charge("poster"));
        let audit_id = first.audit_id().unwrap();
        // It is there before anything was flushed, for everybody, with the operation that tells compliance.
        assert_eq!(desk.beside().records(AuditKind::Refusal).len(), 1);
        let alerts = desk.alerts();
        assert_eq!((alerts.len(), desk.engine.feed(None, 0, 10).unwrap().len()), (1, before + 1));
        let operation = &alerts[0].operation;
        assert_eq!((operation.kind, operation.alerts[0].rule), (OperationKind::Alert, AlertRule::Refusal));
        assert_eq!(operation.subject.as_ref().unwrap().to_string(), "user:u1");
        assert_eq!(operation.alerts[0].details["reason_code"], "authorization_missing");
        assert_eq!(operation.alerts[0].details["template_id"], "poster");
        let record = &desk.records(AuditKind::Refusal)[0];
        assert_eq!((record.audit_id, record.op_id, record.count), (audit_id, Some(operation.op_id), 1));
        assert_eq!(record.hash, record.content_hash());
        for _ in 0..3 {
            assert_eq!(desk.refused(charge("poster")).audit_id(), Some(audit_id));
        }
        desk.clock.set(id("2026-01-01T00:00:59.999999Z"));
        assert_eq!(desk.refused(charge("poster")).audit_id(), Some(audit_id));
        assert_eq!((desk.refusals(), desk.told()), (vec![(audit_id, 5)], vec![audit_id]));
        // The next minute.
        desk.clock.set(id("2026-01-01T00:01:00Z"));
        let next = desk.refused(charge("poster")).audit_id().unwrap();
        assert_ne!(next, audit_id);
        assert_eq!((desk.refusals(), desk.told()), (vec![(audit_id, 5), (next, 1)], vec![audit_id, next]));
        // No anchor, key, entry, quota or cap was touched.
        let account = acme().account(user(), "credit").unwrap();
        let balance = desk.engine.balance(&account).unwrap();
        assert_eq!((balance.version, balance.available), (1, id("10")));
        assert!(desk.engine.verify().unwrap().is_clean());
    });
}

#[test]
fn each_tenant_subject_template_and_reason_is_told_for_itself() {
    each(|desk| {
        desk.engine.execute(Context::tenant("other").unwrap().request(SetLicence::new("l", "x", "ops").unwrap())).unwrap();
        let by = |user: &str| Charge { user_id: Some(id(user)), ..charge("poster") };
        let mut seen = vec![desk.refused(charge("poster")), desk.refused(charge("banner")), desk.refused(by("u2"))];
        seen.push(
            desk.engine
                .execute(acme().request(PlaceHold { template_id: Some(id("poster")), ..PlaceHold::new(user(), id("1")) }))
                .unwrap_err()
                .denial()
                .unwrap()
                .clone(),
        );
        desk.engine.execute(acme().request(Block::new(BlockTarget::User(id("u1")), "ops", "abuse").unwrap())).unwrap();
        seen.push(desk.refused(charge("poster")));
        desk.engine.execute(acme().request(Unblock::new(BlockTarget::User(id("u1")), "ops", "none").unwrap())).unwrap();
        // The same again adds nothing: who acts is whom it is about, the payer where nobody else does.
        assert_eq!(desk.refused(by("u1")).audit_id(), seen[0].audit_id());
        let names: Vec<&str> = seen.iter().map(Denial::name).collect();
        assert_eq!(
            names,
            ["authorization_missing", "authorization_missing", "authorization_missing", "authorization_not_found", "blocked"]
        );
        let told: Vec<AuditId> = seen.iter().map(|denial| denial.audit_id().unwrap()).collect();
        assert_eq!(desk.told(), told);
        let elsewhere = desk.engine.execute(Context::tenant("other").unwrap().request(charge("poster"))).unwrap_err();
        assert!(!told.contains(&elsewhere.denial().unwrap().audit_id().unwrap()));
        assert_eq!(desk.refusals().len(), told.len(), "another tenant's are not among them");
    });
}

#[test]
fn other_denials_leave_nothing() {
    each(|desk| {
        let stranger = Charge { user_id: Some(id("u1")), ..Charge::new(id("organization:o1"), id("1")) };
        let denials = [desk.refused(Charge::new(user(), id("1"))), desk.refused(stranger)];
        assert_eq!(denials.each_ref().map(Denial::name), ["insufficient_balance", "not_a_member"]);
        assert!(denials.iter().all(|denial| denial.audit_id().is_none()));
        assert!(desk.engine.feed(None, 0, 10).unwrap().is_empty());
        assert_eq!(desk.refusals(), []);
        assert!(desk.engine.preview(acme().request(charge("poster"))).is_err());
        assert_eq!((desk.refusals(), desk.told()), (vec![], vec![]), "what is only previewed");
    });
}

#[test]
fn a_refusal_disturbs_nobody_in_its_batch() {
    each(|desk| {
        desk.grant("10");
        let plain = || acme().request(Charge::new(user(), id("1"))).into_command();
        let refused = || acme().request(charge("poster")).into_command();
        let answers = desk.engine.execute_many(vec![plain(), refused(), plain(), refused(), plain()]);
        assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, false, true]);
        let audit_id = answers[1].as_ref().unwrap_err().denial().unwrap().audit_id().unwrap();
        assert_eq!((desk.refusals(), desk.told()), (vec![(audit_id, 2)], vec![audit_id]));
        let receipt = answers[4].as_ref().unwrap().to_json();
        assert_eq!(receipt["balance_after"], "7");
        // A group of which one is refused books nothing, and is told.
        desk.clock.advance_seconds(60);
        assert_eq!(desk.engine.execute_all(vec![plain(), refused()]).unwrap_err().index, Some(1));
        assert_eq!((desk.refusals().len(), desk.told().len()), (2, 2));
        assert_eq!(desk.engine.balance(&acme().account(user(), "credit").unwrap()).unwrap().available, id("7"));
    });
}

#[test]
fn a_remembered_denial_tells_it_itself() {
    each(|desk| {
        let command = || acme().key("k").unwrap().remember_denials().request(charge("poster"));
        let first = desk.engine.execute(command()).unwrap_err();
        let alerts = desk.alerts();
        assert_eq!((alerts.len(), alerts[0].operation.kind), (1, OperationKind::Charge));
        assert_eq!(desk.engine.feed(None, 0, 10).unwrap().len(), 1);
        // A repetition is the first answer again, and no other refusal.
        assert_eq!(desk.engine.execute(command()).unwrap_err(), first);
        assert_eq!(desk.refusals(), [(first.denial().unwrap().audit_id().unwrap(), 1)]);
        assert_eq!(desk.records(AuditKind::Refusal)[0].op_id, Some(alerts[0].operation.op_id));
    });
}

#[test]
fn several_engines_tell_it_once() {
    each(|desk| {
        let other = desk.beside();
        let audit_id = desk.refused(charge("poster")).audit_id().unwrap();
        assert_eq!(other.refused(charge("poster")).audit_id(), Some(audit_id));
        assert_eq!(other.refused(charge("poster")).audit_id(), Some(audit_id));
        other.engine.flush_audit().unwrap();
        assert_eq!((desk.refusals(), desk.told()), (vec![(audit_id, 3)], vec![audit_id]));
    });
}

#[test]
fn a_refused_check_is_kept_before_it_is_answered() {
    each(|desk| {
        let template = TemplateKey::new(id("acme"), id("poster"), Some(id("u1")));
        let caller = Caller { actor: Some(id("alice")), request_id: Some(id("r-1")), session_id: Some(id("s-1")) };
        let ask = || desk.engine.check_licence_for(&template, None, &caller).unwrap();
        let refused = ask();
        assert_eq!((refused.reason_code, desk.told()), (ReasonCode::MissingDocuments, vec![refused.audit_id.unwrap()]));
        assert_eq!(ask().audit_id, refused.audit_id);
        assert_eq!(desk.refusals(), [(refused.audit_id.unwrap(), 2)]);
        let record = &desk.records(AuditKind::Refusal)[0];
        assert_eq!((record.actor.as_ref(), record.request_id.as_ref()), (caller.actor.as_ref(), caller.request_id.as_ref()));
        assert!(record.details.contains(r#""session_id":"s-1""#), "{}", record.details);
        // Allowed ones follow a moment later, each for itself.
        let licence = SetLicence { policy_tag: Some(id("strict")), ..SetLicence::new("l", "poster", "ops").unwrap() };
        desk.engine.execute(acme().request(licence)).unwrap();
        let allowed = [ask(), ask()];
        desk.engine.flush_audit().unwrap();
        let records = desk.records(AuditKind::LicenceCheck);
        let ids: Vec<_> = records.iter().map(|record| Some(record.audit_id)).collect();
        assert_eq!(ids, [allowed[0].audit_id, allowed[1].audit_id]);
        let record = &records[0];
        assert_eq!((record.outcome, record.reason_code.as_deref()), (AuditOutcome::Allowed, Some("valid")));
        assert_eq!(record.policy_tag.as_ref().unwrap().as_str(), "strict");
        assert_eq!(record.hash, record.content_hash());
        assert_eq!(desk.told().len(), 1, "nothing is told of what is allowed");
    });
}

#[test]
fn estimates_and_quotes_are_kept() {
    each(|desk| {
        let account = acme().account(user(), "credit").unwrap();
        desk.engine.execute(acme().request(SetLicence::new("lic-1", "poster", "ops").unwrap())).unwrap();
        let request = EstimateRequest { template_id: Some(id("poster")), ..EstimateRequest::default() };
        let caller = Caller { actor: Some(id("alice")), ..Caller::default() };
        let quote = desk.engine.quote(&account, &request, &caller).unwrap();
        assert_eq!(desk.beside().records(AuditKind::Quote)[0].audit_id, quote.audit_id.unwrap(), "before anything is flushed");
        let estimate = desk.engine.estimate_for(&account, &request, &caller).unwrap();
        desk.engine.flush_audit().unwrap();
        let record = &desk.records(AuditKind::Estimate)[0];
        assert_eq!((Some(record.audit_id), record.actor.as_ref()), (estimate.audit_id, caller.actor.as_ref()));
        assert_eq!(record.policy_tag.as_ref().unwrap().as_str(), "t");
        let details: serde_json::Value = serde_json::from_str(&record.details).unwrap();
        assert_eq!((&details["estimate"]["selected_cost"], &details["request"]["template_id"]), (&"10".into(), &"poster".into()));
        assert!(desk.alerts().is_empty());
    });
}

#[test]
fn what_was_asked_is_written_without_being_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.db");
    let desk = Desk::over(Arc::new(SqliteStore::open(&path).unwrap()));
    let account = acme().account(user(), "credit").unwrap();
    let request = EstimateRequest { scene: Some(id("film")), ..EstimateRequest::default() };
    desk.engine.estimate(&account, &request).unwrap();
    let arrives = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        !desk.records(AuditKind::Estimate).is_empty()
    });
    assert!(arrives);
    // Closing writes what waits.
    desk.engine.estimate(&account, &request).unwrap();
    desk.engine.close();
    let again = Desk::over(Arc::new(SqliteStore::open(&path).unwrap()));
    assert_eq!(again.records(AuditKind::Estimate).len(), 2);
}

#[test]
fn a_staged_refusal_is_kept_whatever_becomes_of_the_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.db");
    let desk = Desk::over(Arc::new(SqliteStore::open(&path).unwrap()));
    let mut connection = drawdown::rusqlite::Connection::open(&path).unwrap();
    let transaction = connection.transaction().unwrap();
    let refused = desk.engine.join(&transaction).unwrap().stage(acme().request(charge("poster"))).unwrap_err();
    transaction.rollback().unwrap();
    let audit_id = refused.denial().unwrap().audit_id().unwrap();
    assert_eq!(desk.refusals(), [(audit_id, 1)]);
    assert_eq!(desk.told(), [audit_id]);
}

/// The denial and the refusal are two operations, of which the host commits, or does not, the first.
#[test]
fn a_staged_refusal_is_kept_beside_its_denial_that_is_remembered() {
    for commits in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("books.db");
        let desk = Desk::over(Arc::new(SqliteStore::open(&path).unwrap()));
        let mut connection = drawdown::rusqlite::Connection::open(&path).unwrap();
        let transaction = connection.transaction().unwrap();
        let remembering = acme().key("k").unwrap().remember_denials();
        let joined = desk.engine.join(&transaction).unwrap();
        let refused = joined.stage(remembering.request(charge("poster"))).unwrap_err();
        if commits {
            transaction.commit().unwrap()
        } else {
            transaction.rollback().unwrap()
        }
        desk.engine.flush_audit().unwrap();
        let audit_id = refused.denial().unwrap().audit_id().unwrap();
        assert_eq!((desk.refusals(), desk.told()), (vec![(audit_id, 1)], vec![audit_id]), "commits: {commits}");
        assert_eq!(desk.engine.feed(None, 0, 10).unwrap().len(), 1 + usize::from(commits));
        let again = desk.engine.execute(remembering.request(charge("poster"))).unwrap_err();
        assert_eq!(again.denial().unwrap().audit_id(), Some(audit_id));
        assert!(desk.engine.verify().unwrap().is_clean());
    }
}

/// Whatever fails while a refusal is written, it is answered once it is there, told once and counted once.
#[test]
fn a_fault_loses_no_refusal() {
    let faults = |at: &[(u64, When, StoreErrorKind)]| {
        let faults = at.iter().map(|(call, when, kind)| Fault { call: *call, when: *when, kind: kind.clone() });
        Arc::new(FaultStore::planned(Arc::new(MemoryStore::new()), faults))
    };
    for when in When::ALL {
        let desk = Desk::over(faults(&[(1, when, StoreErrorKind::Transient)]));
        let audit_id = desk.refused(charge("poster")).audit_id().unwrap();
        assert_eq!((desk.refusals(), desk.told()), (vec![(audit_id, 1)], vec![audit_id]), "{when:?}");
        // A check is written by itself, after its question.
        let desk = Desk::over(faults(&[(2, when, StoreErrorKind::Transient)]));
        let check = desk.engine.check_licence(&TemplateKey::new(id("acme"), id("poster"), None), None).unwrap();
        let audit_id = check.audit_id.unwrap();
        assert_eq!((desk.refusals(), desk.told()), (vec![(audit_id, 1)], vec![audit_id]), "{when:?}");
    }
    for when in [When::Before, When::Inside] {
        let desk = Desk::over(faults(&[(1, when, StoreErrorKind::Permanent)]));
        assert!(desk.engine.execute(acme().request(charge("poster"))).unwrap_err().denial().is_none());
        assert_eq!((desk.refusals(), desk.told()), (vec![], vec![]), "{when:?}");
    }
}

#[test]
fn a_quote_that_is_not_kept_is_not_answered() {
    let account = acme().account(user(), "credit").unwrap();
    let request = EstimateRequest { scene: Some(id("film")), ..EstimateRequest::default() };
    let quote = |when, kind| {
        // The first call reads the account.
        let store = FaultStore::planned(Arc::new(MemoryStore::new()), [Fault { call: 2, when, kind }]);
        let desk = Desk::over(Arc::new(store));
        let answer = desk.engine.quote(&account, &request, &Caller::default());
        (answer, desk.records(AuditKind::Quote).len())
    };
    let (answer, kept) = quote(When::Inside, StoreErrorKind::Permanent);
    assert!(answer.is_err() && kept == 0);
    for (when, kind) in [
        (When::Before, StoreErrorKind::Transient),
        (When::After, StoreErrorKind::Transient),
        (When::After, StoreErrorKind::Permanent),
    ] {
        let (answer, kept) = quote(when, kind);
        assert!(answer.unwrap().audit_id.is_some() && kept == 1, "{when:?}");
    }
}

/// A store that records nothing until it is let.
struct Stuck(MemoryStore, Mutex<bool>, Condvar);

impl Store for Stuck {
    fn run(&self, batch: &mut dyn Batch) -> Result<(), StoreError> {
        self.0.run(batch)
    }

    fn query(&self, query: &Query) -> Result<Answer, StoreError> {
        self.0.query(query)
    }

    fn record(&self, records: &[AuditRecord]) -> Result<(), StoreError> {
        let stuck = self.1.lock().unwrap();
        drop(self.2.wait_while(stuck, |stuck| *stuck).unwrap());
        self.0.record(records)
    }

    fn forget(&self, tenant_id: &TenantId, op_ids: &[OpId]) -> Result<(), StoreError> {
        self.0.forget(tenant_id, op_ids)
    }

    fn acknowledge(&self, consumer: &Consumer, cursor: EventCursor) -> Result<EventCursor, StoreError> {
        self.0.acknowledge(consumer, cursor)
    }
}

#[test]
fn what_finds_no_room_is_counted_and_nobody_waits() {
    let store = Arc::new(Stuck(MemoryStore::new(), Mutex::new(true), Condvar::new()));
    let desk = Desk::over(store.clone());
    let account = acme().account(user(), "credit").unwrap();
    let request = EstimateRequest { scene: Some(id("film")), ..EstimateRequest::default() };
    let asked: u64 = 9_000;
    for _ in 0..asked {
        desk.engine.estimate(&account, &request).unwrap();
    }
    let stats = desk.engine.stats();
    assert!(stats.audit_lost > 0 && stats.audit_waiting > 8_000, "{stats:?}");
    *store.1.lock().unwrap() = false;
    store.2.notify_all();
    assert!(desk.engine.flush_audit().is_err(), "some were lost");
    assert!(desk.engine.flush_audit().is_ok(), "and none since");
    let mut written: u64 = 0;
    let mut cursor = None;
    loop {
        let query = AuditQuery { limit: 1_000, cursor, ..AuditQuery::new(id("acme")) };
        let page = desk.engine.audit_records(&query).unwrap();
        written += page.audited.len() as u64;
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(written + desk.engine.stats().audit_lost, asked);
}

#[test]
fn the_audit_is_asked_by_what_it_says() {
    each(|desk| {
        desk.grant("10");
        let audit_id = desk.refused(charge("poster")).audit_id().unwrap();
        let count = |filter: AuditFilter| desk.page(filter).audited.len();
        assert_eq!(count(AuditFilter::default()), 3, "a grant, a refusal, and what compliance was told");
        assert_eq!(count(AuditFilter { outcome: Some(AuditOutcome::Refused), ..AuditFilter::default() }), 2);
        assert_eq!(count(AuditFilter { audit_id: Some(audit_id), ..AuditFilter::default() }), 1);
        assert_eq!(count(AuditFilter { kind: Some("grant".into()), ..AuditFilter::default() }), 1);
        assert_eq!(count(AuditFilter { subject: Some(id("user:u1")), ..AuditFilter::default() }), 3);
        assert_eq!(count(AuditFilter { subject: Some(id("user:u2")), ..AuditFilter::default() }), 0);
        let wrong = AuditFilter { kind: Some("grants".into()), ..AuditFilter::default() };
        let refused = desk.engine.audit_records(&AuditQuery { filter: wrong, ..AuditQuery::new(id("acme")) }).unwrap_err();
        assert_eq!(refused.denial().unwrap().details()["field"], "kind");
        let refused = desk.engine.audit_records(&AuditQuery { limit: 1_001, ..AuditQuery::new(id("acme")) }).unwrap_err();
        assert_eq!(refused.denial().unwrap().details()["field"], "limit");
    });
}

/// A hand that changes the audit behind the engine's back: `verify` says so.
#[test]
fn a_changed_audit_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.db");
    let desk = Desk::over(Arc::new(SqliteStore::open(&path).unwrap()));
    desk.grant("100");
    let account = acme().account(user(), "credit").unwrap();
    let request = EstimateRequest { scene: Some(id("film")), ..EstimateRequest::default() };
    let caller = Caller { actor: Some(id("alice")), request_id: Some(id("r")), session_id: None };
    let quote = desk.engine.quote(&account, &request, &caller).unwrap();
    desk.engine.estimate_for(&account, &request, &caller).unwrap();
    desk.engine.flush_audit().unwrap();
    let by_quote = |cost| Charge { audit_id: quote.audit_id, ..Charge::new(user(), cost) };
    desk.engine.execute(acme().request(by_quote(id("10")))).unwrap();
    let hold = PlaceHold { audit_id: quote.audit_id, ..PlaceHold::new(user(), id("10")) };
    desk.engine.execute(acme().request(hold)).unwrap();
    desk.refused(charge("poster"));
    let report = desk.engine.verify().unwrap();
    assert_eq!((report.faults.as_slice(), report.audit_records), (&[][..], 3));

    let hand = drawdown::rusqlite::Connection::open(&path).unwrap();
    let faults = |sql: &str| {
        hand.execute_batch("SAVEPOINT before").unwrap();
        assert!(hand.execute(sql, []).unwrap() > 0, "{sql}");
        // Seen by the engine only once it is committed; what it was is put back from a copy.
        hand.execute_batch("RELEASE before").unwrap();
        let report = desk.engine.verify().unwrap();
        hand.execute_batch("DELETE FROM audit; INSERT INTO audit SELECT * FROM temp.audit_was").unwrap();
        hand.execute_batch("DELETE FROM operations; INSERT INTO operations SELECT * FROM temp.operations_was").unwrap();
        report.faults.iter().map(|fault| fault.kind.as_str()).collect::<Vec<_>>()
    };
    hand.execute_batch("CREATE TEMP TABLE audit_was AS SELECT * FROM audit").unwrap();
    hand.execute_batch("CREATE TEMP TABLE operations_was AS SELECT * FROM operations").unwrap();
    for column in ["subject", "template_id", "actor", "request_id", "policy_tag", "reason_code"] {
        assert_eq!(faults(&format!("UPDATE audit SET {column} = 'user:x' WHERE kind = 'estimate'")), ["wrong_audit"], "{column}");
    }
    for (column, value) in [
        ("kind", "'licence_check'"),
        ("outcome", "'refused'"),
        ("created_at", "created_at + 1"),
        ("details", "replace(details, '10', '1')"),
        ("op_id", "randomblob(16)"),
        ("hash", "zeroblob(32)"),
        ("audit_id", "randomblob(16)"),
        ("tenant_id", "'other'"),
    ] {
        assert_eq!(faults(&format!("UPDATE audit SET {column} = {value} WHERE kind = 'estimate'")), ["wrong_audit"], "{column}");
    }
    // The charge and the hold name it.
    assert_eq!(faults("DELETE FROM audit WHERE kind = 'quote'"), ["wrong_audit", "wrong_audit"]);
    assert_eq!(faults("DELETE FROM audit WHERE kind = 'refusal'"), ["wrong_audit"]);
    assert_eq!(faults("UPDATE operations SET alerts = NULL WHERE kind = 'alert'"), ["wrong_audit"]);
    assert_eq!(faults("DELETE FROM operations WHERE kind = 'alert'"), ["wrong_audit"]);
    assert_eq!(
        faults("UPDATE operations SET alerts = replace(alerts, 'user:u1', 'user:u2') WHERE kind = 'alert'"),
        ["wrong_audit"]
    );
    assert!(desk.engine.verify().unwrap().is_clean());
}

/// Names of refusals and hashes of records are for ever, from the first release on.
#[test]
fn names_and_hashes_do_not_change() {
    let desk = Desk::over(Arc::new(MemoryStore::new()));
    let denial = desk.refused(charge("poster"));
    assert_eq!(denial.audit_id().unwrap().to_string(), "aud_019b76da-a800-74fa-a29b-686ce0a93118");
    let record = AuditRecord { op_id: None, ..AuditRecord::clone(&desk.records(AuditKind::Refusal)[0]) }.sealed();
    assert_eq!(record.hash.to_string(), "b71f334c66cf100c17012bbff13a898e39bad143a4df1c1dc701dcbf1d13b0be");
}
