//! Every call can be read from its fields, is answered, and is answered with what its schema says.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use drawdown::call::Call;
use drawdown::pricing::{PriceBook, PriceBooks};
use drawdown::{Command, Engine};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};

const BOOK: &str = "{version: '1', effective_at: 2020-01-01T00:00:00Z, unit: credit, templates: {poster: {base: 10}}}";

fn fields(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// An engine in which something of everything has happened, and what its answers said.
fn world() -> (Engine, BTreeMap<&'static str, Value>) {
    let engine = Engine::builder().prices(PriceBooks::new([PriceBook::from_yaml(BOOK).unwrap()]).unwrap()).build().unwrap();
    let run = |command: Value| {
        let mut command = fields(command);
        command.insert("tenant_id".to_owned(), "acme".into());
        engine.run(Command::from_fields(command).unwrap()).unwrap().to_json()
    };
    let granted = run(json!({ "command": "grant", "owner": "user:u1", "type": "purchased", "amount": "100" }));
    run(json!({ "command": "recur", "owner": "user:u1", "type": "plan", "amount": "1", "every": { "days": 1 } }));
    let held = run(json!({ "command": "hold", "payer": "user:u1", "amount": "4", "task_id": "t", "idempotency_key": "k" }));
    run(json!({ "command": "charge", "payer": "user:u1", "amount": "5" }));
    run(json!({ "command": "set_member", "organization_id": "o", "user_id": "u1", "role": "member", "operator": "ops" }));
    run(json!({ "command": "set_licence", "licence_id": "l", "template_id": "poster", "operator": "ops" }));
    run(json!({ "command": "block", "target": { "user": "u2" }, "operator": "ops", "reason": "fraud" }));
    let said = [("grant_id", &granted["grant_id"]), ("hold_id", &held["hold_id"])];
    let mut said: BTreeMap<_, _> = said.map(|(name, value)| (name, value.clone())).into();
    let checkpoint = engine.call(Call::from_fields("checkpoint", Map::new()).unwrap()).unwrap();
    said.insert("checkpoint", serde_json::to_value(checkpoint).unwrap());
    let events = engine.call(Call::from_fields("events", Map::new()).unwrap()).unwrap();
    said.insert("cursor", serde_json::to_value(events).unwrap()["next"].clone());
    (engine, said)
}

/// The fields of each call, `$name` for what an answer said.
fn asked(name: &str) -> Value {
    let account = json!({ "tenant_id": "acme", "owner": "user:u1" });
    match name {
        "balance" | "grants" | "rules" | "verify_account" => account,
        "blocks" => json!({ "tenant_id": "acme", "owner": "user:u2", "user_id": "u2" }),
        "explain" => json!({ "tenant_id": "acme", "owner": "user:u1", "amount": "7" }),
        "hold" => json!({ "tenant_id": "acme", "hold_id": "$hold_id" }),
        "grant" => json!({ "tenant_id": "acme", "grant_id": "$grant_id" }),
        "operation_by_key" => json!({ "tenant_id": "acme", "idempotency_key": "k" }),
        "entries" | "licences" | "policy" => json!({ "tenant_id": "acme" }),
        "statement" => json!({ "tenant_id": "acme", "format": "csv" }),
        "estimate" | "quote" => json!({ "tenant_id": "acme", "user_id": "u1", "template_id": "poster", "quantity": 2 }),
        "check_licence" => json!({ "tenant_id": "acme", "template_id": "poster", "user_id": "u1", "channel": "viewer" }),
        "licence" => json!({ "tenant_id": "acme", "licence_id": "l" }),
        "members" => json!({ "tenant_id": "acme", "organization_id": "o" }),
        "member" => json!({ "tenant_id": "acme", "organization_id": "o", "user_id": "u1" }),
        "spent" => json!({ "tenant_id": "acme", "spender": "user:u1" }),
        "task" | "task_events" => json!({ "tenant_id": "acme", "task_id": "t" }),
        "events" | "audit_records" => json!({ "tenant_id": "acme", "limit": 3 }),
        "consumer_position" => json!({ "name": "mailer" }),
        "acknowledge" => json!({ "name": "mailer", "cursor": "$cursor" }),
        "check_price_book" => json!({ "text": BOOK }),
        "verify_from" => json!({ "checkpoint": "$checkpoint" }),
        "flush_audit" | "accounts" | "health" | "stats" | "verify" | "checkpoint" | "sweep" | "forget_answers" | "price_books" => {
            json!({})
        }
        other => panic!("`{other}` is not called here"),
    }
}

fn asked_of(said: &BTreeMap<&'static str, Value>, name: &str) -> Call {
    let mut asked = fields(asked(name));
    for value in asked.values_mut() {
        if let Some(place) = value.as_str().and_then(|text| text.strip_prefix('$')) {
            *value = said[place].clone();
        }
    }
    let call = Call::from_fields(name, asked).unwrap_or_else(|denial| panic!("{name}: {denial}"));
    assert_eq!(call.name(), name);
    call
}

fn call(engine: &Engine, said: &BTreeMap<&'static str, Value>, name: &str) -> Value {
    let reply = engine.call(asked_of(said, name)).unwrap_or_else(|failure| panic!("{name}: {failure}"));
    serde_json::to_value(reply).unwrap()
}

/// What a schema says has to be in a value: the fields of each struct, no others, down to the leaves.
fn agree(page: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str().map(|path| path.rsplit('/').next().unwrap()) {
        return agree(page, &page["answered_types"][name], value, &format!("{at} {name}"));
    }
    if let Some(others) = schema["anyOf"].as_array() {
        let other = others.iter().find(|other| (other["type"] == "null") == value.is_null()).unwrap();
        return agree(page, other, value, at);
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| agree(page, &schema["items"], item, at)),
        Value::Object(given) if schema["properties"].is_object() => {
            let declared = schema["properties"].as_object().unwrap();
            let needed = schema["required"].as_array().map(|names| names.iter().filter_map(Value::as_str).collect::<BTreeSet<_>>());
            for name in needed.unwrap_or_default() {
                assert!(given.contains_key(name), "{at}: no `{name}` in {value}");
            }
            for (name, value) in given {
                let schema = declared.get(name).unwrap_or_else(|| panic!("{at}: `{name}` is not declared"));
                agree(page, schema, value, &format!("{at}.{name}"));
            }
        }
        _ => {}
    }
}

