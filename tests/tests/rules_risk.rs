//! Caps of the risk controls: by day, in number, at once; what they count, for whom, and what lifts them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use drawdown::{RiskPolicy, TenantPolicy};
use drawdown_tests::script::{Case, table_under};
use serde_json::{Value, json};

/// A policy whose controls are these.
fn under(controls: Value) -> TenantPolicy {
    of(json!({"default": controls}))
}

fn of(risk: Value) -> TenantPolicy {
    TenantPolicy { risk: serde_json::from_value::<RiskPolicy>(risk).unwrap(), ..TenantPolicy::default() }
}

fn in_zone(zone: &str, controls: Value) -> TenantPolicy {
    TenantPolicy { zone: zone.parse().unwrap(), ..under(controls) }
}

#[test]
fn a_daily_cap() {
    table_under(
        &under(json!({"daily_cap": "10"})),
        &[
            ("exactly met by one", "grant 50", "charge 10", "ok; spent 10 times 1"),
            ("exactly met by two", "grant 50; charge 4", "charge 6", "ok; spent 10 times 2"),
            (
                "a millionth more",
                "grant 50; charge 4",
                "charge 6.000001",
                "denied cap_exceeded cap=daily_cap used=4 asked=6.000001 allowed=10 spender=user:u1 app_id=null retry_at=+1d \
                 retryable=true challenge=null; spent 4",
            ),
            (
                "more than waiting can help",
                "grant 50",
                "charge 10.000001",
                "denied cap_exceeded cap=daily_cap used=0 retry_at=null retryable=false",
            ),
            ("holds count", "grant 50; hold 8", "charge 3", "denied cap_exceeded used=8"),
            ("charges count for holds", "grant 50; charge 8", "hold 3", "denied cap_exceeded used=8"),
            ("a hold of nothing", "grant 50; charge 10", "hold 0", "ok; spent 10 times 2"),
            ("a capture of all stays", "grant 50; hold 6 as=h", "capture h 6", "ok; spent 6 times 1"),
            ("a capture of less gives back", "grant 50; hold 6 as=h", "capture h 2", "ok; spent 2 times 1"),
            ("a capture of nothing is one still", "grant 50; hold 6 as=h", "capture h 0", "ok; spent 0 times 1"),
            (
                "a capture of a part keeps the rest",
                "grant 50; hold 6 as=h",
                "capture h 2 final=false idempotency_key=k",
                "ok held=4; spent 6 times 1",
            ),
            ("a capture of more adds", "grant 50; hold 6 over_capture=draw as=h", "capture h 9", "ok; spent 9 times 1"),
            ("a capture asks no cap", "grant 50; hold 6 over_capture=draw as=h", "capture h 16", "ok; spent 16 times 1"),
            (
                "and nothing more is spent then",
                "grant 50; hold 6 over_capture=draw as=h; capture h 16",
                "charge 0.000001",
                "denied cap_exceeded used=16",
            ),
            ("but work that costs nothing", "grant 50; hold 6 over_capture=draw as=h; capture h 16", "hold 0", "ok"),
            ("a release gives back", "grant 50; hold 6 as=h", "release h", "ok; spent 0 times 0"),
            ("a release of a part", "grant 50; hold 6 as=h", "release h 2 idempotency_key=k", "ok; spent 4 times 1"),
            (
                "a release after a capture of a part",
                "grant 50; hold 6 as=h; capture h 2 final=false idempotency_key=k",
                "release h",
                "ok; spent 2 times 1",
            ),
            ("a refund restores nothing", "grant 50; charge 6 as=c", "refund ledger_id=@c", "ok refunded=6; spent 6 times 1"),
            ("an extension changes nothing", "grant 50; hold 6 as=h", "extend h expire_in=1000", "ok; spent 6 times 1"),
            (
                "a replay is no second one",
                "grant 50; charge 6 idempotency_key=k",
                "charge 6 idempotency_key=k",
                "ok idempotent_replay=true; spent 6 times 1",
            ),
            (
                "a replay after the cap is met",
                "grant 50; charge 6 idempotency_key=k; charge 4",
                "charge 6 idempotency_key=k",
                "ok idempotent_replay=true",
            ),
            ("a denial counts nothing", "grant 5; try charge 6; try charge 11", "charge 5", "ok; spent 5 times 1"),
            ("0 allows nothing but what is free", "grant 5", "hold 0", "ok"),
        ],
    );
    table_under(
        &under(json!({"daily_cap": 0})),
        &[("nothing", "grant 5", "charge 1", "denied cap_exceeded allowed=0 retry_at=null"), ("but free work", "", "hold 0", "ok")],
    );
}

