//! The clock, and what has become due but is not booked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;

use drawdown::{Context, Engine, GrantCredit, GrantType, ManualClock, Owner, Timestamp};
use drawdown_tests::script::{BEGINNING, table};

#[test]
fn the_clock_may_go_back_by_5_seconds_and_no_more() {
    table(&[
        ("back by 5 seconds: the time stands still", "at +60; grant 5; at +55", "charge 1", "ok created_at=+60 balance_after=4"),
        ("back by a microsecond more", "at +60; grant 5; at +54.999999", "charge 1", "error clock_behind; balance 5"),
        ("for another account the clock is right", "at +60; grant 5; at +30", "grant 5 owner=pool", "ok created_at=+30"),
        ("a denial books nothing, so it does not hold the clock", "at +60; try charge 5; at +30", "grant 5", "ok created_at=+30"),
        (
            "a task is an anchor too",
            "grant 5 owner=pool; grant 5; at +60; charge 1 payer=pool task_id=t; at +30",
            "charge 1 task_id=t",
            "error clock_behind; balance 5",
        ),
        (
            "and its time counts for the other account",
            "grant 5 owner=pool; grant 5; at +60; charge 1 payer=pool task_id=t; at +58",
            "charge 1 task_id=t",
            "ok created_at=+60",
        ),
        ("a clock set to 2099 and back", "at 2099-01-01T00:00:00Z; grant 5; at +0", "charge 1", "error clock_behind"),
        (
            "an account that was not booked in 2099 goes on",
            "grant 5; at 2099-01-01T00:00:00Z; grant 5 owner=pool; at +60",
            "charge 1",
            "ok created_at=+60",
        ),
        (
            "and once the clock is there, it goes on",
            "at +3600; grant 5; at +0; try charge 1; at +3600",
            "charge 1",
            "ok balance_after=4",
        ),
        (
            "what a failure had under its key is executed",
            "at +60; grant 5; at +30; try charge 1 idempotency_key=k; at +60",
            "charge 1 idempotency_key=k",
            "ok idempotent_replay=false",
        ),
        (
            "what expired at the last booking stays expired",
            "grant 5 expires_at=+60; grant 5; at +60; charge 1; at +58",
            "charge 5",
            "denied insufficient_balance available=4",
        ),
    ]);
}

/// Whoever's account is booked: the task of the hold was there at second 60, so nothing of it is earlier.
#[test]
fn whatever_is_done_with_a_hold_counts_for_its_task() {
    let given = "grant 9; grant 9 owner=pool; hold 4 payer=pool task_id=t late_commit=draw as=h; at +60";
    let short = given.replace("late_commit=draw", "late_commit=draw expire_in=30");
    let done = [
        ("placed", "grant 9; grant 9 owner=pool; at +60; hold 4 payer=pool task_id=t".to_owned()),
        ("extended", format!("{given}; extend h expire_in=3600")),
        ("captured in part", format!("{given}; capture h 1 final=false idempotency_key=k")),
        ("captured", format!("{given}; capture h 4")),
        ("captured late", format!("{short}; capture h 4")),
        ("released in part", format!("{given}; release h 1 idempotency_key=k")),
        ("released", format!("{given}; release h")),
        ("charged", format!("{given}; charge 1 payer=pool task_id=t")),
    ];
    for (title, given) in done {
        let (soon, late) = (format!("{given}; at +58"), format!("{given}; at +30"));
        table(&[
            (title, &soon, "charge 1 task_id=t", "ok created_at=+60"),
            (title, &late, "charge 1 task_id=t", "error clock_behind; balance 9"),
            (title, &late, "charge 1", "ok created_at=+30"),
        ]);
    }
}

