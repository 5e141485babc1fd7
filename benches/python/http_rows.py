"""Charges over HTTP, against endpoints that do nothing and against a transaction by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from probe import FAST_ENOUGH, syncs_per_second
from table import Table
from turns import TURNS, median, take_turns

HERE = Path(__file__).parent
CONNECTIONS = 64

# The services, and where each charges.
PATHS = {
    "charge": "/credits/charge",
    "no-op": "/credits/charge",
    "plain": "/charge",
    "bare": "/charge",
    "hand": "/charge",
}


@dataclass(frozen=True)
class Turn:
    """How a turn went."""

    rate: float
    p50: float
    p99: float
    server_cpu: float
    """Seconds of processor time of the service, for each answer."""
    load_share: float
    """What share of a processor the load generator used."""


class Service:
    """A service in a process of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        """Start it."""
        command = [sys.executable, str(HERE / "server.py"), name, str(folder / f"{name}.db")]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the service `{name}` has not started")
        self.port, self.path = int(line), PATHS[name]

    def cpu_seconds(self) -> float:
        """Say how much processor time it has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.communicate(timeout=60)


class Loader:
    """The load generator, in a process of its own."""

    def __init__(self) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            [sys.executable, HERE / "load.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def turn(self, service: Service, seconds: float) -> Turn:
        """Charge this service for a time."""
        assert self._process.stdin is not None and self._process.stdout is not None
        before = service.cpu_seconds()
        self._process.stdin.write(f"{service.port} {service.path} {seconds} {CONNECTIONS}\n")
        said = json.loads(self._process.stdout.readline())
        if "failed" in said:
            raise RuntimeError(f"a charge failed: {said['failed']}")
        spent = service.cpu_seconds() - before
        return Turn(
            rate=said["count"] / said["seconds"],
            p50=said["p50"],
            p99=said["p99"],
            server_cpu=spent / said["count"],
            load_share=said["cpu"] / said["seconds"],
        )

    def close(self) -> None:
        """Let it end."""
        self._process.communicate(timeout=60)


def rows(folder: Path, seconds: float, table: Table) -> str:
    """Measure every service in turns; say what the disk did meanwhile."""
    before = syncs_per_second(folder)
    loader = Loader()
    services: dict[str, Service] = {}
    try:
        for name in PATHS:
            services[name] = Service(name, folder)
        contenders = {name: _turns_of(loader, service, seconds / TURNS) for name, service in services.items()}
        results = take_turns(contenders)
    finally:
        loader.close()
        for service in services.values():
            service.close()
    after = syncs_per_second(folder)
    is_fast = min(before, after) >= FAST_ENOUGH
    _write(table, {name: _middle(turns) for name, turns in results.items()}, "" if is_fast else " (slow disk)")
    return f"fdatasync: {before:,} a second before, {after:,} a second after."


def _turns_of(loader: Loader, service: Service, seconds: float) -> Callable[[], Turn]:
    return lambda: loader.turn(service, seconds)


def _middle(turns: list[Turn]) -> Turn:
    return Turn(*(median([getattr(turn, name) for turn in turns]) for name in Turn.__dataclass_fields__))


def _write(table: Table, middle: dict[str, Turn], mark: str) -> None:
    charge = middle["charge"]
    against = {
        "no-op": ("the router over an engine that does nothing", "0.60"),
        "plain": ("an endpoint that only reads and writes pydantic models", ""),
        "bare": ("an endpoint that reads nothing", ""),
        "hand": ("a transaction by hand in SQLAlchemy", "5.00"),
    }
    for name, (what, goal) in against.items():
        turn = middle[name]
        table.row(
            f"HTTP, {CONNECTIONS} in flight: charges{mark}",
            f"{charge.rate:,.0f}/s",
            f"{turn.rate:,.0f}/s of {what}",
            f"{charge.rate / turn.rate:.2f}",
            goal,
        )
    for name, turn in middle.items():
        table.row(
            f"HTTP: {name}{mark}",
            f"p50 {turn.p50 * 1e3:.2f} ms, p99 {turn.p99 * 1e3:.2f} ms",
            f"processor {turn.server_cpu * 1e6:.0f} us an answer",
            f"load {turn.load_share:.0%}",
        )
