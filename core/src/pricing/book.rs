//! A price book: one version of all prices, in force from an instant.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::document::{MAX_PRICES_BYTES, Node};
use super::exact::Rate;
use super::extra::ExtraPrice;
use super::known;
use super::model::Catalogue;
use super::parse;
use super::rounding::Rounding;
use crate::credit::named_enum;
use crate::denial::{Denial, DenialKind};
use crate::id::{AppId, ExtraName, ModelId, PolicyTag, PriceBasis, Scene, TemplateId, Unit, UsageUnit};
use crate::map::Map;
use crate::time::Timestamp;

named_enum! {
    @words
    /// How soon the work is done.
    #[derive(Default)]
    Priority {
        /// In its turn.
        #[default]
        Standard = "standard",
        /// Before others.
        Accelerated = "accelerated",
    }
}

named_enum! {
    @words
    /// How large a picture is made.
    #[derive(Default)]
    Resolution {
        /// Standard definition.
        Sd = "sd",
        /// High definition.
        #[default]
        Hd = "hd",
        /// Four times as fine.
        Uhd = "4k",
    }
}

/// One version of all prices, in force from an instant; it never changes.
///
/// It is read from YAML or JSON, strictly: what it does not know is a mistake, and all mistakes are told at once. `docs/pricing.md`
/// shows every field.
///
/// # Examples
/// ```
/// use drawdown::pricing::{EstimateRequest, PriceBook};
/// let book = PriceBook::from_yaml("
/// version: 20250918
/// effective_at: 2025-09-18T00:00:00Z
/// unit: credit
/// rounding: {mode: up, step: 0.5}
/// priorities: {standard: {eta_minutes: 30}, accelerated: {multiplier: 1.5, eta_minutes: 10}}
/// resolutions: {sd: 0.5, hd: 1, 4k: 2}
/// templates: {poster: {base: 10.25}}
/// extras: {no_watermark: {flat: 3}}
/// ")?;
/// let request = EstimateRequest::from_json(r#"{"template_id": "poster", "extras": {"no_watermark": true}}"#)?;
/// let estimate = book.estimate(&request)?;
/// assert_eq!((estimate.selected_cost.to_string(), estimate.max_cost.to_string()), ("13.5".into(), "20".into()));
/// assert_eq!(estimate.calculation_basis.as_str(), "pricing_v20250918");
///
/// let refused = PriceBook::from_yaml("version: 1\nprices: {}").unwrap_err();
/// assert_eq!((refused.name(), &refused.details()["mistakes"]), ("config_invalid", &3.into()));
/// # Ok::<(), drawdown::Denial>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceBook {
    pub(super) version: String,
    pub(super) basis: PriceBasis,
    pub(super) effective_at: Timestamp,
    pub(super) unit: Unit,
    pub(super) rounding: Rounding,
    pub(super) priorities: [Option<PriorityTerms>; 2],
    pub(super) resolutions: [Option<Rate>; 3],
    pub(super) templates: Option<Map<TemplateId, TemplateTerms>>,
    pub(super) scenes: Option<Map<Scene, Rate>>,
    pub(super) apps: Map<AppId, Map<UsageUnit, Rate>>,
    pub(super) extras: Map<ExtraName, ExtraPrice>,
    pub(super) catalogue: Catalogue,
}

/// What a priority costs, and when the work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct PriorityTerms {
    pub(super) multiplier: Rate,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) eta_minutes: Option<u32>,
}

/// What a template costs, and the label of compliance that its answers carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct TemplateTerms {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) base: Option<Rate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy_tag: Option<PolicyTag>,
}

impl PriceBook {
    /// Reads a price book from JSON.
    ///
    /// # Errors
    /// `config_invalid` with all mistakes (`details.errors`, the first 100: path, given, allowed, message); `payload_too_large`
    /// above 8 MiB or 400,000 values.
    pub fn from_json(json: &str) -> Result<PriceBook, Denial> {
        parse::book(&Node::from_json(json, MAX_PRICES_BYTES)?)
    }

    /// Reads a price book from YAML 1.2: one document, without anchors, tags and directives.
    ///
    /// # Errors
    /// As [`PriceBook::from_json`].
    pub fn from_yaml(yaml: &str) -> Result<PriceBook, Denial> {
        parse::book(&Node::from_yaml(yaml, MAX_PRICES_BYTES)?)
    }

    /// Writes the price book as JSON: what [`PriceBook::from_json`] reads. Equal books give equal text.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The same price book with other models: for a catalogue that was [imported](super::import_price_map).
    #[must_use]
    pub fn with_catalogue(self, catalogue: Catalogue) -> PriceBook {
        PriceBook { catalogue, ..self }
    }

    /// The name of the version, as the document says it.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What its estimates name as their basis: `pricing_v` and the version.
    #[must_use]
    pub const fn basis(&self) -> &PriceBasis {
        &self.basis
    }

    /// From when on it is in force.
    #[must_use]
    pub const fn effective_at(&self) -> Timestamp {
        self.effective_at
    }

    /// The unit that its prices are in.
    #[must_use]
    pub const fn unit(&self) -> &Unit {
        &self.unit
    }

