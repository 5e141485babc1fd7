//! For how long a key is answered again.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use drawdown::TenantPolicy;
use drawdown_tests::script::{Bank, table, table_under};

/// 90 days, in seconds.
const GIVEN: &str = "grant 9 idempotency_key=g; grant 9; hold 4 as=h; release h idempotency_key=k";

#[test]
fn a_key_is_answered_for_ninety_days_and_never_executed_again() {
    let given = |wait: &str| format!("{GIVEN}; wait {wait}");
    let cases = [
        ("one second before", "7775999", "release h idempotency_key=k", "ok idempotent_replay=true released=4"),
        ("at the end", "7776000", "release h idempotency_key=k", "denied idempotency_conflict reason=answer_expired; balance 18"),
        (
            "one second after",
            "7776001",
            "release h idempotency_key=k",
            "denied idempotency_conflict reason=answer_expired; balance 18",
        ),
        (
            "another command, before",
            "7775999",
            "charge 1 idempotency_key=k",
            "denied idempotency_conflict field=command reason=null",
        ),
        (
            "another command, after",
            "7776000",
            "charge 1 idempotency_key=k",
            "denied idempotency_conflict reason=answer_expired field=null",
        ),
        (
            "what entries alone answer",
            "7776000",
            "grant 9 idempotency_key=g",
            "denied idempotency_conflict reason=answer_expired; balance 18",
        ),
        ("shape first", "7776000", "charge 0 idempotency_key=k", "denied amount_invalid"),
    ];
    for (title, wait, when, then) in cases {
        table(&[(title, &given(wait), when, then)]);
    }
}

#[test]
fn a_remembered_denial_is_kept_as_long() {
    let refused = "try charge 5 idempotency_key=k remember_denials=true; grant 9";
    let again = "charge 5 idempotency_key=k remember_denials=true";
    table(&[
        ("before", &format!("{refused}; wait 7775999"), again, "denied insufficient_balance"),
        (
            "at the end",
            &format!("{refused}; wait 7776000"),
            again,
            "denied idempotency_conflict reason=answer_expired ledger_ids=[]; balance 9",
        ),
    ]);
}

#[test]
fn a_tenant_says_for_how_long() {
    let policy = |days| TenantPolicy { answer_retention_days: days, ..TenantPolicy::default() };
    let again = "grant 9 idempotency_key=k";
    table_under(
        &policy(None),
        &[("for ever", "grant 9 idempotency_key=k; wait 36500d", again, "ok idempotent_replay=true; balance 9")],
    );
    table_under(
        &policy(Some(1)),
        &[
            ("before", "grant 9 idempotency_key=k; wait 86399", again, "ok idempotent_replay=true"),
            ("at the end", "grant 9 idempotency_key=k; wait 86400", again, "denied idempotency_conflict reason=answer_expired"),
        ],
    );
    table_under(
        &policy(Some(0)),
        &[("not at all", "grant 9 idempotency_key=k", again, "denied idempotency_conflict reason=answer_expired; balance 9")],
    );
}

#[test]
fn what_was_booked_is_named() {
    let mut bank = Bank::in_memory();
    bank.given("grant 5 expires_at=+60").unwrap();
    bank.given("grant 5").unwrap();
    bank.given("wait 60").unwrap();
    // Its first entry books what had become due.
    let charged = bank.run("charge 2 idempotency_key=k").unwrap();
    bank.given("wait 90d").unwrap();
    let refused = bank.run("charge 2 idempotency_key=k").unwrap_err();
    let details = refused.denial().unwrap().details();
    assert_eq!(details["ledger_ids"], serde_json::json!([charged["ledger_id"]]));
    assert_eq!(details["audit_id"], charged["audit_id"]);
    let found = bank.engine.operation_by_key(&"acme".parse().unwrap(), &"k".parse().unwrap()).unwrap().unwrap();
    assert_eq!(found.entries.len(), 2);
}

