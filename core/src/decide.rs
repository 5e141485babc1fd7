//! The decision: pure and total. The order of checks is this file.

use crate::changes::Changes;
use crate::command::{Command, Receipt};
use crate::credit::TenantPolicy;
use crate::denial::Denial;
use crate::facts::Facts;
use crate::id::OpId;

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The command takes effect: what it changes, and its answer.
    Accepted(Box<Changes>, Receipt),
    /// The command took effect before: its answer again.
    Replayed(Receipt),
    /// The command is refused.
    Denied(Denial),
}

/// Decides a command from facts.
#[must_use]
pub fn decide(command: &Command, op_id: OpId, policy: &TenantPolicy, facts: &Facts) -> Decision {
    let _ = (command, op_id, policy, facts);
    Decision::Denied(Denial::invalid("command", "?", "not yet"))
}
