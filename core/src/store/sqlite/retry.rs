//! Waiting for a file that another process has locked.

use std::time::{Duration, Instant};

use crate::store::{StoreError, StoreErrorKind};

/// The shortest and the longest pause between two tries, in microseconds: so short that a try falls into the moment that another
/// process leaves between two commits of its own.
const PAUSE_MICROS: std::ops::RangeInclusive<u64> = 20..=120;

/// After so long it is no commit that is waited for, but a transaction of somebody who takes his time.
const PATIENT_AFTER: Duration = Duration::from_millis(100);
const PATIENT_PAUSE_MICROS: std::ops::RangeInclusive<u64> = 100..=600;

/// Tries until it succeeds, fails for good, or the deadline has passed. Pauses are short and random: fixed or growing ones
/// starve whoever comes last.
#[expect(clippy::disallowed_methods, reason = "waiting for a lock is measured on the host's clock; no decision reads it")]
pub(super) fn until<T>(deadline: Duration, mut attempt: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let started = Instant::now();
    loop {
        match attempt() {
            Err(error) if error.kind == StoreErrorKind::Transient && started.elapsed() < deadline => {
                let pauses = if started.elapsed() < PATIENT_AFTER { PAUSE_MICROS } else { PATIENT_PAUSE_MICROS };
                std::thread::sleep(Duration::from_micros(fastrand::u64(pauses)));
            }
            outcome => return outcome,
        }
    }
}