#[test]
fn every_call_is_answered_as_its_schema_says() {
    let (engine, said) = world();
    let page = drawdown::schema::page();
    for name in Call::NAMES {
        let reply = call(&engine, &said, name);
        let described = page["calls"].as_array().unwrap().iter().find(|call| call["name"] == *name).unwrap();
        agree(&page, &described["answered"], &reply, name);
    }
}

#[test]
fn what_calls_answer_is_what_the_engine_says() {
    let (engine, said) = world();
    let told = |name| call(&engine, &said, name);
    assert_eq!((&told("balance")["available"], &told("balance")["frozen"]), (&json!("92"), &json!("4")));
    assert_eq!(told("grants").as_array().unwrap().len(), 2);
    assert_eq!((&told("hold")["state"], &told("hold")["held"]), (&json!("frozen"), &json!("4")));
    assert_eq!(told("operation_by_key")["entries"][0]["task_id"], "t");
    assert_eq!(told("explain")["missing"], "0");
    assert_eq!(told("estimate")["selected_cost"], "20");
    assert_eq!(told("task")["status"], "accepted");
    assert_eq!(told("blocks")[0]["target"], json!({ "user": "u2" }));
    assert_eq!(told("verify")["faults"], json!([]));
    let statement = told("statement")["text"].as_str().unwrap().to_owned();
    assert!(statement.starts_with("owner,unit,seq,"), "{statement}");
    let mut asked = fields(json!({ "tenant_id": "acme", "format": "csv", "limit": 2 }));
    let first = serde_json::to_value(engine.call(Call::from_fields("statement", asked.clone()).unwrap()).unwrap()).unwrap();
    asked.insert("cursor".to_owned(), first["next_cursor"].clone());
    asked.insert("limit".to_owned(), 1000.into());
    let second = serde_json::to_value(engine.call(Call::from_fields("statement", asked).unwrap()).unwrap()).unwrap();
    let both = [&first, &second].map(|page| page["text"].as_str().unwrap()).concat();
    assert_eq!(both, statement, "pages joined are the whole");
    let of_task = fields(json!({ "tenant_id": "acme", "owner": "user:u2", "task_id": "t" }));
    let none = serde_json::to_value(engine.call(Call::from_fields("entries", of_task).unwrap()).unwrap()).unwrap();
    assert_eq!(none["entries"], json!([]), "a task of another owner");
}

#[test]
fn mistakes_name_the_field() {
    let refused = |name: &str, asked: Value| {
        let denial = Call::from_fields(name, fields(asked)).unwrap_err();
        (denial.name(), denial.details()["field"].as_str().unwrap().to_owned())
    };
    assert_eq!(refused("nothing", json!({})), ("payload_invalid", "call".to_owned()));
    assert_eq!(refused("balance", json!({ "tenant_id": "acme" })), ("payload_invalid", "owner".to_owned()));
    assert_eq!(refused("balance", json!({ "tenant_id": "acme", "owner": "u1" })), ("owner_invalid", "owner".to_owned()));
    assert_eq!(refused("balance", json!({ "tenant_id": "acme", "owner": "pool", "x": 1 })), ("payload_invalid", "x".to_owned()));
    let amount = json!({ "tenant_id": "acme", "owner": "pool", "amount": "1.0000001" });
    assert_eq!(refused("explain", amount), ("amount_invalid", "amount".to_owned()));
    assert_eq!(refused("spent", json!({ "tenant_id": "acme", "spender": "u" })), ("owner_invalid", "spender".to_owned()));
    assert_eq!(refused("estimate", json!({ "tenant_id": "acme", "quantity": 0 })), ("payload_invalid", "quantity".to_owned()));
    assert_eq!(refused("estimate", json!({ "quantity": 1 })), ("payload_invalid", "tenant_id".to_owned()));
    assert_eq!(refused("events", json!({ "kinds": ["x"] })), ("payload_invalid", "kinds[0]".to_owned()));
}

