//! A lane: a bounded queue and one thread that commits what has queued, a batch at a time.
//!
//! The lane orders nothing that the store does not order: correctness rests on locked anchors and unique keys. It makes
//! batches. A caller that finds the lane idle runs its command in place, on its own thread.

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use super::commit::{Bench, More};
use super::job::Job;
use crate::error::Error;

/// The most commands that one batch has.
pub(super) const MAX_BATCH: usize = 256;
/// The most commands that wait.
pub(super) const MAX_QUEUED: usize = 8_192;
/// So many looks at a queue that does not grow are enough.
const MAX_STILL: u32 = 48;
/// So many are enough at all, of one that does.
const MAX_LOOKS: usize = 8 * MAX_BATCH;
/// A wait for work that took no longer was a short one.
const SHORT_WAIT: Duration = Duration::from_micros(100);
/// About the most bytes that wait.
pub(super) const MAX_QUEUED_BYTES: usize = 64 * 1024 * 1024;

/// A queue, the thread that serves it, and what it runs batches with.
pub(super) struct Lane {
    pub(super) bench: Bench,
    /// The process that opened it. In a child of it there is no thread of the lane, and its locks may be taken for ever.
    process: u32,
    state: Mutex<State>,
    /// There is something to do for the thread.
    work: Condvar,
    /// A batch was taken or has ended. Somebody waits for that only if the state says so.
    moved: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    commands: usize,
    /// The most that there ever were.
    most_commands: usize,
    bytes: usize,
    /// A batch is running, on the lane's thread or in place.
    running: bool,
    closed: bool,
    /// How many threads wait for a batch to be taken or to end. To wake nobody costs a call of the system.
    waiting: usize,
    thread: Option<JoinHandle<()>>,
    /// The thread waits for something to do.
    is_parked: bool,
    /// Of the thread, for as long as the lane lives.
    thread_id: Option<ThreadId>,
}

/// What waits in a lane.
pub(super) struct Depth {
    pub(super) commands: u64,
    pub(super) most_commands: u64,
    pub(super) bytes: u64,
}

impl Lane {
    pub(super) fn new(bench: Bench) -> Arc<Lane> {
        let process = std::process::id();
        Arc::new(Lane { bench, process, state: Mutex::default(), work: Condvar::new(), moved: Condvar::new() })
    }

    /// Refuses to work in a process that was forked from the one that opened the engine.
    pub(super) fn check_process(&self) -> Result<(), Error> {
        if self.process == std::process::id() { Ok(()) } else { Err(forked()) }
    }

    /// Whether commands are still taken.
    pub(super) fn is_open(&self) -> bool {
        !self.lock().closed
    }

    /// What waits now.
    pub(super) fn depth(&self) -> Depth {
        let state = self.lock();
        let [commands, most_commands, bytes] = [state.commands, state.most_commands, state.bytes].map(|count| count as u64);
        Depth { commands, most_commands, bytes }
    }

    /// Runs the jobs in place if the lane is idle, else queues them. Their tickets say how they ended.
    ///
    /// All jobs together fit into one batch.
    pub(super) fn run_or_queue(self: &Arc<Self>, jobs: Vec<Job>, wait_until: Option<Instant>) -> Result<(), Error> {
        if self.check_process().is_err() {
            return refuse(jobs, forked());
        }
        let mut state = self.lock();
        if state.is_own_thread() && !state.closed {
            // What a ticket woke asks for an answer: the lane, which waits for it, could never give it.
            drop(state);
            self.bench.run(jobs, None);
            return Ok(());
        }
        if !state.closed && !state.running && state.queue.is_empty() {
            state.running = true;
            drop(state);
            // It takes in no others: their wakers would be called on the caller's thread, whatever that has locked.
            self.run_batch(jobs, None);
            return Ok(());
        }
        if let Some(deadline) = wait_until {
            while !state.closed && !state.has_room(&jobs) {
                let left = deadline.saturating_duration_since(self.bench.pause.now());
                if left.is_zero() {
                    break;
                }
                state.waiting += 1;
                state = self.moved.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
                state.waiting -= 1;
            }
        }
        self.push(state, jobs)
    }

    /// Queues a job for the lane's thread.
    pub(super) fn queue(self: &Arc<Self>, job: Job) -> Result<(), Error> {
        if self.check_process().is_err() {
            return refuse(vec![job], forked());
        }
        self.push(self.lock(), vec![job])
    }

