//! Tools that prove a store and the engine: the laws of a store as tests, a store that fails when it is told to, the model of
//! the rules, and random commands.

pub mod conformance;
pub mod fault;
pub mod generate;
pub mod model;
pub mod scripted;
