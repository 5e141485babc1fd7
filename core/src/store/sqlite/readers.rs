//! The connections that read: a few, opened when they are needed.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::open::{self, OpenedFile};
use super::{SqliteOptions, error, retry};
use crate::store::{StoreError, StoreErrorKind};

/// A pool of connections that read.
#[derive(Debug)]
pub(super) struct Readers {
    file: OpenedFile,
    deadline: Duration,
    limit: usize,
    pool: Mutex<Pool>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct Pool {
    idle: Vec<Connection>,
    /// Idle and lent.
    open: usize,
    /// None is lent for a moment.
    held: bool,
}

/// How long those that are lent are waited for.
const PATIENCE: Duration = Duration::from_secs(1);

impl Readers {
    pub(super) fn new(file: OpenedFile, options: &SqliteOptions) -> Readers {
        let limit = options.readers.max(1);
        Readers { file, deadline: options.deadline, limit, pool: Mutex::default(), returned: Condvar::new() }
    }

    /// Reads one committed state. A lock that another process holds for a moment, while it recovers or removes the log, is
    /// waited for; writers are not.
    pub(super) fn read<T>(&self, read: impl Fn(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let lent = self.lend()?;
        let connection = lent.connection()?;
        retry::until(self.deadline, || {
            let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Deferred).map_err(error::store_error)?;
            read(&transaction)
        })
    }

    /// Does this while nobody reads: those who do are waited for, and who comes waits.
    pub(super) fn hold<T>(&self, act: impl FnOnce() -> T) -> T {
        let mut pool = self.pool();
        pool.held = true;
        let waited = self.returned.wait_timeout_while(pool, PATIENCE, |pool| pool.open > pool.idle.len());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        let done = act();
        self.pool().held = false;
        self.returned.notify_all();
        done
    }

    fn lend(&self) -> Result<Lent<'_>, StoreError> {
        let is_exhausted = |pool: &mut Pool| pool.held || (pool.idle.is_empty() && pool.open >= self.limit);
        let waited = self.returned.wait_timeout_while(self.pool(), self.deadline, is_exhausted);
        let (mut pool, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            return Err(StoreError::new(StoreErrorKind::Transient, "all connections that read are busy"));
        }
        let idle = pool.idle.pop();
        pool.open += usize::from(idle.is_none());
        drop(pool);
        // Counts as lent before it is opened, and is given back by the drop when it cannot be.
        let mut lent = Lent { readers: self, connection: idle };
        if lent.connection.is_none() {
            lent.connection = Some(open::reader(&self.file, self.deadline)?);
        }
        Ok(lent)
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that goes back to the pool.
struct Lent<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Lent<'_> {
    fn connection(&self) -> Result<&Connection, StoreError> {
        self.connection.as_ref().ok_or_else(|| StoreError::new(StoreErrorKind::Permanent, "a connection was not opened"))
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut pool = self.readers.pool();
        match self.connection.take() {
            Some(connection) => pool.idle.push(connection),
            None => pool.open = pool.open.saturating_sub(1),
        }
        drop(pool);
        self.readers.returned.notify_all();
    }
}
