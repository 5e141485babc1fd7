//! Failures: few kinds, each telling the caller what to do.

use crate::denial::Denial;
use crate::time::Timestamp;

/// What went wrong outside the rules of the product. Nothing took effect unless [`Error::Unknown`] says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The engine or its store has more work than it can take now. Try again, with the same key.
    #[error("busy: {0}")]
    Busy(String),
    /// The connection to the store was lost while the command was committed, and the store could not yet be asked. Try
    /// again with the same key: it will be answered, not executed twice.
    #[error("the outcome is not known yet: {0}")]
    Unknown(String),
    /// The store refused: disk full, read-only, corrupt, or of a newer version. Mend it, then try again.
    #[error("the store failed: {0}")]
    Store(String),
    /// An account's last booking is ahead of the clock. Set the clock right; nothing was decided.
    #[error("the clock says {now}, more than 5 seconds before the last booking at {last_at}")]
    ClockBehind {
        /// What the clock said.
        now: Timestamp,
        /// When the account was last booked.
        last_at: Timestamp,
    },
    /// A statement could not be written where the caller wanted it. The books are not touched.
    #[error("the statement could not be written: {0}")]
    Output(String),
    /// The engine is closed.
    #[error("the engine is closed")]
    Closed,
    /// The books contradict themselves. `verify` says where; nothing was decided.
    #[error("the books contradict themselves: {0}")]
    Corrupt(String),
}

impl Error {
    /// Whether trying again, unchanged and with the same key, can succeed.
    #[must_use]
    pub const fn retryable(&self) -> bool {
        matches!(self, Error::Busy(_) | Error::Unknown(_))
    }
}

/// Why a command was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// An expected refusal by the rules.
    #[error("{0}")]
    Denied(Box<Denial>),
    /// A failure of the machinery.
    #[error("{0}")]
    Failed(Error),
}

impl Failure {
    /// The denial, if it is one.
    #[must_use]
    pub fn denial(&self) -> Option<&Denial> {
        match self {
            Failure::Denied(denial) => Some(denial),
            Failure::Failed(_) => None,
        }
    }
}

impl From<Denial> for Failure {
    fn from(denial: Denial) -> Failure {
        Failure::Denied(Box::new(denial))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Failed(error)
    }
}
