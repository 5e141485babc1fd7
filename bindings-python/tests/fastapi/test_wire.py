"""What stands around every call: bodies, headers, the framework's own failures, options of the router."""

from __future__ import annotations

from typing import Any

import pytest
from desk import Desk, MakeDesk, ok, refused, who_calls
from fastapi import APIRouter, FastAPI
from starlette.testclient import TestClient
from test_credits import CHARGE, ESTIMATE, HOLD, commit

import drawdown
from drawdown import AsyncEngine
from drawdown.fastapi import Identity, router

pytest_plugins = ["desk"]

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"[]",
        b"null",
        b'"text"',
        b"NaN",
        b'{"tenant_id": "acme", "tenant_id": "other"}',
        b'{"tenant_id": "\\ud800"}',
        b'{"tenant_id": "\xff"}',
        b'{"amount": 1' + b"0" * 5_000 + b"}",
        b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
    ],
)
def test_a_body_that_is_no_object(desk: Desk, body: bytes) -> None:
    answer = refused(desk.send("POST", "credits/charge", content=body, headers=JSON), 422, "42201", "payload_invalid")
    assert answer["details"]["errors"]


def test_every_mistake_is_listed(desk: Desk) -> None:
    answer = refused(
        desk.post("credits/charge", {"amount": 1, "user_id": 7, "more": 1}), 422, "42201", "payload_invalid"
    )
    paths = {mistake["path"]: mistake["message"] for mistake in answer["details"]["errors"]}
    assert set(paths) == {"tenant_id", "template_id", "priority", "reason", "user_id", "more"}
    assert paths["tenant_id"] == "it is missing"


def test_queries_are_strict_too(desk: Desk) -> None:
    answer = refused(
        desk.get("credits/ledger", tenant_id="acme", limit=1_001, kind="x", more=1), 422, "42201", "payload_invalid"
    )
    assert {mistake["path"] for mistake in answer["details"]["errors"]} == {"limit", "kind", "more"}
    for field, value in (("from", "2026-01-01T00:00:00"), ("to", "yesterday"), ("cursor", "x")):
        answer = refused(
            desk.get("credits/ledger", tenant_id="acme", **{field: value}), 422, "42201", "payload_invalid"
        )
        assert answer["details"]["field"] == field


def test_a_field_of_a_query_stands_once(desk: Desk) -> None:
    answer = refused(desk.send("GET", "credits/balance?tenant_id=acme&tenant_id=acme"), 422, "42201", "payload_invalid")
    assert answer["details"]["errors"] == [{"path": "tenant_id", "message": "it stands twice"}]


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_a_body_that_is_no_json(desk: Desk, media_type: str) -> None:
    response = desk.send("POST", "credits/charge", content=b"{}", headers={"content-type": media_type})
    refused(response, 415, "41500", "media_type_unsupported")


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=utf-8", "Application/JSON", "application/problem+json"]
)
def test_kinds_of_json(desk: Desk, media_type: str) -> None:
    response = desk.send("POST", "credits/charge", content=b"{}", headers={"content-type": media_type})
    refused(response, 422, "42201", "payload_invalid")


@pytest.mark.parametrize("path", ["credits/nothing", "nothing%0A", "credits/charge/", "licenses", ""])
def test_unknown_paths(desk: Desk, path: str) -> None:
    refused(desk.get(path), 404, "40400", "not_found")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "credits/charge"), ("POST", "credits/ledger"), ("DELETE", "tasks/t1")]
)
def test_methods(desk: Desk, method: str, path: str) -> None:
    response = desk.send(method, path)
    refused(response, 405, "40500", "method_not_allowed")
    assert response.headers["allow"] == ("POST" if method == "GET" else "GET")


def test_other_routes_of_the_application_are_left_alone() -> None:
    more = APIRouter(prefix="/api/v1")

    @more.get("/credits/more")
    def _more() -> str:
        return "more"

    app = FastAPI()
    app.include_router(router(AsyncEngine("memory://"), insecure=True))
    app.include_router(more)
    client = TestClient(app)
    assert client.get("/api/v1/credits/more").json() == "more"
    assert client.get("/elsewhere").json() == {"detail": "Not Found"}


