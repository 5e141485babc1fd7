//! The engine over stores that stall, fail, lose their connection and panic, and over the store in memory.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods, missing_docs)]

mod batching;
mod events;
mod failures;
mod groups;
mod observed;
mod options;
mod reads;
mod scripted;
mod tickets;
