//! What is to be priced.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::ser::{self, Serialize, SerializeMap, Serializer};
use serde_json::{Map, Number, Value};

use super::book::{Priority, Resolution};
use super::document::{Fields, Node, Path, Reader};
use super::extra::ExtraAsked;
use super::model::{MAX_COUNT, Usage};
use crate::amount::Amount;
use crate::command::Given;
use crate::denial::{Denial, DenialKind};
use crate::id::{AppId, ExtraName, ModelId, Scene, TemplateId, TextVisitor, UsageUnit, UserId};

/// The most extras of a request.
pub const MAX_EXTRAS: usize = 64;

/// The largest quantity: of a request, of an extra, of seconds.
pub const MAX_QUANTITY: Amount = Amount::from_micros(1_000_000_000_000_000);

/// The largest request, in bytes of JSON.
const MAX_REQUEST_BYTES: usize = 64 * 1024;

pub(crate) const FIELDS: [&str; 11] =
    ["template_id", "scene", "model", "app_id", "usage_unit", "user_id", "usage", "quantity", "resolution", "priority", "extras"];
const USAGE_FIELDS: [&str; 8] = [
    "calls",
    "images",
    "seconds",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
];
const QUANTITY: &str = "a number from 0 to 1000000000 with at most 6 decimal places";
const NAME: &str = "text of 1 to 255 bytes without control characters";

/// Work to be priced: what it is, how much of it, and how it is to be done.
///
/// What is named is priced by the first of these that has a price in the book: the template, the scene, the model, the unit of the
/// app. Where none is named, the default model is meant.
///
/// # Examples
/// ```
/// use drawdown::pricing::{EstimateRequest, Priority};
/// let request = EstimateRequest::from_json(r#"{"template_id": "poster", "priority": "accelerated", "extras": {"voices": 2}}"#)?;
/// assert_eq!((request.priority, request.extras.len()), (Priority::Accelerated, 1));
/// let refused = EstimateRequest::from_json(r#"{"template_id": "poster", "priority": "soon"}"#).unwrap_err();
/// assert_eq!(refused.details()["field"], "priority");
/// assert_eq!(refused.details()["allowed"], "one of standard, accelerated");
/// # Ok::<(), drawdown::Denial>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(default))]
pub struct EstimateRequest {
    /// The template.
    pub template_id: Option<TemplateId>,
    /// The scene.
    pub scene: Option<Scene>,
    /// The model.
    pub model: Option<ModelId>,
    /// The app that the work is for. It is priced by its `usage_unit`; without one it only says which credit can pay.
    pub app_id: Option<AppId>,
    /// The unit of the app that is counted; it needs the app.
    pub usage_unit: Option<UsageUnit>,
    /// The user who acts, where another pays; if none, the owner of the account. No part of the price: it says whose licence for the
    /// template counts, and whose requests are counted.
    pub user_id: Option<UserId>,
    /// What the model is used for; where it is not said, one call that makes one image, as far as the model has prices for them.
    pub usage: Option<Usage>,
    /// How much of it: above 0, at most 10^9 (default 1).
    pub quantity: Amount,
    /// The resolution (default `hd`).
    pub resolution: Resolution,
    /// The priority (default `standard`).
    pub priority: Priority,
    /// The extras by their names, at most 64.
    pub extras: BTreeMap<ExtraName, ExtraAsked>,
}

impl Default for EstimateRequest {
    fn default() -> EstimateRequest {
        EstimateRequest {
            template_id: None,
            scene: None,
            model: None,
            app_id: None,
            usage_unit: None,
            user_id: None,
            usage: None,
            quantity: Amount::from_micros(1_000_000),
            resolution: Resolution::default(),
            priority: Priority::default(),
            extras: BTreeMap::new(),
        }
    }
}

