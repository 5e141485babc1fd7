//! The promise of an answer: waited for by a thread, or awaited by a task of any runtime.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::GroupFailure;
use super::slot::Slot;
use super::stats::Outcomes;
use crate::command::Receipt;
use crate::error::{Error, Failure};

/// How a job ended: a receipt for each of its commands, or which of them failed.
pub(super) type Outcome = Result<Receipts, GroupFailure>;

/// The receipts of a job.
#[derive(Clone, Debug)]
pub(super) enum Receipts {
    /// Of a single command, as nearly always.
    One(Receipt),
    /// Of a group, in the order of its commands.
    Group(Vec<Receipt>),
}

impl Receipts {
    pub(super) fn as_slice(&self) -> &[Receipt] {
        match self {
            Receipts::One(receipt) => std::slice::from_ref(receipt),
            Receipts::Group(receipts) => receipts,
        }
    }
}

/// Promises the answer to a command that was submitted.
///
/// Wait for it with [`Ticket::wait`], or await it: it is a future, tied to no runtime. Dropping it does not cancel the command.
/// Once there, the answer stays: asking again answers the same.
///
/// The waker of a task may be called on the engine's own thread, which answers everybody: it may give commands to the engine,
/// which then run in place, but must not wait for another ticket of it.
///
/// # Examples
/// ```
/// use drawdown::{Context, Engine, GrantCredit, GrantType, Owner};
/// let engine = Engine::in_memory();
/// let grant = GrantCredit::new(Owner::user("u1")?, GrantType::Purchased, "10".parse()?);
/// let ticket = engine.submit(Context::tenant("acme")?.request(grant).into_command())?;
/// assert_eq!(ticket.wait()?.to_json()["balance_after"], "10");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Ticket(Arc<Slot<Outcome>>);

impl Ticket {
    /// Waits until the command is answered.
    ///
    /// # Errors
    /// [`Failure`]: why the command was not accepted.
    pub fn wait(self) -> Result<Receipt, Failure> {
        single(self.0.wait())
    }

    /// The answer if it is there, without waiting.
    #[must_use]
    pub fn try_take(&self) -> Option<Result<Receipt, Failure>> {
        self.0.get().map(single)
    }

    /// Waits for the answers to all commands of a group.
    pub(super) fn wait_all(self) -> Result<Vec<Receipt>, GroupFailure> {
        self.0.wait().map(|receipts| match receipts {
            Receipts::One(receipt) => vec![receipt],
            Receipts::Group(receipts) => receipts,
        })
    }
}

impl Future for Ticket {
    type Output = Result<Receipt, Failure>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(context).map(single)
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("outcome", &self.0.get()).finish()
    }
}

/// The other end of a ticket. It answers exactly once, and counts how: if it is dropped unanswered, it says so.
pub(super) struct Answer {
    slot: Option<Arc<Slot<Outcome>>>,
    outcomes: Arc<Outcomes>,
}

impl Answer {
    /// Answers the ticket.
    pub(super) fn send(mut self, outcome: Outcome) {
        self.fill(outcome);
    }

    fn fill(&mut self, outcome: Outcome) {
        if let Some(slot) = self.slot.take() {
            self.outcomes.note(&outcome);
            slot.fill(outcome);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.fill(Err(Error::Unknown("the command was given up before it was answered".to_owned()).into()));
    }
}

/// A ticket, and the end that answers it.
pub(super) fn ticket(outcomes: &Arc<Outcomes>) -> (Answer, Ticket) {
    let slot = Arc::new(Slot::default());
    (Answer { slot: Some(Arc::clone(&slot)), outcomes: Arc::clone(outcomes) }, Ticket(slot))
}

/// The answer of a job of one command.
fn single(outcome: Outcome) -> Result<Receipt, Failure> {
    match outcome.map_err(|group| group.failure)? {
        Receipts::One(receipt) => Ok(receipt),
        Receipts::Group(mut receipts) => {
            receipts.pop().ok_or_else(|| Error::Corrupt("an accepted command has no receipt".to_owned()).into())
        }
    }
}
