//! The cases of `tests/vectors`, which every language of the project runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use drawdown::ledger::{AccountHead, ChainHash, Checkpoint, Draw, DrawLine, Entry, EntryKind, EntryText, Terms, text_hash};
use drawdown::pricing::{EstimateRequest, PriceBook};
use drawdown::{AccountKey, Amount, Command, Engine, Failure, LedgerId, ManualClock, OpId, Policies, TenantPolicy, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(format!("{name}.json"))
}

fn document(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path(name)).unwrap()).unwrap()
}

fn cases(name: &str) -> Vec<Value> {
    let cases = document(name)["cases"].as_array().unwrap().clone();
    assert!(!cases.is_empty(), "{name} has no cases");
    cases
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap_or_else(|| panic!("no `{field}` in {case}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn amounts() {
    for case in cases("amounts") {
        let read = text(&case, "text").parse::<Amount>();
        match case.get("denied") {
            Some(denied) => assert_eq!(read.unwrap_err().name(), denied.as_str().unwrap(), "{case}"),
            None => {
                let amount = read.unwrap();
                assert_eq!(amount.micros().to_string(), text(&case, "micros"), "{case}");
                assert_eq!(amount.to_string(), text(&case, "written"), "{case}");
            }
        }
    }
}

#[test]
fn fingerprints() {
    let cases = cases("fingerprints");
    let named: HashMap<&str, &Value> = cases.iter().map(|case| (text(case, "name"), case)).collect();
    for case in &cases {
        let (digest, stored) = fingerprint(case);
        let golden = case.get("same_as").map_or(case, |name| named[name.as_str().unwrap()]);
        assert_eq!((digest.as_str(), stored.as_str()), (text(golden, "digest"), text(golden, "stored")), "{case}");
    }
}

fn fingerprint(case: &Value) -> (String, String) {
    let command = Command::from_json(&case["command"].to_string()).unwrap_or_else(|denial| panic!("{case}: {denial}"));
    let fingerprint = command.fingerprint();
    (hex(fingerprint.digest()), hex(fingerprint.as_bytes()))
}

#[test]
fn chain() {
    let mut previous = ChainHash::default();
    for case in cases("chain") {
        let (text_part, link) = links(&case, &previous);
        assert_eq!(
            (text_part.to_string().as_str(), link.to_string().as_str()),
            (text(&case, "text_hash"), text(&case, "hash")),
            "{case}"
        );
        previous = link;
    }
}

fn links(case: &Value, previous: &ChainHash) -> (ChainHash, ChainHash) {
    let entry = entry(case);
    let text_part = text_hash(&entry.text);
    (text_part, entry.chain_after(previous, &text_part))
}

fn entry(case: &Value) -> Entry {
    fn field<T: DeserializeOwned>(case: &Value, name: &str) -> T {
        serde_json::from_value(case[name].clone()).unwrap_or_else(|error| panic!("{name} of {case}: {error}"))
    }
    Entry {
        op_id: OpId::from_uuid(text(case, "op_id").parse().unwrap()),
        ordinal: field(case, "ordinal"),
        account: Arc::new(field::<AccountKey>(case, "account")),
        seq: field(case, "seq"),
        kind: field::<EntryKind>(case, "kind"),
        change: field(case, "change"),
        frozen_change: field(case, "frozen_change"),
        balance_after: field(case, "balance_after"),
        frozen_after: field(case, "frozen_after"),
        draw: field::<Vec<DrawLine>>(case, "draw").into_iter().collect::<Draw>(),
        terms: field::<Option<Terms>>(case, "terms"),
        hold_id: field(case, "hold_id"),
        grant_id: field(case, "grant_id"),
        task_id: field(case, "task_id"),
        template_id: field(case, "template_id"),
        app_id: field(case, "app_id"),
        text: field::<EntryText>(case, "text"),
        effective_at: field(case, "effective_at"),
        created_at: field(case, "created_at"),
        erased_text_hash: None,
        hash: ChainHash::default(),
    }
}

#[test]
fn checkpoints() {
    for case in cases("checkpoints") {
        assert_eq!(checkpoint(&case).to_string(), text(&case, "line"), "{case}");
        assert_eq!(serde_json::to_value(checkpoint(&case)).unwrap(), case["json"], "{case}");
    }
}

fn checkpoint(case: &Value) -> Checkpoint {
    let head = |head: &Value| AccountHead {
        account: Arc::new(serde_json::from_value(head["account"].clone()).unwrap()),
        seq: head["seq"].as_u64().unwrap(),
        ledger_id: LedgerId::derive(OpId::from_uuid(Default::default()), 1),
        balance_after: Amount::ZERO,
        frozen_after: Amount::ZERO,
        created_at: Timestamp::MIN,
        hash: text(head, "hash").parse().unwrap(),
    };
    let heads: Vec<AccountHead> = case["heads"].as_array().unwrap().iter().map(head).collect();
    assert!(heads.is_sorted_by_key(|head| head.account.clone()));
    Checkpoint::of(case["position"].as_u64().unwrap(), text(case, "taken_at").parse().unwrap(), &heads)
}

#[test]
fn sequences() {
    for case in cases("sequences") {
        let clock = Arc::new(ManualClock::default());
        let policy = case.get("policy").map(|policy| serde_json::from_value::<TenantPolicy>(policy.clone()).unwrap());
        let policies = Policies::new(policy.unwrap_or_default());
        let engine = Engine::builder().clock(clock.clone()).policies(policies).build().unwrap();
        let mut made: HashMap<String, Map<String, Value>> = HashMap::new();
        for step in case["steps"].as_array().unwrap() {
            clock.set(text(step, "at").parse().unwrap());
            let context = format!("{}: {step}", text(&case, "name"));
            let command = with_ids(&step["command"], &made);
            let answer = Command::from_json(&command.to_string()).map_err(Failure::from).and_then(|command| engine.run(command));
            let (found, expected) = match (answer, step.get("denied")) {
                (Ok(receipt), None) => (receipt.to_json(), &step["ok"]),
                (Err(Failure::Denied(denial)), Some(name)) => {
                    assert_eq!(denial.name(), name.as_str().unwrap(), "{context}");
                    (Value::Object(denial.details().clone()), &step["details"])
                }
                (other, _) => panic!("{context}: {other:?}"),
            };
            if let (Some(name), Value::Object(fields)) = (step.get("as"), &found) {
                made.insert(name.as_str().unwrap().to_owned(), fields.clone());
            }
            for (name, expected) in with_ids(expected, &made).as_object().unwrap() {
                assert_eq!(&found[name], expected, "{name} in {context}");
            }
            if let Some(expected) = step.get("balance") {
                let key = AccountKey::new("acme".parse().unwrap(), "user:u1".parse().unwrap(), "credit".parse().unwrap());
                let balance = engine.balance(&key).unwrap();
                let found = (balance.available.to_string(), balance.frozen.to_string());
                assert_eq!(found, (text(expected, "available").to_owned(), text(expected, "frozen").to_owned()), "{context}");
            }
        }
    }
}

/// Puts ids in the place of names; `pre_deduct_id` is the platform's word for a hold's id.
fn with_ids(value: &Value, made: &HashMap<String, Map<String, Value>>) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| with_ids(item, made)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(field, value)| match value.as_str().and_then(|text| text.strip_prefix('$')) {
                Some(name) => {
                    let id = if field == "pre_deduct_id" { "hold_id" } else { field.as_str() };
                    (field.clone(), made[name][id].clone())
                }
                None => (field.clone(), with_ids(value, made)),
            })
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// Fills golden values in where a new case has none. Those that are there are frozen: it never changes one.
#[test]
#[ignore = "writes the golden values of new cases"]
fn write_golden_values() {
    let mut previous = ChainHash::default();
    for name in ["fingerprints", "chain", "checkpoints"] {
        let mut document = document(name);
        for case in document["cases"].as_array_mut().unwrap() {
            let golden = if name == "chain" {
                let (text_part, link) = links(case, &previous);
                previous = link;
                let terms = entry(case).terms.map(|terms| serde_json::to_string(&terms).unwrap());
                let mut golden = vec![("text_hash", text_part.to_string()), ("hash", link.to_string())];
                golden.extend(terms.map(|terms| ("terms_text", terms)));
                golden
            } else if name == "checkpoints" {
                let checkpoint = checkpoint(case);
                let json = serde_json::to_value(&checkpoint).unwrap();
                _ = case.as_object_mut().unwrap().entry("json").or_insert(json);
                vec![("line", checkpoint.to_string())]
            } else if case.get("same_as").is_none() {
                let (digest, stored) = fingerprint(case);
                vec![("digest", digest), ("stored", stored)]
            } else {
                vec![]
            };
            let fields = case.as_object_mut().unwrap();
            golden.into_iter().for_each(|(field, value)| _ = fields.entry(field).or_insert(value.into()));
        }
        let lines: Vec<String> = document["cases"].as_array().unwrap().iter().map(|case| format!("    {case}")).collect();
        let file = format!("{{\n  \"about\": {},\n  \"cases\": [\n{}\n  ]\n}}\n", document["about"], lines.join(",\n"));
        std::fs::write(path(name), file).unwrap();
    }
}

#[test]
fn pricing() {
    let document = document("pricing");
    let book = |case: &Value| PriceBook::from_yaml(text(&document["books"], text(case, "book"))).unwrap();
    for case in document["cases"].as_array().unwrap() {
        let asked = EstimateRequest::from_json(&case["request"].to_string()).and_then(|request| book(case).estimate(&request));
        let Some(expected) = case.get("estimate") else {
            let denial = asked.unwrap_err();
            assert_eq!((denial.name(), &denial.details()["field"]), (text(case, "denied"), &case["field"]), "{case}");
            assert_eq!(denial.details()["allowed"], case["allowed"], "{case}");
            continue;
        };
        let estimate = match case.get("available") {
            Some(available) => {
                let available = available.as_str().unwrap().parse().unwrap();
                serde_json::to_value(asked.unwrap().funded(available, Amount::ZERO).unwrap())
            }
            None => serde_json::to_value(asked.unwrap()),
        };
        let mut estimate = estimate.unwrap();
        estimate.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        assert_eq!(&estimate, expected, "{case}");
    }
    for case in document["mistakes"].as_array().unwrap() {
        let denial = PriceBook::from_yaml(text(case, "yaml")).unwrap_err();
        let paths: Vec<&Value> = denial.details()["errors"].as_array().unwrap().iter().map(|error| &error["path"]).collect();
        assert_eq!(paths, case["paths"].as_array().unwrap().iter().collect::<Vec<_>>(), "{case}");
    }
}
