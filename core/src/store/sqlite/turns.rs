//! Turns between those who write one file.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So long after its commit a store leaves the lock to others, if there are any: they look for it after pauses about as long.
const COURTESY: Duration = Duration::from_micros(60);
/// After another store has written so many commits are made courteously. Who writes alone does not wait.
const COURTEOUS_COMMITS: u32 = 8;

/// When this store has written, and whether others have.
///
/// Who has just committed comes back at once, while the others sleep between two tries: without courtesy it is often the next as well,
/// and one of the others waits for very long now and then.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<State>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// When this store last committed.
    committed: Option<Instant>,
    /// The version of the file then.
    version: Option<u32>,
    /// So many commits from now on are courteous.
    courteous: u32,
    /// How often it was waited.
    #[cfg(test)]
    waits: u32,
}

impl Turns {
    /// Waits for as long as it is the turn of others.
    pub(super) fn wait(&self) {
        let left = self.change(|state| state.committed.map_or(Duration::ZERO, |at| state.left(at.elapsed())));
        if !left.is_zero() {
            #[cfg(test)]
            self.change(|state| state.waits += 1);
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
        self.change(|state| (state.committed, state.version) = (Some(Instant::now()), Some(version)));
    }

    /// Whether others have written lately.
    #[cfg(test)]
    pub(super) fn are_shared(&self) -> bool {
        self.change(|state| state.courteous > 0)
    }

    /// How often it was waited.
    #[cfg(test)]
    pub(super) fn waits(&self) -> u32 {
        self.change(|state| state.waits)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// How long it is still the turn of others when so much has passed since the last commit.
    const fn left(self, passed: Duration) -> Duration {
        if self.courteous > 0 { COURTESY.saturating_sub(passed) } else { Duration::ZERO }
    }

    fn began(&mut self, version: u32) {
        let is_shared = self.version.is_some_and(|last| last != version);
        self.courteous = if is_shared { COURTEOUS_COMMITS } else { self.courteous.saturating_sub(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store that commits again and again, and finds the file as it left it or not.
    fn commit(state: &mut State, found: u32) {
        state.began(found);
        state.version = Some(found + 1);
    }

    #[test]
    fn who_writes_alone_does_not_wait() {
        let mut state = State::default();
        for version in 0..3 {
            assert_eq!(state.left(Duration::ZERO), Duration::ZERO);
            commit(&mut state, version);
        }
    }

    #[test]
    fn beside_others_it_waits_for_what_is_left_since_its_commit() {
        let mut state = State::default();
        commit(&mut state, 0);
        commit(&mut state, 5);
        assert_eq!(state.left(Duration::ZERO), COURTESY);
        assert_eq!(state.left(COURTESY / 4), COURTESY * 3 / 4);
        assert_eq!(state.left(COURTESY * 2), Duration::ZERO);
    }

    #[test]
    fn once_the_others_have_gone_it_stops_waiting() {
        let mut state = State::default();
        commit(&mut state, 0);
        commit(&mut state, 5);
        for version in 6..6 + COURTEOUS_COMMITS {
            assert_eq!(state.left(Duration::ZERO), COURTESY, "{version}");
            commit(&mut state, version);
        }
        assert_eq!(state.left(Duration::ZERO), Duration::ZERO);
    }
}
