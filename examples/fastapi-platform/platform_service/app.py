"""The application: what it opens, what it mounts, and in which order it closes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

import yaml
from drawdown import AsyncEngine, DrawdownError
from drawdown.fastapi import router
from fastapi import Depends, FastAPI, Response
from fastapi_offline import FastAPIOffline

from .auth import Tokens, read_tokens
from .console import mount_console
from .demo import demo
from .people import People, seed
from .problems import answer_problems
from .services import Services, services
from .settings import Settings
from .upkeep import sweep_for_ever
from .worker import TaskWorker


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make the service. Nothing is opened before it starts.

    >>> app = create_app(Settings(folder="/var/lib/platform"))
    """
    settings = settings or Settings()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened(settings) as known:
            app.state.services = known
            app.include_router(
                router(known.engine, authenticate=known.tokens.identify, heartbeat_seconds=settings.heartbeat_seconds)
            )
            yield

    app = FastAPIOffline(title="Platform", version="0.1.0", lifespan=lifespan)
    answer_problems(app)
    app.add_api_route("/healthz", health, include_in_schema=False)
    app.include_router(demo)
    mount_console(app)
    return app


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Services]:
    """Open everything, and close it in the opposite order: the worker, the sweep, and then the engine."""
    people = People.read(settings.people_file)
    tokens = Tokens(settings.tenant_id, people, settings.tokens or read_tokens(settings.folder, people))
    settings.folder.mkdir(parents=True, exist_ok=True)
    async with AsyncEngine(
        settings.books,
        policies={settings.tenant_id: yaml.safe_load(settings.policy_file.read_text("utf-8"))},
        price_books=[settings.prices_file.read_text("utf-8")],
    ) as engine:
        await seed(engine, settings.tenant_id, people)
        sweeping = asyncio.create_task(sweep_for_ever(engine, settings.sweep_seconds))
        worker = TaskWorker(
            engine,
            settings.tenant_id,
            actor=people.worker,
            at_once=settings.workers,
            waiting=settings.waiting_tasks,
            step_seconds=settings.step_seconds,
        )
        worker.start()
        try:
            yield Services(settings=settings, people=people, tokens=tokens, engine=engine, worker=worker)
        finally:
            await worker.close()
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)


async def health(response: Response, known: Annotated[Services, Depends(services)]) -> dict[str, Any]:
    """Say whether the service can work: 200 unless the engine is down, then 503."""
    try:
        found = await known.engine.health()
    except DrawdownError as failure:
        response.status_code = 503
        return {"status": "down", "reasons": [failure.name]}
    response.status_code = 503 if found.status == "down" else 200
    return {"status": found.status, "reasons": list(found.reasons)}
