//! Where the books are kept: a trait of two calls, and the stores that implement it.

pub mod memory;
#[cfg(feature = "sqlite")]
pub mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;

use std::sync::Arc;

use crate::audit::{AuditPage, AuditQuery, AuditRecord};
use crate::changes::Changes;
use crate::credit::{Grant, Hold, Member, Rule};
use crate::event::{Consumer, EventCursor};
use crate::facts::{AccountFacts, Facts, Needs, Task};
use crate::id::{
    AuditId, GrantId, HoldId, IdempotencyKey, LicenceId, OpId, OrganizationId, RuleId, TaskId, TemplateId, TenantId, UserId,
};
use crate::ledger::{AccountHead, Entry, EntryPage, EntryQuery, PageOrder, StoredOperation};
use crate::owner::AccountKey;
use crate::time::{Clock, Timestamp};

/// A batch of commands as a store sees it: what it needs, and a pure function from facts to changes.
pub trait Batch {
    /// Handles to what decides the commands that are to be decided next: all of them, until the batch grows.
    fn needs(&self) -> &Needs;

    /// Where the present is read, once the anchors are locked.
    fn clock(&self) -> &dyn Clock;

    /// Decides these commands in order. A store calls it once a try and once more whenever the batch has grown, with everything locked
    /// and loaded; a later call, after a rolled back try, starts afresh. Returns what is to be written, in order; nothing may be left
    /// out.
    fn decide(&mut self, facts: Facts) -> Vec<Changes>;

    /// Takes in commands that have come since the batch began, and answers whether there are any: then the needs are theirs, and they
    /// are loaded, decided and written behind the others in the same transaction. A store that can lock more anchors so late asks once it has
    /// written what was decided, until there are none; one that cannot never asks.
    fn grow(&mut self) -> bool {
        false
    }

    /// The store has rolled back, and tries once more by itself: all commands, those taken in too, are to be decided next. Who hands
    /// on [`Batch::grow`] hands this on too, or what was taken in before is lost.
    fn restart(&mut self);
}

/// Keeps the books.
///
/// # Laws
/// The conformance suite (feature `testing`) proves them for any store.
/// 1. **Atomic.** After `run` answers `Ok`, every change of the batch is durable; after `Err`, none is, unless
///    [`StoreError::may_have_applied`] says that this is not known. A batch that has grown is one batch.
/// 2. **Serial.** Two batches that lock a common anchor (account, task, a tenant or user that can be blocked, member, licence, the
///    count of a spender) are decided one after the other, each on what the one before it committed. Operations by key are looked up
///    after the locks are held.
///    Batches that only read a tenant or user may share its lock.
/// 3. **Clock.** [`Facts::now`] is [`crate::facts::batch_now`] of the clock and the `last_at` of every anchor locked, read
///    after the locks; a clock too far behind is [`StoreErrorKind::ClockBehind`], and nothing is decided.
/// 4. **op_id.** An operation id is in the store at most once; a second insert fails as [`StoreErrorKind::Conflict`].
/// 5. **Keys.** `(tenant, idempotency key)` is in the store at most once, likewise.
/// 6. **Feed.** No operation ever appears behind a position already handed out by [`Query::Feed`] or [`Query::LastPosition`].
/// 7. **Closed world.** No handle of one tenant finds a row of another's. What is not found is absent.
/// 8. **Reads** see a state that was committed, whole, and never wait for a writer longer than an in-memory copy.
/// 9. **Forgetting** removes the stored answer and the denial of an operation for good, and nothing else: it reads as
///    [`crate::ledger::Operation::is_forgotten`] from then on.
/// 10. **Consumers.** Where a consumer stands never goes back, and is durable when it is answered.
/// 11. **Audit.** A record has one name in its tenant: a batch that writes one whose name is taken fails as
///     [`StoreErrorKind::Conflict`]. Nothing is ever written before a place that [`Query::Audit`] handed out.
pub trait Store: Send + Sync {
    /// Locks the anchors, loads the facts, has the batch decided, writes its changes, commits.
    ///
    /// # Errors
    /// [`StoreError`]; its kind says what happened to the batch.
    fn run(&self, batch: &mut dyn Batch) -> Result<(), StoreError>;

    /// Answers a question in one consistent read.
    ///
    /// # Errors
    /// [`StoreError`].
    fn query(&self, query: &Query) -> Result<Answer, StoreError>;