    /// The label of compliance of a template, where the book has one for it.
    #[must_use]
    pub fn policy_tag_of(&self, template_id: &TemplateId) -> Option<&PolicyTag> {
        self.templates.as_ref()?.get(template_id)?.policy_tag.as_ref()
    }

    /// How costs are rounded.
    #[must_use]
    pub const fn rounding(&self) -> Rounding {
        self.rounding
    }

    /// Its models.
    #[must_use]
    pub const fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The priorities that it offers, with their terms.
    pub(super) fn offered(&self) -> impl Iterator<Item = (Priority, PriorityTerms)> {
        Priority::ALL.iter().zip(&self.priorities).filter_map(|(priority, terms)| Some((*priority, (*terms)?)))
    }

    pub(super) fn factor_of(&self, resolution: Resolution) -> Result<Rate, Denial> {
        let factors = || Resolution::ALL.iter().zip(&self.resolutions);
        let found = factors().find(|(known, _)| **known == resolution).and_then(|(_, factor)| *factor);
        found.ok_or_else(|| {
            let known = factors().filter(|(_, factor)| factor.is_some()).map(|(known, _)| known.as_str());
            known::not_among(DenialKind::PayloadInvalid, "resolution", resolution.as_str(), known)
        })
    }

    /// What a template costs. A book without templates takes any, and has no price for it.
    pub(super) fn template(&self, template_id: &TemplateId) -> Result<Option<&TemplateTerms>, Denial> {
        let Some(templates) = &self.templates else { return Ok(None) };
        templates.get(template_id).map(Some).ok_or_else(|| {
            let known = templates.keys().map(TemplateId::as_str);
            known::not_among(DenialKind::PayloadInvalid, "template_id", template_id.as_str(), known)
        })
    }

    /// What a scene costs. A book without scenes takes any, and has no price for it.
    pub(super) fn scene(&self, scene: &Scene) -> Result<Option<Rate>, Denial> {
        let Some(scenes) = &self.scenes else { return Ok(None) };
        scenes
            .get(scene)
            .copied()
            .map(Some)
            .ok_or_else(|| known::not_among(DenialKind::PayloadInvalid, "scene", scene.as_str(), scenes.keys().map(Scene::as_str)))
    }

    pub(super) fn usage_unit(&self, app_id: &AppId, usage_unit: &UsageUnit) -> Result<Rate, Denial> {
        let units = self.apps.get(app_id).ok_or_else(|| {
            known::not_among(DenialKind::PayloadInvalid, "app_id", app_id.as_str(), self.apps.keys().map(AppId::as_str))
        })?;
        units.get(usage_unit).copied().ok_or_else(|| {
            let known = units.keys().map(UsageUnit::as_str);
            known::not_among(DenialKind::PayloadInvalid, "usage_unit", usage_unit.as_str(), known)
        })
    }

    pub(super) fn extra(&self, name: &ExtraName) -> Result<&ExtraPrice, Denial> {
        self.extras.get(name).ok_or_else(|| {
            let known = self.extras.keys().map(ExtraName::as_str);
            known::not_among(DenialKind::PayloadInvalid, &format!("extras.{name}"), name.as_str(), known)
        })
    }
}

impl Serialize for PriceBook {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        fields.serialize_entry("version", &self.version)?;
        fields.serialize_entry("effective_at", &self.effective_at)?;
        fields.serialize_entry("unit", &self.unit)?;
        fields.serialize_entry("rounding", &self.rounding)?;
        fields.serialize_entry("priorities", &Named(self.offered().collect()))?;
        let resolutions = Resolution::ALL.iter().zip(&self.resolutions).filter_map(|(name, factor)| Some((name, (*factor)?)));
        fields.serialize_entry("resolutions", &Named(resolutions.collect()))?;
        if let Some(templates) = &self.templates {
            fields.serialize_entry("templates", &in_order(templates))?;
        }
        if let Some(scenes) = &self.scenes {
            fields.serialize_entry("scenes", &in_order(scenes))?;
        }
        if !self.apps.is_empty() {
            let apps = in_order(&self.apps).0.into_iter().map(|(app_id, units)| (app_id, in_order(units)));
            fields.serialize_entry("apps", &Named(apps.collect()))?;
        }
        if !self.extras.is_empty() {
            fields.serialize_entry("extras", &in_order(&self.extras))?;
        }
        if let Some(model) = self.catalogue.default_model() {
            fields.serialize_entry("default_model", model)?;
        }
        let models: Vec<(&ModelId, _)> = self.catalogue.models();
        if !models.is_empty() {
            fields.serialize_entry("models", &Named(models))?;
        }
        fields.end()
    }
}

/// An object whose fields stand in this order.
struct Named<K, V>(Vec<(K, V)>);

impl<K: Serialize, V: Serialize> Serialize for Named<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn in_order<K: Ord, V>(map: &Map<K, V>) -> Named<&K, &V> {
    let mut pairs: Vec<(&K, &V)> = map.iter().collect();
    pairs.sort_unstable_by_key(|(name, _)| *name);
    Named(pairs)
}
