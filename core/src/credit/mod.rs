//! Grants and holds, and the rules by which credit is granted, drawn, held, captured, charged and refunded.

pub(crate) mod adjust;
pub(crate) mod block;
mod calendar;
pub(crate) mod charge;
pub(crate) mod draw;
pub(crate) mod erase;
#[macro_use]
mod grant;
pub(crate) mod grants;
mod hold;
pub(crate) mod holds;
pub(crate) mod limits;
mod member;
pub(crate) mod members;
mod order;
mod policy;
pub(crate) mod recur;
pub(crate) mod refund;
mod rule;
mod spending;
mod standing;
mod whole_terms;

pub(crate) use draw::explain;
pub use draw::{ExplainedGrant, Explanation, Unusable, UnusableGrant};
pub use grant::{Grant, GrantState, GrantTerms, GrantType, Scope};
pub(crate) use grant::{named_enum, not_among};
pub use hold::{Hold, HoldState, HoldTerms, LateCommit, OverCapture};
pub use member::{LimitPeriod, Member, MemberLimit, Membership, PeriodUse, Role};
pub(crate) use members::{MemberUses, counted as counted_amount, nobody_acts, present as present_member};
pub use order::{ConsumptionOrder, Criterion};
pub use policy::{ExpiredRefund, Payer, Policies, TenantPolicy};
pub use rule::{Every, Recurrence, Rule, RuleState, RuleTerms, Zone};
pub use spending::Blocked;
pub(crate) use spending::{Work, blocks, subjects as subjects_of_spending};
pub use standing::{Band, Debt, LowBalance, Standing};

/// Open grants that an account can have.
pub const MAX_OPEN_GRANTS: usize = 1_000;
/// Grants that one amount can be drawn from.
pub const MAX_DRAW_GRANTS: usize = 256;
/// Open holds that an account can have.
pub const MAX_OPEN_HOLDS: usize = 10_000;
/// Charges and captures that can be booked under one task.
pub const MAX_TASK_CHARGES: usize = 1_000;
/// Rules that can run in an account.
pub const MAX_RULES: usize = 16;
/// Bytes of text and metadata that a command can carry.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;
