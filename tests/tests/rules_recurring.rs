//! Recurring grants: when periods begin, what is carried over, and that periods nobody saw add up to what each would have.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;

use drawdown::facts::Totals;
use drawdown::ledger::{EntryQuery, EntryScope, Terms};
use drawdown::store::memory::MemoryStore;
use drawdown::store::{Answer, Query, Store};
use drawdown::{AccountKey, Balance, Every, Grant, GrantId, RuleId, RuleTerms, TenantPolicy, Timestamp};
use drawdown_tests::script::{Bank, table};
use serde_json::json;

#[test]
fn a_rule_gives_each_period_for_that_period() {
    table(&[
        ("it begins now", "wait 0", "recur 10 as=r", "ok change=10 balance_after=10 next_at=+86400"),
        (
            "it begins later",
            "wait 0",
            "recur 10 starts_at=+60",
            "ok change=0 balance_after=0 grant_id=null next_at=+60; balance 10 at +60",
        ),
        (
            "it began in the past: with the instance in force now, whole",
            "at +10d",
            "recur 10 every={\"weeks\":1} starts_at=+0",
            "ok change=10 next_at=+1209600; balance 0 at +9d",
        ),
        (
            "so late that only one is left",
            "at +9d",
            "recur 10 starts_at=+0 ends_at=+864000",
            "ok change=10 next_at=null; balance 0 at +10d",
        ),
        (
            "what is left expires",
            "recur 10; charge 4",
            "wait 0",
            "ok; balance 6 at +86399; balance 10 at +86400; balance 10 at +2d",
        ),
        ("the next write books it", "recur 10; charge 4; at +1d", "charge 10", "ok balance_after=0 frozen_after=0"),
        (
            "at the boundary expiry comes before spending",
            "recur 10; at +1d",
            "charge 11",
            "denied insufficient_balance available=10",
        ),
        ("a settle", "recur 10; at +1d", "settle", "ok booked=2 balance_after=10"),
        ("a settle before the boundary", "recur 10; at +86399.999999", "settle", "ok booked=0"),
        ("nothing is due twice", "recur 10; at +1d; settle", "settle", "ok booked=0"),
        (
            "it is for what its scope says",
            "recur 10 scope.app_id=x; at +3d",
            "charge 1 app_id=y",
            "denied insufficient_balance available=0",
        ),
        ("and pays for that", "recur 10 scope.app_id=x rollover_cap=3; at +3d", "charge 13 app_id=x", "ok balance_after=0"),
        ("two rules at one instant", "recur 10; recur 3 rollover_cap=1; at +1d", "settle", "ok booked=5 balance_after=14"),
        ("a pending start that is settled late", "recur 10 starts_at=+60 rollover_cap=4; at +3d", "settle", "ok balance_after=14"),
        (
            "a replay",
            "recur 10 idempotency_key=k; at +9d",
            "recur 10 idempotency_key=k",
            "ok idempotent_replay=true next_at=+86400 change=10",
        ),
        (
            "another under its key",
            "recur 10 idempotency_key=k",
            "recur 10 idempotency_key=k rollover_cap=1",
            "denied idempotency_conflict field=rollover_cap",
        ),
    ]);
}

#[test]
fn what_is_left_goes_on_up_to_the_cap_for_one_period() {
    table(&[
        ("nothing by default", "recur 10; charge 4; at +1d", "settle", "ok balance_after=10"),
        ("less than the cap", "recur 10 rollover_cap=8; charge 4; at +1d", "settle", "ok balance_after=16 booked=2"),
        ("as much as the cap", "recur 10 rollover_cap=6; charge 4; at +1d", "settle", "ok balance_after=16 booked=2"),
        ("more than the cap", "recur 10 rollover_cap=2; charge 4; at +1d", "settle", "ok balance_after=12 booked=3"),
        ("nothing left", "recur 10 rollover_cap=2; charge 10; at +1d", "settle", "ok balance_after=10 booked=1"),
        ("a cap above the amount", "recur 10 rollover_cap=99; at +1d", "settle", "ok balance_after=20"),
        (
            "missed periods are folded though the cap is above the amount",
            "recur 10 rollover_cap=99; at +900d",
            "settle",
            "ok balance_after=20 booked=7",
        ),
        ("it does not go on twice", "recur 10 rollover_cap=99; at +2d", "settle", "ok balance_after=20"),
        (
            "it is drawn like the rest of its type",
            "recur 10 rollover_cap=5; at +1d; charge 12; at +2d",
            "settle",
            "ok balance_after=13",
        ),
    ]);
}

