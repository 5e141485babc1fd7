//! Risk controls: how much, how often and how fast may be spent, by app and spender; and limits on requests.

mod check;
mod controls;
mod counts;
mod gcra;
mod meter;
mod policy;

pub(crate) use check::{Admitted, for_work, needs, refuse_denied, refuse_requests, request_needs};
pub use controls::{RiskControls, Velocity};
pub use counts::{Counted, RiskCount, RiskFacts, RiskKey, RiskRows, RiskUse, Spender, Spent, VelocityUse};
pub(crate) use counts::{RiskUses, Tally, spent};
pub use gcra::Arrival;
pub(crate) use meter::Meter;
pub use policy::{RequestLimits, RiskPolicy};

/// Velocity rules that controls can have.
pub const MAX_VELOCITY_RULES: usize = 8;
/// The longest window of a velocity rule: 30 days.
pub const MAX_WINDOW_SECONDS: u32 = 30 * 24 * 3_600;
