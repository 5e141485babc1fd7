//! What a document of prices says, before it is known what it means: JSON and YAML as one tree, whose numbers are still the
//! digits that were written.

mod json;
mod read;
mod yaml;

use serde_json::Value;

use crate::denial::{Denial, DenialKind};

pub(super) use read::{Fields, Path, Reader};

/// The largest document of prices, in bytes.
pub const MAX_PRICES_BYTES: usize = 8 * 1024 * 1024;

/// The most values in a document: fields, items, and what holds them.
pub const MAX_PRICES_VALUES: u32 = 400_000;

/// How deep lists and objects can stand in each other.
const MAX_DEPTH: usize = 32;

/// A value as it was written. An object keeps a field that stands twice twice, so that it can be told.
#[derive(Debug)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Node {
    pub(super) fn from_json(text: &str, most_bytes: usize) -> Result<Node, Denial> {
        check_size(text, most_bytes)?;
        json::read(text)
    }

    pub(super) fn from_value(value: Value) -> Node {
        match value {
            Value::Null => Node::Null,
            Value::Bool(value) => Node::Bool(value),
            Value::Number(digits) => Node::Number(digits.to_string()),
            Value::String(text) => Node::Text(text),
            Value::Array(items) => Node::List(items.into_iter().map(Node::from_value).collect()),
            Value::Object(fields) => {
                Node::Object(fields.into_iter().map(|(name, value)| (name, Node::from_value(value))).collect())
            }
        }
    }

    pub(super) fn from_yaml(text: &str, most_bytes: usize) -> Result<Node, Denial> {
        check_size(text, most_bytes)?;
        yaml::read(text)
    }
}

fn check_size(text: &str, most_bytes: usize) -> Result<(), Denial> {
    if text.len() <= most_bytes { Ok(()) } else { Err(too_large("bytes", text.len(), most_bytes)) }
}

fn too_many_values() -> Denial {
    let allowed = usize::try_from(MAX_PRICES_VALUES).unwrap_or(usize::MAX);
    too_large("values", allowed.saturating_add(1), allowed)
}

fn too_large(what: &str, given: usize, allowed: usize) -> Denial {
    let message = format!("the document is too large: it has {given} {what} or more, {allowed} are allowed");
    Denial::new(DenialKind::PayloadTooLarge, message).with("limit", what).with("given", given).with("allowed", allowed)
}

/// What is no document at all: nothing of it can be told but where reading ended.
fn unreadable(message: String) -> Denial {
    let allowed = "one object, in JSON, or in YAML without anchors, tags and directives";
    Denial::new(DenialKind::ConfigInvalid, message).with("allowed", allowed)
}
