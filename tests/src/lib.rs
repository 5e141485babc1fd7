//! The workspace's tests, and the pages that are generated from the core.

pub mod errors_page;
pub mod repository;