#[test]
fn an_expiry_gives_back_when_it_is_due() {
    table_under(
        &under(json!({"daily_cap": "10"})),
        &[
            ("booked by the next charge", "grant 50; hold 10; wait 900", "charge 10", "ok; spent 10 times 1"),
            ("not before", "grant 50; hold 10; wait 899.999999", "charge 1", "denied cap_exceeded used=10"),
            ("read before it is booked", "grant 50; charge 1; hold 9; wait 900", "grant 1 owner=pool", "ok; spent 1 times 1"),
            ("booked by a settle", "grant 50; charge 1; hold 9; wait 900", "settle", "ok booked=1; spent 1 times 1"),
            (
                "in another account, where nobody books it",
                "grant 50; grant 50 owner=pool; hold 9 payer=pool user_id=u1; wait 900",
                "charge 10",
                "ok; spent 10 times 1",
            ),
            (
                "which books it later",
                "grant 50; grant 50 owner=pool; hold 9 payer=pool user_id=u1; wait 900; charge 10",
                "settle owner=pool",
                "ok booked=1; spent 10 times 1",
            ),
            ("after an extension", "grant 50; hold 10 as=h; extend h expire_in=2000; wait 900", "charge 1", "denied cap_exceeded"),
            (
                "what was captured of it stays",
                "grant 50; hold 9 as=h; capture h 2 final=false idempotency_key=k; wait 900",
                "charge 8",
                "ok; spent 10 times 2",
            ),
            (
                "a late commit counts anew",
                "grant 50; hold 9 late_commit=draw as=h; wait 900",
                "capture h 4",
                "ok captured=4; spent 4 times 1",
            ),
            ("several at once", "grant 50; hold 4; hold 5; wait 900", "settle", "ok booked=2; spent 0 times 0"),
            (
                "one whose user was erased",
                "grant 50 owner=pool; hold 9 payer=pool user_id=u1; wait 900; erase_text owner=pool user_id=u1",
                "charge 1 payer=pool user_id=u2",
                "ok; spent 0 times 0",
            ),
            (
                "a late commit of one that nobody knows any more",
                "grant 50 owner=pool; hold 9 payer=pool user_id=u1 late_commit=draw as=h; wait 900; erase_text owner=pool user_id=u1",
                "capture h 4",
                "ok; spent 0; spent 0 by pool",
            ),
        ],
    );
}

#[test]
fn whose_day_it_is() {
    let acting = "grant 50; grant 50 owner=pool; grant 50 owner=organization:o1; set_member; ";
    let with = |rest: &str| format!("{acting}{rest}");
    table_under(
        &under(json!({"daily_cap": "10"})),
        &[
            ("who acts on the pool", &with("charge 6 payer=pool user_id=u1"), "charge 5", "denied cap_exceeded used=6"),
            (
                "who acts for an organization",
                &with("charge 6 payer=organization:o1 user_id=u1"),
                "charge 5",
                "denied cap_exceeded used=6",
            ),
            ("who acts, not who pays", &with("charge 6 user_id=u2"), "charge 10", "ok; spent 10; spent 6 by user:u2"),
            ("another user", &with("charge 10"), "charge 10 payer=pool user_id=u2", "ok"),
            (
                "the pool, where nobody is named",
                &with("charge 6 payer=pool"),
                "charge 5 payer=pool",
                "denied cap_exceeded used=6 spender=pool",
            ),
            ("which is nobody's own", &with("charge 10 payer=pool"), "charge 10", "ok; spent 10; spent 10 by pool"),
            ("another tenant", "grant 50; grant 50 tenant_id=other; charge 10", "charge 10 tenant_id=other", "ok; spent 10"),
            ("each unit by itself", "grant 50; grant 50 unit=UC; charge 10", "charge 10 unit=UC", "ok; spent 10 unit UC"),
            ("each app by itself", "grant 50; charge 10 app_id=x", "charge 10 app_id=y", "ok; spent 10 for y; spent 0"),
            ("no app is one too", "grant 50; charge 10 app_id=x", "charge 10", "ok; spent 10; spent 10 for x"),
            (
                "a hold gives back to whom it counted for",
                &with("hold 9 payer=pool user_id=u1 app_id=x as=h"),
                "release h",
                "ok; spent 0 times 0 for x; spent 0 by pool for x",
            ),
        ],
    );
    table_under(
        &of(json!({"default": {"daily_cap": "10"}, "apps": {"x": {"daily_cap": "3"}, "free": {}}})),
        &[
            ("controls of its own", "grant 50", "charge 4 app_id=x", "denied cap_exceeded allowed=3 app_id=x"),
            ("the others", "grant 50", "charge 10 app_id=y", "ok; spent 10 for y"),
            ("none", "grant 50", "charge 40 app_id=free", "ok; spent 0 for free"),
        ],
    );
    table_under(
        &of(json!({"apps": {"x": {"daily_cap": "3"}}})),
        &[
            ("only the app", "grant 50", "charge 4 app_id=x", "denied cap_exceeded"),
            ("no default", "grant 50; charge 40 app_id=y", "charge 4", "ok; spent 0 for y; spent 0"),
        ],
    );
}

