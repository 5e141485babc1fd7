//! What the commands of one batch see of one another: what they would see one after the other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use drawdown::TenantPolicy;
use drawdown_tests::script::Bank;

/// Given, together, then: the answers, one after the other; then balances.
fn batches(policy: &TenantPolicy, cases: &[(&str, &str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let mut failures = Vec::new();
    for (number, (given, together, then)) in cases.iter().enumerate() {
        for (name, store) in drawdown_tests::stores(&folder.path().join(format!("{number}.db"))) {
            let mut bank = Bank::new(store, policy.clone());
            given.split("; ").filter(|statement| !statement.is_empty()).for_each(|statement| bank.given(statement).unwrap());
            let answers = bank.together(together);
            let expected: Vec<&str> = then.split(" | ").collect();
            assert_eq!(answers.len(), expected.len(), "{together}");
            for (number, (answer, expected)) in answers.iter().zip(expected).enumerate() {
                if let Err(why) = bank.expect(answer, expected) {
                    failures.push(format!("{given} [{name}]\n  together {together}\n  number {number}: {why}"));
                }
            }
            assert!(bank.engine.verify().unwrap().is_clean(), "{given}; {together}");
        }
    }
    assert!(failures.is_empty(), "{} cases fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn a_later_command_sees_what_an_earlier_one_changed() {
    batches(
        &TenantPolicy::default(),
        &[
            ("", "grant 5; charge 3; charge 3; charge 2", "ok | ok | denied insufficient_balance available=2 | ok balance_after=0"),
            (
                "",
                "grant 5 idempotency_key=k; grant 5 idempotency_key=k; grant 6 idempotency_key=k",
                "ok idempotent_replay=false | ok idempotent_replay=true balance_after=5 | denied idempotency_conflict field=amount",
            ),
            (
                "grant 10",
                "charge 4 task_id=t; refund task_id=t; refund task_id=t; charge 10",
                "ok | ok refunded=4 | denied refund_duplicate | ok balance_after=0",
            ),
            (
                "grant 10; charge 4 as=c",
                "refund 3 ledger_id=@c idempotency_key=a; refund 3 ledger_id=@c idempotency_key=b; refund ledger_id=@c",
                "ok | denied invalid_refund_amount | ok refunded=1 balance_after=10",
            ),
            (
                "grant 10; hold 4 task_id=t as=h",
                "capture h 3; refund task_id=t; refund task_id=t",
                "ok | ok refunded=3 balance_after=10 | denied refund_duplicate",
            ),
            (
                "grant 10",
                "hold 4 task_id=t; hold 1 task_id=t; charge 7",
                "ok | denied pre_deduct_already_processed status=frozen | denied insufficient_balance available=6",
            ),
            (
                "grant 10; hold 4 task_id=t as=h",
                "capture h 1; capture h 1; release h; hold 1 task_id=t",
                "ok balance_after=9 | denied pre_deduct_already_processed status=committed | denied pre_deduct_already_processed \
                 | denied pre_deduct_already_processed",
            ),
            ("grant 10; hold 4 task_id=t as=h", "release h; hold 5 task_id=t", "ok balance_after=10 | ok balance_after=5"),
            (
                "grant 2000; 998x charge 1 task_id=t",
                "charge 1 task_id=t; charge 1 task_id=t; charge 1 task_id=t",
                "ok | ok | denied capacity_exceeded limit=charges_per_task",
            ),
            ("999x grant 1", "grant 1; grant 1; charge 1; grant 1", "ok | denied capacity_exceeded limit=open_grants | ok | ok"),
            (
                "grant 5 as=g",
                "void g; void g; charge 1",
                "ok forfeited=5 | denied payload_invalid field=grant_id | denied insufficient_balance",
            ),
            (
                "grant 5 expires_at=+60 as=g",
                "amend g expires_at=+90; amend g expires_at=+80; void g",
                "ok expires_at=+90 | denied payload_invalid field=expires_at | ok",
            ),
            ("recur 5 as=r", "stop_rule r; stop_rule r", "ok | denied payload_invalid field=rule_id"),
            (
                "set_credit_limit 5",
                "charge 5; charge 1; grant 3; charge 3",
                "ok balance_after=-5 | denied insufficient_balance credit_left=0 | ok repaid=3 | ok balance_after=-5",
            ),
            ("grant 9", "charge 1 reason=x; erase_text; erase_text", "ok | ok erased=1 | ok erased=0"),
            (
                "grant 9",
                "block target=tenant; charge 1; unblock target=tenant; charge 1",
                "ok | denied blocked | ok | ok balance_after=8",
            ),
            (
                "grant 9 owner=organization:o1",
                "charge 1 payer=organization:o1 user_id=u1; set_member limit=2/day; charge 2 payer=organization:o1 user_id=u1; \
                 charge 1 payer=organization:o1 user_id=u1; remove_member; charge 1 payer=organization:o1 user_id=u1",
                "denied not_a_member | ok | ok | denied member_limit_exceeded used=2 | ok | denied not_a_member",
            ),
            (
                "grant 9",
                "charge 1 expected_version=1; charge 1 expected_version=1; charge 1 expected_version=2",
                "ok version=2 | denied version_conflict version=2 | ok version=3",
            ),
        ],
    );
}

#[test]
fn what_is_due_is_booked_by_the_first_and_not_again() {
    batches(
        &TenantPolicy::default(),
        &[
            (
                "grant 9 expires_at=+60; wait 60",
                "settle; settle; charge 1",
                "ok booked=1 | ok booked=0 | denied insufficient_balance",
            ),
            (
                "grant 9; hold 9 expire_in=60; wait 60",
                "charge 6; charge 6; charge 3",
                "ok | denied insufficient_balance available=3 | ok",
            ),
            (
                "grant 9; hold 4 expire_in=60 late_commit=draw as=h; wait 60",
                "settle; capture h 4; capture h 4",
                "ok booked=1 | ok captured=4 status=committed | denied pre_deduct_already_processed status=committed",
            ),
            ("recur 9; at +1d", "charge 9; charge 1", "ok balance_after=0 | denied insufficient_balance"),
            (
                "grant 9; hold 9 expire_in=60 task_id=t; wait 60",
                "hold 1 task_id=t; hold 1 task_id=t",
                "ok frozen_after=1 | denied pre_deduct_already_processed status=frozen",
            ),
        ],
    );
    let licensed = TenantPolicy { licence_required: true, ..TenantPolicy::default() };
    batches(
        &licensed,
        &[
            (
                "grant 9; set_licence total_quota=2; hold 1 template_id=a expire_in=60; wait 60",
                "charge 1 template_id=a; charge 1 template_id=a; charge 1 template_id=a",
                "ok | ok | denied daily_quota_exceeded",
            ),
            (
                "grant 9",
                "charge 1 template_id=a; set_licence; charge 1 template_id=a; revoke_licence; charge 1 template_id=a",
                "denied authorization_missing | ok | ok licence_id=l1 | ok | denied authorization_missing reason_code=revoked",
            ),
        ],
    );
}
