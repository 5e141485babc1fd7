//! Counters of an engine, since it was opened. Each is cheap to count, and read by itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Engine;
use super::ticket::Outcome;
use crate::denial::DenialKind;
use crate::error::{Error, Failure};

/// What an engine has done since it was opened. Counters only grow; each is read by itself, so that sums may be a command or two
/// apart while commands run.
///
/// # Examples
/// ```
/// use std::fmt::Write;
/// use drawdown::{Context, Engine, GrantCredit, GrantType, Owner};
/// let engine = Engine::in_memory();
/// let grant = GrantCredit::new(Owner::user("u1")?, GrantType::Purchased, "10".parse()?);
/// engine.execute(Context::tenant("acme")?.request(grant))?;
///
/// // The text that Prometheus reads.
/// let stats = engine.stats();
/// let mut page = String::new();
/// writeln!(page, "drawdown_commands_total{{outcome=\"accepted\"}} {}", stats.commands.accepted)?;
/// for (name, count) in &stats.commands.denied {
///     writeln!(page, "drawdown_commands_total{{outcome=\"denied\",denial=\"{name}\"}} {count}")?;
/// }
/// let mut total = 0;
/// for (place, count) in stats.lock_wait_micros.buckets.iter().enumerate() {
///     total += count;
///     let le = stats.lock_wait_micros.upper_bound(place).map_or("+Inf".to_owned(), |bound| bound.to_string());
///     writeln!(page, "drawdown_lock_wait_microseconds_bucket{{le=\"{le}\"}} {total}")?;
/// }
/// assert!(page.starts_with("drawdown_commands_total{outcome=\"accepted\"} 1\n"));
/// assert!(page.ends_with("drawdown_lock_wait_microseconds_bucket{le=\"+Inf\"} 1\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct EngineStats {
    /// Commands that were answered.
    pub commands: CommandStats,
    /// Commands that were staged in transactions of the host, whether or not these were committed.
    pub staged: CommandStats,
    /// Commands of each batch that the store committed; also of one in which all were refused.
    pub batch_size: Distribution,
    /// Microseconds from asking the store until it began to decide a batch that it committed: waiting for the lock, and loading.
    pub lock_wait_micros: Distribution,
    /// Microseconds from the decision until the store answered: writing, and waiting for the disk.
    pub commit_micros: Distribution,
    /// How often a batch was tried again: after contention, a lost race, or a lost connection.
    pub retries: u64,
    /// Tries in which a unique key was taken: lost races.
    pub conflicts: u64,
    /// Commands that wait now.
    pub queued: u64,
    /// The most commands that ever waited.
    pub queued_max: u64,
    /// About how many bytes wait now.
    pub queued_bytes: u64,
    /// Microseconds that the clock was behind the last booking of an account, at the most.
    pub clock_skew_max_micros: u64,
    /// Records of the audit that wait for the trailing writer now.
    pub audit_waiting: u64,
    /// Records of the audit that were lost: there was no room for them, or the store did not take them.
    pub audit_lost: u64,
}

/// How commands ended. Each counts once; a group that was not accepted counts once, as the command that was to blame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct CommandStats {
    /// Took effect.
    pub accepted: u64,
    /// Had taken effect before.
    pub replayed: u64,
    /// Were refused by the rules, by the denial's name; none stands here with 0.
    pub denied: BTreeMap<&'static str, u64>,
    /// Were answered with an error, by its name: `busy`, `unknown`, `store`, `clock_behind`, `output`, `closed`, `corrupt`.
    pub failed: BTreeMap<&'static str, u64>,
}

/// How values are spread.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Distribution {
    /// How many there were.
    pub count: u64,
    /// All together.
    pub sum: u64,
    /// The greatest.
    pub max: u64,
    /// How many there were of each size: at place *i* those of at most 2^*i*, and more than the place before. The last has no
    /// bound.
    pub buckets: Vec<u64>,
}

impl Distribution {
    /// The greatest value that counts at a place of the buckets; none for the last, which has no bound.
    #[must_use]
    pub fn upper_bound(&self, place: usize) -> Option<u64> {
        let is_last = place + 1 >= self.buckets.len();
        if is_last { None } else { 1_u64.checked_shl(u32::try_from(place).ok()?) }
    }
}

