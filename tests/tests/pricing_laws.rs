//! What holds of every estimate, whatever the price book and the request: random books and requests, and arithmetic of whole
//! numbers as a second opinion.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use drawdown::Amount;
use drawdown::pricing::{EstimateRequest, PriceBook, Rate};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A number with few digits, as text: `digits / 10^places`.
#[derive(Clone, Copy, Debug)]
struct Small {
    digits: u32,
    places: u32,
}

impl Small {
    fn text(self) -> String {
        format!("{}e-{}", self.digits, self.places)
    }

    /// In units of 10^-6.
    fn micros(self) -> i128 {
        i128::from(self.digits) * 10_i128.pow(6 - self.places)
    }
}

fn small() -> impl Strategy<Value = Small> {
    (prop_oneof![3 => 0..100_u32, 1 => 0..1_000_000_u32], 0..=6_u32).prop_map(|(digits, places)| Small { digits, places })
}

#[derive(Clone, Debug)]
enum Extra {
    Flat(Small),
    PerUnit(Small, Small),
    Multiplier(Small),
    /// Graduated or not, the ends of the tiers but the last, as steps; the prices; the quantity.
    Tiers(bool, Vec<(Small, Small)>, Small, Small),
    NotAsked,
}

fn extra() -> impl Strategy<Value = Extra> {
    prop_oneof![
        small().prop_map(Extra::Flat),
        (small(), small()).prop_map(|(price, quantity)| Extra::PerUnit(price, quantity)),
        small().prop_map(Extra::Multiplier),
        (any::<bool>(), proptest::collection::vec((small(), small()), 0..4), small(), small())
            .prop_map(|(graduated, tiers, last, quantity)| Extra::Tiers(graduated, tiers, last, quantity)),
        Just(Extra::NotAsked),
    ]
}

#[derive(Clone, Debug)]
struct Case {
    base: Small,
    quantity: Small,
    resolution: Small,
    standard: Small,
    accelerated: Small,
    accelerate: bool,
    step: Small,
    mode: &'static str,
    extras: Vec<Extra>,
}

fn case() -> impl Strategy<Value = Case> {
    let modes = prop::sample::select(vec!["half_up", "half_down", "half_even", "up", "down"]);
    let extras = proptest::collection::vec(extra(), 0..4);
    let small = || small();
    (small(), small(), small(), small(), small(), any::<bool>(), small(), modes, extras).prop_map(
        |(base, quantity, resolution, standard, accelerated, accelerate, step, mode, extras)| Case {
            base,
            quantity,
            resolution,
            standard,
            accelerated,
            accelerate,
            step,
            mode,
            extras,
        },
    )
}

/// The ends of tiers, each a step of at least a millionth above the one before.
fn ends(tiers: &[(Small, Small)]) -> Vec<i128> {
    let mut end = 0;
    tiers
        .iter()
        .map(|(step, _)| {
            end += step.micros() + 1;
            end
        })
        .collect()
}

impl Case {
    fn book(&self) -> Value {
        let mut extras = Map::new();
        for (index, extra) in self.extras.iter().enumerate() {
            let price = match extra {
                Extra::Flat(price) => json!({"flat": price.text()}),
                Extra::PerUnit(price, _) => json!({"per_unit": price.text()}),
                Extra::Multiplier(factor) => json!({"multiplier": factor.text()}),
                Extra::Tiers(graduated, tiers, last, _) => {
                    let ends = ends(tiers);
                    let mut list: Vec<Value> = tiers
                        .iter()
                        .zip(&ends)
                        .map(|((_, price), end)| json!({"up_to": format!("{end}e-6"), "price": price.text()}))
                        .collect();
                    list.push(json!({"price": last.text()}));
                    if *graduated { json!({"graduated": list}) } else { json!({"volume": list}) }
                }
                Extra::NotAsked => json!({"options": {"some": {"flat": 1}}}),
            };
            extras.insert(format!("e{index}"), price);
        }
        json!({
            "version": "1", "effective_at": "2026-01-01T00:00:00Z", "unit": "UC",
            "rounding": {"mode": self.mode, "step": format!("{}e-6", self.step.micros().max(1))},
            "priorities": {"standard": {"multiplier": self.standard.text()}, "accelerated": {"multiplier": self.accelerated.text()}},
            "resolutions": {"hd": self.resolution.text()},
            "scenes": {"film": self.base.text()},
            "extras": extras,
        })
    }

    fn request(&self) -> Value {
        let mut extras = Map::new();
        for (index, extra) in self.extras.iter().enumerate() {
            let number = |small: &Small| serde_json::from_str::<Value>(&small.text()).unwrap();
            let asked = match extra {
                Extra::Flat(_) | Extra::Multiplier(_) => json!(true),
                Extra::PerUnit(_, quantity) | Extra::Tiers(.., quantity) => number(quantity),
                Extra::NotAsked => json!(false),
            };
            extras.insert(format!("e{index}"), asked);
        }
        let priority = if self.accelerate { "accelerated" } else { "standard" };
        json!({"scene": "film", "quantity": self.quantity().to_string(), "priority": priority, "extras": extras})
    }

    fn quantity(&self) -> Amount {
        Amount::from_micros(i64::try_from(self.quantity.micros().max(1)).unwrap())
    }

