//! Idempotency and the order of checks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use drawdown::{AccountKey, Engine, ManualClock, Payer, Policies, TenantPolicy};
use drawdown_tests::script::{BEGINNING, Bank, table};
use serde_json::Value;
use std::sync::Arc;

/// What every case of this file can name: a grant, a hold, a charge.
const GIVEN: &str =
    "grant 100 expires_at=+9000 as=g; hold 10 task_id=t user_id=u1 template_id=a as=h; charge 10 task_id=c as=c; charge 1 as=d";

#[test]
fn the_same_key_and_fields_are_answered_again_completely() {
    let commands = [
        "grant 5 expires_at=+900 policy_tag=p",
        "void g",
        "amend g expires_at=+9001",
        "adjust 5",
        "adjust -5",
        "hold 5 task_id=n policy_tag=p",
        "extend h expire_in=3600",
        "capture h 3",
        "capture h 3 final=false",
        "release h",
        "release h 3",
        "charge 5 policy_tag=p",
        "refund ledger_id=@c",
        "refund 3 ledger_id=@c",
        "refund task_id=c",
        "settle",
        "import 5 expires_at=+900 policy_tag=p",
        "recur 5 rollover_cap=2 every={\"weeks\":1} policy_tag=p",
        "stop_rule r",
        "set_credit_limit 5",
        "set_low_balance low_balance.below=500 low_balance.recovered_from=600",
        "block target=account:user:u1",
        "block target=user:u9",
        "unblock target=tenant",
        "set_member user_id=u6 limit=3/day",
        "remove_member user_id=u5",
        "set_licence total_quota=3 required_documents=consent policy_tag=p",
        "submit_documents licence_id=l5 documents=consent",
        "revoke_licence licence_id=l5",
    ];
    let given = format!("{GIVEN}; recur 1 starts_at=+99d as=r; set_member user_id=u5; set_licence licence_id=l5");
    for command in commands {
        let mut bank = Bank::in_memory();
        given.split(';').for_each(|statement| bank.given(statement.trim()).unwrap());
        let command = format!("{command} idempotency_key=k");
        let first = bank.run(&command).unwrap_or_else(|failure| panic!("{command}: {failure:?}"));
        // Whatever has happened since: time, expiry, and an account that is empty.
        for statement in ["grant 1", "wait 100000", "settle"] {
            bank.run(statement).unwrap();
        }
        let key = AccountKey::new("acme".parse().unwrap(), "user:u1".parse().unwrap(), "credit".parse().unwrap());
        let balance = bank.engine.balance(&key).unwrap();
        let mut again = bank.run(&command).unwrap_or_else(|failure| panic!("{command}, again: {failure:?}"));
        assert_eq!(
            (&first["idempotent_replay"], &again["idempotent_replay"]),
            (&Value::Bool(false), &Value::Bool(true)),
            "{command}"
        );
        again["idempotent_replay"] = Value::Bool(false);
        assert_eq!(first, again, "{command}");
        assert_eq!(bank.engine.balance(&key).unwrap(), balance, "{command}");
    }
}

