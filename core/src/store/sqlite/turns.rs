//! Turns between those who write one file.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So long after its commit a store leaves the lock to others, if there are any: they look for it after pauses about as long.
const COURTESY: Duration = Duration::from_micros(60);
/// After another store has written so many commits are made courteously. Who writes alone does not wait.
const COURTEOUS_COMMITS: u32 = 8;

/// When this store has written, and whether others have.
///
/// Who has just committed comes back at once, while the others sleep between two tries: without courtesy it would nearly always be the
/// next as well, and one of the others would now and then wait for very long.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<State>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// When this store last committed, and the version of the file then.
    committed: Option<(Instant, u32)>,
    /// So many commits from now on are courteous.
    courteous: u32,
}

impl Turns {
    /// Waits for as long as it is the turn of others.
    #[expect(clippy::disallowed_methods, reason = "waiting for a lock is measured on the host's clock; no decision reads it")]
    pub(super) fn wait(&self) {
        let left = self.change(|state| state.left(Instant::now()));
        if !left.is_zero() {
            std::thread::sleep(left);
        }
    }

    /// The file is locked, and has this version.
    pub(super) fn began(&self, version: u32) {
        self.change(|state| state.began(version));
    }

    /// It was committed, and has this version.
    #[expect(clippy::disallowed_methods, reason = "waiting for a lock is measured on the host's clock; no decision reads it")]
    pub(super) fn committed(&self, version: u32) {
        self.change(|state| state.committed = Some((Instant::now(), version)));
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// How long it is still the turn of others.
    fn left(&self, now: Instant) -> Duration {
        let since = self.committed.filter(|_| self.courteous > 0).map(|(at, _)| now.saturating_duration_since(at));
        since.map_or(Duration::ZERO, |since| COURTESY.saturating_sub(since))
    }

    fn began(&mut self, version: u32) {
        let is_shared = self.committed.is_some_and(|(_, last)| last != version);
        self.courteous = if is_shared { COURTEOUS_COMMITS } else { self.courteous.saturating_sub(1) };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A store that commits again and again, and finds the file as it left it or not.
    fn commit(state: &mut State, found: u32, at: Instant) {
        state.began(found);
        state.committed = Some((at, found + 1));
    }

    #[test]
    fn who_writes_alone_does_not_wait() {
        let (mut state, now) = (State::default(), Instant::now());
        assert_eq!(state.left(now), Duration::ZERO);
        for version in 0..3 {
            commit(&mut state, version, now);
            assert_eq!(state.left(now), Duration::ZERO);
        }
    }

    #[test]
    fn beside_others_it_waits_for_what_is_left_since_its_commit() {
        let (mut state, now) = (State::default(), Instant::now());
        commit(&mut state, 0, now);
        commit(&mut state, 5, now);
        assert_eq!(state.left(now), COURTESY);
        assert_eq!(state.left(now + COURTESY / 4), COURTESY * 3 / 4);
        assert_eq!(state.left(now + COURTESY * 2), Duration::ZERO);
    }

    #[test]
    fn once_the_others_have_gone_it_stops_waiting() {
        let (mut state, now) = (State::default(), Instant::now());
        commit(&mut state, 0, now);
        commit(&mut state, 5, now);
        for version in 6..6 + COURTEOUS_COMMITS {
            assert_eq!(state.left(now), COURTESY, "{version}");
            commit(&mut state, version, now);
        }
        assert_eq!(state.left(now), Duration::ZERO);
    }
}
