//! Reads a price book from what its document says. Every mistake is found, not only the first.

use std::hash::Hash;
use std::str::FromStr;
use std::sync::Arc;

use super::book::{PriceBook, Priority, PriorityTerms, Resolution, TemplateTerms};
use super::document::{Fields, Node, Path, Reader};
use super::exact::Rate;
use super::extra::{ExtraPrice, OptionPrice, Tier};
use super::model::{Catalogue, ContextTier, MAX_COUNT, MAX_TIERS, ModelPrices, TokenPrices};
use super::rounding::{Rounding, RoundingMode};
use crate::amount::Amount;
use crate::denial::{Denial, DenialKind};
use crate::id::{ExtraName, ModelId, PriceBasis, Unit};
use crate::map::Map;
use crate::time::Timestamp;

const FIELDS: [&str; 12] = [
    "version",
    "effective_at",
    "unit",
    "rounding",
    "priorities",
    "resolutions",
    "templates",
    "scenes",
    "apps",
    "extras",
    "default_model",
    "models",
];
const TOKEN_FIELDS: [&str; 5] =
    ["per_input_token", "per_cached_input_token", "per_cache_write_token", "per_output_token", "per_reasoning_token"];
const VERSION: &str = "1 to 64 letters, digits, `.`, `_` and `-`";
const TIME: &str = "an ISO 8601 instant with an offset and at most 6 digits after the second";
const NAME: &str = "text of 1 to 255 bytes without control characters";
const POSITIVE: &str = "an amount above 0 with at most 6 decimal places";
/// The longest time to wait that is told: ten years of minutes.
const MAX_ETA: u64 = 5_256_000;

pub(super) fn book(document: &Node) -> Result<PriceBook, Denial> {
    let mut reader = Reader::default();
    let read = book_of(&mut reader, document);
    let denial = reader.mistakes.denial(DenialKind::ConfigInvalid, "the price book");
    match (denial, read) {
        (Some(denial), _) => Err(denial),
        (None, Some(book)) => Ok(book),
        (None, None) => Err(Denial::new(DenialKind::ConfigInvalid, "the price book cannot be read")),
    }
}

fn book_of(reader: &mut Reader, document: &Node) -> Option<PriceBook> {
    let root = Path::Root;
    let fields = reader.fields(document, root, &FIELDS)?;
    let version = version(reader, &fields);
    let effective_at: Option<Timestamp> = required(reader, &fields, "effective_at", TIME);
    let unit: Option<Unit> = required(reader, &fields, "unit", NAME);
    let rounding = fields.get("rounding").map_or(Some(Rounding::default()), |node| rounding(reader, node));
    let priorities = fields.get("priorities").map_or(Some(standard_only()), |node| priorities(reader, node));
    let resolutions = fields.get("resolutions").map_or(Some([Some(Rate::ONE); 3]), |node| resolutions(reader, node));
    let templates = fields.get("templates").map(|node| named(reader, node, root.field("templates"), template));
    let scenes = fields.get("scenes").map(|node| named(reader, node, root.field("scenes"), Reader::rate));
    let units = |reader: &mut Reader, node: &Node, at: Path<'_>| Some(named(reader, node, at, Reader::rate));
    let apps = fields.get("apps").map(|node| named(reader, node, root.field("apps"), units));
    let extras = fields.get("extras").map(|node| named(reader, node, root.field("extras"), extra));
    let catalogue = catalogue(reader, &fields);
    let version = version?;
    Some(PriceBook {
        basis: PriceBasis::new(format!("pricing_v{version}")).ok()?,
        version,
        effective_at: effective_at?,
        unit: unit?,
        rounding: rounding?,
        priorities: priorities?,
        resolutions: resolutions?,
        templates,
        scenes,
        apps: apps.unwrap_or_default(),
        extras: extras.unwrap_or_default(),
        catalogue: catalogue?,
    })
}

