//! Questions about entries, a page at a time.

use serde::{Deserialize, Serialize};

use super::entry::{Entry, EntryKind};
use crate::denial::Denial;
use crate::id::{AppId, LedgerId, TaskId, TenantId, Unit, UserId};
use crate::owner::{AccountKey, Owner};
use crate::time::Timestamp;

/// The most entries that a page can have.
pub const MAX_PAGE: usize = 1_000;

/// Whose entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryScope {
    /// One account's, in the order of its sequence.
    Account(AccountKey),
    /// One task's, over all accounts of the tenant, in the order of their operations.
    Task(TenantId, TaskId),
    /// A whole tenant's, in the order of their operations.
    Tenant(TenantId),
}

/// Which of them. Every condition must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EntryFilter {
    /// Only of this owner's accounts.
    pub owner: Option<Owner>,
    /// Only in this unit.
    pub unit: Option<Unit>,
    /// Only of this kind.
    pub kind: Option<EntryKind>,
    /// Only of this app.
    pub app_id: Option<AppId>,
    /// Only of this user.
    pub user_id: Option<UserId>,
    /// Only booked at this instant or later.
    pub from: Option<Timestamp>,
    /// Only booked before this instant.
    pub to: Option<Timestamp>,
}

impl EntryFilter {
    /// Whether an entry meets every condition.
    #[must_use]
    pub fn admits(&self, entry: &Entry) -> bool {
        self.owner.as_ref().is_none_or(|owner| *owner == entry.account.owner)
            && self.unit.as_ref().is_none_or(|unit| *unit == entry.account.unit)
            && self.kind.is_none_or(|kind| kind == entry.kind)
            && self.app_id.as_ref().is_none_or(|app| Some(app) == entry.app_id.as_ref())
            && self.user_id.as_ref().is_none_or(|user| Some(user) == entry.text.user_id.as_ref())
            && self.from.is_none_or(|from| from <= entry.created_at)
            && self.to.is_none_or(|to| entry.created_at < to)
    }
}

/// In which direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PageOrder {
    /// The newest first.
    #[default]
    Desc,
    /// The oldest first.
    Asc,
}

/// Where a page ended: the name of its last entry. Stable under inserts.
pub type EntryCursor = LedgerId;

/// A page of entries that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryQuery {
    /// Whose.
    pub scope: EntryScope,
    /// Which.
    pub filter: EntryFilter,
    /// In which direction.
    pub order: PageOrder,
    /// After this one. Nothing comes after an entry that is not there.
    pub cursor: Option<EntryCursor>,
    /// At most so many: 1 to 1,000.
    pub limit: usize,
}

impl EntryQuery {
    /// The newest 50 entries.
    #[must_use]
    pub fn new(scope: EntryScope) -> EntryQuery {
        EntryQuery { scope, filter: EntryFilter::default(), order: PageOrder::Desc, cursor: None, limit: 50 }
    }

    /// Checks the limit.
    ///
    /// # Errors
    /// `payload_invalid` outside 1 to 1,000.
    pub fn check(&self) -> Result<(), Denial> {
        if (1..=MAX_PAGE).contains(&self.limit) { Ok(()) } else { Err(Denial::invalid("limit", self.limit, "1 to 1000")) }
    }

    /// The tenant whose entries these are.
    #[must_use]
    pub const fn tenant_id(&self) -> &TenantId {
        match &self.scope {
            EntryScope::Account(key) => &key.tenant_id,
            EntryScope::Task(tenant_id, _) | EntryScope::Tenant(tenant_id) => tenant_id,
        }
    }
}

/// A page of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryPage {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Where the next page begins; none at the end.
    pub next_cursor: Option<EntryCursor>,
}
