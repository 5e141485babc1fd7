//! Quotes: estimates whose price is kept, and holds and charges that name one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use drawdown::pricing::EstimateRequest;
use drawdown::{Caller, Context, TenantPolicy};
use drawdown_tests::script::{Bank, table, table_under};

#[test]
fn a_hold_or_charge_is_at_the_price_of_its_quote() {
    table(&[
        ("a hold", "grant 30; quote a as=q", "hold 10 audit_id=@q", "ok frozen_amount=10; balance 20 frozen 10"),
        ("a charge", "grant 30; quote a as=q", "charge 10 audit_id=@q", "ok change=-10 price_basis=pricing_v1; balance 20"),
        (
            "all that it was made for",
            "grant 30; quote a app_id=x scene=film as=q",
            "hold 10 audit_id=@q template_id=a app_id=x scene=film unit=credit user_id=u1 price_basis=pricing_v1",
            "ok frozen_amount=10",
        ),
        ("its label of compliance", "grant 30; quote b as=q", "charge 5 audit_id=@q template_id=b", "ok policy_tag=strict"),
        ("another label", "grant 30; quote b as=q", "charge 5 audit_id=@q policy_tag=own", "ok policy_tag=own"),
        (
            "the price book has changed",
            "grant 30; at +86399; quote a as=q; wait 1; estimate a as=e",
            "charge 10 audit_id=@q",
            "ok price_basis=pricing_v1; balance 20",
        ),
        (
            "the new price is not the quote's",
            "grant 30; at +86399; quote a as=q; wait 1",
            "charge 12 audit_id=@q",
            "denied payload_invalid field=amount given=12 allowed=`10`,_as_in_the_quote",
        ),
        ("it can be used again", "grant 30; quote a as=q; charge 10 audit_id=@q", "charge 10 audit_id=@q", "ok; balance 10"),
        (
            "a replay comes before it",
            "grant 30; quote a as=q; charge 10 audit_id=@q idempotency_key=k; wait 901",
            "charge 10 audit_id=@q idempotency_key=k",
            "ok idempotent_replay=true",
        ),
        (
            "another quote is another command",
            "grant 30; quote a as=q; quote a as=r; charge 10 audit_id=@q idempotency_key=k",
            "charge 10 audit_id=@r idempotency_key=k",
            "denied idempotency_conflict field=audit_id",
        ),
    ]);
}

#[test]
fn what_is_not_the_quotes_is_refused() {
    let given = "grant 30; grant 30 owner=user:u2; grant 30 unit=UC; quote a app_id=x scene=film as=q";
    table(&[
        (
            "less",
            given,
            "hold 9.999999 audit_id=@q",
            "denied payload_invalid field=amount given=9.999999 allowed=`10`,_as_in_the_quote",
        ),
        ("more", given, "charge 11 audit_id=@q", "denied payload_invalid field=amount given=11"),
        ("nothing", given, "hold 0 audit_id=@q", "denied payload_invalid field=amount given=0"),
        (
            "another account",
            given,
            "charge 10 audit_id=@q payer=user:u2",
            "denied payload_invalid field=payer given=user:u2 allowed=`user:u1`,_as_in_the_quote",
        ),
        ("the pool", given, "hold 10 audit_id=@q payer=pool", "denied payload_invalid field=payer given=pool"),
        ("another unit", given, "hold 10 audit_id=@q unit=UC", "denied payload_invalid field=unit given=UC"),
        ("another template", given, "hold 10 audit_id=@q template_id=b", "denied payload_invalid field=template_id given=b"),
        ("another app", given, "charge 10 audit_id=@q app_id=y", "denied payload_invalid field=app_id given=y"),
        ("another scene", given, "hold 10 audit_id=@q scene=dance", "denied payload_invalid field=scene given=dance"),
        (
            "another version of the prices",
            given,
            "hold 10 audit_id=@q price_basis=pricing_v2",
            "denied payload_invalid field=price_basis given=pricing_v2 allowed=`pricing_v1`,_as_in_the_quote",
        ),
        (
            "another tenant's",
            "grant 30; quote a tenant=other as=q",
            "hold 10 audit_id=@q",
            "denied payload_invalid field=audit_id allowed=the_`audit_id`_of_a_quote",
        ),
        ("no quote: an estimate", "grant 30; estimate a as=q", "hold 10 audit_id=@q", "denied payload_invalid field=audit_id"),
        ("no quote: an operation", "grant 30 as=q", "hold 10 audit_id=@q", "denied payload_invalid field=audit_id"),
        (
            "nothing at all",
            "grant 30",
            "hold 10 audit_id=aud_00000000-0000-7000-8000-000000000000",
            "denied payload_invalid field=audit_id given=aud_00000000-0000-7000-8000-000000000000",
        ),
        ("no id", "grant 30", "hold 10 audit_id=q", "denied payload_invalid field=audit_id"),
    ]);
}

