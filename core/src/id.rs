//! Typed identifiers: UUIDv7 made by the engine, and text given by the host.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use siphasher::sip::SipHasher13;
use uuid::Uuid;

use crate::denial::Denial;
use crate::owner::{Owner, Subject};
use crate::time::Timestamp;

/// The identity of one accepted command. Every id that the command makes derives from it.
///
/// A UUIDv7: 48 bits of milliseconds, 12 bits (`rand_a`) of a hash of tenant and owner, 46 random bits, and 16 bits that
/// count what the operation makes (0 for the operation itself). So an id leads back to its operation without an index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(Uuid);

impl OpId {
    /// The id for a command of `tenant` and `owner` that begins at `now`, with `random` bits from the host.
    #[must_use]
    pub fn new(now: Timestamp, tenant: &TenantId, owner: Option<&Owner>, random: u64) -> OpId {
        OpId::with_shard(now, u64::from(shard_bits(tenant, owner)), random)
    }

    /// The id for a command about something that has this id: it has the same tenant and owner, so the same 12 bits.
    #[must_use]
    pub fn beside(now: Timestamp, id: Uuid, random: u64) -> OpId {
        OpId::with_shard(now, id.as_u64_pair().0 & 0x0fff, random)
    }

    fn with_shard(now: Timestamp, shard: u64, random: u64) -> OpId {
        let high = (millis(now) << 16) | 0x7000 | shard;
        OpId(Uuid::from_u64_pair(high, random_half(random)))
    }

    /// The id that the same command would have with other random bits.
    #[must_use]
    pub(crate) const fn with_random(self, random: u64) -> OpId {
        let (high, _) = self.0.as_u64_pair();
        OpId(Uuid::from_u64_pair(high, random_half(random)))
    }

    /// The id of the `ordinal`-th thing that this operation makes.
    #[must_use]
    pub fn derive(self, ordinal: u16) -> Uuid {
        let (high, low) = self.0.as_u64_pair();
        Uuid::from_u64_pair(high, low & !0xffff | u64::from(ordinal))
    }

    /// The operation that made `id`, and which of its things it is.
    #[must_use]
    pub fn of_derived(id: Uuid) -> (OpId, u16) {
        let (high, low) = id.as_u64_pair();
        let ordinal = (low & 0xffff) as u16;
        (OpId(Uuid::from_u64_pair(high, low & !0xffff)), ordinal)
    }

    /// The bare UUID.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.0
    }

    /// The operation id with this UUID, as a store keeps it.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> OpId {
        OpId(uuid)
    }
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        with_prefix("op_", self.0, |text| f.write_str(text))
    }
}

impl FromStr for OpId {
    type Err = Denial;

    fn from_str(text: &str) -> Result<OpId, Denial> {
        let uuid = text.strip_prefix("op_").and_then(|uuid| Uuid::try_parse(uuid).ok());
        let id = uuid.map(OpId).filter(|id| id.to_string() == text);
        id.ok_or_else(|| Denial::invalid("op_id", text, "`op_` and a UUID in lower case"))
    }
}

impl Serialize for OpId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        with_prefix("op_", self.0, |text| serializer.serialize_str(text))
    }
}

impl<'de> Deserialize<'de> for OpId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OpId, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(|denial: Denial| de::Error::custom(denial.message()))
    }
}

impl fmt::Debug for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Hands on an id as text, behind a prefix of at most 12 bytes. Answers are full of ids, so they are written at one stroke.
fn with_prefix<T>(prefix: &str, uuid: Uuid, then: impl FnOnce(&str) -> T) -> T {
    let mut text = [0; 48];
    let (start, rest) = text.split_at_mut(prefix.len());
    start.copy_from_slice(prefix.as_bytes());
    let length = prefix.len() + uuid.hyphenated().encode_lower(rest).len();
    then(text.get(..length).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default())
}

fn millis(at: Timestamp) -> u64 {
    u64::try_from(at.micros().max(0) / 1_000).unwrap_or(0)
}

/// The lower half of an id: the variant, 46 random bits, and no ordinal.
const fn random_half(random: u64) -> u64 {
    (random << 16) & 0x3fff_ffff_ffff_0000 | 0x8000_0000_0000_0000
}

