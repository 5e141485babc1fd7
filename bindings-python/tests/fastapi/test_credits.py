"""Every call under `credits/` that writes, as the platform's documents have it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from desk import Desk, MakeDesk, Serve, ok, refused

pytest_plugins = ["desk"]

ESTIMATE = {"tenant_id": "acme", "user_id": "u1", "template_id": "poster", "scene": "launch"}
HOLD = {
    "tenant_id": "acme",
    "user_id": "u1",
    "template_id": "poster",
    "scene": "launch",
    "task_id": "t1",
    "estimated_cost": 30,
}
CHARGE = {
    "tenant_id": "acme",
    "user_id": "u1",
    "template_id": "poster",
    "amount": 4,
    "priority": "standard",
    "reason": "a poster",
}


def commit(held: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The body of a commit."""
    return {
        "pre_deduct_id": held["pre_deduct_id"],
        "task_id": "t1",
        "tenant_id": "acme",
        "template_id": "poster",
        "user_id": "u1",
        **fields,
    }


def cancel(held: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The body of a cancel."""
    return {"pre_deduct_id": held["pre_deduct_id"], "tenant_id": "acme", "reason": "withdrawn", **fields}


def test_estimate_answers_every_field(desk: Desk) -> None:
    desk.grant(5)
    extras = {"voice": 2, "no_watermark": True, "style": "calm"}
    answer = ok(
        desk.post("credits/estimate", {**ESTIMATE, "extras": extras, "priority": "accelerated", "resolution": "4k"})
    )
    audit_id = answer.pop("audit_id")
    lines = answer.pop("line_items")
    assert answer == {
        "currency": "credit",
        "template_id": "poster",
        "scene": "launch",
        "resolution": "4k",
        "priority": "accelerated",
        "current_balance": 5,
        "selected_cost": Decimal("44.25"),
        "estimated_cost": Decimal("44.25"),
        "min_cost": Decimal("29.5"),
        "max_cost": Decimal("44.25"),
        "calculation_basis": "pricing_v20250918",
        "policy_tag": "brand",
        "suggest_topup": Decimal("39.25"),
        "extras": {"voice": 2, "no_watermark": 1, "style": "calm"},
        "options": [
            {"priority": "standard", "total_cost": Decimal("29.5"), "eta_minutes": 30},
            {"priority": "accelerated", "total_cost": Decimal("44.25"), "eta_minutes": 10},
        ],
    }
    assert sum(line["amount"] for line in lines) == Decimal("44.25")
    assert answer["extras"]["no_watermark"] is not True  # which would equal 1
    record = desk.audited(audit_id)
    assert (record.kind, record.actor, record.policy_tag) == ("estimate", "web", "brand")


@pytest.mark.parametrize("extras", [None, {}, {"voice": None, "no_watermark": False, "style": 0}])
def test_estimate_has_defaults(desk: Desk, extras: Any) -> None:
    answer = ok(desk.post("credits/estimate", {**ESTIMATE, "extras": extras}))
    assert (answer["resolution"], answer["priority"], answer["extras"]) == ("hd", "standard", {})
    assert (answer["selected_cost"], answer["suggest_topup"], answer["current_balance"]) == (10, 10, 0)


def test_estimate_without_user_is_of_the_pool(desk: Desk) -> None:
    desk.grant(12, owner="pool")
    answer = ok(desk.post("credits/estimate", {**ESTIMATE, "user_id": None}))
    assert (answer["current_balance"], answer["suggest_topup"]) == (12, 0)


def test_pre_deduct_answers_every_field(desk: Desk) -> None:
    desk.grant(100)
    answer = ok(desk.post("credits/pre-deduct", {**HOLD, "currency": "credit", "expire_in": 60}))
    audit_id, hold_id, ledger_id = (answer.pop(name) for name in ("audit_id", "pre_deduct_id", "ledger_id"))
    assert (hold_id.startswith("hold_"), ledger_id.startswith("led_")) == (True, True)
    assert answer == {
        "frozen_amount": 30,
        "balance_after": 70,
        "quota_snapshot": {"template_quota": -1, "user_usage": 0},
        "expire_at": "2026-03-10T12:01:00.000000Z",
        "status": "frozen",
        "task_id": "t1",
        "policy_tag": None,
        "idempotent_replay": False,
    }
    assert desk.audited(audit_id).kind == "hold"


def test_pre_deduct_is_in_the_currency_and_for_the_scene_that_are_named(desk: Desk) -> None:
    desk.grant(100, unit="UC")
    refused(desk.post("credits/pre-deduct", HOLD), 403, "40302", "insufficient_balance")
    held = ok(desk.post("credits/pre-deduct", {**HOLD, "currency": "UC"}))
    hold = desk.do("hold", hold_id=held["pre_deduct_id"])
    assert (hold.unit, hold.scene, hold.template_id, hold.user_id) == ("UC", "launch", "poster", "u1")


def test_pre_deduct_lasts_15_minutes_and_takes_0(desk: Desk) -> None:
    answer = ok(desk.post("credits/pre-deduct", {**HOLD, "estimated_cost": 0}))
    assert (answer["frozen_amount"], answer["expire_at"]) == (0, "2026-03-10T12:15:00.000000Z")


def test_pre_deduct_says_what_is_left_of_the_licence(make_desk: MakeDesk) -> None:
    desk = make_desk(policy={"licence_required": True})
    desk.grant(100)
    desk.do("set_licence", licence_id="l1", template_id="poster", total_quota=5, policy_tag="l-tag", operator="ops")
    held = ok(desk.post("credits/pre-deduct", HOLD))
    assert held["quota_snapshot"] == {"template_quota": 4, "user_usage": 1}
    assert held["policy_tag"] == "l-tag"
    assert ok(desk.post("credits/commit", commit(held, actual_cost=30)))["quota_snapshot"]["template_quota"] == 4


def test_commit_answers_what_was_captured_in_total(desk: Desk) -> None:
    desk.grant(100)
    held = ok(desk.post("credits/pre-deduct", HOLD))
    part = ok(desk.post("credits/commit", commit(held, actual_cost=10, final=False), key="part"))
    assert (part["frozen_amount"], part["balance_after"], part["status"]) == (10, 70, "frozen")
    last = ok(desk.post("credits/commit", commit(held, actual_cost="5.5")))
    assert (last["frozen_amount"], last["balance_after"], last["status"]) == (
        Decimal("15.5"),
        Decimal("84.5"),
        "committed",
    )
    assert (last["pre_deduct_id"], last["expire_at"]) == (held["pre_deduct_id"], held["expire_at"])
    assert desk.audited(last["audit_id"]).kind == "capture"


def test_commit_of_0_gives_everything_back(desk: Desk) -> None:
    desk.grant(100)
    held = ok(desk.post("credits/pre-deduct", HOLD))
    answer = ok(desk.post("credits/commit", commit(held, actual_cost=0)))
    assert (answer["frozen_amount"], answer["balance_after"]) == (0, 100)


def test_a_part_needs_a_key(desk: Desk) -> None:
    desk.grant(100)
    held = ok(desk.post("credits/pre-deduct", HOLD))
    answer = refused(
        desk.post("credits/commit", commit(held, actual_cost=1, final=False)), 422, "42201", "payload_invalid"
    )
    assert answer["details"]["field"] == "X-Idempotency-Key"


def test_cancel_answers_the_balance_as_text(desk: Desk) -> None:
    desk.grant("100.5")
    held = ok(desk.post("credits/pre-deduct", HOLD))
    answer = ok(desk.post("credits/cancel", cancel(held, user_id="u1")))
    audit_id = answer.pop("audit_id")
    assert answer == {
        "pre_deduct_id": held["pre_deduct_id"],
        "status": "cancelled",
        "reason": "withdrawn",
        "balance_after": "100.5",
        "policy_tag": None,
        "idempotent_replay": False,
    }
    assert desk.audited(audit_id).kind == "release"


def test_cancel_names_the_user_whose_pre_deduct_it_is(desk: Desk) -> None:
    desk.grant(100)
    held = ok(desk.post("credits/pre-deduct", HOLD))
    answer = refused(desk.post("credits/cancel", cancel(held, user_id="u9")), 422, "42201", "payload_invalid")
    assert answer["details"]["field"] == "user_id"


def test_the_name_of_the_priority_is_kept(desk: Desk) -> None:
    desk.grant(100)
    taken = {**CHARGE, "metadata": {"$priority": "soon"}}
    answer = refused(desk.post("credits/charge", taken), 422, "42201", "payload_invalid")
    assert answer["details"]["field"] == "metadata.$priority"


def test_charge_answers_every_field(desk: Desk) -> None:
    desk.grant(100)
    answer = ok(desk.post("credits/charge", {**CHARGE, "task_id": "t1", "metadata": {"order": Decimal("1.50")}}))
    audit_id, ledger_id = answer.pop("audit_id"), answer.pop("ledger_id")
    assert answer == {
        "tenant_id": "acme",
        "user_id": "u1",
        "task_id": "t1",
        "change": -4,
        "balance_after": 96,
        "reason": "a poster",
        "policy_tag": None,
        "created_at": "2026-03-10T12:00:00.000000Z",
        "idempotent_replay": False,
    }
    assert desk.audited(audit_id).kind == "charge"
    [entry, _] = ok(desk.get("credits/ledger", tenant_id="acme", user_id="u1"))["entries"]
    assert (entry["ledger_id"], entry["priority"], entry["metadata"]) == (
        ledger_id,
        "standard",
        {"order": Decimal("1.50")},
    )


def test_charge_without_user_is_of_the_pool(desk: Desk) -> None:
    desk.grant(10, owner="pool")
    body = {name: value for name, value in CHARGE.items() if name != "user_id"}
    assert ok(desk.post("credits/charge", body))["balance_after"] == 6


def test_the_tenant_pays_where_its_policy_says_so(make_desk: MakeDesk) -> None:
    desk = make_desk(policy={"payer": "tenant"})
    desk.grant(50, owner="pool")
    assert ok(desk.post("credits/charge", CHARGE))["balance_after"] == 46
    assert ok(desk.post("credits/charge", {**CHARGE, "user_id": "u2"}))["balance_after"] == 42
    assert ok(desk.post("credits/estimate", ESTIMATE))["current_balance"] == 42
    assert ok(desk.get("credits/balance", tenant_id="acme", user_id="u1"))["balance"] == 42
    entries = ok(desk.get("credits/ledger", tenant_id="acme", user_id="u1"))["entries"]
    assert [(entry["kind"], entry["user_id"]) for entry in entries] == [("charge", "u1")]


def test_a_quote_pins_the_price(make_desk: MakeDesk) -> None:
    desk = make_desk(quote_every_estimate=True)
    desk.grant(100)
    quoted = ok(desk.post("credits/estimate", ESTIMATE))
    priced = {**HOLD, "estimated_cost": 10, "audit_id": quoted["audit_id"]}
    assert ok(desk.post("credits/pre-deduct", priced))["policy_tag"] == "brand"
    wrong = refused(
        desk.post("credits/charge", {**CHARGE, "audit_id": quoted["audit_id"]}), 422, "42201", "payload_invalid"
    )
    assert wrong["details"]["field"] == "amount"
    wrong = refused(
        desk.post("credits/pre-deduct", {**priced, "task_id": "t2", "estimated_cost": 9}),
        422,
        "42201",
        "payload_invalid",
    )
    assert (wrong["details"]["field"], "`estimated_cost`" in wrong["message"]) == ("estimated_cost", True)


def test_an_estimate_is_no_quote(desk: Desk) -> None:
    desk.grant(100)
    audit_id = ok(desk.post("credits/estimate", ESTIMATE))["audit_id"]
    answer = refused(
        desk.post("credits/charge", {**CHARGE, "amount": 10, "audit_id": audit_id}), 422, "42201", "payload_invalid"
    )
    assert answer["details"]["field"] == "audit_id"


def test_a_commit_above_draws_where_the_router_says_so(make_desk: MakeDesk) -> None:
    desk = make_desk(over_capture="draw")
    desk.grant(100)
    held = ok(desk.post("credits/pre-deduct", HOLD))
    assert ok(desk.post("credits/commit", commit(held, actual_cost=40)))["balance_after"] == 60


def test_a_late_commit_draws_where_the_router_says_so(make_desk: MakeDesk) -> None:
    desk = make_desk(late_commit="draw")
    desk.grant(100)
    held = ok(desk.post("credits/pre-deduct", {**HOLD, "expire_in": 1}))
    desk.pass_seconds(2)
    assert ok(desk.post("credits/commit", commit(held, actual_cost=20)))["balance_after"] == 80


def test_a_repetition_is_answered_again(desk: Desk) -> None:
    desk.grant(100)
    first = ok(desk.post("credits/charge", CHARGE, key="k1"))
    again = ok(desk.post("credits/charge", {**CHARGE, "amount": "4.0", "metadata": {"n": 1}}, key="k1"))
    assert again == {**first, "idempotent_replay": True}
    assert ok(desk.get("credits/balance", tenant_id="acme", user_id="u1"))["balance"] == 96


def test_one_live_pre_deduct_a_task(desk: Desk) -> None:
    desk.grant(100)
    held = ok(desk.post("credits/pre-deduct", HOLD, key="k1"))
    assert ok(desk.post("credits/pre-deduct", HOLD, key="k1"))["pre_deduct_id"] == held["pre_deduct_id"]
    second = refused(desk.post("credits/pre-deduct", HOLD, key="k2"), 409, "40901", "pre_deduct_already_processed")
    assert second["details"] == {"pre_deduct_id": held["pre_deduct_id"], "status": "frozen", "task_id": "t1"}
    ok(desk.post("credits/cancel", cancel(held)))
    third = ok(desk.post("credits/pre-deduct", HOLD, key="k3"))
    assert third["pre_deduct_id"] != held["pre_deduct_id"]


@pytest.mark.parametrize("amounts", ["number", "string"])
def test_amounts_are_exact_both_ways(make_desk: MakeDesk, amounts: str) -> None:
    desk = make_desk(amounts=amounts)
    desk.grant("9007199254740.993001")
    response = desk.post("credits/charge", {**CHARGE, "amount": Decimal("0.000001")})
    written = "9007199254740.993" if amounts == "number" else '"9007199254740.993"'
    assert f'"balance_after":{written}' in response.text.replace(": ", ":")
    given = '{"tenant_id":"acme","user_id":"u1","template_id":"poster","priority":"standard","reason":"r","amount":0.1}'
    for _ in range(3):
        answer = ok(desk.send("POST", "credits/charge", content=given, headers={"content-type": "application/json"}))
    assert str(answer["balance_after"]) == "9007199254740.693"


def test_many_at_once_under_one_key(serve: Serve, tmp_path: Path) -> None:
    server, base = serve(url=f"sqlite://{tmp_path}/books.db")
    server.do("grant_credit", owner="user:u1", type="purchased", amount=100)

    def charge(number: int) -> dict[str, Any]:
        headers = {"authorization": "Bearer web", "x-idempotency-key": f"k{number % 4}"}
        return ok(httpx.post(f"http://{base}/credits/charge", json=CHARGE, headers=headers))

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(charge, range(40)))
    assert len({answer["ledger_id"] for answer in answers}) == 4
    assert [answer["idempotent_replay"] for answer in answers].count(False) == 4
    balance = httpx.get(
        f"http://{base}/credits/balance?tenant_id=acme&user_id=u1", headers={"authorization": "Bearer web"}
    )
    assert ok(balance)["balance"] == 84
    assert server.do("verify_account", owner="user:u1").faults == ()