impl Serialize for EstimateRequest {
    /// Writes what is said; in JSON it is what [`EstimateRequest::from_json`] reads.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Each field is named, so that none is forgotten.
        let EstimateRequest {
            template_id,
            scene,
            model,
            app_id,
            usage_unit,
            user_id,
            usage,
            quantity,
            resolution,
            priority,
            extras,
        } = self;
        let mut fields = serializer.serialize_map(None)?;
        macro_rules! write_those_said {
            ($($field:ident),+) => {
                $( if let Some(said) = $field { fields.serialize_entry(stringify!($field), said)?; } )+
            };
        }
        write_those_said!(template_id, scene, model, app_id, usage_unit, user_id, usage);
        fields.serialize_entry("quantity", &Digits(*quantity))?;
        fields.serialize_entry("resolution", resolution.as_str())?;
        fields.serialize_entry("priority", priority.as_str())?;
        if !extras.is_empty() {
            fields.serialize_entry("extras", &Extras(extras))?;
        }
        fields.end()
    }
}

/// An amount as a number: as text it would be the name of an option.
struct Digits(Amount);

impl Serialize for Digits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.to_string().parse::<Number>().map_err(ser::Error::custom)?.serialize(serializer)
    }
}

struct Extras<'a>(&'a BTreeMap<ExtraName, ExtraAsked>);

impl Serialize for Extras<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(Some(self.0.len()))?;
        for (name, asked) in self.0 {
            match asked {
                ExtraAsked::Quantity(quantity) => fields.serialize_entry(name.as_str(), &Digits(*quantity))?,
                ExtraAsked::Option(option) => fields.serialize_entry(name.as_str(), &**option)?,
            }
        }
        fields.end()
    }
}

impl EstimateRequest {
    /// Reads a request from JSON. An extra is a quantity, `true` for 1, or the name of one of its options; `false`, `null` and 0
    /// say that it is not asked for.
    ///
    /// # Errors
    /// `payload_invalid` for unknown fields, fields that stand twice, and values that cannot be read, with all of them in
    /// `details.errors`; `payload_too_large` above 64 KiB.
    pub fn from_json(json: &str) -> Result<EstimateRequest, Denial> {
        let unreadable = |denial: Denial| match denial.kind() {
            DenialKind::PayloadTooLarge => denial,
            _ => Denial::new(DenialKind::PayloadInvalid, denial.message()).with("field", ".").with("allowed", "one JSON object"),
        };
        EstimateRequest::from_document(&Node::from_json(json, MAX_REQUEST_BYTES).map_err(unreadable)?)
    }

    /// Reads a request from the fields of a JSON object. A number has the digits that it was written with.
    ///
    /// # Errors
    /// As [`EstimateRequest::from_json`], but for what only text can have wrong.
    pub fn from_fields(fields: Map<String, Value>) -> Result<EstimateRequest, Denial> {
        EstimateRequest::from_document(&Node::from_value(Value::Object(fields)))
    }

