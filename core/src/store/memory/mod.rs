//! The books in memory: for tests, for trying things out, and as the reference that other stores are compared with.

mod audit;
mod books;
mod load;
mod read;
mod write;

use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use self::books::Books;
use super::{Answer, Batch, Query, Store, StoreError, StoreErrorKind};
use crate::audit::AuditRecord;
use crate::event::{Consumer, EventCursor};
use crate::id::{OpId, TenantId};

/// Keeps the books in memory; they are gone with it.
///
/// One batch is decided at a time, and readers do not wait for it: they wait only while its rows are checked and put in their place.
///
/// # Examples
/// ```
/// use drawdown::store::{Answer, Query, Store, memory::MemoryStore};
/// let store = MemoryStore::new();
/// assert!(matches!(store.query(&Query::NextDue)?, Answer::NextDue(None)));
/// # Ok::<(), drawdown::store::StoreError>(())
/// ```
#[derive(Debug, Default)]
pub struct MemoryStore {
    /// Held by the one batch that is being decided.
    writer: Mutex<()>,
    books: RwLock<Books>,
}

impl MemoryStore {
    /// Empty books.
    #[must_use]
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    fn read(&self) -> Result<RwLockReadGuard<'_, Books>, StoreError> {
        self.books.read().map_err(|_| half_written())
    }

    fn write(&self) -> Result<RwLockWriteGuard<'_, Books>, StoreError> {
        self.books.write().map_err(|_| half_written())
    }
}

impl Store for MemoryStore {
    fn run(&self, batch: &mut dyn Batch) -> Result<(), StoreError> {
        // A batch that panicked while it was decided wrote nothing, so the next one may go on.
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let facts = self.read()?.load(batch.needs(), batch.clock().now())?;
        let changes = batch.decide(facts);
        let mut books = self.write()?;
        books.check(&changes)?;
        books.write(changes);
        Ok(())
    }

    fn query(&self, query: &Query) -> Result<Answer, StoreError> {
        self.read()?.answer(query)
    }

    fn record(&self, records: &[AuditRecord]) -> Result<(), StoreError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.write()?.record(records);
        Ok(())
    }

    fn forget(&self, tenant_id: &TenantId, op_ids: &[OpId]) -> Result<(), StoreError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.write()?.forget(tenant_id, op_ids);
        Ok(())
    }

    fn acknowledge(&self, consumer: &Consumer, cursor: EventCursor) -> Result<EventCursor, StoreError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(self.write()?.acknowledge(consumer, cursor))
    }
}

/// Only a panic while they were checked or written leaves this behind.
fn half_written() -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, "a thread ended while it wrote the books")
}