/// The 12 bits that let one tenant's owners be spread later: SipHash-1-3 without a key over the tenant and, of an owner, a 0, its kind
/// and its id.
fn shard_bits(tenant: &TenantId, owner: Option<&Owner>) -> u16 {
    let mut hasher = SipHasher13::new();
    hasher.write(tenant.as_str().as_bytes());
    if let Some(owner) = owner {
        hasher.write(&[0, owner.kind_code()]);
        hasher.write(owner.id().unwrap_or_default().as_bytes());
    }
    let [first, second, ..] = hasher.finish().to_be_bytes();
    u16::from_be_bytes([first, second]) & 0x0fff
}

macro_rules! derived_ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        const _: () = assert!(concat!($prefix, "_").len() <= 12, "an id has a short prefix");

        impl $name {
            /// The id of the `ordinal`-th thing made by `operation`.
            #[must_use]
            pub fn derive(operation: OpId, ordinal: u16) -> $name {
                $name(operation.derive(ordinal))
            }

            /// The operation that made this, and its ordinal there.
            #[must_use]
            pub fn operation(self) -> (OpId, u16) {
                OpId::of_derived(self.0)
            }

            /// The bare UUID.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// The id with this UUID, as a store keeps it.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> $name {
                $name(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                with_prefix(concat!($prefix, "_"), self.0, |text| f.write_str(text))
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
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(|uuid| Uuid::try_parse(uuid).ok())
                    .map($name)
                    .filter(|id| id.to_string() == text)
                    .ok_or_else(|| Denial::invalid(concat!($prefix, "_id"), text, concat!("`", $prefix, "_` and a UUID in lower case")))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                with_prefix(concat!($prefix, "_"), self.0, |text| serializer.serialize_str(text))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
                text.parse().map_err(|denial: Denial| de::Error::custom(denial.message()))
            }
        }
    )+};
}

derived_ids! {
    /// Names a grant: `grt_` and a UUIDv7.
    GrantId = "grt",
    /// Names a hold: `hold_` and a UUIDv7.
    HoldId = "hold",
    /// Names an entry of the ledger: `led_` and a UUIDv7.
    LedgerId = "led",
    /// Names an audit record: `aud_` and a UUIDv7. Of a money operation it is the operation's own.
    AuditId = "aud",
    /// Names a refund: `ref_` and a UUIDv7.
    RefundId = "ref",
    /// Names a rule that makes recurring grants: `rule_` and a UUIDv7.
    RuleId = "rule",
    /// Names an event: `evt_` and a UUIDv7. It leads to the operation that it is of.
    EventId = "evt",
}

impl GrantId {
    /// The id of what a rule makes at its `k`-th boundary: the instance, or what is carried over to it. Anybody who knows the rule
    /// can work it out. It leads to no operation by itself.
    ///
    /// A UUIDv7: the milliseconds of the boundary, the 12 bits of tenant and owner that the rule has, a bit (1 the instance, 0 what
    /// is carried over, which so is drawn first where nothing else differs), and 61 bits of BLAKE3 over the rule's UUID, `k` (4
    /// bytes, big-endian) and a byte (0 the instance, 1 what is carried over).
    #[must_use]
    pub fn of_rule(rule: RuleId, k: u32, boundary: Timestamp, rollover: bool) -> GrantId {
        let mut hasher = blake3::Hasher::new();
        hasher.update(rule.0.as_bytes()).update(&k.to_be_bytes()).update(&[u8::from(rollover)]);
        let low = hasher.finalize().as_bytes().first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let (millis, shard) = (millis(boundary), rule.0.as_u64_pair().0 & 0x0fff);
        GrantId(Uuid::from_u64_pair(
            (millis << 16) | 0x7000 | shard,
            low >> 3 | if rollover { 0x8000_0000_0000_0000 } else { 0xa000_0000_0000_0000 },
        ))
    }
}

impl AuditId {
    /// The id of all refusals of one minute that have this tenant, subject, template and reason.
    ///
    /// A UUIDv7: the milliseconds of the minute's beginning, and 74 bits of BLAKE3 over tenant, subject, template and reason, each
    /// with its length in 4 bytes (big-endian), empty where there is none. It leads to no operation by itself.
    #[must_use]
    pub fn of_refusal(
        tenant_id: &TenantId,
        subject: Option<&Subject>,
        template_id: Option<&TemplateId>,
        reason: &str,
        now: Timestamp,
    ) -> AuditId {
        let subject = subject.map(Subject::to_string).unwrap_or_default();
        let mut hasher = blake3::Hasher::new();
        for text in [tenant_id.as_str(), &subject, template_id.map_or("", TemplateId::as_str), reason] {
            hasher.update(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes()).update(text.as_bytes());
        }
        let bytes = hasher.finalize();
        let [first, second, rest @ ..] = bytes.as_bytes();
        let low = rest.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let minute = millis(now) / 60_000 * 60_000;
        let shard = u64::from(u16::from_be_bytes([*first, *second]) & 0x0fff);
        AuditId(Uuid::from_u64_pair((minute << 16) | 0x7000 | shard, low >> 2 | 0x8000_0000_0000_0000))
    }
}

