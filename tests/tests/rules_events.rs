//! Events: what each operation tells, in which order, to whom, and from which cursor.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::Duration;

use drawdown::event::{Event, EventCursor, EventData, EventFilter, EventKind, EventPage, EventQuery, Start, events_of};
use drawdown::ledger::EntryKind;
use drawdown::store::Store;
use drawdown::store::memory::MemoryStore;
use drawdown::{Denial, Engine, EraseText, ManualClock, TenantPolicy};
use drawdown_tests::script::{BEGINNING, Bank};

/// Low below 5, recovered from 8.
const WARN: &str = "set_low_balance low_balance.below=5 low_balance.recovered_from=8";
const DAY: i64 = 86_400;

fn bank(script: &str) -> Bank {
    over(Arc::new(MemoryStore::new()), script)
}

fn over(store: Arc<dyn Store>, script: &str) -> Bank {
    let mut bank = Bank::new(store, TenantPolicy::default());
    play(&mut bank, script);
    bank
}

fn play(bank: &mut Bank, script: &str) {
    for statement in script.replace("WARN", WARN).split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        bank.given(statement).unwrap();
    }
}

fn acme() -> EventQuery {
    EventQuery { limit: 1_000, ..EventQuery::of_tenant("acme".parse().unwrap()) }
}

fn all() -> EventQuery {
    EventQuery { limit: 1_000, ..EventQuery::default() }
}

fn told(engine: &Engine, query: &EventQuery) -> Vec<Event> {
    let page = engine.events(query).unwrap();
    assert!(!page.more);
    page.events
}

/// `charge -4 = 6`, of a frozen balance `hold -4+4 = 6/4`; `low 4`.
fn shown(event: &Event) -> String {
    match &event.data {
        EventData::Credits(credits) => {
            let frozen = if credits.frozen_change.is_zero() { String::new() } else { format!("/{}", credits.frozen_change) };
            let kept = if credits.frozen_after.is_zero() { String::new() } else { format!("/{}", credits.frozen_after) };
            format!("{} {}{frozen} = {}{kept}", credits.operation, credits.change, credits.balance_after)
        }
        EventData::Balance(balance) => format!("{} {}", event.kind, balance.balance_after),
        EventData::Alert(alert) => format!("{} {}", event.kind, alert.rule),
        EventData::Task(step) => format!("{} {} {}", event.kind, step.task_id, step.credits_delta),
        other => panic!("{other:?}"),
    }
}

fn refused(engine: &Engine, query: &EventQuery) -> Denial {
    engine.events(query).unwrap_err().denial().unwrap().clone()
}

fn page(engine: &Engine, query: EventQuery, after: Option<EventCursor>, limit: usize) -> EventPage {
    engine.events(&EventQuery { after, limit, ..query }).unwrap()
}

