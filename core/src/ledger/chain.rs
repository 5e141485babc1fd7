//! The hash chain of an account.

use super::draw::{Draw, LINE_BYTES};
use super::entry::{Entry, EntryText};
use super::hash::ChainHash;
use crate::owner::AccountKey;

/// The version of the hashed layout.
const LAYOUT_VERSION: u8 = 1;

/// The hash of the text part of an entry; zeros where there is no text.
///
/// The layout: for user, operator, reason and metadata in this order, a byte (0 absent, 1 present) and, where present, the
/// length in 4 bytes and the UTF-8 text; metadata as JSON without spaces, its names in byte order.
#[must_use]
pub fn text_hash(text: &EntryText) -> ChainHash {
    if text.is_empty() {
        return ChainHash::default();
    }
    let mut layout = Layout::default();
    layout.optional_text(text.user_id.as_ref().map(|id| id.as_str()));
    layout.optional_text(text.operator.as_ref().map(|id| id.as_str()));
    layout.optional_text(text.reason.as_deref());
    let metadata = text.metadata.as_ref().map(|map| serde_json::to_string(&**map).unwrap_or_default());
    layout.optional_text(metadata.as_deref());
    layout.hash()
}

impl Entry {
    /// The link of this entry after `previous`, with the hash of its text part.
    ///
    /// The layout, numbers big-endian: version (1 byte), account (tenant, owner kind, owner id, unit, each text with its
    /// length in 4 bytes), seq (8), the previous hash (32), operation id (16), ordinal (2), kind (1), change, change of
    /// frozen, balance after, frozen after (8 each), draw (length in 4 bytes, lines of 25), terms (as JSON, optional text),
    /// hold and grant (a byte, then 16), task, template, app (optional text), effective and booked time (8 each), text
    /// hash (32).
    #[must_use]
    pub fn chain_after(&self, previous: &ChainHash, text_hash: &ChainHash) -> ChainHash {
        let mut layout = Layout::default();
        layout.byte(LAYOUT_VERSION);
        layout.account(&self.account);
        layout.bytes(&self.seq.to_be_bytes());
        layout.bytes(&previous.0);
        layout.bytes(self.op_id.uuid().as_bytes());
        layout.bytes(&self.ordinal.to_be_bytes());
        layout.byte(self.kind.code());
        for amount in [self.change, self.frozen_change, self.balance_after, self.frozen_after] {
            layout.bytes(&amount.micros().to_be_bytes());
        }
        layout.draw(&self.draw);
        let terms = self.terms.as_ref().map(|terms| serde_json::to_string(terms).unwrap_or_default());
        layout.optional_text(terms.as_deref());
        layout.optional_id(self.hold_id.map(|id| id.uuid()));
        layout.optional_id(self.grant_id.map(|id| id.uuid()));
        layout.optional_text(self.task_id.as_ref().map(|id| id.as_str()));
        layout.optional_text(self.template_id.as_ref().map(|id| id.as_str()));
        layout.optional_text(self.app_id.as_ref().map(|id| id.as_str()));
        layout.bytes(&self.effective_at.micros().to_be_bytes());
        layout.bytes(&self.created_at.micros().to_be_bytes());
        layout.bytes(&text_hash.0);
        layout.hash()
    }
}

/// Bytes in a fixed layout; one buffer, hashed once.
pub(super) struct Layout(Vec<u8>);

impl Default for Layout {
    fn default() -> Layout {
        // Room for an entry without text: most are.
        Layout(Vec::with_capacity(384))
    }
}

impl Layout {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Texts are at most 64 KiB each, so their length fits 4 bytes.
    fn text(&mut self, text: &str) {
        self.bytes(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.bytes(text.as_bytes());
    }

    /// Tenant, owner kind, owner id, unit.
    pub(super) fn account(&mut self, account: &AccountKey) {
        self.text(account.tenant_id.as_str());
        self.byte(account.owner.kind_code());
        self.text(account.owner.id().unwrap_or_default());
        self.text(account.unit.as_str());
    }

    fn optional_text(&mut self, text: Option<&str>) {
        self.byte(u8::from(text.is_some()));
        if let Some(text) = text {
            self.text(text);
        }
    }

    fn optional_id(&mut self, id: Option<uuid::Uuid>) {
        self.byte(u8::from(id.is_some()));
        if let Some(id) = id {
            self.bytes(id.as_bytes());
        }
    }

    fn draw(&mut self, draw: &Draw) {
        self.bytes(&u32::try_from(draw.lines().len() * LINE_BYTES).unwrap_or(u32::MAX).to_be_bytes());
        draw.write(&mut self.0);
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn hash(&self) -> ChainHash {
        ChainHash(*blake3::hash(&self.0).as_bytes())
    }
}