    /// Removes the stored answers and denials of these operations of a tenant, all or none. Ids that it does not know are passed
    /// over.
    ///
    /// # Errors
    /// [`StoreError`].
    fn forget(&self, tenant_id: &TenantId, op_ids: &[OpId]) -> Result<(), StoreError>;

    /// Moves a consumer on to this cursor, unless it stands there or beyond; answers where it stands then.
    ///
    /// # Errors
    /// [`StoreError`]. Trying again does no harm, whatever the error says.
    fn acknowledge(&self, consumer: &Consumer, cursor: EventCursor) -> Result<EventCursor, StoreError>;

    /// Writes these records of the audit, all or none: for what is no part of a batch. One whose name is in the tenant already is
    /// passed over, or, if it is a refusal, raises the count of that one.
    ///
    /// # Errors
    /// [`StoreError`].
    fn record(&self, records: &[AuditRecord]) -> Result<(), StoreError>;

    /// The store in a SQLite file that this one is, or hands its calls to: whose file a transaction of the host is compared with
    /// before commands join it. None otherwise.
    #[cfg(feature = "sqlite")]
    fn sqlite(&self) -> Option<&sqlite::SqliteStore> {
        None
    }
}

/// A question to a store. Each has the [`Answer`] of the same name.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Query {
    /// An account with its open grants, its running rules and the holds due at this instant; `None` if it never had an entry.
    Account(AccountKey, Timestamp),
    /// An account with all its open grants, its running rules and all its frozen holds, whatever their expiry.
    AccountImage(AccountKey),
    /// What a batch with these needs would be decided from at this instant by the clock. Nothing is locked.
    Facts(Box<Needs>, Timestamp),
    /// A hold and its account.
    Hold(TenantId, HoldId),
    /// A grant and its account, open or not.
    Grant(TenantId, GrantId),
    /// A rule and its account, running or not.
    Rule(TenantId, RuleId),
    /// A task.
    Task(TenantId, TaskId),
    /// Tasks of all tenants after this one, in their order.
    Tasks(Option<(TenantId, TaskId)>, usize),
    /// Operations about a task, in the order of the feed or against it: those whose subject it is, and those with entries that name
    /// it, each with these entries alone.
    TaskOperations {
        /// The tenant.
        tenant_id: TenantId,
        /// The task.
        task_id: TaskId,
        /// In which direction.
        order: PageOrder,
        /// Beyond this position, in that direction.
        beyond: u64,
        /// At most so many.
        limit: usize,
    },
    /// The operation under a key.
    OperationByKey(TenantId, IdempotencyKey),
    /// Those of these operations that exist, in any order.
    Operations(TenantId, Vec<OpId>),
    /// A page of entries.
    Entries(EntryQuery),
    /// The last entry of the account booked by this instant, and the settlements booked after it that were effective by then.
    EntriesAt(AccountKey, Timestamp),
    /// Accounts in which something is due at this instant, the longest due first.
    DueAccounts(Timestamp, usize),
    /// When the next account becomes due.
    NextDue,
    /// Accounts of all tenants after this one, in their order.
    Accounts(Option<AccountKey>, usize),
    /// Members of an organization after this user, in their order; those who were removed are left out.
    Members {
        /// The tenant.
        tenant_id: TenantId,
        /// The organization.
        organization_id: OrganizationId,
        /// After this user; none for the first.
        after: Option<UserId>,
        /// At most so many.
        limit: usize,
    },
    /// The names of a tenant's licences after this one, in their order; of all templates or of one.
    Licences {
        /// The tenant.
        tenant_id: TenantId,
        /// Only those for this template.
        template_id: Option<TemplateId>,
        /// After this licence; none for the first.
        after: Option<LicenceId>,
        /// At most so many.
        limit: usize,
    },
    /// Operations after this position, in the order of the feed; of one tenant or of all.
    Feed {
        /// Only this tenant's.
        tenant_id: Option<TenantId>,
        /// After this position; 0 for the first.
        after: u64,
        /// At most so many.
        limit: usize,
    },
    /// The position of the last operation that the feed hands out; 0 when there is none.
    LastPosition,
    /// Where a consumer of events stands; `None` if it never acknowledged anything.
    Consumer(Consumer),
    /// A page of the audit: its records, and the operations.
    Audit(AuditQuery),
    /// Those of these records of the audit that exist, in any order.
    AuditRecords(TenantId, Vec<AuditId>),
    /// Records of the audit of all tenants after this number, in the order of writing, each with its number.
    AuditAfter {
        /// After this number; 0 for the first.
        after: u64,
        /// At most so many.
        limit: usize,
    },
    /// Operations of all tenants after this position that tell compliance something, in the order of the feed.
    Alerts {
        /// After this position; 0 for the first.
        after: u64,
        /// At most so many.
        limit: usize,
    },
    /// Of each account of all tenants after this one, in their order, the last entry whose operation stands at this position of
    /// the feed or before it. Accounts without one are left out, so a page is full or the last.
    HeadsAt {
        /// At or before this position, which was handed out.
        position: u64,
        /// After this account; none for the first.
        after: Option<AccountKey>,
        /// At most so many.
        limit: usize,
    },
}

