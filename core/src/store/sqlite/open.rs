//! Opening a file: what is refused, how connections are set up, and how the schema comes to its version.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, FileControl, OpenFlags, Transaction, TransactionBehavior};

use super::{SqliteOptions, Synchronous, error, retry};
use crate::store::{StoreError, StoreErrorKind};

/// Marks a file as ours: `draw` in ASCII.
pub(super) const APPLICATION_ID: i64 = 0x6472_6177;

/// The steps from an empty file to the present schema. A released step never changes; a change is a further step.
const MIGRATIONS: &[(&str, &str)] = &[("ledger", include_str!("migrations/0001_ledger.sql"))];

/// The settings of every connection. SQLite's own waiting is off: the store waits by itself.
const SETTINGS: &str = "PRAGMA busy_timeout = 0; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY;";

/// The file that a path led to when it was opened: without links, and wherever the process goes.
#[derive(Clone, Debug)]
pub(super) struct OpenedFile {
    path: PathBuf,
    identity: Identity,
}

/// Device and number. Where a file that is open cannot be removed there is nothing to compare.
#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(not(unix))]
type Identity = ();

impl OpenedFile {
    fn at(path: &Path) -> Result<OpenedFile, StoreError> {
        let found = path.canonicalize().and_then(|path| Ok(OpenedFile { identity: identity(&path)?, path }));
        found.map_err(|error| refused(path, &format!("cannot be found again: {error}")))
    }

    /// Refuses a path that leads to another file by now, or to none: SQLite would go on in the file without a name, and
    /// whatever it commits there is lost.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            return Ok(());
        }
        Err(refused(&self.path, "is no longer the file that was opened"))
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> std::io::Result<Identity> {
    use std::os::unix::fs::MetadataExt;
    path.metadata().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> std::io::Result<Identity> {
    path.metadata().map(drop)
}

/// The connection that writes, and its file; makes the file and brings its schema to the present version.
pub(super) fn writer(path: &Path, options: &SqliteOptions) -> Result<(Connection, OpenedFile), StoreError> {
    refuse_path(path)?;
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    if connection.is_readonly("main").map_err(error::store_error)? {
        return Err(refused(path, "is read-only"));
    }
    retry::until(options.deadline, || {
        set_up(&connection, path, options.synchronous)?;
        migrate(&connection, path)
    })?;
    Ok((connection, OpenedFile::at(path)?))
}

/// A connection that reads the file which the writer has opened.
pub(super) fn reader(file: &OpenedFile, deadline: Duration) -> Result<Connection, StoreError> {
    file.check()?;
    let connection = open(&file.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let settings = "PRAGMA query_only = ON; PRAGMA cache_size = -16384;";
    retry::until(deadline, || connection.execute_batch(settings).map_err(error::store_error))?;
    Ok(connection)
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(error::store_error)?;
    // All statements, and what begins and ends a transaction.
    connection.set_prepared_statement_cache_capacity(crate::store::sql::ALL.len() + 3);
    // A plan never depends on what is bound. Otherwise SQLite, built with STAT4, plans a statement again whenever a parameter of
    // a range is bound to another value: more work than all the rest of a charge.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(error::store_error)?;
    connection.execute_batch(SETTINGS).map_err(error::store_error)?;
    Ok(connection)
}

/// Refuses a connection whose file cannot be written, or is not this one.
pub(super) fn check_connection(file: &OpenedFile, connection: &Connection) -> Result<(), StoreError> {
    let Some(path) = connection.path().filter(|path| !path.is_empty()).map(Path::new) else {
        return Err(StoreError::new(StoreErrorKind::Permanent, "the connection has no file"));
    };
    if connection.is_readonly("main").map_err(error::store_error)? {
        return Err(refused(path, "was opened to be read only"));
    }
    file.check()?;
    if has_moved(connection)? || OpenedFile::at(path)?.identity != file.identity || !is_same_path(path, &file.path) {
        return Err(refused(path, &format!("is not the file of the engine, `{}`", file.path.display())));
    }
    Ok(())
}

/// Whether the file that a connection has open stands elsewhere by now, or nowhere.
#[cfg(unix)]
fn has_moved(connection: &Connection) -> Result<bool, StoreError> {
    let mut moved = 0;
    connection.file_control(Some("main"), FileControl::HasMoved(&mut moved)).map_err(error::store_error)?;
    Ok(moved != 0)
}

#[cfg(not(unix))]
fn has_moved(_connection: &Connection) -> Result<bool, StoreError> {
    Ok(false)
}

/// Where files have no number, their paths without links are compared.
#[cfg(unix)]
fn is_same_path(_: &Path, _: &Path) -> bool {
    true
}

#[cfg(not(unix))]
fn is_same_path(path: &Path, of_engine: &Path) -> bool {
    path.canonicalize().is_ok_and(|path| path == of_engine)
}

/// Refuses books that are not of the present version, and tables of the connection that would be taken for theirs.
pub(super) fn check_schema(file: &OpenedFile, connection: &Connection) -> Result<(), StoreError> {
    let version = version(connection, &file.path)?;
    if version != MIGRATIONS.len() {
        return Err(refused(&file.path, &format!("has schema version {version}, not {}", MIGRATIONS.len())));
    }
    let hidden = "SELECT count(*) FROM sqlite_temp_schema WHERE lower(name) IN (SELECT name FROM main.sqlite_schema)";
    let hidden: i64 = connection.query_row(hidden, [], |row| row.get(0)).map_err(error::store_error)?;
    if hidden > 0 {
        return Err(refused(&file.path, "has tables of which a temporary one of the connection has the name"));
    }
    Ok(())
}

fn refused(path: &Path, why: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Permanent, format!("`{}` {why}", path.display()))
}

/// What the file system says about the path before SQLite sees it. The file itself is for SQLite alone to open: whoever closes
/// it takes the locks of the whole process with it, those of other connections too.
fn refuse_path(path: &Path) -> Result<(), StoreError> {
    if path.as_os_str().as_encoded_bytes().starts_with(b"file:") {
        return Err(refused(path, "is an address, not a path"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => Err(refused(path, "is a folder, not a file")),
        // SQLite opens such a file all the same, to read; a superuser could even write it.
        Ok(metadata) if metadata.permissions().readonly() => Err(refused(path, "is read-only")),
        Err(_) if folder.is_some_and(|folder| !folder.is_dir()) => Err(refused(path, "is in a folder that does not exist")),
        _ => Ok(()),
    }
}

/// Turns the log on, once it is clear that the file is ours or empty.
fn set_up(connection: &Connection, path: &Path, synchronous: Synchronous) -> Result<(), StoreError> {
    committed_version(connection, path)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(error::store_error)?;
    if mode != "wal" {
        return Err(refused(path, "cannot be kept with a write-ahead log"));
    }
    let synchronous = match synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Normal => "NORMAL",
    };
    // 64 MB of cache; foreign keys are the engine's care.
    let settings = format!(
        "PRAGMA synchronous = {synchronous}; PRAGMA cache_size = -65536; PRAGMA foreign_keys = OFF; PRAGMA secure_delete = ON;"
    );
    connection.execute_batch(&settings).map_err(error::store_error)
}

/// The version of the schema in the file; 0 for an empty file. Read inside a transaction: between two marks another process
/// may set them.
fn version(connection: &Connection, path: &Path) -> Result<usize, StoreError> {
    let unreadable = |failed: rusqlite::Error| match failed.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => refused(path, "is no SQLite database"),
        _ => error::store_error(failed),
    };
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(unreadable);
    let application_id = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    let is_empty = number("SELECT count(*) FROM sqlite_schema")? == 0;
    if application_id != APPLICATION_ID && !(application_id == 0 && version == 0 && is_empty) {
        return Err(refused(path, "belongs to another program"));
    }
    match usize::try_from(version) {
        Ok(version) if version <= MIGRATIONS.len() => Ok(version),
        _ => {
            let newest = MIGRATIONS.len();
            Err(refused(path, &format!("has schema version {version}, newer than {newest}, which this program knows")))
        }
    }
}

fn committed_version(connection: &Connection, path: &Path) -> Result<usize, StoreError> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Deferred).map_err(error::store_error)?;
    version(&transaction, path)
}