#[test]
fn what_has_expired_is_not_spent_though_nothing_booked_it() {
    table(&[
        ("a charge", "grant 5 expires_at=+60; at +60", "charge 1", "denied insufficient_balance available=0"),
        ("a hold", "grant 5 expires_at=+60; at +60", "hold 1", "denied insufficient_balance available=0"),
        ("a minus", "grant 5 expires_at=+60; at +60", "adjust -1", "denied insufficient_balance available=0"),
        ("a void", "grant 5 expires_at=+60 as=g; at +60", "void g", "denied payload_invalid"),
        ("an amendment", "grant 5 expires_at=+60 as=g; at +60", "amend g expires_at=+90", "denied payload_invalid"),
        (
            "an over-capture",
            "grant 5 expires_at=+60; hold 3 over_capture=draw as=h; at +60",
            "capture h 4",
            "denied insufficient_balance needed=1 available=0",
        ),
        (
            "a late commit",
            "grant 5 expires_at=+90; hold 3 expire_in=60 late_commit=draw as=h; at +90",
            "capture h 3",
            "denied insufficient_balance",
        ),
        (
            "a capture of what it holds is the exception",
            "grant 5 expires_at=+60; hold 3 as=h; at +60",
            "capture h 3",
            "ok captured=3 balance_after=0",
        ),
        (
            "a release to it comes to nothing",
            "grant 5 expires_at=+60; hold 3 as=h; at +60",
            "release h",
            "ok released=3 change=0 balance_after=0",
        ),
        (
            "a refund to it is reissued",
            "grant 5 expires_at=+60; charge 3 as=c; at +60",
            "refund ledger_id=@c",
            "ok change=3 balance_after=3",
        ),
        ("a grant books it first", "grant 5 expires_at=+60; at +60", "grant 1", "ok change=1 balance_after=1"),
        ("reading", "grant 5 expires_at=+60; at +60", "wait 0", "ok; balance 0"),
    ]);
}

#[test]
fn a_hold_past_its_time_has_released_its_amount_though_nothing_booked_it() {
    table(&[
        ("a charge can have it", "grant 5; hold 5 expire_in=60; at +60", "charge 5", "ok balance_after=0 frozen_after=0"),
        ("a hold can have it", "grant 5; hold 5 expire_in=60; at +60", "hold 5", "ok balance_after=0 frozen_after=5"),
        (
            "the second after the first was booked",
            "grant 5; hold 2 expire_in=60; hold 3 expire_in=120; at +60; settle; at +120",
            "charge 5",
            "ok balance_after=0 frozen_after=0",
        ),
        (
            "the first after the second was made",
            "grant 5; hold 2 expire_in=120; hold 3 expire_in=60; at +60; charge 3; at +120",
            "charge 2",
            "ok balance_after=0 frozen_after=0",
        ),
        (
            "a capture cannot",
            "grant 5; hold 5 expire_in=60 as=h; at +60",
            "capture h 5",
            "denied pre_deduct_already_processed status=expired",
        ),
        (
            "a part cannot",
            "grant 5; hold 5 expire_in=60 as=h; at +60",
            "capture h 1 final=false idempotency_key=k",
            "denied pre_deduct_already_processed status=expired",
        ),
        (
            "a release cannot",
            "grant 5; hold 5 expire_in=60 as=h; at +60",
            "release h",
            "denied pre_deduct_already_processed status=expired",
        ),
        (
            "an extension cannot",
            "grant 5; hold 5 expire_in=60 as=h; at +60",
            "extend h expire_in=900",
            "denied pre_deduct_already_processed status=expired",
        ),
        (
            "its grant expired meanwhile: nothing comes back",
            "grant 5 expires_at=+30; hold 5 expire_in=60; at +60",
            "charge 1",
            "denied insufficient_balance available=0",
        ),
        (
            "its grant expires at the same instant: nothing comes back",
            "grant 5 expires_at=+60; hold 5 expire_in=60; at +60",
            "charge 1",
            "denied insufficient_balance available=0",
        ),
        (
            "its grant was voided: nothing comes back",
            "grant 5 as=g; hold 5 expire_in=60; void g; at +60",
            "charge 1",
            "denied insufficient_balance available=0",
        ),
        ("reading", "grant 5; hold 3 expire_in=60; at +60", "wait 0", "ok; balance 5"),
    ]);
}

#[test]
fn settling_books_what_is_due_once_and_in_order() {
    table(&[
        ("an expiry", "grant 5 expires_at=+60; at +60", "settle", "ok booked=1 balance_after=0"),
        ("a hold", "grant 5; hold 3 expire_in=60; at +60", "settle", "ok booked=1 balance_after=5 frozen_after=0"),
        ("a beginning", "grant 5 effective_at=+60; at +60", "settle", "ok booked=1 balance_after=5"),
        ("a whole life", "grant 5 effective_at=+60 expires_at=+70; at +80", "settle", "ok booked=2 balance_after=0"),
        (
            "a hold on a grant that expires at the same instant",
            "grant 5 expires_at=+60; hold 3 expire_in=60; at +60",
            "settle",
            "ok balance_after=0 frozen_after=0",
        ),
        ("nothing is due before its time", "grant 5 expires_at=+60; at +59.999999", "settle", "ok booked=0"),
        ("nothing is due twice", "grant 5 expires_at=+60; at +60; settle", "settle", "ok booked=0"),
        ("a denial books nothing", "grant 5 expires_at=+60; at +60; try charge 9", "settle", "ok booked=1"),
        ("a grant that was used up has nothing to expire", "grant 5 expires_at=+60; charge 5; at +60", "settle", "ok booked=0"),
        ("an account that never was", "wait 0", "settle", "denied account_not_found"),
    ]);
}