@pytest.mark.parametrize("given", ["abc", "x" * 128, "!~"])
def test_a_request_id_goes_in_and_out(desk: Desk, given: str) -> None:
    response = desk.post("credits/estimate", ESTIMATE, headers={"x-request-id": given})
    assert response.headers["x-request-id"] == given
    assert desk.audited(ok(response)["audit_id"]).request_id == given
    assert refused(desk.get("nowhere", headers={}), 404, "40400", "not_found")["request_id"].startswith("req_")
    response = desk.send("GET", "tasks/t1", headers={"x-request-id": given})
    assert refused(response, 404, "40401", "task_not_found")["request_id"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "\u00e9".encode("latin-1").decode("latin-1")])
def test_a_request_id_that_is_none_is_replaced(desk: Desk, given: str) -> None:
    headers = [(b"authorization", b"Bearer web"), (b"x-request-id", given.encode("latin-1"))]
    response = desk.client.request("GET", "/api/v1/tasks/t1", headers=headers)
    assert response.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "a\tb"])
@pytest.mark.parametrize("path", ["credits/estimate", "credits/charge", "licenses/check"])
def test_a_key_that_is_none(desk: Desk, path: str, key: str) -> None:
    answer = refused(desk.post(path, {}, key=key), 422, "42201", "payload_invalid")
    assert answer["details"]["field"] == "X-Idempotency-Key"


def test_keys_can_be_required(make_desk: MakeDesk) -> None:
    desk = make_desk(require_idempotency_key=True)
    for path in (
        "credits/estimate",
        "credits/pre-deduct",
        "credits/commit",
        "credits/cancel",
        "credits/charge",
        "credits/refund",
    ):
        answer = refused(desk.post(path, {}), 422, "42201", "payload_invalid")
        assert answer["details"]["field"] == "X-Idempotency-Key"
    ok(desk.post("credits/estimate", ESTIMATE, key="x" * 255))
    refused(desk.get("tasks/t1"), 404, "40401", "task_not_found")


def test_retry_after_is_in_whole_seconds(make_desk: MakeDesk) -> None:
    desk = make_desk(policy={"risk": {"default": {"daily_count_cap": 1}}})
    desk.clock.set("2199-12-31T23:59:50.000000Z")
    desk.grant(100)
    ok(desk.post("credits/charge", CHARGE))
    response = desk.post("credits/charge", CHARGE)
    refused(response, 429, "2901", "cap_exceeded")
    assert int(response.headers["retry-after"]) > 5_000_000_000


@pytest.mark.parametrize("limit", [1, 200])
def test_the_largest_body(make_desk: MakeDesk, limit: int) -> None:
    desk = make_desk(max_body_bytes=limit)
    refused(desk.post("credits/charge", CHARGE | {"reason": "x" * 300}), 413, "42201", "payload_too_large")
    chunks = (b"x" * 50 for _ in range(10))
    headers = {"authorization": "Bearer web", **JSON}
    refused(
        desk.client.post("/api/v1/credits/charge", content=chunks, headers=headers), 413, "42201", "payload_too_large"
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"authenticate": who_calls, "insecure": True},
        {"authenticate": who_calls, "heartbeat_seconds": 0},
        {"authenticate": who_calls, "heartbeat_seconds": float("nan")},
        {"authenticate": who_calls, "codes": "medium"},
        {"authenticate": who_calls, "amounts": "float"},
        {"authenticate": who_calls, "max_body_bytes": 0},
        {"authenticate": who_calls, "over_capture": "maybe"},
        {"authenticate": who_calls, "stream_secret": b"short"},
    ],
)
def test_a_router_that_is_not_made(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="`"):
        router(AsyncEngine("memory://"), **options)


def test_a_length_that_is_none(desk: Desk) -> None:
    headers = {"content-length": "9" * 5_000, **JSON}
    response = desk.send("POST", "credits/charge", content=b"{}", headers=headers)
    refused(response, 413, "42201", "payload_too_large")


