//! The log of a file: when what stands in it moves into the file, and it begins anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::error;
use super::readers::Readers;
use crate::store::StoreError;

/// With so many pages, which are 64 MB, what stands in the log moves into the file after each commit.
const FULL: u32 = 16_000;

/// How long the log is, and when it is begun anew.
///
/// SQLite begins a log anew when a writer comes after everything was moved and while nobody reads it. Where readers or other writers
/// never pause there is no such moment: it has to be taken, by locking the log for an instant. The log is not cut off then but written
/// over, for to cut off 128 MB takes a disk 40 ms in which nobody can write or read.
#[derive(Debug)]
pub(super) struct Log {
    /// So many pages it had after the last commit of this store.
    pages: Arc<AtomicU32>,
    full: u32,
    /// From so many on the readers of this store are made to pause, the next time.
    pause: AtomicU32,
}

enum Checkpoint {
    /// Moves what it can, while others read and write.
    Passive,
    /// Moves everything, so that the next who writes begins the log anew. Moves what it can while others write, or read what is not in
    /// the file.
    Restart,
}

impl Log {
    /// Has SQLite tell with each commit of this connection how long the log is, which then moves nothing by itself.
    pub(super) fn watch(connection: &mut Connection) -> Result<Log, StoreError> {
        let pages = Arc::new(AtomicU32::new(0));
        let told = Arc::clone(&pages);
        let note = move |_: &mut Wal, count: i32| {
            told.store(count.unsigned_abs(), Ordering::Relaxed);
            Ok(())
        };
        connection.wal_hook(Some(note)).map_err(error::store_error)?;
        Ok(Log { pages, full: FULL, pause: AtomicU32::new(0) })
    }

    /// Keeps it from growing, after a commit. What was committed stands whatever comes of it.
    pub(super) fn bound(&self, writer: &Connection, readers: &Readers) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.full {
            return self.pause.store(self.full * 2, Ordering::Relaxed);
        }
        // At first nearly all is moved while others write. The rest is little, and the moment after a commit is when others, who look for
        // the lock now and then, are least likely to have it.
        if pages < self.full + self.full / 16 {
            checkpoint(writer, Checkpoint::Passive);
        } else if pages < self.pause.load(Ordering::Relaxed) {
            checkpoint(writer, Checkpoint::Restart);
        } else {
            self.pause.store(pages.saturating_add(self.full), Ordering::Relaxed);
            readers.hold(|| checkpoint(writer, Checkpoint::Restart));
        }
    }

    /// Takes it for full with so many pages.
    #[cfg(test)]
    pub(super) fn set_full(&mut self, pages: u32) {
        self.full = pages;
    }

    /// How many pages it had after the last commit of this store.
    #[cfg(test)]
    pub(super) fn pages(&self) -> u32 {
        self.pages.load(Ordering::Relaxed)
    }
}

/// Where it fails, the log stays until the next one.
fn checkpoint(writer: &Connection, how: Checkpoint) {
    let sql = match how {
        Checkpoint::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        Checkpoint::Restart => "PRAGMA wal_checkpoint(RESTART)",
    };
    let _ = writer.query_row(sql, [], |_| Ok(()));
}
