//! Tools that prove a store and the engine: the model of the rules, and random commands.

pub mod generate;
pub mod model;