#[test]
fn a_key_with_another_field_is_a_conflict_that_names_it() {
    // when first, when again, then the first field that differs
    let cases: &[(&str, &str, &str)] = &[
        ("grant 5", "charge 5", "command"),
        ("grant 5", "grant 5 owner=user:u2", "owner"),
        ("grant 5", "grant 5 owner=organization:u1", "owner"),
        ("grant 5", "grant 5 owner=pool", "owner"),
        ("grant 5", "grant 5 unit=UC", "unit"),
        ("grant 5", "grant 5 unit=credit", "unit"),
        ("grant 5", "grant 5.000001", "amount"),
        ("grant 5", "grant 5 type=trial", "type"),
        ("grant 5", "grant 5 effective_at=+0", "effective_at"),
        ("grant 5", "grant 5 expires_at=+60", "expires_at"),
        ("grant 5 expires_at=+60", "grant 5 expires_at=+60.000001", "expires_at"),
        ("grant 5", "grant 5 scope.app_id=x", "scope_app_id"),
        ("grant 5", "grant 5 scope.template_id=a", "scope_template_id"),
        ("grant 5", "grant 5 priority=1", "priority"),
        ("grant 5", "grant 5 policy_tag=p", "policy_tag"),
        ("grant 5", "grant 5 reason=r", "reason"),
        ("grant 5", "grant 5 operator=ops", "operator"),
        ("void g", "void grant_id=grt_019b76da-a800-7033-837f-5ed7fe190001", "grant_id"),
        ("void g", "void g operator=another", "operator"),
        ("void g", "void g reason=another", "reason"),
        ("amend g expires_at=+9001", "amend g expires_at=+9002", "expires_at"),
        ("amend g expires_at=+9001", "amend g expires_at=+9001 reason=r", "reason"),
        ("amend g expires_at=+9001", "amend g expires_at=+9001 operator=ops", "operator"),
        ("adjust 5", "adjust -5", "amount"),
        ("adjust 5", "adjust 5 owner=pool", "owner"),
        ("adjust 5", "adjust 5 operator=another", "operator"),
        ("adjust 5", "adjust 5 reason=another", "reason"),
        ("hold 5", "hold 5 payer=pool", "payer"),
        ("hold 5", "hold 5 payer=- user_id=u1", "payer"),
        ("hold 5", "hold 5 unit=UC", "unit"),
        ("hold 5", "hold 5 user_id=u1", "user_id"),
        ("hold 5", "hold 6", "amount"),
        ("hold 5", "hold 5 expire_in=901", "expire_in"),
        ("hold 5", "hold 5 task_id=n", "task_id"),
        ("hold 5", "hold 5 template_id=a", "template_id"),
        ("hold 5", "hold 5 app_id=x", "app_id"),
        ("hold 5", "hold 5 scene=s", "scene"),
        ("hold 5", "hold 5 price_basis=p", "price_basis"),
        ("hold 5", "hold 5 audit_id=aud_00000000-0000-7000-8000-000000000000", "audit_id"),
        ("hold 5", "hold 5 over_capture=draw", "over_capture"),
        ("hold 5", "hold 5 late_commit=draw", "late_commit"),
        ("hold 5", "hold 5 reason=r", "reason"),
        ("hold 5", "hold 5 policy_tag=p", "policy_tag"),
        ("extend h expire_in=3600", "extend h expire_in=3601", "expire_in"),
        ("extend h expire_in=3600", "extend hold_id=hold_019b76da-a800-7033-837f-5ed7fe190001 expire_in=3600", "hold_id"),
        ("extend h expire_in=3600", "extend h expire_in=3600 reason=r", "reason"),
        ("capture h 3", "capture h 4", "actual_cost"),
        ("capture h 3", "capture h 3 final=false", "final"),
        ("capture h 3", "capture h 3 task_id=t", "task_id"),
        ("capture h 3", "capture h 3 template_id=a", "template_id"),
        ("capture h 3", "capture h 3 user_id=u1", "user_id"),
        ("capture h 3", "capture h 3 reason=r", "reason"),
        ("capture h 3", "capture hold_id=hold_019b76da-a800-7033-837f-5ed7fe190001 3", "hold_id"),
        ("release h", "release h 3", "amount"),
        ("release h", "release h task_id=t", "task_id"),
        ("release h", "release h user_id=u1", "user_id"),
        ("release h", "release h reason=r", "reason"),
        ("release h", "capture h 3", "command"),
        ("charge 5", "charge 6", "amount"),
        ("charge 5", "charge 5 payer=pool", "payer"),
        ("charge 5", "charge 5 unit=UC", "unit"),
        ("charge 5", "charge 5 user_id=u1", "user_id"),
        ("charge 5", "charge 5 task_id=c", "task_id"),
        ("charge 5", "charge 5 template_id=a", "template_id"),
        ("charge 5", "charge 5 app_id=x", "app_id"),
        ("charge 5", "charge 5 price_basis=p", "price_basis"),
        ("charge 5", "charge 5 audit_id=aud_00000000-0000-7000-8000-000000000000", "audit_id"),
        ("charge 5", "charge 5 reason=r", "reason"),
        ("charge 5", "charge 5 policy_tag=p", "policy_tag"),
        ("refund ledger_id=@c", "refund ledger_id=@d", "ledger_id"),
        ("refund task_id=c", "refund task_id=d", "task_id"),
        ("refund ledger_id=@c", "refund task_id=c", "task_id"),
        ("refund ledger_id=@c", "refund 3 ledger_id=@c", "amount"),
        ("refund ledger_id=@c", "refund ledger_id=@c payer=pool", "payer"),
        ("refund ledger_id=@c", "refund ledger_id=@c user_id=u1", "user_id"),
        ("refund ledger_id=@c", "refund ledger_id=@c unit=UC", "unit"),
        ("refund ledger_id=@c", "refund ledger_id=@c operator=another", "operator"),
        ("refund ledger_id=@c", "refund ledger_id=@c reason=another", "reason"),
        ("grant 1 expires_at=+1; wait 1; settle", "settle owner=pool", "owner"),
        ("grant 1 expires_at=+1; wait 1; settle", "settle unit=UC", "unit"),
        // Of several that differ, the first in the order of the encoding.
        ("charge 5", "charge 6 task_id=c reason=r", "amount"),
        ("hold 5", "hold 6 expire_in=60 user_id=u1", "user_id"),
    ];
    let cases: Vec<_> = cases
        .iter()
        .map(|(first, again, field)| {
            let given = format!("{GIVEN}; {first} idempotency_key=k");
            (
                format!("{first} -> {again}"),
                given,
                format!("{again} idempotency_key=k"),
                format!("denied idempotency_conflict field={field}"),
            )
        })
        .collect();
    let cases: Vec<_> = cases.iter().map(|(a, b, c, d)| (a.as_str(), b.as_str(), c.as_str(), d.as_str())).collect();
    table(&cases);
}

