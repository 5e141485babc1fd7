//! Denials: in which order a command is checked, and what every refusal says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::BTreeSet;
use std::sync::Arc;

use drawdown::store::memory::MemoryStore;
use drawdown::{Denial, DenialKind, Failure, TenantPolicy};
use drawdown_tests::script::Bank;

/// Every denial by the check that answers it, in the order of the checks.
const CHECKS: &[(&str, &[&str])] = &[
    ("authentication", &["unauthenticated", "api_key_invalid", "ip_not_allowed"]),
    ("shape", &["payload_invalid", "amount_invalid", "config_invalid", "payload_too_large", "batch_too_large"]),
    ("replay", &["idempotency_conflict"]),
    ("request limit", &["estimate_rate_limited", "charge_rate_limited"]),
    ("owner", &["owner_invalid"]),
    ("version", &["version_conflict"]),
    ("membership", &["blocked", "not_a_member", "member_limit_exceeded"]),
    (
        "target",
        &[
            "account_not_found",
            "grant_not_found",
            "pre_deduct_not_found",
            "task_not_found",
            "batch_not_found",
            "config_not_found",
            "cursor_expired",
            "pre_deduct_already_processed",
            "hold_exceeded",
            "grant_duplicate",
            "refund_not_allowed",
            "refund_duplicate",
            "invalid_refund_amount",
        ],
    ),
    ("price", &["template_not_found", "model_unknown", "pricing_unavailable"]),
    (
        "licence",
        &["authorization_missing", "authorization_not_found", "authorization_revoked", "daily_quota_exceeded", "quota_exceeded"],
    ),
    ("risk limits", &["cap_exceeded"]),
    ("capacity", &["capacity_exceeded"]),
    ("balance", &["insufficient_balance"]),
];

#[test]
fn the_list_stands_in_the_order_of_the_checks() {
    let by_check: Vec<&str> = CHECKS.iter().flat_map(|(_, names)| *names).copied().collect();
    let listed: Vec<&str> = DenialKind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(listed, by_check);
    assert_eq!(listed.iter().collect::<BTreeSet<_>>().len(), listed.len(), "each name once");
    assert!(DenialKind::ALL.is_sorted());
}

fn required() -> TenantPolicy {
    TenantPolicy { licence_required: true, ..TenantPolicy::default() }
}

fn denied(bank: &mut Bank, statement: &str) -> Denial {
    match bank.run(statement) {
        Err(Failure::Denied(denial)) => *denial,
        other => panic!("{statement}: {other:?}"),
    }
}

/// A hold and a charge that break every rule at once: each step mends what the denial before named.
#[test]
fn of_several_reasons_the_first_is_told() {
    for (command, no_licence) in [("hold", "authorization_not_found"), ("charge", "authorization_missing")] {
        let mut bank = Bank::new(Arc::new(MemoryStore::new()), required());
        bank.given("grant 1 owner=pool idempotency_key=used").unwrap();
        bank.given("300x grant 1 owner=organization:o1").unwrap();
        bank.given("hold 0 task_id=t as=other").unwrap();
        bank.given("block target=tenant").unwrap();
        let work = "payer=organization:o1 user_id=u1 template_id=a task_id=t";
        // A charge of a task is refused for its count alone.
        let busy = if command == "hold" { "pre_deduct_already_processed" } else { no_licence };
        let steps: &[(&str, String, &str)] = &[
            ("", format!("{command} -1 idempotency_key=used"), "amount_invalid"),
            ("", format!("{command} 400 payer=- idempotency_key=used"), "idempotency_conflict"),
            ("", format!("{command} 400 payer=- expected_version=99"), "owner_invalid"),
            ("", format!("{command} 400 {work} expected_version=99"), "version_conflict"),
            ("", format!("{command} 400 {work} expected_version=300"), "blocked"),
            ("unblock target=tenant", format!("{command} 400 {work}"), "not_a_member"),
            ("set_member limit=1/day", format!("{command} 400 {work}"), "member_limit_exceeded"),
            ("set_member limit=500/day", format!("{command} 400 {work}"), busy),
            ("release other", format!("{command} 400 {work}"), no_licence),
            ("set_licence daily_quota=0", format!("{command} 400 {work}"), "daily_quota_exceeded"),
            ("set_licence", format!("{command} 400 {work}"), "capacity_exceeded"),
            // Of the 300 grants 200 are left.
            (
                "set_member user_id=u2; charge 100 payer=organization:o1 user_id=u2",
                format!("{command} 400 {work}"),
                "insufficient_balance",
            ),
        ];
        let mut told = Vec::new();
        for (mend, statement, name) in steps {
            mend.split("; ").filter(|mend| !mend.is_empty()).for_each(|mend| bank.given(mend).unwrap());
            let denial = denied(&mut bank, statement);
            assert_eq!(denial.name(), *name, "{statement}: {denial}");
            told.push(denial.kind());
        }
        assert!(told.is_sorted(), "the order of the checks is that of the list: {told:?}");
        bank.given("grant 200 owner=organization:o1").unwrap();
        bank.given(&format!("{command} 400 {work}")).unwrap();
    }
}