    /// The cost by whole numbers, rounded; none where they do not hold it.
    fn expected(&self) -> Option<i64> {
        let one = 1_000_000;
        // Sums are counted in 10^-18, then each factor adds six places.
        let mut sum = self.base.micros().checked_mul(self.quantity().micros().into())?.checked_mul(self.resolution.micros())?;
        for extra in &self.extras {
            sum += match extra {
                Extra::Flat(price) => price.micros() * one * one,
                Extra::PerUnit(price, quantity) => price.micros() * quantity.micros() * one,
                Extra::Tiers(graduated, tiers, last, quantity) => {
                    let (mut cost, mut from) = (0, 0);
                    let ends: Vec<(i128, i128)> = ends(tiers)
                        .into_iter()
                        .zip(tiers.iter().map(|(_, price)| price.micros()))
                        .chain([(i128::MAX, last.micros())])
                        .collect();
                    for (end, price) in ends {
                        let reached = quantity.micros() <= end;
                        if *graduated {
                            cost += (quantity.micros().min(end) - from) * price;
                        } else if reached {
                            cost = quantity.micros() * price;
                        }
                        if reached {
                            break;
                        }
                        from = end;
                    }
                    cost * one
                }
                Extra::Multiplier(_) | Extra::NotAsked => 0,
            };
        }
        let mut places = 18_u32;
        let priority = if self.accelerate { self.accelerated } else { self.standard };
        let factors =
            self.extras.iter().filter_map(|extra| if let Extra::Multiplier(factor) = extra { Some(factor) } else { None });
        for factor in factors.chain([&priority]) {
            sum = sum.checked_mul(factor.digits.into())?;
            places += factor.places;
        }
        let step = self.step.micros().max(1);
        let unit = step.checked_mul(10_i128.checked_pow(places - 6)?)?;
        let (whole, rest) = (sum / unit, sum % unit);
        let up = match self.mode {
            "up" => rest > 0,
            "down" => false,
            "half_up" => rest >= unit - rest,
            "half_down" => rest > unit - rest,
            _ => rest > unit - rest || (rest == unit - rest && whole % 2 == 1),
        };
        i64::try_from((whole + i128::from(up)).checked_mul(step)?).ok()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_estimate_is_what_whole_numbers_say(case in case()) {
        let book = PriceBook::from_json(&case.book().to_string()).unwrap();
        let request = EstimateRequest::from_json(&case.request().to_string()).unwrap();
        match (book.estimate(&request), case.expected()) {
            (Ok(estimate), Some(expected)) => {
                prop_assert_eq!(estimate.selected_cost.micros(), expected);
                // The lines sum to the cost, and the cost is within its limits.
                let sum: i128 = estimate.line_items.iter().map(|line| i128::from(line.amount.micros())).sum();
                prop_assert_eq!(sum, i128::from(expected));
                prop_assert!(estimate.min_cost <= estimate.selected_cost && estimate.selected_cost <= estimate.max_cost);
                let selected = estimate.options.iter().find(|option| option.priority == estimate.priority).unwrap();
                prop_assert_eq!(selected.total_cost, estimate.selected_cost);
                prop_assert_eq!(estimate.estimated_cost, estimate.selected_cost);
                // Asked for the other way, the same options stand there.
                let other = EstimateRequest { priority: estimate.options.iter().find(|option| option.priority != estimate.priority).unwrap().priority, ..request.clone() };
                prop_assert_eq!(&book.estimate(&other).unwrap().options, &estimate.options);
                let again = PriceBook::from_json(&book.to_json()).unwrap();
                prop_assert_eq!(again.estimate(&request).unwrap(), estimate);
            }
            (Err(denial), _) => prop_assert_eq!(denial.name(), "amount_invalid"),
            // Here the second opinion has too few digits.
            (Ok(_), None) => {}
        }
    }

    #[test]
    fn a_book_that_is_written_is_read_as_the_same(case in case()) {
        let book = PriceBook::from_json(&case.book().to_string()).unwrap();
        let written = book.to_json();
        prop_assert_eq!(&PriceBook::from_json(&written).unwrap(), &book);
        prop_assert_eq!(PriceBook::from_json(&written).unwrap().to_json(), written.clone());
        prop_assert_eq!(&PriceBook::from_yaml(&written).unwrap(), &book);
    }

    #[test]
    fn a_topup_makes_the_balance_enough(cost in prop_oneof![0..3_i64, 0..1_000_000_000_000_i64], balance in any::<i64>(), limit in 0..=i64::MAX) {
        let yaml = format!("{{version: 1, effective_at: 2026-01-01T00:00:00Z, unit: UC, scenes: {{film: {cost}e-6}}}}");
        let request = EstimateRequest::from_json(r#"{"scene": "film"}"#).unwrap();
        let estimate = PriceBook::from_yaml(&yaml).unwrap().estimate(&request).unwrap();
        let (balance, limit) = (Amount::from_micros(balance), Amount::from_micros(limit));
        let wide = |amount: Amount| i128::from(amount.micros());
        match estimate.funded(balance, limit) {
            Ok(funded) => {
                prop_assert_eq!(wide(funded.balance_after), wide(balance) - i128::from(cost));
                let missing = if cost == 0 { 0 } else { (i128::from(cost) - wide(balance) - wide(limit)).max(0) };
                prop_assert_eq!(wide(funded.suggest_topup), missing);
            }
            Err(_) => prop_assert!(wide(balance) - i128::from(cost) <= i128::from(i64::MIN)),
        }
    }

    #[test]
    fn a_rate_is_read_back(digits in 0..1_000_000_000_000_000_000_u64, exponent in -18..=0_i32) {
        let rate: Rate = match format!("{digits}e{exponent}").parse() {
            Ok(rate) => rate,
            Err(_) => { prop_assert!(exponent > -6 || digits == 0); return Ok(()) }
        };
        prop_assert_eq!(rate.to_string().parse::<Rate>().unwrap(), rate);
        prop_assert_eq!(serde_json::from_str::<Rate>(&serde_json::to_string(&rate).unwrap()).unwrap(), rate);
    }
}
