//! Commands and calls read straight from a host's own values, without a tree of JSON between.

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess};
use serde_json::Value;

use super::json::{AMOUNTS_WITHIN, BodyOf, CONTEXT_FIELDS};
use super::{Body, Command, Request};
use crate::ledger::OperationKind;

/// A value as a host's language has it.
pub trait Given: for<'de> Deserializer<'de, Error = Self::Unread> + Copy {
    /// Why it cannot be read.
    type Unread: de::Error;

    /// The whole value as JSON.
    ///
    /// # Errors
    /// The host's, for a value that JSON has no form for.
    fn to_json(self) -> Result<Value, Self::Unread>;
}

impl Command {
    /// Reads a command from a host's own values. None where something is wrong with one, or only [`Command::from_fields`] reads it:
    /// that is given the same fields then, and says what is wrong. What is read here, it reads as well, and the same.
    #[must_use]
    pub fn from_given<G: Given>(kind: &str, fields: &[(&str, G)]) -> Option<Command> {
        // Amounts within other fields are read before the rest there.
        let is_nested = |name| name == "balance" || AMOUNTS_WITHIN.iter().any(|(outer, ..)| *outer == name);
        if fields.iter().any(|(name, _)| is_nested(*name)) {
            return None;
        }
        let is_context = |name: &str| CONTEXT_FIELDS.contains(&name);
        let context = read_given(fields, is_context)?;
        let body = Body::read(OperationKind::from_name(kind)?, Beside(fields, |name: &str| !is_context(name)))?.ok()?;
        Some(Request { context, body })
    }
}

/// Reads what stands in those fields whose names are chosen; none where something is wrong with it.
pub(crate) fn read_given<T: DeserializeOwned, G: Given>(fields: &[(&str, G)], is_chosen: impl Fn(&str) -> bool) -> Option<T> {
    Beside(fields, is_chosen).read().ok()
}

/// The fields whose names are chosen.
struct Beside<'f, G, F>(&'f [(&'f str, G)], F);

impl<G: Given, F: Fn(&str) -> bool> BodyOf for Beside<'_, G, F> {
    type Error = G::Unread;

    fn read<T: DeserializeOwned>(self) -> Result<T, G::Unread> {
        T::deserialize(MapAccessDeserializer::new(Chosen { fields: self.0.iter(), is_chosen: self.1, value: None }))
    }
}

struct Chosen<'f, G, F> {
    fields: std::slice::Iter<'f, (&'f str, G)>,
    is_chosen: F,
    value: Option<G>,
}

impl<'de, G: Given, F: Fn(&str) -> bool> MapAccess<'de> for Chosen<'_, G, F> {
    type Error = G::Unread;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, G::Unread> {
        let is_chosen = &self.is_chosen;
        let Some((name, value)) = self.fields.find(|(name, _)| is_chosen(name)) else { return Ok(None) };
        self.value = Some(*value);
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, G::Unread> {
        match self.value.take() {
            Some(value) => seed.deserialize(value),
            None => Err(de::Error::custom("a value has no name")),
        }
    }
}
