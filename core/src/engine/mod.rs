//! To come.
/// s
pub struct Balance;
/// s
pub struct Engine;
/// s
pub struct EngineBuilder;
/// s
pub struct Ticket;
