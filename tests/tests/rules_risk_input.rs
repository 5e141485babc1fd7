//! Risk controls that are mistaken: each mistake is named where they are given, and all at once.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use drawdown::{Command, Context, RequestLimits, RiskControls, RiskPolicy, TenantPolicy, Velocity};
use serde_json::{Value, json};

fn read(controls: &Value) -> Result<RiskControls, String> {
    serde_json::from_value(controls.clone()).map_err(|error| error.to_string())
}

/// Where its mistakes are, and what is said of the first.
fn mistakes(controls: &Value) -> (Vec<String>, String) {
    let denial = RiskPolicy::new(read(controls).unwrap()).unwrap_err();
    assert_eq!((denial.name(), denial.retryable()), ("config_invalid", false));
    let errors = denial.details()["errors"].as_array().unwrap().clone();
    let paths = errors.iter().map(|error| error["path"].as_str().unwrap().to_owned()).collect();
    (paths, errors.first().unwrap()["message"].as_str().unwrap().to_owned())
}

#[test]
fn each_field_wrong_in_turn() {
    for (controls, path, message) in [
        (json!({"daily_cap": "-0.000001"}), "daily_cap", "is `-0.000001`: it takes an amount of 0 or more"),
        (json!({"single_cap": -1}), "single_cap", "is `-1`: it takes an amount of 0 or more"),
        (json!({"daily_cap": 0, "verified_daily_cap": -1}), "verified_daily_cap", "is `-1`: it takes an amount of 0 or more"),
        (json!({"anomaly_threshold": -1}), "anomaly_threshold", "is `-1`: it takes an amount of 0 or more"),
        (json!({"daily_cap": 5, "verified_daily_cap": "4.9"}), "verified_daily_cap", "is `4.9`, less than the `daily_cap` of `5`"),
        (json!({"verified_daily_cap": 5}), "verified_daily_cap", "stands without a `daily_cap`"),
        (
            json!({"daily_count_cap": 9_223_372_036_854_775_808_u64}),
            "daily_count_cap",
            "is `9223372036854775808`: it takes 0 to 9223372036854775807",
        ),
        (json!({"velocity": [{"window_seconds": 1}]}), "velocity[0]", "takes one of `max_units` and `max_count`"),
        (
            json!({"velocity": [{"max_units": 1, "max_count": 1, "window_seconds": 1}]}),
            "velocity[0]",
            "takes one of `max_units` and `max_count`",
        ),
        (
            json!({"velocity": [{"max_units": 0, "window_seconds": 1}]}),
            "velocity[0].max_units",
            "is `0`: it takes an amount greater than 0",
        ),
        (
            json!({"velocity": [{"max_count": 0, "window_seconds": 1}]}),
            "velocity[0].max_count",
            "is `0`: it takes 1 to 9223372036854775807",
        ),
        (
            json!({"velocity": [{"max_count": 1, "window_seconds": 1}, {"max_count": 1, "window_seconds": 0}]}),
            "velocity[1].window_seconds",
            "is `0`: it takes 1 to 2592000",
        ),
        (
            json!({"velocity": [{"max_count": 1, "window_seconds": 2_592_001}]}),
            "velocity[0].window_seconds",
            "is `2592001`: it takes 1 to 2592000",
        ),
        (
            json!({"velocity": [{"max_count": 1, "window_seconds": 1}, {"max_count": 1, "window_seconds": 1}]}),
            "velocity[1]",
            "stands twice",
        ),
        (
            json!({"velocity": (1..=9).map(|n| json!({"max_count": n, "window_seconds": 1})).collect::<Vec<_>>()}),
            "velocity",
            "has 9 rules, more than 8",
        ),
        (json!({"deny_list": ["a", "b"], "allow_list": ["b"]}), "deny_list", "has `b`, who is on the `allow_list` too"),
        (json!({"anomaly_cooldown_seconds": 60}), "anomaly_cooldown_seconds", "stands without an `anomaly_threshold`"),
    ] {
        let (paths, said) = mistakes(&controls);
        assert_eq!((paths, said), (vec![format!("default.{path}")], message.to_owned()), "{controls}");
    }
}

#[test]
fn what_is_no_control_at_all() {
    for (controls, why) in [
        (json!({"daily_uc_cap": 1}), "unknown field `daily_uc_cap`"),
        (json!({"velocity": [{"max_count": 1, "window_seconds": 1, "per": "day"}]}), "unknown field `per`"),
        (json!({"velocity": [{"max_count": 1}]}), "missing field `window_seconds`"),
        (json!({"daily_cap": "1e400"}), "1e400"),
        (json!({"daily_cap": "0.0000001"}), "0.0000001"),
        (json!({"daily_count_cap": -1}), "invalid"),
        (json!({"deny_list": [""]}), "user_id"),
    ] {
        let error = read(&controls).unwrap_err();
        assert!(error.contains(why), "{controls}: {error}");
    }
}

