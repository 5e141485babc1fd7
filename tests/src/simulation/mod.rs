//! A seeded simulation: several engines with clocks of their own over one store, random commands and failures, and an auditor
//! who compares everything with the rules after every act.
//!
//! One thread plays one seed, and the same seed plays the same: what fails is a number, and shrinks to a small script.

#![expect(clippy::indexing_slicing, reason = "a tool of tests: engines and consumers are numbered by the simulation itself")]

mod anchors;
mod auditor;
mod bank;
mod doors;
mod followers;
mod ledger;
mod world;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bank::{Act, Stage};

use crate::shrink::shrink;

/// How much was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Commands that clients and sweeps gave.
    pub commands: u64,
    /// Operations that were accepted.
    pub operations: u64,
    /// Calls of the store that failed on purpose.
    pub faults: u64,
    /// Commits that arrived after their connection was lost.
    pub late: u64,
    /// Commands given again because their outcome was not known.
    pub retries: u64,
    /// Engines that ended without a word.
    pub crashes: u64,
    /// Commits during which somebody read.
    pub slow: u64,
    /// Reads of the feed by consumers.
    pub polls: u64,
    /// A sum of the last links of all chains: two runs of one seed end in the same books.
    pub heads: u64,
    /// How often each command had each outcome.
    pub seen: BTreeMap<String, u64>,
}

impl Tally {
    /// Adds what another seed did.
    pub fn add(&mut self, other: Tally) {
        self.commands += other.commands;
        self.operations += other.operations;
        self.faults += other.faults;
        self.late += other.late;
        self.retries += other.retries;
        self.crashes += other.crashes;
        self.slow += other.slow;
        self.polls += other.polls;
        self.heads = self.heads.wrapping_add(other.heads);
        other.seen.into_iter().for_each(|(outcome, times)| *self.seen.entry(outcome).or_default() += times);
    }
}

/// How long a script is made smaller.
const SHRINKING: Duration = Duration::from_secs(120);

/// Every so many seeds, the books are in a file.
pub const SEEDS_A_FILE: u64 = 10;

/// Plays these seeds, as many at once as there are threads; shows what is done so far and by how many seeds. Stops at the first
/// seed that fails.
///
/// # Errors
/// As [`simulate`].
pub fn simulate_all(
    seeds: Range<u64>,
    steps: u32,
    threads: usize,
    progress: &(dyn Fn(u64, &Tally) + Sync),
) -> Result<Tally, String> {
    let next = AtomicU64::new(seeds.start);
    let done = Mutex::new((0, Tally::default()));
    let failed = Mutex::new(None);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= seeds.end {
                return;
            }
            match simulate(seed, steps) {
                Ok(tally) => {
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.0 += 1;
                    done.1.add(tally);
                    progress(done.0, &done.1);
                }
                Err(why) => {
                    next.store(seeds.end, Ordering::SeqCst);
                    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
                }
            }
        }
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(why) => Err(why),
        None => Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner).1),
    }
}

/// Plays a seed with about so many commands.
///
/// # Errors
/// What was wrong first, and the smallest script found that shows it.
pub fn simulate(seed: u64, steps: u32) -> Result<Tally, String> {
    let (stage, acts) = bank::script(seed, seed % SEEDS_A_FILE == SEEDS_A_FILE - 1, steps);
    world::play(&stage, &acts).map_err(|why| explain(&stage, acts, why, steps))
}

fn explain(stage: &Stage, acts: Vec<Act>, why: String, steps: u32) -> String {
    let first = why.clone();
    let began = Instant::now();
    let fails = |acts: &[Act]| match began.elapsed() < SHRINKING {
        true => world::play(stage, acts).map(drop),
        false => Ok(()),
    };
    let (acts, why) = shrink(acts, why, fails);
    let (acts, why) = calm(acts, why, fails);
    let mut text = format!("seed {} with {steps} steps: {first}\n\nthe smallest script that fails: {why}\n{stage:?}\n", stage.seed);
    for (number, act) in acts.iter().enumerate() {
        let _ = writeln!(text, "{number}: {act}");
    }
    text
}

/// Takes out commands of a batch, failures and slow commits, one by one, as long as it still fails.
fn calm(mut acts: Vec<Act>, mut why: String, fails: impl Fn(&[Act]) -> Result<(), String>) -> (Vec<Act>, String) {
    let mut at = 0;
    while at < acts.len() {
        let calmer = acts[at].calmer().into_iter().find_map(|calmer| {
            let mut acts = acts.clone();
            acts[at] = calmer;
            fails(&acts).err().map(|why| (acts, why))
        });
        match calmer {
            Some(calmer) => (acts, why) = calmer,
            None => at += 1,
        }
    }
    (acts, why)
}
