//! A few threads for what has to wait for the store. They know nothing of Python, so the interpreter can end whatever they do.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use drawdown::Error;

/// The most threads.
const MAX_THREADS: usize = 4;
/// The most jobs that wait.
const MAX_QUEUED: usize = 8_192;

type Job = Box<dyn FnOnce() + Send>;

/// Runs jobs in the order in which they came, on threads that are started when they are needed. Dropping it stops them: what has
/// begun is finished, the rest is never begun.
pub(crate) struct Pool(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Pool {
    pub(crate) fn new() -> Pool {
        Pool(Arc::default())
    }

    /// Queues a job.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many wait, or no thread can be started; [`Error::Closed`].
    pub(crate) fn submit(&self, job: Job) -> Result<(), Error> {
        let mut state = self.0.lock();
        if state.closed {
            return Err(Error::Closed);
        }
        if state.queue.len() >= MAX_QUEUED {
            return Err(Error::Busy(format!("{MAX_QUEUED} questions are waiting")));
        }
        if state.idle <= state.queue.len() && state.threads < MAX_THREADS {
            let shared = Arc::clone(&self.0);
            let name = format!("drawdown-ask-{}", state.threads);
            match thread::Builder::new().name(name).spawn(move || shared.serve()) {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => return Err(Error::Busy(format!("no thread could be started: {error}"))),
                Err(_) => {}
            }
        }
        state.queue.push_back(job);
        drop(state);
        self.0.work.notify_one();
        Ok(())
    }

    /// Takes no more jobs, and begins none that waits.
    pub(crate) fn close(&self) {
        let mut state = self.0.lock();
        state.closed = true;
        let never_begun = std::mem::take(&mut state.queue);
        drop(state);
        self.0.work.notify_all();
        drop(never_begun);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                let _ = catch_unwind(AssertUnwindSafe(job));
                state = self.lock();
            } else if state.closed {
                state.threads -= 1;
                return;
            } else {
                state.idle += 1;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}
