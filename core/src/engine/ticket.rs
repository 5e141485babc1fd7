//! The promise of an answer: waited for by a thread, or awaited by a task of any runtime.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::GroupFailure;
use super::stats::Outcomes;
use crate::command::Receipt;
use crate::error::{Error, Failure};

/// How a job ended: a receipt for each of its commands, or which of them failed.
pub(super) type Outcome = Result<Vec<Receipt>, GroupFailure>;

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
pub struct Ticket(Arc<Slot>);

impl Ticket {
    /// Waits until the command is answered.
    ///
    /// # Errors
    /// [`Failure`]: why the command was not accepted.
    pub fn wait(self) -> Result<Receipt, Failure> {
        single(self.wait_all())
    }

    /// The answer if it is there, without waiting.
    #[must_use]
    pub fn try_take(&self) -> Option<Result<Receipt, Failure>> {
        self.0.lock().outcome.clone().map(single)
    }

    /// Waits for the answers to all commands of a group.
    pub(super) fn wait_all(self) -> Outcome {
        let mut state = self.0.lock();
        loop {
            if let Some(outcome) = state.outcome.take() {
                return outcome;
            }
            state.is_waited_for = true;
            state = self.0.answered.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Future for Ticket {
    type Output = Result<Receipt, Failure>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.lock();
        if let Some(outcome) = state.outcome.clone() {
            return Poll::Ready(single(outcome));
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(context.waker()),
            empty => *empty = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("outcome", &self.0.lock().outcome).finish()
    }
}

/// The other end of a ticket. It answers exactly once, and counts how: if it is dropped unanswered, it says so.
pub(super) struct Answer {
    slot: Option<Arc<Slot>>,
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

#[derive(Default)]
struct Slot {
    state: Mutex<SlotState>,
    answered: Condvar,
}

#[derive(Default)]
struct SlotState {
    outcome: Option<Outcome>,
    waker: Option<Waker>,
    /// A thread waits. To wake nobody costs a call of the system.
    is_waited_for: bool,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(&self, outcome: Outcome) {
        let mut state = self.lock();
        state.outcome = Some(outcome);
        let (waker, is_waited_for) = (state.waker.take(), state.is_waited_for);
        drop(state);
        if is_waited_for {
            self.answered.notify_all();
        }
        if let Some(waker) = waker {
            // A waker is foreign code: its panic must not keep the other tickets of the batch waiting.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waker.wake()));
        }
    }
}

/// The answer of a job of one command.
fn single(outcome: Outcome) -> Result<Receipt, Failure> {
    let mut receipts = outcome.map_err(|group| group.failure)?;
    receipts.pop().ok_or_else(|| Error::Corrupt("an accepted command has no receipt".to_owned()).into())
}