/// What a store answers.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant answers the query of the same name")]
#[expect(clippy::large_enum_variant, reason = "an answer is taken apart as soon as it is there")]
pub enum Answer {
    Account(Option<Box<AccountFacts>>),
    AccountImage(Option<Box<AccountImage>>),
    Facts(Box<Facts>),
    Hold(Option<(Arc<AccountKey>, Hold)>),
    Grant(Option<(Arc<AccountKey>, Grant)>),
    Rule(Option<(Arc<AccountKey>, Rule)>),
    Task(Option<Task>),
    Tasks(Vec<((TenantId, TaskId), Task)>),
    TaskOperations(Vec<Arc<StoredOperation>>),
    OperationByKey(Option<Arc<StoredOperation>>),
    Operations(Vec<Arc<StoredOperation>>),
    Entries(EntryPage),
    EntriesAt(Option<EntriesAt>),
    DueAccounts(Vec<AccountKey>),
    NextDue(Option<Timestamp>),
    Accounts(Vec<AccountKey>),
    Members(Vec<(UserId, Member)>),
    Licences(Vec<LicenceId>),
    Feed(Vec<Arc<StoredOperation>>),
    LastPosition(u64),
    Consumer(Option<EventCursor>),
    Audit(AuditPage),
    AuditRecords(Vec<Arc<AuditRecord>>),
    AuditAfter(Vec<(u64, Arc<AuditRecord>)>),
    Alerts(Vec<Arc<StoredOperation>>),
    HeadsAt(Vec<AccountHead>),
}

/// An account as verification compares it.
#[derive(Clone, Debug)]
pub struct AccountImage {
    /// The row, all open grants and all running rules; its `due_holds` are empty.
    pub facts: AccountFacts,
    /// All frozen holds.
    pub open_holds: Vec<Hold>,
}

/// What decides a balance at a past time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntriesAt {
    /// The last entry booked by then; none if the account was empty.
    pub last: Option<Entry>,
    /// Whether an entry was booked after it: then the settlements due by then are booked, and listed here.
    pub superseded: bool,
    /// Settlements booked later that were effective by then, in order.
    pub settlements: Vec<Entry>,
}

/// What went wrong in a store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// What the engine does about it.
    pub kind: StoreErrorKind,
    /// The batch may have been committed although the store says otherwise: the engine looks for its operations.
    pub may_have_applied: bool,
    /// One sentence.
    pub message: String,
}

/// What the engine does about a store's error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Contention or a lost connection: tried again.
    Transient,
    /// A unique key was taken meanwhile: a lost race, decided again at once.
    Conflict,
    /// An anchor is ahead of the clock: answered as it is.
    ClockBehind {
        /// What the clock said.
        now: Timestamp,
        /// The last booking of the anchor.
        last_at: Timestamp,
    },
    /// The rows contradict themselves: answered as it is.
    Corrupt,
    /// Everything else (disk full, read-only, no such file): answered as it is.
    Permanent,
}

impl StoreError {
    /// An error of this kind, with nothing applied.
    #[must_use]
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> StoreError {
        StoreError { kind, may_have_applied: false, message: message.into() }
    }

    /// Whether trying again can help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Transient | StoreErrorKind::Conflict)
    }
}

impl From<StoreError> for crate::Error {
    fn from(error: StoreError) -> crate::Error {
        match error.kind {
            _ if error.may_have_applied => crate::Error::Unknown(error.message),
            StoreErrorKind::Transient | StoreErrorKind::Conflict => crate::Error::Busy(error.message),
            StoreErrorKind::ClockBehind { now, last_at } => crate::Error::ClockBehind { now, last_at },
            StoreErrorKind::Corrupt => crate::Error::Corrupt(error.message),
            StoreErrorKind::Permanent => crate::Error::Store(error.message),
        }
    }
}
