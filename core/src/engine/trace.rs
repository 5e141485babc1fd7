//! Spans and events for whoever subscribes to them (`tracing`). They name ids and kinds: no text of people, no amounts.
//!
//! Without a subscriber each costs a comparison.

use tracing::field::Empty;
use tracing::{Span, debug, debug_span, error, warn};

use crate::command::Command;
use crate::error::Error;
use crate::id::OpId;
use crate::store::{StoreError, StoreErrorKind};

const TARGET: &str = "drawdown";

/// The span of a command, from when it is taken until it is answered; inside the caller's.
pub(super) fn command(command: &Command, op_id: OpId) -> Span {
    debug_span!(target: TARGET, "command", %op_id, tenant = %command.context.tenant_id, kind = %command.body.kind())
}

/// The command goes on under another id.
pub(super) fn renamed(span: &Span, op_id: OpId) {
    span.record("op_id", tracing::field::display(op_id));
}

/// The span of a batch, with all of its tries. It follows from the spans of its commands.
pub(super) fn batch(size: usize) -> Span {
    debug_span!(target: TARGET, "batch", size, tries = Empty)
}

/// The batch has taken in others, and is of this size now.
pub(super) fn grown(batch: &Span, size: usize) {
    batch.record("size", size);
}

/// A try of a batch begins.
pub(super) fn tried(batch: &Span, tries: u32) {
    batch.record("tries", tries);
}

/// A batch is tried again.
pub(super) fn retry(failed: &StoreError) {
    let why = match failed.kind {
        _ if failed.may_have_applied => "connection_lost",
        StoreErrorKind::Conflict => "conflict",
        _ => "contention",
    };
    debug!(target: TARGET, why, "retry");
}

/// Records of the audit were lost.
pub(super) fn audit_lost() {
    warn!(target: TARGET, "audit records lost");
}

/// A command is answered with an error. What its message says stays with the caller.
pub(super) fn failed(command: &Span, failure: &Error) {
    match failure {
        Error::Busy(_) => warn!(target: TARGET, parent: command, "busy"),
        Error::ClockBehind { now, last_at } => warn!(target: TARGET, parent: command, %now, %last_at, "clock behind"),
        Error::Unknown(_) => warn!(target: TARGET, parent: command, "outcome unknown"),
        Error::Corrupt(_) => error!(target: TARGET, parent: command, "corrupt"),
        Error::Store(_) => error!(target: TARGET, parent: command, "store failed"),
        Error::Closed | Error::Output(_) => {}
    }
}
