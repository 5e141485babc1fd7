//! How fast may be spent, how many requests are taken, and what compliance is told.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use drawdown::ledger::{AlertRule, StoredOperation};
use drawdown::pricing::{EstimateRequest, PriceBook, PriceBooks};
use drawdown::{
    Charge, Context, Engine, Failure, GrantCredit, GrantType, ManualClock, Owner, PlaceHold, Policies, RiskPolicy, TemplateKey,
    TenantPolicy,
};
use drawdown_tests::script::{Bank, table_under};
use serde_json::{Value, json};

fn of(risk: Value) -> TenantPolicy {
    TenantPolicy { risk: serde_json::from_value::<RiskPolicy>(risk).unwrap(), ..TenantPolicy::default() }
}

fn under(controls: Value) -> TenantPolicy {
    of(json!({"default": controls}))
}

#[test]
fn velocity_in_number() {
    table_under(
        &under(json!({"velocity": [{"max_count": 3, "window_seconds": 60}]})),
        &[
            ("so many at once", "grant 50; charge 1; charge 1", "charge 1", "ok"),
            (
                "one more waits for its share of the window",
                "grant 50; 3x charge 1",
                "charge 1",
                "denied cap_exceeded cap=velocity used=3 asked=1 allowed=3 window_seconds=60 retry_at=+20 challenge=null",
            ),
            ("a microsecond before", "grant 50; 3x charge 1; wait 19.999999", "charge 1", "denied cap_exceeded retry_at=+20"),
            ("then", "grant 50; 3x charge 1; wait 20", "charge 1", "ok"),
            ("and then one again", "grant 50; 3x charge 1; wait 20; charge 1", "charge 1", "denied cap_exceeded retry_at=+40"),
            ("after the window all", "grant 50; 3x charge 1; wait 60; charge 1; charge 1", "charge 1", "ok"),
            ("what was not used is not saved up", "grant 50; wait 9000; 3x charge 1", "charge 1", "denied cap_exceeded"),
            ("holds and charges together", "grant 50; hold 1; hold 0; charge 1", "hold 1", "denied cap_exceeded"),
            (
                "what came back was asked all the same",
                "grant 50; 3x hold 1; hold 1 app_id=y as=h; release h",
                "hold 1",
                "denied cap_exceeded",
            ),
            ("a denial is none", "grant 2; try charge 9; try charge 9; try charge 9; charge 1", "charge 1", "ok"),
            (
                "a replay is none",
                "grant 9; charge 1 idempotency_key=k; charge 1 idempotency_key=k; charge 1 idempotency_key=k",
                "charge 1",
                "ok",
            ),
            ("the next day too", "grant 50; at 2026-01-01T23:59:59Z; 3x charge 1; wait 1", "charge 1", "denied cap_exceeded"),
            ("another user", "grant 50 owner=user:u2; grant 50; 3x charge 1", "charge 1 payer=user:u2", "ok"),
            ("another app", "grant 50; 3x charge 1", "charge 1 app_id=x", "ok"),
        ],
    );
    table_under(
        &under(json!({"velocity": [{"max_count": 3, "window_seconds": 10}]})),
        &[
            (
                "a window that does not divide is exact",
                "grant 50; 3x charge 1",
                "charge 1",
                "denied cap_exceeded retry_at=+3.333334",
            ),
            ("a microsecond before", "grant 50; 3x charge 1; wait 3.333333", "charge 1", "denied cap_exceeded"),
            ("then", "grant 50; 3x charge 1; wait 3.333334", "charge 1", "ok"),
        ],
    );
}

