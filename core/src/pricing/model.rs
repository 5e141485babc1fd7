//! The catalogue of models: what a call, an image, a second and a token cost.

use serde::{Deserialize, Serialize};

use super::exact::Rate;
use super::known;
use crate::amount::Amount;
use crate::denial::{Denial, DenialKind};
use crate::id::ModelId;
use crate::map::Map;

/// The most of anything that a request can count: calls, images, seconds, tokens.
pub const MAX_COUNT: u64 = 1_000_000_000_000;

/// The most tiers of a price.
pub(super) const MAX_TIERS: usize = 100;

/// What a model costs, in the unit of its price book. What has no price cannot be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ModelPrices {
    /// For a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_call: Option<Rate>,
    /// For an image that is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_image: Option<Rate>,
    /// For a second of sound or video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<Rate>,
    /// For a token.
    #[serde(flatten)]
    pub tokens: TokenPrices,
    /// For a token of a call whose context is larger, the smallest context first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub above: Vec<ContextTier>,
}

/// What a token costs, by what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TokenPrices {
    /// Read.
    #[serde(rename = "per_input_token", skip_serializing_if = "Option::is_none")]
    pub input: Option<Rate>,
    /// Read from a cache; like one that is read where there is no price.
    #[serde(rename = "per_cached_input_token", skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<Rate>,
    /// Read and written to a cache; like one that is read where there is no price.
    #[serde(rename = "per_cache_write_token", skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<Rate>,
    /// Written.
    #[serde(rename = "per_output_token", skip_serializing_if = "Option::is_none")]
    pub output: Option<Rate>,
    /// Written while thinking; like one that is written where there is no price.
    #[serde(rename = "per_reasoning_token", skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Rate>,
}

/// Prices of tokens above a size of the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ContextTier {
    /// They hold for a call that reads more tokens than this, cached ones included: for all of its tokens.
    pub context_tokens: u64,
    /// The prices; what has none here has the one below.
    #[serde(flatten)]
    pub tokens: TokenPrices,
}

/// What a model is used for: each call, image, second and token is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Usage {
    /// Calls.
    pub calls: u64,
    /// Images that are made.
    pub images: u64,
    /// Seconds of sound or video.
    pub seconds: Amount,
    /// Tokens that are read, without those of the two next fields.
    pub input_tokens: u64,
    /// Tokens that are read from a cache.
    pub cached_input_tokens: u64,
    /// Tokens that are read and written to a cache.
    pub cache_write_tokens: u64,
    /// Tokens that are written, without those of the next field.
    pub output_tokens: u64,
    /// Tokens that are written while thinking.
    pub reasoning_tokens: u64,
}

impl Usage {
    /// How many tokens are read.
    fn context(&self) -> u64 {
        self.input_tokens.saturating_add(self.cached_input_tokens).saturating_add(self.cache_write_tokens)
    }
}

impl TokenPrices {
    /// These prices, and those of another where these have none.
    const fn or(self, other: TokenPrices) -> TokenPrices {
        const fn first(one: Option<Rate>, other: Option<Rate>) -> Option<Rate> {
            if one.is_some() { one } else { other }
        }
        TokenPrices {
            input: first(self.input, other.input),
            cached_input: first(self.cached_input, other.cached_input),
            cache_write: first(self.cache_write, other.cache_write),
            output: first(self.output, other.output),
            reasoning: first(self.reasoning, other.reasoning),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == TokenPrices::default()
    }
}

impl ModelPrices {
    /// Whether there is a price at all.
    pub(super) fn is_empty(&self) -> bool {
        *self == ModelPrices::default()
    }

    /// Whether a price book can say it: what it says is read again.
    pub(super) fn is_sound(&self) -> bool {
        let rising = self.above.windows(2).all(|pair| matches!(pair, [a, b] if a.context_tokens < b.context_tokens));
        let tiers = self.above.iter().all(|tier| tier.context_tokens <= MAX_COUNT && !tier.tokens.is_empty());
        !self.is_empty() && rising && tiers && self.above.len() <= MAX_TIERS
    }

