//! For those who write stores, and for the engine's own tests: the laws of a store as tests, and a store that fails when it
//! is told to.

pub mod conformance;
pub mod scripted;