/// Brings the schema to the present version in one transaction; another process may do it first.
fn migrate(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    if committed_version(connection, path)? == MIGRATIONS.len() {
        return Ok(());
    }
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate).map_err(error::store_error)?;
    let present = version(&transaction, path)?;
    for (version, (name, sql)) in (1_i64..).zip(MIGRATIONS).skip(present) {
        transaction.execute_batch(sql).map_err(error::store_error)?;
        let inserted = transaction.execute("INSERT INTO schema_migrations (version, name) VALUES (?1, ?2)", (version, name));
        inserted.map_err(error::store_error)?;
    }
    let marks = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {};", MIGRATIONS.len());
    transaction.execute_batch(&marks).map_err(error::store_error)?;
    transaction.commit().map_err(|failed| error::commit_error(failed, connection))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn no_statement_is_planned_again_for_other_parameters() {
        let folder = tempfile::tempdir().unwrap();
        let (connection, _) = writer(&folder.path().join("books.db"), &SqliteOptions::default()).unwrap();
        for sql in crate::store::sql::ALL.iter().filter(|sql| sql.starts_with("SELECT")) {
            let mut statement = connection.prepare(sql).unwrap();
            for value in [1, 2, 3] {
                for at in 1..=statement.parameter_count() {
                    statement.raw_bind_parameter(at, value).unwrap();
                }
                let _ = statement.raw_query().next().unwrap();
            }
            assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "{sql}");
        }
    }
}
