//! What is refused before anything is looked up: shapes, text, ids, and JSON that says something else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use drawdown::{Charge, Command, Context, GrantCredit, GrantType, MAX_TEXT_BYTES, Metadata, Owner};
use drawdown_tests::script::Bank;
use serde_json::{Value, json};

const UUID: &str = "019b76da-a800-7033-837f-5ed7fe190001";

/// The least that each command needs.
fn commands() -> Vec<Value> {
    let (grt, hold, led) = (format!("grt_{UUID}"), format!("hold_{UUID}"), format!("led_{UUID}"));
    vec![
        json!({"command": "grant", "tenant_id": "acme", "owner": "user:u1", "type": "trial", "amount": "5"}),
        json!({"command": "void", "tenant_id": "acme", "grant_id": grt, "operator": "ops", "reason": "r"}),
        json!({"command": "amend", "tenant_id": "acme", "grant_id": grt, "expires_at": "2027-01-01T00:00:00Z"}),
        json!({"command": "adjust", "tenant_id": "acme", "owner": "user:u1", "amount": "5", "operator": "ops", "reason": "r"}),
        json!({"command": "hold", "tenant_id": "acme", "amount": "5"}),
        json!({"command": "extend", "tenant_id": "acme", "hold_id": hold, "expire_in": 60}),
        json!({"command": "capture", "tenant_id": "acme", "hold_id": hold, "actual_cost": "5"}),
        json!({"command": "release", "tenant_id": "acme", "hold_id": hold}),
        json!({"command": "charge", "tenant_id": "acme", "amount": "5"}),
        json!({"command": "refund", "tenant_id": "acme", "ledger_id": led, "operator": "ops", "reason": "r"}),
        json!({"command": "settle", "tenant_id": "acme", "owner": "user:u1"}),
        json!({"command": "advance_task", "tenant_id": "acme", "task_id": "t"}),
        json!({"command": "complete_task", "tenant_id": "acme", "task_id": "t"}),
        json!({"command": "fail_task", "tenant_id": "acme", "task_id": "t", "reason": "r"}),
        json!({"command": "revoke_licence", "tenant_id": "acme", "licence_id": "l1", "operator": "ops", "reason": "r"}),
        json!({"command": "submit_documents", "tenant_id": "acme", "licence_id": "l1", "documents": ["d"], "operator": "ops"}),
        json!({"command": "set_licence", "tenant_id": "acme", "licence_id": "l1", "template_id": "a", "operator": "ops"}),
    ]
}

/// The denial's name and the field that it names, or `accepted`.
fn refused(json: &Value) -> (String, String) {
    refused_text(&json.to_string())
}

fn refused_text(text: &str) -> (String, String) {
    let denial = match Command::from_json(text).and_then(|command| command.check()) {
        Ok(()) => return ("accepted".to_owned(), String::new()),
        Err(denial) => denial,
    };
    assert!(!denial.message().is_empty() && !denial.message().ends_with('.'), "{}", denial.message());
    assert!(!denial.retryable());
    (denial.name().to_owned(), denial.details()["field"].as_str().unwrap_or("?").to_owned())
}

#[test]
fn the_least_that_a_command_needs_is_enough() {
    for command in commands() {
        assert_eq!(refused(&command).0, "accepted", "{command}");
    }
}

#[test]
fn a_field_that_is_missing_is_named() {
    for command in commands() {
        for (name, _) in command.as_object().unwrap() {
            let mut without = command.clone();
            without.as_object_mut().unwrap().remove(name);
            let (denial, field) = refused(&without);
            assert_eq!(denial, "payload_invalid", "{without}");
            // A refund names a task or an entry: without both there is no single field.
            if name != "ledger_id" {
                assert_eq!(&field, name, "{without}");
            }
        }
    }
}

#[test]
fn a_field_that_is_not_known_is_refused() {
    for command in commands() {
        let mut with = command.clone();
        with["trusted"] = true.into();
        let (denial, _) = refused(&with);
        assert_eq!(denial, "payload_invalid", "{with}");
    }
}

