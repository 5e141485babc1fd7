//! Commands as JSON: one object, `command` naming the kind, the fields of the context and of the command beside it.

use std::collections::HashSet;
use std::fmt;

use serde::de::{self, Deserialize, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::import::legacy_balance;
use super::{Body, Command, Context, Metadata, Request};
use crate::amount::Amount;
use crate::denial::{Denial, DenialKind, shown};
use crate::ledger::OperationKind;
use crate::owner::Owner;

/// The fields that every command has.
pub(super) const CONTEXT_FIELDS: [&str; 8] =
    ["tenant_id", "idempotency_key", "actor", "request_id", "expected_version", "deadline", "remember_denials", "verified"];

/// The fields that hold amounts: their mistakes are `amount_invalid`.
const AMOUNT_FIELDS: [&str; 4] = ["amount", "actual_cost", "rollover_cap", "credit_limit"];

/// The fields of `low_balance`, which hold amounts too.
pub(super) const AMOUNTS_WITHIN: [(&str, &str, &str); 3] = [
    ("limit", "amount", "limit.amount"),
    ("low_balance", "below", "low_balance.below"),
    ("low_balance", "recovered_from", "low_balance.recovered_from"),
];

/// The fields that name an owner: their mistakes are those of [`Owner`].
const OWNER_FIELDS: [&str; 3] = ["owner", "payer", "spender"];

/// The largest command, in bytes of JSON: its text, twice escaped, and room for the rest.
const MAX_JSON_BYTES: usize = 512 * 1024;

impl Request<Body> {
    /// Reads a command from JSON. Unknown fields are refused, and fields that stand twice.
    ///
    /// # Errors
    /// `payload_invalid` that names the path of the mistake; `amount_invalid` for a number that is no amount; `owner_invalid`
    /// for text that is no owner; `payload_too_large` above 512 KiB.
    ///
    /// # Examples
    /// ```
    /// use drawdown::Command;
    /// let json = r#"{"command": "charge", "tenant_id": "acme", "payer": "user:u1", "amount": 2.5}"#;
    /// assert!(Command::from_json(json).is_ok());
    /// let refused = Command::from_json(&json.replace("2.5", "1e400")).unwrap_err();
    /// assert_eq!((refused.name(), &refused.details()["field"]), ("amount_invalid", &"amount".into()));
    /// ```
    pub fn from_json(json: &str) -> Result<Command, Denial> {
        if json.len() > MAX_JSON_BYTES {
            return Err(Denial::new(DenialKind::PayloadTooLarge, "the command is too large")
                .with("given", json.len())
                .with("allowed", MAX_JSON_BYTES));
        }
        let unreadable = |error: serde_json::Error| {
            Denial::new(DenialKind::PayloadInvalid, format!("the command cannot be read: {error}"))
                .with("field", "command")
                .with("allowed", "one JSON object, each field once")
        };
        only_once(json).map_err(unreadable)?;
        Command::from_fields(serde_json::from_str(json).map_err(unreadable)?)
    }

    /// Reads a command from the fields of a JSON object.
    ///
    /// # Errors
    /// `payload_invalid` that names the path of the mistake; `amount_invalid` for a number that is no amount; `owner_invalid`
    /// for text that is no owner.
    pub fn from_fields(mut fields: Map<String, Value>) -> Result<Command, Denial> {
        let kind = match fields.remove("command") {
            Some(Value::String(kind)) => kind,
            other => return Err(Body::no_kind(other.unwrap_or_default())),
        };
        let mut context = Map::new();
        for name in CONTEXT_FIELDS {
            context.extend(fields.remove_entry(name));
        }
        let context: Context = read(Value::Object(context))?;
        read_amounts(&mut fields)?;
        if let Some(balance) = fields.get_mut("balance").filter(|_| kind == "import") {
            *balance = Value::String(legacy_balance(balance)?.to_string());
        }
        check_owners(&fields)?;
        let known = OperationKind::from_name(&kind).and_then(|known| Body::read(known, Whole(Value::Object(fields))));
        Ok(Request { context, body: known.ok_or_else(|| Body::no_kind(&kind))?? })
    }

    /// The denial of a value that no field takes and JSON has no form for, where a host's language has it: a binary float, say.
    /// `field` is the path of the field; `given` says the value.
    ///
    /// # Examples
    /// ```
    /// use drawdown::Command;
    /// let refused = Command::refuse_value("limit.amount", "0.1");
    /// assert_eq!((refused.name(), &refused.details()["field"]), ("amount_invalid", &"limit.amount".into()));
    /// assert_eq!(Command::refuse_value("priority", "0.1").name(), "payload_invalid");
    /// ```
    #[must_use]
    pub fn refuse_value(field: &str, given: &str) -> Denial {
        let is_amount = AMOUNT_FIELDS.contains(&field)
            || AMOUNTS_WITHIN.iter().any(|(_, _, path)| *path == field)
            || field.split('.').next() == Some("balance");
        let (kind, allowed) = if is_amount {
            (DenialKind::AmountInvalid, "a decimal number with at most 6 decimal places")
        } else {
            (DenialKind::PayloadInvalid, allowed(field))
        };
        let given = shown(given);
        Denial::new(kind, format!("`{field}` cannot be `{given}`: it takes {allowed}"))
            .at(field)
            .with("given", given)
            .with("allowed", allowed)
    }

    /// Writes the command as the fields of a JSON object: what [`Command::from_fields`] reads.
    #[must_use]
    pub fn to_fields(&self) -> Map<String, Value> {
        let mut fields = Metadata::new();
        fields.insert("command".to_owned(), self.body.kind().as_str().into());
        for part in [serde_json::to_value(&self.context), self.body.write()] {
            if let Ok(Value::Object(part)) = part {
                fields.extend(part.into_iter().filter(|(_, value)| !value.is_null()));
            }
        }
        fields
    }
}

/// Where the fields of a command's body stand.
pub(super) trait BodyOf {
    type Error;

    fn read<T: DeserializeOwned>(self) -> Result<T, Self::Error>;
}

/// All the fields of a JSON object.
struct Whole(Value);

impl BodyOf for Whole {
    type Error = Denial;

    fn read<T: DeserializeOwned>(self) -> Result<T, Denial> {
        read(self.0)
    }
}

/// Reads the amounts before the rest, so that their mistakes get their own name, and from the digits as they were written:
/// a number on its way through a `Value` can become a binary float.
fn read_amounts(fields: &mut Map<String, Value>) -> Result<(), Denial> {
    for name in AMOUNT_FIELDS {
        read_amount(fields.get_mut(name), name)?;
    }
    for (name, part, path) in AMOUNTS_WITHIN {
        read_amount(fields.get_mut(name).and_then(|outer| outer.get_mut(part)), path)?;
    }
    Ok(())
}

fn read_amount(value: Option<&mut Value>, name: &str) -> Result<(), Denial> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(()) };
    let read = match &*value {
        Value::String(digits) => digits.parse(),
        Value::Number(number) => number.as_str().parse(),
        other => other.to_string().parse(),
    };
    let amount: Amount = read.map_err(|denial: Denial| denial.at(name))?;
    *value = Value::String(amount.to_string());
    Ok(())
}

