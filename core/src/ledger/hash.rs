//! Hashes: 32 bytes of BLAKE3, written as 64 hexadecimal digits.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::denial::Denial;

macro_rules! hashes {
    ($($(#[$doc:meta])* $name:ident = $field:literal),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
        pub struct $name(pub [u8; 32]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl FromStr for $name {
            type Err = Denial;

            fn from_str(text: &str) -> Result<$name, Denial> {
                let bytes = bytes_of(text).and_then(|bytes| bytes.try_into().ok());
                bytes.map($name).ok_or_else(|| Denial::invalid($field, text, "64 hexadecimal digits in lower case"))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&blake3::Hash::from_bytes(self.0).to_hex())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let text = Cow::<'_, str>::deserialize(deserializer)?;
                text.parse().map_err(|denial: Denial| de::Error::custom(denial.message()))
            }
        }
    )+};
}

hashes! {
    /// A link of the chain: 32 bytes of BLAKE3. The chain of an account begins with zeros.
    ChainHash = "hash",
    /// What a checkpoint says about the heads of all accounts: 32 bytes of BLAKE3.
    CheckpointDigest = "digest",
}

/// The bytes that hexadecimal digits in lower case stand for.
pub(crate) fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

const fn digit(text: u8) -> Option<u8> {
    match text {
        b'0'..=b'9' => Some(text - b'0'),
        b'a'..=b'f' => Some(text - b'a' + 10),
        _ => None,
    }
}
