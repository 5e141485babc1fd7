//! Commands as JSON: what is written is read back, and every mistake is named.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use drawdown::{Body, Command, Denial, RefundOf};
use serde_json::{Map, Value, json};

const HOLD: &str = "hold_019535d9-3df7-7aaa-8bbb-0123456a0001";
const GRANT: &str = "grt_019535d9-3df7-7aaa-8bbb-0123456a0001";
const RULE: &str = "rule_019535d9-3df7-7aaa-8bbb-0123456a0001";
const QUOTE: &str = "aud_019535d9-3df7-7aaa-8bbb-0123456a0000";
const ENTRY: &str = "led_019535d9-3df7-7aaa-8bbb-0123456a0001";

/// One command of each kind, with every field that it has.
fn full_commands() -> Vec<Value> {
    let bodies = [
        json!({"command": "grant", "owner": "user:u1", "unit": "UC", "type": "trial", "amount": "2.5",
            "effective_at": "2026-01-01T00:00:00Z", "expires_at": "2027-01-01T00:00:00Z",
            "scope": {"app_id": "app", "template_id": "t"}, "priority": -3, "reason": "hello", "operator": "ops",
            "policy_tag": "p", "metadata": {"a": [1, {"b": null}]}}),
        json!({"command": "void", "grant_id": GRANT, "operator": "ops", "reason": "abuse", "metadata": {}}),
        json!({"command": "amend", "grant_id": GRANT, "expires_at": "2027-01-01T00:00:00Z", "operator": "ops", "reason": "more",
            "metadata": {}}),
        json!({"command": "adjust", "owner": "organization:o1", "unit": "UC", "amount": "-1", "operator": "ops",
            "reason": "mistake", "metadata": {}}),
        json!({"command": "hold", "payer": "pool", "user_id": "u1", "unit": "UC", "amount": "0", "expire_in": 60, "task_id": "t-1",
            "template_id": "t", "app_id": "app", "scene": "s", "price_basis": "v1", "audit_id": QUOTE, "over_capture": "draw", "late_commit": "draw",
            "reason": "work", "policy_tag": "p", "metadata": {}}),
        json!({"command": "extend", "hold_id": HOLD, "expire_in": 60, "reason": "slow", "metadata": {}}),
        json!({"command": "capture", "hold_id": HOLD, "actual_cost": "1", "final": false, "task_id": "t-1", "template_id": "t",
            "user_id": "u1", "reason": "part", "metadata": {}}),
        json!({"command": "release", "hold_id": HOLD, "amount": "1", "task_id": "t-1", "user_id": "u1", "reason": "part",
            "metadata": {}}),
        json!({"command": "charge", "payer": "user:u1", "user_id": "u1", "unit": "UC", "amount": "1", "task_id": "t-1",
            "template_id": "t", "app_id": "app", "price_basis": "v1", "audit_id": QUOTE, "reason": "call", "policy_tag": "p", "metadata": {}}),
        json!({"command": "refund", "payer": "user:u1", "user_id": "u1", "unit": "UC", "task_id": "t-1", "amount": "1",
            "operator": "ops", "reason": "failed", "metadata": {}}),
        json!({"command": "refund", "payer": "user:u1", "ledger_id": ENTRY, "operator": "ops", "reason": "failed"}),
        json!({"command": "settle", "owner": "user:u1", "unit": "UC"}),
        json!({"command": "recur", "owner": "user:u1", "unit": "UC", "type": "plan", "amount": "2.5", "every": {"months": 3},
            "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2027-01-01T00:00:00Z", "zone": "Europe/Berlin", "rollover_cap": "1",
            "scope": {"app_id": "app", "template_id": "t"}, "priority": -3, "reason": "hello", "operator": "ops",
            "policy_tag": "p", "metadata": {}}),
        json!({"command": "stop_rule", "rule_id": RULE, "operator": "ops", "reason": "cancelled", "metadata": {}}),
        json!({"command": "erase_text", "owner": "user:u1", "unit": "UC", "user_id": "u1", "after_seq": 7, "operator": "ops",
            "reason": "asked for"}),
        json!({"command": "block", "target": "tenant", "operator": "ops", "reason": "unpaid", "metadata": {}}),
        json!({"command": "block", "target": {"user": "u1"}, "operator": "ops", "reason": "abuse"}),
        json!({"command": "unblock", "target": {"account": {"owner": "user:u1", "unit": "UC"}}, "operator": "ops", "reason": "paid",
            "metadata": {}}),
        json!({"command": "set_member", "organization_id": "o1", "user_id": "u1", "role": "admin",
            "limit": {"amount": "10", "unit": "UC", "per": "day"}, "operator": "ops", "reason": "joined", "metadata": {}}),
        json!({"command": "remove_member", "organization_id": "o1", "user_id": "u1", "operator": "ops", "reason": "left",
            "metadata": {}}),
        json!({"command": "set_credit_limit", "owner": "user:u1", "unit": "UC", "credit_limit": "5", "operator": "ops",
            "reason": "trust", "metadata": {}}),
        json!({"command": "set_low_balance", "owner": "user:u1", "unit": "UC", "low_balance": {"below": "5", "recovered_from": "8"},
            "operator": "ops", "reason": "a warning", "metadata": {}}),
        json!({"command": "import", "owner": "user:u1", "unit": "UC", "balance": "12", "expires_at": "2027-01-01T00:00:00Z",
            "operator": "ops", "reason": "moved", "policy_tag": "p", "metadata": {}}),
        json!({"command": "set_licence", "licence_id": "l1", "template_id": "poster", "user_id": "u1", "channels": ["viewer"],
            "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2027-01-01T00:00:00Z", "total_quota": 100, "daily_quota": 7,
            "zone": "Asia/Shanghai", "required_documents": ["consent", "contract"], "policy_tag": "p", "operator": "ops",
            "reason": "bought", "metadata": {}}),
        json!({"command": "revoke_licence", "licence_id": "l1", "operator": "ops", "reason": "a claim", "metadata": {}}),
        json!({"command": "submit_documents", "licence_id": "l1", "documents": ["consent"], "operator": "ops", "reason": "sent",
            "metadata": {}}),
        json!({"command": "advance_task", "task_id": "t-1", "stage": "rendering", "progress": 40,
            "next_eta": "2026-01-01T00:00:00Z", "metadata": {}}),
        json!({"command": "complete_task", "task_id": "t-1", "actual_cost": "1", "reason": "done", "metadata": {}}),
        json!({"command": "fail_task", "task_id": "t-1", "reason": "crashed", "metadata": {}}),
    ];
    bodies.into_iter().map(|body| full(&body)).collect()
}

