//! Taking over balances from a system before.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use drawdown::{Command, legacy_balance};
use drawdown_tests::script::table;
use serde_json::{Value, json};

#[test]
fn a_balance_becomes_a_grant() {
    table(&[
        ("a balance", "wait 0", "import 12 as=i", "ok change=12 balance_after=12; balance 12"),
        ("it can be drawn", "import 12 as=i", "charge 5", "ok draw=i:5"),
        ("after what was granted", "import 12 as=i; grant 3 type=adjustment as=g", "charge 5", "ok draw=g:3,i:2"),
        ("nothing: noted, without a grant", "wait 0", "import 0", "ok change=0 grant_id=null balance_after=0; balance 0"),
        ("less than nothing", "wait 0", "import -1", "denied amount_invalid field=balance given=-1"),
        ("that expires", "import 12 expires_at=+60; wait 60", "settle", "ok booked=1 balance_after=0"),
        ("that has expired", "wait 60", "import 12 expires_at=+60", "denied payload_invalid field=expires_at"),
        ("it repays", "set_credit_limit 9; charge 5", "import 12", "ok change=12 repaid=5 balance_after=7; balance 7 owed 0"),
        ("it is out of range", "grant 9000000000000", "import 300000000000", "denied amount_invalid field=balance"),
        ("no more than 1,000 grants", "1000x grant 1", "import 1", "denied capacity_exceeded limit=open_grants"),
        ("its label", "wait 0", "import 12 policy_tag=eu", "ok policy_tag=eu"),
        ("another unit", "import 12 unit=UC", "charge 1", "denied insufficient_balance"),
        (
            "once under its key",
            "import 12 idempotency_key=k",
            "import 12.0 idempotency_key=k",
            "ok idempotent_replay=true; balance 12",
        ),
        (
            "another under its key",
            "import 12 idempotency_key=k",
            "import 13 idempotency_key=k",
            "denied idempotency_conflict field=balance",
        ),
    ]);
}

#[test]
fn loose_shapes_are_understood() {
    let understood = [
        (r"12", "12"),
        (r#""12""#, "12"),
        (r#"{"total": 12}"#, "12"),
        (r#"{"available": 12}"#, "12"),
        (r#"{"credits": 12}"#, "12"),
        (r"[12]", "12"),
        (r#"["12.5"]"#, "12.5"),
        (r#"{"total": "12.5"}"#, "12.5"),
        (r"0", "0"),
        (r#"{"total": 0, "available": 7}"#, "0"),
        (r"1.2e1", "12"),
        // The first in the order of precedence, wherever it stands.
        (r#"{"credits": 1, "available": 2, "total": 3}"#, "3"),
        (r#"{"credits": 1, "available": 2}"#, "2"),
        (r#"{"credits": 1, "points": 2}"#, "1"),
        // Digits that no binary float has.
        (r"9007199254740.993", "9007199254740.993"),
        (r#"{"total": 9223372036854.775807}"#, "9223372036854.775807"),
        (r"0.1", "0.1"),
        (r"12.0000000", "12"),
    ];
    for (json, expected) in understood {
        let value: Value = serde_json::from_str(json).unwrap();
        assert_eq!(legacy_balance(&value).unwrap_or_else(|why| panic!("{json}: {why}")).to_string(), expected, "{json}");
        let command = read(json).unwrap_or_else(|why| panic!("{json}: {why}"));
        assert_eq!(command.to_fields()["balance"], json!(expected), "{json}");
        assert_eq!(command.fingerprint(), read(expected).unwrap().fingerprint(), "{json}");
    }
}

#[test]
fn everything_else_is_refused_and_never_read_as_nothing() {
    let refused = [
        "null",
        "true",
        "false",
        "{}",
        "[]",
        "[1, 2]",
        "[[12]]",
        "[{}]",
        r#"[{"total": 12}]"#,
        "[null]",
        r#""""#,
        r#"" 12""#,
        r#""twelve""#,
        r#""12 credits""#,
        r#""0x12""#,
        r#""NaN""#,
        r#""1,000""#,
        "-1",
        r#""-1""#,
        r#"{"total": -1}"#,
        "[-0.000001]",
        "1e400",
        "1e-7",
        "0.0000001",
        "12.0000001",
        "9223372036854.775808",
        r#"{"total": null}"#,
        r#"{"total": null, "available": 12}"#,
        r#"{"total": {"total": 12}}"#,
        r#"{"total": [12]}"#,
        r#"{"total": true}"#,
        r#"{"points": 12}"#,
        r#"{"Total": 12}"#,
        r#"{"total": ""}"#,
    ];
    for json in refused {
        let value: Value = serde_json::from_str(json).unwrap();
        let why = legacy_balance(&value).unwrap_err();
        assert_eq!((why.name(), &why.details()["field"]), ("amount_invalid", &json!("balance")), "{json}: {why}");
        assert!(why.details().contains_key("given") && why.details().contains_key("allowed"), "{json}: {:?}", why.details());
        assert_eq!(read(json).unwrap_err(), why, "{json}");
    }
}

fn read(balance: &str) -> Result<Command, drawdown::Denial> {
    Command::from_json(&format!(r#"{{"command": "import", "tenant_id": "acme", "owner": "user:u1", "balance": {balance}}}"#))
}
