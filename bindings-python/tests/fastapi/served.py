"""A service in processes of its own, as uvicorn starts it; its books are those of its environment."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from desk import who_calls
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from drawdown import AsyncEngine
from drawdown.fastapi import router

WORKER = "x-worker"


def create() -> FastAPI:
    """The application of one process; its answers say which process it is."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncEngine(os.environ["BOOKS"], event_retention_seconds=3_600) as engine:
            app.include_router(router(engine, authenticate=who_calls, stream_secret=b"s" * 32))
            yield

    app = FastAPI(lifespan=lifespan)

    @app.middleware("http")
    async def says_which(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await answer(request)
        response.headers[WORKER] = str(os.getpid())
        return response

    return app
