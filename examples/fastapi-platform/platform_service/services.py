"""What requests are served with, from the start of the service to its end."""

from __future__ import annotations

from dataclasses import dataclass

from drawdown import AsyncEngine
from fastapi import Request

from .auth import Tokens
from .people import People
from .settings import Settings
from .worker import TaskWorker


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the lifespan opened."""

    settings: Settings
    people: People
    tokens: Tokens
    engine: AsyncEngine
    worker: TaskWorker


def services(request: Request) -> Services:
    """Answer what the service runs with, as a dependency."""
    opened: Services = request.app.state.services
    return opened