impl Engine {
    /// What this engine has done since it was opened. It takes no time to speak of, and waits for nothing but the queue.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        let lane = &self.inner.lane;
        let depth = lane.depth();
        let work = &lane.bench.work;
        let trail = lane.bench.trail.depth();
        EngineStats {
            commands: self.inner.commands.read(),
            staged: self.inner.staged.read(),
            batch_size: work.batch_size.read(),
            lock_wait_micros: work.lock_wait.read(),
            commit_micros: work.commit.read(),
            retries: work.retries.load(Relaxed),
            conflicts: work.conflicts.load(Relaxed),
            queued: depth.commands,
            queued_max: depth.most_commands,
            queued_bytes: depth.bytes,
            clock_skew_max_micros: work.skew_max_micros.load(Relaxed),
            audit_waiting: trail.waiting,
            audit_lost: trail.lost,
        }
    }
}

const ERRORS: [&str; 7] = ["busy", "unknown", "store", "clock_behind", "output", "closed", "corrupt"];

const fn place_of(error: &Error) -> usize {
    match error {
        Error::Busy(_) => 0,
        Error::Unknown(_) => 1,
        Error::Store(_) => 2,
        Error::ClockBehind { .. } => 3,
        Error::Output(_) => 4,
        Error::Closed => 5,
        Error::Corrupt(_) => 6,
    }
}

/// Counts how the commands of one door end.
pub(super) struct Outcomes {
    accepted: AtomicU64,
    replayed: AtomicU64,
    denied: [AtomicU64; DenialKind::ALL.len()],
    failed: [AtomicU64; ERRORS.len()],
}

impl Outcomes {
    pub(super) fn new() -> Outcomes {
        let denied = [const { AtomicU64::new(0) }; DenialKind::ALL.len()];
        let failed = [const { AtomicU64::new(0) }; ERRORS.len()];
        Outcomes { accepted: AtomicU64::new(0), replayed: AtomicU64::new(0), denied, failed }
    }

    /// Counts the answer to a job.
    pub(super) fn note(&self, outcome: &Outcome) {
        match outcome {
            Ok(receipts) => {
                let receipts = receipts.as_slice();
                let replayed = receipts.iter().filter(|receipt| receipt.idempotent_replay).count() as u64;
                add(&self.accepted, receipts.len() as u64 - replayed);
                add(&self.replayed, replayed);
            }
            Err(group) => self.note_failure(&group.failure),
        }
    }

    /// Counts a command that was not accepted.
    pub(super) fn note_failure(&self, failure: &Failure) {
        let counter = match failure {
            // The order of the kinds is that of their declaration.
            Failure::Denied(denial) => self.denied.get(denial.kind() as usize),
            Failure::Failed(error) => self.failed.get(place_of(error)),
        };
        if let Some(counter) = counter {
            add(counter, 1);
        }
    }

    fn read(&self) -> CommandStats {
        let denied = DenialKind::ALL.iter().map(|kind| kind.name()).zip(&self.denied);
        CommandStats {
            accepted: self.accepted.load(Relaxed),
            replayed: self.replayed.load(Relaxed),
            denied: denied.filter_map(counted).collect(),
            failed: ERRORS.into_iter().zip(&self.failed).filter_map(counted).collect(),
        }
    }
}

