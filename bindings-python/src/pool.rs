//! A few threads for what has to wait for the store. They know nothing of Python, so the interpreter can end whatever they do.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use drawdown::Error;

/// The most threads.
const MAX_THREADS: usize = 4;
/// The most jobs that wait.
const MAX_QUEUED: usize = 8_192;
/// A wait for work that took no longer was a short one: after it a thread looks before it parks.
const SHORT_WAIT: Duration = Duration::from_micros(100);
/// So many looks are enough.
const MAX_LOOKS: u32 = 48;

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
    /// Threads that are parked.
    idle: usize,
    /// A thread looks for work before it parks.
    looks: bool,
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
        if state.idle + usize::from(state.looks) <= state.queue.len() && state.threads < MAX_THREADS {
            let shared = Arc::clone(&self.0);
            let name = format!("drawdown-ask-{}", state.threads);
            match thread::Builder::new().name(name).spawn(move || shared.serve()) {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => return Err(Error::Busy(format!("no thread could be started: {error}"))),
                Err(_) => {}
            }
        }
        // To wake a thread is a call of the system: not for what one that looks will see.
        let is_seen = state.idle == 0 || (state.looks && state.queue.is_empty());
        state.queue.push_back(job);
        drop(state);
        if !is_seen {
            self.0.work.notify_one();
        }
        Ok(())
    }

    /// Closes it, and returns once what had begun is done.
    pub(crate) fn finish(&self) {
        self.close();
        let mut state = self.0.lock();
        while state.threads > 0 {
            state = self.0.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
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
        let mut was_short = false;
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                let _ = catch_unwind(AssertUnwindSafe(job));
                state = self.lock();
            } else if state.closed {
                state.threads -= 1;
                self.work.notify_all();
                return;
            } else if was_short && !state.looks {
                state = self.look(state);
                was_short = !state.queue.is_empty();
            } else {
                let parked = Instant::now();
                state.idle += 1;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
                was_short = parked.elapsed() < SHORT_WAIT;
            }
        }
    }

    /// Looks a few times for work. To park and be woken takes longer than most questions do.
    fn look<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.looks = true;
        for _ in 0..MAX_LOOKS {
            drop(state);
            thread::yield_now();
            state = self.lock();
            if state.closed || !state.queue.is_empty() {
                break;
            }
        }
        state.looks = false;
        state
    }
}