#[test]
fn an_operation_tells_once_what_it_did_to_its_account() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("a grant", "grant 10", &["grant 10 = 10"]),
        ("a charge", "grant 10; charge 4", &["grant 10 = 10", "charge -4 = 6"]),
        ("a hold", "grant 10; hold 4", &["grant 10 = 10", "hold -4/4 = 6/4"]),
        ("a capture of less", "grant 10; hold 4 as=h; capture h 3", &["grant 10 = 10", "hold -4/4 = 6/4", "capture 1/-4 = 7"]),
        ("a release", "grant 10; hold 4 as=h; release h", &["grant 10 = 10", "hold -4/4 = 6/4", "release 4/-4 = 10"]),
        ("a refund", "grant 10; charge 4 as=c; refund ledger_id=@c", &["grant 10 = 10", "charge -4 = 6", "refund 4 = 10"]),
        ("a void", "grant 10 as=g; void g", &["grant 10 = 10", "void -10 = 0"]),
        (
            "what moves nothing is told too",
            "grant 10; hold 4 as=h; extend h expire_in=9000",
            &["grant 10 = 10", "hold -4/4 = 6/4", "extend 0 = 6/4"],
        ),
        (
            "with what was settled before it",
            "grant 10; grant 3 expires_at=+60; wait 60; charge 4",
            &["grant 10 = 10", "grant 3 = 13", "charge -7 = 6"],
        ),
        ("what a sweep settles", "grant 3 expires_at=+60; wait 60; settle", &["grant 3 = 3", "settle -3 = 0"]),
        (
            "a replay tells nothing",
            "grant 10; charge 4 idempotency_key=k; charge 4 idempotency_key=k",
            &["grant 10 = 10", "charge -4 = 6"],
        ),
        ("a denial tells nothing", "try charge 4", &[]),
        ("nor one that is remembered", "try charge 4 idempotency_key=k remember_denials=true; grant 1", &["grant 1 = 1"]),
        ("what books nothing tells nothing", "block target=user:u1 as=b; grant 1", &["grant 1 = 1"]),
        (
            "low, then recovered",
            "grant 10; WARN; charge 6; charge 1; grant 5",
            &[
                "grant 10 = 10",
                "set_low_balance 0 = 10",
                "charge -6 = 4",
                "balance.low 4",
                "charge -1 = 3",
                "grant 5 = 8",
                "balance.recovered 8",
            ],
        ),
        (
            "a task",
            "grant 10; hold 4 task_id=t as=h; advance_task; capture h 3",
            &[
                "grant 10 = 10",
                "hold -4/4 = 6/4",
                "task.accepted t -4",
                "task.running t 0",
                "capture 1/-4 = 7",
                "task.completed t 1",
            ],
        ),
        (
            "a task that failed",
            "grant 10; hold 4 task_id=t; fail_task",
            &["grant 10 = 10", "hold -4/4 = 6/4", "task.accepted t -4", "fail_task 4/-4 = 10", "task.failed t 4"],
        ),
        (
            "one whose time is over, by whatever books it",
            "grant 10; hold 4 task_id=t expire_in=60; wait 60; charge 1",
            &["grant 10 = 10", "hold -4/4 = 6/4", "task.accepted t -4", "charge 3/-4 = 9", "task.failed t 4"],
        ),
        (
            "the first refusal of a minute",
            "grant 1; block target=user:u1 as=b; try charge 1; try charge 1; wait 60; try charge 1",
            &["grant 1 = 1", "compliance.alert refusal", "compliance.alert refusal"],
        ),
        ("low at once", "grant 1; WARN", &["grant 1 = 1", "set_low_balance 0 = 1", "balance.low 1"]),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (number, (title, given, expected)) in cases.iter().enumerate() {
        for (name, store) in drawdown_tests::stores(&folder.path().join(format!("{number}.db"))) {
            let bank = over(store, given);
            let found: Vec<String> = told(&bank.engine, &acme()).iter().map(shown).collect();
            assert_eq!(found, *expected, "{title} [{name}]");
            assert_eq!(told(&bank.engine, &acme()), told(&bank.engine, &all()), "{title} [{name}]");
        }
    }
}

#[test]
fn a_refusal_is_found_by_whom_it_is_about() {
    let remembered = "try charge 1 idempotency_key=k remember_denials=true";
    for given in ["try charge 1", "try charge 1 payer=pool user_id=u1", remembered] {
        let bank = bank(&format!("block target=user:u1 as=b; {given}"));
        let of = |filter: EventFilter| bank.engine.events(&EventQuery { filter, ..EventQuery::default() }).unwrap().events;
        let of_user = |user: &str| of(EventFilter { user_id: Some(user.parse().unwrap()), ..EventFilter::default() });
        assert_eq!((of_user("u1").len(), of_user("u2").len()), (1, 0), "{given}");
    }
    let bank = bank("block target=tenant as=b; try charge 1 payer=pool user_id=-");
    let filter = EventFilter { owner: Some("pool".parse().unwrap()), ..EventFilter::default() };
    assert_eq!(bank.engine.events(&EventQuery { filter, ..EventQuery::default() }).unwrap().events.len(), 1);
}

