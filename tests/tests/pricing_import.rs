//! Models that come from a LiteLLM price map.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use drawdown::pricing::{
    Catalogue, ContextTier, EstimateRequest, ImportTerms, MAX_COUNT, ModelPrices, PriceBook, PriceMapImport, TokenPrices, Usage,
    import_price_map,
};
use serde_json::{Value, json};

const MAP: &str = r#"{
  "sample_spec": {"input_cost_per_token": 0.0, "mode": "one of: chat, ..."},
  "chat": {
    "input_cost_per_token": 1.25e-06, "output_cost_per_token": 1e-05, "cache_read_input_token_cost": 1.25e-07,
    "cache_creation_input_token_cost": 1.5625e-06, "output_cost_per_reasoning_token": 1.1e-05, "mode": "chat",
    "input_cost_per_token_above_200k_tokens": 2.5e-06, "output_cost_per_token_above_200k_tokens": 1.5e-05,
    "input_cost_per_token_above_128k_tokens": 2e-06, "output_cost_per_token_above_128k_tokens_batches": 1e-06,
    "input_cost_per_token_batches": 6e-07, "max_input_tokens": 1000000, "supports_vision": true,
    "cache_creation_input_token_cost_above_1hr": 2e-06, "regional_processing_uplift_multiplier_us": 1.1,
    "search_context_cost_per_query": {"search_context_size_low": 0.03}
  },
  "banana": {"output_cost_per_image": 0.039, "input_cost_per_image": 0.001, "mode": "chat"},
  "painter": {"input_cost_per_image": 0.04, "mode": "image_generation"},
  "singer": {"output_cost_per_second": 0.00025, "mode": "audio_speech"},
  "finder": {"input_cost_per_query": 0.00075, "input_cost_per_token": 0.0},
  "hit": {"input_cost_per_token": 1e-7, "input_cost_per_token_cache_hit": 2.8e-08, "cache_read_input_token_cost": 2.8e-08},
  "silent": {"max_tokens": 5, "input_cost_per_audio_token": 1e-6},
  "negative": {"input_cost_per_token": -1e-6},
  "text": {"input_cost_per_token": "1e-6"},
  "fine": {"input_cost_per_token": 1e-19},
  "torn": {"input_cost_per_token_cache_hit": 2e-8, "cache_read_input_token_cost": 3e-8},
  "twice": {"input_cost_per_token": 1e-6, "input_cost_per_token": 2e-6},
  "list": [],
  "": {"input_cost_per_token": 1e-6},
  "hit": {"input_cost_per_token": 5e-7}
}"#;

fn import(map: &str, credits_per_dollar: &str, margin: &str) -> PriceMapImport {
    let terms = ImportTerms { credits_per_dollar: credits_per_dollar.parse().unwrap(), margin: margin.parse().unwrap() };
    import_price_map(map, terms).unwrap()
}

fn prices(import: &PriceMapImport, model: &str) -> Value {
    let prices: &ModelPrices = import.catalogue.get(&model.parse().unwrap()).unwrap_or_else(|| panic!("no {model}"));
    serde_json::to_value(prices).unwrap()
}

#[test]
fn every_model_is_taken_over_or_refused_with_a_reason() {
    let import = import(MAP, "100", "1.2");
    let taken: Vec<&str> = import.catalogue.models().iter().map(|(model, _)| model.as_str()).collect();
    assert_eq!(taken, ["banana", "chat", "finder", "hit", "painter", "singer"]);
    let refused: Vec<(&str, &str)> =
        import.refused.iter().map(|refused| (refused.model.as_str(), refused.reason.as_str())).collect();
    let reasons = [
        ("sample_spec", "describes the fields"),
        ("silent", "no price"),
        ("negative", "negative"),
        ("text", "is no number"),
        ("fine", "18 decimal places"),
        ("torn", "another price for the same"),
        ("twice", "stands twice"),
        ("list", "no object"),
        ("", "1 to 255 bytes"),
        ("hit", "stands twice"),
    ];
    assert_eq!(refused.len(), reasons.len(), "{refused:?}");
    for ((model, reason), (expected, part)) in refused.into_iter().zip(reasons) {
        assert_eq!(model, expected);
        assert!(reason.contains(part), "{model}: {reason}");
    }
}

#[test]
fn prices_are_multiplied_exactly() {
    let import = import(MAP, "100", "1.2");
    assert_eq!(
        prices(&import, "chat"),
        json!({
            "per_input_token": "0.00015", "per_cached_input_token": "0.000015", "per_cache_write_token": "0.0001875",
            "per_output_token": "0.0012", "per_reasoning_token": "0.00132",
            "above": [
                {"context_tokens": 128000, "per_input_token": "0.00024"},
                {"context_tokens": 200000, "per_input_token": "0.0003", "per_output_token": "0.0018"}
            ]
        })
    );
    assert_eq!(prices(&import, "banana"), json!({"per_image": "4.68"}));
    assert_eq!(prices(&import, "painter"), json!({"per_image": "4.8"}));
    assert_eq!(prices(&import, "singer"), json!({"per_second": "0.03"}));
    assert_eq!(prices(&import, "finder"), json!({"per_call": "0.09", "per_input_token": "0"}));
    assert_eq!(prices(&import, "hit"), json!({"per_input_token": "0.000012", "per_cached_input_token": "0.00000336"}));
    assert_eq!(
        import.left_out["chat"],
        [
            "output_cost_per_token_above_128k_tokens_batches",
            "input_cost_per_token_batches",
            "cache_creation_input_token_cost_above_1hr",
            "regional_processing_uplift_multiplier_us",
            "search_context_cost_per_query",
        ]
    );
    assert_eq!(import.left_out["banana"], ["input_cost_per_image"]);
    assert!(!import.left_out.contains_key("painter"));
}

