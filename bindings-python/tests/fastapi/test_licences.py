"""The check of licences: every reason, and what a strict router makes of them."""

from __future__ import annotations

from typing import Any

import pytest
from desk import Desk, MakeDesk, ok, refused
from test_credits import CHARGE

pytest_plugins = ["desk"]

CHECK = {"tenant_id": "acme", "template_id": "poster", "user_id": "u1", "channel": "creator", "session_id": "s-1"}
PAST, FUTURE = "2026-03-01T00:00:00.000000Z", "2026-04-01T00:00:00.000000Z"


def licence(desk: Desk, **terms: Any) -> None:
    """Sets a licence."""
    desk.do("set_licence", licence_id="l1", template_id="poster", operator="ops", **terms)


def test_valid(desk: Desk) -> None:
    licence(desk, total_quota=5, daily_quota=2, valid_until=FUTURE, policy_tag="tag")
    answer = ok(desk.post("licenses/check", CHECK))
    audit_id = answer.pop("audit_id")
    assert answer == {
        "is_authorized": True,
        "reason_code": "valid",
        "remaining_quota": 5,
        "daily_remaining": 2,
        "valid_until": FUTURE,
        "policy_tag": "tag",
        "requirements": [],
    }
    record = desk.audited(audit_id)
    assert (record.kind, record.actor, record.policy_tag) == ("licence_check", "web", "tag")
    assert record.details["session_id"] == "s-1"


def test_a_licence_of_one_user_is_no_other_users(desk: Desk) -> None:
    licence(desk, user_id="u1")
    assert ok(desk.post("licenses/check", CHECK))["is_authorized"] is True
    other = ok(desk.post("licenses/check", CHECK | {"user_id": "u2"}))
    assert (other["is_authorized"], other["requirements"]) == (False, ["license"])


def test_without_limits(desk: Desk) -> None:
    licence(desk)
    answer = ok(
        desk.post("licenses/check", {name: CHECK[name] for name in CHECK if name not in ("session_id", "user_id")})
    )
    assert (answer["remaining_quota"], answer["daily_remaining"], answer["valid_until"]) == (-1, -1, None)


@pytest.mark.parametrize(
    ("terms", "reason", "requirements"),
    [
        ({"valid_until": PAST}, "expired", []),
        ({"required_documents": ["permit"]}, "missing_documents", ["permit"]),
        ({"valid_from": FUTURE}, "missing_documents", ["valid_from"]),
        ({"daily_quota": 0}, "daily_quota_exceeded", []),
        ({"total_quota": 0}, "daily_quota_exceeded", []),
        ({"channels": ["viewer"]}, "missing_documents", ["license"]),
        (None, "missing_documents", ["license"]),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_refusals(
    make_desk: MakeDesk, terms: dict[str, Any] | None, reason: str, requirements: list[str], strict: bool
) -> None:
    desk = make_desk(strict_licences=strict)
    if terms is not None:
        licence(desk, **terms)
    response = desk.post("licenses/check", CHECK)
    if strict and reason == "daily_quota_exceeded":
        answer = refused(response, 403, "40303", "daily_quota_exceeded")
        assert answer["retryable"] is False
    else:
        answer = ok(response)
        assert (answer["is_authorized"], answer["reason_code"]) == (False, reason)
        assert answer["requirements"] == requirements
    assert desk.audited(answer["audit_id"]).reason_code == reason


def test_used_up_for_today(make_desk: MakeDesk) -> None:
    desk = make_desk(strict_licences=True, policy={"licence_required": True})
    desk.grant(10)
    licence(desk, daily_quota=1)
    ok(desk.post("credits/charge", CHARGE))
    answer = refused(desk.post("licenses/check", CHECK), 403, "40303", "daily_quota_exceeded")
    assert (answer["retryable"], answer["retry_at"]) == (True, "2026-03-11T00:00:00.000000Z")


@pytest.mark.parametrize("strict", [False, True])
def test_revoked(make_desk: MakeDesk, strict: bool) -> None:
    desk = make_desk(strict_licences=strict)
    licence(desk, policy_tag="tag")
    desk.do("revoke_licence", licence_id="l1", operator="ops", reason="misuse")
    response = desk.post("licenses/check", CHECK)
    if strict:
        answer = refused(response, 403, "40302", "authorization_revoked")
    else:
        answer = ok(response)
        assert answer["reason_code"] == "revoked"
    assert answer["policy_tag"] == "tag"
    assert desk.audited(answer["audit_id"]).outcome == "refused"


def test_used_up_in_all_told_apart(make_desk: MakeDesk) -> None:
    policy = {"tells_quota_exceeded": True}
    desk = make_desk(policy=policy)
    licence(desk, total_quota=0)
    assert ok(desk.post("licenses/check", CHECK))["reason_code"] == "quota_exceeded"
    desk = make_desk(policy=policy, strict_licences=True)
    licence(desk, total_quota=0)
    refused(desk.post("licenses/check", CHECK), 403, "40303", "quota_exceeded")


def test_a_check_uses_nothing_up(make_desk: MakeDesk) -> None:
    desk = make_desk(policy={"licence_required": True})
    desk.grant(10)
    licence(desk, total_quota=1)
    for _ in range(3):
        assert ok(desk.post("licenses/check", CHECK))["remaining_quota"] == 1
    ok(desk.post("credits/charge", CHARGE))
    assert ok(desk.post("licenses/check", CHECK))["remaining_quota"] == 0


def test_a_template_without_a_licence_has_the_tag_of_its_prices(desk: Desk) -> None:
    assert ok(desk.post("licenses/check", CHECK))["policy_tag"] == "brand"
