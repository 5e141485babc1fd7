//! The books in a SQLite file: one writer, a few readers, and other processes beside them.
//!
//! The file is in WAL mode, so readers see the last commit and never wait for the writer. A batch is one `BEGIN IMMEDIATE`
//! transaction. SQLite's own waiting is off: a locked file is tried again after a short random pause, until a deadline.

mod error;
mod joined;
mod log;
mod open;
mod prepared;
mod readers;
mod retry;
#[cfg(test)]
mod tests;
mod turns;
mod writing;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, FileControl, MAIN_DB};

use super::sql::{self, BatchMachine, Remembered, Step};
use super::{Answer, Batch, Query, Store, StoreError, StoreErrorKind};
use crate::audit::AuditRecord;
use crate::event::{Consumer, EventCursor};
use crate::id::{OpId, TenantId};
use log::Log;
use open::OpenedFile;
use prepared::PreparedStatements;
use readers::Readers;
use turns::Turns;
use writing::Writing;

/// How much a commit waits for the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// A commit is on the disk before it is answered.
    #[default]
    Full,
    /// A power failure can lose the last commits, never a part of one. The failure of a process loses nothing.
    Normal,
}

/// How a file is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// How much a commit waits for the disk. Full by default.
    pub synchronous: Synchronous,
    /// How long a file that another process has locked is tried. 10 seconds by default.
    pub deadline: Duration,
    /// How many reads run at once. 4 by default, at least 1.
    pub readers: usize,
}

impl Default for SqliteOptions {
    fn default() -> SqliteOptions {
        SqliteOptions { synchronous: Synchronous::Full, deadline: Duration::from_secs(10), readers: 4 }
    }
}

/// Keeps the books in a SQLite file.
///
/// Several stores, in one process or in many on one machine, can share a file.
///
/// # Examples
/// ```
/// use drawdown::store::sqlite::SqliteStore;
/// use drawdown::store::{Answer, Query, Store};
/// let folder = tempfile::tempdir()?;
/// let store = SqliteStore::open(folder.path().join("books.db"))?;
/// assert!(matches!(store.query(&Query::NextDue)?, Answer::NextDue(None)));
/// assert!(SqliteStore::open(folder.path()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    file: OpenedFile,
    options: SqliteOptions,
    writer: Mutex<Connection>,
    turns: Turns,
    /// What the writer knows of accounts. A batch takes it, and gives it back when it is committed.
    remembered: Mutex<Option<Remembered>>,
    readers: Readers,
    log: Log,
}

impl SqliteStore {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// A permanent [`StoreError`] for a folder, a missing folder, a read-only file, a file that is no database, of another program, or of
    /// a newer version; a corrupt one for a file that is damaged; a transient one when it stays locked.
    pub fn open(path: impl AsRef<Path>) -> Result<SqliteStore, StoreError> {
        SqliteStore::open_with(path, SqliteOptions::default())
    }