#[test]
fn an_event_says_whom_and_what_it_is_about() {
    let bank =
        bank("grant 10; hold 4 task_id=t1 user_id=u7 expire_in=60 as=h; wait 60; charge 3 task_id=t2 user_id=u8 reason=paid");
    let events = told(&bank.engine, &acme());
    let charge = events.iter().position(|event| event.ts == "2026-01-01T00:01:00Z".parse().unwrap()).unwrap();
    let charge = &events[charge];
    let failed = events.last().unwrap();
    let EventData::Task(step) = &failed.data else { panic!("{failed:?}") };
    assert_eq!((failed.kind, step.credits_delta.to_string()), (EventKind::TaskFailed, "4".to_owned()));
    let about = &failed.subject;
    assert_eq!(
        (about.user_id.as_ref().unwrap().as_str(), about.task_id.as_ref().unwrap().as_str()),
        ("u7", "t1"),
        "not who books it"
    );
    let EventData::Credits(credits) = &charge.data else { panic!("{events:?}") };
    let charge = serde_json::to_value(charge).unwrap();
    let operation = bank.engine.feed(None, 2, 1).unwrap().remove(0).operation.clone();
    let entries = charge["data"]["entries"].as_array().unwrap();
    assert_eq!(charge["kind"], "credits.updated");
    assert_eq!(charge["tenant_id"], "acme");
    assert_eq!(charge["subject"], serde_json::json!({ "owner": "user:u1", "unit": "credit", "user_id": "u8", "task_id": "t2" }));
    assert_eq!(charge["ts"], "2026-01-01T00:01:00.000000Z");
    assert_eq!(charge["data"]["audit_id"], operation.audit_id().to_string());
    assert_eq!(charge["data"]["change"], "1");
    let of = |field: &str| entries.iter().map(|entry| entry[field].to_string()).collect::<Vec<_>>();
    assert_eq!(of("kind"), [r#""release""#, r#""charge""#]);
    assert_eq!(of("settled"), ["true", "false"]);
    assert_eq!(of("change"), [r#""4""#, r#""-3""#]);
    assert_eq!(of("task_id"), [r#""t1""#, r#""t2""#]);
    assert_eq!(of("reason"), ["null", r#""paid""#]);
    assert_eq!(credits.entries.iter().map(|entry| entry.kind).collect::<Vec<_>>(), [EntryKind::Release, EntryKind::Charge]);
    let ledger: Vec<_> = bank.engine.feed(None, 2, 1).unwrap()[0].entries.iter().map(|entry| entry.ledger_id()).collect();
    assert_eq!(credits.entries.iter().map(|entry| entry.ledger_id).collect::<Vec<_>>(), ledger);
}

#[test]
fn an_event_has_one_name_and_one_cursor_for_ever() {
    let mut bank = bank("grant 10; WARN; charge 6; grant 5");
    let first = told(&bank.engine, &all());
    play(&mut bank, "charge 1; wait 9; grant 3");
    let again = told(&bank.engine, &all());
    assert_eq!(again[..first.len()], first[..]);
    let mut names: Vec<_> = again.iter().map(|event| event.event_id).collect();
    assert!(
        again.windows(2).all(|pair| pair[0].cursor < pair[1].cursor && pair[0].cursor.to_string() < pair[1].cursor.to_string())
    );
    names.sort();
    names.dedup();
    assert_eq!(names.len(), again.len());
    for stored in bank.engine.feed(None, 0, 100).unwrap() {
        for event in events_of(&stored) {
            assert_eq!(event.event_id.operation().0, stored.operation.op_id);
            assert!(event.event_id.to_string().starts_with("evt_") && again.contains(&event));
        }
    }
}

#[test]
fn ids_and_cursors_are_these() {
    let stored = bank("grant 10; WARN; charge 6").engine.feed(None, 2, 1).unwrap().remove(0);
    let op_id = stored.operation.op_id.uuid();
    let mut uuid = op_id.to_string();
    let events = events_of(&stored);
    let found: Vec<_> = events.iter().map(|event| (event.event_id.to_string(), event.cursor.to_string())).collect();
    let credits = (format!("evt_{uuid}"), "evc1_00000000000000030000".to_owned());
    uuid.replace_range(uuid.len() - 4.., "0001");
    assert_eq!(found, [credits, (format!("evt_{uuid}"), "evc1_00000000000000030001".to_owned())]);
}

#[test]
fn pages_join_and_cursors_stand_still_while_others_write() {
    let mut bank = bank("grant 10; WARN; charge 6; grant 5; charge 6; grant 5");
    let expected = told(&bank.engine, &acme());
    for limit in 1..=expected.len() + 1 {
        let (mut joined, mut after) = (Vec::new(), None);
        loop {
            let page = page(&bank.engine, acme(), after, limit);
            assert!(page.events.len() <= limit && after.is_none_or(|after| after <= page.next));
            after = Some(page.next);
            joined.extend(page.events);
            if !page.more {
                break;
            }
        }
        assert_eq!(joined, expected, "pages of {limit}");
    }
    let places: Vec<_> = expected.iter().map(|event| event.cursor).collect();
    play(&mut bank, "charge 1; charge 1");
    for (index, cursor) in places.iter().enumerate() {
        let rest = told(&bank.engine, &acme().after(*cursor));
        assert_eq!(rest[..expected.len() - index - 1], expected[index + 1..], "after {cursor}");
        assert_eq!(rest.len(), expected.len() - index - 1 + 2);
    }
}

#[test]
fn a_filter_admits_what_it_names() {
    let script = "grant 10; grant 10 owner=user:u2; grant 10 owner=organization:o1; WARN; charge 6 task_id=t1; \
                  hold 1 task_id=t2 expire_in=60; set_member organization_id=o1 user_id=u2; \
                  charge 2 payer=organization:o1 user_id=u2; advance_task task_id=t2; wait 60; charge 1 task_id=t3";
    let bank = bank(script);
    let found =
        |filter: EventFilter| -> Vec<String> { told(&bank.engine, &EventQuery { filter, ..acme() }).iter().map(shown).collect() };
    let none = EventFilter::default;
    assert_eq!(found(none()).len(), 12);
    let of_u1 = [
        "grant 10 = 10",
        "set_low_balance 0 = 10",
        "charge -6 = 4",
        "balance.low 4",
        "hold -1/1 = 3/1",
        "task.accepted t2 -1",
        "task.running t2 0",
        "charge 0/-1 = 3",
        "task.failed t2 1",
    ];
    assert_eq!(found(EventFilter { owner: Some("user:u1".parse().unwrap()), ..none() }), of_u1);
    assert_eq!(found(EventFilter { user_id: Some("u1".parse().unwrap()), ..none() }), of_u1);
    // The account of a user, and what the user does with another.
    assert_eq!(found(EventFilter { user_id: Some("u2".parse().unwrap()), ..none() }), ["grant 10 = 10", "charge -2 = 8"]);
    assert_eq!(
        found(EventFilter { owner: Some("organization:o1".parse().unwrap()), ..none() }),
        ["grant 10 = 10", "charge -2 = 8"]
    );
    // A task is in what was settled too.
    let of_t2 = ["hold -1/1 = 3/1", "task.accepted t2 -1", "task.running t2 0", "charge 0/-1 = 3", "task.failed t2 1"];
    assert_eq!(found(EventFilter { task_id: Some("t2".parse().unwrap()), ..none() }), of_t2);
    assert_eq!(found(EventFilter { task_id: Some("t1".parse().unwrap()), ..none() }), ["charge -6 = 4", "balance.low 4"]);
    assert_eq!(found(EventFilter { kinds: [EventKind::BalanceLow].into(), ..none() }), ["balance.low 4"]);
    let both = EventFilter {
        kinds: [EventKind::BalanceLow, EventKind::CreditsUpdated].into(),
        owner: Some("user:u2".parse().unwrap()),
        ..none()
    };
    assert_eq!(found(both), ["grant 10 = 10"]);
    let neither = EventFilter { kinds: [EventKind::BalanceLow].into(), owner: Some("user:u2".parse().unwrap()), ..none() };
    assert!(found(neither).is_empty());
}

#[test]
fn every_step_of_a_task_is_found_by_its_user_whoever_pays() {
    let script = "grant 10 owner=pool; grant 10 owner=organization:o1; set_member organization_id=o1 user_id=u7; \
                  hold 4 payer=pool user_id=u7 task_id=t1; advance_task task_id=t1; complete_task task_id=t1; \
                  hold 4 payer=organization:o1 user_id=u7 task_id=t2 expire_in=60; advance_task task_id=t2; wait 60; \
                  charge 1 payer=organization:o1 user_id=u7";
    let bank = bank(script);
    let kinds = [EventKind::TaskAccepted, EventKind::TaskRunning, EventKind::TaskCompleted, EventKind::TaskFailed].into();
    let filter = EventFilter { user_id: Some("u7".parse().unwrap()), kinds, ..EventFilter::default() };
    let found: Vec<_> = told(&bank.engine, &EventQuery { filter, ..acme() }).iter().map(shown).collect();
    let of_t1 = ["task.accepted t1 -4", "task.running t1 0", "task.completed t1 0"];
    assert_eq!(found, [of_t1, ["task.accepted t2 -4", "task.running t2 0", "task.failed t2 4"]].concat());
}

#[test]
fn what_was_refused_is_found_by_whom_and_what_it_was_about() {
    let refused = "grant 10 owner=organization:o1; set_member organization_id=o1 user_id=u2; block target=user:u1 as=b; \
                   block target=user:u2 as=c; try hold 1 task_id=t1; wait 60; try charge 1 payer=organization:o1 user_id=u2 \
                   task_id=t2 idempotency_key=k remember_denials=true; try charge 1 payer=pool user_id=u1";
    let folder = tempfile::tempdir().unwrap();
    for (name, store) in drawdown_tests::stores(&folder.path().join("books.db")) {
        let bank = over(store, refused);
        let found = |filter: EventFilter| {
            let kinds = [EventKind::ComplianceAlert].into();
            let events = told(&bank.engine, &EventQuery { filter: EventFilter { kinds, ..filter }, ..acme() });
            events.into_iter().map(|event| serde_json::to_value(event.subject).unwrap()).collect::<Vec<_>>()
        };
        let alerts = [
            serde_json::json!({ "owner": "user:u1", "unit": "credit", "user_id": "u1", "task_id": "t1" }),
            serde_json::json!({ "owner": "organization:o1", "unit": "credit", "user_id": "u2", "task_id": "t2" }),
            serde_json::json!({ "owner": "pool", "unit": "credit", "user_id": "u1", "task_id": null }),
        ];
        let none = EventFilter::default;
        assert_eq!(found(none()), alerts, "{name}");
        assert_eq!(found(EventFilter { owner: Some("user:u1".parse().unwrap()), ..none() }), alerts[..1], "{name}");
        assert_eq!(found(EventFilter { owner: Some("organization:o1".parse().unwrap()), ..none() }), alerts[1..2], "{name}");
        assert_eq!(found(EventFilter { user_id: Some("u2".parse().unwrap()), ..none() }), alerts[1..2], "{name}");
        let of_u1 = [alerts[0].clone(), alerts[2].clone()];
        assert_eq!(found(EventFilter { user_id: Some("u1".parse().unwrap()), ..none() }), of_u1, "{name}");
        assert_eq!(found(EventFilter { task_id: Some("t2".parse().unwrap()), ..none() }), alerts[1..2], "{name}");
        assert!(bank.engine.verify().unwrap().is_clean(), "{name}");
    }
}

#[test]
fn a_cursor_goes_on_over_what_is_filtered_away() {
    let bank = bank("grant 5000; 2500x charge 1; WARN; charge 2496");
    let filter = EventFilter { kinds: [EventKind::BalanceLow].into(), ..EventFilter::default() };
    let mut query = EventQuery { filter, ..EventQuery::default() };
    let mut calls = 0;
    loop {
        let page = bank.engine.events(&query).unwrap();
        calls += 1;
        assert!(query.after < Some(page.next), "nothing is looked at twice");
        query.after = Some(page.next);
        if !page.more {
            assert_eq!(page.events.iter().map(shown).collect::<Vec<_>>(), ["balance.low 4"]);
            break;
        }
        assert!(page.events.is_empty());
    }
    assert!((3..=4).contains(&calls), "{calls} calls for 2,503 operations");
    let end = bank.engine.events(&query).unwrap();
    assert_eq!((end.events.len(), Some(end.next), end.more), (0, query.after, false));
}

#[test]
fn foreign_events_are_not_seen() {
    let bank = bank("grant 10; grant 7 tenant_id=other; charge 1; charge 2 tenant_id=other");
    let of = |tenant: &str| EventQuery { limit: 1_000, ..EventQuery::of_tenant(tenant.parse().unwrap()) };
    let found = |tenant: &str| told(&bank.engine, &of(tenant)).iter().map(shown).collect::<Vec<_>>();
    assert_eq!(found("acme"), ["grant 10 = 10", "charge -1 = 9"]);
    assert_eq!(found("other"), ["grant 7 = 7", "charge -2 = 5"]);
    assert!(found("third").is_empty());
    assert_eq!(told(&bank.engine, &all()).len(), 4);
    // A cursor of one scope is one of every other.
    for event in told(&bank.engine, &all()) {
        let rest = told(&bank.engine, &of("acme").after(event.cursor));
        assert!(rest.iter().all(|later| later.tenant_id.as_str() == "acme" && later.cursor > event.cursor));
    }
}

#[test]
fn what_is_no_page_is_refused() {
    let bank = bank("grant 10");
    for limit in [0, 1_001, usize::MAX] {
        let denial = refused(&bank.engine, &EventQuery { limit, ..acme() });
        assert_eq!((denial.name(), &denial.details()["field"]), ("payload_invalid", &"limit".into()));
        let promised = bank.engine.await_events(&EventQuery { limit, ..acme() }).unwrap_err();
        assert_eq!(promised.denial(), Some(&denial));
        let next = bank.engine.next_events(&EventQuery { limit, ..acme() }, Duration::ZERO).unwrap_err();
        assert_eq!(next.denial(), Some(&denial));
    }
    let last = bank.engine.events(&acme()).unwrap().next.to_string();
    let cut = &last[..last.len() - 1];
    let longer = format!("{last}0");
    let capitals = last.to_uppercase();
    let other_version = last.replace("evc1", "evc2");
    let signed = last.replace("evc1_0", "evc1_+");
    for text in ["", "0", "evc1_", cut, &longer, &capitals, &other_version, &signed, "evc1_ééééééééééfff"] {
        let denial = text.parse::<EventCursor>().unwrap_err();
        assert_eq!((denial.name(), &denial.details()["field"]), ("payload_invalid", &"cursor".into()), "{text}");
    }
    assert_eq!(last.parse::<EventCursor>().unwrap().to_string(), last);
    // Of other books, or of these before an older backup was put in place.
    let ahead: EventCursor = "evc1_00000000000000020000".parse().unwrap();
    let denial = refused(&bank.engine, &acme().after(ahead));
    assert_eq!((denial.name(), &denial.details()["given"]), ("payload_invalid", &ahead.to_string().into()));
}

#[test]
fn a_query_reads_as_json() {
    let text = r#"{"tenant_id":"acme","from":"latest","filter":{"kinds":["balance.low"],"owner":"user:u1"},"limit":7}"#;
    let query: EventQuery = serde_json::from_str(text).unwrap();
    let filter =
        EventFilter { kinds: [EventKind::BalanceLow].into(), owner: Some("user:u1".parse().unwrap()), ..EventFilter::default() };
    assert_eq!(query, EventQuery { from: Start::Latest, filter, limit: 7, ..acme() });
    assert_eq!(serde_json::from_value::<EventQuery>(serde_json::to_value(&query).unwrap()).unwrap(), query);
    for wrong in [r#"{"kind":"x"}"#, r#"{"filter":{"kinds":["x"]}}"#, r#"{"after":"7"}"#] {
        assert!(serde_json::from_str::<EventQuery>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn who_begins_now_sees_what_comes() {
    let mut bank = bank("grant 10; grant 1 tenant_id=other");
    let latest = EventQuery { from: Start::Latest, ..acme() };
    let start = bank.engine.events(&latest).unwrap();
    assert!(start.events.is_empty() && !start.more);
    play(&mut bank, "charge 1");
    assert_eq!(told(&bank.engine, &acme().after(start.next)).iter().map(shown).collect::<Vec<_>>(), ["charge -1 = 9"]);
    assert!(told(&bank.engine, &latest).is_empty());
}

#[test]
fn an_old_cursor_has_expired() {
    // One operation a day, on the days 0 to 40, each of both tenants.
    let mut bank = bank("");
    for day in 0..=40 {
        bank.clock.set(BEGINNING.parse::<drawdown::Timestamp>().unwrap().plus_seconds(day * DAY).unwrap());
        play(&mut bank, "grant 1; grant 1 tenant_id=other");
    }
    for query in [acme(), all()] {
        let a_day = if query.tenant_id.is_some() { 1 } else { 2 };
        // Day 10 is 30 days ago: it is retained.
        let retained = told(&bank.engine, &query);
        assert_eq!((retained.len(), retained[0].ts.to_string().as_str()), (31 * a_day, "2026-01-11T00:00:00.000000Z"));
        let denial = refused(&bank.engine, &query.clone().after(EventCursor::BEGINNING));
        assert_eq!(denial.name(), "cursor_expired");
        assert!(!denial.retryable());
        assert_eq!(denial.details()["given"], EventCursor::BEGINNING.to_string());
        let oldest: EventCursor = denial.details()["oldest"].as_str().unwrap().parse().unwrap();
        assert_eq!(told(&bank.engine, &query.clone().after(oldest)), retained);
        assert!(denial.details()["allowed"].as_str().unwrap().contains(&oldest.to_string()));
        let waited = bank.engine.await_events(&query.after(EventCursor::BEGINNING)).unwrap().wait(Duration::from_secs(60));
        assert_eq!(waited.unwrap_err().denial(), Some(&denial));
    }
    // Who has read everything is never late, however long nothing happens.
    let end = bank.engine.events(&acme()).unwrap().next;
    bank.clock.advance_seconds(400 * DAY);
    assert!(told(&bank.engine, &acme().after(end)).is_empty());
    assert!(told(&bank.engine, &acme()).is_empty());
    play(&mut bank, "grant 1");
    assert_eq!(told(&bank.engine, &acme().after(end)).len(), 1);
    assert_eq!(told(&bank.engine, &acme()).len(), 1);
    // The operations are there all the same.
    assert_eq!(bank.engine.feed(None, 0, 1_000).unwrap().len(), 83);
}

#[test]
fn who_begins_at_the_oldest_event_has_a_minute_to_read_on() {
    let mut bank = bank("grant 1; wait 1; grant 2");
    let first = page(&bank.engine, acme(), None, 1);
    bank.clock.advance_seconds(30 * DAY);
    assert_eq!(told(&bank.engine, &acme()).len(), 1, "the second of them is still retained, to the second");
    assert_eq!(told(&bank.engine, &acme().after(EventCursor::BEGINNING)).len(), 2, "a cursor goes a minute longer");
    bank.clock.advance_seconds(60);
    assert_eq!(refused(&bank.engine, &acme().after(EventCursor::BEGINNING)).name(), "cursor_expired");
    assert_eq!(told(&bank.engine, &acme().after(first.next)).len(), 1);
    bank.clock.advance_seconds(1);
    assert_eq!(refused(&bank.engine, &acme().after(first.next)).name(), "cursor_expired");
    play(&mut bank, "grant 3");
    assert_eq!(told(&bank.engine, &acme()).iter().map(shown).collect::<Vec<_>>(), ["grant 3 = 6"]);
}

#[test]
fn an_operation_that_was_read_in_part_expires_too() {
    let bank = bank("grant 1; WARN");
    let part = page(&bank.engine, acme(), None, 2);
    assert_eq!((part.events.len(), part.more), (2, true));
    let last = page(&bank.engine, acme(), Some(part.next), 1).events.remove(0);
    bank.clock.advance_seconds(31 * DAY);
    assert_eq!(refused(&bank.engine, &acme().after(part.next)).name(), "cursor_expired");
    assert!(told(&bank.engine, &acme().after(last.cursor)).is_empty(), "nothing follows the last event");
}

#[test]
fn the_retention_can_be_another() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let bank = over(Arc::clone(&store), "grant 1; wait 86400; grant 2; wait 86400; grant 3");
    let retained = |retention: Duration| {
        let clock = Arc::new(ManualClock::at(bank.engine.now()));
        let engine = Engine::builder().store(Arc::clone(&store)).clock(clock).event_retention(retention).build().unwrap();
        told(&engine, &all()).len()
    };
    assert_eq!(retained(Duration::MAX), 3);
    assert_eq!(retained(Duration::from_secs(2 * 86_400)), 3);
    assert_eq!(retained(Duration::from_secs(86_400)), 2);
    assert_eq!(retained(Duration::from_secs(86_399)), 1);
    assert_eq!(retained(Duration::ZERO), 1);
}

#[test]
fn erased_text_is_gone_from_events_and_nothing_else() {
    let bank = bank("grant 10; charge 4 user_id=u9 reason=secret");
    let before = told(&bank.engine, &acme());
    let context = drawdown::Context::tenant("acme").unwrap();
    let erase = EraseText::new("user:u1".parse().unwrap(), "ops", "asked").unwrap();
    bank.engine.execute(context.request(erase)).unwrap();
    let after = told(&bank.engine, &acme());
    assert_eq!(before.len(), after.len());
    let text = serde_json::to_string(&after).unwrap();
    assert!(!text.contains("secret") && !text.contains("u9"), "{text}");
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((before.event_id, before.cursor, shown(before)), (after.event_id, after.cursor, shown(after)));
    }
}