/// A capture that breaks several rules at once.
#[test]
fn of_several_reasons_against_a_capture_the_first_is_told() {
    let mut bank = Bank::in_memory();
    bank.given("grant 5").unwrap();
    bank.given("grant 1 owner=pool idempotency_key=used").unwrap();
    bank.given("hold 2 task_id=t over_capture=draw as=h").unwrap();
    let steps = [
        ("capture h -1 idempotency_key=used expected_version=9 tenant_id=globex", "amount_invalid"),
        ("capture h 9 final=false expected_version=9 tenant_id=globex", "payload_invalid"),
        ("capture h 9 idempotency_key=used expected_version=9 task_id=u", "idempotency_conflict"),
        ("capture h 9 expected_version=9 task_id=u", "version_conflict"),
        ("capture h 9 task_id=u tenant_id=globex", "pre_deduct_not_found"),
        ("capture h 9 task_id=u", "payload_invalid"),
        ("capture h 9 task_id=t", "insufficient_balance"),
    ];
    for (statement, name) in steps {
        assert_eq!(denied(&mut bank, statement).name(), name, "{statement}");
    }
    bank.given("capture h 5").unwrap();
}

/// Given, when, then: the name, the details that it has, whether a retry can help, and when.
type Said = (&'static str, &'static str, &'static str, &'static str, bool, Option<&'static str>);

const SAID: &[Said] = &[
    ("", "hold 1 expire_in=0", "payload_invalid", "allowed field given", false, None),
    ("", "charge 0", "amount_invalid", "allowed field given", false, None),
    ("", "charge x", "amount_invalid", "allowed field given", false, None),
    ("grant 1 idempotency_key=k", "grant 2 idempotency_key=k", "idempotency_conflict", "audit_id field", false, None),
    (
        "grant 1 idempotency_key=k; wait 90d",
        "grant 1 idempotency_key=k",
        "idempotency_conflict",
        "audit_id ledger_ids reason",
        false,
        None,
    ),
    ("", "charge 1 payer=-", "owner_invalid", "allowed", false, None),
    ("", "charge 1 expected_version=1", "version_conflict", "expected version", false, None),
    ("block target=tenant", "charge 1", "blocked", "since target", false, None),
    ("", "charge 1 payer=organization:o1 user_id=u1", "not_a_member", "organization_id user_id", false, None),
    (
        "set_member limit=1/day; grant 9 owner=organization:o1; charge 1 payer=organization:o1 user_id=u1",
        "charge 1 payer=organization:o1 user_id=u1",
        "member_limit_exceeded",
        "limit needed per unit used user_id",
        true,
        Some("2026-01-02T00:00:00.000000Z"),
    ),
    ("", "settle", "account_not_found", "given", false, None),
    ("", "erase_text", "account_not_found", "given", false, None),
    ("", "block target=account:user:u1", "account_not_found", "given", false, None),
    ("", "void grant_id=grt_019b76da-a800-7033-837f-5ed7fe190001", "grant_not_found", "grant_id", false, None),
    ("", "release hold_id=hold_019b76da-a800-7033-837f-5ed7fe190001", "pre_deduct_not_found", "pre_deduct_id", false, None),
    ("hold 0 as=h; release h", "release h", "pre_deduct_already_processed", "pre_deduct_id status", false, None),
    ("hold 0 task_id=t", "hold 0 task_id=t", "pre_deduct_already_processed", "pre_deduct_id status task_id", false, None),
    ("hold 0 as=h", "capture h 1", "hold_exceeded", "available needed", false, None),
    ("", "refund task_id=t", "refund_not_allowed", "task_id", false, None),
    ("grant 1; charge 1 as=c; refund ledger_id=@c", "refund ledger_id=@c", "refund_duplicate", "refundable", false, None),
    ("grant 1; charge 1 as=c", "refund 2 ledger_id=@c", "invalid_refund_amount", "allowed field given refundable", false, None),
    ("", "hold 0 template_id=a", "authorization_not_found", "reason_code requirements template_id", false, None),
    (
        "set_licence; revoke_licence",
        "hold 0 template_id=a",
        "authorization_missing",
        "daily_remaining licence_id reason_code remaining_quota requirements template_id valid_until",
        false,
        None,
    ),
    ("set_licence; revoke_licence", "set_licence", "authorization_revoked", "licence_id revoked_at", false, None),
    (
        "set_licence daily_quota=1; hold 0 template_id=a",
        "hold 0 template_id=a",
        "daily_quota_exceeded",
        "daily_remaining licence_id reason_code remaining_quota requirements template_id valid_until",
        true,
        Some("2026-01-02T00:00:00.000000Z"),
    ),
    ("16x recur 1 starts_at=+9d", "recur 1", "capacity_exceeded", "allowed limit", false, None),
    ("grant 1", "charge 2", "insufficient_balance", "available balance credit_left needed", false, None),
];

#[test]
fn a_refusal_says_what_was_needed_what_there_was_and_whether_waiting_helps() {
    for (given, when, name, details, retryable, retry_at) in SAID {
        let mut bank = Bank::new(Arc::new(MemoryStore::new()), required());
        given.split("; ").filter(|statement| !statement.is_empty()).for_each(|statement| bank.given(statement).unwrap());
        let denial = denied(&mut bank, when);
        let named: Vec<&str> = denial.details().keys().map(String::as_str).collect();
        assert_eq!((denial.name(), named.join(" ").as_str()), (*name, *details), "{given}; {when}: {denial}");
        assert_eq!(
            (denial.retryable(), denial.when_to_retry().map(|at| at.to_string()).as_deref()),
            (*retryable, *retry_at),
            "{when}"
        );
        let message = denial.message();
        assert!(message.starts_with(|first: char| first.is_lowercase() || first == '`'), "{message}");
        assert!(!message.ends_with('.') && !message.contains(". ") && !message.contains('\n'), "one sentence: {message}");
        let json = serde_json::to_value(&denial).unwrap();
        assert_eq!((&json["error"], &json["message"]), (&(*name).into(), &message.into()));
        assert_eq!(serde_json::from_value::<Denial>(json).unwrap(), denial, "it is read back");
    }
}
