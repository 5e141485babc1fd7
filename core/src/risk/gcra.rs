//! The generic cell rate algorithm, exactly: one instant says all about what was taken.
//!
//! Think of a bucket that holds `most`, is filled by what is taken, and drains evenly within the window. The theoretical arrival is
//! the instant at which it will be empty. Something fits if the bucket does not run over, that is if the new arrival is at most a
//! window away. So in any span of time at most `most`, and what drains in the span, is taken.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// When a bucket will be empty: an instant, and `rest` parts of a microsecond of which there are as many as the bucket holds. So
/// nothing is rounded, and exactly what fits is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arrival {
    /// The microsecond.
    pub at: Timestamp,
    /// Its part.
    pub rest: u64,
}

/// How much a bucket holds, and how long it drains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    most: i128,
    window_micros: i128,
}

/// Why something does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full {
    /// What is in the bucket still, rounded up.
    pub(crate) taken: u64,
    /// The first instant at which it fits; none for what is more than the bucket holds.
    pub(crate) retry_at: Option<Timestamp>,
}

impl Bucket {
    /// So much, greater than 0, within so many seconds, greater than 0.
    pub(crate) fn new(most: u64, window_seconds: u32) -> Bucket {
        Bucket { most: i128::from(most.max(1)), window_micros: i128::from(window_seconds.max(1)) * 1_000_000 }
    }

    /// Whether so much fits now. Nothing always does.
    pub(crate) fn fits(self, arrival: Option<Arrival>, quantity: u64, now: Timestamp) -> Result<(), Full> {
        let present = self.scaled(now);
        let next = self.next(arrival, quantity, now);
        let window = self.window_micros * self.most;
        if quantity == 0 || next - present <= window {
            return Ok(());
        }
        let retry = (next - window).div_euclid(self.most) + i128::from((next - window).rem_euclid(self.most) > 0);
        let retry_at = i64::try_from(retry).ok().and_then(Timestamp::from_micros);
        let level = arrival.map_or(0, |arrival| (self.parts(arrival) - present).max(0));
        let taken = (level + self.window_micros - 1) / self.window_micros;
        Err(Full {
            taken: u64::try_from(taken).unwrap_or(u64::MAX),
            retry_at: retry_at.filter(|_| i128::from(quantity) <= self.most),
        })
    }

    /// The arrival once so much was taken, whether it fits or not.
    pub(crate) fn take(self, arrival: Option<Arrival>, quantity: u64, now: Timestamp) -> Arrival {
        let next = self.next(arrival, quantity, now);
        let at = i64::try_from(next.div_euclid(self.most)).ok().and_then(Timestamp::from_micros);
        let rest = u64::try_from(next.rem_euclid(self.most)).unwrap_or_default();
        at.map_or(Arrival { at: Timestamp::MAX, rest: 0 }, |at| Arrival { at, rest })
    }

    fn next(self, arrival: Option<Arrival>, quantity: u64, now: Timestamp) -> i128 {
        let present = self.scaled(now);
        let begin = arrival.map_or(present, |arrival| self.parts(arrival).max(present));
        begin.saturating_add(self.window_micros.saturating_mul(i128::from(quantity)))
    }

    fn parts(self, arrival: Arrival) -> i128 {
        self.scaled(arrival.at) + i128::from(arrival.rest)
    }

    fn scaled(self, at: Timestamp) -> i128 {
        i128::from(at.micros()) * self.most
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(1_767_225_600_000_000 + micros).unwrap()
    }

    #[test]
    fn exactly_what_fits_is_let_in_although_it_does_not_divide() {
        let bucket = Bucket::new(3, 10);
        let mut arrival = None;
        for _ in 0..3 {
            bucket.fits(arrival, 1, at(0)).unwrap();
            arrival = Some(bucket.take(arrival, 1, at(0)));
        }
        assert_eq!(arrival, Some(Arrival { at: at(10_000_000), rest: 0 }));
        // A third of ten seconds, up to the next microsecond.
        assert_eq!(bucket.fits(arrival, 1, at(0)), Err(Full { taken: 3, retry_at: Some(at(3_333_334)) }));
        assert!(bucket.fits(arrival, 1, at(3_333_333)).is_err());
        assert!(bucket.fits(arrival, 1, at(3_333_334)).is_ok());
    }

    #[test]
    fn what_is_more_than_the_bucket_never_fits() {
        let bucket = Bucket::new(5, 60);
        assert_eq!(bucket.fits(None, 6, at(0)), Err(Full { taken: 0, retry_at: None }));
        assert!(bucket.fits(None, 5, at(0)).is_ok());
    }

    #[test]
    fn nothing_fits_into_a_bucket_that_runs_over() {
        let bucket = Bucket::new(5, 60);
        let arrival = Some(bucket.take(None, 50, at(0)));
        assert!(bucket.fits(arrival, 0, at(0)).is_ok());
        assert_eq!(bucket.fits(arrival, 1, at(0)), Err(Full { taken: 50, retry_at: Some(at(552_000_000)) }));
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let bucket = Bucket::new(u64::MAX, u32::MAX);
        let arrival = bucket.take(Some(Arrival { at: Timestamp::MAX, rest: u64::MAX - 1 }), u64::MAX, Timestamp::MAX);
        assert_eq!(arrival.at, Timestamp::MAX);
        assert!(bucket.fits(Some(arrival), u64::MAX, at(0)).is_err());
    }

    /// Against the law itself: in every span of time from one thing taken to another, what was taken is at most what the bucket holds
    /// and what drained within the span; and what is refused at its `retry_at` less a microsecond fits at it.
    #[test]
    fn no_span_has_more_than_the_bucket_and_what_drains() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (most, window) = (random.u64(1..20), random.u32(1..30));
            let bucket = Bucket::new(most, window);
            let (mut now, mut arrival, mut taken) = (0_i64, None, Vec::new());
            for _ in 0..200 {
                now += random.i64(0..4_000_000) * i64::from(random.bool());
                let quantity = random.u64(0..=most);
                match bucket.fits(arrival, quantity, at(now)) {
                    Ok(()) => {
                        arrival = Some(bucket.take(arrival, quantity, at(now)));
                        taken.push((now, quantity));
                    }
                    Err(full) => {
                        let retry_at = full.retry_at.unwrap();
                        assert!(bucket.fits(arrival, quantity, retry_at.plus_micros(-1).unwrap()).is_err());
                        assert!(bucket.fits(arrival, quantity, retry_at).is_ok());
                    }
                }
            }
            let micros = i128::from(window) * 1_000_000;
            for (first, (from, _)) in taken.iter().enumerate() {
                let mut sum = 0_i128;
                for (to, quantity) in taken.iter().skip(first) {
                    sum += i128::from(*quantity);
                    assert!(sum * micros <= i128::from(most) * (micros + i128::from(to - from)), "seed {seed}");
                }
            }
        }
    }
}
