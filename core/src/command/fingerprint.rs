//! What a command says, in 16 bytes, and which field of two commands differs first.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::amount::Amount;
use crate::ledger::{OperationKind, bytes_of};
use crate::owner::Owner;
use crate::time::Timestamp;

/// The version of the encoding. Fingerprints of another version are never compared field by field.
const ENCODING_VERSION: u8 = 1;

/// Declares the fields in the order of their tags.
macro_rules! fields {
    ($($field:ident = $name:literal),+ $(,)?) => {
        /// Every field that decides a command; its number is the tag that the encoding gives it. Tags never change, and new ones
        /// are added at the end. The order is the order in which differences are named.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Field {
            $($field),+
        }

        /// Their names on the wire.
        const FIELDS: &[&str] = &[$($name),+];
    };
}

fields! {
    Command = "command",
    Owner = "owner",
    Payer = "payer",
    Unit = "unit",
    UserId = "user_id",
    Amount = "amount",
    Type = "type",
    EffectiveAt = "effective_at",
    ExpiresAt = "expires_at",
    ExpireIn = "expire_in",
    AppId = "app_id",
    TemplateId = "template_id",
    Priority = "priority",
    PolicyTag = "policy_tag",
    Reason = "reason",
    Operator = "operator",
    GrantId = "grant_id",
    HoldId = "hold_id",
    TaskId = "task_id",
    LedgerId = "ledger_id",
    Scene = "scene",
    PriceBasis = "price_basis",
    OverCapture = "over_capture",
    LateCommit = "late_commit",
    ActualCost = "actual_cost",
    Final = "final",
    ScopeAppId = "scope_app_id",
    ScopeTemplateId = "scope_template_id",
    Every = "every",
    StartsAt = "starts_at",
    EndsAt = "ends_at",
    Zone = "zone",
    RolloverCap = "rollover_cap",
    RuleId = "rule_id",
    ExpectedVersion = "expected_version",
    RememberDenials = "remember_denials",
    AfterSeq = "after_seq",
    Target = "target",
    OrganizationId = "organization_id",
    Role = "role",
    Limit = "limit",
    LimitUnit = "limit_unit",
    LimitPer = "limit_per",
    CreditLimit = "credit_limit",
    Below = "low_balance.below",
    RecoveredFrom = "low_balance.recovered_from",
    Balance = "balance",
    LicenceId = "licence_id",
    Channels = "channels",
    ValidFrom = "valid_from",
    ValidUntil = "valid_until",
    TotalQuota = "total_quota",
    DailyQuota = "daily_quota",
    RequiredDocuments = "required_documents",
    Documents = "documents",
    Stage = "stage",
    Progress = "progress",
    NextEta = "next_eta",
    AuditId = "audit_id",
}

/// What a command said: the first 16 bytes of BLAKE3 over a tagged encoding of its fields, and 2 bytes for each field,
/// so that a conflict can name the field that differs.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint(Vec<u8>);

/// Bytes of the digest, with which a fingerprint begins.
const DIGEST_BYTES: usize = 16;

impl Fingerprint {
    /// That of an operation which no command asked for.
    pub(crate) fn of_kind(kind: OperationKind) -> Fingerprint {
        Fields::begin(kind).finish()
    }

    /// The 16 bytes that decide whether two commands are the same.
    #[must_use]
    pub fn digest(&self) -> &[u8; DIGEST_BYTES] {
        // A fingerprint is not made without its digest.
        self.0.first_chunk().unwrap_or(&[0; DIGEST_BYTES])
    }