    /// Takes no more commands, and returns once those that it took are answered.
    pub(super) fn close(&self) {
        if self.check_process().is_err() {
            return; // What was taken is the parent's to answer.
        }
        let mut state = self.lock();
        state.closed = true;
        self.work.notify_all();
        self.moved.notify_all();
        if state.is_own_thread() {
            return; // Closed by what a ticket woke: this thread ends by itself, when the rest is answered.
        }
        let thread = state.thread.take();
        while state.running || !state.queue.is_empty() {
            state.waiting += 1;
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        drop(state);
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(self: &Arc<Self>, state: MutexGuard<'_, State>, mut jobs: Vec<Job>) -> Result<(), Error> {
        match self.take(state, &mut jobs) {
            Ok(()) => Ok(()),
            Err(error) => refuse(jobs, error),
        }
    }

    fn take(self: &Arc<Self>, mut state: MutexGuard<'_, State>, jobs: &mut Vec<Job>) -> Result<(), Error> {
        if state.closed {
            return Err(Error::Closed);
        }
        if !state.has_room(jobs) {
            return Err(Error::Busy(format!("{} commands are waiting", state.commands)));
        }
        if state.thread.is_none() {
            let thread = self.start()?;
            state.thread_id = Some(thread.thread().id());
            state.thread = Some(thread);
        }
        for job in jobs.drain(..) {
            state.commands += job.commands();
            state.bytes += job.bytes();
            state.queue.push_back(job);
        }
        state.most_commands = state.most_commands.max(state.commands);
        let is_parked = state.is_parked;
        drop(state);
        if is_parked {
            self.work.notify_one();
        }
        Ok(())
    }

    fn start(self: &Arc<Self>) -> Result<JoinHandle<()>, Error> {
        let lane = Arc::clone(self);
        let thread = thread::Builder::new().name("drawdown-lane".to_owned()).spawn(move || lane.serve());
        thread.map_err(|error| Error::Busy(format!("no thread could be started: {error}")))
    }

    /// The thread of the lane: takes what has queued, runs it, answers, repeats; parked when there is nothing.
    fn serve(&self) {
        let mut state = self.lock();
        let mut last = Turn::default();
        let mut lingers = false;
        loop {
            if state.running || state.queue.is_empty() {
                if state.closed && state.queue.is_empty() {
                    return;
                }
                state = self.wait_for_work(state, &mut lingers);
                continue;
            }
            if !last.grew.get() {
                state = self.gather(state, last.commands.get());
            }
            let jobs = state.take_batch(MAX_BATCH);
            state.running = true;
            self.tell_moved(state);
            let turn = Turn::of(&jobs);
            let more = |room: usize| self.take_more(room, &last, &turn);
            self.run_batch(self.bench.drop_late(jobs), Some(&more));
            last = turn;
            state = self.lock();
        }
    }

    /// Waits until there may be something to do. To park and be woken takes both sides longer than a command does: if the last wait was
    /// a short one, it looks a few times before it parks.
    fn wait_for_work<'a>(&'a self, mut state: MutexGuard<'a, State>, lingers: &mut bool) -> MutexGuard<'a, State> {
        for _ in 0..if *lingers { MAX_STILL } else { 0 } {
            drop(state);
            thread::yield_now();
            state = self.lock();
            if state.closed || !(state.running || state.queue.is_empty()) {
                return state;
            }
        }
        let parked = self.bench.pause.now();
        state.is_parked = true;
        state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        state.is_parked = false;
        *lingers = self.bench.pause.now().saturating_duration_since(parked) < SHORT_WAIT;
        state
    }

    /// Takes what has queued while a batch of the thread's runs, which has room for so many commands.
    fn take_more(&self, room: usize, last: &Turn, turn: &Turn) -> Vec<Job> {
        turn.grew.set(true);
        let mut state = self.lock();
        if state.queue.is_empty() && turn.commands.get() < last.commands.get() {
            state = self.gather(state, 1);
        }
        let jobs = state.take_batch(room);
        if !jobs.is_empty() {
            turn.note(&jobs);
            self.tell_moved(state);
        }
        jobs
    }

    /// Waits for a moment, while commands come in, until so many wait: those who were answered with the last batch
    /// ask again at once, and a commit for a few of them would have the others wait for another. A queue that does not grow is
    /// looked at only so often, and a caller alone is never waited for.
    fn gather<'a>(&'a self, mut state: MutexGuard<'a, State>, wanted: usize) -> MutexGuard<'a, State> {
        let (mut seen, mut still) = (state.commands, 0);
        for _ in 0..MAX_LOOKS {
            if state.closed || state.commands >= wanted || still > MAX_STILL {
                break;
            }
            drop(state);
            thread::yield_now();
            state = self.lock();
            still = if state.commands > seen { 0 } else { still + 1 };
            seen = state.commands;
        }
        state
    }

    /// Runs a batch in the turn that the caller has taken, and ends the turn. A job that a panic drops is answered by its
    /// ticket.
    fn run_batch(&self, jobs: Vec<Job>, more: Option<More<'_>>) {
        let _ = catch_unwind(AssertUnwindSafe(|| self.bench.run(jobs, more)));
        let mut state = self.lock();
        state.running = false;
        let more = state.is_parked && !state.queue.is_empty();
        self.tell_moved(state);
        if more {
            self.work.notify_one();
        }
    }

    /// Wakes those who wait for a batch to be taken or to end.
    fn tell_moved(&self, state: MutexGuard<'_, State>) {
        let is_waited_for = state.waiting > 0;
        drop(state);
        if is_waited_for {
            self.moved.notify_all();
        }
    }
}

/// Answers all with an error, and answers it.
fn refuse(jobs: Vec<Job>, error: Error) -> Result<(), Error> {
    jobs.into_iter().for_each(|job| job.answer_error(error.clone()));
    Err(error)
}

pub(super) fn forked() -> Error {
    Error::Store("the engine was opened by another process; after a fork, open it anew in the child".to_owned())
}

/// A turn of the thread.
#[derive(Default)]
struct Turn {
    commands: Cell<usize>,
    /// The store has asked for more before it committed: then nothing is waited for before it begins.
    grew: Cell<bool>,
}

impl Turn {
    fn of(jobs: &[Job]) -> Turn {
        let turn = Turn::default();
        turn.note(jobs);
        turn
    }

    fn note(&self, jobs: &[Job]) {
        let commands: usize = jobs.iter().map(Job::commands).sum();
        self.commands.set(self.commands.get() + commands);
    }
}

impl State {
    /// Whether the lane's own thread asks.
    fn is_own_thread(&self) -> bool {
        self.thread_id.is_some_and(|id| id == thread::current().id())
    }

    /// Whether these can wait here too. An empty queue takes any batch, so that a large one is not refused for ever.
    fn has_room(&self, jobs: &[Job]) -> bool {
        let commands: usize = jobs.iter().map(Job::commands).sum();
        let bytes: usize = jobs.iter().map(Job::bytes).sum();
        self.queue.is_empty() || (self.commands + commands <= MAX_QUEUED && self.bytes.saturating_add(bytes) <= MAX_QUEUED_BYTES)
    }

    /// The jobs that waited longest, of so many commands at the most.
    fn take_batch(&mut self, room: usize) -> Vec<Job> {
        let mut jobs = Vec::with_capacity(self.queue.len().min(room));
        let mut commands = 0;
        while self.queue.front().is_some_and(|job| commands + job.commands() <= room) {
            let Some(job) = self.queue.pop_front() else { break };
            commands += job.commands();
            self.commands -= job.commands();
            self.bytes -= job.bytes();
            jobs.push(job);
        }
        jobs
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::command::Context;
    use crate::credit::GrantType;
    use crate::{Engine, Error, Failure, GrantCredit, Owner};

    /// As if the engine had been opened before a fork: nothing waits, whatever was under way in the parent.
    #[test]
    fn a_forked_process_is_refused() {
        let mut engine = Engine::in_memory();
        let lane = Arc::get_mut(&mut Arc::get_mut(&mut engine.inner).unwrap().lane).unwrap();
        lane.process = lane.process.wrapping_add(1);
        lane.state.get_mut().unwrap().running = true;
        let request =
            Context::tenant("acme").unwrap().request(GrantCredit::new(Owner::Pool, GrantType::Trial, "1".parse().unwrap()));
        let is_forked = |failure: &Failure| matches!(failure, Failure::Failed(Error::Store(why)) if why.contains("fork"));
        let command = request.clone().into_command();
        assert!(is_forked(&engine.submit(command.clone()).unwrap_err()));
        assert!(is_forked(&engine.execute_many(vec![command.clone()])[0].clone().unwrap_err()));
        assert!(is_forked(&engine.execute_all(vec![command]).unwrap_err().failure));
        assert!(is_forked(&engine.execute(request).unwrap_err()));
        assert!(is_forked(&engine.feed(None, 0, 1).unwrap_err()));
        engine.close();
    }
}