#[test]
fn a_field_of_another_type_is_named() {
    for command in commands() {
        for (name, _) in command.as_object().unwrap() {
            for wrong in [json!([1]), json!({"a": 1}), json!(true), json!(null)] {
                let mut changed = command.clone();
                changed[name] = wrong;
                let (denial, field) = refused(&changed);
                assert_ne!(denial, "accepted", "{changed}");
                // Of a list the item is named.
                if name != "ledger_id" {
                    assert_eq!(field.split('[').next().unwrap(), name, "{changed}");
                }
            }
        }
    }
}

#[test]
fn words_that_name_nothing_are_refused() {
    let mut grant = commands().remove(0);
    for (field, wrong, denial) in [
        ("command", json!("burn"), "payload_invalid"),
        ("command", json!("Grant"), "payload_invalid"),
        ("type", json!("gift"), "payload_invalid"),
        ("type", json!("Trial"), "payload_invalid"),
        ("owner", json!("u1"), "owner_invalid"),
        ("owner", json!("team:u1"), "owner_invalid"),
        ("owner", json!("pool:u1"), "owner_invalid"),
        ("owner", json!("user:"), "payload_invalid"),
        ("priority", json!(1.5), "payload_invalid"),
        ("priority", json!(2_147_483_648_u32), "payload_invalid"),
        ("expires_at", json!("2027-01-01"), "payload_invalid"),
        ("expires_at", json!(1_767_225_600), "payload_invalid"),
        ("amount", json!(0), "amount_invalid"),
        ("amount", json!("-1"), "amount_invalid"),
        ("amount", json!("NaN"), "amount_invalid"),
    ] {
        let right = grant[field].take();
        grant[field] = wrong.clone();
        assert_eq!(refused(&grant), (denial.to_owned(), field.to_owned()), "{field} = {wrong}");
        if right.is_null() {
            grant.as_object_mut().unwrap().remove(field);
        } else {
            grant[field] = right;
        }
    }
}

#[test]
fn each_field_of_a_licence_takes_what_it_says() {
    let licence = commands().pop().unwrap();
    let documents: Vec<String> = (0..65).map(|number| format!("d{number}")).collect();
    for (field, wrong, named) in [
        ("licence_id", json!(""), "licence_id"),
        ("licence_id", json!("a\nb"), "licence_id"),
        ("licence_id", json!("l".repeat(256)), "licence_id"),
        ("template_id", json!("a\0b"), "template_id"),
        ("user_id", json!(""), "user_id"),
        ("channels", json!([]), "channels"),
        ("channels", json!(["viewer", "editor"]), "channels[1]"),
        ("channels", json!("viewer"), "channels"),
        ("valid_from", json!("2026-01-01"), "valid_from"),
        ("valid_until", json!("2026-13-01T00:00:00Z"), "valid_until"),
        ("valid_until", json!(5), "valid_until"),
        ("total_quota", json!(-2), "total_quota"),
        ("total_quota", json!(1.5), "total_quota"),
        ("total_quota", json!("7"), "total_quota"),
        ("total_quota", json!(9_223_372_036_854_775_808_u64), "total_quota"),
        ("daily_quota", json!(-2), "daily_quota"),
        ("zone", json!("Asia/Peking"), "zone"),
        ("zone", json!("+08:00"), "zone"),
        ("required_documents", json!([""]), "required_documents[0]"),
        ("required_documents", json!(["a", 7]), "required_documents[1]"),
        ("required_documents", json!(["license"]), "required_documents"),
        ("required_documents", json!(["valid_from"]), "required_documents"),
        ("required_documents", json!(documents), "required_documents"),
        ("policy_tag", json!("\u{7}"), "policy_tag"),
        ("operator", json!(""), "operator"),
        ("reason", json!("a\0b"), "reason"),
        ("metadata", json!({"a": "\0"}), "metadata"),
        ("expected_version", json!(0), "expected_version"),
    ] {
        let mut licence = licence.clone();
        licence[field] = wrong.clone();
        assert_eq!(refused(&licence), ("payload_invalid".to_owned(), named.to_owned()), "{field} = {wrong}");
        let denial = Command::from_json(&licence.to_string()).and_then(|command| command.check()).unwrap_err();
        assert!(denial.details()["allowed"].is_string(), "{field} = {wrong}: {denial:?}");
    }
    let mut licence = licence;
    (licence["valid_from"], licence["valid_until"]) = (json!("2026-01-02T00:00:00Z"), json!("2026-01-02T00:00:00Z"));
    assert_eq!(refused(&licence), ("payload_invalid".to_owned(), "valid_until".to_owned()));
    licence["valid_until"] = json!("2026-01-02T00:00:00.000001Z");
    assert_eq!(refused(&licence).0, "accepted");
    (licence["total_quota"], licence["daily_quota"]) = (json!(9_223_372_036_854_775_807_u64), json!(0));
    licence["required_documents"] = json!(documents[..64]);
    assert_eq!(refused(&licence).0, "accepted");
}

