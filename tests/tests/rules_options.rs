//! Options of every command: the version that it expects, the instant by which it begins, denials that are remembered.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use drawdown::{Command, Error, Failure};
use drawdown_tests::script::{Bank, table};
use serde_json::json;

#[test]
fn a_version_is_the_number_of_the_last_booked_entry() {
    table(&[
        ("an empty account has version 0", "wait 0", "grant 5 expected_version=0", "ok version=1; balance 5 version 1"),
        ("an account without a row too", "wait 0", "grant 5 expected_version=1", "denied version_conflict expected=1 version=0"),
        ("each entry is one", "grant 5; grant 5; charge 1", "charge 1 expected_version=3", "ok version=4; balance 8 version 4"),
        ("one before", "grant 5; grant 5; charge 1", "charge 1 expected_version=2", "denied version_conflict expected=2 version=3"),
        ("one ahead", "grant 5; grant 5; charge 1", "charge 1 expected_version=4", "denied version_conflict version=3"),
        (
            "a refusal leaves the version",
            "grant 5; try charge 9; try charge 1 expected_version=7",
            "charge 1 expected_version=1",
            "ok version=2",
        ),
        (
            "it is that of one account",
            "grant 5; grant 5 owner=user:u2; grant 5 owner=user:u2",
            "charge 1 expected_version=1",
            "ok version=2",
        ),
        (
            "what is due counts when it is booked",
            "grant 5 expires_at=+60; grant 5; wait 60",
            "charge 1 expected_version=2",
            "ok version=4",
        ),
    ]);
}

#[test]
fn every_command_compares_the_version() {
    let hold = "grant 9 as=g; hold 4 as=h";
    table(&[
        ("grant", "grant 9", "grant 1 expected_version=0", "denied version_conflict version=1"),
        ("void", "grant 9 as=g", "void g expected_version=0", "denied version_conflict version=1"),
        ("amend", "grant 9 expires_at=+60 as=g", "amend g expires_at=+90 expected_version=0", "denied version_conflict version=1"),
        ("adjust", "grant 9", "adjust 1 expected_version=0", "denied version_conflict version=1"),
        ("hold", "grant 9", "hold 1 expected_version=0", "denied version_conflict version=1"),
        ("extend", hold, "extend h expire_in=3600 expected_version=1", "denied version_conflict version=2"),
        ("capture", hold, "capture h 1 expected_version=1", "denied version_conflict version=2"),
        ("release", hold, "release h expected_version=1", "denied version_conflict version=2"),
        ("charge", "grant 9", "charge 1 expected_version=0", "denied version_conflict version=1"),
        ("refund", "grant 9; charge 3 as=c", "refund ledger_id=@c expected_version=1", "denied version_conflict version=2"),
        (
            "refund of a task",
            "grant 9; charge 3 task_id=t",
            "refund task_id=t expected_version=1",
            "denied version_conflict version=2",
        ),
        ("settle", "grant 9", "settle expected_version=0", "denied version_conflict version=1"),
        ("recur", "grant 9", "recur 1 expected_version=0", "denied version_conflict version=1"),
        ("stop_rule", "recur 1 as=r", "stop_rule r expected_version=1", "denied version_conflict version=2"),
        ("stop_rule, as expected", "recur 1 as=r", "stop_rule r expected_version=2", "ok version=3"),
        ("a rule of another tenant", "recur 1 as=r", "stop_rule r tenant_id=globex expected_version=9", "denied payload_invalid"),
        ("erase_text", "grant 9", "erase_text expected_version=0", "denied version_conflict version=1"),
        ("block", "grant 9", "block target=account:user:u1 expected_version=0", "denied version_conflict version=1"),
        ("unblock", "grant 9", "unblock target=account:user:u1 expected_version=0", "denied version_conflict version=1"),
        ("block of a user", "grant 9", "block target=user:u1 expected_version=1", "denied payload_invalid field=expected_version"),
        ("set_credit_limit", "grant 9", "set_credit_limit 1 expected_version=0", "denied version_conflict version=1"),
        ("set_low_balance", "grant 9", "set_low_balance expected_version=0", "denied version_conflict version=1"),
        ("import", "grant 9", "import 1 expected_version=0", "denied version_conflict version=1"),
        ("void, as expected", "grant 9 as=g", "void g expected_version=1", "ok version=2"),
        ("capture, as expected", hold, "capture h 4 expected_version=2", "ok version=3"),
        ("settle of nothing", "grant 9", "settle expected_version=1", "ok version=1 booked=0"),
    ]);
}