/// JSON with the names of its objects in the order in which they are written.
enum Written {
    Object(Vec<(String, Written)>),
    List(Vec<Written>),
    Leaf,
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Written, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Written;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object, a list or text")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Written, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Written::Object(fields))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Written, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Written::List(items))
            }

            fn visit_str<E>(self, _: &str) -> Result<Written, E> {
                Ok(Written::Leaf)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Written, E> {
                Ok(Written::Leaf)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Written, E> {
                Ok(Written::Leaf)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Written, E> {
                Ok(Written::Leaf)
            }

            fn visit_unit<E>(self) -> Result<Written, E> {
                Ok(Written::Leaf)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// The structs of this answer are written in the order that the page says; answers which.
fn in_order(page: &Value, schema: &Value, written: &Written) -> Vec<String> {
    let name = schema["$ref"].as_str().map(|path| path.rsplit('/').next().unwrap());
    let schema = name.map_or(schema, |name| &page["answered_types"][name]);
    if let Some(others) = schema["anyOf"].as_array() {
        return in_order(page, others.iter().find(|other| other["type"] != "null").unwrap(), written);
    }
    match written {
        Written::List(items) => items.iter().flat_map(|item| in_order(page, &schema["items"], item)).collect(),
        Written::Object(fields) if schema["properties"].is_object() => {
            let name = name.unwrap_or("an answer without a name");
            let said: Vec<&str> = page["order"][name].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let places: Vec<_> = fields.iter().map(|(field, _)| said.iter().position(|other| other == field)).collect();
            assert!(
                places.is_sorted(),
                "{name} is written in the order {:?}",
                fields.iter().map(|(field, _)| field).collect::<Vec<_>>()
            );
            let within = fields.iter().flat_map(|(field, value)| in_order(page, &schema["properties"][field], value));
            within.chain([name.to_owned()]).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn the_order_of_fields_is_that_in_which_they_are_written() {
    let (engine, said) = world();
    let page = drawdown::schema::page();
    let read = |text: String| serde_json::from_str::<Written>(&text).unwrap();
    let mut seen = BTreeSet::new();
    for name in Call::NAMES {
        let described = page["calls"].as_array().unwrap().iter().find(|call| call["name"] == *name).unwrap();
        let reply = engine.call(asked_of(&said, name)).unwrap();
        seen.extend(in_order(&page, &described["answered"], &read(serde_json::to_string(&reply).unwrap())));
    }
    let licence = drawdown::RevokeLicence {
        licence_id: "l".parse().unwrap(),
        operator: "ops".parse().unwrap(),
        reason: "over".into(),
        metadata: None,
    };
    let receipt = engine.execute(drawdown::Context::tenant("acme").unwrap().request(licence)).unwrap();
    let schema = json!({ "$ref": "#/$defs/LicenceReceipt" });
    seen.extend(in_order(&page, &schema, &read(serde_json::to_string(&receipt).unwrap())));
    // The order of these cannot be asked, it stands by hand.
    for by_hand in ["LicenceReceipt", "LicenceView", "FundedEstimate", "EngineStats", "CommandStats"] {
        assert!(seen.contains(by_hand), "no {by_hand} was written");
    }
}

#[test]
fn the_order_of_fields_has_those_of_the_schema() {
    let page = drawdown::schema::page();
    let names = |value: &Value| -> BTreeSet<String> {
        match value {
            Value::Object(fields) => fields.keys().cloned().collect(),
            other => other.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        }
    };
    for types in ["asked_types", "answered_types"] {
        for (name, schema) in page[types].as_object().unwrap() {
            if schema["type"] == "object" {
                assert_eq!(names(&page["order"][name]), names(&schema["properties"]), "{name}");
            }
        }
    }
    for described in page["commands"].as_array().unwrap().iter().chain(page["calls"].as_array().unwrap()) {
        assert_eq!(names(&described["order"]), names(&described["asked"]["properties"]), "{described}");
    }
    assert_eq!(names(&page["context_order"]), names(&page["context"]["properties"]));
}