/// Reads the owners before the rest, so that their mistakes have the names that the typed command gives them.
fn check_owners(fields: &Map<String, Value>) -> Result<(), Denial> {
    for name in OWNER_FIELDS {
        if let Some(Value::String(text)) = fields.get(name) {
            text.parse::<Owner>().map_err(|denial| denial.at(name))?;
        }
    }
    Ok(())
}

/// Reads what stands in the fields of a JSON object, as those of a command are read.
///
/// # Errors
/// As [`Command::from_fields`].
pub(crate) fn read_fields<T: DeserializeOwned>(mut fields: Map<String, Value>) -> Result<T, Denial> {
    read_amounts(&mut fields)?;
    check_owners(&fields)?;
    read(Value::Object(fields))
}

/// Reads a value, naming the path of the first mistake. To keep the path costs as much as to read: that is done where there is one.
pub(super) fn read<T: DeserializeOwned>(value: Value) -> Result<T, Denial> {
    if let Ok(read) = T::deserialize(&value) {
        return Ok(read);
    }
    serde_path_to_error::deserialize(&value).map_err(|error| {
        let path = error.path().to_string();
        let message = error.inner().to_string();
        if let Some(field) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
            return unreadable(field, Value::Null, format!("`{field}` is missing")).with("allowed", allowed(field));
        }
        let field = if path == "." { message.split('`').nth(1).unwrap_or("command").to_owned() } else { path };
        let given = value.pointer(&format!("/{}", field.replace(['.', '['], "/").replace(']', ""))).cloned().unwrap_or_default();
        // A mistake that an id or an owner found is a sentence already.
        match message.split_once(": it takes ") {
            Some((_, takes)) => unreadable(&field, given, message.clone()).with("allowed", takes),
            None => unreadable(&field, given, format!("`{field}` cannot be read: {message}")).with("allowed", allowed(&field)),
        }
    })
}

