"""The service as its tests see it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from platform_service import Settings, create_app

NAMES = ("alice", "bob", "chen", "olivia", "studio-worker")
TOKENS = {name: f"{name}-token-for-the-tests-alone" for name in NAMES}


class Desk:
    """Asks one service, by the token of someone or by the cookie of the console."""

    def __init__(self, client: TestClient) -> None:
        self.client = client

    def ask(self, method: str, path: str, *, by: str | None = None, **more: Any) -> httpx.Response:
        """Send a request."""
        headers = {"authorization": f"Bearer {TOKENS[by]}"} if by else {}
        response: httpx.Response = self.client.request(
            method, path, headers={**headers, **more.pop("headers", {})}, **more
        )
        return response

    def log_in(self) -> None:
        """Log in to the console as the operator."""
        assert self.ask("POST", "/console/api/login", json={"token": TOKENS["olivia"]}).status_code == 200

    def engine(self, name: str, **fields: Any) -> Any:
        """Ask the engine, or give it a command."""
        assert self.client.portal is not None
        engine = self.client.app.state.services.engine  # type: ignore[attr-defined]
        call: Callable[[], Awaitable[Any]] = partial(getattr(engine, name), **fields)
        return self.client.portal.call(call)

    def until(self, is_so: Callable[[], Any], seconds: float = 15) -> Any:
        """Wait for something."""
        end = time.monotonic() + seconds
        while not (found := is_so()):
            assert time.monotonic() < end, "it never was"
            time.sleep(0.02)
        return found


def settings_in(folder: Path, **more: Any) -> Settings:
    """Settings of a service for tests: its steps take no time."""
    return Settings(
        folder=folder,
        tokens=json.dumps(TOKENS),  # type: ignore[arg-type]  # as the environment has it
        **{"step_seconds": 0, "sweep_seconds": 0.05, **more},
    )


@contextlib.contextmanager
def desk_in(folder: Path, **more: Any) -> Iterator[Desk]:
    """A service that runs."""
    with TestClient(create_app(settings_in(folder, **more)), base_url="http://console.test") as client:
        yield Desk(client)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A service of its own for a test."""
    with desk_in(tmp_path) as desk:
        yield desk


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service in a process of its own, as `make serve` starts it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("service")
    environment = {
        **os.environ,
        "PLATFORM_FOLDER": str(folder / "data"),
        "PLATFORM_TOKENS": json.dumps(TOKENS),
        "PLATFORM_PORT": str(port),
        "PLATFORM_STEP_SECONDS": "0.1",
        "PLATFORM_HEARTBEAT_SECONDS": "1",
    }
    command = [sys.executable, "-m", "platform_service"]
    with open(folder / "told", "wb") as told:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=told, stderr=told)
    try:
        base = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 30
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{base}/healthz").status_code == 200:
                    break
            assert process.poll() is None and time.monotonic() < end, "the service did not start"
            time.sleep(0.1)
        yield base
    finally:
        process.terminate()
        process.wait(20)
    said = (folder / "told").read_text("utf-8")
    assert f"{base}/console" in said and TOKENS["olivia"] in said
    assert "Application shutdown complete." in said, said[-2000:]
