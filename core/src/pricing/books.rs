//! All versions of the prices: the one in force, and those before, so that what was estimated can be worked out again.

use std::sync::Arc;

use super::book::PriceBook;
use super::known;
use crate::denial::{Denial, DenialKind};
use crate::id::PriceBasis;
use crate::time::Timestamp;

/// Price books, of which one is in force at an instant: the last that has begun.
///
/// # Examples
/// ```
/// use drawdown::pricing::{PriceBook, PriceBooks};
/// let book = |version: &str, from: &str| {
///     PriceBook::from_yaml(&format!("{{version: {version}, effective_at: {from}, unit: credit, templates: {{poster: {{base: 10}}}}}}"))
/// };
/// let books = PriceBooks::new([book("a", "2026-01-01T00:00:00Z")?, book("b", "2026-02-01T00:00:00Z")?])?;
/// assert_eq!(books.at("2026-01-31T23:59:59Z".parse()?)?.version(), "a");
/// assert_eq!(books.at("2026-02-01T00:00:00Z".parse()?)?.version(), "b");
/// assert_eq!(books.named(&"pricing_va".parse()?)?.version(), "a");
/// let refused = books.at("2025-12-31T23:59:59Z".parse()?).unwrap_err();
/// assert_eq!((refused.name(), refused.when_to_retry().unwrap().to_string()), ("pricing_unavailable", "2026-01-01T00:00:00.000000Z".into()));
/// # Ok::<(), drawdown::Denial>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct PriceBooks {
    /// In the order in which they come into force.
    books: Vec<Arc<PriceBook>>,
}

impl PriceBooks {
    /// These versions.
    ///
    /// # Errors
    /// `config_invalid` when two have one name, or begin at one instant.
    pub fn new(books: impl IntoIterator<Item = PriceBook>) -> Result<PriceBooks, Denial> {
        books.into_iter().try_fold(PriceBooks::default(), PriceBooks::with)
    }

    /// These versions and one more.
    ///
    /// # Errors
    /// `config_invalid` when its name, or the instant at which it begins, is that of another.
    pub fn with(mut self, book: PriceBook) -> Result<PriceBooks, Denial> {
        let taken =
            self.books.iter().find(|other| other.version() == book.version() || other.effective_at() == book.effective_at());
        if let Some(other) = taken {
            let (field, given) = if other.version() == book.version() {
                ("version", book.version().to_owned())
            } else {
                ("effective_at", book.effective_at().to_string())
            };
            let message = format!(
                "the price book `{}` cannot be kept beside `{}`: both have the {field} `{given}`",
                book.version(),
                other.version()
            );
            return Err(Denial::new(DenialKind::ConfigInvalid, message)
                .with("field", field)
                .with("given", given)
                .with("allowed", "one that no other price book has"));
        }
        let place = self.books.partition_point(|other| other.effective_at() < book.effective_at());
        self.books.insert(place, Arc::new(book));
        Ok(self)
    }

    /// The price book in force at an instant.
    ///
    /// # Errors
    /// `pricing_unavailable` when none is, with the instant at which the first begins, if there is one.
    pub fn at(&self, now: Timestamp) -> Result<&Arc<PriceBook>, Denial> {
        let begun = self.books.partition_point(|book| book.effective_at() <= now);
        let in_force = begun.checked_sub(1).and_then(|last| self.books.get(last));
        in_force.ok_or_else(|| {
            let denial = Denial::new(DenialKind::PricingUnavailable, format!("no price book is in force at {now}"));
            match self.books.first() {
                Some(next) => denial.with("effective_at", next.effective_at().to_string()).retry_at(next.effective_at()),
                None => denial,
            }
        })
    }

    /// The price book that an estimate names as its basis, in force or not.
    ///
    /// # Errors
    /// `payload_invalid` that lists those that are kept.
    pub fn named(&self, basis: &PriceBasis) -> Result<&Arc<PriceBook>, Denial> {
        self.books.iter().find(|book| book.basis() == basis).ok_or_else(|| {
            let known = self.books.iter().map(|book| book.basis().as_str());
            known::not_among(DenialKind::PayloadInvalid, "calculation_basis", basis.as_str(), known)
        })
    }

    /// All of them, in the order in which they come into force.
    pub fn iter(&self) -> impl Iterator<Item = &PriceBook> {
        self.books.iter().map(|book| &**book)
    }
}
