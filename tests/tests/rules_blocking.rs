//! Blocking: of an account, a user, a tenant; what is refused then, and what goes on.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use drawdown::{Block, BlockTarget, Body, Charge, Context, Engine, Owner, PlaceHold, Unblock};
use drawdown_tests::script::{Bank, table};

#[test]
fn what_is_refused() {
    table(&[
        (
            "a charge in a blocked tenant",
            "grant 5; block target=tenant",
            "charge 1",
            "denied blocked target=tenant since=2026-01-01T00:00:00.000000Z retryable=false; balance 5",
        ),
        ("a hold in a blocked tenant", "grant 5; block target=tenant", "hold 1", "denied blocked; balance 5"),
        ("the pool of a blocked tenant", "grant 5 owner=pool; block target=tenant", "charge 1 payer=pool", "denied blocked"),
        ("another tenant is free", "grant 5; block target=tenant tenant_id=other", "charge 1", "ok balance_after=4"),
        (
            "a charge from a blocked account",
            "grant 5; block target=account:user:u1",
            "charge 1",
            r#"denied blocked target={"account":{"owner":"user:u1","unit":"credit"}}"#,
        ),
        ("a hold from a blocked account", "grant 5; block target=account:user:u1", "hold 1", "denied blocked"),
        ("the account of another unit is free", "grant 5 unit=UC; grant 5; block target=account:user:u1/UC", "charge 1", "ok"),
        (
            "the account of that unit is not",
            "grant 5 unit=UC; block target=account:user:u1/UC",
            "charge 1 unit=UC",
            "denied blocked",
        ),
        ("the account of another owner is free", "grant 5 owner=pool; grant 5; block target=account:pool", "charge 1", "ok"),
        (
            "a user who pays",
            "grant 5; wait 5; block target=user:u1",
            "charge 1",
            r#"denied blocked target={"user":"u1"} since=2026-01-01T00:00:05.000000Z"#,
        ),
        ("in any unit", "grant 5 unit=UC; block target=user:u1", "hold 1 unit=UC", "denied blocked"),
        (
            "a user who acts",
            "grant 5 owner=pool; block target=user:u2",
            "charge 1 payer=pool user_id=u2",
            r#"denied blocked target={"user":"u2"}"#,
        ),
        ("a user who has another pay", "grant 5; block target=user:u2", "hold 1 user_id=u2", "denied blocked"),
        (
            "a user for whom another acts",
            "grant 5; block target=user:u1",
            "charge 1 user_id=u2",
            r#"denied blocked target={"user":"u1"}"#,
        ),
        ("another user is free", "grant 5; block target=user:u2", "charge 1 user_id=u1", "ok"),
        (
            "an organization of the name of a user is free",
            "set_member organization_id=u9; grant 5 owner=organization:u9; block target=user:u9",
            "charge 1 payer=organization:u9 user_id=u1",
            "ok",
        ),
        ("an unblocked tenant", "grant 5; block target=tenant; unblock target=tenant", "charge 1", "ok balance_after=4"),
        ("an unblocked user", "grant 5; block target=user:u1; unblock target=user:u1", "hold 1", "ok"),
        ("an unblocked account", "grant 5; block target=account:user:u1; unblock target=account:user:u1", "charge 1", "ok"),
        (
            "one of two blocks is enough",
            "grant 5; block target=tenant; block target=user:u1; unblock target=tenant",
            "charge 1",
            "denied blocked",
        ),
    ]);
}