#[test]
fn each_field_of_documents_takes_what_it_says() {
    let submit = commands().into_iter().nth_back(1).unwrap();
    let documents: Vec<String> = (0..65).map(|number| format!("d{number}")).collect();
    for (wrong, named) in [
        (json!([]), "documents"),
        (json!(["license"]), "documents"),
        (json!(documents), "documents"),
        (json!(["a", "b\n"]), "documents[1]"),
        (json!({"a": 1}), "documents"),
    ] {
        let mut submit = submit.clone();
        submit["documents"] = wrong.clone();
        assert_eq!(refused(&submit), ("payload_invalid".to_owned(), named.to_owned()), "{wrong}");
    }
    let command = drawdown::SetLicence { total_quota: Some(u64::MAX), ..drawdown::SetLicence::new("l", "a", "ops").unwrap() };
    let refused = Context::tenant("acme").unwrap().request(command).into_command().check().unwrap_err();
    assert_eq!(refused.details()["field"], "total_quota", "what a host builds itself does not pass the reader");
}

#[test]
fn exactly_one_owner_is_named() {
    assert_eq!(Owner::from_parts(Some("u"), None).unwrap().to_string(), "user:u");
    assert_eq!(Owner::from_parts(None, Some("o")).unwrap().to_string(), "organization:o");
    assert_eq!(Owner::from_parts(Some("u"), Some("o")).unwrap_err().name(), "owner_invalid");
    assert_eq!(Owner::from_parts(None, None).unwrap_err().name(), "owner_invalid");
    assert_eq!(Owner::from_parts(Some(""), None).unwrap_err().name(), "payload_invalid");
}

#[test]
fn a_refund_names_a_task_or_an_entry() {
    let mut refund = commands().remove(9);
    refund["task_id"] = "t".into();
    assert_eq!(refused(&refund).0, "payload_invalid", "both");
    refund.as_object_mut().unwrap().remove("ledger_id");
    assert_eq!(refused(&refund).0, "accepted", "a task");
}

#[test]
fn ids_are_checked_wherever_they_stand() {
    let long = "a".repeat(256);
    let fields: [(usize, &[&str]); 4] = [
        (0, &["tenant_id", "idempotency_key", "actor", "request_id", "unit", "operator", "policy_tag"]),
        (4, &["task_id", "template_id", "app_id", "user_id", "scene", "price_basis"]),
        (6, &["task_id", "template_id", "user_id"]),
        (8, &["task_id", "template_id", "app_id", "user_id", "price_basis", "policy_tag"]),
    ];
    for (command, fields) in fields {
        for field in fields {
            for wrong in ["", "a\0b", "a\nb", "\u{9f}", long.as_str()] {
                let mut command = commands().remove(command);
                command[*field] = wrong.into();
                assert_eq!(refused(&command), ("payload_invalid".to_owned(), (*field).to_owned()), "{field} = {wrong:?}");
            }
            let mut command = commands().remove(command);
            command[*field] = "a".repeat(255).into();
            assert_eq!(refused(&command).0, "accepted", "{field} of 255 bytes");
        }
    }
    for (command, field) in [(1, "grant_id"), (2, "grant_id"), (5, "hold_id"), (6, "hold_id"), (7, "hold_id"), (9, "ledger_id")] {
        for wrong in ["", "x", UUID, &format!("aud_{UUID}"), &format!("grt_{}", UUID.to_uppercase())] {
            let mut command = commands().remove(command);
            command[field] = wrong.into();
            assert_eq!(refused(&command).0, "payload_invalid", "{field} = {wrong:?}");
        }
    }
}