#[test]
fn a_held_part_stays_with_its_instance() {
    let held = "recur 10 rollover_cap=10; hold 4 expire_in=604800 as=h; at +1d";
    table(&[
        ("only the rest goes on", held, "settle", "ok balance_after=16 frozen_after=4"),
        ("it can be captured", held, "capture h 4", "ok captured=4 balance_after=16 frozen_after=0"),
        ("what is released of it expires", held, "release h", "ok released=4 change=0 balance_after=16"),
        ("what is left of a capture expires", held, "capture h 1", "ok captured=1 change=0 balance_after=16"),
        ("after many periods", "recur 10; hold 4 expire_in=604800 as=h; at +6d", "capture h 4", "ok captured=4 balance_after=10"),
        (
            "it lapses in the gap: it expires",
            "recur 10 rollover_cap=99; hold 4 expire_in=100000; at +9d",
            "settle",
            "ok balance_after=20 frozen_after=0",
        ),
        (
            "it lapses at the boundary: it goes on",
            "recur 10 rollover_cap=10; hold 4 expire_in=86400; at +1d",
            "settle",
            "ok balance_after=20 frozen_after=0",
        ),
        (
            "all of it is held",
            "recur 10 rollover_cap=10; hold 10 expire_in=604800; at +1d",
            "settle",
            "ok balance_after=10 frozen_after=10",
        ),
        (
            "a refund to an ended instance is reissued, and is no instance",
            "recur 10 as=r; charge 4 as=c; at +1d; refund ledger_id=@c; at +2d",
            "settle",
            "ok balance_after=14",
        ),
    ]);
}

#[test]
fn an_instance_that_was_touched_is_a_grant_like_any_other() {
    table(&[
        ("a voided one is gone", "recur 10 rollover_cap=10 as=r; void r", "wait 0", "ok; balance 0; balance 10 at +1d"),
        (
            "an amended one lasts longer",
            "recur 10 rollover_cap=10 as=r; amend r expires_at=+3d",
            "wait 0",
            "ok; balance 20 at +1d; balance 30 at +2d; balance 20 at +3d",
        ),
        (
            "a stopped one stays until its end",
            "recur 10 rollover_cap=10 as=r; stop_rule r",
            "wait 0",
            "ok; balance 10; balance 0 at +1d",
        ),
        (
            "what was carried over before the stop stays too",
            "recur 10 rollover_cap=3 as=r; at +1d; stop_rule r",
            "wait 0",
            "ok; balance 13; balance 0 at +2d",
        ),
        ("a rule is stopped once", "recur 10 as=r; stop_rule r", "stop_rule r", "denied payload_invalid field=rule_id"),
        ("a rule that has ended", "recur 10 ends_at=+60 as=r", "stop_rule r", "denied payload_invalid field=rule_id"),
        ("of another tenant", "recur 10 as=r", "stop_rule r tenant_id=globex", "denied payload_invalid field=rule_id"),
        ("one that has not begun", "recur 10 starts_at=+60 as=r; stop_rule r", "wait 0", "ok; balance 0 at +90"),
        ("a stop long after", "recur 10 rollover_cap=3 as=r; at +100d", "stop_rule r", "ok balance_after=13"),
    ]);
}

