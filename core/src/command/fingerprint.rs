//! What a command says, in 16 bytes, and which field of two commands differs first.

use std::fmt;

use crate::amount::Amount;
use crate::ledger::OperationKind;
use crate::owner::Owner;
use crate::time::Timestamp;

/// The version of the encoding. Fingerprints of another version are never compared field by field.
const ENCODING_VERSION: u8 = 1;

/// Every field that decides a command, with the tag that the encoding gives it. Tags never change; new ones are added
/// at the end. The order is the order in which differences are named.
const FIELDS: &[&str] = &[
    "command",
    "owner",
    "payer",
    "unit",
    "user_id",
    "amount",
    "type",
    "effective_at",
    "expires_at",
    "expire_in",
    "app_id",
    "template_id",
    "priority",
    "policy_tag",
    "reason",
    "operator",
    "grant_id",
    "hold_id",
    "task_id",
    "ledger_id",
    "scene",
    "price_basis",
    "over_capture",
    "late_commit",
    "actual_cost",
    "final",
    "scope_app_id",
    "scope_template_id",
    "direction",
];

/// What a command said: the first 16 bytes of BLAKE3 over a tagged encoding of its fields, and 2 bytes for each field,
/// so that a conflict can name the field that differs.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    digest: [u8; 16],
    fields: Vec<u8>,
}

impl Fingerprint {
    /// The 16 bytes that decide whether two commands are the same.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 16] {
        &self.digest
    }

    /// The bytes that a store keeps: the digest, then 3 for each field.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.digest.to_vec();
        bytes.extend_from_slice(&self.fields);
        bytes
    }

    /// Reads what a store kept; `None` when the bytes are none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Fingerprint> {
        let (digest, fields) = bytes.split_first_chunk::<16>()?;
        (fields.len() % 3 == 0).then(|| Fingerprint { digest: *digest, fields: fields.to_vec() })
    }

    /// The first field in which two commands differ; none if they are the same.
    #[must_use]
    pub fn first_difference(&self, other: &Fingerprint) -> Option<&'static str> {
        if self.digest == other.digest {
            return None;
        }
        let differing = (0..FIELDS.len()).find(|tag| self.mark_of(*tag) != other.mark_of(*tag));
        // Two bytes a field can collide where sixteen do not: then the command is all that can be named.
        Some(differing.and_then(|tag| FIELDS.get(tag)).copied().unwrap_or("command"))
    }

    fn mark_of(&self, tag: usize) -> Option<[u8; 2]> {
        self.fields.as_chunks::<3>().0.iter().find(|[t, ..]| usize::from(*t) == tag).map(|[_, a, b]| [*a, *b])
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Collects the fields of a command. A field equal to its default is left out by its command.
pub(crate) struct Fields {
    encoding: Vec<u8>,
    marks: Vec<u8>,
}

impl Fields {
    pub(crate) fn begin(kind: OperationKind) -> Fields {
        let mut fields = Fields { encoding: vec![ENCODING_VERSION], marks: Vec::with_capacity(24) };
        fields.text("command", Some(kind.as_str()));
        fields
    }

    /// Adds a field of text.
    pub(crate) fn text(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.add(name, text.as_bytes());
        }
    }

    /// Adds an amount.
    pub(crate) fn amount(&mut self, name: &'static str, amount: Option<Amount>) {
        if let Some(amount) = amount {
            self.add(name, &amount.micros().to_be_bytes());
        }
    }

    /// Adds an instant.
    pub(crate) fn instant(&mut self, name: &'static str, instant: Option<Timestamp>) {
        if let Some(instant) = instant {
            self.add(name, &instant.micros().to_be_bytes());
        }
    }

    /// Adds a number unless it is its default.
    pub(crate) fn number(&mut self, name: &'static str, number: i64, default: i64) {
        if number != default {
            self.add(name, &number.to_be_bytes());
        }
    }

    /// Adds an owner.
    pub(crate) fn owner(&mut self, name: &'static str, owner: Option<&Owner>) {
        if let Some(owner) = owner {
            let mut bytes = vec![owner.kind_code()];
            bytes.extend_from_slice(owner.id().unwrap_or_default().as_bytes());
            self.add(name, &bytes);
        }
    }

    fn add(&mut self, name: &'static str, bytes: &[u8]) {
        // A name that is not listed would be a mistake of this crate; a test walks every command.
        let tag = FIELDS.iter().position(|field| *field == name).and_then(|tag| u8::try_from(tag).ok()).unwrap_or(u8::MAX);
        debug_assert_ne!(tag, u8::MAX, "`{name}` has no tag");
        self.encoding.push(tag);
        self.encoding.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.encoding.extend_from_slice(bytes);
        let [a, b] = mark(bytes);
        self.marks.extend_from_slice(&[tag, a, b]);
    }

    pub(crate) fn finish(self) -> Fingerprint {
        let hash = blake3::hash(&self.encoding);
        let digest = hash.as_bytes().first_chunk::<16>().copied().unwrap_or_default();
        Fingerprint { digest, fields: self.marks }
    }
}

/// Two bytes that tell values of a field apart well enough to name it (FNV-1a, folded).
fn mark(bytes: &[u8]) -> [u8; 2] {
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    let [a, b, c, d] = hash.to_be_bytes();
    [a ^ c, b ^ d]
}