#[test]
fn what_does_not_decide_is_no_conflict() {
    table(&[
        (
            "metadata",
            r#"grant 5 idempotency_key=k metadata={"a":1}"#,
            r#"grant 5 idempotency_key=k metadata={"a":2}"#,
            "ok idempotent_replay=true",
        ),
        ("the actor", "grant 5 idempotency_key=k actor=a", "grant 5 idempotency_key=k actor=b", "ok idempotent_replay=true"),
        (
            "the request id",
            "grant 5 idempotency_key=k request_id=a",
            "grant 5 idempotency_key=k request_id=b",
            "ok idempotent_replay=true",
        ),
        (
            "the time",
            "grant 5 idempotency_key=k; wait 1d",
            "grant 5 idempotency_key=k",
            "ok idempotent_replay=true balance_after=5",
        ),
        ("how an amount is written", "grant 5 idempotency_key=k", "grant 5.00 idempotency_key=k", "ok idempotent_replay=true"),
        (
            "how a time is written",
            "grant 5 expires_at=2026-01-02T00:00:00Z idempotency_key=k",
            "grant 5 expires_at=2026-01-02T08:00:00.0+08:00 idempotency_key=k",
            "ok idempotent_replay=true",
        ),
        (
            "a field that says its default",
            "grant 9; hold 5 idempotency_key=k",
            "hold 5 expire_in=900 over_capture=reject late_commit=reject idempotency_key=k",
            "ok idempotent_replay=true",
        ),
        ("a grant's default", "grant 9 idempotency_key=k", "grant 9 priority=0 idempotency_key=k", "ok idempotent_replay=true"),
    ]);
}

#[test]
fn keys_are_unique_in_the_tenant() {
    table(&[
        (
            "the same key of another tenant",
            "grant 5 idempotency_key=k",
            "grant 6 tenant_id=globex idempotency_key=k",
            "ok idempotent_replay=false balance_after=6",
        ),
        (
            "the same key of another owner",
            "grant 5 idempotency_key=k",
            "grant 5 owner=user:u2 idempotency_key=k",
            "denied idempotency_conflict field=owner; balance 0 of user:u2",
        ),
        (
            "keys are compared as bytes",
            "grant 5 idempotency_key=k",
            "grant 5 idempotency_key=K",
            "ok idempotent_replay=false balance_after=10",
        ),
        (
            "another key, the same fields",
            "grant 5 idempotency_key=k",
            "grant 5 idempotency_key=l",
            "ok idempotent_replay=false balance_after=10",
        ),
        (
            "a settlement that books nothing has its key all the same",
            "grant 5; settle idempotency_key=k; grant 1",
            "settle idempotency_key=k",
            "ok idempotent_replay=true balance_after=5",
        ),
        (
            "a settlement that books",
            "grant 5 expires_at=+60; wait 60; settle idempotency_key=k",
            "settle idempotency_key=k",
            "ok idempotent_replay=true booked=1",
        ),
        ("no key: each time", "grant 5", "grant 5", "ok idempotent_replay=false balance_after=10"),
        (
            "a conflict leaves the first answer",
            "grant 5 idempotency_key=k; try grant 6 idempotency_key=k",
            "grant 5 idempotency_key=k",
            "ok idempotent_replay=true balance_after=5",
        ),
    ]);
}

#[test]
fn a_denied_command_leaves_no_trace() {
    table(&[
        (
            "a charge that fell short succeeds later under its key",
            "try charge 5 idempotency_key=k; grant 5",
            "charge 5 idempotency_key=k",
            "ok idempotent_replay=false balance_after=0",
        ),
        (
            "and the key is free for another command",
            "try charge 5 idempotency_key=k",
            "grant 5 idempotency_key=k",
            "ok idempotent_replay=false",
        ),
        (
            "a hold that fell short leaves its task",
            "try hold 5 task_id=t idempotency_key=k; grant 5",
            "hold 5 task_id=t idempotency_key=k",
            "ok balance_after=0",
        ),
        (
            "an over-capture that was denied leaves the hold",
            "grant 5; hold 3 as=h; try capture h 4 idempotency_key=k",
            "capture h 3 idempotency_key=k",
            "ok idempotent_replay=false balance_after=2",
        ),
        (
            "a refund that was denied",
            "grant 5; charge 3 as=c; try refund 9 ledger_id=@c idempotency_key=k",
            "refund 3 ledger_id=@c idempotency_key=k",
            "ok idempotent_replay=false",
        ),
        ("a shape that was denied", "try grant 0 idempotency_key=k", "grant 5 idempotency_key=k", "ok idempotent_replay=false"),
        ("an account that was only asked for is none", "try charge 5", "settle", "denied account_not_found"),
        ("what was due is not booked by a denial", "grant 5 expires_at=+60; wait 60; try charge 9", "settle", "ok booked=1"),
    ]);
}