#[test]
fn no_instance_begins_at_its_end_or_after_it() {
    table(&[
        ("an end at a boundary", "recur 10 rollover_cap=5 ends_at=+2d", "wait 0", "ok; balance 15 at +1d; balance 0 at +2d"),
        ("an end after a boundary", "recur 10 rollover_cap=5 ends_at=+172801", "wait 0", "ok; balance 15 at +2d; balance 0 at +3d"),
        ("many periods later", "recur 10 rollover_cap=5 ends_at=+50d; at +99d", "settle", "ok balance_after=0"),
        (
            "in the gap",
            "recur 10 rollover_cap=5 ends_at=+50d; at +99d; settle",
            "wait 0",
            "ok; balance 15 at +49d; balance 0 at +50d",
        ),
        ("an end that has come", "at +9d", "recur 10 starts_at=+0 ends_at=+8d", "denied payload_invalid field=ends_at"),
        ("an end before the start", "wait 0", "recur 10 starts_at=+9d ends_at=+9d", "denied payload_invalid field=ends_at"),
    ]);
}

#[test]
fn what_a_rule_cannot_be_is_refused() {
    table(&[
        ("nothing", "wait 0", "recur 0", "denied amount_invalid field=amount"),
        ("a cap below zero", "wait 0", "recur 1 rollover_cap=-1", "denied amount_invalid field=rollover_cap"),
        ("no step", "wait 0", "recur 1 every={\"days\":0}", "denied payload_invalid field=every given=0_days"),
        ("too many steps", "wait 0", "recur 1 every={\"years\":1001}", "denied payload_invalid field=every"),
        ("another word", "wait 0", "recur 1 every={\"hours\":1}", "denied payload_invalid"),
        ("a zone that is none", "wait 0", "recur 1 zone=Mars/Olympus", "denied payload_invalid field=zone"),
        ("16 rules", "15x recur 1 starts_at=+9d", "recur 1 starts_at=+9d", "ok"),
        ("17 rules", "16x recur 1 starts_at=+9d", "recur 1", "denied capacity_exceeded limit=rules allowed=16"),
        ("one that has ended makes room", "15x recur 1 starts_at=+9d; recur 1 as=r; stop_rule r", "recur 1", "ok"),
        ("1,000 grants", "1000x grant 1", "recur 1", "denied capacity_exceeded limit=open_grants"),
        ("they do not keep a rule from going on", "recur 1; 999x grant 1; at +1d", "settle", "ok balance_after=1000"),
        (
            "nor does one that carries over",
            "recur 1 rollover_cap=1 as=r; 999x grant 1; at +1d; settle",
            "grant 1",
            "denied capacity_exceeded limit=open_grants",
        ),
        (
            "an instance that lasts longer counts like a grant that is given",
            "recur 1 rollover_cap=1; recur 1 every={\"weeks\":9} as=r; 998x grant 1; at +1d; settle",
            "amend r expires_at=+99d",
            "denied capacity_exceeded limit=open_grants allowed=1000",
        ),
        (
            "where there is room it may",
            "recur 1 rollover_cap=1; recur 1 every={\"weeks\":9} as=r; 997x grant 1; at +1d; settle",
            "amend r expires_at=+99d",
            "ok expires_at=+99d",
        ),
        ("all that can be counted is given", "recur 9223372036854.775807", "recur 0.000001", "denied amount_invalid field=amount"),
        (
            "a rule without room for another instance ends",
            "recur 5000000000000 rollover_cap=1; at +9d",
            "settle",
            "ok balance_after=0",
        ),
        (
            "at the boundary at which there is none",
            "recur 4000000000000 rollover_cap=1; at +9d; settle",
            "wait 0",
            "ok; balance 4000000000001 at +1d; balance 0 at +2d",
        ),
        (
            "and another goes on",
            "recur 4000000000000; recur 1 rollover_cap=1; at +900d; settle",
            "wait 0",
            "ok; balance 4000000000002 at +1d; balance 2 at +2d; balance 2 at +899d; balance 2",
        ),
    ]);
}

