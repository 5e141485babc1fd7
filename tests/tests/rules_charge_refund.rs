//! Charges and refunds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use drawdown::{ExpiredRefund, Operator, TenantPolicy};
use drawdown_tests::script::{table, table_under};

#[test]
fn a_charge_draws_and_books_at_once() {
    table(&[
        (
            "an amount",
            "grant 10 as=g",
            "charge 2.5 reason=call",
            "ok change=-2.5 balance_after=7.5 frozen_after=0 draw=g:2.5 reason=call; balance 7.5",
        ),
        ("all", "grant 10", "charge 10", "ok balance_after=0"),
        (
            "a millionth more",
            "grant 10",
            "charge 10.000001",
            "denied insufficient_balance needed=10.000001 available=10; balance 10",
        ),
        ("the price list that it was worked out from", "grant 10", "charge 1 price_basis=v7", "ok price_basis=v7"),
        (
            "and is answered again with",
            "grant 10; charge 1 price_basis=v7 idempotency_key=k",
            "charge 1 price_basis=v7 idempotency_key=k",
            "ok price_basis=v7 idempotent_replay=true",
        ),
        ("nothing", "grant 10", "charge 0", "denied amount_invalid field=amount given=0"),
        ("less than nothing", "grant 10", "charge -1", "denied amount_invalid field=amount given=-1"),
        ("an account that never was", "wait 0", "charge 1", "denied insufficient_balance needed=1 available=0"),
        ("held credit is not there", "grant 10; hold 8", "charge 3", "denied insufficient_balance needed=3 available=2"),
        ("expired, not yet booked", "grant 10 expires_at=+60; wait 60", "charge 1", "denied insufficient_balance available=0"),
        (
            "what a hold releases by expiring is there, not yet booked",
            "grant 10; hold 8 expire_in=60; wait 60",
            "charge 10",
            "ok balance_after=0 frozen_after=0",
        ),
        (
            "its answer follows the settlement",
            "grant 10; grant 5 expires_at=+60; wait 60",
            "charge 1",
            "ok change=-1 balance_after=9",
        ),
        ("a task can be charged often", "grant 10; charge 1 task_id=t", "charge 1 task_id=t", "ok task_id=t balance_after=8"),
        ("without a key it is executed each time", "grant 10; charge 1", "charge 1", "ok balance_after=8 idempotent_replay=false"),
    ]);
}

#[test]
fn a_task_has_at_most_1000_charges() {
    table(&[
        ("the last one", "grant 2000; 999x charge 1 task_id=t", "charge 1 task_id=t", "ok"),
        (
            "one more",
            "grant 2000; 1000x charge 1 task_id=t",
            "charge 1 task_id=t",
            "denied capacity_exceeded limit=charges_per_task allowed=1000; balance 1000",
        ),
        (
            "a capture counts",
            "grant 2000; hold 1 task_id=t as=h; 1000x charge 1 task_id=t",
            "capture h 1",
            "denied capacity_exceeded; balance 999 frozen 1",
        ),
        (
            "a capture has counted",
            "grant 2000; hold 1 task_id=t as=h; capture h 1; 999x charge 1 task_id=t",
            "charge 1 task_id=t",
            "denied capacity_exceeded",
        ),
        ("another task", "grant 2000; 1000x charge 1 task_id=t", "charge 1 task_id=u", "ok"),
        ("charges without a task are not limited", "grant 2000; 1001x charge 1", "charge 1", "ok"),
        (
            "capacity goes before the balance",
            "grant 1000; 1000x charge 1 task_id=t",
            "charge 1 task_id=t",
            "denied capacity_exceeded",
        ),
        (
            "all of them can be refunded at once",
            "grant 1000; 1000x charge 1 task_id=t",
            "refund task_id=t",
            "ok refunded=1000 balance_after=1000",
        ),
    ]);
}

