//! Extras: what is asked for beside the work itself, and how it is priced.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::exact::{Exact, Rate};
use super::known;
use crate::amount::Amount;
use crate::denial::{Denial, DenialKind};
use crate::map::Map;

/// How much of an extra is asked for, or which of its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExtraAsked {
    /// So much of it, 0 or more; 1 for one that is there or not.
    Quantity(Amount),
    /// This option of it.
    Option(Arc<str>),
}

impl ExtraAsked {
    /// It is asked for: a quantity of 1.
    pub const YES: ExtraAsked = ExtraAsked::Quantity(Amount::from_micros(1_000_000));
}

impl Serialize for ExtraAsked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            ExtraAsked::Quantity(quantity) => quantity.serialize(serializer),
            ExtraAsked::Option(name) => serializer.serialize_str(name),
        }
    }
}

/// How an extra is priced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ExtraPrice {
    /// A price for having it.
    Flat(Rate),
    /// A price for each.
    PerUnit(Rate),
    /// A factor of the whole before the priority.
    Multiplier(Rate),
    /// Each part of the quantity at the price of its tier.
    Graduated(Vec<Tier>),
    /// The whole quantity at the price of the tier that it falls in.
    Volume(Vec<Tier>),
    /// One of these.
    Options(#[serde(serialize_with = "sorted")] Map<Arc<str>, OptionPrice>),
}

/// How an option of an extra is priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OptionPrice {
    Flat(Rate),
    Multiplier(Rate),
}

/// A price up to a quantity, that one included; the last tier has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Tier {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) up_to: Option<Amount>,
    pub(super) price: Rate,
}

/// What an extra does to a cost.
pub(super) enum Effect<'p> {
    Add(Rate, Amount),
    /// The tiers in which parts of the quantity fall.
    AddByTier(&'p [Tier], Amount),
    Multiply(Rate),
}

impl ExtraPrice {
    /// What it does to a cost, as it is asked for; none where nothing is asked for.
    pub(super) fn effect(&self, name: &str, asked: &ExtraAsked) -> Result<Option<Effect<'_>>, Denial> {
        const ONE: Amount = Amount::from_micros(1_000_000);
        let field = || format!("extras.{name}");
        match (self, asked) {
            (_, ExtraAsked::Quantity(quantity)) if quantity.is_zero() => Ok(None),
            (_, ExtraAsked::Quantity(quantity)) if quantity.is_negative() => {
                Err(Denial::invalid(&field(), quantity, "a quantity, 0 or more"))
            }
            (ExtraPrice::Options(options), ExtraAsked::Option(option)) => match options.get(&**option) {
                Some(OptionPrice::Flat(price)) => Ok(Some(Effect::Add(*price, ONE))),
                Some(OptionPrice::Multiplier(factor)) => Ok(Some(Effect::Multiply(*factor))),
                None => {
                    let names = options.keys().map(|name| &**name);
                    Err(known::not_among(DenialKind::PayloadInvalid, &field(), option, names))
                }
            },
            (ExtraPrice::Options(options), ExtraAsked::Quantity(quantity)) => {
                let names = options.keys().map(|name| &**name);
                Err(known::not_among(DenialKind::PayloadInvalid, &field(), &quantity.to_string(), names))
            }
            (_, ExtraAsked::Option(option)) => Err(Denial::invalid(&field(), option, "true or a quantity: it has no options")),
            (ExtraPrice::Flat(_) | ExtraPrice::Multiplier(_), ExtraAsked::Quantity(quantity)) if *quantity != ONE => {
                Err(Denial::invalid(&field(), quantity, "true, 0 or 1: it is there or not"))
            }
            (ExtraPrice::Flat(price) | ExtraPrice::PerUnit(price), ExtraAsked::Quantity(quantity)) => {
                Ok(Some(Effect::Add(*price, *quantity)))
            }
            (ExtraPrice::Multiplier(factor), ExtraAsked::Quantity(_)) => Ok(Some(Effect::Multiply(*factor))),
            (ExtraPrice::Graduated(tiers), ExtraAsked::Quantity(quantity)) => Ok(Some(Effect::AddByTier(tiers, *quantity))),
            (ExtraPrice::Volume(tiers), ExtraAsked::Quantity(quantity)) => {
                let tier = tiers.iter().find(|tier| tier.up_to.is_none_or(|up_to| *quantity <= up_to));
                Ok(tier.map(|tier| Effect::Add(tier.price, *quantity)))
            }
        }
    }
}

/// How much of a quantity falls in each tier.
pub(super) fn parts(tiers: &[Tier], quantity: Amount) -> impl Iterator<Item = (Amount, Rate)> {
    let mut from = Amount::ZERO;
    tiers.iter().map_while(move |tier| {
        let to = tier.up_to.map_or(quantity, |up_to| up_to.min(quantity));
        let part = to.checked_sub(from).filter(|part| part.is_positive())?;
        from = to;
        Some((part, tier.price))
    })
}

/// The cost of a quantity.
pub(super) fn cost_of(quantity: Amount, rate: Rate) -> Option<Exact> {
    Exact::of(quantity).times(rate.exact())
}

fn sorted<S: Serializer>(options: &Map<Arc<str>, OptionPrice>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut pairs: Vec<_> = options.iter().collect();
    pairs.sort_unstable_by_key(|(name, _)| *name);
    serializer.collect_map(pairs)
}
