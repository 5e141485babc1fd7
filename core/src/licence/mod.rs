//! Licences: the right to use a template, how often, and by when. What is checked, and what holds and charges use up.

mod check;
mod set;
mod terms;
mod uses;
mod view;

pub use check::{LicenceCheck, QuotaSnapshot, ReasonCode, check_licence};
pub(crate) use check::{Licensed, for_work, snapshot};
pub(crate) use set::{revoke, set, submit_documents};
pub use terms::{Channel, DayUse, Licence, LicenceKey, LicenceTerms, TemplateKey};
pub(crate) use terms::{quota, user_of_work};
pub use uses::{LicenceRows, LicenceUse};
pub(crate) use uses::{LicenceUses, Stand};
pub use view::LicenceView;
pub(crate) use view::view;

/// Licences of one template for one user, or for anyone, that a tenant can have.
pub const MAX_LICENCES: usize = 1_000;
/// Documents that a licence can require, and that can be submitted for it.
pub const MAX_DOCUMENTS: usize = 64;

/// The requirement of who has no licence.
pub(crate) const LICENSE: &str = "license";
/// The requirement of a licence that is not valid yet.
pub(crate) const VALID_FROM: &str = "valid_from";