#[test]
fn the_version_comes_after_the_replay_and_before_the_target() {
    table(&[
        (
            "a replay asks for no version",
            "grant 5; charge 1 idempotency_key=k expected_version=1; charge 1",
            "charge 1 idempotency_key=k expected_version=1",
            "ok idempotent_replay=true version=2",
        ),
        (
            "another version is another command",
            "grant 5; charge 1 idempotency_key=k expected_version=1",
            "charge 1 idempotency_key=k expected_version=2",
            "denied idempotency_conflict field=expected_version",
        ),
        ("shape first", "grant 5", "charge 0 expected_version=9", "denied amount_invalid"),
        ("the owner first", "grant 5", "charge 1 payer=- expected_version=9", "denied owner_invalid"),
        ("an account that is not there has version 0", "wait 0", "settle expected_version=9", "denied version_conflict version=0"),
        ("and is missing after that", "wait 0", "settle expected_version=0", "denied account_not_found"),
        (
            "a hold that is not there leads to no account",
            "wait 0",
            "capture hold_id=hold_019b76da-a800-7033-837f-5ed7fe190001 1 expected_version=9",
            "denied pre_deduct_not_found",
        ),
        (
            "before the state of the hold",
            "grant 5; hold 4 as=h; release h",
            "capture h 1 expected_version=9",
            "denied version_conflict version=3",
        ),
        (
            "before a task that has a hold",
            "grant 5; hold 1 task_id=t",
            "hold 1 task_id=t expected_version=9",
            "denied version_conflict version=2",
        ),
        ("before the balance", "grant 5", "charge 9 expected_version=9", "denied version_conflict version=1"),
        ("before a block", "grant 5; block target=tenant", "charge 1 expected_version=9", "denied version_conflict version=1"),
        (
            "before membership",
            "grant 5 owner=organization:o1",
            "charge 1 payer=organization:o1 user_id=u1 expected_version=9",
            "denied version_conflict version=1",
        ),
    ]);
}

#[test]
fn a_read_shows_the_version_that_a_command_expects() {
    let mut bank = Bank::in_memory();
    bank.given("grant 5 expires_at=+60").unwrap();
    bank.given("grant 5").unwrap();
    bank.given("wait 60").unwrap();
    // Settled in the answer, not in the books.
    bank.expect_balance("balance 5 version 2").unwrap();
    bank.expect_balance("balance 10 at +30 version 2").unwrap();
    bank.given("charge 1 expected_version=2").unwrap();
    bank.expect_balance("balance 4 version 4").unwrap();
    bank.expect_balance("balance 10 at +30 version 2").unwrap();
}

#[test]
fn a_command_begins_by_its_deadline_or_never() {
    table(&[
        ("before it", "wait 9", "grant 5 deadline=+10", "ok change=5"),
        ("at it", "wait 10", "grant 5 deadline=+10", "ok change=5"),
        ("one microsecond after it", "wait 10.000001", "grant 5 deadline=+10", "error busy; balance 0"),
        (
            "a repetition after it is busy too",
            "grant 5 idempotency_key=k deadline=+10; wait 11",
            "grant 5 idempotency_key=k deadline=+10",
            "error busy; balance 5",
        ),
        (
            "it is no part of what is asked",
            "grant 5 idempotency_key=k deadline=+10; wait 11",
            "grant 5 idempotency_key=k deadline=+20",
            "ok idempotent_replay=true; balance 5",
        ),
        (
            "what was busy left nothing under its key",
            "wait 11; try grant 5 idempotency_key=k deadline=+10",
            "grant 7 idempotency_key=k",
            "ok change=7; balance 7",
        ),
        ("shape first", "wait 11", "grant 0 deadline=+10", "denied amount_invalid"),
    ]);
}

#[test]
fn a_group_begins_whole_or_not_at_all() {
    let mut bank = Bank::in_memory();
    bank.given("wait 11").unwrap();
    let grant = |deadline: Option<&str>| {
        let fields = json!({"command": "grant", "tenant_id": "acme", "owner": "user:u1", "type": "trial", "amount": 5, "deadline": deadline});
        Command::from_json(&fields.to_string()).unwrap()
    };
    let commands = vec![grant(None), grant(Some("2026-01-01T00:00:10Z"))];
    let refused = bank.engine.execute_all(commands.clone()).unwrap_err();
    assert_eq!(refused.index, None);
    assert!(matches!(refused.failure, Failure::Failed(Error::Busy(_))), "{refused:?}");
    bank.expect_balance("balance 0").unwrap();
    // Of a batch only the late one.
    let answers = bank.engine.execute_many(commands.clone());
    assert!(answers[0].is_ok() && matches!(answers[1], Err(Failure::Failed(Error::Busy(_)))));
    assert!(matches!(bank.engine.submit(commands[1].clone()), Err(Failure::Failed(Error::Busy(_)))));
    assert!(matches!(bank.engine.preview(commands[1].clone()), Err(Failure::Failed(Error::Busy(_)))));
    bank.expect_balance("balance 5").unwrap();
}

