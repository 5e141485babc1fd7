//! Takes prices over from the LiteLLM price map: a public list of what models cost, in US dollars.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::document::{MAX_PRICES_BYTES, Node};
use super::exact::Rate;
use super::model::{Catalogue, ContextTier, MAX_COUNT, MAX_TIERS, ModelPrices, TokenPrices};
use crate::denial::{Denial, DenialKind, shown};
use crate::id::ModelId;

/// How prices of the map become prices of a catalogue: each is multiplied by both, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportTerms {
    /// How many credits a dollar is; above 0.
    pub credits_per_dollar: Rate,
    /// The factor for the margin, above 0: 1 for none, 1.2 for a fifth more.
    pub margin: Rate,
}

/// What became of a price map: each of its models is in the catalogue, or refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceMapImport {
    /// The models that were taken over.
    pub catalogue: Catalogue,
    /// The models that were not, in the order of the map, and why.
    pub refused: Vec<RefusedModel>,
    /// By model, the prices of the map that have no place in a catalogue (batches, priorities of the provider, sound, searches).
    pub left_out: BTreeMap<String, Vec<String>>,
}

/// A model of a price map that was not taken over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedModel {
    /// Its name in the map.
    pub model: String,
    /// Why.
    pub reason: String,
}

/// Takes over the models of a LiteLLM price map, in JSON.
///
/// Taken over are the prices of a token that is read, read from a cache, written to a cache, written, or written while thinking, with
/// those above a size of the context; of an image; of a second; of a query, as a call. Numbers are read by their digits, and
/// multiplied exactly; nothing is rounded. A model whose prices cannot be read, or would be finer than a [`Rate`], is refused.
///
/// # Errors
/// `payload_invalid` for terms of 0, by which all would be free; `config_invalid` when the JSON cannot be read, or is no object;
/// `payload_too_large` above 8 MiB or 400,000 values.
///
/// # Examples
/// ```
/// use drawdown::pricing::{ImportTerms, import_price_map};
/// let map = r#"{
///     "gpt-small": {"input_cost_per_token": 2.5e-07, "output_cost_per_token": 2e-06, "output_cost_per_token_batches": 1e-06},
///     "gpt-broken": {"input_cost_per_token": -1}
/// }"#;
/// let terms = ImportTerms { credits_per_dollar: "100".parse()?, margin: "1.2".parse()? };
/// let import = import_price_map(map, terms)?;
/// let prices = import.catalogue.get(&"gpt-small".parse()?).unwrap();
/// assert_eq!((prices.tokens.input.unwrap().to_string(), prices.tokens.output.unwrap().to_string()), ("0.00003".into(), "0.00024".into()));
/// assert_eq!(import.left_out["gpt-small"], ["output_cost_per_token_batches"]);
/// assert_eq!(import.refused[0].reason, "`input_cost_per_token` cannot be `-1`: it is negative");
/// # Ok::<(), drawdown::Denial>(())
/// ```
pub fn import_price_map(json: &str, terms: ImportTerms) -> Result<PriceMapImport, Denial> {
    for (field, factor) in [("credits_per_dollar", terms.credits_per_dollar), ("margin", terms.margin)] {
        if factor == Rate::ZERO {
            return Err(Denial::invalid(field, factor, "a factor above 0"));
        }
    }
    let Node::Object(models) = Node::from_json(json, MAX_PRICES_BYTES)? else {
        return Err(Denial::new(DenialKind::ConfigInvalid, "a price map is an object: the name of a model, and its fields"));
    };
    let (mut taken, mut refused, mut left_out) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
    for (name, fields) in models {
        let read = match name.parse::<ModelId>() {
            Ok(model) if taken.contains_key(&model) => Err("the model stands twice; the first counts".to_owned()),
            Ok(model) => read_model(&fields, terms).map(|read| (model, read)),
            Err(denial) => Err(denial.message().to_owned()),
        };
        match read {
            _ if name == "sample_spec" => {
                refused.push(RefusedModel { model: name, reason: "it describes the fields of the map".into() })
            }
            Ok((model, (prices, others))) => {
                taken.insert(model, prices);
                if !others.is_empty() {
                    left_out.insert(name, others);
                }
            }
            Err(reason) => refused.push(RefusedModel { model: name, reason }),
        }
    }
    Ok(PriceMapImport { catalogue: Catalogue::new(taken)?, refused, left_out })
}