#[test]
fn days_end() {
    let utc = under(json!({"daily_cap": "10"}));
    table_under(
        &utc,
        &[
            (
                "before midnight",
                "grant 50; charge 10; at 2026-01-01T23:59:59.999999Z",
                "charge 1",
                "denied cap_exceeded retry_at=2026-01-02T00:00:00.000000Z",
            ),
            ("at midnight", "grant 50; charge 10; at 2026-01-02T00:00:00Z", "charge 10", "ok; spent 10 times 1"),
            ("a read after midnight", "grant 50; charge 10; at 2026-01-02T00:00:00Z", "grant 1", "ok; spent 0 times 0"),
            (
                "what is released the next day is of the day before",
                "grant 50; hold 9 expire_in=200000 as=h; wait 1d; charge 4",
                "release h",
                "ok; spent 4 times 1",
            ),
            (
                "what expires the next day too",
                "grant 50; hold 9 expire_in=86401 as=h; wait 1d; charge 4; wait 1",
                "charge 6",
                "ok; spent 10 times 2",
            ),
            (
                "and a capture of less",
                "grant 50; hold 9 expire_in=200000 as=h; wait 1d; charge 4",
                "capture h 2",
                "ok; spent 4 times 1",
            ),
            (
                "a capture of more counts when it is captured",
                "grant 50; hold 9 expire_in=200000 over_capture=draw as=h; wait 1d",
                "capture h 12",
                "ok; spent 3 times 0",
            ),
            ("and so does a late commit", "grant 50; hold 9 late_commit=draw as=h; wait 1d", "capture h 5", "ok; spent 5 times 1"),
            (
                "today's expiry is today's, when it is booked tomorrow",
                "grant 50; hold 9; wait 1d; charge 4",
                "settle",
                "ok; spent 4 times 1",
            ),
        ],
    );
    let shanghai = in_zone("Asia/Shanghai", json!({"daily_cap": "10"}));
    table_under(
        &shanghai,
        &[
            (
                "the day of Shanghai ends at 16:00 UTC",
                "grant 50; charge 10; at 2026-01-01T15:59:59.999999Z",
                "charge 1",
                "denied cap_exceeded retry_at=2026-01-01T16:00:00.000000Z",
            ),
            ("and the next begins", "grant 50; charge 10; at 2026-01-01T16:00:00Z", "charge 10", "ok"),
        ],
    );
    let berlin = in_zone("Europe/Berlin", json!({"daily_cap": "10"}));
    table_under(
        &berlin,
        &[
            (
                "the day on which the clocks go forward has 23 hours",
                "grant 50; at 2026-03-28T23:00:00Z; charge 10; at 2026-03-29T21:59:59.999999Z",
                "charge 1",
                "denied cap_exceeded retry_at=2026-03-29T22:00:00.000000Z",
            ),
            (
                "and ends an hour earlier",
                "grant 50; at 2026-03-28T23:00:00Z; charge 10; at 2026-03-29T22:00:00Z",
                "charge 10",
                "ok",
            ),
            (
                "the day on which they go back has 25",
                "grant 50; at 2026-10-24T22:00:00Z; charge 10; at 2026-10-25T22:59:59.999999Z",
                "charge 1",
                "denied cap_exceeded retry_at=2026-10-25T23:00:00.000000Z",
            ),
            ("and ends an hour later", "grant 50; at 2026-10-24T22:00:00Z; charge 10; at 2026-10-25T23:00:00Z", "charge 10", "ok"),
        ],
    );
}