/// The command with all that every command has, and a version if it is about an account.
fn full(body: &Value) -> Value {
    let context = json!({"tenant_id": "acme", "idempotency_key": "k-1", "actor": "svc", "request_id": "r-1",
        "deadline": "2026-01-01T00:00:00Z", "remember_denials": true});
    let command = merged(&context, body);
    let versioned = with(&command, "expected_version", 3.into());
    if read(&versioned).unwrap().check().is_ok() { versioned } else { command }
}

fn merged(context: &Value, body: &Value) -> Value {
    let mut fields = context.as_object().unwrap().clone();
    fields.extend(body.as_object().unwrap().clone());
    Value::Object(fields)
}

fn read(command: &Value) -> Result<Command, Denial> {
    Command::from_json(&command.to_string())
}

fn with(command: &Value, name: &str, value: Value) -> Value {
    let mut fields = command.as_object().unwrap().clone();
    fields.insert(name.to_owned(), value);
    Value::Object(fields)
}

fn charge() -> Value {
    json!({"command": "charge", "tenant_id": "acme", "payer": "user:u1", "amount": 1})
}

#[test]
fn what_is_written_is_read_back() {
    for json in full_commands() {
        let command = read(&json).unwrap();
        command.check().unwrap();
        assert_eq!(Command::from_fields(command.to_fields()).unwrap(), command, "{json}");
        let written = command.to_fields();
        let lost: Vec<&String> = json.as_object().unwrap().keys().filter(|name| !written.contains_key(*name)).collect();
        assert_eq!(lost, Vec::<&String>::new(), "{json}");
    }
}

