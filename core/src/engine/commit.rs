//! One batch against the store: tried until it is committed, refused, or out of time; and every job answered.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use tracing::Span;

use super::health::micros_after;
use super::job::{Job, panic_text};
use super::lane::MAX_BATCH;
use super::pause::Pause;
use super::refusals::{Kept, Outbox, Refusals};
use super::stats::{Decided, Work};
use super::trace;
use super::trail::Trail;
use super::watch::Watch;
use crate::changes::{Changes, Looks};
use crate::error::Error;
use crate::facts::{Facts, Needs};
use crate::id::{AuditId, OpId, TenantId};
use crate::ledger::StoredOperation;
use crate::map::Map;
use crate::store::{Answer, Batch, Query, Store, StoreError, StoreErrorKind};
use crate::time::{Clock, Timestamp};

/// Takes the jobs that have come meanwhile, of so many commands at the most; none when there are none.
pub(super) type More<'a> = &'a dyn Fn(usize) -> Vec<Job>;

/// What a batch is run with.
pub(super) struct Bench {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) pause: Pause,
    pub(super) work: Work,
    /// Shared with those who wait, so that they can leave.
    pub(super) watch: Arc<Watch>,
    /// How far back events are handed out, in microseconds.
    pub(super) event_retention_micros: i64,
    pub(super) refusals: Arc<Refusals>,
    pub(super) trail: Arc<Trail>,
}

impl Bench {
    /// Runs these jobs as one batch and answers each of them. `more`: whence it grows until it is committed.
    pub(super) fn run(&self, jobs: Vec<Job>, more: Option<More<'_>>) {
        self.run_in_doubt(self.drop_unbegun(jobs), false, more);
    }

    /// Answers those that had to begin before now.
    fn drop_unbegun(&self, jobs: Vec<Job>) -> Vec<Job> {
        if !jobs.iter().any(Job::has_deadline) {
            return jobs;
        }
        let now = self.clock.now();
        let (late, rest) = jobs.into_iter().partition(|job| job.is_late(now));
        answer_all(late, &super::job::late());
        rest
    }

