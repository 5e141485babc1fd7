//! The log of a file: when what stands in it moves into the file, and it begins anew.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::error;
use super::readers::Readers;
use crate::store::StoreError;

/// With so many bytes, which mostly are 16,000 pages, what stands in the log moves into the file after each commit.
const FULL_BYTES: u32 = 16_000 * 4_096;

/// How long the log is, and when it is begun anew.
///
/// SQLite begins a log anew when a writer comes after everything was moved and while nobody reads it. Where readers or other writers
/// never pause there is no such moment: it has to be taken, by locking the log for an instant. The log is not cut off then but written
/// over, for to cut off 128 MB takes a disk 40 ms in which nobody can write or read.
#[derive(Debug)]
pub(super) struct Log {
    /// So many pages it had after the last commit of this store.
    pages: Arc<AtomicU32>,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// It is full with so many pages.
    full: u32,
    /// So many this store has seen moved.
    moved: u32,
    /// With so many its readers are made to pause.
    pause: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checkpoint {
    /// Moves what it can, while others read and write.
    Passive,
    /// Moves everything, so that the next who writes begins the log anew. Moves what it can while others write, or read what is not in
    /// the file.
    Restart,
    /// The same while no reader of this store reads.
    RestartAlone,
}

impl Log {
    /// Has SQLite tell with each commit of this connection how long the log is, which then moves nothing by itself.
    pub(super) fn watch(connection: &mut Connection) -> Result<Log, StoreError> {
        let page_bytes = connection.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(error::store_error)?;
        let pages = Arc::new(AtomicU32::new(0));
        let told = Arc::clone(&pages);
        let note = move |_: &mut Wal, count: i32| {
            told.store(count.unsigned_abs(), Ordering::Relaxed);
            Ok(())
        };
        connection.wal_hook(Some(note)).map_err(error::store_error)?;
        let full = FULL_BYTES.checked_div(page_bytes).unwrap_or(FULL_BYTES);
        Ok(Log { pages, state: Mutex::new(State::new(full)) })
    }

    /// Keeps it from growing, after a commit. What was committed stands whatever comes of it.
    pub(super) fn bound(&self, writer: &Connection, readers: &Readers) {
        let pages = self.pages();
        let moved = match self.change(|state| state.due(pages)) {
            None => return,
            Some(Checkpoint::Passive) => checkpoint(writer, "PRAGMA wal_checkpoint(PASSIVE)"),
            Some(Checkpoint::Restart) => checkpoint(writer, "PRAGMA wal_checkpoint(RESTART)"),
            Some(Checkpoint::RestartAlone) => readers.hold(|| checkpoint(writer, "PRAGMA wal_checkpoint(RESTART)")),
        };
        if let Some(moved) = moved {
            self.change(|state| state.moved = moved);
        }
    }

    /// How many pages it had after the last commit of this store.
    pub(super) fn pages(&self) -> u32 {
        self.pages.load(Ordering::Relaxed)
    }

    /// Takes it for full with so many pages.
    #[cfg(test)]
    pub(super) fn set_full(&self, pages: u32) {
        self.change(|state| *state = State::new(pages));
    }

    /// With how many pages it is full.
    #[cfg(test)]
    pub(super) fn full(&self) -> u32 {
        self.change(|state| state.full)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    const fn new(full: u32) -> State {
        State { full, moved: 0, pause: full.saturating_mul(2) }
    }

    /// What to do about a log of so many pages.
    fn due(&mut self, pages: u32) -> Option<Checkpoint> {
        if pages < self.full {
            *self = State::new(self.full);
            return None;
        }
        // While the file is locked, or readers wait, little is moved: nearly all was before. The moment after a commit is when other
        // writers, who look for the lock now and then, are least likely to have it.
        if pages.saturating_sub(self.moved) > self.full / 4 {
            return Some(Checkpoint::Passive);
        }
        if pages < self.pause {
            return Some(Checkpoint::Restart);
        }
        self.pause = pages.saturating_add(self.full);
        Some(Checkpoint::RestartAlone)
    }
}

/// How many pages of the log are in the file now. None if it fails, or another has begun to move them.
fn checkpoint(writer: &Connection, sql: &str) -> Option<u32> {
    // It answers whether it was hindered, how long the log is, and how much of it was moved: -1 where that is not known.
    let moved = writer.query_row(sql, [], |row| row.get::<_, i64>(2));
    moved.ok().and_then(|moved| u32::try_from(moved).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(moved: u32, pages: u32) -> Option<Checkpoint> {
        State { moved, ..State::new(1_000) }.due(pages)
    }

    #[test]
    fn a_short_log_is_left_alone() {
        assert_eq!(due(0, 999), None);
        assert_eq!(due(900, 999), None);
    }

    #[test]
    fn much_is_moved_while_others_write() {
        // At first; after a reader that stayed; what another program has left.
        for (moved, pages) in [(0, 1_000), (100, 1_200), (1_000, 1_251), (0, 50_000), (20_000, 50_000)] {
            assert_eq!(due(moved, pages), Some(Checkpoint::Passive), "{moved} of {pages}");
        }
    }

    #[test]
    fn the_little_that_is_left_is_moved_while_they_wait() {
        for (moved, pages) in [(1_000, 1_000), (1_000, 1_250), (1_750, 1_999)] {
            assert_eq!(due(moved, pages), Some(Checkpoint::Restart), "{moved} of {pages}");
        }
    }

    #[test]
    fn readers_pause_now_and_then_beside_a_log_that_is_twice_as_long() {
        let mut state = State { moved: 1_950, ..State::new(1_000) };
        assert_eq!(state.due(2_000), Some(Checkpoint::RestartAlone));
        state.moved = 2_000;
        assert_eq!(state.due(2_010), Some(Checkpoint::Restart));
        state.moved = 2_900;
        assert_eq!(state.due(3_000), Some(Checkpoint::RestartAlone));
        assert_eq!(state.due(10), None);
        state.moved = 1_900;
        assert_eq!(state.due(1_999), Some(Checkpoint::Restart), "it was begun anew");
    }
}
