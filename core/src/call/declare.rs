//! How what is asked and what is answered are declared.

/// Declares what a call asks for: one field each with what it means.
macro_rules! asked {
    ($( $(#[doc = $doc:literal])+ $name:ident { $( $(#[$meta:meta])+ $field:ident: $ty:ty, )* } )+) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub struct $name { $( $(#[$meta])+ pub $field: $ty, )* }
    )+ };
}

/// Declares answers that are put together for whoever reads them outside of this crate: flat, with every field of the rule that
/// they tell of, one each with what it means.
macro_rules! answered {
    ($( $(#[doc = $doc:literal])+ $name:ident { $( $(#[$meta:meta])+ $field:ident: $ty:ty, )* } )+) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub struct $name { $( $(#[$meta])+ pub $field: $ty, )* }
    )+ };
}

pub(super) use {answered, asked};

/// How many answers a page has that does not say.
const PAGE: usize = 50;

pub(super) const fn page() -> usize {
    PAGE
}
