//! The trailing writer: one thread that writes what the audit can have a moment later, many records at a time.
//!
//! What it has not written is lost when the process ends without closing the engine.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::refusals::{Desk, First, is_refusal, write_first};
use super::trace;
use crate::audit::AuditRecord;
use crate::error::Error;
use crate::store::{StoreError, StoreErrorKind};

/// The most records that wait. Beyond them a record is lost, and counted.
pub(super) const MAX_WAITING: usize = 8_192;
/// About the most bytes that wait.
const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;
/// About how many bytes a record has besides its details.
const RECORD_BYTES: usize = 512;
/// How long records are gathered before they are written: with the write they are at most 50 ms behind, if the store is not busy.
const GATHER: Duration = Duration::from_millis(20);
/// The most records that are written at once.
const MAX_WRITTEN: usize = 256;
/// A write is tried so often.
const MAX_TRIES: u32 = 100;
/// How long it is waited between two tries.
const BETWEEN_TRIES: Duration = Duration::from_millis(50);
/// How long all that waits is tried once the engine is closed: whoever closes it may be who keeps the store from being written.
const CLOSING: Duration = Duration::from_secs(5);

/// Records that wait, and the thread that writes them.
pub(super) struct Trail {
    desk: Desk,
    process: u32,
    closed_at: OnceLock<Instant>,
    /// The store could not be written until the end: what waits still is lost.
    given_up: AtomicBool,
    state: Mutex<State>,
    /// There is something to do for the thread.
    work: Condvar,
    /// Something was written.
    moved: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<AuditRecord>,
    bytes: usize,
    /// How many came.
    taken: u64,
    /// How many were written or lost.
    done: u64,
    /// How many were lost.
    lost: u64,
    /// Why, since it was last asked.
    failed: Option<Error>,
    /// Somebody waits until all is written.
    hurries: bool,
    closed: bool,
    thread: Option<JoinHandle<()>>,
}

/// What the trailing writer has done, and what waits.
pub(super) struct TrailDepth {
    pub(super) waiting: u64,
    pub(super) lost: u64,
}

impl Trail {
    pub(super) fn new(desk: Desk) -> Arc<Trail> {
        let process = std::process::id();
        let (closed_at, given_up, state) = (OnceLock::new(), AtomicBool::new(false), Mutex::default());
        Arc::new(Trail { desk, process, closed_at, given_up, state, work: Condvar::new(), moved: Condvar::new() })
    }

    /// Takes a record, to be written in a moment. Never waits: what finds no room is lost, and counted.
    pub(super) fn push(self: &Arc<Self>, record: AuditRecord) {
        if self.is_forked() {
            return;
        }
        let mut state = self.lock();
        // Refusals of one name add up where they stand.
        let same = |other: &&mut AuditRecord| {
            is_refusal(&record) && (&other.tenant_id, other.audit_id) == (&record.tenant_id, record.audit_id)
        };
        if let Some(waiting) = state.waiting.iter_mut().rev().find(same) {
            waiting.count = waiting.count.saturating_add(record.count);
            return;
        }
        let has_room = state.waiting.len() < MAX_WAITING && state.bytes < MAX_WAITING_BYTES;
        if state.closed || !has_room || !self.has_thread(&mut state) {
            state.lost = state.lost.saturating_add(record.count);
            state.failed = Some(Error::Busy(format!("{} records of the audit wait", state.waiting.len())));
            drop(state);
            trace::audit_lost();
            return;
        }
        state.bytes += bytes_of(&record);
        state.waiting.push_back(record);
        state.taken += 1;
        let is_first = state.waiting.len() == 1;
        drop(state);
        if is_first {
            self.work.notify_one();
        }
    }

