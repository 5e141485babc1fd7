//! Credit limits: how far a balance may go below zero, and what repays it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use drawdown::{AccountKey, ConsumptionOrder, ExpiredRefund, GrantId, GrantType, TenantPolicy};
use drawdown_tests::script::{Bank, table, table_under};
use serde_json::json;

#[test]
fn a_balance_goes_down_to_minus_the_limit() {
    table(&[
        ("no limit", "grant 5", "charge 6", "denied insufficient_balance needed=6 available=5 credit_left=0; balance 5"),
        ("reached exactly", "set_credit_limit 5", "charge 5", "ok balance_after=-5 draw=debt:5; balance -5 owed 5"),
        (
            "a millionth over",
            "set_credit_limit 5",
            "charge 5.000001",
            "denied insufficient_balance needed=5.000001 available=0 balance=0 credit_left=5; balance 0 owed 0",
        ),
        (
            "after all grants",
            "grant 3 as=g; set_credit_limit 5",
            "charge 8",
            "ok draw=g:3,debt:5 balance_after=-5; balance -5 owed 5",
        ),
        (
            "grants and limit, a millionth over",
            "grant 3; set_credit_limit 5",
            "charge 8.000001",
            "denied insufficient_balance needed=8.000001 available=3 credit_left=5; balance 3 owed 0",
        ),
        ("what is used is used", "set_credit_limit 5; charge 3", "charge 2.000001", "denied insufficient_balance credit_left=2"),
        ("up to the rest", "set_credit_limit 5; charge 3", "charge 2", "ok balance_after=-5; balance -5 owed 5"),
        ("a hold", "grant 1 as=g; set_credit_limit 5", "hold 4", "ok draw=g:1,debt:3 frozen_after=4; balance -3 frozen 4 owed 0"),
        ("what is held counts", "set_credit_limit 5; hold 3", "charge 3", "denied insufficient_balance credit_left=2"),
        (
            "a capture above the hold",
            "grant 1 as=g; set_credit_limit 2; hold 1 over_capture=draw as=h",
            "capture h 3",
            "ok draw=g:1,debt:2 change=-2; balance -2 owed 2",
        ),
        (
            "a capture above the hold, too much",
            "grant 1; set_credit_limit 2; hold 1 over_capture=draw as=h",
            "capture h 3.000001",
            "denied insufficient_balance credit_left=2; balance 0 frozen 1",
        ),
        (
            "a late capture",
            "set_credit_limit 2; hold 1 late_commit=draw expire_in=60 as=h; wait 60",
            "capture h 2",
            "ok draw=debt:2; balance -2 owed 2",
        ),
        ("another unit has its own", "set_credit_limit 5", "charge 1 unit=UC", "denied insufficient_balance credit_left=0"),
        (
            "in another unit",
            "set_credit_limit 5 unit=UC; set_credit_limit 2",
            "charge 5 unit=UC",
            "ok balance_after=-5; balance 0; balance -5 owed 5 unit UC",
        ),
        ("another owner has its own", "set_credit_limit 5", "charge 1 payer=pool", "denied insufficient_balance credit_left=0"),
        (
            "a grant for another app pays not, the limit does",
            "grant 9 scope.app_id=x; set_credit_limit 5",
            "charge 5 app_id=y",
            "ok draw=debt:5 balance_after=4; balance 4 owed 5",
        ),
    ]);
}