    /// The bytes that a store keeps: the digest, then 3 for each field.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads what a store kept; `None` when the bytes are none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Fingerprint> {
        let (_, fields) = bytes.split_first_chunk::<DIGEST_BYTES>()?;
        (fields.len() % 3 == 0).then(|| Fingerprint(bytes.to_vec()))
    }

    /// The first field in which two commands differ; none if they are the same.
    #[must_use]
    pub fn first_difference(&self, other: &Fingerprint) -> Option<&'static str> {
        if self.digest() == other.digest() {
            return None;
        }
        let differing = (0..FIELDS.len()).find(|tag| self.mark_of(*tag) != other.mark_of(*tag));
        // Two bytes a field can collide where sixteen do not: then the command is all that can be named.
        Some(differing.and_then(|tag| FIELDS.get(tag)).copied().unwrap_or("command"))
    }

    fn mark_of(&self, tag: usize) -> Option<[u8; 2]> {
        let fields = self.0.get(DIGEST_BYTES..).unwrap_or_default();
        fields.as_chunks::<3>().0.iter().find(|[t, ..]| usize::from(*t) == tag).map(|[_, a, b]| [*a, *b])
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fingerprint, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        let fingerprint = bytes_of(&text).and_then(|bytes| Fingerprint::from_bytes(&bytes));
        fingerprint
            .ok_or_else(|| de::Error::custom("a fingerprint cannot be read: it takes 32 hexadecimal digits, and 6 for each field"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digest().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Collects the fields of a command. A field equal to its default is left out by its command.
pub(crate) struct Fields {
    encoding: Vec<u8>,
    /// The fingerprint, whose digest comes last.
    fingerprint: Vec<u8>,
}

impl Fields {
    pub(crate) fn begin(kind: OperationKind) -> Fields {
        let mut fields = Fields { encoding: Vec::with_capacity(192), fingerprint: Vec::with_capacity(DIGEST_BYTES + 24) };
        fields.fingerprint.extend_from_slice(&[0; DIGEST_BYTES]);
        fields.encoding.push(ENCODING_VERSION);
        fields.text(Field::Command, Some(kind.as_str()));
        fields
    }

    /// Adds a field of text.
    pub(crate) fn text(&mut self, field: Field, text: Option<&str>) {
        if let Some(text) = text {
            self.add(field, text.as_bytes());
        }
    }

    /// Adds a field of several texts, if there are any.
    pub(crate) fn words<'a>(&mut self, field: Field, words: impl Iterator<Item = &'a str>) {
        // No text id has a control character.
        let joined = words.collect::<Vec<_>>().join("\n");
        self.text(field, Some(&*joined).filter(|joined| !joined.is_empty()));
    }

    /// Adds an amount.
    pub(crate) fn amount(&mut self, field: Field, amount: Option<Amount>) {
        if let Some(amount) = amount {
            self.add(field, &amount.micros().to_be_bytes());
        }
    }

    /// Adds an instant.
    pub(crate) fn instant(&mut self, field: Field, instant: Option<Timestamp>) {
        if let Some(instant) = instant {
            self.add(field, &instant.micros().to_be_bytes());
        }
    }

    /// Adds a number unless it is its default.
    pub(crate) fn number(&mut self, field: Field, number: i64, default: i64) {
        if number != default {
            self.add(field, &number.to_be_bytes());
        }
    }

    /// Adds the version of an account.
    pub(crate) fn version(&mut self, field: Field, version: Option<u64>) {
        if let Some(version) = version {
            self.add(field, &version.to_be_bytes());
        }
    }

    /// Adds an owner.
    pub(crate) fn owner(&mut self, field: Field, owner: Option<&Owner>) {
        if let Some(owner) = owner {
            self.add_parts(field, [&[owner.kind_code()], owner.id().unwrap_or_default().as_bytes()]);
        }
    }

    fn add(&mut self, field: Field, bytes: &[u8]) {
        self.add_parts(field, [bytes, &[]]);
    }

    /// Adds a field whose bytes are these two parts.
    fn add_parts(&mut self, field: Field, [first, second]: [&[u8]; 2]) {
        let tag = field as u8;
        let length = u32::try_from(first.len().saturating_add(second.len())).unwrap_or(u32::MAX);
        self.encoding.push(tag);
        self.encoding.extend_from_slice(&length.to_be_bytes());
        self.encoding.extend_from_slice(first);
        self.encoding.extend_from_slice(second);
        let [a, b] = mark(first.iter().chain(second));
        self.fingerprint.extend_from_slice(&[tag, a, b]);
    }

    pub(crate) fn finish(mut self) -> Fingerprint {
        let hash = blake3::hash(&self.encoding);
        self.fingerprint.iter_mut().zip(hash.as_bytes()).take(DIGEST_BYTES).for_each(|(to, from)| *to = *from);
        Fingerprint(self.fingerprint)
    }
}

/// Two bytes that tell values of a field apart well enough to name it (FNV-1a, folded).
fn mark<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> [u8; 2] {
    let hash = bytes.into_iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    let [a, b, c, d] = hash.to_be_bytes();
    [a ^ c, b ^ d]
}
