//! The append-only ledger: operations, their entries, and the chain that proves them.

mod chain;
mod draw;
mod entry;
pub(crate) mod export;
mod operation;
pub(crate) mod posting;
mod query;
pub(crate) mod rules;
pub(crate) mod verify;

pub use chain::{ChainHash, text_hash};
pub use draw::{Draw, DrawLine};
pub use entry::{Entry, EntryKind, EntryText, Terms};
pub use export::{StatementFormat, StatementLine};
pub use operation::{Operation, OperationKind, StoredOperation};
pub use query::{EntryCursor, EntryFilter, EntryPage, EntryQuery, EntryScope, MAX_PAGE, PageOrder};
pub use verify::{Fault, FaultKind, VerifyReport};
