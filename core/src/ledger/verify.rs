//! x
/// s
pub struct Fault;
/// s
pub struct FaultKind;
/// s
pub struct VerifyReport;
