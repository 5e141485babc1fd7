//! Estimates by an engine: the price book in force at its present, and what the account can pay for this work.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;

use drawdown::pricing::{EstimateRequest, FundedEstimate, PriceBook, PriceBooks};
use drawdown::{
    AccountKey, Amount, Charge, Context, Engine, Failure, GrantCredit, GrantType, ManualClock, Owner, PlaceHold, Policies,
    RevokeLicence, Scope, SetCreditLimit, SetLicence, TemplateKey, TenantPolicy,
};

const BOOK: &str = "{version: V, effective_at: FROM, unit: credit, templates: {poster: {base: 10, policy_tag: t}, clip: {base: 10}, free: {base: 0}}}";

fn book(version: &str, from: &str) -> PriceBook {
    PriceBook::from_yaml(&BOOK.replace('V', version).replace("FROM", from)).unwrap()
}

struct Desk {
    engine: Engine,
    clock: Arc<ManualClock>,
    acme: Context,
    owner: Owner,
}

impl Desk {
    fn new() -> Desk {
        Desk::under(TenantPolicy::default())
    }

    fn under(policy: TenantPolicy) -> Desk {
        let clock = Arc::new(ManualClock::at("2026-01-15T00:00:00Z".parse().unwrap()));
        let books = PriceBooks::new([book("1", "2026-01-01T00:00:00Z"), book("2", "2026-02-01T00:00:00Z")]).unwrap();
        let engine = Engine::builder().clock(clock.clone()).prices(books).policies(Policies::new(policy)).build().unwrap();
        Desk { engine, clock, acme: Context::tenant("acme").unwrap(), owner: Owner::user("u1").unwrap() }
    }

    fn account(&self, unit: &str) -> AccountKey {
        AccountKey::new("acme".parse().unwrap(), self.owner.clone(), unit.parse().unwrap())
    }

    fn grant(&self, amount: &str, scope: Scope) {
        let grant = GrantCredit { scope, ..GrantCredit::new(self.owner.clone(), GrantType::Purchased, amount.parse().unwrap()) };
        self.engine.execute(self.acme.request(grant)).unwrap();
    }

    fn estimate(&self, json: &str) -> Result<FundedEstimate, Failure> {
        self.engine.estimate(&self.account("credit"), &EstimateRequest::from_json(json).unwrap())
    }