    /// Answers those that waited past their deadline; else a queue behind a locked file would wait once more for each batch.
    pub(super) fn drop_late(&self, jobs: Vec<Job>) -> Vec<Job> {
        let now = self.pause.now();
        let (late, rest): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| job.deadline() <= now);
        answer_all(late, &Error::Busy("the deadline passed while the command waited".to_owned()));
        rest
    }

    /// `in_doubt`: an earlier try may have been committed, or may yet be. Only the first try takes in others.
    fn run_in_doubt(&self, mut jobs: Vec<Job>, mut in_doubt: bool, mut more: Option<More<'_>>) {
        let mut tries = 0;
        let span = trace::batch(jobs.iter().map(Job::commands).sum());
        jobs.iter().for_each(|job| job.lead_to(&span));
        let _entered = span.enter();
        while !jobs.is_empty() {
            trace::tried(&span, tries + 1);
            let failed = match self.try_once(&mut jobs, in_doubt, more.take(), &span) {
                Ok(kept) if in_doubt => return self.confirm(jobs, kept),
                Ok(kept) => {
                    self.keep(kept);
                    return jobs.into_iter().for_each(Job::answer_decided);
                }
                Err(failed) => failed,
            };
            self.note_failed(&failed);
            in_doubt |= failed.error.may_have_applied && !failed.panicked;
            // A unique key that is taken can be the id of an operation: its own, or by chance another command's.
            if failed.error.may_have_applied || failed.error.kind == StoreErrorKind::Conflict {
                match self.find(&jobs) {
                    Ok(found) => jobs = self.take_found(jobs, &found),
                    Err(error) if in_doubt || failed.error.may_have_applied => {
                        self.work.note_given_up(&error);
                        return answer_all(jobs, &error);
                    }
                    Err(_) => {}
                }
                // Or the name of a refusal, which others have told of first: it is known now, so it stands in nobody's way again.
                let ask = |query: &Query| self.ask(query, self.pause.now());
                if failed.error.kind == StoreErrorKind::Conflict && self.refusals.look_up(&failed.refusals, ask) == Ok(true) {
                    continue;
                }
            }
            if !failed.can_be_tried_again() {
                return self.isolate(jobs, failed.error, in_doubt);
            }
            jobs = self.expire(jobs, &failed.error, in_doubt);
            if !jobs.is_empty() {
                trace::retry(&failed.error);
                self.work.note_retry();
                self.pause.sleep(tries);
                tries += 1;
            }
        }
    }

    /// One call of the store. A panic in it is a failure whose effect is not known.
    fn try_once(&self, jobs: &mut Vec<Job>, in_doubt: bool, more: Option<More<'_>>, span: &Span) -> Result<Kept, Failed> {
        let asked = self.pause.now();
        let mut batch = DecideBatch::new(jobs, self, in_doubt).growing(more, span);
        match catch_unwind(AssertUnwindSafe(|| self.store.run(&mut batch))) {
            Ok(Ok(())) => {
                let commands = batch.jobs.iter().map(Job::commands).sum();
                self.work.note_batch(commands, asked, batch.decided, self.pause.now());
                self.watch.note_commit();
                Ok(batch.kept)
            }
            Ok(Err(error)) => {
                if error.may_have_applied {
                    self.watch.note_commit();
                }
                Err(Failed { error, panicked: false, refusals: batch.kept.first })
            }
            Err(panic) => {
                let message = format!("the store gave up: {}", panic_text(&*panic));
                let error = StoreError { kind: StoreErrorKind::Permanent, may_have_applied: true, message };
                Err(Failed { error, panicked: true, refusals: Vec::new() })
            }
        }
    }

    /// Goes on with the refusals of a batch that is committed.
    pub(super) fn keep(&self, kept: Kept) {
        if !kept.first.is_empty() {
            self.refusals.learn(kept.first);
        }
        kept.later.into_iter().for_each(|record| self.trail.push(record));
    }

    /// Answers the jobs whose operations were found, and gives back the others.
    fn take_found(&self, jobs: Vec<Job>, found: &Map<OpId, Arc<StoredOperation>>) -> Vec<Job> {
        let left = jobs.into_iter().filter_map(|job| job.answer_found(found));
        left.map(|job| job.rename(found, || self.pause.random())).collect()
    }

    /// Answers a committed batch of which an earlier try may have been committed too: what was refused this time may
    /// have been accepted then.
    fn confirm(&self, jobs: Vec<Job>, mut kept: Kept) {
        let found = self.find(&jobs);
        // What took effect before was not refused now; of what cannot be told nothing is counted.
        kept.later.retain(|record| found.as_ref().is_ok_and(|found| record.op_id.is_none_or(|id| !found.contains_key(&id))));
        self.keep(kept);
        match found {
            Ok(found) => jobs.into_iter().filter_map(|job| job.answer_found(&found)).for_each(Job::answer_decided),
            Err(error) => {
                let (accepted, refused) = jobs.into_iter().partition(Job::is_accepted);
                answer_all(refused, &error);
                Vec::<Job>::into_iter(accepted).for_each(Job::answer_decided);
            }
        }
    }

    /// Runs each job of a failed batch alone, once, so that only the culprit is answered with the error.
    fn isolate(&self, jobs: Vec<Job>, error: StoreError, in_doubt: bool) {
        if jobs.len() > 1 {
            return jobs.into_iter().for_each(|job| self.run_in_doubt(vec![job], in_doubt, None));
        }
        let error = settled_error(error, in_doubt);
        self.work.note_given_up(&error);
        answer_all(jobs, &error);
    }

    /// Answers the jobs that are out of time; the others are tried again.
    fn expire(&self, jobs: Vec<Job>, error: &StoreError, in_doubt: bool) -> Vec<Job> {
        let now = self.pause.now();
        let (late, rest): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| job.deadline() <= now);
        if !late.is_empty() {
            let error = settled_error(error.clone(), in_doubt);
            self.work.note_given_up(&error);
            answer_all(late, &error);
        }
        rest
    }

    fn note_failed(&self, failed: &Failed) {
        match failed.error.kind {
            StoreErrorKind::Conflict => self.work.note_conflict(),
            StoreErrorKind::ClockBehind { now, last_at } => self.work.note_skew(micros_after(now, last_at)),
            _ => {}
        }
    }

    /// Those operations of the jobs that are in the store. Asked until the deadline.
    fn find(&self, jobs: &[Job]) -> Result<Map<OpId, Arc<StoredOperation>>, Error> {
        let deadline = jobs.iter().map(Job::deadline).max().unwrap_or_else(|| self.pause.now());
        let mut op_ids = Map::default();
        jobs.iter().for_each(|job| job.add_op_ids(&mut op_ids));
        let mut found = Map::default();
        for (tenant_id, op_ids) in op_ids {
            let answer =
                self.ask(&Query::Operations(tenant_id, op_ids), deadline).map_err(|error| Error::Unknown(error.message))?;
            let Answer::Operations(operations) = answer else {
                return Err(Error::Unknown("the store answered another question".to_owned()));
            };
            found.extend(operations.into_iter().map(|stored| (stored.operation.op_id, stored)));
        }
        Ok(found)
    }

    /// Asks the store, again after a transient failure until the deadline.
    pub(super) fn ask(&self, query: &Query, deadline: Instant) -> Result<Answer, StoreError> {
        self.insist(deadline, || self.store.query(query))
    }

    /// Calls the store, again after a failure that passes or leaves a doubt, until the deadline: what is done twice is as if it were
    /// done once.
    pub(super) fn insist<T>(&self, deadline: Instant, call: impl Fn() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut tries = 0;
        loop {
            let error = match catch_unwind(AssertUnwindSafe(&call)) {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                Err(panic) => StoreError::new(StoreErrorKind::Permanent, format!("the store gave up: {}", panic_text(&*panic))),
            };
            if !(error.is_transient() || error.may_have_applied) || self.pause.now() >= deadline {
                return Err(error);
            }
            self.pause.sleep(tries);
            tries += 1;
        }
    }
}