#[test]
fn what_goes_on() {
    let blocks = ["target=tenant", "target=user:u1", "target=account:user:u1"];
    for block in blocks {
        let given = |rest: &str| {
            format!("grant 10 as=g; hold 4 user_id=u1 over_capture=draw late_commit=draw as=h; charge 2 as=c; block {block}{rest}")
        };
        table(&[
            ("a capture", &given(""), "capture h 3", "ok captured=3 status=committed; balance 5"),
            ("a capture above the hold", &given(""), "capture h 6", "ok captured=6; balance 2"),
            ("a late commit", &given("; wait 900"), "capture h 4", "ok captured=4 status=committed; balance 4"),
            ("an extension", &given(""), "extend h expire_in=3600", "ok"),
            ("a release", &given(""), "release h", "ok released=4; balance 8"),
            ("a refund", &given(""), "refund ledger_id=@c", "ok refunded=2; balance 6 frozen 4"),
            ("a grant", &given(""), "grant 1", "ok; balance 5 frozen 4"),
            ("an adjustment", &given(""), "adjust -1", "ok; balance 3 frozen 4"),
            ("the voiding of a grant", &given(""), "void g", "ok forfeited=4; balance 0 frozen 4"),
            ("settling", &given("; wait 900"), "settle", "ok booked=1; balance 8"),
        ]);
    }
}

#[test]
fn where_it_stands_among_the_checks() {
    table(&[
        ("after the shape", "grant 5; block target=tenant", "charge 0", "denied amount_invalid"),
        (
            "after a replay",
            "grant 5; charge 1 idempotency_key=k; block target=tenant",
            "charge 1 idempotency_key=k",
            "ok idempotent_replay=true",
        ),
        (
            "after another command under the key",
            "grant 5; charge 1 idempotency_key=k; block target=tenant",
            "charge 2 idempotency_key=k",
            "denied idempotency_conflict",
        ),
        ("after the owner", "block target=tenant", "charge 1 payer=-", "denied owner_invalid"),
        (
            "before membership",
            "grant 5 owner=organization:o1; block target=tenant",
            "charge 1 payer=organization:o1 user_id=u1",
            "denied blocked",
        ),
        ("before the task", "grant 5; hold 1 task_id=t; block target=tenant", "hold 1 task_id=t", "denied blocked"),
        ("before the balance", "grant 5; block target=user:u1", "charge 9", "denied blocked"),
        ("in an account without entries", "block target=user:u7", "charge 1 payer=user:u7", "denied blocked"),
    ]);
}

#[test]
fn blocking_and_unblocking() {
    table(&[
        ("a tenant", "", "block target=tenant", "ok target=tenant blocked=true changed=true operator=ops reason=test"),
        ("a tenant again", "block target=tenant", "block target=tenant", "ok blocked=true changed=false"),
        (
            "a tenant again does not change since when",
            "grant 5; block target=tenant; wait 9; block target=tenant",
            "charge 1",
            "denied blocked since=2026-01-01T00:00:00.000000Z",
        ),
        ("a tenant that is not blocked", "", "unblock target=tenant", "ok blocked=false changed=false"),
        ("a user that nobody knows", "", "block target=user:u9", "ok changed=true"),
        ("a user again", "block target=user:u9", "block target=user:u9", "ok changed=false"),
        (
            "an account",
            "grant 5",
            "block target=account:user:u1",
            r#"ok target={"account":{"owner":"user:u1","unit":"credit"}} changed=true; balance 5"#,
        ),
        (
            "an account again",
            "grant 5; block target=account:user:u1",
            "block target=account:user:u1",
            "ok changed=false operator=ops reason=test",
        ),
        ("an account that is not blocked", "grant 5", "unblock target=account:user:u1", "ok blocked=false changed=false"),
        ("an account that never had an entry", "", "block target=account:user:u1", "denied account_not_found"),
        ("an account of another unit", "grant 5", "block target=account:user:u1/UC", "denied account_not_found"),
        ("an account settles first", "grant 5 expires_at=+60; wait 60", "block target=account:user:u1", "ok; balance 0"),
        (
            "a replay",
            "block target=tenant idempotency_key=k; unblock target=tenant",
            "block target=tenant idempotency_key=k",
            "ok changed=true idempotent_replay=true",
        ),
        (
            "another target under the key",
            "block target=tenant idempotency_key=k",
            "block target=user:u1 idempotency_key=k",
            "denied idempotency_conflict field=user_id",
        ),
        (
            "another command under the key",
            "block target=tenant idempotency_key=k",
            "unblock target=tenant idempotency_key=k",
            "denied idempotency_conflict field=command",
        ),
        ("no target", "", "block", "denied payload_invalid field=target"),
        ("a target without a name", "", "block target=user", "denied payload_invalid field=target.user"),
        ("an organization", "", "block target=organization:o1", "denied payload_invalid field=target"),
        ("no operator", "", "block target=tenant operator=-", "denied payload_invalid field=operator"),
        ("no reason", "", "block target=tenant reason=-", "denied payload_invalid field=reason"),
    ]);
}

