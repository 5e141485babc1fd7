"""One service under uvicorn, in a process of its own. It prints its port, and serves until it is stopped."""

from __future__ import annotations

import argparse
import asyncio
import socket
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.requests import HTTPConnection

import hand
from drawdown import AsyncEngine, commands
from drawdown.fastapi import Identity, router

TENANT = "bench"
USERS = [f"user-{number:06}" for number in range(1_000)]
TOKEN = "bench"

_CALLER = Identity(tenant=TENANT, actor="bench")


def who_calls(connection: HTTPConnection) -> Identity | None:
    """Know the caller by a bearer token."""
    return _CALLER if connection.headers.get("authorization") == f"Bearer {TOKEN}" else None


def charging(file: Path) -> FastAPI:
    """Make the service with the router over books in a file."""
    engine = AsyncEngine(f"sqlite://{file}")
    service = _service(engine)
    grants = [
        commands.grant_credit(
            tenant_id=TENANT, owner=f"user:{user}", type="purchased", amount=1_000_000, idempotency_key=f"grant-{user}"
        )
        for user in USERS
    ]
    for answer in engine.sync.execute_many(grants):
        if isinstance(answer, BaseException):
            raise answer
    return service


def answering(file: Path) -> FastAPI:
    """Make the service with the same router over an engine that does nothing: each charge has the same receipt."""

    async def receipt() -> Any:
        async with AsyncEngine("memory://") as books:
            await books.grant_credit(tenant_id=TENANT, owner="user:u1", type="purchased", amount=1_000_000)
            charged = await books.charge(
                tenant_id=TENANT, payer="user:u1", amount="0.000001", reason="render", idempotency_key="key"
            )
        return charged

    class Idle:
        """Charges nobody."""

        charged = asyncio.run(receipt())

        async def charge(self, **_: object) -> Any:
            """Answer the same receipt."""
            return self.charged

    return _service(Idle())  # type: ignore[arg-type]


def plain(file: Path) -> FastAPI:
    """Make a service of the models that the one by hand has, in an endpoint that does nothing."""
    service = FastAPI()

    @service.post("/charge")
    async def charge(asked: hand.ChargeAsked) -> hand.Charged:
        return hand.Charged.model_validate(
            {
                "ledger_id": "led_019aa7b2-6f0e-7c3d-9d4c-2f6b8a1e0c55",
                "tenant_id": asked.tenant_id,
                "user_id": asked.user_id,
                "change": -asked.amount,
                "balance_after": 1_000,
                "reason": asked.reason,
                "created_at": "2026-01-01T00:00:00Z",
            }
        )

    return service


def bare(file: Path) -> FastAPI:
    """Make a service that reads nothing and answers the same object."""
    service = FastAPI()

    @service.post("/charge")
    async def charge() -> dict[str, object]:
        return {"ledger_id": "led_019aa7b2-6f0e-7c3d-9d4c-2f6b8a1e0c55", "change": 0, "balance_after": 1_000}

    return service


def by_hand(file: Path) -> FastAPI:
    """Make the service by hand, over books in a file."""
    return hand.app(file, TENANT, USERS)


SERVICES = {"charge": charging, "no-op": answering, "plain": plain, "bare": bare, "hand": by_hand}


def _service(engine: AsyncEngine) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> Any:
        yield
        if isinstance(engine, AsyncEngine):
            await engine.close()

    service = FastAPI(lifespan=lifespan)
    service.include_router(router(engine, authenticate=who_calls, prefix=""))
    return service


def main() -> None:
    """Serve what the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("service", choices=SERVICES)
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    listening = socket.create_server(("127.0.0.1", 0), backlog=1_024)
    service = SERVICES[arguments.service](arguments.file)
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(service, loop="uvloop", http="httptools", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
