//! What proves a store and the rules: a conformance suite, a store that fails on purpose, a naive model and a generator of
//! commands (feature `testing`).

pub mod conformance;
pub mod fault;
pub mod gate;
pub mod generate;
pub mod model;
pub mod scripted;
pub mod soundness;
