//! Terms with the text that the hashed terms of an entry leave out, for recordings.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// Reason and metadata.
pub(super) type TermsText = (Option<Arc<str>>, Option<Arc<Map<String, Value>>>);

/// Terms whose reason and metadata are hashed apart.
pub(super) trait TermsWithText {
    fn text(&self) -> TermsText;

    fn with_text(self, text: TermsText) -> Self;
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole<T> {
    hashed: T,
    reason: Option<Arc<str>>,
    metadata: Option<Arc<Map<String, Value>>>,
}

pub(super) fn serialize<T: TermsWithText + Serialize, S: Serializer>(terms: &Arc<T>, serializer: S) -> Result<S::Ok, S::Error> {
    let (reason, metadata) = terms.text();
    Whole { hashed: &**terms, reason, metadata }.serialize(serializer)
}

pub(super) fn deserialize<'de, T: TermsWithText + Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Arc<T>, D::Error> {
    let Whole { hashed, reason, metadata } = Whole::<T>::deserialize(deserializer)?;
    Ok(Arc::new(hashed.with_text((reason, metadata))))
}