impl GrantId {
    /// Stands in a draw for what is drawn on the credit limit; no grant has it.
    pub const DEBT: GrantId = GrantId(Uuid::nil());
}

/// The longest text id, in bytes.
pub const MAX_TEXT_ID_BYTES: usize = 255;

fn check_text_id(field: &'static str, text: &str) -> Result<(), Denial> {
    const ALLOWED: &str = "1 to 255 bytes of UTF-8 without control characters";
    if text.is_empty() || text.len() > MAX_TEXT_ID_BYTES || text.chars().any(char::is_control) {
        return Err(Denial::invalid(field, text, ALLOWED));
    }
    Ok(())
}

/// Reads a value from text that is not kept.
pub(crate) struct TextVisitor<F>(pub(crate) F);

impl<T, F: FnOnce(&str) -> Result<T, String>> de::Visitor<'_> for TextVisitor<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

macro_rules! text_ids {
    ($($(#[$doc:meta])* $name:ident = $field:literal),+ $(,)?) => {$(
        $(#[$doc])*
        ///
        /// 1 to 255 bytes of UTF-8 without control characters; compared as bytes.
        ///
        /// # Errors
        /// `payload_invalid`, naming the field, for any other text.
        #[derive(Clone, Eq, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl PartialEq for $name {
            fn eq(&self, other: &$name) -> bool {
                // Mostly it is the same text, shared: then its bytes are not looked at.
                Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
            }
        }

        impl Hash for $name {
            fn hash<H: Hasher>(&self, hasher: &mut H) {
                self.0.hash(hasher);
            }
        }

        impl $name {
            /// Checks and takes the text.
            ///
            /// # Errors
            /// `payload_invalid` for text that is empty, longer than 255 bytes, or has a control character.
            pub fn new(text: impl AsRef<str>) -> Result<$name, Denial> {
                let text = text.as_ref();
                check_text_id($field, text)?;
                Ok($name(Arc::from(text)))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl From<&$name> for Arc<str> {
            /// The text, shared.
            fn from(id: &$name) -> Arc<str> {
                Arc::clone(&id.0)
            }
        }

        impl FromStr for $name {
            type Err = Denial;

            fn from_str(text: &str) -> Result<$name, Denial> {
                $name::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                deserializer.deserialize_str(TextVisitor(|text: &str| $name::new(text).map_err(|denial| denial.message().to_owned())))
            }
        }
    )+};
}

text_ids! {
    /// Names a tenant: the border that nothing crosses.
    TenantId = "tenant_id",
    /// Names a user of a tenant.
    UserId = "user_id",
    /// Names an organization of a tenant.
    OrganizationId = "organization_id",
    /// Names a task: the work that a hold or a charge pays for.
    TaskId = "task_id",
    /// Names a template.
    TemplateId = "template_id",
    /// Names an app.
    AppId = "app_id",
    /// Names one intent of a caller, unique in the tenant for ever.
    IdempotencyKey = "idempotency_key",
    /// Names the unit of a balance (`credit`, `UC`, `CNY`).
    Unit = "unit",
    /// Names the caller on whose behalf a command comes.
    Actor = "actor",
    /// Names a request, for tracing.
    RequestId = "request_id",
    /// Names the person who answers for a manual operation.
    Operator = "operator",
    /// A label of compliance that passes through every answer unchanged.
    PolicyTag = "policy_tag",
    /// Names the version of the price list that an amount was worked out from.
    PriceBasis = "price_basis",
    /// Names a scene of the platform.
    Scene = "scene",
    /// Names a model of the catalogue.
    ModelId = "model",
    /// Names what of an app is counted and priced (`request`, `minute`).
    UsageUnit = "usage_unit",
    /// Names an extra of a price book.
    ExtraName = "extras",
    /// Names a licence of a tenant.
    LicenceId = "licence_id",
    /// Names a session of a user; for the audit.
    SessionId = "session_id",
    /// Names a document that a licence requires.
    DocumentId = "document",
    /// Names somebody who reads events and whose place is kept.
    ConsumerName = "consumer",
    /// What is being done for a task, in the host's words (`rendering`).
    Stage = "stage",
}