fn counted((name, counter): (&'static str, &AtomicU64)) -> Option<(&'static str, u64)> {
    let count = counter.load(Relaxed);
    (count > 0).then_some((name, count))
}

/// Counts what the store was asked for.
#[derive(Default)]
pub(super) struct Work {
    /// Up to 256 commands.
    batch_size: Histogram<9>,
    /// Up to 16 seconds, and beyond.
    lock_wait: Histogram<26>,
    commit: Histogram<26>,
    retries: AtomicU64,
    conflicts: AtomicU64,
    skew_micros: AtomicU64,
    skew_max_micros: AtomicU64,
    failing: AtomicU64,
}

/// When a try came how far, by the stopwatch.
#[derive(Clone, Copy)]
pub(super) struct Decided {
    pub(super) began: Instant,
    pub(super) ended: Instant,
    /// How far the clock was behind the accounts.
    pub(super) skew_micros: u64,
}

impl Work {
    pub(super) fn note_batch(&self, commands: usize, asked: Instant, decided: Option<Decided>, answered: Instant) {
        self.batch_size.note(commands as u64);
        if let Some(decided) = decided {
            self.lock_wait.note(micros(decided.began.saturating_duration_since(asked)));
            self.commit.note(micros(answered.saturating_duration_since(decided.ended)));
            self.note_skew(decided.skew_micros);
        }
        self.failing.store(0, Relaxed);
    }

    pub(super) fn note_retry(&self) {
        add(&self.retries, 1);
    }

    pub(super) fn note_conflict(&self) {
        add(&self.conflicts, 1);
    }

    pub(super) fn note_skew(&self, micros: u64) {
        self.skew_micros.store(micros, Relaxed);
        raise(&self.skew_max_micros, micros);
    }

    /// A batch was given up. What one account alone is to blame for says nothing about the store.
    pub(super) fn note_given_up(&self, error: &Error) {
        if matches!(error, Error::Busy(_) | Error::Unknown(_) | Error::Store(_)) {
            add(&self.failing, 1);
        }
    }

    /// How far the clock was behind the accounts of the last batch.
    pub(super) fn skew_micros(&self) -> u64 {
        self.skew_micros.load(Relaxed)
    }

    /// How many batches were given up since one was committed.
    pub(super) fn failing(&self) -> u64 {
        self.failing.load(Relaxed)
    }
}

/// Values by powers of two.
struct Histogram<const PLACES: usize> {
    sum: AtomicU64,
    max: AtomicU64,
    buckets: [AtomicU64; PLACES],
}

impl<const PLACES: usize> Default for Histogram<PLACES> {
    fn default() -> Self {
        Histogram { sum: AtomicU64::new(0), max: AtomicU64::new(0), buckets: [const { AtomicU64::new(0) }; PLACES] }
    }
}

impl<const PLACES: usize> Histogram<PLACES> {
    fn note(&self, value: u64) {
        let place = usize::try_from(u64::BITS - value.saturating_sub(1).leading_zeros()).unwrap_or(PLACES);
        if let Some(bucket) = self.buckets.get(place.min(PLACES - 1)) {
            add(bucket, 1);
        }
        add(&self.sum, value);
        raise(&self.max, value);
    }

    fn read(&self) -> Distribution {
        let buckets: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        Distribution { count: buckets.iter().sum(), sum: self.sum.load(Relaxed), max: self.max.load(Relaxed), buckets }
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Relaxed);
}

/// Raises what is rarely raised: to look first spares an atomic change of it.
fn raise(max: &AtomicU64, value: u64) {
    if value > max.load(Relaxed) {
        max.fetch_max(value, Relaxed);
    }
}

/// A time as it is counted.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_at_the_smallest_power_of_two_that_holds_it() {
        let histogram = Histogram::<4>::default();
        let place = |value| {
            let before = histogram.read().buckets;
            histogram.note(value);
            histogram.read().buckets.iter().zip(before).position(|(now, before)| *now > before).unwrap()
        };
        let places = [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (8, 3), (9, 3), (u64::MAX - 32, 3)];
        for (value, expected) in places {
            assert_eq!(place(value), expected, "{value}");
        }
        let read = histogram.read();
        assert_eq!((read.count, read.sum, read.max), (9, u64::MAX, u64::MAX - 32));
        let bounds: Vec<_> = (0..4).map(|place| read.upper_bound(place)).collect();
        assert_eq!(bounds, [Some(1), Some(2), Some(4), None]);
    }

    #[test]
    fn a_denial_counts_under_its_own_name() {
        let outcomes = Outcomes::new();
        for kind in DenialKind::ALL {
            outcomes.note_failure(&crate::Denial::new(*kind, "refused").into());
        }
        let names: std::collections::BTreeSet<_> = DenialKind::ALL.iter().map(|kind| kind.name()).collect();
        let read = outcomes.read();
        assert!(read.denied.values().all(|count| *count == 1));
        assert_eq!(read.denied.into_keys().collect::<std::collections::BTreeSet<_>>(), names);
    }
}