#[test]
fn an_import_becomes_a_part_of_a_book() {
    let import = import(MAP, "100", "1");
    let catalogue = import.catalogue.with_default("banana".parse().unwrap()).unwrap();
    let bare = "{version: 1, effective_at: 2026-01-01T00:00:00Z, unit: UC, rounding: {mode: up, step: 0.001}}";
    let book = PriceBook::from_yaml(bare).unwrap().with_catalogue(catalogue);
    assert_eq!(PriceBook::from_json(&book.to_json()).unwrap(), book);
    assert_eq!(book.estimate(&EstimateRequest::default()).unwrap().selected_cost.to_string(), "3.9");
    let usage = Usage { input_tokens: 150_000, cached_input_tokens: 60_000, output_tokens: 1_000, ..Usage::default() };
    let asked = EstimateRequest::of_model(Some("chat".parse().unwrap()), Some(usage));
    // 150,000 at 0.00025, 60,000 at 0.0000125 (as below), 1,000 at 0.0015
    assert_eq!(book.estimate(&asked).unwrap().selected_cost.to_string(), "39.75");
}

/// What no price book can say is refused model by model; a book with the others can be written and read again.
#[test]
fn what_is_imported_is_read_again() {
    let tiers = |number: u32| {
        let tiers: Vec<String> = (1..=number).map(|size| format!("\"input_cost_per_token_above_{size}k_tokens\": 1e-6")).collect();
        format!("{{{}}}", tiers.join(", "))
    };
    let map = format!(
        r#"{{"fits": {}, "many": {}, "far": {{"input_cost_per_token_above_4000000000k_tokens": 1e-6}}, "long": {{"input_cost_per_token": {}}}}}"#,
        tiers(100),
        tiers(101),
        "1".repeat(10_000)
    );
    let import = import(&map, "100", "1");
    let refused: Vec<&str> = import.refused.iter().map(|refused| refused.model.as_str()).collect();
    assert_eq!(refused, ["many", "far", "long"]);
    assert!(import.refused.iter().all(|refused| refused.reason.len() < 200), "{:?}", import.refused);
    let bare = "{version: 1, effective_at: 2026-01-01T00:00:00Z, unit: UC}";
    let book = PriceBook::from_yaml(bare).unwrap().with_catalogue(import.catalogue);
    assert_eq!(PriceBook::from_json(&book.to_json()).unwrap(), book);
}

#[test]
fn prices_that_have_no_place_are_named() {
    let map = r#"{"m": {"input_cost_per_token": 1e-6, "tiered_pricing": [{"input_cost_per_token": 2e-6, "range": [0, 256]}]}}"#;
    assert_eq!(import(map, "1", "1").left_out["m"], ["tiered_pricing"]);
}

#[test]
fn nothing_becomes_free_by_the_terms() {
    for (credits_per_dollar, margin, field) in [("0", "1", "credits_per_dollar"), ("1", "0.0", "margin")] {
        let terms = ImportTerms { credits_per_dollar: credits_per_dollar.parse().unwrap(), margin: margin.parse().unwrap() };
        let denial = import_price_map(MAP, terms).unwrap_err();
        assert_eq!((denial.name(), &denial.details()["field"]), ("payload_invalid", &json!(field)));
    }
}

/// A catalogue that is put together by hand takes what a price book can say, and no more.
#[test]
fn a_catalogue_takes_what_a_book_can_say() {
    let tier = |context_tokens: u64, input: Option<&str>| ContextTier {
        context_tokens,
        tokens: TokenPrices { input: input.map(|price| price.parse().unwrap()), ..TokenPrices::default() },
    };
    for (above, fits) in [
        (vec![tier(0, Some("1")), tier(MAX_COUNT, Some("1"))], true),
        (vec![tier(5, None)], false),
        (vec![tier(5, Some("1")), tier(5, Some("1"))], false),
        (vec![tier(MAX_COUNT + 1, Some("1"))], false),
        ((0..100).map(|size| tier(size, Some("1"))).collect(), true),
        ((0..101).map(|size| tier(size, Some("1"))).collect(), false),
    ] {
        let prices = ModelPrices { per_call: Some("1".parse().unwrap()), above, ..ModelPrices::default() };
        assert_eq!(Catalogue::new([("m".parse().unwrap(), prices.clone())]).is_ok(), fits, "{prices:?}");
    }
}

#[test]
fn what_is_no_price_map_is_refused() {
    let terms = ImportTerms { credits_per_dollar: "1".parse().unwrap(), margin: "1".parse().unwrap() };
    for (map, name) in [("[]", "config_invalid"), ("", "config_invalid"), ("{\"a\": ", "config_invalid")] {
        assert_eq!(import_price_map(map, terms).unwrap_err().name(), name, "{map}");
    }
    let large = format!("{{\"a\": {{{}}}}}", "\"x\": 1,".repeat(500_000));
    assert_eq!(import_price_map(&large, terms).unwrap_err().name(), "payload_too_large");
    // One model with very many fields takes no longer than many models.
    let began = std::time::Instant::now();
    let wide: Vec<String> = (0..100_000).map(|number| format!("\"f{number}\": 1")).collect();
    let import = import(&format!("{{\"a\": {{{}}}}}", wide.join(",")), "1", "1");
    assert_eq!(import.refused.len(), 1);
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(import_price_map("{}", terms).unwrap().catalogue.models().is_empty());
}