    /// What counts of a use, how much of it, and its price.
    pub(super) fn parts(&self, usage: &Usage) -> [(&'static str, Amount, Option<Rate>); 8] {
        let context = usage.context();
        let larger = self.above.iter().filter(|tier| context > tier.context_tokens);
        let tokens = larger.fold(self.tokens, |below, tier| tier.tokens.or(below));
        let count = |number: u64| i64::try_from(number).ok().and_then(Amount::from_units).unwrap_or(Amount::MAX);
        [
            ("calls", count(usage.calls), self.per_call),
            ("images", count(usage.images), self.per_image),
            ("seconds", usage.seconds, self.per_second),
            ("input_tokens", count(usage.input_tokens), tokens.input),
            ("cached_input_tokens", count(usage.cached_input_tokens), tokens.cached_input.or(tokens.input)),
            ("cache_write_tokens", count(usage.cache_write_tokens), tokens.cache_write.or(tokens.input)),
            ("output_tokens", count(usage.output_tokens), tokens.output),
            ("reasoning_tokens", count(usage.reasoning_tokens), tokens.reasoning.or(tokens.output)),
        ]
    }
}

/// The models of a price book, and the one that is meant when none is named.
///
/// # Examples
/// ```
/// use drawdown::pricing::{Catalogue, ModelPrices};
/// let banana = ModelPrices { per_image: Some("4".parse()?), ..ModelPrices::default() };
/// let catalogue = Catalogue::new([("gemini-2.5-flash-image".parse()?, banana)])?;
/// let catalogue = catalogue.with_default("gemini-2.5-flash-image".parse()?)?;
/// assert_eq!(catalogue.default_model().unwrap().as_str(), "gemini-2.5-flash-image");
/// let refused = catalogue.with_default("gemini-3".parse()?).unwrap_err();
/// assert_eq!((refused.name(), &refused.details()["known"][0]), ("model_unknown", &"gemini-2.5-flash-image".into()));
/// # Ok::<(), drawdown::Denial>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    default: Option<ModelId>,
    models: Map<ModelId, ModelPrices>,
}

impl Catalogue {
    /// The catalogue of these models; of two with one name, the last.
    ///
    /// # Errors
    /// `config_invalid` for a model without a price, or with tiers that do not rise, lack a price, or are too many.
    pub fn new(models: impl IntoIterator<Item = (ModelId, ModelPrices)>) -> Result<Catalogue, Denial> {
        let models: Map<ModelId, ModelPrices> = models.into_iter().collect();
        for (model, prices) in &models {
            if !prices.is_sound() {
                let allowed = "at least one price, and at most 100 tiers, each with a price, whose contexts rise to at most 10^12";
                return Err(Denial::new(DenialKind::ConfigInvalid, format!("the model `{model}` takes {allowed}"))
                    .with("field", format!("models.{model}"))
                    .with("allowed", allowed));
            }
        }
        Ok(Catalogue { default: None, models })
    }

    /// The catalogue with this model where none is named.
    ///
    /// # Errors
    /// `model_unknown` when it is not in the catalogue.
    pub fn with_default(self, model: ModelId) -> Result<Catalogue, Denial> {
        self.find(&model)?;
        Ok(Catalogue { default: Some(model), ..self })
    }

    /// The model that is meant when none is named.
    #[must_use]
    pub const fn default_model(&self) -> Option<&ModelId> {
        self.default.as_ref()
    }

    /// What a model costs, if it is in the catalogue.
    #[must_use]
    pub fn get(&self, model: &ModelId) -> Option<&ModelPrices> {
        self.models.get(model)
    }

    /// The models in the order of their names.
    #[must_use]
    pub fn models(&self) -> Vec<(&ModelId, &ModelPrices)> {
        let mut models: Vec<_> = self.models.iter().collect();
        models.sort_unstable_by_key(|(model, _)| *model);
        models
    }

    pub(super) fn find(&self, model: &ModelId) -> Result<&ModelPrices, Denial> {
        self.models.get(model).ok_or_else(|| {
            known::not_among(DenialKind::ModelUnknown, "model", model.as_str(), self.models.keys().map(ModelId::as_str))
        })
    }
}
