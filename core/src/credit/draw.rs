//! To come.
/// s
pub struct Explanation;
/// s
pub struct ExplainedGrant;
/// s
pub struct Unusable;
/// s
pub struct UnusableGrant;