#[test]
fn a_quote_is_valid_for_a_while() {
    let given = |seconds: &str| format!("grant 30; quote a as=q; wait {seconds}");
    table(&[
        ("a moment before its end", &given("899.999999"), "hold 10 audit_id=@q", "ok frozen_amount=10"),
        (
            "at its end",
            &given("900"),
            "hold 10 audit_id=@q",
            "denied payload_invalid field=audit_id allowed=a_quote_that_is_younger_than_900_seconds quoted_at=+0",
        ),
        ("a second too old", &given("901"), "charge 10 audit_id=@q", "denied payload_invalid field=audit_id"),
    ]);
    let policy = TenantPolicy { quote_validity_seconds: 60, ..TenantPolicy::default() };
    table_under(
        &policy,
        &[
            ("as the policy says", &given("59.999999"), "charge 10 audit_id=@q", "ok change=-10"),
            ("and no longer", &given("60"), "charge 10 audit_id=@q", "denied payload_invalid field=audit_id"),
            ("what is not the quote's is said first", &given("60"), "charge 11 audit_id=@q", "denied payload_invalid field=amount"),
        ],
    );
}

#[test]
fn a_quote_comes_after_the_target_and_before_the_licence() {
    let policy = TenantPolicy { licence_required: true, ..TenantPolicy::default() };
    table_under(
        &policy,
        &[
            (
                "the task goes before",
                "grant 30; set_licence; quote a as=q; hold 1 task_id=t",
                "hold 11 audit_id=@q task_id=t",
                "denied pre_deduct_already_processed",
            ),
            (
                "who is blocked, too",
                "grant 30; set_licence; quote a as=q; block target=tenant",
                "charge 11 audit_id=@q",
                "denied blocked",
            ),
            (
                "the licence comes after",
                "grant 30; set_licence; quote a as=q; revoke_licence",
                "hold 11 audit_id=@q template_id=a",
                "denied payload_invalid",
            ),
            (
                "and then",
                "grant 30; set_licence; quote a as=q; revoke_licence",
                "hold 10 audit_id=@q template_id=a",
                "denied authorization_missing reason_code=revoked",
            ),
            ("the balance at last", "set_licence; quote a as=q", "charge 10 audit_id=@q", "denied insufficient_balance"),
        ],
    );
}

#[test]
fn every_estimate_is_a_quote_where_the_policy_says_so() {
    let policy = TenantPolicy { estimates_are_quotes: true, ..TenantPolicy::default() };
    table_under(&policy, &[("an estimate", "grant 30; estimate a as=q", "hold 10 audit_id=@q", "ok frozen_amount=10")]);
}

#[test]
fn a_hold_keeps_its_quote() {
    let mut bank = Bank::in_memory();
    bank.given("grant 30").unwrap();
    let acme = Context::tenant("acme").unwrap();
    let request = EstimateRequest { template_id: Some("b".parse().unwrap()), ..EstimateRequest::default() };
    let account = acme.account("user:u1".parse().unwrap(), "credit").unwrap();
    let quote = bank.engine.quote(&account, &request, &Caller::default()).unwrap();
    let hold = drawdown::PlaceHold { audit_id: quote.audit_id, ..drawdown::PlaceHold::new(account.owner, "5".parse().unwrap()) };
    let held = bank.engine.execute(acme.request(hold)).unwrap();
    let (_, hold) = bank.engine.hold(&acme.tenant_id, held.hold_id).unwrap();
    assert_eq!((hold.terms.quote_id, hold.terms.price_basis.as_ref().unwrap().as_str()), (quote.audit_id, "pricing_v1"));
    assert_eq!(hold.terms.policy_tag.as_ref().unwrap().as_str(), "strict");
}

/// The request in the audit is read again as it was.
#[test]
fn a_request_is_written_as_it_is_read() {
    for json in [
        "{}",
        r#"{"template_id": "a", "scene": "film", "app_id": "x", "usage_unit": "minute", "quantity": 2.5, "priority": "accelerated"}"#,
        r#"{"model": "m", "user_id": "u", "usage": {"images": 2, "seconds": "1.5"}, "resolution": "4k"}"#,
        r#"{"template_id": "a", "extras": {"voices": 2, "style": "2", "subtitles": true}}"#,
    ] {
        let request = EstimateRequest::from_json(json).unwrap();
        assert_eq!(EstimateRequest::from_json(&request.to_json().to_string()).unwrap(), request, "{json}");
    }
}