#[test]
fn every_field_of_every_command_is_checked() {
    // A value that no field takes, but metadata's own fields.
    for wrong in [json!([]), json!(true), json!({"x": 1}), json!("\u{1}")] {
        for json in full_commands() {
            for name in json.as_object().unwrap().keys() {
                let free = matches!((name.as_str(), &wrong), ("metadata", Value::Object(_)) | ("reason", Value::String(_)))
                    || (matches!(name.as_str(), "final" | "remember_denials") && wrong.is_boolean());
                // A struct is read from an array of its fields as well; an empty one has too few or none that are needed.
                let scope = name == "scope" && wrong.is_array();
                // What a list has too few of is said by its command.
                let list = matches!(name.as_str(), "channels" | "required_documents" | "documents") && wrong.is_array();
                if free || scope || list {
                    continue;
                }
                let refused = read(&with(&json, name, wrong.clone())).unwrap_err();
                let expected = match name.as_str() {
                    "amount" | "actual_cost" | "rollover_cap" | "credit_limit" | "balance" => "amount_invalid",
                    "owner" | "payer" if wrong.is_string() => "owner_invalid",
                    _ => "payload_invalid",
                };
                assert_eq!(refused.name(), expected, "{name} = {wrong}: {refused}");
                let field = refused.details()["field"].as_str().unwrap();
                assert!(field == name || field.starts_with(&format!("{name}.")), "{name} = {wrong} is reported at {field}");
                assert!(refused.details().contains_key("allowed"), "{name}: {refused}");
            }
        }
    }
}

#[test]
fn a_field_that_is_needed_is_named_when_it_is_missing() {
    let needed: &[(&str, &[&str])] = &[
        ("grant", &["owner", "type", "amount"]),
        ("void", &["grant_id", "operator", "reason"]),
        ("amend", &["grant_id", "expires_at"]),
        ("adjust", &["owner", "amount", "operator", "reason"]),
        ("hold", &["amount"]),
        ("extend", &["hold_id", "expire_in"]),
        ("capture", &["hold_id", "actual_cost"]),
        ("release", &["hold_id"]),
        ("charge", &["amount"]),
        ("refund", &["operator", "reason"]),
        ("settle", &["owner"]),
        ("recur", &["owner", "type", "amount", "every"]),
        ("stop_rule", &["rule_id", "operator", "reason"]),
        ("erase_text", &["owner", "operator", "reason"]),
        ("block", &["target", "operator", "reason"]),
        ("unblock", &["target", "operator", "reason"]),
        ("set_member", &["organization_id", "user_id", "role", "operator"]),
        ("remove_member", &["organization_id", "user_id", "operator"]),
        ("set_credit_limit", &["owner", "credit_limit", "operator", "reason"]),
        ("set_low_balance", &["owner", "operator"]),
        ("import", &["owner", "balance"]),
        ("set_licence", &["licence_id", "template_id", "operator"]),
        ("revoke_licence", &["licence_id", "operator", "reason"]),
        ("submit_documents", &["licence_id", "documents", "operator"]),
        ("advance_task", &["task_id"]),
        ("complete_task", &["task_id"]),
        ("fail_task", &["task_id", "reason"]),
    ];
    for json in full_commands() {
        let kind = json["command"].as_str().unwrap();
        let needed = needed.iter().find(|(name, _)| *name == kind).unwrap().1;
        let one_of = ["task_id", "ledger_id"];
        for name in json.as_object().unwrap().keys() {
            let mut fields = json.as_object().unwrap().clone();
            fields.remove(name);
            let read = Command::from_fields(fields);
            let must = needed.contains(&name.as_str())
                || ["command", "tenant_id"].contains(&name.as_str())
                || (kind == "refund" && one_of.contains(&name.as_str()));
            match read {
                Ok(_) => assert!(!must, "{kind} without {name} was read"),
                Err(refused) => {
                    assert!(must, "{kind} without {name}: {refused}");
                    assert!(refused.message().contains(&format!("`{name}`")), "{kind} without {name}: {refused}");
                    assert_eq!(refused.name(), "payload_invalid");
                }
            }
        }
    }
}

#[test]
fn unknown_fields_are_refused_by_name() {
    for json in full_commands() {
        let refused = read(&with(&json, "amonut", json!(1))).unwrap_err();
        assert_eq!((refused.name(), &refused.details()["field"]), ("payload_invalid", &json!("amonut")), "{json}");
    }
    let scoped = json!({"command": "grant", "tenant_id": "acme", "owner": "pool", "type": "trial", "amount": 1,
        "scope": {"app": "x"}});
    let refused = read(&scoped).unwrap_err();
    assert!(refused.details()["field"].as_str().unwrap().starts_with("scope"), "{refused}");
    assert_eq!(read(&with(&charge(), "command", json!("transfer"))).unwrap_err().details()["field"], "command");
}

