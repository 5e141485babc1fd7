//! The log does not grow for ever, whoever reads and writes.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use super::{available, charge, grant, operations, place, stranger};
use crate::store::sqlite::SqliteStore;

/// A store whose log is full with so many pages. A charge writes about nine.
fn with_log(path: &Path, pages: u32) -> SqliteStore {
    let store = SqliteStore::open(path).unwrap();
    store.log.set_full(pages);
    store
}

fn log_bytes(path: &Path) -> u64 {
    std::fs::metadata(path.with_extension("db-wal")).unwrap().len()
}

#[test]
fn readers_without_a_pause_do_not_let_the_log_grow() {
    let (_folder, path) = place();
    let store = &with_log(&path, 256);
    grant(store, "1000").unwrap();
    let stop = &AtomicBool::new(false);
    let longest = std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let read = |connection: &Connection| {
                        connection.query_row("SELECT count(*) FROM accounts", [], |_| Ok(())).unwrap();
                        std::thread::sleep(Duration::from_millis(2));
                        Ok(())
                    };
                    store.readers.read(read).unwrap();
                }
            });
        }
        let longest = (0..300).map(|n| charge(store, &format!("k{n}")).map(|()| store.log.pages()).unwrap()).max();
        stop.store(true, Ordering::Relaxed);
        longest
    });
    assert!(longest.is_some_and(|pages| (256..1_024).contains(&pages)), "{longest:?}");
    assert_eq!(operations(store), 301);
}

#[test]
fn writers_without_a_pause_do_not_let_the_log_grow() {
    let (_folder, path) = place();
    grant(&with_log(&path, 256), "1000").unwrap();
    let writer = |name: u32| {
        let store = with_log(&path, 256);
        (0..300).map(|n| charge(&store, &format!("{name}-{n}")).map(|()| (store.log.pages(), log_bytes(&path))).unwrap()).collect()
    };
    let seen: Vec<Vec<(u32, u64)>> = std::thread::scope(|scope| {
        let writers = [0, 1].map(|name| scope.spawn(move || writer(name)));
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    // When a moment is found is a matter of luck, and they write some 5,000 pages.
    let longest = seen.iter().flatten().map(|(pages, _)| *pages).max();
    assert!(longest.is_some_and(|pages| (256..1_280).contains(&pages)), "{longest:?}");
    // To cut it off would make everybody wait.
    assert!(seen.iter().all(|of_one| of_one.is_sorted_by_key(|(_, bytes)| *bytes)), "{seen:?}");
    assert_eq!(operations(&SqliteStore::open(&path).unwrap()), 601);
}

#[test]
fn a_log_that_is_full_is_written_over_and_not_cut_off() {
    let (_folder, path) = place();
    let store = with_log(&path, 64);
    grant(&store, "1000").unwrap();
    let pages: Vec<u32> = (0..20).map(|n| charge(&store, &format!("k{n}")).map(|()| store.log.pages()).unwrap()).collect();
    let full = pages.iter().position(|pages| *pages >= 64).unwrap();
    assert!(pages[full + 1] < 32, "{pages:?}");
    assert!(log_bytes(&path) > 64 * 4_096);
}

#[test]
fn a_reader_that_stays_lets_the_log_grow_and_nobody_waits_for_him() {
    let (_folder, path) = place();
    let store = with_log(&path, 64);
    grant(&store, "1000").unwrap();
    let stranger = stranger(&path);
    stranger.execute_batch("BEGIN; SELECT count(*) FROM operations").unwrap();
    (0..60).for_each(|n| charge(&store, &format!("k{n}")).unwrap());
    let grown = store.log.pages();
    assert!(grown > 256, "{grown}");
    stranger.execute_batch("COMMIT").unwrap();
    (60..80).for_each(|n| charge(&store, &format!("k{n}")).unwrap());
    assert!(store.log.pages() < grown, "{}", store.log.pages());
    assert_eq!((operations(&store), available(&store)), (81, "980".to_owned()));
}

#[test]
fn a_log_is_full_by_its_bytes_however_large_its_pages_are() {
    for (page_bytes, full) in [(4_096, 16_000), (65_536, 1_000), (512, 128_000)] {
        let (_folder, path) = place();
        // A file that the host has made, with nothing in it.
        stranger(&path).execute_batch(&format!("PRAGMA page_size = {page_bytes}; PRAGMA journal_mode = WAL")).unwrap();
        assert_eq!(SqliteStore::open(&path).unwrap().log.full(), full, "{page_bytes}");
    }
}
