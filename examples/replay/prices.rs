//! What requests cost: a price book, whose default model answers them.

use std::fs;
use std::path::Path;

use drawdown::pricing::{EstimateRequest, PriceBook, Usage};
use drawdown::{Amount, PriceBasis};

use crate::Outcome;
use crate::trace::Row;

/// The prices where no others are given.
const PRICES: &str = include_str!("../data/prices.yaml");

/// The unit of the accounts.
pub(crate) const UNIT: &str = "credit";

pub(crate) struct Prices {
    book: PriceBook,
}

impl Prices {
    /// Reads a price book, and asks it once, so that what it lacks is told before anything is booked.
    pub(crate) fn read(file: Option<&Path>) -> Outcome<Prices> {
        let text = match file {
            Some(path) => fs::read_to_string(path).map_err(|error| format!("`{}` cannot be read: {error}", path.display()))?,
            None => PRICES.to_owned(),
        };
        let prices = Prices { book: PriceBook::from_yaml(&text).map_err(|denial| format!("the prices: {denial}"))? };
        if prices.book.unit().as_str() != UNIT {
            return Err(format!("the prices are in `{}`, and the accounts in `{UNIT}`", prices.book.unit()).into());
        }
        prices.price(1, 1)?;
        Ok(prices)
    }

    /// What a request costs.
    pub(crate) fn cost(&self, row: &Row) -> Outcome<Amount> {
        self.price(row.context_tokens, row.generated_tokens)
    }

    /// An upper bound of what it costs, known before the work: as if the answer took all the tokens that the caller allows.
    ///
    /// The trace does not say what was allowed; the smallest of 256, 1,024, 4,096, ... that the answer fits into is taken.
    pub(crate) fn upper_bound(&self, row: &Row) -> Outcome<Amount> {
        let mut allowed: u32 = 256;
        while allowed < row.generated_tokens {
            allowed = allowed.saturating_mul(4);
        }
        self.price(row.context_tokens, allowed)
    }

    /// The version of the prices, which every hold names.
    pub(crate) const fn basis(&self) -> &PriceBasis {
        self.book.basis()
    }

    /// The whole book: books that were kept by other prices are not to be continued.
    pub(crate) fn text(&self) -> String {
        self.book.to_json()
    }

    fn price(&self, context: u32, generated: u32) -> Outcome<Amount> {
        let usage = Usage { input_tokens: u64::from(context), output_tokens: u64::from(generated), ..Usage::default() };
        let estimate = self.book.estimate(&EstimateRequest::of_model(None, Some(usage)));
        Ok(estimate.map_err(|denial| format!("the prices: {denial}"))?.selected_cost)
    }
}