#[test]
fn a_refund_restores_the_exact_grants() {
    table(&[
        ("a charge", "grant 10; charge 4 as=c", "refund ledger_id=@c", "ok change=4 refunded=4 forfeited=0 balance_after=10"),
        ("a capture", "grant 10; hold 4 as=h; capture h 3 as=c", "refund ledger_id=@c", "ok change=3 balance_after=10"),
        ("a part", "grant 10; charge 4 as=c", "refund 1 ledger_id=@c idempotency_key=k", "ok change=1 balance_after=7"),
        (
            "then the rest",
            "grant 10; charge 4 as=c; refund 1 ledger_id=@c idempotency_key=k",
            "refund ledger_id=@c",
            "ok change=3 balance_after=10",
        ),
        ("the whole amount needs no key", "grant 10; charge 4 as=c", "refund 4 ledger_id=@c", "ok change=4"),
        (
            "the whole rest needs no key",
            "grant 10; charge 4 as=c; refund 1 ledger_id=@c idempotency_key=k",
            "refund 3 ledger_id=@c",
            "ok change=3",
        ),
        (
            "a part needs one",
            "grant 10; charge 4 as=c",
            "refund 1 ledger_id=@c",
            "denied payload_invalid field=idempotency_key; balance 6",
        ),
        (
            "last drawn first",
            "grant 2 type=trial as=a; grant 5 as=b; charge 4 as=c; refund 3 ledger_id=@c idempotency_key=k",
            "charge 6",
            "ok draw=a:1,b:5",
        ),
        (
            "then the first drawn",
            "grant 2 type=trial as=a; grant 5 as=b; charge 4 as=c; refund 3 ledger_id=@c idempotency_key=k; refund ledger_id=@c",
            "charge 7",
            "ok draw=a:2,b:5",
        ),
        (
            "more than is left",
            "grant 10; charge 4 as=c",
            "refund 4.000001 ledger_id=@c idempotency_key=k",
            "denied invalid_refund_amount; balance 6",
        ),
        (
            "more than is left after a part",
            "grant 10; charge 4 as=c; refund 1 ledger_id=@c idempotency_key=k",
            "refund 3.5 ledger_id=@c idempotency_key=l",
            "denied invalid_refund_amount",
        ),
        ("nothing", "grant 10; charge 4 as=c", "refund 0 ledger_id=@c idempotency_key=k", "denied invalid_refund_amount"),
        (
            "less than nothing",
            "grant 10; charge 4 as=c",
            "refund -1 ledger_id=@c idempotency_key=k",
            "denied invalid_refund_amount",
        ),
        (
            "less than nothing, of what is refunded",
            "grant 10; charge 4 as=c; refund ledger_id=@c",
            "refund -1 ledger_id=@c idempotency_key=k",
            "denied invalid_refund_amount",
        ),
        ("twice", "grant 10; charge 4 as=c; refund ledger_id=@c", "refund ledger_id=@c", "denied refund_duplicate; balance 10"),
        (
            "an amount, twice",
            "grant 10; charge 4 as=c; refund ledger_id=@c",
            "refund 4 ledger_id=@c idempotency_key=k",
            "denied refund_duplicate",
        ),
        ("a capture of nothing", "grant 10; hold 4 as=h; capture h 0 as=c", "refund ledger_id=@c", "denied refund_duplicate"),
        (
            "credit that was refunded can be charged and refunded again",
            "grant 4; charge 4 as=a; refund ledger_id=@a; charge 4 as=b",
            "refund ledger_id=@b",
            "ok balance_after=4",
        ),
    ]);
}

#[test]
fn a_refund_names_a_charge_of_the_account() {
    table(&[
        ("unknown", "grant 10", "refund ledger_id=led_019b76da-a800-7033-837f-5ed7fe190001", "denied refund_not_allowed"),
        ("a grant", "grant 10 as=g", "refund ledger_id=@g", "denied refund_not_allowed"),
        ("a hold", "grant 10; hold 4 as=h", "refund ledger_id=@h", "denied refund_not_allowed"),
        ("a release", "grant 10; hold 4 as=h; release h as=r", "refund ledger_id=@r", "denied refund_not_allowed"),
        ("a refund", "grant 10; charge 4 as=c; refund ledger_id=@c as=r", "refund ledger_id=@r", "denied refund_not_allowed"),
        (
            "of another account",
            "grant 10; charge 4 as=c",
            "refund ledger_id=@c payer=user:u2",
            "denied refund_not_allowed; balance 6",
        ),
        (
            "of another tenant",
            "grant 10; charge 4 as=c",
            "refund ledger_id=@c tenant_id=globex",
            "denied refund_not_allowed; balance 6",
        ),
        ("an unknown task", "grant 10; charge 4 task_id=t", "refund task_id=u", "denied refund_not_allowed"),
        ("a task of another account", "grant 10; charge 4 task_id=t", "refund task_id=t payer=pool", "denied refund_not_allowed"),
        ("a task with a hold alone", "grant 10; hold 4 task_id=t", "refund task_id=t", "denied refund_not_allowed"),
        (
            "the charge is found before its amount is looked at",
            "grant 10",
            "refund 0 ledger_id=led_019b76da-a800-7033-837f-5ed7fe190001 idempotency_key=k",
            "denied refund_not_allowed",
        ),
    ]);
}