#[test]
fn velocity_in_units() {
    table_under(
        &under(json!({"velocity": [{"max_units": "10", "window_seconds": 100}]})),
        &[
            ("exactly met", "grant 50; charge 4", "charge 6", "ok"),
            (
                "a millionth more",
                "grant 50; charge 4",
                "charge 6.000001",
                "denied cap_exceeded cap=velocity used=4 asked=6.000001 allowed=10 window_seconds=100 retry_at=+0.00001",
            ),
            ("a microsecond before", "grant 50; charge 4; wait 0.000009", "charge 6.000001", "denied cap_exceeded"),
            ("then", "grant 50; charge 4; wait 0.00001", "charge 6.000001", "ok"),
            ("more than the window ever has", "grant 50", "charge 10.000001", "denied cap_exceeded retry_at=null retryable=false"),
            ("work that costs nothing", "grant 50; charge 10", "hold 0", "ok"),
            ("a capture asks nothing", "grant 50; hold 10 over_capture=draw as=h", "capture h 30", "ok"),
            (
                "but what it takes beyond counts",
                "grant 50; hold 10 over_capture=draw as=h; capture h 30",
                "charge 1",
                "denied cap_exceeded used=30 retry_at=+210",
            ),
            ("units in another unit", "grant 50; grant 50 unit=UC; charge 10", "charge 10 unit=UC", "ok"),
        ],
    );
    table_under(
        &under(json!({
            "daily_cap": "12", "velocity": [{"max_units": "10", "window_seconds": 100}, {"max_count": 2, "window_seconds": 10}]
        })),
        &[
            (
                "the first in order is named, and all have to be waited for",
                "grant 50; charge 1; charge 1",
                "charge 9",
                "denied cap_exceeded cap=velocity allowed=10 retry_at=+10",
            ),
            ("the longest", "grant 50; charge 5; charge 5", "charge 1", "denied cap_exceeded allowed=10 retry_at=+10"),
            (
                "the cap before velocity",
                "grant 50; charge 5; charge 5",
                "charge 9",
                "denied cap_exceeded cap=daily_cap retry_at=+1d",
            ),
            (
                "one that never lets it through",
                "grant 50; charge 5; charge 5",
                "charge 11",
                "denied cap_exceeded cap=daily_cap retry_at=null",
            ),
        ],
    );
}

#[test]
fn charges_in_a_minute() {
    table_under(
        &of(json!({"requests": {"charges_per_minute": 2}})),
        &[
            ("so many", "grant 50; charge 1", "charge 1", "ok"),
            (
                "one more",
                "grant 50; charge 1; charge 1",
                "charge 1",
                "denied charge_rate_limited limit=charges_per_minute used=2 allowed=2 retry_at=+30 retryable=true",
            ),
            ("a microsecond before", "grant 50; charge 1; charge 1; wait 29.999999", "charge 1", "denied charge_rate_limited"),
            ("then", "grant 50; charge 1; charge 1; wait 30", "charge 1", "ok"),
            (
                "a replay is never limited",
                "grant 50; charge 1 idempotency_key=k; charge 1",
                "charge 1 idempotency_key=k",
                "ok idempotent_replay=true",
            ),
            (
                "nor another command under the key",
                "grant 50; charge 1 idempotency_key=k; charge 1",
                "charge 2 idempotency_key=k",
                "denied idempotency_conflict",
            ),
            ("its shape goes before", "grant 50; charge 1; charge 1", "charge 0", "denied amount_invalid"),
            ("before a block", "grant 50; charge 1; charge 1; block target=user:u1", "charge 1", "denied charge_rate_limited"),
            ("before the version", "grant 50; charge 1; charge 1", "charge 1 expected_version=9", "denied charge_rate_limited"),
            ("holds are none", "grant 50; charge 1; charge 1", "hold 1", "ok"),
            ("refused charges are none", "grant 2; try charge 9; try charge 9; charge 1", "charge 1", "ok"),
            (
                "whatever for",
                "grant 50; grant 50 unit=UC; charge 1 app_id=x; charge 1 unit=UC",
                "charge 1",
                "denied charge_rate_limited",
            ),
            (
                "by who acts",
                "grant 50; grant 50 owner=pool; charge 1; charge 1 payer=pool user_id=u1",
                "charge 1 user_id=u1",
                "denied charge_rate_limited",
            ),
            ("another user", "grant 50; charge 1; charge 1", "charge 1 user_id=u2", "ok"),
            ("another tenant", "grant 50; grant 50 tenant_id=other; charge 1; charge 1", "charge 1 tenant_id=other", "ok"),
            ("nobody", "grant 50; charge 1; charge 1", "charge 1 payer=-", "denied owner_invalid"),
            ("a denial is no denial of another", "grant 50; charge 1; charge 1", "charge 99", "denied charge_rate_limited"),
        ],
    );
}