    /// Opens the file, or makes it, to be used in this way.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_with(path: impl AsRef<Path>, options: SqliteOptions) -> Result<SqliteStore, StoreError> {
        let path = path.as_ref().to_path_buf();
        let (mut writer, file) = open::writer(&path, &options)?;
        let log = Log::watch(&mut writer)?;
        let readers = Readers::new(file.clone(), &options);
        Ok(SqliteStore {
            path,
            file,
            options,
            writer: Mutex::new(writer),
            turns: Turns::default(),
            remembered: Mutex::default(),
            readers,
            log,
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every statement that the store runs on its tables, for whoever wants to read their plans.
    pub fn statements() -> impl Iterator<Item = &'static str> {
        sql::ALL.iter().copied()
    }

    fn remembered(&self) -> MutexGuard<'_, Option<Remembered>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides and writes a batch in a transaction of its own.
    fn try_batch(&self, batch: &mut dyn Batch) -> Result<(), StoreError> {
        let write = |transaction: &Connection, version: u32| {
            let mut remembered = self.remembered().take().unwrap_or_default();
            remembered.forget_unless(version);
            loop {
                remembered = decide_and_write(transaction, batch, remembered)?;
                if !batch.grow() {
                    return Ok(remembered);
                }
            }
        };
        self.write(write, |remembered| *self.remembered() = Some(remembered))
    }

    /// Writes in one transaction, once the file is locked and its version is known. What `write` answers is handed on when it is committed, before anybody
    /// else writes.
    fn write<T>(
        &self,
        write: impl FnOnce(&Connection, u32) -> Result<T, StoreError>,
        committed: impl FnOnce(T),
    ) -> Result<(), StoreError> {
        let writer = self.writer();
        self.file.check()?;
        self.turns.wait();
        let transaction = retry::until(self.options.deadline, || Writing::begin(&writer))?;
        let began = data_version(&writer)?;
        self.turns.began(began);
        let written = write(&writer, began)?;
        transaction.commit()?;
        committed(written);
        // What others commit from here on is seen when the next transaction begins, and makes another version then.
        if let Ok(version) = data_version(&writer) {
            self.turns.committed(version);
            self.remembered().iter_mut().for_each(|remembered| remembered.go_on(began, version));
        }
        self.log.bound(&writer, &self.readers);
        Ok(())
    }

    /// The one connection that writes. A panic while it was lent out has rolled its transaction back.
    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for SqliteStore {
    fn run(&self, batch: &mut dyn Batch) -> Result<(), StoreError> {
        match self.try_batch(batch) {
            // Perhaps a key that was presumed to be new is not. Nothing is remembered now, so keys are looked up first.
            Err(failed) if failed.kind == StoreErrorKind::Conflict => {
                batch.restart();
                self.try_batch(batch)
            }
            outcome => outcome,
        }
    }

    fn forget(&self, tenant_id: &TenantId, op_ids: &[OpId]) -> Result<(), StoreError> {
        let statements: Vec<sql::Statement<'_>> = op_ids.iter().map(|op_id| sql::forget(tenant_id, *op_id)).collect();
        self.write(|transaction, _| PreparedStatements::new(transaction).run_all(&statements), drop)
    }

    fn acknowledge(&self, consumer: &Consumer, cursor: EventCursor) -> Result<EventCursor, StoreError> {
        let mut stands = None;
        let advance = |transaction: &Connection, _: u32| {
            let mut prepared = PreparedStatements::new(transaction);
            prepared.run_all(&[sql::acknowledge(consumer, cursor)])?;
            sql::consumer(&mut prepared, consumer)
        };
        self.write(advance, |position| stands = position)?;
        stands.ok_or_else(|| sql::corrupt("a consumer that was written is not there"))
    }

    fn record(&self, records: &[AuditRecord]) -> Result<(), StoreError> {
        let statements: Vec<sql::Statement<'_>> = records.iter().map(sql::record).collect();
        self.write(|transaction, _| PreparedStatements::new(transaction).run_all(&statements), drop)
    }

    fn query(&self, query: &Query) -> Result<Answer, StoreError> {
        self.readers.read(|connection| sql::answer(&mut PreparedStatements::new(connection), query))
    }

    fn sqlite(&self) -> Option<&SqliteStore> {
        Some(self)
    }
}

/// A number that differs whenever this connection has seen a commit in between, its own or another's, of this process or of another.
/// It looks at the file only when it begins a transaction.
fn data_version(connection: &Connection) -> Result<u32, StoreError> {
    let mut version = 0;
    connection.file_control(Some(MAIN_DB), FileControl::DataVersion(&mut version)).map_err(error::store_error)?;
    Ok(version)
}

/// Runs the steps of a batch, and answers what is known of accounts once it is committed.
fn decide_and_write(connection: &Connection, batch: &mut dyn Batch, remembered: Remembered) -> Result<Remembered, StoreError> {
    // The needs are copied into lookups; the clock is read once the file is locked, as it is by now.
    let now = batch.clock().now();
    let mut machine = BatchMachine::new(batch.needs(), now, remembered);
    let mut prepared = PreparedStatements::new(connection);
    let mut changes;
    let mut step = machine.begin()?;
    loop {
        step = match step {
            Step::Run(statements) => {
                let answers = prepared.run_all(&statements)?;
                drop(statements);
                machine.rows(&answers)?
            }
            Step::Decide(facts) => {
                changes = batch.decide(*facts);
                if prepared.run_all(&machine.unclaimed(batch.needs(), &changes))?.iter().any(|found| found.first().is_some()) {
                    return Err(StoreError::new(StoreErrorKind::Conflict, "an idempotency key was used before"));
                }
                machine.changes(&changes)?
            }
            Step::Done => break,
        };
    }
    Ok(machine.into_remembered())
}