/// The version is text; in YAML `20250918` reads as a number, whose digits are meant.
fn version(reader: &mut Reader, fields: &Fields<'_>) -> Option<String> {
    let at = Path::Root.field("version");
    let Some(node) = fields.get("version") else {
        reader.missing(at, VERSION);
        return None;
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || ['.', '_', '-'].contains(&c);
    let fits = |text: &str| (1..=64).contains(&text.len()) && text.chars().all(allowed);
    match node {
        Node::Text(text) if fits(text) => Some(text.clone()),
        Node::Number(digits) if fits(digits) && !digits.starts_with('-') => Some(digits.clone()),
        _ => {
            reader.wrong(at, node, VERSION);
            None
        }
    }
}

fn required<T: FromStr>(reader: &mut Reader, fields: &Fields<'_>, name: &'static str, allowed: &str) -> Option<T> {
    let at = Path::Root.field(name);
    match fields.get(name) {
        Some(node) => reader.text(node, at, allowed),
        None => {
            reader.missing(at, allowed);
            None
        }
    }
}

/// An object that names things: those that can be read.
fn named<K: FromStr + Eq + Hash, V>(
    reader: &mut Reader,
    node: &Node,
    at: Path<'_>,
    mut value: impl FnMut(&mut Reader, &Node, Path<'_>) -> Option<V>,
) -> Map<K, V> {
    let entries = reader.entries(node, at, "an object: a name, and what it costs").unwrap_or_default();
    let mut map = Map::default();
    for (name, node) in entries {
        let (key, value) = (reader.name(name, at), value(reader, node, at.field(name)));
        if let (Some(key), Some(value)) = (key, value) {
            map.insert(key, value);
        }
    }
    map
}

fn rounding(reader: &mut Reader, node: &Node) -> Option<Rounding> {
    let at = Path::Root;
    let at = at.field("rounding");
    let fields = reader.fields(node, at, &["mode", "step"])?;
    let default = Rounding::default();
    let mode = fields.get("mode").map_or(Some(default.mode()), |node| {
        let words = RoundingMode::ALL.iter().map(|mode| mode.as_str()).collect::<Vec<_>>().join(", ");
        word(reader, node, at.field("mode"), &format!("one of {words}"), RoundingMode::from_name)
    });
    let positive = |amount: Amount| amount.is_positive();
    let step = fields.get("step").map_or(Some(default.step()), |node| reader.amount(node, at.field("step"), POSITIVE, positive));
    Rounding::new(mode?, step?).ok()
}

fn word<T>(reader: &mut Reader, node: &Node, at: Path<'_>, allowed: &str, find: impl Fn(&str) -> Option<T>) -> Option<T> {
    let found = match node {
        Node::Text(text) => find(text),
        _ => None,
    };
    if found.is_none() {
        reader.wrong(at, node, allowed);
    }
    found
}

const fn standard_only() -> [Option<PriorityTerms>; 2] {
    [Some(PriorityTerms { multiplier: Rate::ONE, eta_minutes: None }), None]
}

fn priorities(reader: &mut Reader, node: &Node) -> Option<[Option<PriorityTerms>; 2]> {
    let at = Path::Root;
    let at = at.field("priorities");
    let fields = reader.fields(node, at, &["standard", "accelerated"])?;
    let mut read = [None; 2];
    for (priority, terms) in Priority::ALL.iter().zip(&mut read) {
        let at = at.field(priority.as_str());
        *terms = fields.get(priority.as_str()).and_then(|node| {
            let fields = reader.fields(node, at, &["multiplier", "eta_minutes"])?;
            let multiplier = fields.get("multiplier").map_or(Some(Rate::ONE), |node| reader.rate(node, at.field("multiplier")));
            let eta_minutes = fields.get("eta_minutes").and_then(|node| reader.whole(node, at.field("eta_minutes"), MAX_ETA));
            Some(PriorityTerms {
                multiplier: multiplier?,
                eta_minutes: eta_minutes.and_then(|minutes| u32::try_from(minutes).ok()),
            })
        });
    }
    if Priority::ALL.iter().all(|priority| fields.get(priority.as_str()).is_none()) {
        reader.missing(at.field("standard"), "its terms: a book offers at least one priority");
    }
    Some(read)
}

fn resolutions(reader: &mut Reader, node: &Node) -> Option<[Option<Rate>; 3]> {
    let at = Path::Root;
    let at = at.field("resolutions");
    let fields = reader.fields(node, at, &["sd", "hd", "4k"])?;
    let mut read = [None; 3];
    for (resolution, factor) in Resolution::ALL.iter().zip(&mut read) {
        let given = fields.get(resolution.as_str());
        *factor = given.and_then(|node| reader.rate(node, at.field(resolution.as_str())));
    }
    if Resolution::ALL.iter().all(|resolution| fields.get(resolution.as_str()).is_none()) {
        reader.missing(at.field("hd"), "its factor: a book takes at least one resolution");
    }
    Some(read)
}

fn template(reader: &mut Reader, node: &Node, at: Path<'_>) -> Option<TemplateTerms> {
    let fields = reader.fields(node, at, &["base", "policy_tag"])?;
    let base = fields.get("base").and_then(|node| reader.rate(node, at.field("base")));
    let policy_tag = fields.get("policy_tag").and_then(|node| reader.text(node, at.field("policy_tag"), NAME));
    Some(TemplateTerms { base, policy_tag })
}

fn extra(reader: &mut Reader, node: &Node, at: Path<'_>) -> Option<ExtraPrice> {
    const WAYS: [&str; 6] = ["flat", "per_unit", "multiplier", "graduated", "volume", "options"];
    let (way, node) = one_of(reader, node, at, &WAYS)?;
    let at = at.field(way);
    match way {
        "flat" => reader.rate(node, at).map(ExtraPrice::Flat),
        "per_unit" => reader.rate(node, at).map(ExtraPrice::PerUnit),
        "multiplier" => reader.rate(node, at).map(ExtraPrice::Multiplier),
        "graduated" => tiers(reader, node, at).map(ExtraPrice::Graduated),
        "volume" => tiers(reader, node, at).map(ExtraPrice::Volume),
        _ => {
            let options: Map<ExtraName, OptionPrice> = named(reader, node, at, option);
            if matches!(node, Node::Object(fields) if fields.is_empty()) {
                reader.wrong(at, node, "at least one option");
            }
            let options = options.into_iter().map(|(name, price)| (Arc::from(name.as_str()), price));
            Some(ExtraPrice::Options(options.collect()))
        }
    }
}

fn option(reader: &mut Reader, node: &Node, at: Path<'_>) -> Option<OptionPrice> {
    let (way, node) = one_of(reader, node, at, &["flat", "multiplier"])?;
    let rate = reader.rate(node, at.field(way))?;
    Some(if way == "flat" { OptionPrice::Flat(rate) } else { OptionPrice::Multiplier(rate) })
}

/// An object that says exactly one of these.
fn one_of<'n>(reader: &mut Reader, node: &'n Node, at: Path<'_>, ways: &[&'static str]) -> Option<(&'static str, &'n Node)> {
    let fields = reader.fields(node, at, ways)?;
    let mut given = ways.iter().filter_map(|way| Some((*way, fields.get(way)?)));
    match (given.next(), given.next()) {
        (Some(only), None) => Some(only),
        _ => {
            reader.wrong(at, node, &format!("exactly one of {}", ways.join(", ")));
            None
        }
    }
}

