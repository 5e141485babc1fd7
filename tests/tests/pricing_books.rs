//! Price books as documents: every mistake is told, with its path; what is too large is refused; what was written is read again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::time::{Duration, Instant};

use drawdown::Denial;
use drawdown::pricing::{MAX_PRICES_BYTES, PriceBook};
use serde_json::{Value, json};

/// A book that has every field.
fn whole() -> Value {
    json!({
        "version": "20250918",
        "effective_at": "2025-09-18T00:00:00Z",
        "unit": "UC",
        "rounding": {"mode": "up", "step": "0.01"},
        "priorities": {"standard": {"multiplier": 1, "eta_minutes": 30}, "accelerated": {"multiplier": "1.5", "eta_minutes": 10}},
        "resolutions": {"sd": 0.5, "hd": 1, "4k": 2},
        "templates": {"poster": {"base": 10, "policy_tag": "tag"}},
        "scenes": {"film": 12},
        "apps": {"knowledge": {"request": 1}},
        "extras": {
            "f": {"flat": 3},
            "p": {"per_unit": 0.25},
            "m": {"multiplier": 1.2},
            "g": {"graduated": [{"up_to": 10, "price": 1}, {"price": 0.5}]},
            "v": {"volume": [{"up_to": 10, "price": 1}, {"price": 0.5}]},
            "o": {"options": {"calm": {"flat": 1}, "wild": {"multiplier": 2}}}
        },
        "default_model": "banana",
        "models": {
            "banana": {"per_image": 4},
            "gpt": {
                "per_call": 1, "per_second": 2, "per_input_token": 2.5e-7, "per_cached_input_token": 0, "per_cache_write_token": 1,
                "per_output_token": "0.000002", "per_reasoning_token": 3,
                "above": [{"context_tokens": 200000, "per_input_token": 1}, {"context_tokens": 300000, "per_output_token": 2}]
            }
        }
    })
}

/// The paths of the mistakes.
fn paths(denial: &Denial) -> Vec<&str> {
    denial.details()["errors"].as_array().unwrap().iter().map(|error| error["path"].as_str().unwrap()).collect()
}

/// The value at a pointer, for changing it.
fn at<'v>(book: &'v mut Value, pointer: &str) -> &'v mut Value {
    book.pointer_mut(pointer).unwrap_or_else(|| panic!("nothing at {pointer}"))
}

#[test]
fn a_whole_book_is_read_and_written_and_read_again() {
    let json = whole().to_string();
    let book = PriceBook::from_json(&json).unwrap();
    let written = book.to_json();
    assert_eq!(PriceBook::from_json(&written).unwrap(), book);
    assert_eq!(PriceBook::from_json(&written).unwrap().to_json(), written);
    assert_eq!(PriceBook::from_yaml(&written).unwrap(), book, "JSON is YAML");
    assert_eq!(book.basis().as_str(), "pricing_v20250918");
    // Numbers keep their digits, whatever a float would make of them.
    let fine = json.replace("\"film\":12", "\"film\":0.1000000000000000055");
    assert!(PriceBook::from_json(&fine).unwrap_err().message().contains("18 decimal places"));
    let fine = json.replace("\"film\":12", "\"film\":0.100000000000000005");
    assert!(PriceBook::from_json(&fine).unwrap().to_json().contains("\"0.100000000000000005\""));
}

#[test]
fn every_field_wrong_in_turn_is_told_with_its_path() {
    let bad = [json!(true), json!([1]), json!({"?": []}), json!(-1), json!("\u{7}")];
    let mut pointers = Vec::new();
    leaves(&whole(), String::new(), &mut pointers);
    assert!(pointers.len() > 60, "{}", pointers.len());
    for pointer in pointers {
        for value in &bad {
            let mut book = whole();
            *at(&mut book, &pointer) = value.clone();
            let Err(denial) = PriceBook::from_json(&book.to_string()) else { panic!("{pointer} was read as {value}") };
            assert_eq!(denial.name(), "config_invalid");
            let expected = path_of(&pointer);
            let found = paths(&denial);
            assert!(found.iter().any(|path| path.starts_with(&expected)), "{pointer} as {value}: {found:?}");
            let first = &denial.details()["errors"][0];
            assert!(first["allowed"].is_string() && first["message"].is_string(), "{first}");
        }
        // A field that is not known, beside it.
        let (parent, _) = pointer.rsplit_once('/').unwrap();
        if let Some(object) = whole().pointer(parent).unwrap().as_object() {
            let mut book = whole();
            let mut object = object.clone();
            object.insert("\u{202e}unknown".to_owned(), json!(null));
            if parent.is_empty() {
                book = Value::Object(object)
            } else {
                *at(&mut book, parent) = Value::Object(object)
            }
            assert!(PriceBook::from_json(&book.to_string()).is_err(), "an unknown field in `{parent}`");
        }
    }
}

/// The pointers of everything in a book, but of the book.
fn leaves(value: &Value, pointer: String, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    if !pointer.is_empty() {
        found.push(pointer.clone());
    }
    for (name, value) in children {
        leaves(value, format!("{pointer}/{name}"), found);
    }
}

