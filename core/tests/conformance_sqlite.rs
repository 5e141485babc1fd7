//! The laws of a store, for the books in a SQLite file.
#![cfg(all(feature = "testing", feature = "sqlite"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use drawdown::store::sqlite::SqliteStore;

drawdown::store_conformance!(durable: {
    let folder = tempfile::tempdir().unwrap();
    move || Arc::new(SqliteStore::open(folder.path().join("books.db")).unwrap())
});
