//! Maps whose keys are no text, as JSON: lists of pairs in the order of the keys, so that equal maps give equal bytes.

use std::hash::Hash;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::map::Map;

pub(crate) fn serialize<K: Serialize + Ord, V: Serialize, S: Serializer>(
    map: &Map<K, V>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut pairs: Vec<(&K, &V)> = map.iter().collect();
    pairs.sort_unstable_by_key(|(key, _)| *key);
    serializer.collect_seq(pairs)
}

pub(crate) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<Map<K, V>, D::Error>
where
    K: Deserialize<'de> + Eq + Hash,
    V: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let pairs: Vec<(K, V)> = Vec::deserialize(deserializer)?;
    let count = pairs.len();
    let map: Map<K, V> = pairs.into_iter().collect();
    if map.len() == count { Ok(map) } else { Err(de::Error::custom("a key stands twice")) }
}
