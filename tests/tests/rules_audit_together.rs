//! The audit where it meets the other ways in: a transaction of the host, a store that is locked while the engine is closed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use drawdown::audit::{AuditFilter, AuditQuery, Audited};
use drawdown::rusqlite::{Connection, TransactionBehavior};
use drawdown::store::sqlite::{SqliteOptions, SqliteStore};
use drawdown::{AuditId, Charge, Context, Engine, Failure, GrantCredit, GrantType, ManualClock, Owner, Policies, TenantPolicy};

fn acme() -> Context {
    Context::tenant("acme").unwrap()
}

fn charge(template: &str) -> Charge {
    Charge { template_id: Some(template.parse().unwrap()), ..Charge::new(Owner::user("u1").unwrap(), "1".parse().unwrap()) }
}

/// An engine that wants licences, and does not wait long for the file.
fn engine(path: &Path) -> Engine {
    over(path, Duration::from_millis(500))
}

fn patient(path: &Path) -> Engine {
    over(path, Duration::from_secs(30))
}

fn over(path: &Path, deadline: Duration) -> Engine {
    let policy = TenantPolicy { licence_required: true, ..TenantPolicy::default() };
    let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
    let options = SqliteOptions { deadline, ..SqliteOptions::default() };
    let builder = Engine::builder().store(Arc::new(SqliteStore::open_with(path, options).unwrap())).clock(clock);
    builder.policies(Policies::new(policy)).build().unwrap()
}

/// Refusals with how often, once the trailing writer has written.
fn refusals(engine: &Engine) -> Vec<(AuditId, u64)> {
    engine.flush_audit().unwrap();
    let filter = AuditFilter { kind: Some("refusal".into()), ..AuditFilter::default() };
    let page = engine.audit_records(&AuditQuery { filter, ..AuditQuery::new(acme().tenant_id) }).unwrap();
    let counted = |audited: &Audited| match audited {
        Audited::Record(record) => Some((record.audit_id, record.count)),
        Audited::Operation(_) => None,
    };
    page.audited.iter().filter_map(|(_, audited)| counted(audited)).collect()
}

/// How often compliance was told.
fn told(engine: &Engine) -> usize {
    engine.feed(None, 0, 1_000).unwrap().iter().map(|stored| stored.operation.alerts.len()).sum()
}

#[test]
fn a_staged_refusal_that_is_remembered_is_told_too() {
    for is_committed in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("books.db");
        let engine = engine(&path);
        let mut host = Connection::open(&path).unwrap();
        let command = || acme().key("k").unwrap().remember_denials().request(charge("poster"));
        let transaction = host.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        let refused = engine.join(&transaction).unwrap().stage(command()).unwrap_err();
        if is_committed {
            transaction.commit().unwrap();
        } else {
            transaction.rollback().unwrap();
        }
        let audit_id = refused.denial().unwrap().audit_id().unwrap();
        assert_eq!((refusals(&engine), told(&engine)), (vec![(audit_id, 1)], 1), "committed: {is_committed}");
        assert_eq!(engine.stats().audit_lost, 0);
        // What is remembered is no other refusal; what is not is one.
        assert_eq!(engine.execute(command()).unwrap_err(), refused);
        let count = if is_committed { 1 } else { 2 };
        assert_eq!((refusals(&engine), told(&engine)), (vec![(audit_id, count)], 1), "committed: {is_committed}");
        assert!(engine.verify().unwrap().is_clean());
    }
}

#[test]
fn closing_ends_while_its_caller_keeps_the_file_locked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.db");
    let engine = engine(&path);
    let mut host = Connection::open(&path).unwrap();
    let transaction = host.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let joined = engine.join(&transaction).unwrap();
    for number in 0..4 {
        joined.stage(acme().request(charge(&format!("poster-{number}")))).unwrap_err();
    }
    let began = Instant::now();
    engine.close();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_eq!(engine.stats().audit_lost, 4);
}

#[test]
fn a_refused_group_leaves_its_refusal_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&folder.path().join("books.db"));
    let grant = GrantCredit::new(Owner::user("u1").unwrap(), GrantType::Purchased, "5".parse().unwrap());
    let group = || {
        let refused = acme().key("k").unwrap().remember_denials().request(charge("poster")).into_command();
        vec![acme().request(grant.clone()).into_command(), refused]
    };
    let refused = engine.execute_all(group()).unwrap_err();
    let audit_id = refused.failure.denial().unwrap().audit_id().unwrap();
    assert_eq!((refused.index, refusals(&engine), told(&engine)), (Some(1), vec![(audit_id, 1)], 1));
    // A lone command with the same key is no replay of it.
    let again = acme().key("k").unwrap().request(Charge::new(Owner::user("u1").unwrap(), "1".parse().unwrap()));
    assert_eq!(engine.execute(again).unwrap_err().denial().unwrap().name(), "insufficient_balance");
    assert_eq!(engine.execute_all(group()).unwrap_err(), refused);
    assert_eq!((refusals(&engine), told(&engine)), (vec![(audit_id, 2)], 1));
    assert!(engine.verify().unwrap().is_clean());
}

#[test]
fn what_is_forgotten_of_refusals_is_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.db");
    let engine = engine(&path);
    engine.execute(acme().request(charge("poster"))).unwrap_err();
    engine.execute(acme().key("k").unwrap().remember_denials().request(charge("flyer"))).unwrap_err();
    let clock = Arc::new(ManualClock::at("2026-12-01T00:00:00Z".parse().unwrap()));
    let later = Engine::builder().store(Arc::new(SqliteStore::open(&path).unwrap())).clock(clock).build().unwrap();
    later.forget_answers(0, 1_000).unwrap();
    let report = later.verify().unwrap();
    assert!(report.is_clean(), "{:?}", report.faults);
    assert_eq!((refusals(&later).len(), told(&later)), (2, 2));
    assert_eq!(later.forget_answers(0, 1_000).unwrap().forgotten, 0);
}

#[test]
fn engines_that_refuse_the_same_at_once_tell_it_once_and_count_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.db");
    let engines = [(); 3].map(|()| patient(&path));
    let grant = GrantCredit::new(Owner::user("u1").unwrap(), GrantType::Purchased, "50".parse().unwrap());
    engines[0].execute(acme().request(grant)).unwrap();
    let barrier = Barrier::new(3);
    thread::scope(|scope| {
        for (number, engine) in engines.iter().enumerate() {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                for round in 0..10 {
                    let refused = || charge(&format!("poster-{round}"));
                    let key = format!("{number}-{round}");
                    let remembered = acme().key(&key).unwrap().remember_denials().request(refused());
                    let accepted = Charge { template_id: None, ..refused() };
                    let answers = engine.execute_many(vec![
                        acme().request(refused()).into_command(),
                        acme().request(accepted).into_command(),
                        remembered.into_command(),
                    ]);
                    let denied = |answer: &Result<_, Failure>| answer.as_ref().err().map(|failure| failure.denial().is_some());
                    assert_eq!(answers.iter().map(denied).collect::<Vec<_>>(), [Some(true), None, Some(true)]);
                }
            });
        }
    });
    engines.iter().for_each(|engine| engine.flush_audit().unwrap());
    let counts: Vec<u64> = refusals(&engines[0]).into_iter().map(|(_, count)| count).collect();
    assert_eq!((counts, told(&engines[0])), (vec![6; 10], 10));
    assert!(engines[0].verify().unwrap().is_clean());
}