fn tiers(reader: &mut Reader, node: &Node, at: Path<'_>) -> Option<Vec<Tier>> {
    const ALLOWED: &str = "a list of 1 to 100 tiers, `up_to` rising, the last without it";
    const RISING: &str = "an amount above that of the tier before, with at most 6 decimal places";
    let items = reader.list(node, at, ALLOWED)?;
    if items.is_empty() || items.len() > MAX_TIERS {
        reader.wrong(at, node, ALLOWED);
        return None;
    }
    let (mut read, mut from) = (Vec::with_capacity(items.len()), Amount::ZERO);
    for (index, item) in items.iter().enumerate() {
        let at = at.item(index);
        let Some(fields) = reader.fields(item, at, &["up_to", "price"]) else { continue };
        let price = match fields.get("price") {
            Some(node) => reader.rate(node, at.field("price")),
            None => {
                reader.missing(at.field("price"), Rate::ALLOWED);
                None
            }
        };
        let last = index + 1 == items.len();
        let up_to = fields.get("up_to");
        match (up_to, last) {
            (Some(node), true) => reader.wrong(at.field("up_to"), node, "nothing: the last tier has no end"),
            (None, false) => reader.missing(at.field("up_to"), RISING),
            _ => {}
        }
        let up_to = up_to.filter(|_| !last).and_then(|node| reader.amount(node, at.field("up_to"), RISING, |to| to > from));
        from = up_to.unwrap_or(from);
        read.extend(price.map(|price| Tier { up_to, price }));
    }
    Some(read)
}

