//! What SQLite's codes mean to the engine. No message is ever read.

use rusqlite::ffi::{self, SQLITE_BUSY_SNAPSHOT, SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_ROWID, SQLITE_CONSTRAINT_UNIQUE};
use rusqlite::{Connection, Error, ErrorCode};

use crate::store::{StoreError, StoreErrorKind};

/// An error of a statement; the transaction around it is rolled back.
pub(super) fn store_error(error: Error) -> StoreError {
    let (kind, what) = match code(&error) {
        Some(failure) => classify(failure),
        None => (StoreErrorKind::Permanent, "the store failed"),
    };
    StoreError::new(kind, format!("{what}: {error}"))
}

/// An error of a `COMMIT`. While the transaction is still open nothing was applied, and dropping it rolls it back. SQLite ends
/// it by itself when the disk fails: then what reached the disk is not known.
pub(super) fn commit_error(error: Error, connection: &Connection) -> StoreError {
    let is_io = code(&error).is_some_and(|failure| failure.code == ErrorCode::SystemIoFailure);
    let rolled_back = connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok();
    let mut failed = store_error(error);
    failed.may_have_applied = is_io || !rolled_back;
    failed
}

/// Whether another transaction has written since the one that wants to write first read.
pub(super) fn is_stale_snapshot(error: &Error) -> bool {
    code(error).is_some_and(|failure| failure.extended_code == SQLITE_BUSY_SNAPSHOT)
}

fn code(error: &Error) -> Option<&ffi::Error> {
    match error {
        Error::SqliteFailure(failure, _) => Some(failure),
        Error::SqlInputError { error, .. } => Some(error),
        _ => None,
    }
}

fn classify(failure: &ffi::Error) -> (StoreErrorKind, &'static str) {
    use StoreErrorKind::{Conflict, Corrupt, Permanent, Transient};
    match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
            (Transient, "the file is locked by another process")
        }
        ErrorCode::ConstraintViolation => match failure.extended_code {
            SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_ROWID => {
                (Conflict, "a unique key is taken")
            }
            _ => (Corrupt, "a row would contradict itself"),
        },
        ErrorCode::DatabaseCorrupt => (Corrupt, "the file is damaged"),
        ErrorCode::NotADatabase => (Corrupt, "the file is no SQLite database"),
        ErrorCode::DiskFull => (Permanent, "the disk is full"),
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => (Permanent, "the file cannot be written"),
        ErrorCode::CannotOpen => (Permanent, "the file cannot be opened"),
        ErrorCode::SystemIoFailure => (Permanent, "the disk failed"),
        _ => (Permanent, "the store failed"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn failure(extended_code: std::ffi::c_int) -> Error {
        Error::SqliteFailure(ffi::Error::new(extended_code), None)
    }

    #[test]
    fn codes_say_what_the_engine_does() {
        use StoreErrorKind::{Conflict, Corrupt, Permanent, Transient};
        let cases = [
            (ffi::SQLITE_BUSY, Transient),
            (ffi::SQLITE_BUSY_SNAPSHOT, Transient),
            (ffi::SQLITE_BUSY_RECOVERY, Transient),
            (ffi::SQLITE_LOCKED, Transient),
            (ffi::SQLITE_PROTOCOL, Transient),
            (ffi::SQLITE_CONSTRAINT_UNIQUE, Conflict),
            (ffi::SQLITE_CONSTRAINT_PRIMARYKEY, Conflict),
            (ffi::SQLITE_CONSTRAINT_CHECK, Corrupt),
            (ffi::SQLITE_CONSTRAINT_NOTNULL, Corrupt),
            (ffi::SQLITE_CORRUPT, Corrupt),
            (ffi::SQLITE_CORRUPT_INDEX, Corrupt),
            (ffi::SQLITE_NOTADB, Corrupt),
            (ffi::SQLITE_FULL, Permanent),
            (ffi::SQLITE_READONLY, Permanent),
            (ffi::SQLITE_READONLY_DBMOVED, Permanent),
            (ffi::SQLITE_CANTOPEN, Permanent),
            (ffi::SQLITE_IOERR_WRITE, Permanent),
            (ffi::SQLITE_NOMEM, Permanent),
        ];
        for (code, kind) in cases {
            let error = store_error(failure(code));
            assert_eq!((error.kind, error.may_have_applied), (kind, false), "{code}");
        }
    }

    #[test]
    fn only_a_failing_disk_leaves_a_commit_unknown() {
        let connection = Connection::open_in_memory().unwrap();
        assert!(commit_error(failure(ffi::SQLITE_IOERR_FSYNC), &connection).may_have_applied);
        assert!(!commit_error(failure(ffi::SQLITE_FULL), &connection).may_have_applied);
        connection.execute_batch("BEGIN").unwrap();
        assert!(!commit_error(failure(ffi::SQLITE_BUSY), &connection).may_have_applied);
        assert!(connection.is_autocommit(), "rolled back");
    }
}
