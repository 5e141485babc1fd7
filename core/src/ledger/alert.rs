//! What compliance is told about an operation.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::credit::named_enum;

named_enum! {
    /// What gave the alarm.
    AlertRule {
        /// A command was accepted although it is larger than what is usual.
        Anomaly = "anomaly",
        /// Something was refused for the first time in its minute.
        Refusal = "refusal",
    }
}

/// What compliance is told about an operation: the event `compliance.alert`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// What gave the alarm.
    pub rule: AlertRule,
    /// What it is about: names and numbers that a person needs to judge it.
    pub details: Map<String, Value>,
}