#[test]
fn what_nobody_is_given_any_more_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    for (name, store) in drawdown_tests::stores(&folder.path().join("books.db")) {
        let mut bank = Bank::new(store, TenantPolicy::default());
        for statement in GIVEN.split("; ").chain(["try charge 99 idempotency_key=d remember_denials=true", "wait 1"]) {
            bank.given(statement).unwrap();
        }
        bank.given("hold 4 as=i").unwrap();
        bank.given("release i idempotency_key=l").unwrap();
        let texts = |bank: &Bank| {
            let feed = bank.engine.feed(None, 0, 100).unwrap();
            feed.iter()
                .filter(|stored| {
                    stored.operation.denial.is_some() || stored.operation.answer.as_deref().is_some_and(|text| !text.is_empty())
                })
                .count()
        };
        assert_eq!((texts(&bank), bank.engine.forget_answers(0, 100).unwrap().position), (3, 0), "{name}");
        bank.given("wait 7775999").unwrap();
        // The first five are past their time: two of them keep something.
        let first = bank.engine.forget_answers(0, 4).unwrap();
        assert_eq!((first.forgotten, first.position, first.more), (1, 4, true), "{name}");
        let second = bank.engine.forget_answers(first.position, 4).unwrap();
        assert_eq!((second.forgotten, second.position, second.more), (1, 5, false), "{name}");
        assert_eq!(texts(&bank), 1, "{name}");
        assert_eq!(bank.engine.forget_answers(0, 100).unwrap().forgotten, 0, "{name}: nothing is removed twice");
        let again =
            |bank: &mut Bank, statement: &str| bank.run(statement).unwrap_err().denial().unwrap().details()["reason"].clone();
        assert_eq!(again(&mut bank, "release h idempotency_key=k"), "answer_expired", "{name}");
        assert_eq!(again(&mut bank, "charge 99 idempotency_key=d remember_denials=true"), "answer_expired", "{name}");
        assert!(bank.engine.verify().unwrap().is_clean(), "{name}");
    }
}

/// Where no entry says who did what and why, the operation does, for good.
#[test]
fn who_blocked_erased_and_set_members_is_not_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    for (name, store) in drawdown_tests::stores(&folder.path().join("books.db")) {
        let mut bank = Bank::new(store, TenantPolicy::default());
        let script = [
            "grant 5",
            "block target=user:u1 idempotency_key=k",
            "unblock target=user:u1",
            "block target=tenant",
            "unblock target=account:user:u1",
            "set_member limit=3/day",
            "remove_member",
            "erase_text",
        ];
        for statement in script {
            bank.given(statement).unwrap();
        }
        let before = bank.engine.feed(None, 0, 100).unwrap();
        bank.given("wait 91d").unwrap();
        assert_eq!(bank.engine.forget_answers(0, 100).unwrap().forgotten, 0, "{name}");
        let after = bank.engine.feed(None, 0, 100).unwrap();
        assert_eq!(before, after, "{name}");
        assert!(after[1..].iter().all(|stored| stored.operation.answer.as_deref().unwrap().contains("ops")), "{name}");
        // All the same they are given to nobody again.
        let refused = bank.run("block target=user:u1 idempotency_key=k").unwrap_err();
        assert_eq!(refused.denial().unwrap().details()["reason"], "answer_expired", "{name}");
    }
}

#[test]
fn a_longer_retention_brings_back_nothing_that_was_removed() {
    let store: std::sync::Arc<dyn drawdown::store::Store> = std::sync::Arc::new(drawdown::store::memory::MemoryStore::new());
    let policy = |days| TenantPolicy { answer_retention_days: days, ..TenantPolicy::default() };
    let mut bank = Bank::new(store.clone(), policy(Some(1)));
    for statement in GIVEN.split("; ").chain(["wait 1d"]) {
        bank.given(statement).unwrap();
    }
    let hold_id = bank.engine.feed(None, 0, 9).unwrap()[2].entries[0].hold_id.unwrap();
    assert_eq!(bank.engine.forget_answers(0, 100).unwrap().forgotten, 1);
    let mut after = Bank::new(store, policy(None));
    after.given("wait 1d").unwrap();
    let refused = after.run(&format!("release hold_id={hold_id} idempotency_key=k")).unwrap_err();
    assert_eq!(refused.denial().unwrap().details()["reason"], "answer_expired");
    assert!(after.run("grant 9 idempotency_key=g").is_ok(), "its entries answer it");
}
