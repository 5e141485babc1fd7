//! Amounts, units, time and ids.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use drawdown::{
    Amount, CaptureHold, Charge, Command, Context, Engine, GrantCredit, GrantId, GrantType, HoldId, IdempotencyKey, LedgerId, OpId,
    Owner, PlaceHold, Refund, TenantId, Timestamp, Unit, UserId, VoidGrant,
};
use drawdown_tests::script::table;

#[test]
fn text_is_an_amount_exactly_or_not_at_all() {
    // given, then: the millionths, or none
    let cases: &[(&str, Option<i64>)] = &[
        ("0", Some(0)),
        ("-0", Some(0)),
        ("1", Some(1_000_000)),
        ("+1", Some(1_000_000)),
        ("-1.5", Some(-1_500_000)),
        ("0.000001", Some(1)),
        ("1.500000", Some(1_500_000)),
        ("1.5000000000", Some(1_500_000)),
        ("1e3", Some(1_000_000_000)),
        ("1.25E1", Some(12_500_000)),
        ("1e-6", Some(1)),
        ("100e-2", Some(1_000_000)),
        ("9223372036854.775807", Some(i64::MAX)),
        ("-9223372036854.775808", Some(i64::MIN)),
        ("0e999", Some(0)),
        ("0.0000001", None),
        ("1.1234567", None),
        ("1e-7", None),
        ("9223372036854.775808", None),
        ("-9223372036854.775809", None),
        ("1e400", None),
        ("1e99999999999", None),
        ("1e-400", None),
        ("NaN", None),
        ("Infinity", None),
        ("-inf", None),
        ("", None),
        ("-", None),
        (".5", None),
        ("5.", None),
        ("1.2.3", None),
        ("1,000", None),
        ("1_000", None),
        ("0x10", None),
        (" 1", None),
        ("1 ", None),
        ("--1", None),
        ("１", None),
        ("00000000000000000000000000000000000000000000000000000000000000001", None),
    ];
    for (text, expected) in cases {
        let read = text.parse::<Amount>();
        assert_eq!(read.as_ref().ok().map(|amount| amount.micros()), *expected, "`{text}`: {read:?}");
        if let Err(denial) = read {
            assert_eq!(denial.name(), "amount_invalid", "`{text}`");
            assert!(denial.details()["given"].as_str().unwrap().chars().count() <= 65, "`{text}`");
        }
    }
}

#[test]
fn an_amount_is_written_without_trailing_zeros_and_reads_back() {
    let cases: &[(i64, &str)] = &[
        (0, "0"),
        (1, "0.000001"),
        (-1, "-0.000001"),
        (1_500_000, "1.5"),
        (-12_000_000, "-12"),
        (i64::MAX, "9223372036854.775807"),
        (i64::MIN, "-9223372036854.775808"),
    ];
    for (micros, text) in cases {
        assert_eq!(Amount::from_micros(*micros).to_string(), *text);
        assert_eq!(text.parse::<Amount>().unwrap().micros(), *micros);
    }
}

