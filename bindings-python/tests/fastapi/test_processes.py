"""The stream where the service is restarted, and where several processes serve: all that it needs is in the books."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest
from desk import ok, refused
from served import WORKER
from test_credits import CHARGE, HOLD, commit
from test_stream import WEB, listen, until
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from drawdown import Engine, ManualClock

pytest_plugins = ["desk"]

HERE = Path(__file__).parent


class Processes:
    """A service over one file, which can be stopped and started again at the same place."""

    def __init__(self, books: str, *, workers: int = 1) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.base = f"127.0.0.1:{self.port}/api/v1"
        self.workers = workers
        self.environment = {**os.environ, "BOOKS": books}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        options = ["--port", str(self.port), "--workers", str(self.workers), "--app-dir", str(HERE), "--factory"]
        more = ["--log-level", "error", "--ws", "websockets-sansio", "--timeout-graceful-shutdown", "1"]
        command = [sys.executable, "-m", "uvicorn", *options, *more, "served:create"]
        self.process = subprocess.Popen(command, env=self.environment)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            assert self.process.poll() is None, "the service ended"
            try:
                httpx.get(f"http://{self.base}/nothing")
                return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError("the service did not begin")

    def stop(self) -> None:
        """Stops it, as a host does that deploys anew."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(15)
            self.process = None

    def post(self, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        """Posts by a connection of its own."""
        return httpx.post(f"http://{self.base}/{path}", json=body, headers={**WEB, **headers}, timeout=20)


Begin = Callable[..., Processes]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Starts services over the same file, in which a user has credit."""
    books = f"sqlite://{tmp_path}/books.db"
    with ExitStack() as stack:

        def start(**options: Any) -> Processes:
            with Engine(books) as engine:
                engine.grant_credit(tenant_id="acme", owner="user:u1", type="purchased", amount=100)
            service = Processes(books, **options)
            stack.callback(service.stop)
            service.start()
            return service

        yield start


def test_a_stream_goes_on_where_it_was_after_a_restart(begin: Begin, tmp_path: Path) -> None:
    service = begin()
    with listen(service.base) as events:
        first = next(events)["id"]
        held = ok(service.post("credits/pre-deduct", HOLD))
        seen = until(events, "task.accepted")
        service.stop()
        with pytest.raises(httpx.RemoteProtocolError):
            next(events)
    # Meanwhile others go on, at the same file.
    with Engine(f"sqlite://{tmp_path}/books.db") as engine:
        engine.advance_task(tenant_id="acme", task_id="t1", stage="rendering", progress=40)
    service.start()
    ok(service.post("credits/commit", commit(held, actual_cost=10)))
    with listen(service.base, {**WEB, "last-event-id": seen[-1]["id"]}) as events:
        missed = until(events, "task.completed")
    assert [event["event"] for event in missed] == ["task.running", "credits.updated", "task.completed"]
    with listen(service.base, {**WEB, "last-event-id": first}) as events:
        assert until(events, "task.completed") == seen + missed


def test_an_expired_cursor_is_refused_with_the_oldest_that_can_be_used(begin: Begin, tmp_path: Path) -> None:
    clock = ManualClock(datetime.now(timezone.utc) - timedelta(hours=2))
    with Engine(f"sqlite://{tmp_path}/books.db", clock=clock) as engine:
        for _ in range(2):
            engine.grant_credit(tenant_id="acme", owner="user:u1", type="purchased", amount=100)
        [first, _] = engine.events(tenant_id="acme", from_="oldest").events
    service = begin()
    ok(service.post("credits/charge", CHARGE))
    answer = httpx.get(f"http://{service.base}/tasks/stream", headers={**WEB, "last-event-id": first.cursor})
    oldest = refused(answer, 410, "41001", "cursor_expired")["details"]["oldest"]
    socket = f"ws://{service.base}/tasks/stream?token=web&last_event_id={first.cursor}"
    with pytest.raises(InvalidStatus) as caught, connect(socket):
        pass
    refusal = json.loads(caught.value.response.body or b"")
    assert (refusal["error"], refusal["details"]["oldest"]) == ("cursor_expired", oldest)
    with listen(service.base, {**WEB, "last-event-id": oldest}) as events:
        told = [json.loads(event["data"])["data"]["change"] for event in (next(events), next(events))]
    assert told == [100, -4]


def test_a_cursor_of_other_books_is_refused(begin: Begin) -> None:
    service = begin()
    # Well-formed, but nothing has come so far in these books.
    unknown = "evc1_00000000ffff00000000"
    answer = httpx.get(f"http://{service.base}/tasks/stream", headers={**WEB, "last-event-id": unknown})
    assert refused(answer, 422, "42201", "payload_invalid")["details"]["field"] == "last_event_id"


def test_a_stream_of_one_worker_tells_what_another_did(begin: Begin) -> None:
    service = begin(workers=2)
    token = httpx.get(f"http://{service.base}/tasks/stream/mock", headers=WEB).json()["token"]
    with (
        httpx.Client(timeout=20) as client,
        client.stream("GET", f"http://{service.base}/tasks/stream", params={"token": token}) as response,
    ):
        assert response.status_code == 200, response.read()
        here, lines = response.headers[WORKER], response.iter_lines()
        assert next(line for line in lines if line.startswith("event: ")) == "event: system.heartbeat"
        charged = 0
        for _ in range(200):
            answer = service.post("credits/charge", {**CHARGE, "amount": "0.01"})
            ok(answer)
            charged += 1
            if answer.headers[WORKER] != here:
                break
        else:
            pytest.fail("all connections went to one worker")
        begun = time.monotonic()
        told = 0
        while told < charged:
            told += next(lines) == "event: credits.updated"
        assert time.monotonic() - begun < 5