#[test]
fn all_mistakes_at_once() {
    let (paths, _) = mistakes(&json!({"daily_cap": -1, "single_cap": -1, "velocity": [{"window_seconds": 0}]}));
    assert_eq!(paths, ["default.daily_cap", "default.single_cap", "default.velocity[0]", "default.velocity[0].window_seconds"]);
    let mistaken = || RiskControls { single_cap: Some("-1".parse().unwrap()), ..RiskControls::default() };
    let of_app = RiskPolicy::default().app("x".parse().unwrap(), mistaken()).unwrap_err();
    assert_eq!(of_app.details()["errors"][0]["path"], "apps.x.single_cap");
    assert_eq!(of_app.message(), "the risk controls have mistakes: `apps.x.single_cap` is `-1`: it takes an amount of 0 or more");
    for (requests, path) in [
        (RequestLimits { charges_per_minute: Some(0), ..RequestLimits::default() }, "requests.charges_per_minute"),
        (RequestLimits { estimates_per_minute: Some(0), ..RequestLimits::default() }, "requests.estimates_per_minute"),
        (RequestLimits { checks_per_minute: Some(0), ..RequestLimits::default() }, "requests.checks_per_minute"),
    ] {
        let denial = RiskPolicy::default().requests(requests).unwrap_err();
        assert_eq!(denial.details()["errors"][0]["path"], path);
    }
}

#[test]
fn a_policy_reads_as_it_was_written() {
    let controls = RiskControls {
        daily_cap: Some("10".parse().unwrap()),
        daily_count_cap: Some(3),
        single_cap: Some("5".parse().unwrap()),
        verified_daily_cap: Some("10".parse().unwrap()),
        velocity: vec![Velocity::count(2, 60), Velocity::units("4".parse().unwrap(), 60)],
        deny_list: ["a".parse().unwrap()].into(),
        allow_list: ["b".parse().unwrap()].into(),
        anomaly_threshold: Some("4".parse().unwrap()),
        anomaly_cooldown_seconds: 60,
    };
    let requests = RequestLimits { charges_per_minute: Some(1), estimates_per_minute: Some(2), checks_per_minute: Some(3) };
    let risk = RiskPolicy::new(controls.clone()).unwrap().app("x".parse().unwrap(), controls).unwrap();
    let policy = TenantPolicy { risk: risk.requests(requests).unwrap(), ..TenantPolicy::default() };
    let json = serde_json::to_string(&policy).unwrap();
    assert_eq!(serde_json::from_str::<TenantPolicy>(&json).unwrap(), policy);
    let mistaken = json.replace(r#""charges_per_minute":1"#, r#""charges_per_minute":0"#);
    let error = serde_json::from_str::<TenantPolicy>(&mistaken).unwrap_err().to_string();
    assert!(error.contains("`requests.charges_per_minute` is `0`"), "{error}");
}

#[test]
fn verified_is_of_the_context() {
    let charge =
        |verified: &str| format!(r#"{{"command": "charge", "tenant_id": "acme", "payer": "pool", "amount": 1{verified}}}"#);
    let said = Command::from_json(&charge(r#", "verified": true"#)).unwrap();
    let plain = Command::from_json(&charge("")).unwrap();
    assert!(said.context.verified && !plain.context.verified);
    assert_eq!(said.fingerprint(), plain.fingerprint(), "it tells no repetition from another command");
    assert_eq!(said.context, Context::tenant("acme").unwrap().verified());
    assert_eq!(Command::from_json(&serde_json::to_string(&said.to_fields()).unwrap()).unwrap(), said);
    let denial = Command::from_json(&charge(r#", "verified": "yes""#)).unwrap_err();
    assert_eq!((denial.name(), &denial.details()["field"]), ("payload_invalid", &json!("verified")));
}

#[test]
fn who_has_no_controls_loads_nothing_for_them() {
    let loaded = |risk: Value, command: &str| {
        let policy = TenantPolicy { risk: serde_json::from_value(risk).unwrap(), ..TenantPolicy::default() };
        let json = format!(r#"{{"command": "{command}", "tenant_id": "acme", "payer": "user:u1", "amount": 1, "app_id": "x"}}"#);
        Command::from_json(&json).unwrap().needs(&policy).risk.len()
    };
    for (risk, of_charge, of_hold) in [
        (json!({}), 0, 0),
        (json!({"default": {}}), 0, 0),
        (json!({"default": {"single_cap": 1, "deny_list": ["a"], "allow_list": ["b"]}}), 0, 0),
        (json!({"apps": {"y": {"daily_cap": 1}}}), 0, 0),
        (json!({"default": {"daily_cap": 1}, "apps": {"x": {}}}), 0, 0),
        (json!({"requests": {"estimates_per_minute": 1, "checks_per_minute": 1}}), 0, 0),
        (json!({"requests": {"charges_per_minute": 1}}), 1, 0),
        (json!({"default": {"daily_cap": 1}}), 1, 1),
        (json!({"apps": {"x": {"anomaly_threshold": 1}}, "requests": {"charges_per_minute": 1}}), 2, 1),
    ] {
        assert_eq!((loaded(risk.clone(), "charge"), loaded(risk.clone(), "hold")), (of_charge, of_hold), "{risk}");
    }
}