#[test]
fn checks_go_by_one_order() {
    table(&[
        ("shape before replay", "grant 5 idempotency_key=k", "grant 0 idempotency_key=k", "denied amount_invalid"),
        ("shape before conflict", "grant 5 idempotency_key=k", "charge -1 idempotency_key=k", "denied amount_invalid"),
        (
            "replay before the owner",
            "grant 5; charge 1 idempotency_key=k",
            "charge 1 payer=- idempotency_key=k",
            "denied idempotency_conflict field=payer",
        ),
        (
            "replay before the target",
            "grant 5 as=g; void g idempotency_key=k",
            "void g idempotency_key=k",
            "ok idempotent_replay=true forfeited=5",
        ),
        (
            "conflict before the target",
            "grant 5 idempotency_key=k",
            "void grant_id=grt_019b76da-a800-7033-837f-5ed7fe190001 idempotency_key=k",
            "denied idempotency_conflict field=command",
        ),
        ("conflict before the balance", "grant 5 idempotency_key=k", "charge 99 idempotency_key=k", "denied idempotency_conflict"),
        (
            "a key is asked for before the hold is looked for",
            "wait 0",
            "release hold_id=hold_019b76da-a800-7033-837f-5ed7fe190001 1",
            "denied payload_invalid field=idempotency_key",
        ),
        (
            "the owner before the target",
            "wait 0",
            "refund ledger_id=led_019b76da-a800-7033-837f-5ed7fe190001 payer=-",
            "denied owner_invalid",
        ),
    ]);
}

#[test]
fn a_replay_does_not_ask_what_the_policy_says_now() {
    let store: Arc<dyn drawdown::store::Store> = Arc::new(drawdown::store::memory::MemoryStore::new());
    let engine = |payer| {
        let clock = Arc::new(ManualClock::at(BEGINNING.parse().unwrap()));
        let policies = Policies::new(TenantPolicy { payer, ..TenantPolicy::default() });
        Engine::builder().store(Arc::clone(&store)).clock(clock).policies(policies).build().unwrap()
    };
    let command = |json: &str| drawdown::Command::from_json(json).unwrap();
    let charge = r#"{"command": "charge", "tenant_id": "acme", "idempotency_key": "k", "amount": "2"}"#;
    let before = engine(Payer::Tenant);
    before
        .run(command(r#"{"command": "grant", "tenant_id": "acme", "owner": "pool", "type": "purchased", "amount": "5"}"#))
        .unwrap();
    assert!(!before.run(command(charge)).unwrap().idempotent_replay);
    before.close();
    let after = engine(Payer::User);
    assert!(after.run(command(charge)).unwrap().idempotent_replay);
    assert_eq!(after.run(command(&charge.replace("\"k\"", "\"l\""))).unwrap_err().denial().unwrap().name(), "owner_invalid");
}

#[test]
fn concurrent_duplicates_take_effect_once() {
    let bank = Bank::in_memory();
    let grant = r#"{"command": "grant", "tenant_id": "acme", "owner": "user:u1", "type": "purchased", "amount": "5", "idempotency_key": "k"}"#;
    let answers: Vec<bool> = std::thread::scope(|scope| {
        let run = || bank.engine.run(drawdown::Command::from_json(grant).unwrap()).unwrap().idempotent_replay;
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|replay| !**replay).count(), 1);
    bank.expect_balance("balance 5").unwrap();
}

#[test]
fn a_batch_sees_its_own_keys() {
    let bank = Bank::in_memory();
    let grant = |amount: &str| {
        let json = format!(
            r#"{{"command": "grant", "tenant_id": "acme", "owner": "user:u1", "type": "purchased", "amount": "{amount}", "idempotency_key": "k"}}"#
        );
        drawdown::Command::from_json(&json).unwrap()
    };
    let answers = bank.engine.execute_many(vec![grant("5"), grant("5"), grant("6")]);
    assert!(!answers[0].as_ref().unwrap().idempotent_replay);
    assert!(answers[1].as_ref().unwrap().idempotent_replay);
    assert_eq!(answers[2].as_ref().unwrap_err().denial().unwrap().name(), "idempotency_conflict");
    bank.expect_balance("balance 5").unwrap();
}
