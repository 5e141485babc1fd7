//! Which files are taken and which are refused, each with its reason.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Barrier};

use super::{charge, grant, impatient, operations, place, stranger};
use crate::store::sqlite::open::APPLICATION_ID;
use crate::store::sqlite::{SqliteOptions, SqliteStore, Synchronous};
use crate::store::{Answer, Query, Store, StoreErrorKind};

fn refusal(path: &std::path::Path) -> (StoreErrorKind, String) {
    let error = SqliteStore::open_with(path, impatient()).unwrap_err();
    assert!(!error.may_have_applied);
    (error.kind, error.message)
}

#[test]
fn a_missing_file_is_made_and_marked() {
    let (_folder, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.path(), path);
    let number = |sql| stranger(&path).query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(number("PRAGMA application_id"), APPLICATION_ID);
    assert_eq!(number("PRAGMA user_version"), 1);
    assert_eq!(number("SELECT max(version) FROM schema_migrations"), 1);
}

#[test]
fn an_empty_file_is_taken() {
    let (_folder, path) = place();
    fs::write(&path, "").unwrap();
    assert_eq!(operations(&SqliteStore::open(&path).unwrap()), 0);
}

#[test]
fn a_file_opens_again_with_what_was_written() {
    let (_folder, path) = place();
    let options = SqliteOptions { synchronous: Synchronous::Normal, ..SqliteOptions::default() };
    let store = SqliteStore::open_with(&path, options).unwrap();
    grant(&store, "1").unwrap();
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    charge(&store, "a").unwrap();
    assert_eq!(operations(&store), 2);
}

#[test]
fn a_folder_and_a_missing_folder_are_refused() {
    let (folder, path) = place();
    let (kind, message) = refusal(folder.path());
    assert_eq!(kind, StoreErrorKind::Permanent);
    assert!(message.ends_with("is a folder, not a file"), "{message}");
    let (kind, message) = refusal(&path.join("books.db"));
    assert_eq!(kind, StoreErrorKind::Permanent);
    assert!(message.ends_with("is in a folder that does not exist"), "{message}");
}

#[test]
fn a_read_only_file_is_refused() {
    let (_folder, path) = place();
    drop(SqliteStore::open(&path).unwrap());
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    let (kind, message) = refusal(&path);
    assert_eq!(kind, StoreErrorKind::Permanent);
    assert!(message.ends_with("is read-only"), "{message}");
}

#[test]
fn a_file_of_another_program_is_refused_and_left_alone() {
    let (_folder, path) = place();
    stranger(&path).execute_batch("CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('mine');").unwrap();
    let before = fs::read(&path).unwrap();
    let (kind, message) = refusal(&path);
    assert_eq!(kind, StoreErrorKind::Permanent);
    assert!(message.ends_with("belongs to another program"), "{message}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let (_folder, path) = place();
    drop(SqliteStore::open(&path).unwrap());
    stranger(&path).execute_batch("PRAGMA user_version = 99").unwrap();
    let (kind, message) = refusal(&path);
    assert_eq!(kind, StoreErrorKind::Permanent);
    assert!(message.contains("schema version 99, newer than 1"), "{message}");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let (_folder, path) = place();
    for text in ["hi".to_owned(), "dear diary, ".repeat(1_000)] {
        fs::write(&path, &text).unwrap();
        let (kind, message) = refusal(&path);
        assert_eq!((kind, message), (StoreErrorKind::Permanent, format!("`{}` is no SQLite database", path.display())));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn a_damaged_schema_is_refused() {
    let (_folder, path) = place();
    drop(SqliteStore::open(&path).unwrap());
    let mut bytes = fs::read(&path).unwrap();
    bytes[100..4_096].fill(0xff);
    fs::write(&path, bytes).unwrap();
    assert_eq!(refusal(&path).0, StoreErrorKind::Corrupt);
}

#[test]
fn a_damaged_table_is_corrupt_when_it_is_read() {
    let (_folder, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    grant(&store, "1").unwrap();
    drop(store);
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'operations'";
    let page = stranger(&path).query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap() as usize;
    let mut bytes = fs::read(&path).unwrap();
    bytes[(page - 1) * 4_096..page * 4_096].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    let error = store.query(&Query::Feed { tenant_id: None, after: 0, limit: 1 }).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error}");
    assert_eq!(grant(&store, "1").unwrap_err().kind, StoreErrorKind::Corrupt);
}

#[test]
fn a_database_without_a_file_is_refused() {
    let (kind, message) = refusal(std::path::Path::new(":memory:"));
    assert_eq!(kind, StoreErrorKind::Permanent);
    assert!(message.ends_with("cannot be kept with a write-ahead log"), "{message}");
}

#[test]
fn many_may_open_a_missing_file_at_once() {
    let (_folder, path) = place();
    let start = Arc::new(Barrier::new(8));
    let openers: Vec<_> = (0..8)
        .map(|_| {
            let (path, start) = (path.clone(), Arc::clone(&start));
            std::thread::spawn(move || {
                start.wait();
                SqliteStore::open(&path).and_then(|store| store.query(&Query::NextDue))
            })
        })
        .collect();
    for opener in openers {
        assert!(matches!(opener.join().unwrap(), Ok(Answer::NextDue(None))));
    }
}

#[test]
fn a_file_that_another_process_is_making_is_never_taken_for_a_strangers() {
    let (folder, _) = place();
    for round in 0..60 {
        let path = folder.path().join(format!("{round}.db"));
        let start = Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    SqliteStore::open(&path).map(drop).unwrap();
                });
            }
        });
    }
}