#[test]
fn a_task_is_refunded_the_latest_charge_first() {
    table(&[
        ("all of it", "grant 10; charge 1 task_id=t; charge 2 task_id=t", "refund task_id=t", "ok change=3 balance_after=10"),
        (
            "captures too",
            "grant 10; hold 4 task_id=t as=h; capture h 3; charge 2 task_id=t",
            "refund task_id=t",
            "ok change=5 balance_after=10",
        ),
        (
            "the latest first",
            "grant 2 type=trial as=a; charge 2 task_id=t; grant 5 as=b; charge 3 task_id=t; refund 3 task_id=t idempotency_key=k",
            "charge 5",
            "ok draw=b:5",
        ),
        (
            "then the one before",
            "grant 2 type=trial as=a; charge 2 task_id=t; grant 5 as=b; charge 3 task_id=t; refund 4 task_id=t idempotency_key=k",
            "charge 6",
            "ok draw=a:1,b:5",
        ),
        (
            "each keeps its own rest",
            "grant 10; charge 1 task_id=t as=c; charge 2 task_id=t; refund ledger_id=@c",
            "refund task_id=t",
            "ok change=2 balance_after=10",
        ),
        (
            "a part needs a key",
            "grant 10; charge 1 task_id=t; charge 2 task_id=t",
            "refund 2 task_id=t",
            "denied payload_invalid field=idempotency_key",
        ),
        (
            "more than is left of all",
            "grant 10; charge 1 task_id=t; charge 2 task_id=t",
            "refund 3.1 task_id=t idempotency_key=k",
            "denied invalid_refund_amount",
        ),
        (
            "twice",
            "grant 10; charge 1 task_id=t; charge 2 task_id=t; refund task_id=t",
            "refund task_id=t",
            "denied refund_duplicate",
        ),
        (
            "only what this account paid",
            "grant 10; grant 10 owner=pool; charge 1 task_id=t; charge 2 task_id=t payer=pool",
            "refund task_id=t",
            "ok change=1; balance 10; balance 8 of pool",
        ),
    ]);
}

#[test]
fn credit_of_a_grant_that_has_ended_is_reissued_for_7_days() {
    table(&[
        (
            "expired, not yet booked",
            "grant 10 expires_at=+60; charge 4 as=c; wait 60",
            "refund ledger_id=@c",
            "ok change=4 refunded=4 forfeited=0 balance_after=4",
        ),
        (
            "expired, booked",
            "grant 10 expires_at=+60; charge 4 as=c; wait 60; settle",
            "refund ledger_id=@c",
            "ok change=4 balance_after=4",
        ),
        (
            "used up and expired",
            "grant 4 expires_at=+60; charge 4 as=c; wait 60",
            "refund ledger_id=@c",
            "ok change=4 balance_after=4",
        ),
        ("voided", "grant 10 as=g; charge 4 as=c; void g", "refund ledger_id=@c", "ok change=4 balance_after=4"),
        (
            "until 7 days have passed",
            "grant 10 expires_at=+60; charge 4 as=c; wait 60; refund ledger_id=@c; at +604859.999999",
            "charge 4",
            "ok balance_after=0",
        ),
        (
            "and no longer",
            "grant 10 expires_at=+60; charge 4 as=c; wait 60; refund ledger_id=@c; at +604860",
            "charge 1",
            "denied insufficient_balance",
        ),
        (
            "with the same scope",
            "grant 10 expires_at=+60 scope.app_id=x; charge 4 app_id=x as=c; wait 60; refund ledger_id=@c",
            "charge 1",
            "denied insufficient_balance available=0",
        ),
        (
            "with the same type: paid credit is drawn as paid",
            "grant 10 expires_at=+60; charge 4 as=c; wait 60; refund ledger_id=@c; grant 1 type=invite as=a; grant 1 type=plan as=b",
            "charge 5.5",
            "ok draw=a:1,?:4,b:0.5",
        ),
        (
            "with the same priority",
            "grant 10 expires_at=+60 priority=1; charge 4 as=c; wait 60; refund ledger_id=@c; grant 1 as=a",
            "charge 2",
            "ok draw=a:1,?:1",
        ),
        (
            "a part of it",
            "grant 2 type=trial expires_at=+60; grant 5 as=b; charge 4 as=c; wait 60",
            "refund ledger_id=@c",
            "ok change=4 refunded=4 balance_after=7",
        ),
        (
            "a reissue can be charged and refunded",
            "grant 10 expires_at=+60; charge 4 as=c; wait 60; refund ledger_id=@c; charge 4 as=d",
            "refund ledger_id=@d",
            "ok balance_after=4",
        ),
    ]);
    let month = TenantPolicy { grace_days: 30, ..TenantPolicy::default() };
    table_under(
        &month,
        &[
            (
                "or for the days of the policy",
                "grant 10 expires_at=+60; charge 4 as=c; wait 60; refund ledger_id=@c; wait 29d",
                "charge 4",
                "ok",
            ),
            (
                "and no longer",
                "grant 10 expires_at=+60; charge 4 as=c; wait 60; refund ledger_id=@c; wait 30d",
                "charge 4",
                "denied insufficient_balance",
            ),
        ],
    );
}