/// The boundaries of a rule, as instants in UTC.
fn boundaries(every: Every, starts_at: &str, zone: &str, numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    let terms = json!({"type": "plan", "amount": "1", "every": every, "starts_at": starts_at, "zone": zone});
    let terms: RuleTerms = serde_json::from_value(terms).unwrap();
    let shown = |at: Timestamp| at.to_string().replace(":00.000000Z", "Z");
    numbers.into_iter().map(|k| terms.boundary(k).map_or("never".to_owned(), shown)).collect()
}

#[test]
fn steps_count_from_the_anchor() {
    let months = boundaries(Every::Months(1), "2026-01-31T00:00:00Z", "UTC", 0..4);
    assert_eq!(months, ["2026-01-31T00:00Z", "2026-02-28T00:00Z", "2026-03-31T00:00Z", "2026-04-30T00:00Z"]);
    let leap = boundaries(Every::Months(12), "2024-01-29T06:00:00Z", "UTC", 0..1);
    assert_eq!(leap, ["2024-01-29T06:00Z"]);
    let years = boundaries(Every::Years(1), "2024-02-29T00:00:00Z", "UTC", 0..5);
    assert_eq!(years, ["2024-02-29T00:00Z", "2025-02-28T00:00Z", "2026-02-28T00:00Z", "2027-02-28T00:00Z", "2028-02-29T00:00Z"]);
    assert_eq!(boundaries(Every::Weeks(2), "2026-01-01T00:00:00Z", "UTC", 1..2), ["2026-01-15T00:00Z"]);
    assert_eq!(boundaries(Every::Years(1_000), "2026-01-01T00:00:00Z", "UTC", 7..9), ["9026-01-01T00:00Z", "never"]);
    assert_eq!(boundaries(Every::Months(1_000), "2026-01-01T00:00:00Z", "UTC", [u32::MAX]), ["never"]);
}

#[test]
fn days_begin_where_the_zone_says() {
    // The clocks skip from 02:00 to 03:00 on 29 March, and show 02:00 to 03:00 twice on 25 October.
    let spring = boundaries(Every::Days(1), "2026-03-28T01:30:00Z", "Europe/Berlin", 0..3);
    assert_eq!(spring, ["2026-03-28T01:30Z", "2026-03-29T01:00Z", "2026-03-30T00:30Z"], "the first time that is shown");
    let autumn = boundaries(Every::Days(1), "2026-10-24T00:30:00Z", "Europe/Berlin", 0..3);
    assert_eq!(autumn, ["2026-10-24T00:30Z", "2026-10-25T00:30Z", "2026-10-26T01:30Z"], "the earlier of two");
    let midnight = boundaries(Every::Months(1), "2026-02-28T23:00:00Z", "Europe/Berlin", 0..3);
    assert_eq!(midnight, ["2026-02-28T23:00Z", "2026-03-31T22:00Z", "2026-04-30T22:00Z"], "1 March, April, May");
    let spring = boundaries(Every::Weeks(1), "2026-03-01T07:30:00Z", "America/New_York", 0..3);
    assert_eq!(spring, ["2026-03-01T07:30Z", "2026-03-08T07:00Z", "2026-03-15T06:30Z"]);
    let autumn = boundaries(Every::Days(1), "2026-10-31T05:30:00Z", "America/New_York", 0..3);
    assert_eq!(autumn, ["2026-10-31T05:30Z", "2026-11-01T05:30Z", "2026-11-02T06:30Z"]);
    let later_of_two = boundaries(Every::Days(1), "2026-10-25T01:30:00Z", "Europe/Berlin", 0..2);
    assert_eq!(later_of_two, ["2026-10-25T01:30Z", "2026-10-26T01:30Z"], "the anchor is where it was set");
    // A day that an island left out.
    let apia = boundaries(Every::Days(1), "2011-12-29T22:00:00Z", "Pacific/Apia", 0..3);
    assert_eq!(apia, ["2011-12-29T22:00Z", "2011-12-30T10:00Z", "2011-12-30T22:00Z"]);
}

