//! The laws of a store, for the books in memory.
#![cfg(feature = "testing")]

use std::sync::Arc;

use drawdown::store::memory::MemoryStore;

drawdown::store_conformance!(volatile: || Arc::new(MemoryStore::new()));