    /// Reads a request from a host's own values; none where something is wrong with one, or only [`EstimateRequest::from_fields`] reads
    /// it.
    pub(crate) fn from_given<'f, G: Given>(fields: impl Iterator<Item = (&'f str, G)>) -> Option<EstimateRequest> {
        fn read<T: DeserializeOwned>(value: impl Given) -> Option<Option<T>> {
            Option::deserialize(value).ok()
        }
        fn word<T>(value: impl Given, named: impl Fn(&str) -> Option<T>) -> Option<T> {
            value.deserialize_str(TextVisitor(|text: &str| named(text).ok_or_else(String::new))).ok()
        }
        let mut request = EstimateRequest::default();
        for (name, value) in fields {
            match name {
                "template_id" => request.template_id = read(value)?,
                "scene" => request.scene = read(value)?,
                "model" => request.model = read(value)?,
                "app_id" => request.app_id = read(value)?,
                "usage_unit" => request.usage_unit = read(value)?,
                "user_id" => request.user_id = read(value)?,
                "quantity" => request.quantity = Amount::deserialize(value).ok().filter(is_quantity)?,
                "resolution" => request.resolution = word(value, Resolution::from_name)?,
                "priority" => request.priority = word(value, Priority::from_name)?,
                "extras" => request.extras = ExtrasGiven.deserialize(value).ok()?,
                _ => return None,
            }
        }
        Some(request)
    }

    fn from_document(document: &Node) -> Result<EstimateRequest, Denial> {
        let mut reader = Reader::default();
        let read = request(&mut reader, document);
        match (reader.mistakes.denial(DenialKind::PayloadInvalid, "the request"), read) {
            (Some(denial), _) => Err(denial),
            (None, Some(request)) => Ok(request),
            (None, None) => Err(Denial::new(DenialKind::PayloadInvalid, "the request cannot be read")),
        }
    }

    /// The request as JSON: what [`EstimateRequest::from_json`] reads.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Asks for the default model, or another, without saying more.
    #[must_use]
    pub fn of_model(model: Option<ModelId>, usage: Option<Usage>) -> EstimateRequest {
        EstimateRequest { model, usage, ..EstimateRequest::default() }
    }

    /// The shape of what was not read from JSON.
    pub(super) fn check(&self) -> Result<(), Denial> {
        if !is_quantity(&self.quantity) {
            return Err(Denial::invalid("quantity", self.quantity, "a number above 0, at most 1000000000"));
        }
        if self.extras.len() > MAX_EXTRAS {
            return Err(Denial::invalid("extras", self.extras.len(), "at most 64 extras"));
        }
        if self.usage_unit.is_some() && self.app_id.is_none() {
            return Err(Denial::invalid("app_id", "null", "the app that the `usage_unit` is of"));
        }
        let Some(usage) = &self.usage else { return Ok(()) };
        let counts = [
            usage.calls,
            usage.images,
            usage.input_tokens,
            usage.cached_input_tokens,
            usage.cache_write_tokens,
            usage.output_tokens,
            usage.reasoning_tokens,
        ];
        if usage.seconds.is_negative() || usage.seconds > MAX_QUANTITY || counts.iter().any(|count| *count > MAX_COUNT) {
            return Err(Denial::invalid("usage", "a count", "counts from 0 to 10^12, seconds from 0 to 10^9"));
        }
        Ok(())
    }
}

/// Whether there can be so much of it.
fn is_quantity(quantity: &Amount) -> bool {
    quantity.is_positive() && *quantity <= MAX_QUANTITY
}

fn request(reader: &mut Reader, document: &Node) -> Option<EstimateRequest> {
    let root = Path::Root;
    let fields = reader.fields(document, root, &FIELDS)?;
    fn id<T: std::str::FromStr>(reader: &mut Reader, fields: &Fields<'_>, name: &'static str) -> Option<T> {
        fields.get(name).and_then(|node| reader.text(node, Path::Root.field(name), NAME))
    }
    let default = EstimateRequest::default();
    let quantity = fields.get("quantity").map_or(Some(default.quantity), |node| {
        let fits = |quantity| is_quantity(&quantity);
        reader.amount(node, root.field("quantity"), "a number above 0, at most 1000000000, with at most 6 decimal places", fits)
    });
    let resolution = fields
        .get("resolution")
        .map_or(Some(default.resolution), |node| word(reader, node, root.field("resolution"), Resolution::ALL, Resolution::as_str));
    let priority = fields
        .get("priority")
        .map_or(Some(default.priority), |node| word(reader, node, root.field("priority"), Priority::ALL, Priority::as_str));
    Some(EstimateRequest {
        template_id: id(reader, &fields, "template_id"),
        scene: id(reader, &fields, "scene"),
        model: id(reader, &fields, "model"),
        app_id: id(reader, &fields, "app_id"),
        usage_unit: id(reader, &fields, "usage_unit"),
        user_id: id(reader, &fields, "user_id"),
        usage: fields.get("usage").and_then(|node| usage(reader, node, root.field("usage"))),
        extras: fields.get("extras").map(|node| extras(reader, node, root.field("extras"))).unwrap_or_default(),
        quantity: quantity?,
        resolution: resolution?,
        priority: priority?,
    })
}

/// Extras as a host gives them, so many as they may be.
struct ExtrasGiven;