#[test]
fn a_balance_at_a_past_time_is_what_it_was_then() {
    let past = "grant 10; at +10; charge 1; at +20; hold 4 expire_in=60 as=h; at +30; capture h 3";
    let expiry = "grant 10 expires_at=+60; at +30; charge 2; at +100; grant 1";
    let begin = "grant 10 effective_at=+60; at +100; grant 1";
    let lapse = "grant 10; hold 4 expire_in=60; at +100; grant 1";
    table(&[
        ("before anything", "at +10; grant 10; at +20", "wait 0", "ok; balance 0 at +9.999999; balance 10 at +10"),
        (
            "at each booking",
            past,
            "wait 0",
            "ok; balance 10 at +9.999999; balance 9 at +10; balance 5 frozen 4 at +20; balance 6 at +30",
        ),
        (
            "an expiry booked later counts from its time",
            expiry,
            "wait 0",
            "ok; balance 8 at +59.999999; balance 0 at +60; balance 0 at +99; balance 1 at +100",
        ),
        (
            "an expiry not yet booked likewise",
            "grant 10 expires_at=+60; at +100",
            "wait 0",
            "ok; balance 10 at +59.999999; balance 0 at +60",
        ),
        ("a beginning booked later", begin, "wait 0", "ok; balance 0 at +59.999999; balance 10 at +60; balance 11 at +100"),
        (
            "a hold that lapsed and was booked later",
            lapse,
            "wait 0",
            "ok; balance 6 frozen 4 at +59.999999; balance 10 at +60; balance 11 at +100",
        ),
        (
            "a grant that was booked later with an earlier time does not change the past",
            "grant 1; at +60; grant 10 effective_at=+10; at +70",
            "wait 0",
            "ok; balance 1 at +30; balance 11 at +60",
        ),
        (
            "an amended expiry does not change what had not come",
            "grant 10 expires_at=+60 as=g; at +30; amend g expires_at=+90; at +100; settle",
            "wait 0",
            "ok; balance 10 at +60; balance 10 at +89.999999; balance 0 at +90",
        ),
        ("an instant to come", "grant 10 expires_at=+60", "wait 0", "ok; balance 10 at +59; balance 0 at +60"),
        ("an account that never was", "wait 0", "wait 0", "ok; balance 0 at +60"),
    ]);
}

/// A clock that goes on each time it is read.
#[derive(Debug, Default)]
struct Ticking(std::sync::atomic::AtomicI64);

impl drawdown::Clock for Ticking {
    fn now(&self) -> Timestamp {
        let read = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        BEGINNING.parse::<Timestamp>().unwrap().plus_seconds(read).unwrap()
    }
}

#[test]
fn the_present_is_one_for_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    for (name, store) in drawdown_tests::stores(&folder.path().join("books.db")) {
        let engine = Engine::builder().store(store).clock(Arc::new(Ticking::default())).build().unwrap();
        let grant = |user: &str| {
            let body = GrantCredit::new(Owner::user(user).unwrap(), GrantType::Plan, "1".parse().unwrap());
            Context::tenant("acme").unwrap().request(body).into_command()
        };
        let answers = engine.execute_many(["a", "b", "a", "c"].map(grant).to_vec());
        let booked: Vec<Timestamp> = answers.iter().map(|answer| answer.as_ref().unwrap().entries()[0].created_at).collect();
        assert!(booked.iter().all(|at| *at == booked[0]), "{name}: {booked:?}");
        let next = engine.run(grant("d")).unwrap().entries()[0].created_at;
        assert!(next > booked[0], "{name}");
    }
}

#[test]
fn a_manual_clock_stands_where_it_is_set() {
    let start: Timestamp = BEGINNING.parse().unwrap();
    let clock = ManualClock::at(start);
    clock.advance_seconds(-60);
    assert_eq!(drawdown::Clock::now(&clock), start.plus_seconds(-60).unwrap());
    clock.advance_seconds(i64::MAX);
    assert!(drawdown::Clock::now(&clock) <= Timestamp::MAX);
}