#[test]
fn a_refund_is_of_a_task_or_of_an_entry() {
    let refund = json!({"command": "refund", "tenant_id": "acme", "payer": "user:u1", "operator": "ops", "reason": "failed"});
    let by_task = read(&with(&refund, "task_id", json!("t-1"))).unwrap();
    assert!(matches!(by_task.body, Body::Refund(refund) if matches!(refund.of, RefundOf::TaskId(_))));
    let by_entry = read(&with(&refund, "ledger_id", json!(ENTRY))).unwrap();
    assert!(matches!(by_entry.body, Body::Refund(refund) if matches!(refund.of, RefundOf::LedgerId(_))));
    for both_or_neither in [refund.clone(), with(&with(&refund, "task_id", json!("t-1")), "ledger_id", json!(ENTRY))] {
        let refused = read(&both_or_neither).unwrap_err();
        assert_eq!((refused.name(), &refused.details()["field"]), ("payload_invalid", &json!("task_id")));
        assert!(refused.message().contains("`ledger_id`"), "{refused}");
    }
}

#[test]
fn amounts_are_read_from_their_digits() {
    for (written, read_as) in [
        ("2.5", "2.5"),
        ("1e2", "100"),
        ("1E+2", "100"),
        ("2500e-3", "2.5"),
        ("0.000001", "0.000001"),
        ("9223372036854.775807", "9223372036854.775807"),
        ("0.1", "0.1"),
        ("1000000000000.000001", "1000000000000.000001"),
        ("\"12.50\"", "12.5"),
        ("-0.0", "0"),
    ] {
        let json = charge().to_string().replace("\"amount\":1", &format!("\"amount\":{written}"));
        let Body::Charge(charge) = Command::from_json(&json).unwrap().body else { unreachable!() };
        assert_eq!(charge.amount.to_string(), read_as, "{written}");
    }
}

#[test]
fn what_is_no_amount_is_amount_invalid() {
    for wrong in [
        "1e400",
        "0.1234567",
        "9223372036854.775808",
        "-9223372036854.775809",
        "1e-2147483648",
        "1e2147483647",
        "1e99999999999",
        "\"NaN\"",
        "\"inf\"",
        "\"\"",
        "\"1,5\"",
        "\"0x10\"",
        "\" 1\"",
        "true",
        "[1]",
        "{\"total\":1}",
    ] {
        let json = charge().to_string().replace("\"amount\":1", &format!("\"amount\":{wrong}"));
        let refused = Command::from_json(&json).unwrap_err();
        assert_eq!((refused.name(), &refused.details()["field"]), ("amount_invalid", &json!("amount")), "{wrong}");
        assert!(refused.details()["given"].is_string() && refused.details()["allowed"].is_string(), "{wrong}");
    }
    // `NaN` without quotes is no JSON at all.
    let json = charge().to_string().replace("\"amount\":1", "\"amount\":NaN");
    assert_eq!(Command::from_json(&json).unwrap_err().name(), "payload_invalid");
}

#[test]
fn what_is_no_json_object_is_payload_invalid() {
    let surrogate = charge().to_string().replace("u1", "u\\ud800");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_metadata = with(&charge(), "metadata", json!({})).to_string().replace("{}", &format!("{{\"a\":{deep}}}"));
    for text in ["", "null", "[]", "1", "\"charge\"", "{", "{}x", "{\"command\":}", "\u{feff}{}", &surrogate, &deep, &deep_metadata]
    {
        let refused = Command::from_json(text).unwrap_err();
        assert_eq!((refused.name(), &refused.details()["field"]), ("payload_invalid", &json!("command")), "{refused}");
    }
    assert_eq!(Command::from_json("{}").unwrap_err().details()["field"], "command");
}

#[test]
fn a_field_stands_once() {
    let twice = charge().to_string().replace("\"amount\":1", "\"amount\":1,\"amount\":2");
    let within = with(&charge(), "metadata", json!({"a": 1})).to_string().replace("\"a\":1", "\"a\":1,\"a\":1");
    for (text, name) in [(twice, "`amount`"), (within, "`a`")] {
        let refused = Command::from_json(&text).unwrap_err();
        assert_eq!(refused.name(), "payload_invalid");
        assert!(refused.message().contains(&format!("{name} stands twice")), "{refused}");
    }
}

#[test]
fn a_large_command_is_refused_before_it_is_read() {
    let large = with(&charge(), "reason", json!("x".repeat(1 << 20)));
    let refused = read(&large).unwrap_err();
    assert_eq!(refused.name(), "payload_too_large");
    assert!(refused.details()["given"].as_u64() > refused.details()["allowed"].as_u64());
}