#[test]
fn commands_of_one_batch_see_each_other() {
    let policy = under(json!({"daily_cap": "10", "velocity": [{"max_count": 3, "window_seconds": 60}]}));
    for (name, store) in drawdown_tests::stores(&tempfile::tempdir().unwrap().path().join("books.db")) {
        let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
        let engine = Engine::builder().store(store).clock(clock).policies(Policies::new(policy.clone())).build().unwrap();
        let acme = Context::tenant("acme").unwrap();
        let user = Owner::user("u1").unwrap();
        engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Trial, "90".parse().unwrap()))).unwrap();
        let charge = |amount: &str| acme.request(Charge::new(user.clone(), amount.parse().unwrap())).into_command();
        let answers = engine.execute_many(vec![charge("6"), charge("5"), charge("4"), charge("0.5")]);
        let denied = |answer: &Result<_, Failure>| {
            answer.as_ref().err().and_then(|refused| refused.denial()).map(|d| d.details()["used"].clone())
        };
        let denied: Vec<Option<Value>> = answers.iter().map(denied).collect();
        assert_eq!(denied, [None, Some("6".into()), None, Some("10".into())], "{name}");
        let group = [charge("0.1"), charge("0.1")];
        assert_eq!(engine.execute_all(group.to_vec()).unwrap_err().index, Some(0), "{name}");
        let hold = engine.execute(acme.verified().request(PlaceHold::new(user.clone(), "0".parse().unwrap())));
        assert!(hold.is_ok(), "{name}: the third");
        let hold = engine.execute(acme.request(PlaceHold::new(user.clone(), "0".parse().unwrap())));
        assert_eq!(hold.unwrap_err().denial().unwrap().details()["cap"], "velocity", "{name}");
    }
}