/// A try that failed.
struct Failed {
    error: StoreError,
    panicked: bool,
    /// The names of the refusals that it would have written.
    refusals: Vec<(TenantId, AuditId)>,
}

impl Failed {
    const fn can_be_tried_again(&self) -> bool {
        !self.panicked && (self.error.is_transient() || self.error.may_have_applied)
    }
}

pub(super) fn answer_all(jobs: Vec<Job>, error: &Error) {
    jobs.into_iter().for_each(|job| job.answer_error(error.clone()));
}

/// The error that the caller gets once the store was asked for what it has: only a lost commit leaves a doubt.
fn settled_error(mut error: StoreError, in_doubt: bool) -> Error {
    error.may_have_applied = in_doubt;
    error.into()
}

/// The jobs as a store sees them.
pub(super) struct DecideBatch<'a> {
    jobs: &'a mut Vec<Job>,
    /// The jobs before this one are decided, and written in the same transaction.
    begun: usize,
    needs: Box<Needs>,
    looks: Looks,
    bench: &'a Bench,
    clock: SeenClock<'a>,
    /// An earlier try may have been committed: whatever their deadlines, the jobs may have begun.
    in_doubt: bool,
    /// How far the last try came.
    decided: Option<Decided>,
    /// The refusals of the last try.
    pub(super) kept: Kept,
    /// It is decided in a transaction of the host.
    is_staged: bool,
    more: Option<More<'a>>,
    span: Span,
}

/// The clock, and what it last said: the facts may be later.
struct SeenClock<'a> {
    clock: &'a dyn Clock,
    last_micros: AtomicI64,
}

impl Clock for SeenClock<'_> {
    fn now(&self) -> Timestamp {
        let now = self.clock.now();
        self.last_micros.store(now.micros(), Ordering::Relaxed);
        now
    }
}