#[test]
fn text_and_metadata_are_bounded_and_can_be_kept() {
    let check = |name: &str, value: Value| read(&with(&charge(), name, value)).and_then(|command| command.check());
    check("reason", json!("x".repeat(65_536))).unwrap();
    assert_eq!(check("reason", json!("x".repeat(65_537))).unwrap_err().name(), "payload_too_large");
    assert_eq!(check("metadata", json!({"a": "x".repeat(65_536)})).unwrap_err().name(), "payload_too_large");
    assert_eq!(check("reason", json!("a\0b")).unwrap_err().details()["field"], "reason");
    for nul in [json!({"a": "\0"}), json!({"\0": 1}), json!({"a": ["\\", {"b": "\\\0"}]})] {
        assert_eq!(check("metadata", nul).unwrap_err().details()["field"], "metadata");
    }
    check("metadata", json!({"a": "\\u0000", "b": "\u{1}"})).unwrap();
    assert_eq!(check("payer", json!("user:a\0")).unwrap_err().details()["field"], "payer");

    let nested = |levels: usize| (1..levels).fold(json!({}), |inner, _| json!({"a": [inner]})["a"].take());
    let nested = |levels: usize| Map::from_iter([("a".to_owned(), nested(levels))]);
    check("metadata", Value::Object(nested(63))).unwrap();
    let mut fields = charge().as_object().unwrap().clone();
    fields.insert("metadata".to_owned(), Value::Object(nested(1_000)));
    let refused = Command::from_fields(fields).unwrap().check().unwrap_err();
    assert_eq!((refused.name(), &refused.details()["field"]), ("payload_invalid", &json!("metadata")));

    // What a host builds itself does not pass the reader.
    let mut command = read(&charge()).unwrap();
    if let Body::Charge(charge) = &mut command.body {
        charge.metadata = Some(Map::from_iter([("a".to_owned(), json!([{"$serde_json::private::Number": "x"}]))]));
    }
    assert_eq!(command.check().unwrap_err().details()["field"], "metadata");
}

/// Another value that the field can have.
fn another(name: &str, value: &Value) -> Value {
    let text = match value {
        Value::Bool(value) => return (!value).into(),
        Value::Number(number) => return (number.as_i64().unwrap() + 1).into(),
        Value::Array(_) if name == "channels" => return json!(["creator"]),
        Value::Array(items) => return items.iter().cloned().chain([json!("another")]).collect(),
        Value::String(text) => text,
        other => panic!("{name}: {other}"),
    };
    let changed = match name {
        "amount" | "actual_cost" | "rollover_cap" | "credit_limit" | "balance" | "below" | "recovered_from" => "3.25".to_owned(),
        "type" => "invite".to_owned(),
        "over_capture" | "late_commit" => "reject".to_owned(),
        "role" => "owner".to_owned(),
        "per" => "month".to_owned(),
        "zone" => "America/New_York".to_owned(),
        "owner" | "payer" => "user:another".to_owned(),
        _ if text.ends_with("00:00:00Z") => text.replace("202", "203"),
        _ if text.ends_with("0001") => text.replace("0001", "0002"),
        _ => format!("{text}-another"),
    };
    changed.into()
}

/// The object with one field, or a field of a field, changed or left out, in every way; and the field that was changed.
fn changed(object: &Map<String, Value>) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (name, value) in object.iter().filter(|(name, _)| *name != "command") {
        let mut put = |value: Option<Value>| {
            let mut object = object.clone();
            match value {
                Some(value) => object.insert(name.clone(), value),
                None => object.remove(name),
            };
            all.push((name.clone(), Value::Object(object)));
        };
        put(None);
        match value {
            Value::Object(_) if name == "metadata" => put(Some(json!({"another": 1}))),
            Value::Object(inner) => changed(inner).into_iter().for_each(|(_, inner)| put(Some(inner))),
            Value::String(text) if text == "tenant" => put(Some(json!({"user": "u2"}))),
            value => put(Some(another(name, value))),
        }
    }
    all
}

#[test]
fn every_field_that_decides_is_in_the_fingerprint_and_no_other() {
    let free = ["tenant_id", "idempotency_key", "actor", "request_id", "deadline", "metadata"];
    for json in full_commands() {
        let fingerprint = read(&json).unwrap().fingerprint();
        let mut compared = 0;
        for (name, other) in changed(json.as_object().unwrap()) {
            // What is needed cannot be left out.
            let Ok(command) = read(&other) else { continue };
            let differs = command.fingerprint() != fingerprint;
            assert_eq!(differs, !free.contains(&name.as_str()), "{name} of {json} and {other}");
            assert_eq!(differs, command.fingerprint().first_difference(&fingerprint).is_some(), "{name} of {json}");
            compared += 1;
        }
        assert!(compared > 8, "only {compared} of {json} were compared");
    }
}
