//! What the workspace's tests share, and the pages that are generated from the core.

pub mod compare;
pub mod errors_page;
pub mod load;
pub mod repository;
pub mod schema_page;
pub mod script;
pub mod shrink;
pub mod simulation;
mod tasks;

use std::path::Path;
use std::sync::Arc;

use drawdown::store::Store;
use drawdown::store::memory::MemoryStore;
use drawdown::store::sqlite::SqliteStore;

/// Every store, empty; those that keep a file keep it here.
///
/// # Panics
/// When the file cannot be opened.
#[must_use]
pub fn stores(file: &Path) -> Vec<(&'static str, Arc<dyn Store>)> {
    #[expect(clippy::expect_used, reason = "a tool of tests")]
    let sqlite = SqliteStore::open(file).expect("the file can be opened");
    vec![("memory", Arc::new(MemoryStore::new())), ("sqlite", Arc::new(sqlite))]
}
