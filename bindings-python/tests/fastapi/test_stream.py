"""The stream, over a real server: Server-Sent Events and WebSocket, resumed, with heartbeats."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import httpx
import pytest
from desk import Serve, refused, who_calls
from fastapi import FastAPI
from test_credits import CHARGE
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from drawdown import AsyncEngine
from drawdown.fastapi import router

pytest_plugins = ["desk"]

WEB = {"authorization": "Bearer web"}
GRANT = {"type": "purchased", "amount": 100}


@contextmanager
def listen(base: str, headers: dict[str, str] = WEB, **query: str) -> Iterator[Iterator[dict[str, str]]]:
    """Server-Sent Events as they come, each by its fields."""
    with (
        httpx.Client(timeout=10) as client,
        client.stream("GET", f"http://{base}/tasks/stream", headers=headers, params=query) as response,
    ):
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-request-id"].startswith("req_")

        def events() -> Iterator[dict[str, str]]:
            fields: dict[str, str] = {}
            for line in response.iter_lines():
                name, _, value = line.partition(": ")
                if name:
                    fields[name] = value
                elif "event" in fields:
                    yield fields
                if not name:
                    fields = {}

        yield events()


def until(events: Iterator[dict[str, str]], kind: str) -> list[dict[str, str]]:
    """The events up to this one, heartbeats apart."""
    found = []
    for event in events:
        if event["event"] != "system.heartbeat":
            found.append(event)
        if event["event"] == kind:
            break
    return found


def test_events_as_they_happen(serve: Serve) -> None:
    server, base = serve()
    server.do("grant_credit", owner="user:u0", **GRANT)
    with listen(base) as events:
        first = next(events)
        assert first["event"] == "system.heartbeat"
        assert json.loads(first["data"])["id"] == first["id"]
        server.do("grant_credit", owner="user:u1", **GRANT)
        placed = server.do("place_hold", user_id="u1", amount="30.5", task_id="t1")
        server.do("advance_task", task_id="t1", stage="rendering", progress=40)
        server.do("capture_hold", hold_id=placed.hold_id, actual_cost=10)
        found = until(events, "task.completed")
    kinds = [event["event"] for event in found]
    assert kinds == [
        "credits.updated", "credits.updated", "task.accepted", "task.running", "credits.updated", "task.completed",
    ]  # fmt: skip
    accepted = json.loads(found[2]["data"], parse_float=Decimal)
    assert (accepted["event"], accepted["id"], accepted["tenant_id"], accepted["task_id"]) == (
        "task.accepted", found[2]["id"], "acme", "t1",
    )  # fmt: skip
    assert set(accepted["data"]) == {"task_id", "status", "stage", "progress", "credits_delta", "ts", "next_eta"}
    assert accepted["data"]["credits_delta"] == Decimal("-30.5")
    updated = json.loads(found[1]["data"], parse_float=Decimal)["data"]
    assert (updated["change"], updated["balance_after"], updated["currency"]) == (
        Decimal("-30.5"),
        Decimal("69.5"),
        "credit",
    )
    assert updated["entries"][0]["pre_deduct_id"] == placed.hold_id


@pytest.mark.parametrize("by_header", [True, False])
def test_a_stream_resumes_after_any_event(serve: Serve, by_header: bool) -> None:
    server, base = serve()
    with listen(base) as events:
        begin = next(events)["id"]
    server.do("grant_credit", owner="user:u1", **GRANT)
    placed = server.do("place_hold", user_id="u1", amount=30, task_id="t1")
    server.do("capture_hold", hold_id=placed.hold_id, actual_cost=10)
    with listen(base, last_event_id=begin) as events:
        whole = until(events, "task.completed")
    assert len(whole) == 5
    for number, event in enumerate(whole[:-1]):
        resumed = {"headers": {**WEB, "last-event-id": event["id"]}} if by_header else {"last_event_id": event["id"]}
        with listen(base, **resumed) as events:
            assert until(events, "task.completed") == whole[number + 1 :]


def test_heartbeats_go_on_and_can_be_resumed_from(serve: Serve) -> None:
    server, base = serve(heartbeat_seconds=0.2)
    with listen(base) as events:
        begun = time.monotonic()
        ids = [next(events)["id"] for _ in range(4)]
        assert 0.5 < time.monotonic() - begun < 3
        assert ids == [ids[0]] * 4
        server.do("grant_credit", tenant_id="other", owner="user:u1", **GRANT)
        server.do("grant_credit", owner="user:u1", **GRANT)
        updated = until(events, "credits.updated")[-1]
        assert updated["id"] > ids[0]


def test_a_stream_is_of_its_tenant_and_user(serve: Serve) -> None:
    server, base = serve(heartbeat_seconds=0.2)
    with listen(base, {"authorization": "Bearer u1"}) as events:
        next(events)
        server.do("grant_credit", tenant_id="other", owner="user:u1", **GRANT)
        server.do("grant_credit", owner="user:u2", **GRANT)
        server.do("grant_credit", owner="user:u1", type="purchased", amount=7)
        [event] = until(events, "credits.updated")
        told = json.loads(event["data"])
        assert (told["tenant_id"], told["data"]["owner"], told["data"]["change"]) == ("acme", "user:u1", 7)


def test_a_stream_of_a_tenant_tells_nothing_of_others(serve: Serve) -> None:
    server, base = serve(heartbeat_seconds=0.2)
    with listen(base) as events:
        begin = next(events)["id"]
        for number in range(3):
            server.do("grant_credit", tenant_id="other", owner="pool", **GRANT)
            server.do("grant_credit", owner="pool", type="purchased", amount=number + 1)
            [event] = until(events, "credits.updated")
            assert json.loads(event["data"])["data"]["change"] == number + 1
    with listen(base, last_event_id=begin) as events:
        changes = [json.loads(until(events, "credits.updated")[0]["data"])["data"]["change"] for _ in range(3)]
    assert changes == [1, 2, 3]


def test_a_stream_tells_no_bands_of_balances(serve: Serve) -> None:
    server, base = serve()
    server.do("grant_credit", owner="user:u1", **GRANT)
    below = {"below": "99", "recovered_from": "99"}
    server.do("set_low_balance", owner="user:u1", low_balance=below, operator="ops", reason="tell me")
    with listen(base) as events:
        next(events)
        crossed = server.do("charge", user_id="u1", amount=4)
        assert [event.kind for event in server.do("events").events][-1] == "balance.low"
        server.do("charge", user_id="u1", amount=5)
        told = [until(events, "credits.updated") for _ in range(2)]
    assert [[event["event"] for event in some] for some in told] == [["credits.updated"]] * 2
    assert json.loads(told[0][0]["data"])["data"]["entries"][0]["ledger_id"] == crossed.ledger_id


def test_a_user_is_not_told_of_others_in_the_same_account(serve: Serve) -> None:
    server, base = serve(policy={"payer": "tenant"})
    server.do("grant_credit", owner="pool", **GRANT)
    server.do("place_hold", user_id="u2", amount=5, task_id="t2", expire_in=1)
    time.sleep(1.1)
    with listen(base, {"authorization": "Bearer u1"}) as events:
        next(events)
        # It books the expiry of the other user's hold as well.
        server.do("charge", user_id="u1", amount=1)
        [event] = until(events, "credits.updated")
    entries = json.loads(event["data"])["data"]["entries"]
    assert [(entry["kind"], entry["user_id"]) for entry in entries] == [("charge", "u1")]


def test_a_stream_ends_with_the_engine(serve: Serve) -> None:
    server, base = serve()
    with (
        listen(base) as events,
        connect(f"ws://{base}/tasks/stream?token=web") as socket,
    ):
        next(events)
        socket.recv(5)
        server.close()
        assert list(events) == []
        with pytest.raises(ConnectionClosedError) as caught:
            socket.recv(5)
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4503, "ledger_service_unavailable")


def test_a_refusal_is_an_alert(serve: Serve) -> None:
    server, base = serve()
    server.do("grant_credit", owner="user:u1", **GRANT)
    server.do("block", target={"user": "u1"}, operator="ops", reason="fraud")
    with listen(base) as events:
        next(events)
        answer = httpx.post(f"http://{base}/credits/charge", json=CHARGE, headers=WEB)
        assert answer.status_code == 403
        [alert] = until(events, "compliance.alert")
    assert json.loads(alert["data"])["data"]["rule"] == "refusal"


def test_a_token_of_the_query(serve: Serve) -> None:
    _, base = serve()
    token = httpx.get(f"http://{base}/tasks/stream/mock", headers=WEB).json()["token"]
    for good in (token, "web"):
        with listen(base, {}, token=good) as events:
            assert json.loads(next(events)["data"])["tenant_id"] == "acme"
    for bad in ("nobody", token[:-3] + "abc", "dst1_", "dst1_e30.AAAA", "", "\u00e9"):
        response = httpx.get(f"http://{base}/tasks/stream", params={"token": bad})
        refused(response, 401, "40101", "unauthenticated")
    # A token is for the stream alone.
    refused(httpx.get(f"http://{base}/tasks/t1", params={"token": token}), 401, "40101", "unauthenticated")
    refused(
        httpx.get(f"http://{base}/tasks/t1", headers={"authorization": f"Bearer {token}"}),
        401,
        "40101",
        "unauthenticated",
    )


def test_a_token_expires(serve: Serve) -> None:
    _, base = serve(stream_token_seconds=1)
    token = httpx.get(f"http://{base}/tasks/stream/mock", headers=WEB).json()["token"]
    time.sleep(1.1)
    refused(httpx.get(f"http://{base}/tasks/stream", params={"token": token}), 401, "40101", "unauthenticated")


def test_processes_share_a_secret(serve: Serve) -> None:
    _, one = serve(stream_secret=b"s" * 32)
    _, two = serve(stream_secret=b"s" * 32)
    _, third = serve()
    token = httpx.get(f"http://{one}/tasks/stream/mock", headers=WEB).json()["token"]
    with listen(two, {}, token=token) as events:
        assert next(events)["event"] == "system.heartbeat"
    refused(httpx.get(f"http://{third}/tasks/stream", params={"token": token}), 401, "40101", "unauthenticated")


@pytest.mark.parametrize("cursor", ["x", "evc1_00000000000000ffffff", "1"])
def test_a_cursor_that_is_none_of_a_stream(serve: Serve, cursor: str) -> None:
    _, base = serve()
    response = httpx.get(f"http://{base}/tasks/stream", headers={**WEB, "last-event-id": cursor})
    assert refused(response, 422, "42201", "payload_invalid")["details"]["field"] == "last_event_id"


def test_by_websocket(serve: Serve) -> None:
    server, base = serve(heartbeat_seconds=0.2)
    headers = {**WEB, "x-request-id": "r-1"}
    with connect(f"ws://{base}/tasks/stream", additional_headers=headers) as socket:
        assert socket.response is not None and socket.response.headers["x-request-id"] == "r-1"
        first = json.loads(socket.recv(5))
        assert first["event"] == "system.heartbeat"
        socket.send("what a client says is not read")
        assert json.loads(socket.recv(5))["event"] == "system.heartbeat"
        server.do("grant_credit", owner="user:u1", **GRANT)
        while (message := json.loads(socket.recv(5)))["event"] == "system.heartbeat":
            pass
        assert (message["event"], message["data"]["change"]) == ("credits.updated", 100)
    with connect(f"ws://{base}/tasks/stream?token=web&last_event_id={first['id']}") as socket:
        assert json.loads(socket.recv(5)) == message


@pytest.mark.parametrize(
    ("query", "status", "error"),
    [
        ("", 401, "unauthenticated"),
        ("?token=nobody", 401, "unauthenticated"),
        ("?token=web&last_event_id=x", 422, "payload_invalid"),
        ("?token=web&more=1", 422, "payload_invalid"),
        ("?token=web&tenant_id=acme&tenant_id=acme", 422, "payload_invalid"),
        ("?token=web&tenant_id=other", 404, "task_not_found"),
    ],
)
def test_a_websocket_that_is_refused(serve: Serve, query: str, status: int, error: str) -> None:
    _, base = serve()
    with pytest.raises(InvalidStatus) as caught, connect(f"ws://{base}/tasks/stream{query}"):
        pass
    response = caught.value.response
    assert (response.status_code, json.loads(response.body or b"")["error"]) == (status, error)


def test_a_server_that_cannot_answer_a_handshake_closes() -> None:
    app = FastAPI()
    app.include_router(router(AsyncEngine("memory://"), authenticate=who_calls))
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    path = "/api/v1/tasks/stream"
    scope = {"type": "websocket", "path": path, "headers": [], "query_string": b"token=nobody", "subprotocols": []}
    asyncio.run(app(scope, receive, send))
    assert sent == [{"type": "websocket.close", "code": 4401, "reason": "unauthenticated"}]


def test_whoever_goes_leaves_nothing_behind(serve: Serve) -> None:
    server, base = serve(heartbeat_seconds=0.1)
    assert server.loop is not None

    def tasks() -> int:
        async def count() -> int:
            return len(asyncio.all_tasks())

        assert server.loop is not None
        return asyncio.run_coroutine_threadsafe(count(), server.loop).result(5)

    before = tasks()
    for _ in range(5):
        with listen(base) as events:
            next(events)
        with connect(f"ws://{base}/tasks/stream?token=web") as socket:
            socket.recv(5)
    until = time.monotonic() + 5
    while tasks() > before and time.monotonic() < until:
        time.sleep(0.05)
    assert tasks() <= before
