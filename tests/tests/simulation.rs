//! A modest number of seeds of the simulation; `make simulate` plays more.
#![allow(clippy::panic, clippy::unwrap_used)]

use drawdown_tests::simulation::{simulate, simulate_all};

/// More than 300,000 commands together.
const SEEDS: u64 = 1_000;
const STEPS: u32 = 300;

/// What random scripts must reach, or they prove nothing.
const REACHED: &[&str] = &[
    "adjust accepted",
    "amend accepted",
    "block accepted",
    "block replayed",
    "capture accepted",
    "capture busy",
    "capture clock_behind",
    "capture hold_exceeded",
    "capture pre_deduct_already_processed",
    "capture replayed",
    "capture unknown",
    "charge accepted",
    "charge blocked",
    "charge cap_exceeded",
    "charge charge_rate_limited",
    "charge clock_behind",
    "charge idempotency_conflict",
    "charge insufficient_balance",
    "charge member_limit_exceeded",
    "charge not_a_member",
    "charge refused with its group",
    "charge replayed",
    "charge store",
    "charge unknown",
    "erase_text accepted",
    "erase_text replayed",
    "extend accepted",
    "grant accepted",
    "grant replayed",
    "grant unknown",
    "hold accepted",
    "hold blocked",
    "hold cap_exceeded",
    "hold member_limit_exceeded",
    "hold not_a_member",
    "hold pre_deduct_already_processed",
    "hold replayed",
    "hold unknown",
    "import accepted",
    "import replayed",
    "import unknown",
    "recur accepted",
    "recur replayed",
    "recur unknown",
    "refund accepted",
    "refund refund_duplicate",
    "refund replayed",
    "refund unknown",
    "release accepted",
    "release replayed",
    "remove_member accepted",
    "set_credit_limit accepted",
    "set_credit_limit replayed",
    "set_credit_limit unknown",
    "set_low_balance accepted",
    "set_low_balance unknown",
    "set_member accepted",
    "set_member replayed",
    "set_member unknown",
    "settle accepted",
    "stop_rule accepted",
    "unblock accepted",
    "void accepted",
    "void replayed",
];

#[test]
fn seeds_run_clean() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let tally = simulate_all(0..SEEDS, STEPS, threads, &|_, _| {}).unwrap_or_else(|why| panic!("{why}"));
    for outcome in REACHED {
        assert!(tally.seen.contains_key(*outcome), "no seed has `{outcome}`: {tally:#?}");
    }
    let troubles = [tally.faults, tally.late, tally.retries, tally.crashes, tally.slow, tally.polls];
    assert!(troubles.iter().all(|times| *times > 100), "{tally:#?}");
    assert!(tally.commands >= 300_000, "{tally:#?}");
}

/// The caps do not count a hold whose time is over, also where nobody has booked that yet, in another account: the model did.
#[test]
fn a_seed_that_told_the_model_from_the_engine() {
    simulate(427_138, 300).unwrap();
}

#[test]
fn a_seed_plays_the_same_again() {
    for seed in [3, 9] {
        let (first, second) = (simulate(seed, 200).unwrap(), simulate(seed, 200).unwrap());
        assert_eq!(first, second, "seed {seed}");
        assert_ne!(first.heads, simulate(seed + 1, 200).unwrap().heads);
    }
}