fn path_of(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            path.push_str(&format!("[{part}]"));
        } else {
            path.push_str(if path.is_empty() { "" } else { "." });
            path.push_str(part);
        }
    }
    path
}

#[test]
fn mistakes_are_told_all_at_once() {
    let yaml = r#"
version: "2025 09"
effective_at: 2025-09-18
unit: ""
rounding: {mode: nearest, step: 0, places: 2}
priorities: {standard: {multiplier: -1, eta_minutes: 1.5}, urgent: {}}
resolutions: {hd: 1, 8k: 4}
templates: {poster: {base: 0.0000000000000000001}, flyer: 5, poster: {}}
scenes: {film: null}
apps: {knowledge: {request: 1e13}}
extras:
  two: {flat: 1, per_unit: 2}
  none: {}
  g: {graduated: [{up_to: 10, price: 1}, {up_to: 10, price: 1}, {up_to: 20}]}
  v: {volume: [{price: 1}, {price: 2}]}
  e: {volume: []}
  o: {options: {}}
default_model: gpt
models:
  gpt: {}
  tiers: {above: []}
  "a.b": {above: [{context_tokens: 10, per_input_token: 1}, {context_tokens: 10, per_input_token: 1}, {context_tokens: 11}]}
prices: 1
"#;
    let denial = PriceBook::from_yaml(yaml).unwrap_err();
    assert_eq!(
        paths(&denial),
        [
            "prices",
            "version",
            "effective_at",
            "unit",
            "rounding.places",
            "rounding.mode",
            "rounding.step",
            "priorities.urgent",
            "priorities.standard.multiplier",
            "priorities.standard.eta_minutes",
            "resolutions.8k",
            "templates.poster",
            "templates.poster.base",
            "templates.flyer",
            "scenes.film",
            "apps.knowledge.request",
            "extras.two",
            "extras.none",
            "extras.g.graduated[1].up_to",
            "extras.g.graduated[2].price",
            "extras.g.graduated[2].up_to",
            "extras.v.volume[0].up_to",
            "extras.e.volume",
            "extras.o.options",
            "models.gpt",
            "models.tiers",
            "models[\"a.b\"].above[1].context_tokens",
            "models[\"a.b\"].above[2]",
        ]
    );
    assert_eq!(denial.details()["mistakes"], 28);
    assert!(denial.message().ends_with("and 27 more"), "{denial}");
    assert_eq!(denial.details()["errors"][8]["given"], "-1");
    assert_eq!(paths(&PriceBook::from_yaml("").unwrap_err()), ["."]);
    assert_eq!(paths(&PriceBook::from_json("{}").unwrap_err()), ["version", "effective_at", "unit"]);
    let unknown = PriceBook::from_json(&whole().to_string().replace(r#""default_model":"banana""#, r#""default_model":"b""#));
    assert_eq!(paths(&unknown.unwrap_err()), ["default_model"]);
    // The first hundred are listed, all are counted.
    let many: Vec<String> = (0..5_000).map(|number| format!("s{number}: -1")).collect();
    let many = PriceBook::from_yaml(&format!("{{scenes: {{{}}}}}", many.join(","))).unwrap_err();
    assert_eq!((paths(&many).len(), &many.details()["mistakes"]), (100, &json!(5_003)));
}

#[test]
fn a_price_has_at_most_a_hundred_tiers() {
    for (tiers, fits) in [(99, true), (100, false)] {
        let graduated: Vec<Value> = (1..=tiers).map(|to| json!({"up_to": to, "price": 1})).chain([json!({"price": 1})]).collect();
        let above: Vec<Value> = (0..=tiers).map(|size| json!({"context_tokens": size, "per_input_token": 1})).collect();
        for (pointer, list) in
            [("/extras/g/graduated", &graduated), ("/extras/v/volume", &graduated), ("/models/gpt/above", &above)]
        {
            let mut book = whole();
            *at(&mut book, pointer) = json!(list);
            let read = PriceBook::from_json(&book.to_string());
            assert_eq!(read.is_ok(), fits, "{pointer} {tiers}");
            assert!(fits || paths(&read.unwrap_err()) == [path_of(pointer)], "{pointer}");
        }
    }
}

#[test]
fn a_field_stands_once() {
    for (given, path) in [
        (whole().to_string().replacen("\"scenes\":", "\"version\":\"1\",\"scenes\":", 1), "version"),
        (whole().to_string().replace("\"film\":12", "\"film\":12,\"film\":12"), "scenes.film"),
        (whole().to_string().replace("\"base\":10", "\"base\":10,\"base\":10"), "templates.poster.base"),
    ] {
        for denial in [PriceBook::from_json(&given).unwrap_err(), PriceBook::from_yaml(&given).unwrap_err()] {
            assert_eq!(paths(&denial), [path], "{denial}");
            assert!(denial.message().contains("stands twice"));
        }
    }
}

#[test]
fn yaml_says_what_it_seems_to_say() {
    let head = "version: 1\neffective_at: 2026-01-01T00:00:00Z\nunit: UC\n";
    for (rest, line) in [
        ("scenes: &a {film: 1}\n", "line 4: anchors"),
        ("scenes: {film: *a}\n", "line 4: anchors"),
        ("scenes: &a {film: 1}\ntemplates: *a\n", "line 4: anchors"),
        ("scenes: {film: !!float 1}\n", "line 4: a tag"),
        ("scenes: !prices {film: 1}\n", "line 4: a tag"),
        ("---\nversion: 2\n", "line 4: a second document"),
        ("scenes: {? [a] : 1}\n", "line 4: the name of a field"),
        ("scenes: {film: 1\n", "the YAML cannot be read"),
        ("scenes:\n\tfilm: 1\n", "the YAML cannot be read"),
    ] {
        let denial = PriceBook::from_yaml(&format!("{head}{rest}")).unwrap_err();
        assert_eq!(denial.name(), "config_invalid");
        assert!(denial.message().contains(line), "{rest}: {denial}");
    }
    assert!(PriceBook::from_yaml(&format!("%YAML 1.2\n---\n{head}")).is_err(), "a directive");
    for scene in [".inf", ".nan", "0x10", "1_000", "yes", "1e", "[1]", "{a: 1}", "true", "~", "1,5"] {
        assert!(PriceBook::from_yaml(&format!("{head}scenes: {{film: {scene}}}")).is_err(), "{scene}");
        assert!(PriceBook::from_yaml(&format!("{head}scenes:\n  film: {scene}")).is_err(), "{scene}");
    }
    for (scene, price) in
        [("1", "1"), ("'1.50'", "1.5"), ("\"2\"", "2"), ("2.5E-1", "0.25"), ("+3", "3"), ("0b", ""), ("1 # one", "1")]
    {
        let book = PriceBook::from_yaml(&format!("{head}scenes:\n  film: {scene}\n"));
        assert_eq!(book.is_ok(), !price.is_empty(), "{scene}");
        assert!(book.is_err() || book.unwrap().to_json().contains(&format!("\"film\": \"{price}\"")), "{scene}");
    }
    // What is written as a number and is a name keeps its digits.
    let book = PriceBook::from_yaml(&format!("{head}scenes: {{1.50: 2, null: 3}}")).unwrap().to_json();
    assert!(book.contains("\"1.50\": \"2\"") && book.contains("\"null\": \"3\""), "{book}");
}

#[test]
fn what_is_too_large_is_refused_before_it_is_read() {
    let began = Instant::now();
    let ten_megabytes = format!("version: \"{}\"", "1".repeat(10 * 1024 * 1024));
    let flat: String = (0..MAX_PRICES_BYTES / 4).map(|_| "- 1\n").collect();
    let values = format!("[{}1]", "1,".repeat(500_000));
    for (text, limit) in [(&ten_megabytes, "bytes"), (&flat, "values"), (&values, "values")] {
        let denial = PriceBook::from_yaml(text).unwrap_err();
        assert_eq!((denial.name(), denial.details()["limit"].as_str()), ("payload_too_large", Some(limit)), "{denial}");
    }
    let denial = PriceBook::from_json(&values).unwrap_err();
    assert_eq!((denial.name(), &denial.details()["allowed"]), ("payload_too_large", &json!(400_000)));
    // As deep as it is long, or one long line: told at once.
    for part in ["[", "{a: ", "- ", "? ", "a: ", "\"a", "&a ", "!a ", "a:\n ", "# a\n", "- >\n a\n", "---\n", "%A b\n", "{---"] {
        let text = part.repeat(1_000_000 / part.len());
        assert!(PriceBook::from_yaml(&text).is_err(), "{part}");
        assert!(PriceBook::from_json(&text).is_err(), "{part}");
    }
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[test]
fn as_many_values_are_read_as_are_allowed() {
    // With the list itself.
    for (values, name) in [(400_000, "config_invalid"), (400_001, "payload_too_large")] {
        let list = format!("[{}1]", "1,".repeat(values - 2));
        assert_eq!(PriceBook::from_json(&list).unwrap_err().name(), name, "{values}");
        assert_eq!(PriceBook::from_yaml(&list).unwrap_err().name(), name, "{values}");
    }
}

#[test]
fn a_large_book_is_read_in_time() {
    let began = Instant::now();
    let scenes: Vec<String> = (0..60_000).map(|number| format!("\"scene {number}\": {number}.25")).collect();
    let json = format!(
        "{{\"version\": \"1\", \"effective_at\": \"2026-01-01T00:00:00Z\", \"unit\": \"UC\", \"scenes\": {{{}}}}}",
        scenes.join(",")
    );
    assert!(json.len() > 1_000_000 && json.len() < MAX_PRICES_BYTES, "{}", json.len());
    assert_eq!(PriceBook::from_json(&json).unwrap(), PriceBook::from_yaml(&json).unwrap());
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}
