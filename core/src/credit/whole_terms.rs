//! Terms with the text that the hashed terms of an entry leave out, for recordings.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// Terms part of which is text, hashed apart.
pub(super) trait TermsWithText {
    /// What is hashed apart.
    type Text: Serialize + DeserializeOwned;

    fn text(&self) -> Self::Text;

    fn with_text(self, text: Self::Text) -> Self;
}

/// What the host said when credit was granted, or a rule made.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NotedText {
    pub(super) reason: Option<Arc<str>>,
    pub(super) metadata: Option<Arc<Map<String, Value>>>,
}

#[derive(Serialize)]
struct WholeRef<'a, T, X> {
    hashed: &'a T,
    text: X,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole<T, X> {
    hashed: T,
    text: X,
}

pub(super) fn serialize<T: TermsWithText + Serialize, S: Serializer>(terms: &Arc<T>, serializer: S) -> Result<S::Ok, S::Error> {
    WholeRef { hashed: &**terms, text: terms.text() }.serialize(serializer)
}

pub(super) fn deserialize<'de, T: TermsWithText + Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Arc<T>, D::Error> {
    let Whole { hashed, text } = Whole::<T, T::Text>::deserialize(deserializer)?;
    Ok(Arc::new(hashed.with_text(text)))
}