def test_a_tenant_that_is_not_the_callers_reads_as_not_found(desk: Desk) -> None:
    desk.grant(100)
    held = ok(desk.post("credits/pre-deduct", HOLD))
    for path, body in (("credits/estimate", ESTIMATE), ("credits/charge", CHARGE), ("credits/pre-deduct", HOLD)):
        refused(desk.post(path, body, by="other"), 404, "40401", "account_not_found")
    refused(desk.post("credits/commit", commit(held, actual_cost=1), by="other"), 404, "40401", "pre_deduct_not_found")
    own = commit(held, actual_cost=1) | {"tenant_id": "other"}
    refused(desk.post("credits/commit", own, by="other"), 404, "40401", "pre_deduct_not_found")
    refused(desk.get("tasks/t1", by="other"), 404, "40401", "task_not_found")
    refused(desk.get("tasks/t1", by="other", tenant_id="acme"), 404, "40401", "task_not_found")
    refused(desk.get("credits/balance", by="other", tenant_id="acme"), 404, "40401", "account_not_found")


def test_a_caller_bound_to_a_user_reaches_no_other(desk: Desk) -> None:
    desk.grant(100)
    desk.grant(7, owner="user:u2")
    held = ok(desk.post("credits/pre-deduct", HOLD | {"user_id": "u2", "estimated_cost": 1}))
    refused(desk.get("credits/balance", by="u1", tenant_id="acme", user_id="u2"), 404, "40401", "account_not_found")
    refused(desk.post("credits/charge", CHARGE | {"user_id": "u2"}, by="u1"), 404, "40401", "account_not_found")
    assert ok(desk.get("credits/balance", by="u1", tenant_id="acme"))["balance"] == 100
    refused(desk.get("tasks/t1", by="u1"), 404, "40401", "task_not_found")
    refused(desk.get("tasks/t1/events", by="u1"), 404, "40401", "task_not_found")
    body = {"pre_deduct_id": held["pre_deduct_id"], "tenant_id": "acme", "reason": "x"}
    refused(desk.post("credits/cancel", body, by="u1"), 404, "40401", "pre_deduct_not_found")
    ok(desk.post("credits/pre-deduct", HOLD | {"task_id": "t2", "user_id": None}, by="u1"))
    assert ok(desk.get("tasks/t2", by="u1"))["status"] == "accepted"


def test_a_gateway_names_the_tenant(desk: Desk) -> None:
    desk.grant(100)
    ok(desk.post("credits/pre-deduct", HOLD, by="gateway"))
    assert ok(desk.get("tasks/t1", by="gateway", tenant_id="acme"))["status"] == "accepted"
    answer = refused(desk.get("tasks/t1", by="gateway"), 422, "42201", "payload_invalid")
    assert answer["details"]["field"] == "tenant_id"


def test_an_insecure_router_lets_anyone_do_anything(make_desk: MakeDesk) -> None:
    desk = make_desk(insecure=True)
    desk.grant(100)
    charged = ok(desk.post("credits/charge", CHARGE, by=None))
    body = {"tenant_id": "acme", "user_id": "u1", "ledger_id": charged["ledger_id"], "reason": "r", "operator": "me"}
    assert ok(desk.post("credits/refund", body, by=None))["change"] == 4


def test_a_hook_may_raise_any_denial(make_desk: MakeDesk) -> None:
    def hook(_: Any) -> Identity:
        raise drawdown.ApiKeyInvalid("the key was revoked", details={"key": "k1"})

    response = make_desk(authenticate=hook).get("tasks/t1")
    assert refused(response, 401, "40101", "api_key_invalid")["details"] == {"key": "k1"}
    assert response.headers["www-authenticate"] == "Bearer"


def test_a_hook_may_be_async_and_raise(make_desk: MakeDesk) -> None:
    from fastapi import HTTPException

    async def hook(connection: Any) -> Identity:
        match connection.headers.get("authorization"):
            case "Bearer web":
                return Identity(tenant="acme")
            case "Bearer ops":
                raise HTTPException(403, "Not you.")
            case _:
                raise HTTPException(401, headers={"WWW-Authenticate": "Custom"})

    desk = make_desk(authenticate=hook)
    ok(desk.post("credits/estimate", ESTIMATE))
    assert refused(desk.post("credits/estimate", ESTIMATE, by="ops"), 403, "40300", "forbidden")["message"] == "not you"
    response = desk.post("credits/estimate", ESTIMATE, by=None)
    refused(response, 401, "40101", "unauthenticated")
    assert response.headers["www-authenticate"] == "Custom"
