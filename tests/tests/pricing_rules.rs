//! What work costs: the rules of pricing as tables.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use drawdown::pricing::{EstimateRequest, LineKind, PriceBook, PriceBooks, Rate, Rounding, RoundingMode, Usage};
use drawdown::{Amount, Denial};

const BOOK: &str = r#"
version: 20250918
effective_at: 2025-09-18T00:00:00Z
unit: UC
rounding: {mode: half_up, step: 0.01}
priorities:
  standard: {eta_minutes: 30}
  accelerated: {multiplier: 1.5, eta_minutes: 10}
resolutions: {sd: 0.8, hd: 1, 4k: 2.5}
templates:
  poster: {base: 10, policy_tag: cn-deep-synthesis}
  by_scene: {policy_tag: plain}
scenes: {film: 12, still: 0}
apps:
  knowledge: {request: 1, gb_month: 0.5}
extras:
  no_watermark: {flat: 3}
  voice: {per_unit: 0.25}
  review: {multiplier: 1.2}
  half: {multiplier: 0.5}
  seconds:
    graduated: [{up_to: 10, price: 1}, {up_to: 60, price: 0.8}, {price: 0.5}]
  clips:
    volume: [{up_to: 10, price: 1}, {up_to: 60, price: 0.8}, {price: 0.5}]
  style:
    options: {calm: {flat: 1}, wild: {multiplier: 2}, free: {flat: 0}}
default_model: banana
models:
  banana: {per_image: 4}
  video: {per_call: 10}
  talker:
    per_input_token: 0.000003
    per_cached_input_token: 0.0000003
    per_output_token: 0.000015
    above: [{context_tokens: 1000, per_input_token: 0.000006}, {context_tokens: 2000, per_output_token: 0.00003}]
  thinker: {per_input_token: 1, per_cache_write_token: 2, per_output_token: 3, per_reasoning_token: 4, per_second: 0.5}
"#;

fn book() -> PriceBook {
    PriceBook::from_yaml(BOOK).unwrap()
}

fn request(json: &str) -> EstimateRequest {
    EstimateRequest::from_json(json).unwrap_or_else(|denial| panic!("{json}: {denial}"))
}

fn cost(json: &str) -> Result<String, Denial> {
    book().estimate(&request(json)).map(|estimate| {
        let sum = estimate.line_items.iter().fold(Amount::ZERO, |sum, line| sum.checked_add(line.amount).unwrap());
        assert_eq!(sum, estimate.selected_cost, "{json}: {:?}", estimate.line_items);
        assert_eq!(estimate.selected_cost, estimate.estimated_cost);
        estimate.selected_cost.to_string()
    })
}

/// given, then: the cost, or the field that is refused
#[track_caller]
fn table(cases: &[(&str, Result<&str, &str>)]) {
    for (given, then) in cases {
        let got = cost(given).map_err(|denial| denial.details()["field"].as_str().unwrap().to_owned());
        assert_eq!(got, then.map(str::to_owned).map_err(str::to_owned), "{given}");
    }
}

