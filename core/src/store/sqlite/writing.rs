//! A transaction that writes. Its statements are prepared once a connection, where `rusqlite` would parse them each time.

use rusqlite::Connection;

use super::error;
use crate::store::StoreError;

/// Rolled back when it is dropped without a commit.
pub(super) struct Writing<'a>(&'a Connection);

impl Writing<'_> {
    /// Takes the lock on the file; a transient error while another has it.
    pub(super) fn begin(connection: &Connection) -> Result<Writing<'_>, StoreError> {
        run(connection, "BEGIN IMMEDIATE").map_err(error::store_error)?;
        Ok(Writing(connection))
    }

    pub(super) fn commit(self) -> Result<(), StoreError> {
        run(self.0, "COMMIT").map_err(|failed| error::commit_error(failed, self.0))
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit() {
            // What cannot be rolled back now is when the connection writes next, or closes.
            let _ = run(self.0, "ROLLBACK");
        }
    }
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
