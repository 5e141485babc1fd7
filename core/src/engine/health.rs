//! Whether an engine can do its work.

use serde::{Deserialize, Serialize};

use super::Engine;
use super::lane::{MAX_QUEUED, MAX_QUEUED_BYTES};
use super::stats::micros;
use crate::store::{Answer, Query};
use crate::time::Timestamp;

/// A read that took longer is slow, in microseconds.
const SLOW_MICROS: u64 = 1_000_000;
/// What is due for longer waits for a sweep, in microseconds: an hour.
const SWEEP_LATE_MICROS: u64 = 3_600 * 1_000_000;
/// A clock that is farther behind is wrong, in microseconds; five seconds behind nothing is decided any more.
const SKEW_MICROS: u64 = 1_000_000;

/// How well an engine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// All is well.
    Ok,
    /// It works, and somebody should look: commands may wait, or fail.
    Degraded,
    /// It answers nothing.
    Down,
}

/// What makes an engine less than well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HealthReason {
    /// The engine is closed: down.
    Closed,
    /// The store cannot be read: down.
    StoreUnreadable,
    /// A read took longer than a second.
    StoreSlow,
    /// The last batch was given up: the file stays locked, the disk is full.
    WritesFailing,
    /// The queue is full by three quarters or more.
    QueueFilling,
    /// Something has been due for more than an hour: no sweep runs.
    SweepLate,
    /// The clock was more than a second behind the accounts of the last batch.
    ClockBehind,
}

/// What an engine says about itself, for `/healthz`: see [`Engine::health`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Health {
    /// The worst of the reasons.
    pub status: HealthStatus,
    /// Why it is not [`HealthStatus::Ok`]; empty if it is.
    pub reasons: Vec<HealthReason>,
    /// What the store said when it could not be read.
    pub store_error: Option<String>,
    /// Microseconds that a read of the store took; none if it was not asked, or did not answer.
    pub read_micros: Option<u64>,
    /// Commands that wait.
    pub queued: u64,
    /// About how many bytes wait.
    pub queued_bytes: u64,
    /// When the first account becomes due, or has; none if nothing will.
    pub next_due: Option<Timestamp>,
    /// Microseconds since then; 0 if it is still to come.
    pub overdue_micros: u64,
    /// Microseconds that the clock was behind the accounts of the last batch.
    pub clock_skew_micros: u64,
    /// Whether the engine is closed.
    pub closed: bool,
}

impl HealthReason {
    const fn status(self) -> HealthStatus {
        match self {
            HealthReason::Closed | HealthReason::StoreUnreadable => HealthStatus::Down,
            _ => HealthStatus::Degraded,
        }
    }
}

impl Engine {
    /// Whether the engine can do its work, from one small read of the store, tried once, and what it has seen so far. It waits
    /// for no writer, at the most for a connection to read with.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Engine, HealthStatus};
    /// let engine = Engine::in_memory();
    /// assert_eq!(engine.health().status, HealthStatus::Ok);
    /// engine.close();
    /// let health = engine.health();
    /// let http = if health.status == HealthStatus::Down { 503 } else { 200 };
    /// assert_eq!((http, serde_json::to_value(&health)?["reasons"][0].as_str()), (503, Some("closed")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn health(&self) -> Health {
        let lane = &self.inner.lane;
        let bench = &lane.bench;
        let depth = lane.depth();
        let mut health = Health {
            status: HealthStatus::Ok,
            reasons: Vec::new(),
            store_error: None,
            read_micros: None,
            queued: depth.commands,
            queued_bytes: depth.bytes,
            next_due: None,
            overdue_micros: 0,
            clock_skew_micros: bench.work.skew_micros(),
            closed: !lane.is_open(),
        };
        if !health.closed {
            let began = bench.pause.now();
            match bench.ask(&Query::NextDue, began) {
                Ok(Answer::NextDue(due)) => {
                    health.read_micros = Some(micros(bench.pause.now().saturating_duration_since(began)));
                    health.next_due = due;
                    health.overdue_micros = due.map_or(0, |due| micros_after(due, self.now()));
                }
                Ok(_) => health.store_error = Some("the store answered another question".to_owned()),
                Err(error) => health.store_error = Some(error.message),
            }
        }
        health.judge(bench.work.failing())
    }
}

impl Health {
    fn judge(mut self, failing: u64) -> Health {
        let fills = |waiting: u64, limit: usize| waiting.saturating_mul(4) >= (limit as u64).saturating_mul(3);
        let signs = [
            (HealthReason::Closed, self.closed),
            (HealthReason::StoreUnreadable, self.store_error.is_some()),
            (HealthReason::StoreSlow, self.read_micros.is_some_and(|micros| micros > SLOW_MICROS)),
            (HealthReason::WritesFailing, failing > 0),
            (HealthReason::QueueFilling, fills(self.queued, MAX_QUEUED) || fills(self.queued_bytes, MAX_QUEUED_BYTES)),
            (HealthReason::SweepLate, self.overdue_micros > SWEEP_LATE_MICROS),
            (HealthReason::ClockBehind, self.clock_skew_micros > SKEW_MICROS),
        ];
        self.reasons = signs.into_iter().filter(|(_, is_seen)| *is_seen).map(|(reason, _)| reason).collect();
        self.status = self.reasons.iter().map(|reason| reason.status()).max().unwrap_or(HealthStatus::Ok);
        self
    }
}

/// Microseconds from one instant to a later one; 0 if it is none.
pub(super) fn micros_after(earlier: Timestamp, later: Timestamp) -> u64 {
    u64::try_from(later.micros().saturating_sub(earlier.micros())).unwrap_or(0)
}
