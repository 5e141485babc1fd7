//! Prices: versioned books of them, a catalogue of models, and what work costs by them.
//!
//! A [`PriceBook`] is read from YAML or JSON. [`PriceBooks`] keep all versions, and say which one is in force at an instant.
//! [`PriceBook::estimate`] is a pure function: the same book and request give the same [`Estimate`] for ever, so what was estimated
//! once can be worked out again. Nothing here reads a clock or a store, or touches a float.
//!
//! Prices and factors are exact ([`Rate`]), and so is all that is worked out from them, until the cost is rounded once, by the
//! [`Rounding`] of its book.

mod book;
mod books;
mod document;
mod estimate;
mod exact;
mod extra;
mod import;
mod known;
mod model;
mod parse;
mod request;
mod rounding;

pub use book::{PriceBook, Priority, Resolution};
pub use books::PriceBooks;
pub use document::{MAX_PRICES_BYTES, MAX_PRICES_VALUES};
pub use estimate::{Estimate, FundedEstimate, LineItem, LineKind, PriceOption};
pub use exact::{RATE_SCALE, Rate};
pub use extra::ExtraAsked;
pub use import::{ImportTerms, PriceMapImport, RefusedModel, import_price_map};
pub use model::{Catalogue, ContextTier, MAX_COUNT, ModelPrices, TokenPrices, Usage};
#[cfg(feature = "schema")]
pub(crate) use request::FIELDS as REQUEST_FIELDS;
pub use request::{EstimateRequest, MAX_EXTRAS, MAX_QUANTITY};
pub use rounding::{Rounding, RoundingMode};
