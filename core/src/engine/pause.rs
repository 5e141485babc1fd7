//! The only place of the engine that looks at a stopwatch, draws random bits, and sleeps.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fastrand::Rng;

/// The shortest pause between two tries, in microseconds; it doubles with each try.
const FIRST_PAUSE_MICROS: u64 = 100;
/// How often the pause doubles: up to 12.8 ms.
const DOUBLINGS: u32 = 7;

/// A stopwatch, and random bits seeded by the operating system.
pub(super) struct Pause {
    random: Mutex<Rng>,
}

impl Pause {
    #[expect(clippy::disallowed_methods, reason = "the one place where ids and pauses get their random bits")]
    pub(super) fn new() -> Pause {
        let mut seed = [0; 8];
        let random = match getrandom::fill(&mut seed) {
            Ok(()) => Rng::with_seed(u64::from_le_bytes(seed)),
            Err(_) => Rng::new(),
        };
        Pause { random: Mutex::new(random) }
    }

    /// Random bits that are the same for the same seed.
    pub(super) fn seeded(seed: u64) -> Pause {
        Pause { random: Mutex::new(Rng::with_seed(seed)) }
    }

    /// Random bits.
    pub(super) fn random(&self) -> u64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).u64(..)
    }

    /// The stopwatch: deadlines of tries, never an instant of the books.
    #[expect(clippy::disallowed_methods, reason = "the one stopwatch, for deadlines of tries")]
    pub(super) fn now(&self) -> Instant {
        Instant::now()
    }

    /// Sleeps before another try: longer after each, and never as long as another engine at the same file.
    pub(super) fn sleep(&self, tries: u32) {
        let base = FIRST_PAUSE_MICROS << tries.min(DOUBLINGS);
        std::thread::sleep(Duration::from_micros(base + self.random() % (base * 2)));
    }
}
