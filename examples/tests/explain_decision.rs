//! Runs the program `explain_decision` as a support engineer would.
#![allow(clippy::unwrap_used)]

use std::process::Command;

#[test]
fn it_says_what_was_decided_and_why() {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--locked", "--package", "drawdown-examples", "--example", "explain_decision"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    for said in [
        "charge of tenant acme, decided at 2026-03-02T12:00:00.000000Z",
        "first   expire -12 (trial 12), balance 35",
        "booked  charge -6 (campaign 5, purchased 1), balance 29",
        "decided denied, insufficient_balance: `40` is needed, and the grants that could pay have `29`",
        "1. purchased with 29, pays 29",
        "not trial: expired, 0 remain, 8 held",
    ] {
        assert!(printed.contains(said), "no `{said}` in\n{printed}");
    }
}