#[test]
fn boundaries_ascend() {
    for zone in ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe", "Africa/Casablanca"] {
        for every in [Every::Days(1), Every::Weeks(1), Every::Months(1)] {
            let at = boundaries(every, "2010-01-31T23:45:00Z", zone, 0..1_200);
            assert!(at.is_sorted(), "{every} in {zone}");
        }
    }
}

#[test]
fn an_id_of_a_rule_can_be_worked_out() {
    let rule: RuleId = "rule_019b76da-a800-7033-837f-5ed7fe110001".parse().unwrap();
    let at: Timestamp = "2026-02-01T00:00:00Z".parse().unwrap();
    let ids = [(1, false), (1, true), (2, false)].map(|(k, rollover)| GrantId::of_rule(rule, k, at, rollover).to_string());
    assert_eq!(ids, GOLDEN);
}

#[test]
fn the_grants_of_a_rule_have_the_ids_that_can_be_worked_out() {
    let mut bank = Bank::in_memory();
    let made = bank.run("recur 10 rollover_cap=3").unwrap();
    let rule: RuleId = made["rule_id"].as_str().unwrap().parse().unwrap();
    let id = |k: u32, rollover| GrantId::of_rule(rule, k, seconds(i64::from(k) * 86_400), rollover);
    assert_eq!(made["grant_id"], id(0, false).to_string());
    for k in [1, 2, 40] {
        bank.given(&format!("at +{k}d")).unwrap();
        bank.given("settle").unwrap();
        let ids: Vec<GrantId> = bank.engine.grants(&key()).unwrap().iter().map(|grant| grant.id).collect();
        // What is carried over is drawn first where nothing else differs.
        assert_eq!(ids, [id(k, true), id(k, false)], "{k}");
    }
}

const GOLDEN: [&str; 3] = [
    "grt_019c167f-cc00-7033-a71f-c62ec6dfafd4",
    "grt_019c167f-cc00-7033-981a-fabbf4fe8c00",
    "grt_019c167f-cc00-7033-b3b3-4438cef29a2f",
];

fn key() -> AccountKey {
    AccountKey::new("acme".parse().unwrap(), "user:u1".parse().unwrap(), "credit".parse().unwrap())
}

/// Totals, and all that is open but for its names.
fn state(store: &dyn Store) -> (Totals, Vec<String>) {
    let Answer::AccountImage(Some(image)) = store.query(&Query::AccountImage(key())).unwrap() else { panic!("no account") };
    let period = |grant: &Grant| grant.terms.recurrence.map(|of| (of.k, of.rollover));
    let grants = image.facts.grants.values();
    let mut open: Vec<String> = grants
        .map(|grant| format!("{:?} {} {} {:?}", grant.expires_at, grant.remaining, grant.held, period(grant)))
        .chain(image.facts.rules.values().map(|rule| format!("{:?} {} {}", rule.terms.every, rule.next, rule.next_at)))
        .collect();
    open.sort();
    (image.facts.account.totals, open)
}

/// Runs the statements at second 0, then settles at each of these seconds.
fn settled_at(given: &[String], stops: &[i64]) -> (Bank, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::new());
    let mut bank = Bank::new(store.clone(), TenantPolicy::default());
    given.iter().for_each(|statement| bank.given(statement).unwrap());
    for stop in stops {
        bank.given(&format!("at +{stop}")).unwrap();
        bank.given("settle").unwrap();
    }
    (bank, store)
}

