//! Low-balance bands: where a balance stands by its threshold, and which operation tells that it went elsewhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use drawdown::{AccountKey, Band};
use drawdown_tests::script::{Bank, table};

/// Low below 5, recovered from 8.
const WARN: &str = "set_low_balance low_balance.below=5 low_balance.recovered_from=8";

fn cases(cases: &[(&str, &str, &str, &str)]) {
    let given: Vec<String> = cases.iter().map(|case| case.1.replace("WARN", WARN)).collect();
    let when: Vec<String> = cases.iter().map(|case| case.2.replace("WARN", WARN)).collect();
    let cases = cases.iter().zip(given.iter().zip(&when)).map(|(case, (given, when))| (case.0, &**given, &**when, case.3));
    table(&cases.collect::<Vec<_>>());
}

#[test]
fn the_operation_that_crosses_tells_it() {
    cases(&[
        ("at the threshold it is not low", "grant 10; WARN", "charge 5", "ok balance_after=5 band=null"),
        ("a millionth below", "grant 10; WARN", "charge 5.000001", "ok balance_after=4.999999 band=low"),
        ("once", "grant 10; WARN; charge 6", "charge 1", "ok band=null"),
        ("between the two it stays low", "grant 10; WARN; charge 6", "grant 3.999999", "ok balance_after=7.999999 band=null"),
        ("recovered", "grant 10; WARN; charge 6", "grant 4", "ok balance_after=8 band=normal"),
        ("between the two it stays normal", "grant 10; WARN", "charge 4", "ok balance_after=6 band=null"),
        ("up and down around one number", "grant 10; WARN; charge 6; grant 2; charge 2; grant 3", "charge 3", "ok band=null"),
        ("recovered and low again", "grant 10; WARN; charge 6; grant 4", "charge 4", "ok balance_after=4 band=low"),
        ("by a hold", "grant 10; WARN", "hold 6", "ok band=low"),
        ("by a release", "grant 10; WARN; hold 6 as=h", "release h", "ok band=normal"),
        ("by a capture that gives back", "grant 10; WARN; hold 6 as=h", "capture h 1", "ok balance_after=9 band=normal"),
        ("by a refund", "grant 10; WARN; charge 6 as=c", "refund ledger_id=@c", "ok band=normal"),
        ("by an adjustment", "grant 10; WARN", "adjust -6", "ok band=low"),
        ("by a void", "grant 10 as=g; WARN", "void g", "ok band=low"),
        ("by a refused one not", "grant 10; WARN", "charge 11", "denied insufficient_balance"),
        (
            "replayed",
            "grant 10; WARN; charge 6 idempotency_key=k; grant 9",
            "charge 6 idempotency_key=k",
            "ok idempotent_replay=true band=low",
        ),
        (
            "on credit",
            "set_credit_limit 5; set_low_balance low_balance.below=-2 low_balance.recovered_from=0",
            "charge 3",
            "ok band=low",
        ),
        ("without a threshold", "grant 10", "charge 10", "ok band=null"),
        ("another unit has its own", "grant 10; WARN; grant 10 unit=UC", "charge 9 unit=UC", "ok band=null"),
    ]);
}

#[test]
fn setting_the_threshold_can_cross_it() {
    cases(&[
        ("of an empty account", "wait 0", "WARN", "ok band=low"),
        ("above", "grant 10", "WARN", "ok band=null"),
        ("taken away", "WARN", "set_low_balance", "ok band=normal low_balance=null"),
        ("lowered", "grant 4; WARN", "set_low_balance low_balance.below=1 low_balance.recovered_from=4", "ok band=normal"),
        (
            "lowered, not enough",
            "grant 4; WARN",
            "set_low_balance low_balance.below=1 low_balance.recovered_from=4.5",
            "ok band=null",
        ),
        ("raised", "grant 10; WARN", "set_low_balance low_balance.below=11 low_balance.recovered_from=11", "ok band=low"),
        (
            "recovers below",
            "wait 0",
            "set_low_balance low_balance.below=5 low_balance.recovered_from=4.999999",
            "denied amount_invalid field=low_balance.recovered_from given=4.999999",
        ),
        (
            "no amount",
            "wait 0",
            "set_low_balance low_balance.below=x low_balance.recovered_from=5",
            "denied amount_invalid field=low_balance.below",
        ),
        ("half of it", "wait 0", "set_low_balance low_balance.below=1", "denied payload_invalid"),
        ("again under its key", "WARN idempotency_key=k; grant 10", "WARN idempotency_key=k", "ok idempotent_replay=true band=low"),
        (
            "another under its key",
            "WARN idempotency_key=k",
            "set_low_balance low_balance.below=5 low_balance.recovered_from=9 idempotency_key=k",
            "denied idempotency_conflict field=low_balance.recovered_from",
        ),
    ]);
}

#[test]
fn time_crosses_with_the_next_write() {
    cases(&[
        ("an expiry, told by a settle", "grant 10 expires_at=+60; WARN; wait 60", "settle", "ok booked=1 band=low"),
        ("told once", "grant 10 expires_at=+60; WARN; wait 60; settle", "settle", "ok booked=0 band=null"),
        ("told by the next command", "grant 10 expires_at=+60; WARN; wait 60", "grant 1", "ok balance_after=1 band=low"),
        ("not told if the command ends in the band before", "grant 10 expires_at=+60; WARN; wait 60", "grant 9", "ok band=null"),
        ("a hold that runs out", "grant 10; WARN; hold 6 expire_in=60; wait 60", "settle", "ok band=normal"),
        ("a grant that begins", "WARN; grant 9 effective_at=+60; wait 60", "settle", "ok band=normal"),
    ]);
}

#[test]
fn a_sweep_tells_it_in_the_feed_and_a_read_sees_it_before() {
    let mut bank = Bank::in_memory();
    for statement in ["grant 10 expires_at=+60", WARN, "wait 60"] {
        bank.given(statement).unwrap();
    }
    let key = AccountKey::new("acme".parse().unwrap(), "user:u1".parse().unwrap(), "credit".parse().unwrap());
    assert_eq!(bank.engine.balance(&key).unwrap().band, Some(Band::Low));
    let bands =
        |bank: &Bank| bank.engine.feed(None, 0, 100).unwrap().iter().map(|stored| stored.operation.band).collect::<Vec<_>>();
    assert_eq!(bands(&bank), [None, None]);
    bank.engine.sweep(10).unwrap();
    bank.engine.sweep(10).unwrap();
    assert_eq!(bands(&bank), [None, None, Some(Band::Low)]);
    assert!(bank.engine.verify().unwrap().is_clean());
}