#[test]
fn a_json_amount_is_read_by_its_digits() {
    // given the JSON of an amount, then: the amount, or none
    let cases: &[(&str, Option<&str>)] = &[
        ("5", Some("5")),
        ("2.5", Some("2.5")),
        ("0.1", Some("0.1")),
        ("0.000001", Some("0.000001")),
        ("1e2", Some("100")),
        ("\"2.5\"", Some("2.5")),
        ("9223372036854.775807", Some("9223372036854.775807")),
        ("0.0000001", None),
        ("0.30000000000000004", None),
        ("1e400", None),
        ("9223372036854.775808", None),
        ("\"NaN\"", None),
        ("null", None),
        ("true", None),
        ("[1]", None),
        ("{}", None),
        ("{\"amount\": 1}", None),
    ];
    for (amount, expected) in cases {
        let json = format!(r#"{{"command": "charge", "tenant_id": "acme", "payer": "user:u1", "amount": {amount}}}"#);
        let read = Command::from_json(&json).map(|command| command.to_fields()["amount"].as_str().unwrap().to_owned());
        assert_eq!(read.as_deref().ok(), *expected, "{amount}: {read:?}");
        if let Err(denial) = read {
            assert_eq!(denial.details()["field"], "amount", "{amount}: {denial:?}");
        }
    }
}

#[test]
fn a_number_that_is_no_amount_is_denied_as_one() {
    for amount in ["1e400", "0.0000001", "\"NaN\"", "9223372036854.775808"] {
        let json = format!(r#"{{"command": "charge", "tenant_id": "acme", "payer": "user:u1", "amount": {amount}}}"#);
        assert_eq!(Command::from_json(&json).unwrap_err().name(), "amount_invalid", "{amount}");
    }
}

#[test]
fn arithmetic_is_checked() {
    let (one, max, min) = (Amount::from_micros(1), Amount::MAX, Amount::MIN);
    assert_eq!(max.checked_add(one), None);
    assert_eq!(min.checked_sub(one), None);
    assert_eq!(max.checked_mul(2), None);
    assert_eq!(min.checked_neg(), None);
    assert_eq!(Amount::from_units(i64::MAX), None);
    assert_eq!(max.checked_neg().unwrap().micros(), -i64::MAX);
}

#[test]
fn time_is_utc_in_microseconds() {
    // given, then: as it is written, or none
    let cases: &[(&str, Option<&str>)] = &[
        ("2026-03-01T12:00:00Z", Some("2026-03-01T12:00:00.000000Z")),
        ("2026-03-01T12:00:00.000001Z", Some("2026-03-01T12:00:00.000001Z")),
        ("2026-03-01T12:00:00+08:00", Some("2026-03-01T04:00:00.000000Z")),
        ("2024-02-29T00:00:00Z", Some("2024-02-29T00:00:00.000000Z")),
        ("0001-01-01T00:00:00Z", Some("0001-01-01T00:00:00.000000Z")),
        ("9999-12-31T23:59:59.999999Z", Some("9999-12-31T23:59:59.999999Z")),
        ("2026-03-01T12:00:00", None),
        ("2026-03-01", None),
        ("2026-02-29T00:00:00Z", None),
        ("2026-03-01T12:00:00.0000001Z", None),
        ("2026-03-01T25:00:00Z", None),
        ("1767225600", None),
        ("", None),
    ];
    for (text, expected) in cases {
        let read = text.parse::<Timestamp>();
        assert_eq!(read.as_ref().ok().map(Timestamp::to_string).as_deref(), *expected, "`{text}`");
        assert!(read.err().is_none_or(|denial| denial.name() == "payload_invalid"), "`{text}`");
    }
}

#[test]
fn text_ids_have_1_to_255_bytes_and_no_control_characters() {
    let (longest, too_long, wide) = ("a".repeat(255), "a".repeat(256), "é".repeat(128));
    let cases: &[(&str, bool)] = &[
        ("u1", true),
        ("用户-1", true),
        ("a b", true),
        (" ", true),
        ("user:1/2", true),
        (&longest, true),
        (&too_long, false),
        (&wide, false),
        ("", false),
        ("a\0b", false),
        ("a\nb", false),
        ("a\tb", false),
        ("a\u{7f}", false),
        ("a\u{85}", false),
    ];
    for (text, is_id) in cases {
        assert_eq!(TenantId::new(text).is_ok(), *is_id, "tenant `{text:?}`");
        assert_eq!(UserId::new(text).is_ok(), *is_id, "user `{text:?}`");
        assert_eq!(IdempotencyKey::new(text).is_ok(), *is_id, "key `{text:?}`");
        if let Err(denial) = Unit::new(text) {
            assert_eq!((denial.name(), &denial.details()["field"]), ("payload_invalid", &"unit".into()));
        }
    }
}

#[test]
fn ids_of_the_engine_have_a_prefix_and_one_spelling() {
    let uuid = "019b76da-a800-7033-837f-5ed7fe190001";
    assert_eq!(format!("grt_{uuid}").parse::<GrantId>().unwrap().to_string(), format!("grt_{uuid}"));
    for text in [
        uuid.to_owned(),
        format!("hold_{uuid}"),
        format!("grt_{}", uuid.to_uppercase()),
        format!("grt_{}", uuid.replace('-', "")),
        format!("grt_{{{uuid}}}"),
        "grt_".to_owned(),
        String::new(),
    ] {
        assert_eq!(text.parse::<GrantId>().unwrap_err().name(), "payload_invalid", "`{text}`");
    }
    assert!(format!("hold_{uuid}").parse::<HoldId>().is_ok());
}

#[test]
fn every_id_of_an_operation_leads_back_to_it() {
    let tenant = TenantId::new("acme").unwrap();
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let operation = OpId::new(now, &tenant, Some(&Owner::user("u1").unwrap()), u64::MAX);
    assert_eq!(operation.uuid().get_version_num(), 7);
    assert_eq!(OpId::of_derived(operation.uuid()), (operation, 0));
    for ordinal in [1, 2, u16::MAX] {
        assert_eq!(LedgerId::derive(operation, ordinal).operation(), (operation, ordinal));
    }
    // The 12 bits of tenant and owner are the same for one owner, whatever the time and the random bits.
    let shard = |id: OpId| id.uuid().as_u64_pair().0 & 0xfff;
    let later = OpId::new(now.plus_seconds(60).unwrap(), &tenant, Some(&Owner::user("u1").unwrap()), 0);
    assert_eq!(shard(operation), shard(later));
}

#[test]
fn amounts_of_different_units_never_meet() {
    table(&[
        (
            "a balance counts one unit",
            "grant 5 unit=UC",
            "charge 1",
            "denied insufficient_balance needed=1 available=0; balance 5 unit UC",
        ),
        (
            "the unit is the account's",
            "grant 5 unit=UC",
            "charge 1 unit=UC",
            "ok balance_after=4; balance 0 unit credit; balance 4 unit UC",
        ),
        ("a unit is compared as bytes", "grant 5 unit=UC", "charge 1 unit=uc", "denied insufficient_balance"),
        ("no unit is the tenant's default", "grant 5 unit=credit", "charge 1", "ok balance_after=4"),
        (
            "a refund stays in its unit",
            "grant 5 unit=UC; charge 5 unit=UC as=c",
            "refund ledger_id=@c",
            "denied refund_not_allowed",
        ),
    ]);
}

#[test]
fn sums_that_leave_the_range_are_denied() {
    table(&[
        ("the largest amount", "wait 0", "grant 9223372036854.775807", "ok balance_after=9223372036854.775807"),
        ("a millionth more", "grant 9223372036854.775807", "grant 0.000001", "denied amount_invalid; balance 9223372036854.775807"),
        (
            "held credit counts",
            "grant 9223372036854.775807; hold 9223372036854",
            "grant 1",
            "denied amount_invalid; balance 0.775807 frozen 9223372036854",
        ),
        ("a correction", "grant 9223372036854.775807", "adjust 1", "denied amount_invalid"),
        (
            "two that begin later",
            "grant 9223372036854.775807 effective_at=+60; try grant 9223372036854.775807 effective_at=+60; wait 60",
            "charge 1",
            "ok balance_after=9223372036853.775807",
        ),
        ("spent and granted again", "grant 9223372036854.775807; charge 9223372036854.775807", "grant 1", "denied amount_invalid"),
        ("the smallest correction has no opposite", "wait 0", "adjust -9223372036854.775808", "denied amount_invalid field=amount"),
    ]);
}

/// The 12 bits after the version: where a store could look for everything of one owner.
fn shard(id: uuid::Uuid) -> u64 {
    id.as_u64_pair().0 & 0x0fff
}

#[test]
fn all_ids_of_an_owner_lead_to_one_place() {
    let engine = Engine::in_memory();
    let acme = Context::tenant("acme").unwrap();
    let user = Owner::user("u1").unwrap();
    let granted = engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Plan, "10".parse().unwrap()))).unwrap();
    let place = shard(granted.grant_id.uuid());
    let by_policy = Charge::by_policy(Some("u1".parse().unwrap()), "1".parse().unwrap());
    let charged = engine.execute(acme.request(by_policy)).unwrap();
    let held = engine.execute(acme.request(PlaceHold::new(user.clone(), "2".parse().unwrap()))).unwrap();
    let captured = engine.execute(acme.request(CaptureHold::new(held.hold_id, "2".parse().unwrap()))).unwrap();
    let voided = engine.execute(acme.request(VoidGrant::new(granted.grant_id, "ops", "over").unwrap())).unwrap();
    let refund = Refund::of_charge(user, charged.ledger_id, "ops", "no good").unwrap();
    let refunded = engine.execute(acme.request(refund)).unwrap();
    let ids = [charged.ledger_id, captured.ledger_id, voided.ledger_id, refunded.ledger_id].map(|id| id.uuid());
    for id in ids.into_iter().chain([held.hold_id.uuid(), refunded.refund_id.uuid(), charged.audit_id.uuid()]) {
        assert_eq!(shard(id), place, "{id}");
        assert_eq!(id.get_version_num(), 7);
    }
    let other = GrantCredit::new(Owner::user("u2").unwrap(), GrantType::Plan, "1".parse().unwrap());
    assert_ne!(shard(engine.execute(acme.request(other)).unwrap().grant_id.uuid()), place);
}