#[test]
fn text_and_metadata_have_no_nul_and_no_lone_surrogate() {
    let with = |metadata: &str| {
        format!(r#"{{"command": "charge", "tenant_id": "acme", "payer": "user:u1", "amount": 1, "metadata": {metadata}}}"#)
    };
    for (metadata, denial) in [
        (r#"{"a": "b"}"#, "accepted"),
        (r#"{"a": "\\u0000"}"#, "accepted"),
        (r#"{"a": "\ud83d\ude00"}"#, "accepted"),
        (r#"{"a": "\u0000"}"#, "payload_invalid"),
        (r#"{"\u0000": 1}"#, "payload_invalid"),
        (r#"{"a": {"b": ["c\u0000"]}}"#, "payload_invalid"),
        (r#"{"a": "\\\u0000"}"#, "payload_invalid"),
        (r#"{"a": "\ud83d"}"#, "payload_invalid"),
        (r#"{"a": "\udc00"}"#, "payload_invalid"),
        (r#"{"\ud800": 1}"#, "payload_invalid"),
        ("[]", "payload_invalid"),
        (r#""text""#, "payload_invalid"),
    ] {
        assert_eq!(refused_text(&with(metadata)).0, denial, "{metadata}");
    }
    let reason = r#"{"command": "charge", "tenant_id": "acme", "payer": "user:u1", "amount": 1, "reason": "a\u0000"}"#;
    assert_eq!(refused_text(reason), ("payload_invalid".to_owned(), "reason".to_owned()));
}

#[test]
fn text_and_metadata_have_at_most_64_kib_together() {
    let bank = Bank::in_memory();
    let acme = Context::tenant("acme").unwrap();
    let owner = Owner::user("u1").unwrap();
    bank.engine.execute(acme.request(GrantCredit::new(owner.clone(), GrantType::Trial, "9".parse().unwrap()))).unwrap();
    // `{"a":"..."}` has 8 bytes beside the text.
    let charge = |reason: usize, metadata: usize| Charge {
        reason: Some("r".repeat(reason).into()),
        metadata: Some(Metadata::from_iter([("a".to_owned(), Value::from("m".repeat(metadata - 8)))])),
        ..Charge::new(owner.clone(), "1".parse().unwrap())
    };
    assert!(bank.engine.execute(acme.request(charge(1_000, MAX_TEXT_BYTES - 1_000))).is_ok());
    let refused = bank.engine.execute(acme.request(charge(1_001, MAX_TEXT_BYTES - 1_000))).unwrap_err();
    assert_eq!(refused.denial().unwrap().name(), "payload_too_large");
    bank.expect_balance("balance 8").unwrap();
}

#[test]
fn what_is_no_json_object_is_refused() {
    for text in ["", "{", "[]", "null", "1", "\"charge\"", "{}", "{\"command\": 1}", "\u{feff}{}", "{\"command\": \"charge\"} x"] {
        assert_eq!(refused_text(text), ("payload_invalid".to_owned(), "command".to_owned()), "{text:?}");
    }
    let nested = format!("{{\"command\": {}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(refused_text(&nested).0, "payload_invalid", "nested too deep");
    let large = format!("{{\"command\": \"{}\"}}", "x".repeat(1 << 20));
    assert_eq!(Command::from_json(&large).unwrap_err().name(), "payload_too_large");
}

#[test]
fn a_field_that_is_given_twice_is_refused() {
    let twice = r#"{"command": "charge", "tenant_id": "acme", "payer": "user:u1", "amount": 1, "amount": 2}"#;
    assert_eq!(refused_text(twice), ("payload_invalid".to_owned(), "command".to_owned()));
    assert!(Command::from_json(twice).unwrap_err().message().contains("`amount`"));
}

#[test]
fn a_command_is_written_as_it_is_read() {
    for command in commands() {
        let read = Command::from_json(&command.to_string()).unwrap();
        let again = Command::from_fields(read.to_fields()).unwrap();
        assert_eq!(read, again, "{command}");
        assert_eq!(read.fingerprint(), again.fingerprint(), "{command}");
    }
}