#[test]
fn estimates_and_checks_in_a_minute() {
    let policy = of(json!({"requests": {"estimates_per_minute": 2, "checks_per_minute": 1}}));
    let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
    let book = "{version: 1, effective_at: 2026-01-01T00:00:00Z, unit: credit, templates: {poster: {base: 10}}}";
    let prices = PriceBooks::new([PriceBook::from_yaml(book).unwrap()]).unwrap();
    let engine = Engine::builder().clock(clock.clone()).prices(prices).policies(Policies::new(policy)).build().unwrap();
    let acme = Context::tenant("acme").unwrap();
    let request = EstimateRequest::from_json(r#"{"template_id": "poster"}"#).unwrap();
    let estimate = |user: &str| engine.estimate(&acme.account(Owner::user(user).unwrap(), "credit").unwrap(), &request);
    assert!(estimate("u1").is_ok() && estimate("u1").is_ok());
    let refused = estimate("u1").unwrap_err();
    let denial = refused.denial().unwrap();
    assert_eq!((denial.name(), &denial.details()["limit"]), ("estimate_rate_limited", &json!("estimates_per_minute")));
    assert_eq!(denial.when_to_retry().unwrap().to_string(), "2026-01-01T00:00:30.000000Z");
    assert!(estimate("u2").is_ok(), "another user");
    let pool = acme.account(Owner::Pool, "credit").unwrap();
    let asked_by = |user: &str| EstimateRequest { user_id: Some(user.parse().unwrap()), ..request.clone() };
    assert!(engine.estimate(&pool, &asked_by("u1")).is_err() && engine.estimate(&pool, &asked_by("u3")).is_ok(), "by who asks");
    assert!(engine.estimate(&pool, &request).is_ok(), "or for whom");
    let check = |user: Option<&str>| {
        let user_id = user.map(|user| user.parse().unwrap());
        engine.check_licence(&TemplateKey::new("acme".parse().unwrap(), "poster".parse().unwrap(), user_id), None)
    };
    assert!(check(Some("u1")).is_ok() && check(None).is_ok(), "counted by themselves");
    let refused = check(Some("u1")).unwrap_err();
    let denial = refused.denial().unwrap();
    assert_eq!((denial.name(), &denial.details()["limit"]), ("estimate_rate_limited", &json!("checks_per_minute")));
    assert_eq!(denial.when_to_retry().unwrap().to_string(), "2026-01-01T00:01:00.000000Z");
    clock.set("2026-01-01T00:00:29.999999Z".parse().unwrap());
    assert!(estimate("u1").is_err());
    clock.set("2026-01-01T00:00:30Z".parse().unwrap());
    assert!(estimate("u1").is_ok());
    clock.set("2026-01-01T00:01:00Z".parse().unwrap());
    assert!(check(Some("u1")).is_ok());
}

/// What the last operation told compliance, after these statements.
fn alert_after(policy: &TenantPolicy, script: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let told = drawdown_tests::stores(&folder.path().join("books.db")).into_iter().map(|(_, store)| {
        let mut bank = Bank::new(store, policy.clone());
        script.split(';').for_each(|statement| bank.given(statement.trim()).unwrap());
        let feed: Vec<Arc<StoredOperation>> = bank.engine.feed(None, 0, 100).unwrap();
        let alerts = feed.last().unwrap().operation.alerts.clone();
        assert!(alerts.len() <= 1 && alerts.iter().all(|alert| alert.rule == AlertRule::Anomaly));
        alerts.first().map(|alert| Value::Object(alert.details.clone()).to_string())
    });
    let told: Vec<_> = told.collect();
    assert!(told.windows(2).all(|two| two[0] == two[1]), "{told:?}");
    told[0].clone()
}

#[test]
fn compliance_is_told_of_an_anomaly() {
    let policy = under(json!({"anomaly_threshold": "5", "anomaly_cooldown_seconds": 60, "allow_list": ["u2"]}));
    let told = alert_after(&policy, "grant 50; charge 5.000001 app_id=x").unwrap();
    let expected = r#"{"amount":"5.000001","anomaly_threshold":"5","app_id":"x","spender":"user:u1","unit":"credit"}"#;
    assert_eq!(told, expected);
    for (what, script, is_told) in [
        ("exactly the threshold is usual", "grant 50; charge 5", false),
        ("a hold", "grant 50; hold 6", true),
        ("in the cooldown", "grant 50; charge 6; wait 59.999999; charge 6", false),
        ("after it", "grant 50; charge 6; wait 60; charge 6", true),
        ("which begins when it was told", "grant 50; charge 6; wait 30; charge 6; wait 30; charge 6", true),
        ("of another app", "grant 50; charge 6; charge 6 app_id=x", true),
        ("of another user", "grant 50; grant 50 owner=pool; charge 6; charge 6 payer=pool user_id=u3", true),
        ("who is allowed everything is told of too", "grant 50 owner=user:u2; charge 6 payer=user:u2", true),
        ("what is refused is not told of", "grant 5; try charge 6; charge 1", false),
        ("a capture is told of with its hold alone", "grant 50; hold 4 over_capture=draw as=h; capture h 9", false),
    ] {
        assert_eq!(alert_after(&policy, script).is_some(), is_told, "{what}");
    }
    let always = under(json!({"anomaly_threshold": "5"}));
    assert!(alert_after(&always, "grant 50; charge 6; charge 6").is_some(), "without a cooldown each is told of");
}

#[test]
fn a_replay_tells_as_the_first_answer_did() {
    let mut bank = Bank::new(Arc::new(drawdown::store::memory::MemoryStore::new()), under(json!({"anomaly_threshold": "5"})));
    for statement in ["grant 50", "charge 6 idempotency_key=k", "charge 6 idempotency_key=k"] {
        bank.given(statement).unwrap();
    }
    let feed = bank.engine.feed(None, 0, 100).unwrap();
    assert_eq!((feed.len(), feed[1].operation.alerts.len()), (2, 1));
}