#[test]
fn what_is_granted_next_repays_first() {
    table(&[
        ("a part", "set_credit_limit 9; charge 5", "grant 2", "ok change=2 repaid=2 balance_after=-3; balance -3 owed 3"),
        ("exactly", "set_credit_limit 9; charge 5", "grant 5", "ok repaid=5 balance_after=0; balance 0 owed 0"),
        ("more", "set_credit_limit 9; charge 5", "grant 7", "ok repaid=5 balance_after=2; balance 2 owed 0"),
        ("what is left can be drawn", "set_credit_limit 9; charge 5; grant 7 as=g; set_credit_limit 0", "charge 2", "ok draw=g:2"),
        (
            "and no more",
            "set_credit_limit 9; charge 5; grant 7; set_credit_limit 0",
            "charge 3",
            "denied insufficient_balance available=2",
        ),
        ("nothing owed", "set_credit_limit 9", "grant 7", "ok repaid=0 balance_after=7"),
        ("an adjustment", "set_credit_limit 9; charge 5", "adjust 7", "ok change=7 balance_after=2; balance 2 owed 0"),
        ("a scoped grant too", "set_credit_limit 9; charge 5", "grant 7 scope.app_id=x", "ok repaid=5; balance 2 owed 0"),
        ("one of another unit does not", "set_credit_limit 9; charge 5", "grant 7 unit=UC", "ok repaid=0; balance -5 owed 5"),
        (
            "a pending one not yet",
            "set_credit_limit 9; charge 5",
            "grant 7 effective_at=+60",
            "ok change=0 repaid=0; balance -5 owed 5",
        ),
        (
            "a pending one when it begins",
            "set_credit_limit 9; charge 5; grant 7 effective_at=+60; wait 60",
            "settle",
            "ok booked=1; balance 2 owed 0",
        ),
        (
            "read when it has begun",
            "set_credit_limit 9; charge 5; grant 7 effective_at=+60",
            "wait 60",
            "ok; balance 2 owed 0; balance -5 at +59",
        ),
        (
            "one that begins and ends",
            "set_credit_limit 9; charge 5; grant 7 effective_at=+60 expires_at=+70; wait 80",
            "settle",
            "ok booked=2; balance 0 owed 0",
        ),
        (
            "two that begin, the first first",
            "set_credit_limit 9; charge 5; grant 4 effective_at=+70 type=plan as=b; grant 3 effective_at=+60 type=plan as=a; wait 90",
            "charge 2",
            "ok draw=b:2; balance 0 owed 0",
        ),
        (
            "what is held is not repaid",
            "set_credit_limit 9; hold 5",
            "grant 7",
            "ok repaid=0 balance_after=2; balance 2 frozen 5 owed 0",
        ),
        (
            "an expiry repays nothing",
            "grant 6 scope.app_id=x expires_at=+60; set_credit_limit 9; charge 5; wait 60",
            "settle",
            "ok booked=1; balance -5 owed 5",
        ),
        (
            "what a hold gives back repays nothing",
            "grant 6 as=g; hold 6 as=h; set_credit_limit 9; charge 5",
            "release h",
            "ok change=6; balance 1 owed 5",
        ),
        (
            "a reissue repays",
            "grant 6 expires_at=+60; charge 6 as=c; wait 60; set_credit_limit 9; charge 5",
            "refund ledger_id=@c",
            "ok change=6 refunded=6 forfeited=0; balance 1 owed 0",
        ),
        (
            "a voided grant keeps repaid what it repaid",
            "set_credit_limit 9; charge 5; grant 7 as=g",
            "void g",
            "ok forfeited=2; balance 0 owed 0",
        ),
    ]);
}

#[test]
fn what_a_rule_gives_repays_first() {
    table(&[
        ("the instance in force", "set_credit_limit 9; charge 5", "recur 7", "ok change=7 balance_after=2; balance 2 owed 0"),
        ("at a boundary", "recur 2 starts_at=+60; set_credit_limit 9; charge 5; wait 60", "settle", "ok; balance -3 owed 3"),
        (
            "period by period until nothing is owed",
            "recur 2 starts_at=+60; set_credit_limit 9; charge 5; at +2d; wait 60",
            "settle",
            "ok; balance 1 owed 0",
        ),
        (
            "then the periods are whole again",
            "recur 2 starts_at=+60; set_credit_limit 9; charge 5; at +400d; wait 60",
            "settle",
            "ok; balance 2 owed 0",
        ),
        (
            "what is carried over is no new credit",
            "grant 1 scope.app_id=x; recur 2 rollover_cap=2 as=r; set_credit_limit 9; charge 4; at +1d",
            "settle",
            "ok; balance 1 owed 0",
        ),
        ("a limit beyond a thousand periods", "recur 0.001", "set_credit_limit 1.001", "denied amount_invalid field=credit_limit"),
        ("a limit of a thousand periods", "recur 0.001", "set_credit_limit 1", "ok credit_limit=1"),
        ("a rule too small for the limit", "set_credit_limit 2", "recur 0.001", "denied amount_invalid field=amount"),
        ("a type that is nobody's", "wait 0", "recur 1 type=debt", "denied payload_invalid field=type"),
    ]);
}