impl<'a> DecideBatch<'a> {
    pub(super) fn new(jobs: &'a mut Vec<Job>, bench: &'a Bench, in_doubt: bool) -> DecideBatch<'a> {
        jobs.iter_mut().for_each(Job::begin_try);
        let (needs, looks) = needs_of(jobs);
        let clock = SeenClock { clock: &*bench.clock, last_micros: AtomicI64::new(i64::MAX) };
        DecideBatch {
            jobs,
            begun: 0,
            needs,
            looks,
            bench,
            clock,
            in_doubt,
            decided: None,
            kept: Kept::default(),
            is_staged: false,
            more: None,
            span: Span::none(),
        }
    }

    /// The same, in a transaction of the host, which it may roll back.
    #[cfg(feature = "sqlite")]
    pub(super) const fn staged(mut self) -> Self {
        self.is_staged = true;
        self
    }

    /// The same, which takes in others until it is committed.
    fn growing(self, more: Option<More<'a>>, span: &Span) -> Self {
        DecideBatch { more, span: span.clone(), ..self }
    }

    fn commands(&self) -> usize {
        self.jobs.iter().map(Job::commands).sum()
    }

    /// The jobs from this one on are to be decided next.
    fn go_on_with(&mut self, begun: usize) {
        self.begun = begun;
        (self.needs, self.looks) = needs_of(self.jobs.get_mut(begun..).unwrap_or_default());
    }
}

impl Batch for DecideBatch<'_> {
    fn needs(&self) -> &Needs {
        &self.needs
    }

    fn clock(&self) -> &dyn Clock {
        &self.clock
    }

    fn decide(&mut self, mut facts: Facts) -> Vec<Changes> {
        let pause = &self.bench.pause;
        let before = self.decided.filter(|_| self.begun > 0);
        let kept = if self.begun > 0 { std::mem::take(&mut self.kept) } else { Kept::default() };
        let began = before.map_or_else(|| pause.now(), |before| before.began);
        let skew_micros = facts.now.micros().saturating_sub(self.clock.last_micros.load(Ordering::Relaxed));
        let skew_micros = u64::try_from(skew_micros).unwrap_or(0).max(before.map_or(0, |before| before.skew_micros));
        let jobs = self.jobs.get_mut(self.begun..).unwrap_or_default();
        let mut outbox = Outbox::new(&self.bench.refusals, self.is_staged, jobs.len(), kept);
        let must_begin = !self.in_doubt && jobs.iter().any(Job::has_deadline);
        let present = must_begin.then(|| self.clock.clock.now());
        let last = jobs.len().saturating_sub(1);
        for (at, job) in jobs.iter_mut().enumerate() {
            if present.is_some_and(|now| job.is_late(now)) {
                job.refuse_late();
            } else {
                job.decide(&mut facts, self.looks, &mut outbox, at == last);
            }
        }
        self.decided = Some(Decided { began, ended: pause.now(), skew_micros });
        self.kept = outbox.kept;
        outbox.changes
    }

    fn grow(&mut self) -> bool {
        let Some(more) = self.more else { return false };
        let taken = more(MAX_BATCH.saturating_sub(self.commands()));
        if taken.is_empty() {
            return false;
        }
        // None is answered here, however late it is, nor dropped when a subscriber panics, which answers too: its waker may call the
        // engine, and the store is in the midst of a transaction.
        let begun = self.jobs.len();
        self.jobs.extend(taken);
        self.jobs.iter().skip(begun).for_each(|job| job.lead_to(&self.span));
        trace::grown(&self.span, self.commands());
        self.go_on_with(begun);
        true
    }

    fn restart(&mut self) {
        self.go_on_with(0);
    }
}

/// The handles of these jobs, and how they are looked at.
fn needs_of(jobs: &mut [Job]) -> (Box<Needs>, Looks) {
    let mut needs = None;
    jobs.iter_mut().for_each(|job| job.add_needs(&mut needs));
    let mut needs = needs.unwrap_or_default();
    let keys = needs.keys.len();
    unique(&mut needs.keys);
    unique(&mut needs.accounts);
    unique(&mut needs.tasks);
    unique(&mut needs.holds);
    unique(&mut needs.task_holds);
    unique(&mut needs.grants);
    unique(&mut needs.charges);
    unique(&mut needs.task_charges);
    unique(&mut needs.rules);
    unique(&mut needs.texts);
    unique(&mut needs.subjects);
    unique(&mut needs.members);
    unique(&mut needs.licences);
    unique(&mut needs.templates);
    unique(&mut needs.risk);
    unique(&mut needs.quotes);
    let looks = Looks::of(&needs, needs.keys.len() < keys);
    (needs, looks)
}

/// Many commands of a batch name the same account; a store is asked for it once.
fn unique<T: Ord>(handles: &mut Vec<T>) {
    if handles.len() > 1 {
        handles.sort_unstable();
        handles.dedup();
    }
}