#[test]
fn caps_in_number_and_at_once() {
    table_under(
        &under(json!({"daily_count_cap": 2})),
        &[
            ("exactly met", "grant 50; charge 1", "charge 1", "ok; spent 2 times 2"),
            (
                "one more",
                "grant 50; charge 1; charge 1",
                "charge 1",
                "denied cap_exceeded cap=daily_count_cap used=2 asked=1 allowed=2 retry_at=+1d challenge=null",
            ),
            ("free work is one", "grant 50; hold 0; hold 0", "hold 0", "denied cap_exceeded cap=daily_count_cap"),
            ("what was released is none", "grant 50; charge 1; hold 1 as=h; release h", "charge 1", "ok; spent 2 times 2"),
            ("what has expired is none", "grant 50; charge 1; hold 1; wait 900", "charge 1", "ok; spent 2 times 2"),
            (
                "what was captured in part is one",
                "grant 50; charge 1; hold 2 as=h; capture h 1 final=false idempotency_key=k; release h",
                "charge 1",
                "denied cap_exceeded used=2",
            ),
            ("the next day", "grant 50; charge 1; charge 1; wait 1d", "charge 1", "ok; spent 1 times 1"),
            ("verified or not", "grant 50; charge 1; charge 1", "charge 1 verified=true", "denied cap_exceeded"),
        ],
    );
    table_under(
        &under(json!({"daily_count_cap": 0})),
        &[("never", "grant 5", "charge 1", "denied cap_exceeded retry_at=null retryable=false")],
    );
    table_under(
        &under(json!({"single_cap": "5"})),
        &[
            ("exactly met", "grant 50", "charge 5", "ok"),
            (
                "a millionth more",
                "grant 50",
                "charge 5.000001",
                "denied cap_exceeded cap=single_cap used=null asked=5.000001 allowed=5 retry_at=null retryable=false challenge=null",
            ),
            ("a hold", "grant 50", "hold 6", "denied cap_exceeded cap=single_cap"),
            ("as often as one likes", "grant 50; charge 5; charge 5", "charge 5", "ok"),
            ("a capture asks no cap", "grant 50; hold 5 over_capture=draw as=h", "capture h 9", "ok captured=9"),
        ],
    );
}

#[test]
fn a_second_verification() {
    table_under(
        &under(json!({"daily_cap": "10", "single_cap": "8", "daily_count_cap": 4, "verified_daily_cap": "20"})),
        &[
            (
                "over the daily cap",
                "grant 50; charge 6",
                "charge 5",
                "denied cap_exceeded cap=daily_cap challenge=second_verification retry_at=+1d",
            ),
            ("verified", "grant 50; charge 6", "charge 5 verified=true", "ok; spent 11"),
            ("at once", "grant 50", "charge 9", "denied cap_exceeded cap=single_cap challenge=second_verification retry_at=null"),
            ("verified at once", "grant 50", "charge 20 verified=true", "ok"),
            (
                "more than verified",
                "grant 50",
                "charge 20.000001 verified=true",
                "denied cap_exceeded cap=verified_daily_cap allowed=20 retry_at=null challenge=null",
            ),
            (
                "more than verified in a day",
                "grant 50; charge 6",
                "charge 15 verified=true",
                "denied cap_exceeded cap=verified_daily_cap used=6 retry_at=+1d challenge=null",
            ),
            (
                "where verifying does not help, it is not asked for",
                "grant 50; charge 6",
                "charge 15",
                "denied cap_exceeded challenge=null",
            ),
            (
                "nor where it comes too often",
                "grant 50; 4x charge 2",
                "charge 5",
                "denied cap_exceeded cap=daily_cap challenge=null",
            ),
            ("a hold", "grant 50; hold 6", "hold 5 verified=true", "ok; spent 11"),
            ("and unverified again", "grant 50; charge 6; charge 5 verified=true", "charge 1", "denied cap_exceeded used=11"),
            (
                "it is no part of what is asked",
                "grant 50; charge 6; charge 5 verified=true idempotency_key=k",
                "charge 5 idempotency_key=k",
                "ok idempotent_replay=true",
            ),
            (
                "a denial that is remembered is answered again, verified or not",
                "grant 50; charge 6; try charge 5 idempotency_key=k remember_denials=true",
                "charge 5 idempotency_key=k remember_denials=true verified=true",
                "denied cap_exceeded challenge=second_verification",
            ),
            ("the balance", "grant 5", "charge 6 verified=true", "denied insufficient_balance"),
        ],
    );
    table_under(
        &under(json!({"daily_cap": "10"})),
        &[(
            "without a cap of its own it lifts nothing",
            "grant 50; charge 6",
            "charge 5 verified=true",
            "denied cap_exceeded cap=daily_cap",
        )],
    );
}