#[test]
fn a_hold_on_credit_takes_its_course() {
    table(&[
        ("captured", "set_credit_limit 5; hold 3 as=h", "capture h 3", "ok draw=debt:3; balance -3 owed 3"),
        (
            "a part captured, the rest given back",
            "grant 1 as=g; set_credit_limit 5; hold 4 as=h",
            "capture h 2",
            "ok draw=g:1,debt:1 change=2; balance -1 owed 1",
        ),
        (
            "released, the credit limit first",
            "grant 1; set_credit_limit 5; hold 4 as=h",
            "release h 3 idempotency_key=k",
            "ok released=3 change=3; balance 0 frozen 1 owed 0",
        ),
        ("released", "set_credit_limit 5; hold 3 as=h", "release h", "ok change=3; balance 0 owed 0"),
        ("expired", "set_credit_limit 5; hold 3 expire_in=60; wait 60", "settle", "ok booked=1; balance 0 owed 0"),
        ("expired, then the limit is free", "set_credit_limit 5; hold 3 expire_in=60; wait 60", "charge 5", "ok balance_after=-5"),
        (
            "captured after a grant came",
            "set_credit_limit 5; hold 3 as=h; grant 10 as=g",
            "capture h 3",
            "ok draw=g:3 change=0 balance_after=7; balance 7 owed 0",
        ),
        (
            "captured after less came",
            "set_credit_limit 5; hold 3 as=h; grant 1 as=g",
            "capture h 3",
            "ok draw=g:1,debt:2 change=0; balance -2 owed 2",
        ),
        (
            "captured in parts",
            "set_credit_limit 5; hold 3 as=h; grant 10 as=g",
            "capture h 2 final=false idempotency_key=k",
            "ok draw=g:2 held=1; balance 7 frozen 1 owed 0",
        ),
        (
            "captured in parts, the second",
            "set_credit_limit 5; hold 3 as=h; grant 10 as=g; capture h 2 final=false idempotency_key=k",
            "capture h 1",
            "ok draw=g:1; balance 7 owed 0",
        ),
        (
            "captured with more, after a grant came",
            "set_credit_limit 5; hold 3 over_capture=draw as=h; grant 4 as=g",
            "capture h 6",
            "ok draw=g:4,debt:2; balance -2 owed 2",
        ),
        (
            "a grant for another app does not pay",
            "set_credit_limit 5; hold 3 app_id=x as=h; grant 10 scope.app_id=y",
            "capture h 3",
            "ok draw=debt:3; balance 7 owed 3",
        ),
        (
            "a grant for its app and template does",
            "set_credit_limit 5; hold 3 app_id=x template_id=a as=h; grant 10 scope.app_id=x scope.template_id=a as=g",
            "capture h 3",
            "ok draw=g:3; balance 7 owed 0",
        ),
        (
            "only what is captured of the credit limit is paid so",
            "grant 2 as=a; set_credit_limit 5; hold 5 as=h; grant 10 as=g",
            "capture h 2",
            "ok draw=a:2 change=3; balance 10 owed 0",
        ),
        (
            "captured though the limit was lowered",
            "set_credit_limit 5; hold 3 as=h; grant 1 as=g; set_credit_limit 0",
            "capture h 3",
            "ok draw=g:1,debt:2; balance -2 owed 2",
        ),
    ]);
}

