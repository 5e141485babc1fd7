"""A desk at which the platform API is asked, and a service that answers: fixtures of these tests.

They are a plugin of each test file, because two files named `conftest` would hide one another.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from hypothesis.configuration import set_hypothesis_home_dir
from starlette.requests import HTTPConnection
from starlette.testclient import TestClient

import drawdown
from drawdown import AsyncEngine
from drawdown._native import ManualClock
from drawdown.fastapi import Identity, router

# What it remembers names folders of this machine.
set_hypothesis_home_dir(Path(__file__).parents[3] / "target" / "hypothesis")

NOW = "2026-03-10T12:00:00Z"

PRICES = """
version: 20250918
effective_at: 2025-09-18T00:00:00Z
unit: credit
priorities:
  standard: {eta_minutes: 30}
  accelerated: {multiplier: 1.5, eta_minutes: 10}
resolutions: {sd: 0.8, hd: 1, 4k: 2.5}
templates:
  poster: {base: 10, policy_tag: brand}
  flyer: {base: 0.000001}
extras:
  no_watermark: {flat: 3}
  voice: {per_unit: 0.25}
  style: {options: {calm: {flat: 1}, wild: {multiplier: 2}}}
"""

USERS = {
    "web": Identity(tenant="acme", actor="web"),
    "ops": Identity(tenant="acme", actor="ops", roles=frozenset({"operator"})),
    "sure": Identity(tenant="acme", actor="web", verified=True),
    "u1": Identity(tenant="acme", actor="u1", user_id="u1"),
    "other": Identity(tenant="other", actor="other", roles=frozenset({"operator"})),
    "gateway": Identity(tenant=None, actor="gateway", roles=frozenset({"operator"})),
}


def who_calls(connection: HTTPConnection) -> Identity | None:
    """Knows a caller by its bearer token, which is its name."""
    scheme, _, name = connection.headers.get("authorization", "").partition(" ")
    return USERS.get(name) if scheme == "Bearer" else None


class Desk:
    """Asks one application, and its engine."""

    def __init__(self, client: TestClient, engine: AsyncEngine, clock: ManualClock) -> None:
        self.client = client
        self.engine = engine
        self.clock = clock

    def do(self, name: str, **fields: Any) -> Any:
        """Gives the engine a command, or asks it."""
        assert self.client.portal is not None
        return self.client.portal.call(partial(getattr(self.engine, name), **{"tenant_id": "acme", **fields}))

    def grant(self, amount: int | str = 100, owner: str = "user:u1", **fields: Any) -> Any:
        """Gives credit."""
        return self.do("grant_credit", owner=owner, type="purchased", amount=amount, **fields)

    def send(self, method: str, path: str, *, by: str | None = "web", **more: Any) -> httpx.Response:
        """Sends a request as this caller."""
        headers = {} if by is None else {"authorization": f"Bearer {by}"}
        response: httpx.Response = self.client.request(
            method, f"/api/v1/{path}", headers={**headers, **more.pop("headers", {})}, **more
        )
        return response

    def post(self, path: str, body: dict[str, Any], *, key: str | None = None, **more: Any) -> httpx.Response:
        """Posts a body, in which amounts are written as they are."""
        headers = {"content-type": "application/json", **({} if key is None else {"x-idempotency-key": key})}
        headers |= more.pop("headers", {})
        return self.send("POST", path, content=drawdown._native.write_json(body), headers=headers, **more)

    def get(self, path: str, *, by: str | None = "web", **query: Any) -> httpx.Response:
        """Gets a path."""
        return self.send("GET", path, by=by, params=query)

    def audited(self, audit_id: str) -> Any:
        """The record of the audit with this id."""
        self.do_plain("flush_audit")
        [record] = self.do("audit_records", audit_id=audit_id).records
        return record

    def do_plain(self, name: str, **fields: Any) -> Any:
        """Asks the engine what is of no tenant."""
        assert self.client.portal is not None
        return self.client.portal.call(partial(getattr(self.engine, name), **fields))

    def pass_seconds(self, seconds: int) -> None:
        """Lets time pass."""
        self.clock.advance(seconds)


def ok(response: httpx.Response) -> dict[str, Any]:
    """The answer, with its numbers as they were written."""
    assert response.status_code == 200, response.text
    content: dict[str, Any] = json.loads(response.text, parse_float=Decimal)
    return content


def refused(response: httpx.Response, status: int, code: str, error: str) -> dict[str, Any]:
    """The error body, which must be this one."""
    content: dict[str, Any] = json.loads(response.text, parse_float=Decimal)
    assert (response.status_code, content["code"], content["error"]) == (status, code, error), response.text
    assert set(content) == {
        "code", "error", "message", "details", "retryable", "retry_at", "request_id", "audit_id", "policy_tag",
    }  # fmt: skip
    assert content["request_id"] == response.headers["x-request-id"]
    assert ("retry-after" in response.headers) == (content["retry_at"] is not None)
    return content


class Server:
    """A service on a port of this machine."""

    def __init__(self, *, url: str = "memory://", policy: dict[str, Any] | None = None, **options: Any) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> Any:
            self.loop = asyncio.get_running_loop()
            self.engine = AsyncEngine(url, price_books=[PRICES], policies={"*": policy or {}})
            app.include_router(router(self.engine, authenticate=who_calls, **options))
            yield
            await self.engine.close()

        config = uvicorn.Config(
            FastAPI(lifespan=lifespan), port=0, log_level="error", timeout_graceful_shutdown=1, ws="websockets-sansio"
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def start(self) -> str:
        """Starts it, and answers where it is."""
        self.thread.start()
        until = time.monotonic() + 10
        while not self.server.started and time.monotonic() < until:
            time.sleep(0.01)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        return f"127.0.0.1:{port}/api/v1"

    def do(self, name: str, **fields: Any) -> Any:
        """Gives the engine a command."""
        assert self.loop is not None

        async def run() -> Any:
            return await getattr(self.engine, name)(**{"tenant_id": "acme", **fields})

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)

    def close(self) -> None:
        """Closes the engine, while the service goes on."""
        assert self.loop is not None
        asyncio.run_coroutine_threadsafe(self.engine.close(), self.loop).result(10)

    def stop(self) -> None:
        """Stops it."""
        self.server.should_exit = True
        self.thread.join(10)


Serve = Callable[..., tuple[Server, str]]


MakeDesk = Callable[..., Desk]


@pytest.fixture
def make_desk() -> Iterator[MakeDesk]:
    """Makes desks: options of the router, and `policy` of every tenant."""
    with ExitStack() as stack:

        def make(*, policy: dict[str, Any] | None = None, prices: list[str] | None = None, **options: Any) -> Desk:
            clock = ManualClock(NOW)
            engine = AsyncEngine(
                "memory://",
                clock=clock,
                policies={"*": policy or {}},
                price_books=[PRICES] if prices is None else prices,
                templates=["poster", "flyer", "banner"],
                event_retention_seconds=3_600,
            )

            @asynccontextmanager
            async def lifespan(_: FastAPI) -> Any:
                yield
                await engine.close()

            app = FastAPI(lifespan=lifespan)
            if not options.get("insecure"):
                options.setdefault("authenticate", who_calls)
            app.include_router(router(engine, **options))
            client = stack.enter_context(TestClient(app, raise_server_exceptions=False))
            return Desk(client, engine, clock)

        yield make


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """A desk with a router as it is by default."""
    return make_desk()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers."""
    servers: list[Server] = []

    def start(**options: Any) -> tuple[Server, str]:
        servers.append(Server(**options))
        return servers[-1], servers[-1].start()

    yield start
    for server in servers:
        server.stop()