#[test]
fn or_it_is_forfeited_by_policy() {
    let forfeit = TenantPolicy { expired_refund: ExpiredRefund::Forfeit, ..TenantPolicy::default() };
    table_under(
        &forfeit,
        &[
            (
                "expired",
                "grant 10 expires_at=+60; charge 4 as=c; wait 60",
                "refund ledger_id=@c",
                "ok change=0 refunded=4 forfeited=4 balance_after=0; balance 0",
            ),
            (
                "voided",
                "grant 10 as=g; charge 4 as=c; void g",
                "refund ledger_id=@c",
                "ok change=0 refunded=4 forfeited=4 balance_after=0",
            ),
            (
                "what came from others comes back",
                "grant 2 type=trial expires_at=+60; grant 5; charge 4 as=c; wait 60",
                "refund ledger_id=@c",
                "ok change=2 refunded=4 forfeited=2 balance_after=5",
            ),
            (
                "and is refunded for good",
                "grant 10 expires_at=+60; charge 4 as=c; wait 60; refund ledger_id=@c",
                "refund ledger_id=@c",
                "denied refund_duplicate",
            ),
        ],
    );
}

#[test]
fn refunds_can_be_kept_to_operators_and_a_window() {
    let policy = TenantPolicy {
        refund_window_days: Some(7),
        refund_operators: Some([Operator::new("ops").unwrap()].into()),
        ..TenantPolicy::default()
    };
    table_under(
        &policy,
        &[
            ("an operator who is allowed", "grant 10; charge 4 as=c", "refund ledger_id=@c operator=ops", "ok"),
            (
                "one who is not",
                "grant 10; charge 4 as=c",
                "refund ledger_id=@c operator=mallory",
                "denied refund_not_allowed; balance 6",
            ),
            (
                "operators are compared as bytes",
                "grant 10; charge 4 as=c",
                "refund ledger_id=@c operator=Ops",
                "denied refund_not_allowed",
            ),
            ("within the window", "grant 10; charge 4 as=c; wait 6d", "refund ledger_id=@c", "ok"),
            ("at the last instant of the window", "grant 10; charge 4 as=c; wait 604799.999999", "refund ledger_id=@c", "ok"),
            (
                "at the end of the window",
                "grant 10; charge 4 as=c; wait 7d",
                "refund ledger_id=@c",
                "denied refund_not_allowed; balance 6",
            ),
            (
                "of a task, what is within the window",
                "grant 10; charge 4 task_id=t; wait 5d; charge 1 task_id=t; wait 3d",
                "refund task_id=t",
                "ok refunded=1; balance 6",
            ),
            (
                "past the window, of a task",
                "grant 10; charge 4 task_id=t; wait 8d",
                "refund task_id=t",
                "denied refund_not_allowed",
            ),
            (
                "the operator goes before the amount",
                "grant 10; charge 4 as=c",
                "refund 0 ledger_id=@c operator=mallory idempotency_key=k",
                "denied refund_not_allowed",
            ),
            (
                "the operator goes before the duplicate",
                "grant 10; charge 4 as=c; refund ledger_id=@c",
                "refund ledger_id=@c operator=mallory",
                "denied refund_not_allowed",
            ),
        ],
    );
}