#[test]
fn a_refund_gives_back_what_was_drawn_on_credit() {
    table(&[
        ("still owed", "set_credit_limit 5; charge 3 as=c", "refund ledger_id=@c", "ok change=3 refunded=3; balance 0 owed 0"),
        (
            "repaid since",
            "set_credit_limit 5; charge 3 as=c; grant 3",
            "refund ledger_id=@c",
            "ok change=3 refunded=3 forfeited=0; balance 3 owed 0",
        ),
        (
            "partly repaid",
            "set_credit_limit 5; charge 3 as=c; grant 1",
            "refund ledger_id=@c",
            "ok change=3 refunded=3; balance 1 owed 0",
        ),
        (
            "the credit limit first",
            "grant 2; set_credit_limit 5; charge 5 as=c",
            "refund 3 ledger_id=@c idempotency_key=k",
            "ok change=3; balance 0 owed 0",
        ),
        (
            "then the grants",
            "grant 2 as=g; set_credit_limit 5; charge 5 as=c; refund 3 ledger_id=@c idempotency_key=k",
            "refund ledger_id=@c",
            "ok change=2; balance 2 owed 0",
        ),
        (
            "what another charge owes",
            "set_credit_limit 5; charge 3 as=c; grant 3; charge 2",
            "refund ledger_id=@c",
            "ok change=3; balance 1 owed 0",
        ),
        (
            "once",
            "set_credit_limit 5; charge 3 as=c; grant 3; refund ledger_id=@c",
            "refund ledger_id=@c",
            "denied refund_duplicate",
        ),
        (
            "of a task, the latest first",
            "set_credit_limit 9; charge 3 task_id=t; charge 2 task_id=t",
            "refund 4 task_id=t idempotency_key=k",
            "ok change=4; balance -1 owed 1",
        ),
        (
            "of a capture",
            "set_credit_limit 5; hold 3 as=h; capture h 3 as=c",
            "refund ledger_id=@c",
            "ok change=3; balance 0 owed 0",
        ),
        (
            "what comes back for repaid debt does not expire",
            "set_credit_limit 5; charge 3 as=c; grant 3; refund ledger_id=@c; wait 900d",
            "charge 3",
            "ok balance_after=0; balance 0 owed 0",
        ),
    ]);
    let forfeit = TenantPolicy { expired_refund: ExpiredRefund::Forfeit, ..TenantPolicy::default() };
    table_under(
        &forfeit,
        &[(
            "never forfeited",
            "set_credit_limit 5; charge 3 as=c; grant 3 expires_at=+60; wait 60",
            "refund ledger_id=@c",
            "ok change=3 forfeited=0; balance 3 owed 0",
        )],
    );
}

#[test]
fn a_limit_is_set_and_lowered() {
    table(&[
        ("set", "wait 0", "set_credit_limit 5", "ok credit_limit=5 balance_after=0"),
        ("nothing", "set_credit_limit 5", "set_credit_limit 0", "ok credit_limit=0"),
        ("below nothing", "wait 0", "set_credit_limit -1", "denied amount_invalid field=credit_limit given=-1"),
        (
            "beyond what a balance can be",
            "grant 9000000000000",
            "set_credit_limit 300000000000",
            "denied amount_invalid field=credit_limit",
        ),
        (
            "then what is granted must leave room for it",
            "set_credit_limit 9000000000000",
            "grant 300000000000",
            "denied amount_invalid field=amount",
        ),
        ("lowered below the debt", "set_credit_limit 5; charge 4", "set_credit_limit 1", "ok; balance -4 owed 4"),
        (
            "then nothing more is drawn",
            "set_credit_limit 5; charge 4; set_credit_limit 1",
            "charge 0.000001",
            "denied insufficient_balance credit_left=0",
        ),
        (
            "not of grants either, below minus the limit",
            "grant 6; hold 6 as=h; set_credit_limit 9; charge 5; release h; set_credit_limit 0",
            "charge 1.000001",
            "denied insufficient_balance needed=1.000001 available=1 balance=1 credit_left=0",
        ),
        (
            "of grants down to minus the limit",
            "grant 6; hold 6 as=h; set_credit_limit 9; charge 5; release h; set_credit_limit 3",
            "charge 4",
            "ok balance_after=-3; balance -3 owed 5",
        ),
        (
            "a balance below minus the limit pays for nothing, but work that costs nothing",
            "grant 6; hold 6 as=h; set_credit_limit 9; charge 9; release h; set_credit_limit 2",
            "hold 0",
            "ok; balance -3 owed 9",
        ),
        (
            "what is held by then is captured",
            "grant 6 as=g; hold 6 as=h; set_credit_limit 9; charge 5; set_credit_limit 0",
            "capture h 6",
            "ok draw=g:6; balance -5 owed 5",
        ),
        (
            "what is repaid is free again",
            "set_credit_limit 5; charge 4; set_credit_limit 1; grant 4",
            "charge 1",
            "ok balance_after=-1",
        ),
        (
            "the same again under its key",
            "set_credit_limit 5 idempotency_key=k; set_credit_limit 0",
            "set_credit_limit 5 idempotency_key=k",
            "ok idempotent_replay=true credit_limit=5",
        ),
        (
            "another under its key",
            "set_credit_limit 5 idempotency_key=k",
            "set_credit_limit 6 idempotency_key=k",
            "denied idempotency_conflict field=credit_limit",
        ),
        (
            "a charge again, whatever was granted since",
            "set_credit_limit 5; charge 4 idempotency_key=k; grant 9",
            "charge 4 idempotency_key=k",
            "ok idempotent_replay=true balance_after=-4 draw=debt:4; balance 5 owed 0",
        ),
    ]);
}