/// The prices of a model, and the names of those that have no place.
fn read_model(fields: &Node, terms: ImportTerms) -> Result<(ModelPrices, Vec<String>), String> {
    let Node::Object(fields) = fields else { return Err("it is no object".to_owned()) };
    let mut prices = ModelPrices::default();
    let (mut left_out, mut seen) = (Vec::new(), HashSet::with_capacity(fields.len()));
    let makes_images =
        fields.iter().any(|(name, value)| name == "mode" && matches!(value, Node::Text(mode) if mode == "image_generation"));
    for (field, value) in fields {
        if !seen.insert(field.as_str()) {
            return Err(format!("`{}` stands twice", shown(field)));
        }
        let (plain, above) = context_of(field);
        let tokens = match above {
            None => &mut prices.tokens,
            Some(context_tokens) => tier(&mut prices.above, context_tokens),
        };
        let place = match (plain, above) {
            ("input_cost_per_token", _) => &mut tokens.input,
            ("cache_read_input_token_cost" | "input_cost_per_token_cache_hit", _) => &mut tokens.cached_input,
            ("cache_creation_input_token_cost", _) => &mut tokens.cache_write,
            ("output_cost_per_token", _) => &mut tokens.output,
            ("output_cost_per_reasoning_token", _) => &mut tokens.reasoning,
            ("output_cost_per_image", None) => &mut prices.per_image,
            // Of a model that reads images, this is the price of reading one.
            ("input_cost_per_image", None) if makes_images => &mut prices.per_image,
            ("input_cost_per_second" | "output_cost_per_second", None) => &mut prices.per_second,
            ("input_cost_per_query", None) => &mut prices.per_call,
            _ => {
                let is_price = ["cost", "pric", "multiplier"].iter().any(|word| field.contains(word));
                left_out.extend(is_price.then(|| field.clone()));
                continue;
            }
        };
        let price = price(value, terms).map_err(|why| format!("`{field}` {why}"))?;
        if place.is_some_and(|other| other != price) {
            return Err(format!("`{field}` is another price for the same as a field before it"));
        }
        *place = Some(price);
    }
    prices.above.retain(|tier| !tier.tokens.is_empty());
    if prices.is_empty() {
        return Err("it has no price that a catalogue can have".to_owned());
    }
    if !prices.is_sound() {
        return Err(format!("its tiers are more than {MAX_TIERS}, or one begins above {MAX_COUNT} tokens"));
    }
    Ok((prices, left_out))
}

/// A field without its `_above_200k_tokens`, and the size of the context that this says.
fn context_of(field: &str) -> (&str, Option<u64>) {
    let split = field.split_once("_above_").and_then(|(plain, rest)| {
        let thousands = rest.strip_suffix("k_tokens")?.parse::<u32>().ok()?;
        Some((plain, Some(u64::from(thousands) * 1_000)))
    });
    split.unwrap_or((field, None))
}

/// The prices above a size of the context, in their place in the order.
fn tier(above: &mut Vec<ContextTier>, context_tokens: u64) -> &mut TokenPrices {
    let place = above.partition_point(|tier| tier.context_tokens < context_tokens);
    if above.get(place).is_none_or(|tier| tier.context_tokens != context_tokens) {
        above.insert(place, ContextTier { context_tokens, tokens: TokenPrices::default() });
    }
    #[expect(clippy::indexing_slicing, reason = "it was just put there")]
    &mut above[place].tokens
}

fn price(value: &Node, terms: ImportTerms) -> Result<Rate, String> {
    let Node::Number(digits) = value else { return Err("is no number".to_owned()) };
    let dollars = Rate::read(digits).map_err(|why| format!("cannot be `{}`: {why}", shown(digits)))?;
    let credits = dollars.exact().times(terms.credits_per_dollar.exact()).and_then(|price| price.times(terms.margin.exact()));
    credits
        .and_then(Rate::from_exact)
        .ok_or_else(|| format!("cannot be `{digits}`: times the terms it is no rate, {}", Rate::ALLOWED))
}
