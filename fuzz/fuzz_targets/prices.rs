//! Text as a price book, as a request, and as a price map: between U+0000 stand a document of prices and requests for estimates. What
//! is read is written and read again as the same, JSON and YAML agree on JSON that has no odd characters, line items sum to the cost,
//! and whatever is refused is refused with a name.

#![no_main]

use std::sync::LazyLock;

use drawdown::pricing::{EstimateRequest, ImportTerms, PriceBook, Rate, import_price_map};
use drawdown::{Amount, DenialKind};
use libfuzzer_sys::fuzz_target;

/// What is asked of every book.
static REQUESTS: LazyLock<Vec<EstimateRequest>> = LazyLock::new(|| {
    let requests = [
        "{}",
        r#"{"template_id": "poster", "scene": "film", "priority": "accelerated", "extras": {"f": true, "p": 2.5, "m": true}}"#,
        r#"{"scene": "film", "resolution": "4k", "quantity": 7.25, "extras": {"g": 70, "v": 61, "o": "wild"}}"#,
        r#"{"model": "gpt", "usage": {"input_tokens": 250000, "cached_input_tokens": 1, "output_tokens": 9, "seconds": 0.5}}"#,
        r#"{"app_id": "knowledge", "usage_unit": "request", "quantity": 1000000000}"#,
    ];
    requests.map(|json| EstimateRequest::from_json(json).unwrap()).to_vec()
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut parts = text.split('\0');
    let document = parts.next().unwrap_or_default();
    let asked: Vec<EstimateRequest> = parts.take(8).filter_map(|json| EstimateRequest::from_json(json).ok()).collect();
    for book in [PriceBook::from_yaml(document), PriceBook::from_json(document)] {
        match book {
            Ok(book) => check(&book, &asked),
            Err(denial) => {
                assert!([DenialKind::ConfigInvalid, DenialKind::PayloadTooLarge].contains(&denial.kind()), "{denial}");
                assert!(denial.message().len() < 2_000, "{denial}");
            }
        }
    }
    if let Ok(import) = import_price_map(document, ImportTerms { credits_per_dollar: Rate::ONE, margin: "1.25".parse().unwrap() }) {
        let bare = r#"{"version": "1", "effective_at": "2026-01-01T00:00:00Z", "unit": "UC"}"#;
        check(&PriceBook::from_json(bare).unwrap().with_catalogue(import.catalogue), &asked);
    }
});

fn check(book: &PriceBook, asked: &[EstimateRequest]) {
    let written = book.to_json();
    let again = PriceBook::from_json(&written).unwrap();
    assert_eq!(again, *book);
    assert_eq!(again.to_json(), written);
    if written.chars().all(|c| c.is_ascii_graphic() || c == ' ' || c == '\n') {
        // The reader of YAML takes names up to a length only.
        if let Ok(yaml) = PriceBook::from_yaml(&written) {
            assert_eq!(yaml, *book);
        }
    }
    for request in REQUESTS.iter().chain(asked) {
        let Ok(estimate) = book.estimate(request) else { continue };
        let sum: i128 = estimate.line_items.iter().map(|line| i128::from(line.amount.micros())).sum();
        assert_eq!(sum, i128::from(estimate.selected_cost.micros()));
        assert!(estimate.min_cost <= estimate.selected_cost && estimate.selected_cost <= estimate.max_cost);
        assert!(!estimate.min_cost.is_negative());
        assert_eq!(again.estimate(request).unwrap(), estimate);
        let funded = estimate.clone().funded(Amount::ZERO, Amount::ZERO).unwrap();
        assert_eq!(funded.suggest_topup, estimate.selected_cost);
    }
}