    /// Returns once all that was taken before is written, or lost.
    pub(super) fn flush(&self) -> Result<(), Error> {
        if self.is_forked() {
            return Err(super::lane::forked());
        }
        let mut state = self.lock();
        let until = state.taken;
        while state.done < until {
            state.hurries = true;
            self.work.notify_one();
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.failed.take().map_or(Ok(()), Err)
    }

    /// Takes no more, and returns once all is written or lost: soon, also where the store cannot be written.
    #[expect(clippy::disallowed_methods, reason = "waiting for the store is measured on the host's clock; no decision reads it")]
    pub(super) fn close(&self) {
        if self.is_forked() {
            return;
        }
        self.closed_at.get_or_init(Instant::now);
        let mut state = self.lock();
        state.closed = true;
        let thread = state.thread.take();
        drop(state);
        self.work.notify_one();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }

    pub(super) fn depth(&self) -> TrailDepth {
        let state = self.lock();
        TrailDepth { waiting: state.waiting.len() as u64, lost: state.lost }
    }

    fn is_forked(&self) -> bool {
        self.process != std::process::id()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread with the first record.
    fn has_thread(self: &Arc<Self>, state: &mut State) -> bool {
        if state.thread.is_none() {
            let trail = Arc::clone(self);
            state.thread = thread::Builder::new().name("drawdown-audit".to_owned()).spawn(move || trail.serve()).ok();
        }
        state.thread.is_some()
    }

    /// The thread: gathers for a moment, writes, repeats; parked when there is nothing.
    fn serve(&self) {
        let mut state = self.lock();
        loop {
            while state.waiting.is_empty() {
                if state.closed {
                    return;
                }
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let gathers = |state: &mut State| !state.closed && !state.hurries && state.waiting.len() < MAX_WRITTEN;
            state = self.work.wait_timeout_while(state, GATHER, gathers).unwrap_or_else(PoisonError::into_inner).0;
            let size = state.waiting.len().min(MAX_WRITTEN);
            let records: Vec<AuditRecord> = state.waiting.drain(..size).collect();
            state.bytes = state.bytes.saturating_sub(records.iter().map(bytes_of).sum());
            drop(state);
            let written = catch_unwind(AssertUnwindSafe(|| self.write(&records)));
            let given_up = || Written::lost(&records, Error::Store("the store gave up".to_owned()));
            let written = written.unwrap_or_else(|_| given_up());
            if written.lost > 0 {
                trace::audit_lost();
            }
            state = self.lock();
            state.done += size as u64;
            state.lost = state.lost.saturating_add(written.lost);
            if written.failed.is_some() {
                state.failed = written.failed;
            }
            if state.waiting.is_empty() {
                state.hurries = false;
            }
            self.moved.notify_all();
        }
    }

    fn write(&self, records: &[AuditRecord]) -> Written {
        let mut written = Written::default();
        // Those of staged commands can be the first of their names.
        let is_new = |record: &&AuditRecord| is_refusal(record) && !self.desk.refusals.knows(record);
        let (new, mut rest): (Vec<&AuditRecord>, Vec<&AuditRecord>) = records.iter().partition(is_new);
        for record in new {
            match self.first(record) {
                Ok(first) => {
                    self.desk.refusals.learn([(record.tenant_id.clone(), record.audit_id)]);
                    match first {
                        First::Known => rest.push(record),
                        First::Written if record.count > 1 => written.add(self.record(vec![more(record)])),
                        First::Written => {}
                    }
                }
                Err(error) => written.add(Written::lost(std::slice::from_ref(record), error.into())),
            }
        }
        if !rest.is_empty() {
            written.add(self.record(rest.into_iter().cloned().collect()));
        }
        written
    }

    /// Writes what may be the first refusal of its name.
    fn first(&self, record: &AuditRecord) -> Result<First, StoreError> {
        let mut tries = 0;
        while !self.given_up.load(Ordering::Relaxed) {
            match write_first(&*self.desk.store, &*self.desk.clock, record) {
                Err(error) if error.kind == StoreErrorKind::Transient && self.may_retry(tries) => thread::sleep(BETWEEN_TRIES),
                outcome => return outcome,
            }
            tries += 1;
        }
        Err(closed())
    }

    /// Whether a write that has failed so often is tried again.
    fn may_retry(&self, tries: u32) -> bool {
        if self.closed_at.get().is_some_and(|at| at.elapsed() >= CLOSING) {
            self.given_up.store(true, Ordering::Relaxed);
            return false;
        }
        tries < MAX_TRIES
    }

    /// Writes these. A lost reply leaves it open whether counts were raised: they are not raised again.
    fn record(&self, mut records: Vec<AuditRecord>) -> Written {
        let (mut written, mut tries) = (Written::default(), 0);
        while !records.is_empty() {
            if self.given_up.load(Ordering::Relaxed) {
                written.add(Written::lost(&records, closed().into()));
                return written;
            }
            let Err(error) = self.desk.store.record(&records) else { return written };
            if error.may_have_applied {
                let (counts, rest): (Vec<AuditRecord>, Vec<AuditRecord>) = records.into_iter().partition(is_refusal);
                written.add(Written::lost(&counts, error.clone().into()));
                records = rest;
            }
            tries += 1;
            if !self.may_retry(tries) || !(error.is_transient() || error.may_have_applied) {
                written.add(Written::lost(&records, error.into()));
                return written;
            }
            thread::sleep(BETWEEN_TRIES);
        }
        written
    }
}

fn closed() -> StoreError {
    StoreError::new(StoreErrorKind::Transient, "the engine was closed before the store could be written")
}

fn bytes_of(record: &AuditRecord) -> usize {
    RECORD_BYTES + record.details.len()
}

/// The refusals after the first.
fn more(record: &AuditRecord) -> AuditRecord {
    AuditRecord { count: record.count - 1, ..record.clone() }
}

/// How a write went.
#[derive(Default)]
struct Written {
    lost: u64,
    failed: Option<Error>,
}

impl Written {
    fn lost(records: &[AuditRecord], error: Error) -> Written {
        let lost = records.iter().map(|record| record.count).fold(0, u64::saturating_add);
        Written { lost, failed: (lost > 0).then_some(error) }
    }

    fn add(&mut self, other: Written) {
        self.lost = self.lost.saturating_add(other.lost);
        self.failed = other.failed.or(self.failed.take());
    }
}