#[test]
fn the_clock_is_never_behind_the_last_word() {
    table(&[
        ("of a tenant", "grant 5; wait 9; block target=tenant; unblock target=tenant; at +5", "charge 1", "ok created_at=+9"),
        ("of a user who acts", "grant 5; wait 9; unblock target=user:u2; at +5", "hold 1 user_id=u2", "ok expires_at=+909"),
        ("of one who is not concerned", "grant 5; wait 9; unblock target=user:u2; at +5", "charge 1", "ok created_at=+5"),
        ("more than five seconds", "grant 5; wait 9; unblock target=tenant; at +3", "charge 1", "error clock_behind"),
        ("a grant is not concerned", "wait 9; unblock target=tenant; at +3", "grant 1", "ok created_at=+3"),
    ]);
}

#[test]
fn a_batch_sees_its_own_blocks() {
    let engine = Engine::in_memory();
    let acme = Context::tenant("acme").unwrap();
    let user = Owner::user("u1").unwrap();
    let grant = drawdown::GrantCredit::new(user.clone(), drawdown::GrantType::Trial, "5".parse().unwrap());
    let charge = || Body::from(Charge::new(user.clone(), "1".parse().unwrap()));
    let target = BlockTarget::User("u1".parse().unwrap());
    let block = Block::new(target.clone(), "ops", "a doubt").unwrap();
    let unblock = Unblock::new(target, "ops", "none").unwrap();
    let bodies = [
        grant.into(),
        charge(),
        block.into(),
        charge(),
        PlaceHold::new(user.clone(), "1".parse().unwrap()).into(),
        unblock.into(),
        charge(),
    ];
    let answers = engine.execute_many(bodies.into_iter().map(|body: Body| acme.request(body)).collect());
    let accepted: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(accepted, [true, true, true, false, false, true, true]);
}

#[test]
fn reads_say_what_stands_in_the_way() {
    let mut bank = Bank::in_memory();
    for statement in ["grant 5", "block target=tenant", "wait 5", "block target=account:user:u1", "block target=user:u2"] {
        bank.given(statement).unwrap();
    }
    let acme = Context::tenant("acme").unwrap();
    let account = acme.account(Owner::user("u1").unwrap(), "credit").unwrap();
    let u2 = "u2".parse().unwrap();
    let blocks = serde_json::to_value(bank.engine.blocks(&account, Some(&u2)).unwrap()).unwrap();
    assert_eq!((&blocks[0]["target"], &blocks[0]["since"]), (&"tenant".into(), &"2026-01-01T00:00:00.000000Z".into()));
    assert_eq!((&blocks[1]["target"]["account"]["owner"], &blocks[2]["target"]["user"]), (&"user:u1".into(), &"u2".into()));
    assert_eq!(blocks.as_array().unwrap().len(), 3);
    let explained = bank.engine.explain(&account, "1".parse().unwrap(), None, None).unwrap();
    assert_eq!((explained.blocked.len(), explained.missing.is_zero()), (2, true));
    let charge = acme.request(Charge::new(Owner::user("u1").unwrap(), "1".parse().unwrap()));
    assert_eq!(bank.engine.preview(charge).unwrap_err().denial().unwrap().name(), "blocked");
    assert!(bank.engine.verify().unwrap().is_clean());
}
