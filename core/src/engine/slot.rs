//! Where an answer is put for whoever waits for it: a thread, or a task of any runtime.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// An answer that is to come. Once there, it stays.
pub(super) struct Slot<T> {
    state: Mutex<State<T>>,
    answered: Condvar,
}

struct State<T> {
    answer: Option<T>,
    waker: Option<Waker>,
    /// A thread waits. To wake nobody costs a call of the system.
    is_waited_for: bool,
}

impl<T> Default for Slot<T> {
    fn default() -> Slot<T> {
        Slot { state: Mutex::new(State { answer: None, waker: None, is_waited_for: false }), answered: Condvar::new() }
    }
}

impl<T> Slot<T> {
    /// Puts the answer there, and wakes who waits.
    pub(super) fn fill(&self, answer: T) {
        let mut state = self.lock();
        state.answer = Some(answer);
        let (waker, is_waited_for) = (state.waker.take(), state.is_waited_for);
        drop(state);
        if is_waited_for {
            self.answered.notify_all();
        }
        if let Some(waker) = waker {
            // A waker is foreign code: its panic must not keep others waiting for their answers.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waker.wake()));
        }
    }

    /// Waits for the answer, and takes it.
    pub(super) fn wait(&self) -> T {
        let mut state = self.lock();
        loop {
            if let Some(answer) = state.answer.take() {
                return answer;
            }
            state.is_waited_for = true;
            state = self.answered.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits at most this long for the answer, and takes it.
    pub(super) fn wait_for(&self, timeout: Duration) -> Option<T> {
        let mut state = self.lock();
        state.is_waited_for = true;
        let waited = self.answered.wait_timeout_while(state, timeout, |state| state.answer.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.answer.take()
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Slot<T> {
    /// The answer if it is there.
    pub(super) fn get(&self) -> Option<T> {
        self.lock().answer.clone()
    }

    /// The answer if it is there; else the task is woken when it is.
    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<T> {
        let mut state = self.lock();
        if let Some(answer) = state.answer.clone() {
            return Poll::Ready(answer);
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(context.waker()),
            empty => *empty = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}
