//! Runs the small programs as a user would, and reads what they print.
#![allow(clippy::unwrap_used)]

use std::process::Command;

fn prints(example: &str, said: &[&str]) {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--locked", "--package", "drawdown-examples", "--example", example])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    for said in said {
        assert!(printed.contains(said), "no `{said}` in\n{printed}");
    }
}

#[test]
fn explain_decision_says_what_was_decided_and_why() {
    prints(
        "explain_decision",
        &[
            "charge of tenant acme, decided at 2026-03-02T12:00:00.000000Z",
            "first   expire -12 (trial 12), balance 35",
            "booked  charge -6 (campaign 5, purchased 1), balance 29",
            "decided denied, insufficient_balance: `40` is needed, and the grants that could pay have `29`",
            "1. purchased with 29, pays 29",
            "not trial: expired, 0 remain, 8 held",
        ],
    );
}

#[test]
fn second_door_pays_each_order_once_with_its_row() {
    prints(
        "second_door",
        &[
            "order-1: paid, 6 left",
            "order-2: paid, 1 left",
            "order-2: was paid before",
            "order-3: `7` is needed, and the grants that could pay have `1`",
            "2 orders, 1 left",
        ],
    );
}
