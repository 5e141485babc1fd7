"""Engines, and how tests ask them."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import configuration, settings

from drawdown import DrawdownError as Refused
from drawdown import Engine

__all__ = ["Refused", "ask", "charge", "grant", "locked", "run"]

# What the tests leave behind stands with all else that is built.
configuration.set_hypothesis_home_dir(Path(__file__).parents[2] / "target" / "python" / "hypothesis")
# A shared machine is slow at times; how long an example takes says nothing.
settings.register_profile("package", deadline=None)
settings.load_profile("package")


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine("memory://") as opened:
        yield opened


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/books.db"


@contextlib.contextmanager
def locked(url: str) -> Iterator[None]:
    """Hold the lock of the file, as another process does.

    This one must not: a process that opens the file by another SQLite than the engine's has the same locks.
    """
    program = """
import sqlite3, sys
books = sqlite3.connect(sys.argv[1], isolation_level=None)
books.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", program, url.removeprefix("sqlite://")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"locked\n"
        try:
            yield
        finally:
            holder.communicate()


def run(engine: Engine, kind: str, **fields: object) -> Any:
    """Run a command of the tenant `acme`."""
    fields = {"tenant_id": "acme"} | fields
    return engine._run(kind, tuple(fields), tuple(fields.values()))


def ask(engine: Engine, name: str, **fields: object) -> Any:
    """Ask a question of the tenant `acme`."""
    fields = {"tenant_id": "acme"} | fields
    return engine._call(name, tuple(fields), tuple(fields.values()))


def grant(engine: Engine, amount: object = 100, **fields: object) -> Any:
    """Give credit to the user `u1`."""
    return run(engine, "grant", **{"owner": "user:u1", "type": "purchased", "amount": amount} | fields)


def charge(engine: Engine, amount: object = 1, **fields: object) -> Any:
    """Charge the user `u1`."""
    return run(engine, "charge", **{"payer": "user:u1", "amount": amount} | fields)