fn unreadable(field: &str, given: Value, message: String) -> Denial {
    let given = if given.is_null() { given } else { Value::String(shown(&given.to_string())) };
    Denial::new(DenialKind::PayloadInvalid, message).with("field", field).with("given", given)
}

/// What a field takes whose type alone does not say.
fn allowed(field: &str) -> &'static str {
    // An item of a list takes what the list's items take.
    match field.split('[').next().unwrap_or(field) {
        "expire_in" => "1 to 604800 seconds",
        "priority" => "a whole number from -2147483648 to 2147483647",
        "progress" => "a whole number from 0 to 100",
        "expected_version" | "after_seq" => "a whole number, 0 or more",
        "final" | "remember_denials" | "verified" => "true or false",
        "metadata" => "an object",
        "target" => "`\"tenant\"`, `{\"user\": ...}` or `{\"account\": {\"owner\": ..., \"unit\": ...}}`",
        "role" => "one of owner, admin, member",
        "limit.per" => "one of day, month",
        "low_balance" => "the amounts `below` and `recovered_from`",
        "every" => "one of `days`, `weeks`, `months` and `years`, with a whole number from 1 to 1000",
        "channels" => "a list of viewer, creator, external",
        "required_documents" | "documents" => "a list of at most 64 names of 1 to 255 bytes without control characters",
        "total_quota" | "daily_quota" => "a whole number from 0 to 9223372036854775807, or -1 for no limit",
        "effective_at" | "expires_at" | "starts_at" | "ends_at" | "deadline" | "valid_from" | "valid_until" | "next_eta" => {
            "an ISO 8601 instant with an offset and at most 6 digits after the second"
        }
        _ if AMOUNT_FIELDS.contains(&field) => "a decimal number with at most 6 decimal places",
        _ if OWNER_FIELDS.contains(&field) => "`pool`, `user:<id>` or `organization:<id>`",
        _ => "a value of the field's type; unknown fields are refused",
    }
}

/// Refuses JSON in which an object has a field twice.
pub(crate) fn only_once(json: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<EachFieldOnce>(json).map(drop)
}

/// JSON in which no object has a field twice. Which of two values counts would be an accident.
struct EachFieldOnce;

impl<'de> Deserialize<'de> for EachFieldOnce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<EachFieldOnce, D::Error> {
        deserializer.deserialize_any(EachFieldOnce)
    }
}

impl<'de> Visitor<'de> for EachFieldOnce {
    type Value = EachFieldOnce;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<EachFieldOnce, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<EachFieldOnce, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<EachFieldOnce, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<EachFieldOnce, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<EachFieldOnce, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<EachFieldOnce, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<EachFieldOnce, A::Error> {
        while items.next_element::<EachFieldOnce>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<EachFieldOnce, A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            fields.next_value::<EachFieldOnce>()?;
            if let Some(twice) = seen.replace(name) {
                return Err(de::Error::custom(format_args!("the field `{}` stands twice", shown(&twice))));
            }
        }
        Ok(self)
    }
}