/// Whoever settles in between, and however often: the books say the same, and so does what they say of the past.
#[test]
fn it_does_not_matter_when_anybody_settles() {
    let mut random = fastrand::Rng::with_seed(11);
    for round in 0..60 {
        let caps = [random.u32(0..12), random.u32(0..30)];
        let end = if random.bool() { format!("ends_at=+{}d", random.u32(20..200)) } else { String::new() };
        // Sometimes there is no room for all that a rule would give.
        let monthly = if round % 3 == 0 { 60_000_000_000_u64 } else { 7 };
        let given = [
            format!("recur 10 rollover_cap={} {end}", caps[0]),
            format!("recur {monthly} rollover_cap={} every={{\"months\":1}} starts_at=+100000 zone=Europe/Berlin", caps[1]),
            format!("recur 3 every={{\"weeks\":1}} starts_at=-9d rollover_cap={}", caps[1]),
            format!("grant 5 effective_at=+{}d expires_at=+{}d", random.u32(1..50), random.u32(51..150)),
            "hold 6 expire_in=400000".to_owned(),
            format!("charge {}", random.u32(1..5)),
        ];
        let last = random.i64(20..20_000) * 43_200;
        let mut stops: Vec<i64> = (0..random.usize(0..6)).map(|_| random.i64(0..last)).collect();
        stops.extend((0..random.usize(0..4)).map(|_| random.i64(0..last / 86_400) * 86_400));
        stops.push(last);
        stops.sort_unstable();
        let what = format!("{given:?} {stops:?}");
        let ((often, often_store), (once, once_store)) = (settled_at(&given, &stops), settled_at(&given, &[last]));
        assert_eq!(state(&*often_store), state(&*once_store), "{what}");
        let (never, _) = settled_at(&given, &[]);
        for at in (0..40).map(|_| seconds(random.i64(0..=last))) {
            let foreseen = never.engine.balance_at(&key(), at).unwrap();
            for settled in [&often, &once] {
                let balance = settled.engine.balance_at(&key(), at).unwrap();
                // The version counts what is booked, and of the past less is known.
                let known = |of: &Balance| (of.available, of.frozen, of.unit.clone(), of.as_of);
                assert_eq!(known(&balance), known(&foreseen), "at {at}: {what}");
            }
        }
        let entries = once_store.query(&Query::AccountImage(key())).map(|answer| match answer {
            Answer::AccountImage(Some(image)) => image.facts.account.seq,
            _ => 0,
        });
        assert!(entries.unwrap() < 60, "what was missed takes as many entries as there are rules: {what}");
        assert!(often.engine.verify().unwrap().is_clean() && once.engine.verify().unwrap().is_clean(), "{what}");
    }
}

#[test]
fn hundreds_of_missed_periods_are_a_handful_of_entries() {
    let (bank, store) = settled_at(&["recur 10 rollover_cap=3".to_owned(), "charge 2".to_owned()], &[777 * 86_400 + 5]);
    let Answer::Entries(page) = store.query(&Query::Entries(EntryQuery::new(EntryScope::Account(key())))).unwrap() else {
        panic!("no entries")
    };
    let kinds: Vec<&str> = page.entries.iter().rev().map(|entry| entry.kind.as_str()).collect();
    let step = ["rollover", "expire", "grant"];
    let first = ["amend", "grant", "charge"];
    let steps = [&first[..], &step, &["expire", "grant"], &step].concat();
    assert_eq!(kinds, steps);
    let folded = page.entries.iter().find_map(|entry| match &entry.terms {
        Some(Terms::Grant { terms, .. }) => terms.recurrence.filter(|of| of.periods > 1).map(|of| (of, terms.amount)),
        _ => None,
    });
    let (of, amount) = folded.unwrap();
    assert_eq!((of.k, of.periods, amount.to_string().as_str()), (776, 775, "7750"));
    let balance = |day: i64| bank.engine.balance_at(&key(), seconds(day * 86_400)).unwrap().available.to_string();
    assert_eq!([0, 1, 2, 400, 776, 777].map(balance), ["8", "13", "13", "13", "13", "13"]);
    let (totals, _) = state(&*store);
    assert_eq!((totals.issued.to_string(), totals.expired.to_string()), ("7780".into(), "7765".into()));
}

fn seconds(seconds: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap().plus_seconds(seconds).unwrap()
}
