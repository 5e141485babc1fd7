//! Batches inside a transaction of the host, on the host's own connection. When it is committed, and how, is the host's.

use std::time::Duration;

use rusqlite::{Connection, TransactionState};

use super::{SqliteStore, decide_and_write, error, open, retry};
use crate::store::sql::Remembered;
use crate::store::{Batch, StoreError, StoreErrorKind};

/// Takes the lock that a write takes, and writes nothing.
const TAKE_LOCK: &str = "UPDATE main.accounts SET seq = seq WHERE 0";

impl SqliteStore {
    /// Makes sure that a transaction of the host is one at this file, of this schema, and holds the lock that a write takes;
    /// waits this long for it.
    pub(crate) fn join(&self, connection: &Connection, timeout: Duration) -> Result<(), StoreError> {
        open::check_connection(&self.file, connection)?;
        if state(connection)? != TransactionState::Write {
            // First of all: any look into the file would begin a read, which cannot become a write once another has written.
            let _waiting = HostsWaiting::put_off(connection)?;
            retry::until(timeout, || take_lock(connection))??;
        }
        open::check_schema(&self.file, connection)
    }

    /// Decides and writes a batch as a part of the host's transaction, which holds the lock. A batch that fails leaves
    /// nothing in it, and leaves it usable unless the message says otherwise.
    pub(crate) fn run_joined(&self, connection: &Connection, batch: &mut dyn Batch) -> Result<(), StoreError> {
        // Also when the host ended it by a statement, behind the back of its guard.
        if state(connection)? != TransactionState::Write {
            return Err(StoreError::new(StoreErrorKind::Permanent, "the transaction that was joined has ended"));
        }
        let part = Part::begin(connection)?;
        let outcome = decide_and_write(connection, batch, Remembered::default()).and_then(|_| part.keep());
        outcome.map_err(|mut failed| {
            if connection.is_autocommit() {
                failed.message.push_str("; the whole transaction was rolled back");
            }
            failed
        })
    }
}

fn state(connection: &Connection) -> Result<TransactionState, StoreError> {
    connection.transaction_state(Some("main")).map_err(error::store_error)
}

/// A failed try that can be repeated is the outer error; the inner one is for good.
fn take_lock(connection: &Connection) -> Result<Result<(), StoreError>, StoreError> {
    let Err(failed) = connection.execute_batch(TAKE_LOCK) else { return Ok(Ok(())) };
    // A transaction that had read nothing yet looks at the newest state with each try.
    if error::is_stale_snapshot(&failed) && state(connection)? == TransactionState::Read {
        const STALE: &str =
            "the transaction has read what another one has changed since, so it can write no more: begin it IMMEDIATE";
        return Ok(Err(StoreError::new(StoreErrorKind::Transient, STALE)));
    }
    Err(error::store_error(failed))
}

/// SQLite's own waiting on the host's connection, put off until this is dropped: its pauses grow and are not random.
///
/// A handler of the host's own shows as no time at all, and is left in its place.
struct HostsWaiting<'a> {
    connection: &'a Connection,
    millis: i64,
}

impl HostsWaiting<'_> {
    fn put_off(connection: &Connection) -> Result<HostsWaiting<'_>, StoreError> {
        let millis = connection.query_row("PRAGMA busy_timeout", [], |row| row.get(0)).map_err(error::store_error)?;
        let waiting = HostsWaiting { connection, millis };
        waiting.set(0).map_err(error::store_error)?;
        Ok(waiting)
    }

    fn set(&self, millis: i64) -> rusqlite::Result<()> {
        if self.millis == 0 {
            return Ok(());
        }
        self.connection.query_row(&format!("PRAGMA busy_timeout = {millis}"), [], |_| Ok(()))
    }
}

impl Drop for HostsWaiting<'_> {
    fn drop(&mut self) {
        let _ = self.set(self.millis);
    }
}

/// A part of the host's transaction that is undone when it is dropped, and not kept.
struct Part<'a> {
    connection: &'a Connection,
    kept: bool,
}

impl Part<'_> {
    fn begin(connection: &Connection) -> Result<Part<'_>, StoreError> {
        connection.execute_batch("SAVEPOINT drawdown").map_err(error::store_error)?;
        Ok(Part { connection, kept: false })
    }

    fn keep(mut self) -> Result<(), StoreError> {
        self.connection.execute_batch("RELEASE drawdown").map_err(error::store_error)?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        // Half a command must never be committed: what cannot be undone by itself takes the whole transaction with it.
        if !self.kept && self.connection.execute_batch("ROLLBACK TO drawdown; RELEASE drawdown").is_err() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }
}