#[test]
fn the_base_is_by_the_first_that_has_a_price() {
    table(&[
        (r#"{"template_id": "poster"}"#, Ok("10")),
        (r#"{"template_id": "poster", "scene": "film"}"#, Ok("10")),
        (r#"{"template_id": "by_scene", "scene": "film"}"#, Ok("12")),
        (r#"{"scene": "film"}"#, Ok("12")),
        (r#"{"scene": "still"}"#, Ok("0")),
        (r#"{"scene": "film", "model": "banana"}"#, Ok("12")),
        (r#"{"template_id": "by_scene", "model": "banana"}"#, Ok("4")),
        (r#"{"template_id": "by_scene", "app_id": "knowledge", "usage_unit": "request"}"#, Ok("1")),
        (r#"{"model": "video", "app_id": "knowledge", "usage_unit": "request"}"#, Ok("10")),
        (r#"{"app_id": "knowledge", "usage_unit": "gb_month", "quantity": 3}"#, Ok("1.5")),
        (r#"{}"#, Ok("4")),
        (r#"{"app_id": "any"}"#, Ok("4")),
        (r#"{"app_id": "any", "template_id": "poster"}"#, Ok("10")),
        (r#"{"usage_unit": "request", "template_id": "poster"}"#, Err("app_id")),
        (r#"{"template_id": "by_scene"}"#, Err("template_id")),
    ]);
}

#[test]
fn what_is_named_has_to_be_known() {
    for (json, field, known) in [
        (r#"{"template_id": "flyer"}"#, "template_id", "by_scene"),
        (r#"{"template_id": "poster", "scene": "dance"}"#, "scene", "film"),
        (r#"{"template_id": "poster", "model": "gpt"}"#, "model", "banana"),
        (r#"{"app_id": "other", "usage_unit": "request"}"#, "app_id", "knowledge"),
        (r#"{"app_id": "knowledge", "usage_unit": "minute"}"#, "usage_unit", "gb_month"),
        (r#"{"template_id": "poster", "extras": {"glitter": true}}"#, "extras.glitter", "clips"),
        (r#"{"template_id": "poster", "extras": {"glitter": false}}"#, "extras.glitter", "clips"),
        (r#"{"template_id": "poster", "extras": {"glitter": null}}"#, "extras.glitter", "clips"),
        (r#"{"template_id": "poster", "extras": {"glitter": 0}}"#, "extras.glitter", "clips"),
        (r#"{"template_id": "poster", "extras": {"style": "loud"}}"#, "extras.style", "calm"),
    ] {
        let denial = book().estimate(&request(json)).unwrap_err();
        let kind = if field == "model" { "model_unknown" } else { "payload_invalid" };
        assert_eq!((denial.name(), denial.details()["field"].as_str().unwrap()), (kind, field), "{json}");
        assert_eq!(denial.details()["known"][0], known, "{json}");
        assert!(denial.message().contains(known), "{denial}");
    }
    let tagged = book().estimate(&request(r#"{"template_id": "poster", "scene": "dance"}"#)).unwrap_err();
    assert_eq!(tagged.policy_tag().unwrap().as_str(), "cn-deep-synthesis");
}

#[test]
fn a_denial_lists_at_most_twenty_names() {
    let templates: Vec<String> = (0..500).map(|number| format!("t{number:03}: {{base: 1}}")).collect();
    let yaml = format!("{{version: 1, effective_at: 2026-01-01T00:00:00Z, unit: UC, templates: {{{}}}}}", templates.join(", "));
    let denial = PriceBook::from_yaml(&yaml).unwrap().estimate(&request(r#"{"template_id": "x"}"#)).unwrap_err();
    assert_eq!(denial.details()["known"].as_array().unwrap().len(), 20);
    assert_eq!(denial.details()["known_total"], 500);
    assert!(denial.message().len() < 300, "{denial}");
}

#[test]
fn a_book_offers_what_it_lists() {
    let bare = PriceBook::from_yaml("{version: 1, effective_at: 2026-01-01T00:00:00Z, unit: UC, scenes: {film: 2}}").unwrap();
    let estimate = |json: &str| bare.estimate(&request(json));
    // Without a list of templates and resolutions any is taken; without one of priorities there is the standard one.
    let any = estimate(r#"{"template_id": "any", "scene": "film", "resolution": "4k"}"#).unwrap();
    assert_eq!((any.selected_cost.to_string(), any.options.len()), ("2".into(), 1));
    assert_eq!(any.options[0].eta_minutes, None);
    let refused = estimate(r#"{"scene": "film", "priority": "accelerated"}"#).unwrap_err();
    assert_eq!((&refused.details()["field"], &refused.details()["known"][0]), (&"priority".into(), &"standard".into()));
    let two = "{version: 1, effective_at: 2026-01-01T00:00:00Z, unit: UC, scenes: {film: 2}, resolutions: {sd: 1, 4k: 3}}";
    let refused = PriceBook::from_yaml(two).unwrap().estimate(&request(r#"{"scene": "film"}"#)).unwrap_err();
    assert_eq!(refused.details()["allowed"], "one of 4k, sd");
}

#[test]
fn resolution_multiplies_the_base_and_priority_the_whole() {
    // resolution, priority, extras, then: (10 * resolution + flat) * factor * priority
    let mut cases = Vec::new();
    for (resolution, r) in [("sd", 8), ("hd", 10), ("4k", 25)] {
        for (priority, p) in [("standard", 10), ("accelerated", 15)] {
            for (extra, flat, factor) in [
                ("", 0, 10),
                (r#""no_watermark": true"#, 3, 10),
                (r#""review": 1"#, 0, 12),
                (r#""no_watermark": true, "review": true"#, 3, 12),
                (r#""review": true, "half": true"#, 0, 6),
                (r#""style": "wild", "voice": 4"#, 1, 20),
                (r#""style": "calm", "review": false, "half": null"#, 1, 10),
            ] {
                let json = format!(
                    r#"{{"template_id": "poster", "resolution": "{resolution}", "priority": "{priority}", "extras": {{{extra}}}}}"#
                );
                cases.push((json, Amount::from_micros((r + flat) * factor * p * 10_000)));
            }
        }
    }
    for (json, expected) in &cases {
        assert_eq!(cost(json).unwrap(), expected.to_string(), "{json}");
    }
    assert_eq!(cases.len(), 42);
}

#[test]
fn extras_are_priced_in_their_way() {
    let with = |extras: &str| format!(r#"{{"scene": "still", "extras": {{{extras}}}}}"#);
    for (extras, then) in [
        (r#""voice": 0"#, Ok("0")),
        (r#""voice": 3"#, Ok("0.75")),
        (r#""voice": 2.4"#, Ok("0.6")),
        (r#""voice": true"#, Ok("0.25")),
        (r#""voice": "many""#, Err("extras.voice")),
        (r#""no_watermark": 1"#, Ok("3")),
        (r#""no_watermark": 2"#, Err("extras.no_watermark")),
        (r#""no_watermark": 0.5"#, Err("extras.no_watermark")),
        (r#""review": 2"#, Err("extras.review")),
        (r#""style": "free""#, Ok("0")),
        (r#""style": true"#, Err("extras.style")),
        (r#""style": 0"#, Ok("0")),
        // graduated: each part at the price of its tier
        (r#""seconds": 9.99"#, Ok("9.99")),
        (r#""seconds": 10"#, Ok("10")),
        (r#""seconds": 10.1"#, Ok("10.08")),
        (r#""seconds": 60"#, Ok("50")),
        (r#""seconds": 61"#, Ok("50.5")),
        (r#""seconds": 1000000000"#, Ok("500000020")),
        // volume: the whole at the price of one tier
        (r#""clips": 10"#, Ok("10")),
        (r#""clips": 10.000001"#, Ok("8")),
        (r#""clips": 60"#, Ok("48")),
        (r#""clips": 61"#, Ok("30.5")),
    ] {
        let got = cost(&with(extras)).map_err(|denial| denial.details()["field"].as_str().unwrap().to_owned());
        assert_eq!(got, then.map(str::to_owned).map_err(str::to_owned), "{extras}");
    }
    let tiers = book().estimate(&request(&with(r#""seconds": 70"#))).unwrap();
    let lines: Vec<_> = tiers
        .line_items
        .iter()
        .filter(|line| line.item == LineKind::Extra)
        .map(|line| (line.quantity.unwrap().to_string(), line.rate.unwrap().to_string(), line.amount.to_string()))
        .collect();
    let line = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
    assert_eq!(lines, [line("10", "1", "10"), line("50", "0.8", "40"), line("10", "0.5", "5")]);
}

#[test]
fn a_model_costs_what_it_is_used_for() {
    let talker = |usage: &str| format!(r#"{{"model": "talker", "usage": {{{usage}}}}}"#);
    table(&[
        (r#"{"model": "banana"}"#, Ok("4")),
        (r#"{"model": "banana", "quantity": 3}"#, Ok("12")),
        (r#"{"model": "banana", "usage": {"images": 2}}"#, Ok("8")),
        (r#"{"usage": {"images": 2}}"#, Ok("8")),
        (r#"{"model": "banana", "usage": {"images": 2}, "quantity": 2}"#, Err("quantity")),
        (r#"{"model": "banana", "usage": {"calls": 1}}"#, Err("usage.calls")),
        (r#"{"model": "talker"}"#, Err("usage")),
        (r#"{"template_id": "poster", "usage": {"images": 1}}"#, Err("usage")),
        (r#"{"model": "video", "resolution": "4k", "priority": "accelerated"}"#, Ok("37.5")),
        (r#"{"model": "thinker", "usage": {"input_tokens": 1, "cached_input_tokens": 1, "cache_write_tokens": 1}}"#, Ok("4")),
        (r#"{"model": "thinker", "usage": {"output_tokens": 1, "reasoning_tokens": 2, "seconds": 0.5}}"#, Ok("11.25")),
        (&talker(r#""input_tokens": 100000, "output_tokens": 100"#), Ok("0.6")),
    ]);
    // The context decides the tier, for all tokens: above it, not at it; what a tier does not say is as below.
    let exact = PriceBook::from_yaml(&BOOK.replace("step: 0.01", "step: 0.000001")).unwrap();
    for (input, cached, output, then) in [
        (1_000, 0, 10, "0.00315"),
        (1_001, 0, 10, "0.006156"),
        (999, 1, 0, "0.002997"),
        (999, 2, 0, "0.005995"),
        (2_000, 0, 10, "0.01215"),
        (2_001, 0, 10, "0.012306"),
    ] {
        let usage = Usage { input_tokens: input, cached_input_tokens: cached, output_tokens: output, ..Usage::default() };
        let asked = EstimateRequest::of_model(Some("talker".parse().unwrap()), Some(usage));
        assert_eq!(exact.estimate(&asked).unwrap().selected_cost.to_string(), then, "{input} {cached} {output}");
    }
}

#[test]
fn an_estimate_has_every_field() {
    let json = r#"{"template_id": "poster", "scene": "film", "resolution": "4k", "priority": "accelerated",
                   "extras": {"no_watermark": true, "voice": 2, "review": false, "style": "calm"}}"#;
    let funded = book().estimate(&request(json)).unwrap().funded("40".parse().unwrap(), Amount::ZERO).unwrap();
    let expected = serde_json::json!({
        "currency": "UC", "template_id": "poster", "scene": "film", "model": null, "app_id": null, "usage_unit": null,
        "quantity": "1", "resolution": "4k", "priority": "accelerated",
        "selected_cost": "44.25", "estimated_cost": "44.25", "min_cost": "29.5", "max_cost": "44.25",
        "calculation_basis": "pricing_v20250918", "policy_tag": "cn-deep-synthesis",
        "extras": {"no_watermark": "1", "style": "calm", "voice": "2"},
        "options": [
            {"priority": "standard", "total_cost": "29.5", "eta_minutes": 30},
            {"priority": "accelerated", "total_cost": "44.25", "eta_minutes": 10}
        ],
        "line_items": [
            {"item": "base", "name": "poster", "quantity": "1", "rate": "10", "amount": "10"},
            {"item": "resolution", "name": "4k", "quantity": null, "rate": "2.5", "amount": "15"},
            {"item": "extra", "name": "no_watermark", "quantity": "1", "rate": "3", "amount": "3"},
            {"item": "extra", "name": "style", "quantity": "1", "rate": "1", "amount": "1"},
            {"item": "extra", "name": "voice", "quantity": "2", "rate": "0.25", "amount": "0.5"},
            {"item": "priority", "name": "accelerated", "quantity": null, "rate": "1.5", "amount": "14.75"}
        ],
        "current_balance": "40", "balance_after": "-4.25", "suggest_topup": "4.25", "audit_id": null
    });
    assert_eq!(serde_json::to_value(&funded).unwrap(), expected);
}

#[test]
fn a_topup_is_what_is_missing() {
    let estimate = book().estimate(&request(r#"{"template_id": "poster"}"#)).unwrap();
    // available, credit limit, then: balance after, topup
    for (available, limit, after, topup) in [
        ("10", "0", "0", "0"),
        ("10.000001", "0", "0.000001", "0"),
        ("9.999999", "0", "-0.000001", "0.000001"),
        ("0", "0", "-10", "10"),
        ("0", "10", "-10", "0"),
        ("0", "9.5", "-10", "0.5"),
        ("-3", "5", "-13", "8"),
        ("9223372036854.775807", "9223372036854.775807", "9223372036844.775807", "0"),
    ] {
        let funded = estimate.clone().funded(available.parse().unwrap(), limit.parse().unwrap()).unwrap();
        let got = (funded.balance_after.to_string(), funded.suggest_topup.to_string());
        assert_eq!(got, (after.to_owned(), topup.to_owned()), "{available} {limit}");
    }
}

#[test]
fn costs_are_rounded_once_by_the_book() {
    use RoundingMode::{Down, HalfDown, HalfEven, HalfUp, Up};
    // amount, step, then: half_up, half_down, half_even, up, down
    for (amount, step, then) in [
        ("0.25", "0.1", ["0.3", "0.2", "0.2", "0.3", "0.2"]),
        ("0.35", "0.1", ["0.4", "0.3", "0.4", "0.4", "0.3"]),
        ("-0.25", "0.1", ["-0.3", "-0.2", "-0.2", "-0.3", "-0.2"]),
        ("-0.35", "0.1", ["-0.4", "-0.3", "-0.4", "-0.4", "-0.3"]),
        ("0.250001", "0.1", ["0.3", "0.3", "0.3", "0.3", "0.2"]),
        ("0.249999", "0.1", ["0.2", "0.2", "0.2", "0.3", "0.2"]),
        ("-0.249999", "0.1", ["-0.2", "-0.2", "-0.2", "-0.3", "-0.2"]),
        ("7.5", "5", ["10", "5", "10", "10", "5"]),
        ("2.5", "5", ["5", "0", "0", "5", "0"]),
        ("10", "5", ["10", "10", "10", "10", "10"]),
        ("0", "5", ["0", "0", "0", "0", "0"]),
        ("1", "3", ["0", "0", "0", "3", "0"]),
        ("1.5", "3", ["3", "0", "0", "3", "0"]),
        ("0.000001", "0.000001", ["0.000001"; 5]),
    ] {
        for (mode, then) in [HalfUp, HalfDown, HalfEven, Up, Down].into_iter().zip(then) {
            let rounding = Rounding::new(mode, step.parse().unwrap()).unwrap();
            assert_eq!(rounding.round(amount.parse().unwrap()).unwrap().to_string(), then, "{amount} {step} {mode}");
        }
    }
    assert_eq!(Rounding::new(Up, "5".parse().unwrap()).unwrap().round(Amount::MAX), None);
    // Not twice: 0.0049 and 0.0049 are 0.01 together, though each alone would be 0.
    let book = PriceBook::from_yaml(&BOOK.replace("film: 12", "film: 0.0049").replace("{flat: 3}", "{flat: 0.0049}")).unwrap();
    let estimate = book.estimate(&request(r#"{"scene": "film", "extras": {"no_watermark": true}}"#)).unwrap();
    assert_eq!(estimate.selected_cost.to_string(), "0.01");
    let last = estimate.line_items.last().unwrap();
    assert_eq!((last.item, last.amount.to_string()), (LineKind::Rounding, "0.0002".into()));
}

#[test]
fn a_cost_that_is_no_amount_is_refused() {
    for (from, to, json) in [
        ("film: 12", "film: 1000000000000", r#"{"scene": "film", "quantity": 1000}"#),
        ("multiplier: 1.5", "multiplier: 1000000000000", r#"{"template_id": "poster"}"#),
        ("film: 12", "film: 0.999999999999999999", r#"{"scene": "film", "quantity": 0.999999, "extras": {"review": true}}"#),
    ] {
        let fine = BOOK.replace("multiplier: 1.2", "multiplier: 0.999999999999999999");
        let denial = PriceBook::from_yaml(&fine.replace(from, to)).unwrap().estimate(&request(json)).unwrap_err();
        assert_eq!((denial.name(), &denial.details()["field"]), ("amount_invalid", &"estimated_cost".into()), "{to}");
    }
}

#[test]
fn the_shape_of_a_request_is_checked() {
    for (json, field) in [
        ("[]", "."),
        ("{", "."),
        (r#"{"template": "poster"}"#, "template"),
        (r#"{"template_id": "poster", "template_id": "poster"}"#, "template_id"),
        (r#"{"template_id": 5}"#, "template_id"),
        (r#"{"template_id": ""}"#, "template_id"),
        (r#"{"scene": "film", "quantity": 0}"#, "quantity"),
        (r#"{"scene": "film", "quantity": -1}"#, "quantity"),
        (r#"{"scene": "film", "quantity": 1.0000001}"#, "quantity"),
        (r#"{"scene": "film", "quantity": 1000000000.000001}"#, "quantity"),
        (r#"{"scene": "film", "quantity": true}"#, "quantity"),
        (r#"{"scene": "film", "resolution": "8k"}"#, "resolution"),
        (r#"{"scene": "film", "resolution": "HD"}"#, "resolution"),
        (r#"{"scene": "film", "priority": 1}"#, "priority"),
        (r#"{"scene": "film", "extras": []}"#, "extras"),
        (r#"{"scene": "film", "extras": {"voice": -1}}"#, "extras.voice"),
        (r#"{"scene": "film", "extras": {"voice": 1e10}}"#, "extras.voice"),
        (r#"{"scene": "film", "extras": {"voice": {}}}"#, "extras.voice"),
        (r#"{"scene": "film", "extras": {"": 1}}"#, "extras[\"\"]"),
        (r#"{"usage": {"images": -1}}"#, "usage.images"),
        (r#"{"usage": {"images": 1.5}}"#, "usage.images"),
        (r#"{"usage": {"images": 1000000000001}}"#, "usage.images"),
        (r#"{"usage": {"pictures": 1}}"#, "usage.pictures"),
    ] {
        let denial = EstimateRequest::from_json(json).unwrap_err();
        assert_eq!((denial.name(), denial.details()["field"].as_str().unwrap()), ("payload_invalid", field), "{json}: {denial}");
    }
    let many: Vec<String> = (0..65).map(|number| format!("\"e{number}\": 1")).collect();
    let denial = EstimateRequest::from_json(&format!(r#"{{"extras": {{{}}}}}"#, many.join(","))).unwrap_err();
    assert_eq!(denial.details()["field"], "extras");
    let denial = EstimateRequest::from_json(&format!(r#"{{"scene": "{}"}}"#, "x".repeat(64 * 1024))).unwrap_err();
    assert_eq!(denial.name(), "payload_too_large");
    assert_eq!(request(r#"{"scene": "film", "extras": null, "priority": null}"#), request(r#"{"scene": "film"}"#));
    // What was put together by hand is checked as well.
    let half = EstimateRequest { usage_unit: Some("request".parse().unwrap()), ..EstimateRequest::default() };
    assert_eq!(book().estimate(&half).unwrap_err().details()["field"], "app_id");
    let many = Usage { calls: u64::MAX, ..Usage::default() };
    let many = EstimateRequest::of_model(Some("video".parse().unwrap()), Some(many));
    assert_eq!(book().estimate(&many).unwrap_err().details()["field"], "usage");
}

#[test]
fn a_rate_is_read_exactly_or_not_at_all() {
    for (text, then) in [
        ("0", Ok("0")),
        ("1", Ok("1")),
        ("2.5e-07", Ok("0.00000025")),
        ("1e-18", Ok("0.000000000000000001")),
        ("10e-19", Ok("0.000000000000000001")),
        ("1e12", Ok("1000000000000")),
        ("1000000000000.000", Ok("1000000000000")),
        ("0.10", Ok("0.1")),
        ("0e999999", Ok("0")),
        ("1e-19", Err("it has more than 18 decimal places")),
        ("1e13", Err("it is out of range")),
        ("1000000000000.000000000000000001", Err("it is out of range")),
        ("1e999999999", Err("it is out of range")),
        ("-1", Err("it is negative")),
        ("-0", Ok("0")),
        ("NaN", Err("it is no decimal number")),
        ("1_000", Err("it is no decimal number")),
        (".5", Err("it is no decimal number")),
        ("1e99999999999", Err("its exponent cannot be read")),
    ] {
        let read = text.parse::<Rate>();
        match then {
            Ok(written) => assert_eq!(read.unwrap().to_string(), written, "{text}"),
            Err(why) => {
                let denial = read.unwrap_err();
                assert_eq!(denial.name(), "amount_invalid");
                assert!(denial.message().ends_with(why), "{text}: {denial}");
            }
        }
    }
}

#[test]
fn the_last_book_that_has_begun_is_in_force() {
    let named = |version: &str, from: &str| {
        PriceBook::from_yaml(&BOOK.replace("20250918\n", &format!("{version}\n")).replace("2025-09-18T00:00:00Z", from)).unwrap()
    };
    let books = PriceBooks::new([
        named("c", "2026-03-01T00:00:00Z"),
        named("a", "2026-01-01T00:00:00+08:00"),
        named("b", "2026-02-01T00:00:00.000001Z"),
    ])
    .unwrap();
    assert_eq!(books.iter().map(PriceBook::version).collect::<Vec<_>>(), ["a", "b", "c"]);
    for (now, version) in [
        ("2025-12-31T15:59:59.999999Z", None),
        ("2025-12-31T16:00:00Z", Some("a")),
        ("2026-02-01T00:00:00Z", Some("a")),
        ("2026-02-01T00:00:00.000001Z", Some("b")),
        ("2026-02-28T23:59:59.999999Z", Some("b")),
        ("2026-03-01T00:00:00Z", Some("c")),
        ("9999-12-31T23:59:59Z", Some("c")),
    ] {
        let in_force = books.at(now.parse().unwrap());
        assert_eq!(in_force.as_ref().ok().map(|book| book.version()), version, "{now}");
        if let Err(denial) = in_force {
            assert_eq!((denial.name(), denial.retryable()), ("pricing_unavailable", true));
            assert_eq!(denial.when_to_retry().unwrap().to_string(), "2025-12-31T16:00:00.000000Z");
        }
    }
    assert_eq!(PriceBooks::default().at("2026-01-01T00:00:00Z".parse().unwrap()).unwrap_err().when_to_retry(), None);
    // An old estimate can be worked out again by its basis.
    let asked = request(r#"{"template_id": "poster"}"#);
    let old = books.at("2026-01-15T00:00:00Z".parse().unwrap()).unwrap().estimate(&asked).unwrap();
    assert_eq!(books.named(&old.calculation_basis).unwrap().estimate(&asked).unwrap(), old);
    let denial = books.named(&"pricing_vz".parse().unwrap()).unwrap_err();
    assert_eq!((denial.name(), denial.details()["known"][2].as_str()), ("payload_invalid", Some("pricing_vc")));
    for (version, from, field) in [("a", "2027-01-01T00:00:00Z", "version"), ("d", "2026-03-01T00:00:00Z", "effective_at")] {
        let denial = books.clone().with(named(version, from)).unwrap_err();
        assert_eq!((denial.name(), denial.details()["field"].as_str().unwrap()), ("config_invalid", field));
    }
}
