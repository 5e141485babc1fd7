"""The ledger, the balance and refunds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from desk import Desk, MakeDesk, ok, refused
from test_credits import CHARGE, HOLD, commit

pytest_plugins = ["desk"]

REFUND = {"tenant_id": "acme", "user_id": "u1", "reason": "blurred", "operator": "ops-7"}


def spend(desk: Desk) -> None:
    """Books entries of several kinds."""
    desk.grant(100)
    desk.grant(3, owner="pool")
    held = ok(desk.post("credits/pre-deduct", HOLD))
    ok(desk.post("credits/commit", commit(held, actual_cost=10)))
    charged = [ok(desk.post("credits/charge", CHARGE | {"task_id": f"c{number}"})) for number in range(7)]
    ok(desk.post("credits/refund", {**REFUND, "ledger_id": charged[0]["ledger_id"]}, by="ops"))
    ok(desk.post("credits/pre-deduct", HOLD | {"task_id": "t2", "expire_in": 1}))
    desk.pass_seconds(60)
    ok(desk.post("credits/charge", CHARGE))


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 3, 50])
def test_pages_joined_are_the_entries(desk: Desk, order: str, limit: int) -> None:
    spend(desk)
    entries: list[dict[str, Any]] = []
    more: dict[str, Any] = {}
    while True:
        page = ok(desk.get("credits/ledger", tenant_id="acme", user_id="u1", order=order, limit=limit, **more))
        assert 1 <= len(page["entries"]) <= limit
        entries += page["entries"]
        if page["next_cursor"] is None:
            break
        more = {"cursor": page["next_cursor"]}
    booked = desk.do("entries", owner="user:u1", order=order, limit=1_000).entries
    assert [(entry["ledger_id"], entry["change"], entry["kind"]) for entry in entries] == [
        (line.ledger_id, line.change, line.kind) for line in booked
    ]


def test_the_sum_of_changes_is_the_balance(desk: Desk) -> None:
    spend(desk)
    entries = ok(desk.get("credits/ledger", tenant_id="acme", user_id="u1", order="asc"))["entries"]
    balance = ok(desk.get("credits/balance", tenant_id="acme", user_id="u1"))
    assert sum(entry["change"] for entry in entries) == balance["balance"] == entries[-1]["balance_after"] == 62
    assert sum(entry["frozen_change"] for entry in entries) == balance["frozen"] == 0
    changes = [(entry["kind"], entry["change"]) for entry in entries]
    assert changes[:4] == [("grant", 100), ("hold", -30), ("capture", 0), ("release", 20)]
    assert ("refund", 4) in changes
    assert changes[-2:] == [("release", 30), ("charge", -4)]


def test_an_entry_says_everything(desk: Desk) -> None:
    desk.grant(10)
    charged = ok(desk.post("credits/charge", CHARGE | {"task_id": "t1"}))
    ok(desk.post("credits/refund", {**REFUND, "task_id": "t1"}, by="ops"))
    [refund, charge, _] = ok(desk.get("credits/ledger", tenant_id="acme", user_id="u1"))["entries"]
    assert charge == {
        "ledger_id": charged["ledger_id"],
        "kind": "charge",
        "task_id": "t1",
        "change": -4,
        "balance_after": 6,
        "frozen_change": 0,
        "frozen_after": 0,
        "reason": "a poster",
        "policy_tag": None,
        "created_at": "2026-03-10T12:00:00.000000Z",
        "effective_at": "2026-03-10T12:00:00.000000Z",
        "user_id": "u1",
        "template_id": "poster",
        "operator": None,
        "pre_deduct_id": None,
        "priority": "standard",
        "metadata": None,
        "audit_id": charged["audit_id"],
    }
    assert (refund["operator"], refund["reason"]) == ("ops-7", "blurred")


def test_filters(desk: Desk) -> None:
    spend(desk)

    def kinds(**query: Any) -> list[str]:
        page = ok(desk.get("credits/ledger", tenant_id="acme", order="asc", **query))
        return [entry["kind"] for entry in page["entries"]]

    assert kinds() == ["grant"]
    assert kinds(user_id="u1", task_id="t1") == ["hold", "capture", "release"]
    assert kinds(user_id="u1", kind="charge", limit=3) == ["charge"] * 3
    assert kinds(user_id="u1", **{"from": "2026-03-10T12:00:01.000000Z"}) == ["release", "charge"]
    assert kinds(user_id="u1", kind="refund", to="2026-03-10T12:00:01.000000Z") == ["refund"]
    assert kinds(user_id="u1", kind="charge", to="2026-03-10T12:00:01.000000Z") == ["charge"] * 7
    assert kinds(user_id="u1", task_id="nothing") == []
    desk.grant(1, unit="UC")
    assert kinds(user_id="u1", currency="UC") == ["grant"]


def test_a_page_has_50_entries_the_latest_first_unless_more_is_said(desk: Desk) -> None:
    for number in range(51):
        desk.grant(number + 1)
    page = ok(desk.get("credits/ledger", tenant_id="acme", user_id="u1"))
    assert [entry["change"] for entry in page["entries"]] == list(range(51, 1, -1))
    assert page["next_cursor"] == page["entries"][-1]["ledger_id"]
    whole = ok(desk.get("credits/ledger", tenant_id="acme", user_id="u1", limit=1_000))
    assert (len(whole["entries"]), whole["next_cursor"]) == (51, None)


def test_policy_tags_pass_through(make_desk: MakeDesk) -> None:
    desk = make_desk(policy={"licence_required": True})
    desk.grant(100)
    desk.do("set_licence", licence_id="l1", template_id="poster", operator="ops", policy_tag="tag")
    held = ok(desk.post("credits/pre-deduct", HOLD))
    answers = [
        held,
        ok(desk.post("credits/commit", commit(held, actual_cost=10))),
        ok(desk.post("credits/charge", CHARGE)),
        ok(desk.post("credits/refund", {**REFUND, "task_id": "t1"}, by="ops")),
    ]
    assert {answer["policy_tag"] for answer in answers} == {"tag"}
    entries = ok(desk.get("credits/ledger", tenant_id="acme", user_id="u1"))["entries"]
    assert [entry["policy_tag"] for entry in entries][:-1] == ["tag"] * (len(entries) - 1)


def test_balance(desk: Desk) -> None:
    assert ok(desk.get("credits/balance", tenant_id="acme")) == {"balance": 0, "frozen": 0, "currency": "credit"}
    desk.grant("10.5")
    ok(desk.post("credits/pre-deduct", HOLD | {"estimated_cost": "0.5"}))
    balance = ok(desk.get("credits/balance", tenant_id="acme", user_id="u1"))
    assert balance == {"balance": 10, "frozen": Decimal("0.5"), "currency": "credit"}
    assert ok(desk.get("credits/balance", tenant_id="acme", user_id="u1", currency="UC"))["balance"] == 0


def test_refund_answers_every_field(desk: Desk) -> None:
    desk.grant(10)
    charged = ok(desk.post("credits/charge", CHARGE))
    answer = ok(desk.post("credits/refund", {**REFUND, "ledger_id": charged["ledger_id"]}, by="ops"))
    refund_id, ledger_id, audit_id = (answer.pop(name) for name in ("refund_id", "ledger_id", "audit_id"))
    assert (refund_id.startswith("ref_"), ledger_id.startswith("led_")) == (True, True)
    assert answer == {
        "change": 4,
        "balance_after": 10,
        "forfeited": 0,
        "policy_tag": None,
        "created_at": "2026-03-10T12:00:00.000000Z",
        "idempotent_replay": False,
    }
    record = desk.audited(audit_id)
    assert (record.kind, record.actor) == ("refund", "ops")


def test_partial_and_repeated_refunds(desk: Desk) -> None:
    desk.grant(10)
    ok(desk.post("credits/charge", CHARGE | {"task_id": "t1"}))
    part = {**REFUND, "task_id": "t1", "amount": "1.5"}
    answer = refused(desk.post("credits/refund", part, by="ops"), 422, "42201", "payload_invalid")
    assert answer["details"]["field"] == "X-Idempotency-Key"
    first = ok(desk.post("credits/refund", part, key="r1", by="ops"))
    assert (first["change"], first["balance_after"]) == (Decimal("1.5"), Decimal("7.5"))
    assert ok(desk.post("credits/refund", part, key="r1", by="ops")) == {**first, "idempotent_replay": True}
    above = desk.post("credits/refund", {**part, "amount": 3}, key="r2", by="ops")
    assert refused(above, 400, "40003", "invalid_refund_amount")["details"]["refundable"] == "2.5"
    for amount in (0, -1):
        bad = desk.post("credits/refund", {**part, "amount": amount}, key="r3", by="ops")
        refused(bad, 400, "40003", "invalid_refund_amount")
    rest = ok(desk.post("credits/refund", {**REFUND, "task_id": "t1"}, by="ops"))
    assert (rest["change"], rest["balance_after"]) == (Decimal("2.5"), 10)
    refused(desk.post("credits/refund", {**REFUND, "task_id": "t1"}, by="ops"), 409, "0903", "refund_duplicate")


def test_refunds_that_are_not_allowed(make_desk: MakeDesk) -> None:
    desk = make_desk(policy={"refund_operators": ["ops-7"], "refund_window_days": 1})
    desk.grant(10)
    charged = ok(desk.post("credits/charge", CHARGE))
    of_charge = {**REFUND, "ledger_id": charged["ledger_id"]}
    no_role = refused(desk.post("credits/refund", of_charge, by="web"), 403, "0305", "refund_not_allowed")
    assert no_role["details"] == {"required_role": "operator"}
    refused(
        desk.post("credits/refund", {**of_charge, "operator": "ops-8"}, by="ops"), 403, "0305", "refund_not_allowed"
    )
    refused(desk.post("credits/refund", {**of_charge, "user_id": "u2"}, by="ops"), 403, "0305", "refund_not_allowed")
    refused(desk.post("credits/refund", {**REFUND, "task_id": "nothing"}, by="ops"), 403, "0305", "refund_not_allowed")
    desk.pass_seconds(24 * 3_600)
    refused(desk.post("credits/refund", of_charge, by="ops"), 403, "0305", "refund_not_allowed")


def test_an_operator_of_one_user_refunds_no_charge_of_another(make_desk: MakeDesk) -> None:
    desk = make_desk()
    desk.grant(10)
    desk.grant(10, owner="user:u2")
    of_u2 = {**REFUND, "ledger_id": ok(desk.post("credits/charge", {**CHARGE, "user_id": "u2"}))["ledger_id"]}
    refused(desk.post("credits/refund", of_u2, by="u1-ops"), 403, "0305", "refund_not_allowed")
    of_u1 = {**REFUND, "ledger_id": ok(desk.post("credits/charge", {**CHARGE, "task_id": "t9"}))["ledger_id"]}
    ok(desk.post("credits/refund", of_u1, by="u1-ops"))

    shared = make_desk(policy={"payer": "tenant"})
    shared.grant(10, owner="pool")
    of_u2["ledger_id"] = ok(shared.post("credits/charge", {**CHARGE, "user_id": "u2"}))["ledger_id"]
    refused(shared.post("credits/refund", of_u2, by="u1-ops"), 403, "0305", "refund_not_allowed")
    refused(shared.post("credits/refund", {**REFUND, "task_id": "t1"}, by="u1-ops"), 403, "0305", "refund_not_allowed")


def test_a_refund_names_one_of_two(desk: Desk) -> None:
    for more in ({}, {"task_id": "t1", "ledger_id": "led_x"}, {"task_id": None}):
        refused(desk.post("credits/refund", {**REFUND, **more}, by="ops"), 422, "42201", "payload_invalid")


def test_what_is_forfeited(make_desk: MakeDesk) -> None:
    desk = make_desk(policy={"expired_refund": "forfeit"})
    desk.grant(4, expires_at="2026-03-10T13:00:00.000000Z")
    charged = ok(desk.post("credits/charge", CHARGE))
    desk.pass_seconds(3_600)
    answer = ok(desk.post("credits/refund", {**REFUND, "ledger_id": charged["ledger_id"]}, by="ops"))
    assert (answer["change"], answer["forfeited"]) == (0, 4)
