//! Requests that are counted in this process: estimates and checks.

use std::mem;
use std::sync::{Mutex, PoisonError};

use super::gcra::Arrival;
use super::policy::RequestLimits;
use crate::denial::{Denial, DenialKind};
use crate::id::TenantId;
use crate::map::Map;
use crate::owner::Owner;
use crate::time::Timestamp;

/// Who asked; requests are counted by tenant and spender.
type Who = (TenantId, Owner);

/// Spenders of a generation. Of more than twice as many in a minute the oldest are forgotten, and begin anew.
const MOST: usize = 32_768;

/// Counts requests of one kind, in bounded memory: an arrival is of no use a minute after it was last moved, so two generations
/// of a minute or less are all that is kept.
pub(crate) struct Meter {
    limit: &'static str,
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    since: Option<Timestamp>,
    present: Map<Who, Arrival>,
    before: Map<Who, Arrival>,
}

impl Meter {
    /// Counts what this limit is about.
    pub(crate) fn new(limit: &'static str) -> Meter {
        Meter { limit, generations: Mutex::default() }
    }

    /// Counts one request, if so many are allowed in a minute.
    ///
    /// # Errors
    /// `estimate_rate_limited`, and when a retry is taken.
    pub(crate) fn take(&self, allowed: Option<u64>, tenant_id: &TenantId, spender: &Owner, now: Timestamp) -> Result<(), Denial> {
        let Some(allowed) = allowed else { return Ok(()) };
        let bucket = RequestLimits::rule(allowed).bucket();
        let who = (tenant_id.clone(), spender.clone());
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.turn(now);
        // A clock that was set back does not keep anybody waiting for longer than a minute.
        let latest = now.plus_seconds(60).unwrap_or(now);
        let arrival =
            generations.arrival(&who).map(|arrival| if arrival.at < latest { arrival } else { Arrival { at: latest, rest: 0 } });
        match bucket.fits(arrival, 1, now) {
            Ok(()) => {
                let arrival = bucket.take(arrival, 1, now);
                generations.present.insert(who, arrival);
                Ok(())
            }
            Err(full) => {
                let message = format!("`{}` requests were taken lately, and {allowed} are allowed in a minute", full.taken);
                let denial = Denial::new(DenialKind::EstimateRateLimited, message).with("limit", self.limit);
                let denial = denial.with("used", full.taken).with("allowed", allowed);
                Err(denial.retry_at(full.retry_at.unwrap_or(latest)))
            }
        }
    }
}

impl Generations {
    fn turn(&mut self, now: Timestamp) {
        let since = *self.since.get_or_insert(now);
        // Who read the clock a moment before another, and comes after, turns nothing.
        let is_set_back = now.plus_seconds(60).is_some_and(|latest| latest < since);
        let is_over = since.plus_seconds(60).is_none_or(|end| end <= now) || is_set_back;
        if is_over || self.present.len() >= MOST {
            self.before = mem::take(&mut self.present);
            self.since = Some(now);
        }
    }

    fn arrival(&self, who: &Who) -> Option<Arrival> {
        self.present.get(who).or_else(|| self.before.get(who)).copied()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(1_767_225_600_000_000 + seconds * 1_000_000).unwrap()
    }

    fn take(meter: &Meter, who: &str, now: Timestamp) -> Result<(), Denial> {
        meter.take(Some(2), &"acme".parse().unwrap(), &Owner::user(who).unwrap(), now)
    }

    #[test]
    fn each_spender_has_a_minute_of_its_own() {
        let meter = Meter::new("estimates_per_minute");
        assert!((0..2).all(|_| take(&meter, "u1", at(0)).is_ok()));
        let denial = take(&meter, "u1", at(0)).unwrap_err();
        assert_eq!((denial.name(), denial.when_to_retry()), ("estimate_rate_limited", Some(at(30))));
        assert_eq!(denial.details()["limit"], "estimates_per_minute");
        assert!(take(&meter, "u2", at(0)).is_ok());
        assert!(meter.take(Some(2), &"globex".parse().unwrap(), &Owner::user("u1").unwrap(), at(0)).is_ok());
        assert!(take(&meter, "u1", at(30).plus_micros(-1).unwrap()).is_err());
        assert!(take(&meter, "u1", at(30)).is_ok());
    }

    #[test]
    fn what_was_taken_is_known_across_the_minute() {
        let meter = Meter::new("estimates_per_minute");
        take(&meter, "u2", at(0)).unwrap();
        assert!((0..2).all(|_| take(&meter, "u1", at(59)).is_ok()));
        assert!(take(&meter, "u1", at(60)).is_err());
        assert!(take(&meter, "u1", at(89)).is_ok());
    }

    #[test]
    fn who_comes_late_forgets_nobody() {
        let meter = Meter::new("estimates_per_minute");
        take(&meter, "u2", at(0)).unwrap();
        assert!((0..2).all(|_| take(&meter, "u1", at(59)).is_ok()));
        take(&meter, "u3", at(60)).unwrap();
        take(&meter, "u4", at(60).plus_micros(-1).unwrap()).unwrap();
        assert!(take(&meter, "u1", at(60)).is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let meter = Meter::new("estimates_per_minute");
        for number in 0..3 * MOST {
            take(&meter, &format!("u{number}"), at(0)).unwrap();
        }
        let generations = meter.generations.lock().unwrap();
        assert!(generations.present.len() <= MOST && generations.before.len() <= MOST);
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_waiting() {
        let meter = Meter::new("estimates_per_minute");
        assert!((0..2).all(|_| take(&meter, "u1", at(3_600)).is_ok()));
        assert_eq!(take(&meter, "u1", at(0)).unwrap_err().when_to_retry(), Some(at(30)));
    }
}
