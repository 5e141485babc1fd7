//! The append-only ledger: operations, their entries, and the chain that proves them.

mod alert;
mod chain;
pub(crate) mod checkpoint;
mod draw;
mod entry;
pub(crate) mod export;
mod hash;
mod operation;
pub(crate) mod posting;
mod query;
pub(crate) mod rules;
mod since;
pub(crate) mod verify;

pub use alert::{Alert, AlertRule};
pub use chain::text_hash;
pub use checkpoint::{AccountHead, Checkpoint};
pub use draw::{Draw, DrawLine};
pub use entry::{Entry, EntryKind, EntryText, Terms};
pub use export::{StatementFormat, StatementLine};
pub(crate) use hash::bytes_of;
pub use hash::{ChainHash, CheckpointDigest};
pub use operation::{Operation, OperationKind, StoredOperation};
pub use query::{EntryCursor, EntryFilter, EntryPage, EntryQuery, EntryScope, MAX_PAGE, PageOrder};
pub use verify::{Fault, FaultKind, VerifyOptions, VerifyReport};
