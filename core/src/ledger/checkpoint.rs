//! A checkpoint: one line about the heads of all accounts, to be kept where nobody who can write the books can change it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::chain::Layout;
use super::entry::Entry;
use super::hash::{ChainHash, CheckpointDigest};
use crate::amount::Amount;
use crate::denial::Denial;
use crate::id::LedgerId;
use crate::owner::AccountKey;
use crate::time::Timestamp;

/// The version of the line and of the hashed layout.
const VERSION: u32 = 1;

/// What the line begins with.
const NAME: &str = "drawdown-checkpoint/1";

/// The last entry of an account as of a position of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountHead {
    /// The account.
    pub account: Arc<AccountKey>,
    /// The place of the entry in the account.
    pub seq: u64,
    /// Its name.
    pub ledger_id: LedgerId,
    /// The available balance after it.
    pub balance_after: Amount,
    /// The frozen balance after it.
    pub frozen_after: Amount,
    /// When it was booked.
    pub created_at: Timestamp,
    /// Its link of the chain.
    pub hash: ChainHash,
}

impl AccountHead {
    /// The head of an account whose last entry this is.
    #[must_use]
    pub fn of(entry: &Entry) -> AccountHead {
        AccountHead {
            account: Arc::clone(&entry.account),
            seq: entry.seq,
            ledger_id: entry.ledger_id(),
            balance_after: entry.balance_after,
            frozen_after: entry.frozen_after,
            created_at: entry.created_at,
            hash: entry.hash,
        }
    }
}

/// The heads of all accounts of all tenants as of a position of the feed, in one digest.
///
/// Whoever keeps it where the books cannot reach (signed, printed, at another house) can tell later whether any entry that it
/// covers was changed or taken away, even if every hash was recomputed: [`Engine::verify_from`](crate::Engine::verify_from).
/// It is written as JSON, or as one line that is read back.
///
/// # The digest
/// BLAKE3, 32 bytes, over: the version (4 bytes), the position (8), the number of accounts (8), the number of entries (8), and
/// the BLAKE3 of what follows for each account, in the order of [`AccountKey`]: tenant, owner kind (1 byte: 0 pool, 1 user, 2
/// organization), owner id, unit (each text with its length in 4 bytes; no owner id is empty text), the sequence number of its
/// head (8), the hash of its head (32). Numbers are big-endian. An account whose first entry came later is not among them.
/// `taken_at` is for people: it is not in the digest.
///
/// # Examples
/// ```
/// use drawdown::ledger::Checkpoint;
/// let checkpoint = drawdown::Engine::in_memory().checkpoint()?;
/// let line = checkpoint.to_string();
/// assert!(line.starts_with("drawdown-checkpoint/1 position=0 accounts=0 entries=0 taken_at="));
/// assert_eq!(line.parse::<Checkpoint>()?, checkpoint);
/// assert_eq!(line.replace("accounts=0", "accounts=").parse::<Checkpoint>().unwrap_err().name(), "payload_invalid");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The version of its layout: 1.
    #[serde(deserialize_with = "known_version")]
    pub version: u32,
    /// It covers the operations up to this position of the feed; 0 for empty books.
    pub position: u64,
    /// How many accounts it covers.
    pub accounts: u64,
    /// How many entries it covers.
    pub entries: u64,
    /// When it was taken, by the engine's clock.
    pub taken_at: Timestamp,
    /// What all their heads say.
    pub digest: CheckpointDigest,
}

impl Checkpoint {
    /// The checkpoint of these heads, which stand in the order of their accounts.
    #[must_use]
    pub fn of<'a>(position: u64, taken_at: Timestamp, heads: impl IntoIterator<Item = &'a AccountHead>) -> Checkpoint {
        let mut sum = HeadSum::default();
        heads.into_iter().for_each(|head| sum.add(head));
        sum.checkpoint(position, taken_at)
    }

    /// Refuses a layout that is not known.
    pub(crate) fn check(&self) -> Result<(), Denial> {
        if self.version == VERSION { Ok(()) } else { Err(Denial::invalid("version", self.version, "1")) }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Checkpoint { version: _, position, accounts, entries, taken_at, digest } = self;
        write!(f, "{NAME} position={position} accounts={accounts} entries={entries} taken_at={taken_at} digest={digest}")
    }
}

impl FromStr for Checkpoint {
    type Err = Denial;

    /// Reads the line as it was written; blanks around it are left out.
    fn from_str(text: &str) -> Result<Checkpoint, Denial> {
        const ALLOWED: &str = "one line: `drawdown-checkpoint/1 position=… accounts=… entries=… taken_at=… digest=…`";
        let line = text.trim();
        let refused = || Denial::invalid("checkpoint", line, ALLOWED);
        let mut parts = line.split(' ');
        if parts.next() != Some(NAME) {
            return Err(refused());
        }
        let mut field = |name: &str| parts.next()?.strip_prefix(name)?.strip_prefix('=');
        let mut number = |name: &str| field(name)?.parse().ok();
        let (position, accounts, entries) = (number("position"), number("accounts"), number("entries"));
        let (taken_at, digest) = (field("taken_at").map(str::parse), field("digest").map(str::parse));
        let checkpoint = Checkpoint {
            version: VERSION,
            position: position.ok_or_else(refused)?,
            accounts: accounts.ok_or_else(refused)?,
            entries: entries.ok_or_else(refused)?,
            taken_at: taken_at.ok_or_else(refused)??,
            digest: digest.ok_or_else(refused)??,
        };
        // What stands twice, or stands otherwise than it is written, is a slip of whoever copied it.
        if checkpoint.to_string() == line { Ok(checkpoint) } else { Err(refused()) }
    }
}

fn known_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        VERSION => Ok(VERSION),
        other => Err(de::Error::custom(format_args!("version {other} of checkpoints is not known: it takes {VERSION}"))),
    }
}

/// The digest of heads that come one after the other.
#[derive(Default)]
pub(crate) struct HeadSum {
    hasher: blake3::Hasher,
    accounts: u64,
    entries: u64,
}

impl HeadSum {
    /// Adds the head of the next account.
    pub(crate) fn add(&mut self, head: &AccountHead) {
        let mut layout = Layout::default();
        layout.account(&head.account);
        layout.bytes(&head.seq.to_be_bytes());
        layout.bytes(&head.hash.0);
        self.hasher.update(layout.as_bytes());
        self.accounts += 1;
        self.entries = self.entries.saturating_add(head.seq);
    }

    /// The checkpoint of the heads that were added.
    pub(crate) fn checkpoint(&self, position: u64, taken_at: Timestamp) -> Checkpoint {
        let HeadSum { hasher, accounts, entries } = self;
        let mut layout = Layout::default();
        layout.bytes(&VERSION.to_be_bytes());
        for number in [position, *accounts, *entries] {
            layout.bytes(&number.to_be_bytes());
        }
        layout.bytes(hasher.finalize().as_bytes());
        let digest = CheckpointDigest(layout.hash().0);
        Checkpoint { version: VERSION, position, accounts: *accounts, entries: *entries, taken_at, digest }
    }
}
