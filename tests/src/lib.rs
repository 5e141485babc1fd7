//! What the workspace's tests share, and the pages that are generated from the core.

pub mod errors_page;
pub mod load;
pub mod repository;
pub mod script;

use std::path::Path;
use std::sync::Arc;

use drawdown::store::Store;
use drawdown::store::memory::MemoryStore;

/// Every store, empty; those that keep a file keep it here.
#[must_use]
pub fn stores(_file: &Path) -> Vec<(&'static str, Arc<dyn Store>)> {
    vec![("memory", Arc::new(MemoryStore::new()))]
}