#[test]
fn a_denial_is_remembered_when_asked_for() {
    table(&[
        ("off by default", "try charge 5 idempotency_key=k; grant 9", "charge 5 idempotency_key=k", "ok change=-5"),
        (
            "the same denial, whatever has changed",
            "try charge 5 idempotency_key=k remember_denials=true; grant 9",
            "charge 5 idempotency_key=k remember_denials=true",
            "denied insufficient_balance needed=5 available=0; balance 9",
        ),
        (
            "another command under the key",
            "try charge 5 idempotency_key=k remember_denials=true; grant 9",
            "charge 4 idempotency_key=k remember_denials=true",
            "denied idempotency_conflict field=amount",
        ),
        (
            "without the option it is another command",
            "try charge 5 idempotency_key=k remember_denials=true; grant 9",
            "charge 5 idempotency_key=k",
            "denied idempotency_conflict field=remember_denials",
        ),
        (
            "what is accepted is replayed as ever",
            "grant 9; charge 5 idempotency_key=k remember_denials=true",
            "charge 5 idempotency_key=k remember_denials=true",
            "ok change=-5 idempotent_replay=true; balance 4",
        ),
        ("it needs a key", "grant 9", "charge 5 remember_denials=true", "denied payload_invalid field=idempotency_key"),
        (
            "shape is not remembered",
            "grant 9; try charge 0 idempotency_key=k remember_denials=true",
            "charge 1 idempotency_key=k",
            "ok change=-1",
        ),
        (
            "a conflict does not take the place of what is there",
            "grant 9; charge 1 idempotency_key=k; try charge 2 idempotency_key=k remember_denials=true",
            "charge 1 idempotency_key=k",
            "ok change=-1 idempotent_replay=true",
        ),
        (
            "it touches no account",
            "grant 9; try charge 99 idempotency_key=k remember_denials=true",
            "charge 1 expected_version=1",
            "ok version=2",
        ),
        (
            "a version conflict is remembered like any other",
            "grant 9; try charge 1 idempotency_key=k remember_denials=true expected_version=0",
            "charge 1 idempotency_key=k remember_denials=true expected_version=0",
            "denied version_conflict expected=0 version=1",
        ),
        (
            "what is due stays due",
            "grant 9 expires_at=+60; wait 60; try charge 1 idempotency_key=k remember_denials=true",
            "settle expected_version=1",
            "ok booked=1",
        ),
    ]);
}

fn charge(amount: u32, key: &str) -> Command {
    let fields = json!({"command": "charge", "tenant_id": "acme", "payer": "user:u1", "amount": amount, "idempotency_key": key,
        "remember_denials": true});
    Command::from_json(&fields.to_string()).unwrap()
}

#[test]
fn a_group_remembers_no_denial() {
    let mut bank = Bank::in_memory();
    let refused = bank.engine.execute_all(vec![charge(5, "k"), charge(6, "l")]).unwrap_err();
    assert_eq!(refused.index, Some(0));
    bank.given("grant 20").unwrap();
    assert_eq!(bank.engine.execute_all(vec![charge(5, "k"), charge(6, "l")]).unwrap().len(), 2);
}

#[test]
fn a_preview_remembers_nothing() {
    let mut bank = Bank::in_memory();
    assert_eq!(bank.engine.preview(charge(5, "k")).unwrap_err().denial().unwrap().name(), "insufficient_balance");
    let recorded = bank.engine.recording_of(charge(5, "k")).unwrap();
    assert!(matches!(recorded.decide(), drawdown::decide::Decision::Remembered(..)));
    bank.given("grant 9").unwrap();
    assert!(bank.engine.run(charge(5, "k")).is_ok());
    // What is remembered is previewed so.
    bank.engine.run(charge(50, "l")).unwrap_err();
    bank.given("grant 90").unwrap();
    assert_eq!(bank.engine.preview(charge(50, "l")).unwrap_err().denial().unwrap().details()["available"], "4");
}

#[test]
fn a_batch_sees_the_denials_that_it_remembers() {
    let bank = Bank::in_memory();
    let answers = bank.engine.execute_many(vec![charge(5, "k"), charge(5, "k"), charge(6, "k")]);
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[2].as_ref().unwrap_err().denial().unwrap().name(), "idempotency_conflict");
}

#[test]
fn a_remembered_denial_stands_in_the_feed_and_in_no_account() {
    let folder = tempfile::tempdir().unwrap();
    for (name, store) in drawdown_tests::stores(&folder.path().join("books.db")) {
        let mut bank = Bank::new(store, drawdown::TenantPolicy::default());
        bank.given("grant 3").unwrap();
        let refused = bank.engine.run(charge(5, "k")).unwrap_err();
        let feed = bank.engine.feed(None, 0, 10).unwrap();
        let operation = &feed[1].operation;
        assert_eq!(operation.denial.as_deref(), refused.denial(), "{name}");
        assert_eq!((operation.account.as_ref(), operation.entry_count, feed[1].entries.len()), (None, 0, 0), "{name}");
        let tenant = "acme".parse().unwrap();
        assert_eq!(bank.engine.feed(Some(&tenant), 1, 10).unwrap(), feed[1..], "{name}");
        assert_eq!(bank.engine.operation_by_key(&tenant, &"k".parse().unwrap()).unwrap().as_ref(), Some(&feed[1]), "{name}");
        let report = bank.engine.verify().unwrap();
        assert!(report.is_clean(), "{name}: {report:?}");
        assert_eq!((report.accounts, report.entries), (1, 1), "{name}");
        // A key that stands for a denial is one in a group as well.
        let again = bank.engine.execute_all(vec![charge(5, "k")]).unwrap_err();
        assert_eq!(again.failure, refused, "{name}");
    }
}