#[test]
fn lists() {
    table_under(
        &of(json!({"default": {"daily_cap": "10"}, "apps": {"x": {
            "daily_cap": "3", "single_cap": "3", "daily_count_cap": 2, "velocity": [{"max_count": 1, "window_seconds": 60}],
            "deny_list": ["bad"], "allow_list": ["u1"]
        }}})),
        &[
            ("who is allowed", "grant 50; charge 9 app_id=x; charge 9 app_id=x", "charge 9 app_id=x", "ok; spent 27 times 3 for x"),
            ("not beyond the balance", "grant 5", "charge 9 app_id=x", "denied insufficient_balance"),
            ("in this app", "grant 50", "charge 11", "denied cap_exceeded"),
            (
                "who is denied",
                "grant 50 owner=pool",
                "charge 1 app_id=x payer=pool user_id=bad",
                r#"denied blocked target={"user":"bad"} list=deny_list app_id=x retryable=false"#,
            ),
            ("as who pays", "grant 50 owner=user:bad", "charge 1 app_id=x payer=user:bad user_id=u1", "denied blocked"),
            ("a hold", "grant 50 owner=user:bad", "hold 0 app_id=x payer=user:bad", "denied blocked"),
            ("in this app alone", "grant 50 owner=user:bad", "charge 1 payer=user:bad", "ok"),
            ("after a replay", "grant 5; charge 1 idempotency_key=k", "charge 1 idempotency_key=k", "ok idempotent_replay=true"),
            (
                "before membership",
                "grant 50 owner=organization:o1",
                "charge 1 app_id=x payer=organization:o1 user_id=bad",
                "denied blocked",
            ),
        ],
    );
}

#[test]
fn where_caps_stand_among_the_checks() {
    let policy = TenantPolicy { licence_required: true, ..under(json!({"daily_cap": "1"})) };
    let cases: &[Case<'_>] = &[
        ("after a block", "grant 5; block target=user:u1", "charge 9", "denied blocked"),
        ("after membership", "grant 5 owner=organization:o1", "charge 9 payer=organization:o1 user_id=u1", "denied not_a_member"),
        ("after the task", "grant 5; hold 1 task_id=t", "hold 9 task_id=t", "denied pre_deduct_already_processed"),
        ("after the licence", "grant 5", "charge 9 template_id=a", "denied authorization_missing"),
        ("before the balance", "", "charge 9", "denied cap_exceeded"),
        ("and what it denies uses no licence", "set_licence total_quota=3; try charge 9 template_id=a", "grant 1", "ok; left 3"),
    ];
    table_under(&policy, cases);
    table_under(
        &under(json!({"daily_count_cap": 1000})),
        &[("before capacity", "grant 1001; 1000x charge 1 task_id=t", "charge 1 task_id=t", "denied cap_exceeded")],
    );
}

#[test]
fn tasks_correct_what_their_hold_counted() {
    table_under(
        &under(json!({"daily_cap": "10", "velocity": [{"max_units": "30", "window_seconds": 3600}]})),
        &[
            ("complete with less", "grant 50; hold 9 task_id=t as=h", "complete_task actual_cost=4", "ok; spent 4 times 1"),
            (
                "complete with more",
                "grant 50; hold 9 task_id=t over_capture=draw as=h",
                "complete_task actual_cost=14",
                "ok; spent 14 times 1",
            ),
            ("a failure gives back", "grant 50; hold 9 task_id=t as=h", "fail_task", "ok; spent 0 times 0"),
            (
                "on another day",
                "grant 50; hold 9 task_id=t expire_in=100000 as=h; wait 86400; charge 2",
                "fail_task",
                "ok; spent 2 times 1",
            ),
            (
                "more on another day",
                "grant 50; hold 9 task_id=t over_capture=draw expire_in=100000 as=h; wait 86400; charge 2",
                "complete_task actual_cost=11",
                "ok; spent 4 times 1",
            ),
            (
                "late",
                "grant 50; hold 9 task_id=t late_commit=draw as=h; wait 900; charge 8",
                "complete_task actual_cost=5",
                "ok; spent 13 times 2",
            ),
            (
                "late on another day",
                "grant 50; hold 9 task_id=t late_commit=draw as=h; wait 86400",
                "complete_task actual_cost=5",
                "ok; spent 5 times 1",
            ),
            (
                "from the pool",
                "grant 50 owner=pool; hold 9 payer=pool user_id=u1 task_id=t as=h",
                "complete_task actual_cost=4",
                "ok; spent 4 times 1",
            ),
        ],
    );
}