/// Whoever removes or replaces the file would otherwise get every later command acknowledged, into a file without a name.
#[cfg(unix)]
#[test]
fn a_file_that_was_removed_or_replaced_takes_no_more() {
    let (folder, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    grant(&store, "1").unwrap();
    let aside = folder.path().join("aside.db");
    fs::rename(&path, &aside).unwrap();
    let error = charge(&store, "a").unwrap_err();
    assert!(error.kind == StoreErrorKind::Permanent && !error.may_have_applied, "{error}");
    assert!(error.message.ends_with("is no longer the file that was opened"), "{error}");
    fs::write(&path, "").unwrap();
    let error = charge(&store, "a").unwrap_err();
    assert!(error.message.ends_with("is no longer the file that was opened"), "{error}");
    fs::rename(&aside, &path).unwrap();
    charge(&store, "a").unwrap();
    assert_eq!(operations(&store), 2);
}

/// Connections that read are opened when they are needed, which can be after the process has gone to another folder, or after
/// a link points elsewhere.
#[cfg(unix)]
#[test]
fn readers_open_the_file_that_the_writer_opened() {
    let (folder, path) = place();
    drop(SqliteStore::open(&path).unwrap());
    let other = folder.path().join("other.db");
    grant(&SqliteStore::open(&other).unwrap(), "1").unwrap();
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let store = SqliteStore::open(&link).unwrap();
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&other, &link).unwrap();
    assert_eq!(operations(&store), 0);
}

#[test]
fn a_file_whose_name_looks_like_an_address_is_a_file() {
    let (folder, _) = place();
    for name in ["file:books.db?mode=memory", "100%25 ?#;'\".db", "\u{1f4b0} books.db"] {
        let path = folder.path().join(name);
        grant(&SqliteStore::open(&path).unwrap(), "1").unwrap();
        assert!(path.is_file(), "{name}");
        assert_eq!(operations(&SqliteStore::open(&path).unwrap()), 1);
    }
    let (kind, message) = refusal(std::path::Path::new("file:books.db?mode=rwc"));
    assert_eq!(kind, StoreErrorKind::Permanent);
    assert!(message.ends_with("is an address, not a path"), "{message}");
}

#[test]
fn a_file_that_stays_locked_cannot_be_made() {
    let (_folder, path) = place();
    let other = stranger(&path);
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let (kind, message) = refusal(&path);
    assert_eq!(kind, StoreErrorKind::Transient);
    assert!(message.starts_with("the file is locked by another process"), "{message}");
    other.execute_batch("ROLLBACK").unwrap();
    SqliteStore::open(&path).unwrap();
}

/// A process that closes a file loses all of its locks on it, those of its other connections too. Then another process that
/// closes the books would take itself for the last one, and remove the log that this one goes on to write.
#[cfg(target_os = "linux")]
#[test]
fn opening_a_file_again_loses_no_lock_on_it() {
    let (_folder, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    grant(&store, "1").unwrap();
    // The kernel's list of all locks repeats and leaves out some while others change; that of what took them does not.
    let locks = || -> usize {
        let open = fs::read_dir("/proc/self/fd").unwrap().map(Result::unwrap);
        let of_file = open.filter(|open| fs::read_link(open.path()).is_ok_and(|file| file == path));
        let count = |open: fs::DirEntry| {
            let all = fs::read_to_string(Path::new("/proc/self/fdinfo").join(open.file_name())).unwrap();
            all.lines().filter(|line| line.starts_with("lock:")).count()
        };
        of_file.map(count).sum()
    };
    assert_eq!(locks(), 1);
    let again = SqliteStore::open(&path).unwrap();
    assert_eq!(locks(), 1);
    drop(again);
    assert_eq!(locks(), 1);
}