#[test]
fn an_operator_takes_nothing_on_credit() {
    table(&[
        ("nothing there", "set_credit_limit 5", "adjust -1", "denied insufficient_balance needed=1 available=0 credit_left=0"),
        ("no more than is there", "grant 3; set_credit_limit 5", "adjust -4", "denied insufficient_balance available=3"),
        ("what is there", "grant 3; set_credit_limit 5", "adjust -3", "ok balance_after=0"),
        (
            "not below zero beside a debt",
            "grant 6 as=g; hold 6 as=h; set_credit_limit 9; charge 5; release h",
            "adjust -2",
            "denied insufficient_balance needed=2 available=1; balance 1 owed 5",
        ),
        (
            "down to zero beside a debt",
            "grant 6 as=g; hold 6 as=h; set_credit_limit 9; charge 5; release h",
            "adjust -1",
            "ok balance_after=0; balance 0 owed 5",
        ),
    ]);
}

#[test]
fn the_type_of_a_debt_is_nobodys_to_name() {
    let why = drawdown::Command::from_json(
        &json!({"command": "grant", "tenant_id": "acme", "owner": "pool", "type": "debt", "amount": 1}).to_string(),
    );
    let why = why.unwrap_err();
    assert_eq!((why.name(), &why.details()["field"]), ("payload_invalid", &json!("type")));
    let allowed = why.details()["allowed"].as_str().unwrap();
    assert!(allowed.contains("import") && !allowed.contains("debt"), "{allowed}");
    let typed = drawdown::GrantCredit::new(drawdown::Owner::Pool, GrantType::Debt, "1".parse().unwrap());
    let why = drawdown::Context::tenant("acme").unwrap().request(typed).into_command().check().unwrap_err();
    assert_eq!((why.name(), &why.details()["field"]), ("payload_invalid", &json!("type")));
    let why = ConsumptionOrder::new(vec![GrantType::Trial, GrantType::Debt]).unwrap_err();
    assert_eq!(why.details()["given"], "debt");
    assert!(!why.details()["allowed"].as_str().unwrap().contains("debt"));
    assert!("debt".parse::<GrantType>().is_err());
    for word in ["debt", "loan"] {
        let policy = serde_json::from_value::<TenantPolicy>(json!({"consumption_order": ["trial", word]}));
        let why = policy.unwrap_err().to_string();
        assert!(why.contains("one of trial") && why.matches("debt").count() == usize::from(word == "debt"), "{why}");
    }
}

#[test]
fn an_explanation_says_what_would_be_drawn_on_credit() {
    let mut bank = Bank::in_memory();
    for statement in ["grant 3", "set_credit_limit 5", "hold 4"] {
        bank.given(statement).unwrap();
    }
    let key = AccountKey::new("acme".parse().unwrap(), "user:u1".parse().unwrap(), "credit".parse().unwrap());
    let explained = bank.engine.explain(&key, "6".parse().unwrap(), None, None).unwrap();
    let said =
        [explained.available, explained.credit_left, explained.on_credit, explained.missing].map(|amount| amount.to_string());
    assert_eq!(said, ["0", "4", "4", "2"]);
    let balance = bank.engine.balance(&key).unwrap();
    assert_eq!(balance.credit_limit, Some("5".parse().unwrap()));
    assert_eq!(GrantId::DEBT.to_string(), "grt_00000000-0000-0000-0000-000000000000");
    assert!(bank.engine.verify().unwrap().is_clean());
}
