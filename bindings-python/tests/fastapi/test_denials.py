"""Every row of the table of denials that the platform can answer, with its code and status."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from desk import Desk, MakeDesk, ok, refused
from test_credits import CHARGE, ESTIMATE, HOLD, cancel, commit

pytest_plugins = ["desk"]

UNKNOWN_HOLD = "hold_019aa7b2-6f0e-7c3d-9d4c-2f6b8a1e0c55"
LICENCE = {"licence_id": "l1", "template_id": "poster", "operator": "ops"}
CHECK = {"tenant_id": "acme", "template_id": "poster", "user_id": "u1", "channel": "creator"}
REFUND = {"tenant_id": "acme", "user_id": "u1", "reason": "blurred", "operator": "ops"}

LICENSED = {"licence_required": True}


def test_unauthenticated(desk: Desk) -> None:
    for by in (None, "nobody"):
        response = desk.post("credits/charge", CHARGE, by=by)
        refused(response, 401, "40101", "unauthenticated")
        assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("credits/estimate", {**ESTIMATE, "template_id": "unknown"}, "template_id"),
        ("credits/estimate", {**ESTIMATE, "extras": {"unknown": 1}}, "extras.unknown"),
        ("credits/estimate", {**ESTIMATE, "extras": {"style": "loud"}}, "extras.style"),
        ("credits/pre-deduct", {**HOLD, "expire_in": 0}, "expire_in"),
        ("credits/pre-deduct", {**HOLD, "expire_in": 604_801}, "expire_in"),
        ("credits/pre-deduct", {**HOLD, "unknown": 1}, "unknown"),
        ("credits/charge", {**CHARGE, "priority": "soon"}, "priority"),
        ("licenses/check", {**CHECK, "channel": "tv"}, "channel"),
    ],
)
def test_payload_invalid(desk: Desk, path: str, body: dict[str, Any], field: str) -> None:
    desk.grant(100)
    answer = refused(desk.post(path, body), 422, "42201", "payload_invalid")
    assert answer["details"]["errors"][0]["path"] == field
    assert f"`{field}`" in answer["message"]


@pytest.mark.parametrize("amount", [0, -1, "0.0000001", "x", True, None, 10**20, "", [1], "1e400"])
def test_amount_invalid(desk: Desk, amount: Any) -> None:
    answer = refused(desk.post("credits/charge", {**CHARGE, "amount": amount}), 422, "42201", "amount_invalid")
    assert answer["details"]["errors"][0]["path"] == "amount"


def test_amount_invalid_speaks_of_the_field_that_was_sent(desk: Desk) -> None:
    answer = refused(desk.post("credits/pre-deduct", {**HOLD, "estimated_cost": -1}), 422, "42201", "amount_invalid")
    assert answer["details"]["field"] == "estimated_cost"
    assert "`estimated_cost`" in answer["message"]


def test_payload_too_large(desk: Desk) -> None:
    refused(desk.post("credits/charge", {**CHARGE, "metadata": {"x": "y" * 8_192}}), 413, "42201", "payload_too_large")
    refused(desk.post("credits/charge", {**CHARGE, "reason": "y" * 70_000}), 413, "42201", "payload_too_large")
    desk.grant(100)
    ok(desk.post("credits/charge", {**CHARGE, "metadata": {"x": "y" * 8_180}}))


def test_blocked(desk: Desk) -> None:
    desk.grant(100)
    desk.do("block", target={"user": "u1"}, operator="ops", reason="fraud")
    answer = refused(desk.post("credits/charge", CHARGE), 403, "40302", "blocked")
    assert desk.audited(answer["audit_id"]).outcome == "refused"
    refused(desk.post("credits/pre-deduct", HOLD), 403, "40302", "blocked")


def test_authorization_missing(make_desk: MakeDesk) -> None:
    desk = make_desk(policy=LICENSED)
    desk.grant(100)
    for path, body in (("credits/estimate", ESTIMATE), ("credits/charge", CHARGE)):
        answer = refused(desk.post(path, body), 403, "40302", "authorization_missing")
        assert answer["details"]["requirements"] == ["license"]
        assert desk.audited(answer["audit_id"]).outcome == "refused"


@pytest.mark.parametrize(
    "terms",
    [
        {"valid_until": "2026-03-01T00:00:00.000000Z", "policy_tag": "tag"},
        {"valid_from": "2026-04-01T00:00:00.000000Z", "policy_tag": "tag"},
        {"required_documents": ["permit"], "policy_tag": "tag"},
    ],
)
def test_authorization_missing_of_a_licence_that_is_not_valid(make_desk: MakeDesk, terms: dict[str, Any]) -> None:
    desk = make_desk(policy=LICENSED)
    desk.grant(100)
    desk.do("set_licence", **LICENCE, **terms)
    for path, body in (("credits/estimate", ESTIMATE), ("credits/pre-deduct", HOLD), ("credits/charge", CHARGE)):
        assert refused(desk.post(path, body), 403, "40302", "authorization_missing")["policy_tag"] == "tag"


def test_authorization_missing_of_a_revoked_licence(make_desk: MakeDesk) -> None:
    desk = make_desk(policy=LICENSED)
    desk.grant(100)
    desk.do("set_licence", **LICENCE)
    desk.do("revoke_licence", licence_id="l1", operator="ops", reason="misuse")
    for path, body in (("credits/estimate", ESTIMATE), ("credits/pre-deduct", HOLD), ("credits/charge", CHARGE)):
        refused(desk.post(path, body), 403, "40302", "authorization_missing")


def test_authorization_not_found(make_desk: MakeDesk) -> None:
    desk = make_desk(policy=LICENSED)
    desk.grant(100)
    refused(desk.post("credits/pre-deduct", HOLD), 404, "40401", "authorization_not_found")


def test_quotas(make_desk: MakeDesk) -> None:
    desk = make_desk(policy=LICENSED)
    desk.grant(100)
    desk.do("set_licence", **LICENCE, daily_quota=1)
    ok(desk.post("credits/charge", CHARGE))
    for path, body in (("credits/pre-deduct", HOLD), ("credits/charge", CHARGE)):
        answer = refused(desk.post(path, body), 403, "40303", "daily_quota_exceeded")
        assert (answer["retryable"], answer["retry_at"]) == (True, "2026-03-11T00:00:00.000000Z")


def test_quota_exceeded(make_desk: MakeDesk) -> None:
    desk = make_desk(policy={**LICENSED, "tells_quota_exceeded": True})
    desk.grant(100)
    desk.do("set_licence", **LICENCE, total_quota=0)
    refused(desk.post("credits/charge", CHARGE), 403, "40303", "quota_exceeded")


def test_template_not_found(make_desk: MakeDesk) -> None:
    desk = make_desk(policy=LICENSED)
    desk.grant(100)
    unknown = {"template_id": "unknown"}
    refused(desk.post("licenses/check", {**CHECK, **unknown}), 404, "0401", "template_not_found")
    refused(desk.post("credits/pre-deduct", {**HOLD, **unknown}), 404, "0401", "template_not_found")


def test_not_found(desk: Desk) -> None:
    refused(desk.get("credits/ledger", tenant_id="acme", user_id="u9"), 404, "40401", "account_not_found")
    refused(desk.get("tasks/t9"), 404, "40401", "task_not_found")
    refused(desk.get("tasks/t9/events"), 404, "40401", "task_not_found")
    unknown = {"pre_deduct_id": UNKNOWN_HOLD}
    answer = refused(desk.post("credits/commit", commit(unknown, actual_cost=1)), 404, "40401", "pre_deduct_not_found")
    assert answer["details"]["pre_deduct_id"] == UNKNOWN_HOLD
    refused(desk.post("credits/cancel", cancel(unknown)), 404, "40401", "pre_deduct_not_found")
    no_id = {"pre_deduct_id": "nothing"}
    refused(desk.post("credits/commit", commit(no_id, actual_cost=1)), 404, "40401", "pre_deduct_not_found")
    refused(desk.post("credits/cancel", cancel(no_id)), 404, "40401", "pre_deduct_not_found")
    refused(desk.post("credits/cancel", cancel(no_id), by="u1"), 404, "40401", "pre_deduct_not_found")
    refused(
        desk.post("credits/refund", {**REFUND, "ledger_id": "nothing"}, by="ops"), 403, "0305", "refund_not_allowed"
    )


def test_insufficient_balance(desk: Desk) -> None:
    desk.grant(3)
    answer = refused(desk.post("credits/charge", CHARGE), 402, "40201", "insufficient_balance")
    assert answer["details"]["available"] == "3"
    refused(desk.post("credits/charge", {**CHARGE, "user_id": "u9"}), 402, "40201", "insufficient_balance")
    refused(desk.post("credits/pre-deduct", HOLD), 403, "40302", "insufficient_balance")


def test_insufficient_balance_of_a_commit_above(make_desk: MakeDesk) -> None:
    desk = make_desk(over_capture="draw")
    desk.grant(30)
    held = ok(desk.post("credits/pre-deduct", HOLD))
    refused(desk.post("credits/commit", commit(held, actual_cost=31)), 403, "40302", "insufficient_balance")
    ok(desk.post("credits/commit", commit(held, actual_cost=30)))


def test_rate_limits(make_desk: MakeDesk) -> None:
    limits = {"charges_per_minute": 1, "estimates_per_minute": 1, "checks_per_minute": 1}
    desk = make_desk(policy={"risk": {"requests": limits}})
    desk.grant(100)
    for path, body, error in (
        ("credits/charge", CHARGE, "charge_rate_limited"),
        ("credits/estimate", ESTIMATE, "estimate_rate_limited"),
        ("licenses/check", CHECK, "estimate_rate_limited"),
    ):
        ok(desk.post(path, body))
        assert refused(desk.post(path, body), 429, "2901", error)["retry_at"] == "2026-03-10T12:01:00.000000Z"


def test_cap_exceeded_and_verified(make_desk: MakeDesk) -> None:
    desk = make_desk(policy={"risk": {"default": {"daily_cap": "5", "verified_daily_cap": "10"}}})
    desk.grant(100)
    ok(desk.post("credits/charge", CHARGE))
    answer = refused(desk.post("credits/charge", CHARGE), 429, "2901", "cap_exceeded")
    assert (answer["details"]["challenge"], answer["retry_at"]) == (
        "second_verification",
        "2026-03-11T00:00:00.000000Z",
    )
    refused(desk.post("credits/charge", {**CHARGE, "verified": True}), 422, "42201", "payload_invalid")
    ok(desk.post("credits/charge", CHARGE, by="sure"))


def test_pre_deduct_already_processed(desk: Desk) -> None:
    desk.grant(100)
    held = ok(desk.post("credits/pre-deduct", {**HOLD, "expire_in": 1}))
    desk.pass_seconds(1)
    for path, body in (("credits/commit", commit(held, actual_cost=1)), ("credits/cancel", cancel(held))):
        answer = refused(desk.post(path, body), 409, "40901", "pre_deduct_already_processed")
        assert answer["details"]["status"] == "expired"


def test_cursor_expired(desk: Desk) -> None:
    desk.grant(1)
    desk.pass_seconds(3_700)
    desk.grant(1)
    headers = {"last-event-id": "evc1_0000000000000000ffff"}
    answer = refused(desk.send("GET", "tasks/stream", headers=headers), 410, "41001", "cursor_expired")
    assert answer["details"]["oldest"] > headers["last-event-id"]


def test_hold_exceeded(desk: Desk) -> None:
    desk.grant(100)
    held = ok(desk.post("credits/pre-deduct", HOLD))
    refused(desk.post("credits/commit", commit(held, actual_cost=31)), 409, "40902", "hold_exceeded")


def test_what_does_not_match_the_pre_deduct(desk: Desk) -> None:
    desk.grant(100)
    held = ok(desk.post("credits/pre-deduct", HOLD))
    for field, value in (("task_id", "t9"), ("template_id", "flyer"), ("user_id", "u9")):
        answer = refused(
            desk.post("credits/commit", commit(held, actual_cost=1, **{field: value})), 422, "42201", "payload_invalid"
        )
        assert answer["details"]["field"] == field


def test_idempotency_conflict(desk: Desk) -> None:
    desk.grant(100)
    ok(desk.post("credits/charge", CHARGE, key="k1"))
    refused(desk.post("credits/charge", {**CHARGE, "amount": 5}, key="k1"), 409, "0901", "idempotency_conflict")


def test_pricing_unavailable(make_desk: MakeDesk) -> None:
    desk = make_desk(prices=[])
    refused(desk.post("credits/estimate", ESTIMATE), 503, "50301", "pricing_unavailable")


@pytest.mark.parametrize(
    ("ask", "code", "error"),
    [
        (lambda desk: desk.post("credits/charge", CHARGE), "0302", "ledger_unavailable"),
        (lambda desk: desk.post("credits/pre-deduct", HOLD), "0302", "ledger_unavailable"),
        (lambda desk: desk.post("credits/estimate", ESTIMATE), "0303", "ledger_service_unavailable"),
        (
            lambda desk: desk.get("credits/balance", tenant_id="acme", user_id="u1"),
            "0303",
            "ledger_service_unavailable",
        ),
        (lambda desk: desk.get("credits/ledger", tenant_id="acme"), "0303", "ledger_service_unavailable"),
        (lambda desk: desk.get("tasks/t1"), "0303", "ledger_service_unavailable"),
        (lambda desk: desk.get("tasks/stream"), "0303", "ledger_service_unavailable"),
        (lambda desk: desk.post("licenses/check", CHECK), "0304", "license_service_unavailable"),
    ],
)
def test_unavailable(desk: Desk, ask: Callable[[Desk], Any], code: str, error: str) -> None:
    desk.do_plain("close")
    refused(ask(desk), 503, code, error)


def test_long_codes(make_desk: MakeDesk) -> None:
    desk = make_desk(codes="long")
    desk.grant(100)
    ok(desk.post("credits/charge", CHARGE, key="k1"))
    refused(desk.post("credits/charge", {**CHARGE, "amount": 5}, key="k1"), 409, "40901", "idempotency_conflict")
    refused(desk.post("licenses/check", {**CHECK, "template_id": "unknown"}), 404, "40401", "template_not_found")
    refused(desk.post("credits/refund", {**REFUND, "task_id": "t9"}, by="ops"), 403, "40305", "refund_not_allowed")
    desk.do_plain("close")
    refused(desk.post("credits/charge", CHARGE), 503, "50302", "ledger_unavailable")


def test_a_failure_of_the_service_says_nothing_of_it(make_desk: MakeDesk) -> None:
    def broken(_: Any) -> None:
        raise RuntimeError("a secret")

    desk = make_desk(authenticate=broken)
    assert "secret" not in refused(desk.post("credits/charge", CHARGE), 500, "50000", "internal")["message"]