    /// current balance, balance after, topup
    #[track_caller]
    fn answers(&self, template: &str, expected: [&str; 3]) {
        let answer = self.estimate(&format!(r#"{{"template_id": "{template}"}}"#)).unwrap();
        let got = [answer.current_balance, answer.balance_after, answer.suggest_topup].map(|amount| amount.to_string());
        assert_eq!(got, expected);
    }
}

#[test]
fn an_estimate_says_what_the_account_lacks() {
    let desk = Desk::new();
    desk.answers("poster", ["0", "-10", "10"]);
    desk.grant("7.5", Scope::default());
    desk.answers("poster", ["7.5", "-2.5", "2.5"]);
    desk.grant("2.5", Scope::default());
    desk.answers("poster", ["10", "0", "0"]);
    // What a hold keeps cannot be spent twice.
    desk.engine.execute(desk.acme.request(PlaceHold::new(desk.owner.clone(), "4".parse().unwrap()))).unwrap();
    desk.answers("poster", ["6", "-4", "4"]);
    // Its time is over: it has released what it kept, booked or not.
    desk.clock.advance_seconds(900);
    desk.answers("poster", ["10", "0", "0"]);
    let entries = desk.engine.balance(&desk.account("credit")).unwrap().version;
    assert_eq!(entries, 3, "an estimate books nothing");
}

#[test]
fn credit_that_is_kept_for_other_work_pays_nothing() {
    let desk = Desk::new();
    desk.grant("8", Scope { template_id: Some("clip".parse().unwrap()), ..Scope::default() });
    desk.grant("3", Scope::default());
    desk.answers("clip", ["11", "1", "0"]);
    desk.answers("poster", ["11", "1", "7"]);
    // So it is with an app.
    desk.grant("2", Scope { app_id: Some("video".parse().unwrap()), ..Scope::default() });
    desk.answers("poster", ["13", "3", "7"]);
    let answer = desk.estimate(r#"{"template_id": "poster", "app_id": "video"}"#).unwrap();
    assert_eq!(answer.suggest_topup.to_string(), "5");
}

#[test]
fn a_credit_limit_counts_and_debt_is_repaid_first() {
    let desk = Desk::new();
    let limit = SetCreditLimit::new(desk.owner.clone(), "12".parse().unwrap(), "ops", "agreed").unwrap();
    desk.engine.execute(desk.acme.request(limit)).unwrap();
    desk.answers("poster", ["0", "-10", "0"]);
    desk.engine.execute(desk.acme.request(Charge::new(desk.owner.clone(), "5".parse().unwrap()))).unwrap();
    desk.answers("poster", ["-5", "-15", "3"]);
    desk.grant("3", Scope::default());
    desk.answers("poster", ["-2", "-12", "0"]);
    let hold = PlaceHold::new(desk.owner.clone(), "10".parse().unwrap());
    assert_eq!(desk.engine.execute(desk.acme.request(hold)).unwrap().balance_after.to_string(), "-12");
    // The limit is lower than what is owed: what costs nothing lacks nothing, and can be had.
    let limit = SetCreditLimit::new(desk.owner.clone(), "2".parse().unwrap(), "ops", "agreed").unwrap();
    desk.engine.execute(desk.acme.request(limit)).unwrap();
    desk.answers("poster", ["-12", "-22", "20"]);
    desk.answers("free", ["-12", "-12", "0"]);
    let nothing = PlaceHold::new(desk.owner.clone(), Amount::ZERO);
    assert!(desk.engine.execute(desk.acme.request(nothing)).is_ok());
}

#[test]
fn the_book_is_the_one_at_the_engines_present() {
    let desk = Desk::new();
    let basis = || desk.estimate(r#"{"template_id": "poster"}"#).unwrap().estimate.calculation_basis.to_string();
    assert_eq!(basis(), "pricing_v1");
    desk.clock.set("2026-01-31T23:59:59.999999Z".parse().unwrap());
    assert_eq!(basis(), "pricing_v1");
    desk.clock.set("2026-02-01T00:00:00Z".parse().unwrap());
    assert_eq!(basis(), "pricing_v2");
    desk.clock.set("2025-12-31T23:59:59Z".parse().unwrap());
    let denial = desk.estimate("{}").unwrap_err();
    assert_eq!(denial.denial().unwrap().name(), "pricing_unavailable");
    let none = Engine::in_memory().estimate(&desk.account("credit"), &EstimateRequest::default()).unwrap_err();
    assert_eq!((none.denial().unwrap().name(), none.denial().unwrap().when_to_retry()), ("pricing_unavailable", None));
}

#[test]
fn what_cannot_be_priced_is_refused() {
    let desk = Desk::new();
    let unknown = desk.estimate(r#"{"template_id": "poster", "extras": {"x": 1}}"#).unwrap_err();
    let unknown = unknown.denial().unwrap();
    assert_eq!((unknown.name(), unknown.details()["field"].as_str()), ("payload_invalid", Some("extras.x")));
    assert_eq!(unknown.policy_tag().unwrap().as_str(), "t");
    let request = EstimateRequest::from_json(r#"{"template_id": "poster"}"#).unwrap();
    let unit = desk.engine.estimate(&desk.account("UC"), &request).unwrap_err();
    assert_eq!(unit.denial().unwrap().details()["field"], "unit");
    // The estimate is exactly what a hold of it needs.
    desk.grant("9.999999", Scope::default());
    let answer = desk.estimate(r#"{"template_id": "poster"}"#).unwrap();
    let hold = || desk.acme.request(PlaceHold::new(desk.owner.clone(), answer.estimate.selected_cost));
    assert_eq!(desk.engine.execute(hold()).unwrap_err().denial().unwrap().name(), "insufficient_balance");
    desk.grant(&answer.suggest_topup.to_string(), Scope::default());
    assert_eq!(desk.engine.execute(hold()).unwrap().balance_after, Amount::ZERO);
}

/// Where licences are required, work that may not be used has no price; whether a quota is used up is asked when it begins.
#[test]
fn an_estimate_needs_a_licence_where_the_tenant_says_so() {
    let desk = Desk::under(TenantPolicy { licence_required: true, ..TenantPolicy::default() });
    let poster = |json: &str| desk.estimate(json);
    let named = |answer: Result<FundedEstimate, Failure>| {
        let failure = answer.unwrap_err();
        let denial = failure.denial().unwrap();
        let tag = denial.policy_tag().map(|tag| tag.to_string());
        (denial.name(), denial.details()["reason_code"].as_str().unwrap_or_default().to_owned(), tag)
    };
    let of = |reason: &str, tag: &str| ("authorization_missing", reason.to_owned(), Some(tag.to_owned()));
    let set = |licence: SetLicence| desk.engine.execute(desk.acme.request(licence)).unwrap();
    let tagged =
        |tag: &str| SetLicence { policy_tag: Some(tag.parse().unwrap()), ..SetLicence::new("l1", "poster", "ops").unwrap() };
    assert_eq!(named(poster(r#"{"template_id": "poster"}"#)), of("missing_documents", "t"));
    let unknown = poster(r#"{"template_id": "flyer"}"#).unwrap_err();
    assert_eq!(unknown.denial().unwrap().details()["field"], "template_id", "the price comes first");
    set(SetLicence { valid_from: Some("2026-01-16T00:00:00Z".parse().unwrap()), ..tagged("strict") });
    assert_eq!(named(poster(r#"{"template_id": "poster"}"#)), of("missing_documents", "strict"));
    set(SetLicence { required_documents: ["consent".parse().unwrap()].into(), ..tagged("strict") });
    assert_eq!(named(poster(r#"{"template_id": "poster"}"#)), of("missing_documents", "strict"));
    set(SetLicence { total_quota: Some(0), daily_quota: Some(0), ..tagged("strict") });
    let answer = poster(r#"{"template_id": "poster"}"#).unwrap();
    assert_eq!(answer.estimate.policy_tag.unwrap().as_str(), "strict", "the licence's label");
    set(SetLicence::new("l1", "poster", "ops").unwrap());
    let answer = poster(r#"{"template_id": "poster"}"#).unwrap();
    assert_eq!(answer.estimate.policy_tag.unwrap().as_str(), "t", "else the template's");
    // Who acts uses it, else who pays.
    set(SetLicence { user_id: Some("u2".parse().unwrap()), ..SetLicence::new("own", "clip", "ops").unwrap() });
    assert_eq!(named(poster(r#"{"template_id": "clip"}"#)).0, "authorization_missing");
    assert!(poster(r#"{"template_id": "clip", "user_id": "u2"}"#).is_ok());
    set(SetLicence { valid_until: Some("2026-01-15T00:00:00Z".parse().unwrap()), ..tagged("strict") });
    assert_eq!(named(poster(r#"{"template_id": "poster"}"#)), of("expired", "strict"));
    desk.engine.execute(desk.acme.request(RevokeLicence::new("l1", "ops", "a claim").unwrap())).unwrap();
    assert_eq!(named(poster(r#"{"template_id": "poster"}"#)), of("revoked", "strict"));
}

#[test]
fn a_check_is_labelled_as_the_licence_or_as_the_template() {
    let desk = Desk::new();
    let tag = |template: &str| {
        let template = TemplateKey::new(desk.acme.tenant_id.clone(), template.parse().unwrap(), None);
        desk.engine.check_licence(&template, None).unwrap().policy_tag.map(|tag| tag.to_string())
    };
    assert_eq!((tag("poster").as_deref(), tag("clip"), tag("unknown")), (Some("t"), None, None), "without a licence");
    let set = |licence: SetLicence| desk.engine.execute(desk.acme.request(licence)).unwrap();
    set(SetLicence::new("l1", "poster", "ops").unwrap());
    assert_eq!(tag("poster").as_deref(), Some("t"));
    set(SetLicence { policy_tag: Some("strict".parse().unwrap()), ..SetLicence::new("l1", "poster", "ops").unwrap() });
    assert_eq!(tag("poster").as_deref(), Some("strict"));
}

/// What is granted repays what is owed above a limit that was lowered, before it adds to what can be spent.
#[test]
fn a_topup_repays_first_beside_credit_for_other_work() {
    let desk = Desk::new();
    desk.grant("100", Scope { template_id: Some("clip".parse().unwrap()), ..Scope::default() });
    let limit = |limit: &str| {
        let limit = SetCreditLimit::new(desk.owner.clone(), limit.parse().unwrap(), "ops", "agreed").unwrap();
        desk.engine.execute(desk.acme.request(limit)).unwrap();
    };
    limit("12");
    desk.engine.execute(desk.acme.request(Charge::new(desk.owner.clone(), "12".parse().unwrap()))).unwrap();
    limit("2");
    desk.answers("poster", ["88", "78", "20"]);
    desk.answers("clip", ["88", "78", "0"]);
}

/// With what is suggested, granted for anything, the work can be held; with a millionth less it cannot.
#[test]
fn a_topup_is_enough_and_no_more() {
    let mut random = fastrand::Rng::with_seed(5);
    let mut topped_up = 0;
    for _ in 0..400 {
        let seed = random.u64(..);
        let enough = after_a_life(seed);
        let suggested = enough.estimate(r#"{"template_id": "poster"}"#).unwrap().suggest_topup;
        let hold = |desk: &Desk| {
            let hold = PlaceHold::new(desk.owner.clone(), "10".parse().unwrap());
            let answer = desk.engine.execute(desk.acme.request(PlaceHold { template_id: Some("poster".parse().unwrap()), ..hold }));
            answer.map(|_| ()).map_err(|failure| failure.denial().unwrap().name())
        };
        if suggested.is_positive() {
            topped_up += 1;
            enough.grant(&suggested.to_string(), Scope::default());
            let short = after_a_life(seed);
            let less = suggested.checked_sub(Amount::from_micros(1)).unwrap();
            if less.is_positive() {
                short.grant(&less.to_string(), Scope::default());
            }
            assert_eq!(hold(&short), Err("insufficient_balance"), "{seed}: {less} instead of {suggested}");
        }
        assert_eq!(hold(&enough), Ok(()), "{seed}: {suggested}");
    }
    assert!(topped_up > 100, "{topped_up}");
}

/// A desk after some grants for some work, some work on credit, and limits that rise and fall.
fn after_a_life(seed: u64) -> Desk {
    let mut random = fastrand::Rng::with_seed(seed);
    let desk = Desk::new();
    for _ in 0..random.u32(2..9) {
        let amount = Amount::from_units(random.i64(1..15)).unwrap();
        let template_id = ["poster", "clip"].get(random.usize(..3)).map(|name| name.parse().unwrap());
        let _ = match random.u32(..5) {
            0 => desk
                .engine
                .execute(desk.acme.request(GrantCredit {
                    scope: Scope { template_id, ..Scope::default() },
                    ..GrantCredit::new(desk.owner.clone(), GrantType::Trial, amount)
                }))
                .is_ok(),
            1 | 2 => desk
                .engine
                .execute(desk.acme.request(SetCreditLimit::new(desk.owner.clone(), amount, "ops", "agreed").unwrap()))
                .is_ok(),
            3 => desk.engine.execute(desk.acme.request(Charge { template_id, ..Charge::new(desk.owner.clone(), amount) })).is_ok(),
            _ => desk
                .engine
                .execute(desk.acme.request(PlaceHold { template_id, ..PlaceHold::new(desk.owner.clone(), amount) }))
                .is_ok(),
        };
    }
    desk
}
