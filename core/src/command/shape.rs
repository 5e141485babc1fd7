//! Checks that look nothing up.

use serde_json::Value;

use super::Metadata;
use crate::amount::Amount;
use crate::credit::MAX_TEXT_BYTES;
use crate::denial::{Denial, DenialKind};
use crate::id::UserId;
use crate::owner::Owner;

/// Amounts that a command gives or takes at once.
pub(super) fn positive(field: &str, amount: Amount) -> Result<(), Denial> {
    if amount.is_positive() { Ok(()) } else { Err(Denial::amount(field, amount, "an amount greater than 0")) }
}

/// Amounts that may be nothing: free work.
pub(super) fn not_negative(field: &str, amount: Amount) -> Result<(), Denial> {
    if amount.is_negative() { Err(Denial::amount(field, amount, "an amount of 0 or more")) } else { Ok(()) }
}

/// Quotas that a store can count.
pub(super) fn quota(field: &str, quota: Option<u64>) -> Result<(), Denial> {
    match quota.filter(|quota| i64::try_from(*quota).is_err()) {
        Some(quota) => Err(Denial::invalid(field, quota, "a whole number from 0 to 9223372036854775807, or -1 for no limit")),
        None => Ok(()),
    }
}

/// An organization's credit is spent by a user.
pub(super) fn spender(payer: Option<&Owner>, user_id: Option<&UserId>) -> Result<(), Denial> {
    match (payer, user_id) {
        (Some(Owner::Organization(_)), None) => Err(crate::credit::nobody_acts()),
        _ => Ok(()),
    }
}

/// A part can be repeated by mistake, so it needs a key.
pub(super) fn key_required(keyed: bool, what: &str) -> Result<(), Denial> {
    if keyed {
        return Ok(());
    }
    Err(Denial::new(
        DenialKind::PayloadInvalid,
        format!("{what} needs an idempotency key: a repetition could not be told from a second one"),
    )
    .with("field", "idempotency_key")
    .with("given", serde_json::Value::Null)
    .with("allowed", "1 to 255 bytes of text"))
}

/// How deep metadata can be nested: well below the 128 levels at which a JSON reader stops, wherever it is kept.
const MAX_METADATA_DEPTH: usize = 64;

/// A name that the JSON reader keeps for itself: what is written under it would not be read back.
const RESERVED_NAMES: [&str; 2] = ["$serde_json::private::Number", "$serde_json::private::RawValue"];

/// Text and metadata of a command together, and no U+0000, which PostgreSQL cannot keep.
pub(super) fn text(reason: Option<&str>, metadata: Option<&Metadata>) -> Result<(), Denial> {
    const NO_NUL: &str = "text without U+0000";
    if reason.is_some_and(|reason| reason.contains('\0')) {
        return Err(Denial::invalid("reason", "U+0000", NO_NUL));
    }
    metadata.map_or(Ok(()), nesting)?;
    let metadata = metadata.map(|map| serde_json::to_string(map).unwrap_or_default()).unwrap_or_default();
    // In JSON text U+0000 can only stand escaped; an escaped backslash before `u0000` is none.
    if has_escaped_nul(&metadata) {
        return Err(Denial::invalid("metadata", "U+0000", NO_NUL));
    }
    let bytes = reason.map_or(0, str::len) + metadata.len();
    if bytes > MAX_TEXT_BYTES {
        return Err(Denial::new(
            DenialKind::PayloadTooLarge,
            format!("the text and metadata have {bytes} bytes, more than {MAX_TEXT_BYTES}"),
        )
        .with("field", "metadata")
        .with("given", bytes)
        .with("allowed", MAX_TEXT_BYTES));
    }
    Ok(())
}

/// Whether metadata can be written and read back. The walk keeps its own stack: the one of the thread could be too short.
fn nesting(metadata: &Metadata) -> Result<(), Denial> {
    free_names(metadata)?;
    let mut to_visit: Vec<(usize, &Value)> = metadata.values().map(|value| (2, value)).collect();
    while let Some((depth, value)) = to_visit.pop() {
        let children: Vec<&Value> = match value {
            Value::Object(map) => {
                free_names(map)?;
                map.values().collect()
            }
            Value::Array(items) => items.iter().collect(),
            _ => continue,
        };
        if depth > MAX_METADATA_DEPTH {
            return Err(Denial::invalid("metadata", format_args!("{depth} levels"), "at most 64 levels"));
        }
        to_visit.extend(children.into_iter().map(|child| (depth + 1, child)));
    }
    Ok(())
}

fn free_names(map: &Metadata) -> Result<(), Denial> {
    match RESERVED_NAMES.iter().find(|name| map.contains_key(**name)) {
        Some(name) => Err(Denial::invalid("metadata", name, "names that JSON readers leave free")),
        None => Ok(()),
    }
}

fn has_escaped_nul(json: &str) -> bool {
    let mut bytes = json.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        if byte == b'\\' {
            if json.get(at..at + 6) == Some("\\u0000") {
                return true;
            }
            bytes.next();
        }
    }
    false
}

/// How long a hold can be asked to last.
pub(super) fn expire_in(seconds: u32) -> Result<(), Denial> {
    if (1..=super::hold::MAX_EXPIRE_IN).contains(&seconds) {
        return Ok(());
    }
    Err(Denial::invalid("expire_in", seconds, "1 to 604800 seconds"))
}

/// How many steps of the calendar a period can have.
pub(super) fn every(every: crate::credit::Every) -> Result<(), Denial> {
    if (1..=super::recur::MAX_STEPS).contains(&every.count()) {
        return Ok(());
    }
    Err(Denial::invalid("every", every, "1 to 1000 days, weeks, months or years"))
}