impl<'de> DeserializeSeed<'de> for ExtrasGiven {
    type Value = BTreeMap<ExtraName, ExtraAsked>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ExtrasGiven {
    type Value = BTreeMap<ExtraName, ExtraAsked>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("extras by their names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut given: A) -> Result<Self::Value, A::Error> {
        let mut extras = BTreeMap::new();
        while let Some(name) = given.next_key()? {
            extras.insert(name, given.next_value_seed(ExtraGiven)?);
            if extras.len() > MAX_EXTRAS {
                return Err(de::Error::custom("at most 64 extras"));
            }
        }
        Ok(extras)
    }
}

/// How much of an extra a host asks for.
struct ExtraGiven;

impl<'de> DeserializeSeed<'de> for ExtraGiven {
    type Value = ExtraAsked;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<ExtraAsked, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for ExtraGiven {
    type Value = ExtraAsked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole quantity, true, false, or the name of an option")
    }

    fn visit_unit<E: de::Error>(self) -> Result<ExtraAsked, E> {
        self.visit_bool(false)
    }

    fn visit_bool<E: de::Error>(self, is_asked: bool) -> Result<ExtraAsked, E> {
        Ok(if is_asked { ExtraAsked::YES } else { ExtraAsked::Quantity(Amount::ZERO) })
    }

    fn visit_str<E>(self, option: &str) -> Result<ExtraAsked, E> {
        Ok(ExtraAsked::Option(Arc::from(option)))
    }

    fn visit_u64<E: de::Error>(self, units: u64) -> Result<ExtraAsked, E> {
        let quantity = i64::try_from(units).ok().and_then(Amount::from_units).filter(|quantity| *quantity <= MAX_QUANTITY);
        quantity.map(ExtraAsked::Quantity).ok_or_else(|| E::custom("a quantity from 0 to 1000000000"))
    }
}

fn word<T: Copy>(reader: &mut Reader, node: &Node, at: Path<'_>, all: &[T], name: impl Fn(T) -> &'static str) -> Option<T> {
    let found = match node {
        Node::Text(text) => all.iter().copied().find(|value| name(*value) == text),
        _ => None,
    };
    if found.is_none() {
        let words: Vec<&str> = all.iter().map(|value| name(*value)).collect();
        reader.wrong(at, node, &format!("one of {}", words.join(", ")));
    }
    found
}

fn usage(reader: &mut Reader, node: &Node, at: Path<'_>) -> Option<Usage> {
    let fields = reader.fields(node, at, &USAGE_FIELDS)?;
    let seconds = fields.get("seconds").map_or(Some(Amount::ZERO), |node| {
        let fits = |seconds: Amount| !seconds.is_negative() && seconds <= MAX_QUANTITY;
        reader.amount(node, at.field("seconds"), QUANTITY, fits)
    });
    let mut count = |name| fields.get(name).and_then(|node| reader.whole(node, at.field(name), MAX_COUNT)).unwrap_or(0);
    Some(Usage {
        calls: count("calls"),
        images: count("images"),
        seconds: seconds?,
        input_tokens: count("input_tokens"),
        cached_input_tokens: count("cached_input_tokens"),
        cache_write_tokens: count("cache_write_tokens"),
        output_tokens: count("output_tokens"),
        reasoning_tokens: count("reasoning_tokens"),
    })
}

fn extras(reader: &mut Reader, node: &Node, at: Path<'_>) -> BTreeMap<ExtraName, ExtraAsked> {
    const ALLOWED: &str = "a quantity from 0 to 1000000000, true, false, null, or the name of an option";
    let entries = reader.entries(node, at, "an object: a name, and how much of it").unwrap_or_default();
    if entries.len() > MAX_EXTRAS {
        reader.wrong(at, node, "at most 64 extras");
    }
    let mut asked = BTreeMap::new();
    for (name, node) in entries {
        let Some(key) = reader.name::<ExtraName>(name, at) else { continue };
        let value = match node {
            Node::Null | Node::Bool(false) => ExtraAsked::Quantity(Amount::ZERO),
            Node::Bool(true) => ExtraAsked::YES,
            Node::Text(option) => ExtraAsked::Option(Arc::from(option.as_str())),
            other => {
                let fits = |quantity: Amount| !quantity.is_negative() && quantity <= MAX_QUANTITY;
                let Some(quantity) = reader.amount(other, at.field(name), ALLOWED, fits) else { continue };
                ExtraAsked::Quantity(quantity)
            }
        };
        // One that is not asked for is kept: it has to be known as well.
        asked.insert(key, value);
    }
    asked
}