fn catalogue(reader: &mut Reader, fields: &Fields<'_>) -> Option<Catalogue> {
    let root = Path::Root;
    let before = reader.mistakes.total();
    let models: Map<ModelId, ModelPrices> =
        fields.get("models").map(|node| named(reader, node, root.field("models"), model)).unwrap_or_default();
    let whole = reader.mistakes.total() == before;
    let default = fields.get("default_model").and_then(|node| {
        let model: ModelId = reader.text(node, root.field("default_model"), NAME)?;
        if whole && !models.contains_key(&model) {
            reader.wrong(root.field("default_model"), node, "one of the models of the book");
        }
        Some(model)
    });
    let catalogue = Catalogue::new(models).ok()?;
    match default {
        Some(model) => catalogue.with_default(model).ok(),
        None => Some(catalogue),
    }
}

fn model(reader: &mut Reader, node: &Node, at: Path<'_>) -> Option<ModelPrices> {
    let names: Vec<&'static str> = ["per_call", "per_image", "per_second", "above"].into_iter().chain(TOKEN_FIELDS).collect();
    let fields = reader.fields(node, at, &names)?;
    let mut rate = |name| fields.get(name).and_then(|node| reader.rate(node, at.field(name)));
    let (per_call, per_image, per_second) = (rate("per_call"), rate("per_image"), rate("per_second"));
    let tokens = tokens(reader, &fields, at);
    let above = fields.get("above").map(|node| context_tiers(reader, node, at.field("above"))).unwrap_or_default();
    let is_priced = |name: &&str| fields.get(name).is_some_and(|node| !matches!(node, Node::List(items) if items.is_empty()));
    if !names.iter().any(is_priced) {
        reader.wrong(at, node, "at least one price");
    }
    Some(ModelPrices { per_call, per_image, per_second, tokens, above })
}

fn tokens(reader: &mut Reader, fields: &Fields<'_>, at: Path<'_>) -> TokenPrices {
    let mut rate = |name| fields.get(name).and_then(|node| reader.rate(node, at.field(name)));
    let [input, cached_input, cache_write, output, reasoning] = TOKEN_FIELDS.map(&mut rate);
    TokenPrices { input, cached_input, cache_write, output, reasoning }
}

fn context_tiers(reader: &mut Reader, node: &Node, at: Path<'_>) -> Vec<ContextTier> {
    const RISING: &str = "a whole number above that of the tier before";
    const ALLOWED: &str = "a list of at most 100 tiers, `context_tokens` rising";
    let items = reader.list(node, at, ALLOWED).unwrap_or_default();
    if items.len() > MAX_TIERS {
        reader.wrong(at, node, ALLOWED);
        return Vec::new();
    }
    let names: Vec<&'static str> = ["context_tokens"].into_iter().chain(TOKEN_FIELDS).collect();
    let mut tiers: Vec<ContextTier> = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let at = at.item(index);
        let Some(fields) = reader.fields(item, at, &names) else { continue };
        let tokens = tokens(reader, &fields, at);
        if TOKEN_FIELDS.iter().all(|name| fields.get(name).is_none()) {
            reader.wrong(at, item, "at least one price for a token");
        }
        let Some(node) = fields.get("context_tokens") else {
            reader.missing(at.field("context_tokens"), RISING);
            continue;
        };
        let Some(context_tokens) = reader.whole(node, at.field("context_tokens"), MAX_COUNT) else { continue };
        if tiers.last().is_some_and(|last| last.context_tokens >= context_tokens) {
            reader.wrong(at.field("context_tokens"), node, RISING);
        }
        tiers.push(ContextTier { context_tokens, tokens });
    }
    tiers
}
