"""What a call from Python costs beyond the same call in Rust."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from drawdown import AsyncEngine, commands
from table import Table
from turns import TURNS, median, take_turns

TENANT = "bench"
OWNER = "user:user-000000"

PRICES = """
version: 20250918
effective_at: 2025-09-18T00:00:00Z
unit: credit
rounding: {mode: half_up, step: 0.01}
priorities: {standard: {eta_minutes: 30}, accelerated: {multiplier: 1.5, eta_minutes: 10}}
resolutions: {sd: 0.8, hd: 1, 4k: 2.5}
templates: {poster: {base: 10.25, policy_tag: tag}}
scenes: {film: 12}
extras:
  no_watermark: {flat: 3}
  review: {multiplier: 1.2}
  seconds: {graduated: [{up_to: 10, price: 1}, {up_to: 60, price: 0.8}, {price: 0.5}]}
"""
REQUEST = """{"template_id": "poster", "scene": "film", "resolution": "4k", "priority": "accelerated",
    "extras": {"no_watermark": true, "review": true, "seconds": 25}}"""

GOAL_MICROSECONDS = 6


class Rust:
    """The program that makes the same calls in Rust."""

    def __init__(self, program: Path) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            [program, "border", PRICES, REQUEST], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def nanos(self, called: str, count: int) -> float:
        """Say how many nanoseconds one of so many calls takes."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{called} {count}\n")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the program that makes the calls in Rust has ended")
        return int(line) / count

    def close(self) -> None:
        """Let it end."""
        self._process.communicate(timeout=60)


class Caller:
    """Makes the calls in Python."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Call this engine, for threads and for an event loop."""
        self.asynchronous, self.engine = engine, engine.sync
        self.loop = asyncio.new_event_loop()
        self.made = 0
        self.engine.grant_credit(tenant_id=TENANT, owner=OWNER, type="purchased", amount=1_000_000_000)

    def charge(self, count: int) -> None:
        """Charge one by one."""
        for _ in range(count):
            self._charge(self.engine)

    def charge_alone(self, count: int) -> None:
        """Await charges one by one."""

        async def charges() -> None:
            for _ in range(count):
                await self._charge(self.asynchronous)

        self.loop.run_until_complete(charges())

    def charge_gathered(self, count: int) -> None:
        """Await charges 64 at a time."""

        async def charges() -> None:
            for _ in range(count // 64):
                await asyncio.gather(*[self._charge(self.asynchronous) for _ in range(64)])

        self.loop.run_until_complete(charges())

    def charge_many(self, count: int) -> None:
        """Charge in lists of 1,000."""
        for _ in range(count // 1_000):
            for answer in self.engine.execute_many([self._charge(commands) for _ in range(1_000)]):
                if isinstance(answer, BaseException):
                    raise answer

    def estimate(self, count: int) -> None:
        """Estimate one by one."""
        for _ in range(count):
            self._estimate(self.engine)

    def estimate_alone(self, count: int) -> None:
        """Await estimates one by one."""

        async def estimates() -> None:
            for _ in range(count):
                await self._estimate(self.asynchronous)

        self.loop.run_until_complete(estimates())

    def estimate_gathered(self, count: int) -> None:
        """Await estimates 64 at a time."""

        async def estimates() -> None:
            for _ in range(count // 64):
                await asyncio.gather(*[self._estimate(self.asynchronous) for _ in range(64)])

        self.loop.run_until_complete(estimates())

    def bare_gathered(self, count: int) -> None:
        """Await bare futures 64 at a time: what an event loop costs that asks nobody."""
        futures: list[asyncio.Future[None]] = []

        async def bare() -> None:
            future: asyncio.Future[None] = self.loop.create_future()
            futures.append(future)
            await future

        def answer() -> None:
            for future in futures:
                future.set_result(None)
            futures.clear()

        async def all_of_them() -> None:
            for _ in range(count // 64):
                gathered = asyncio.gather(*[bare() for _ in range(64)])
                self.loop.call_soon(answer)
                await gathered

        self.loop.run_until_complete(all_of_them())

    def balance(self, count: int) -> None:
        """Ask for the balance."""
        for _ in range(count):
            self.engine.balance(tenant_id=TENANT, owner=OWNER)

    def _charge(self, engine: Any) -> Any:
        self.made += 1
        return engine.charge(
            tenant_id=TENANT, payer=OWNER, amount=_MILLIONTH, idempotency_key=f"border-{self.made:012}"
        )

    def _estimate(self, engine: Any) -> Any:
        return engine.estimate(
            tenant_id=TENANT,
            owner=OWNER,
            template_id="poster",
            scene="film",
            resolution="4k",
            priority="accelerated",
            extras=_EXTRAS,
        )


_MILLIONTH = Decimal("0.000001")
_EXTRAS = {"no_watermark": True, "review": True, "seconds": 25}


def rows(program: Path, seconds: float, table: Table) -> None:
    """Measure every call in Python and in Rust, in turns."""
    rust, caller = Rust(program), Caller(AsyncEngine("memory://", price_books=[PRICES]))
    # The call in Python, the same in Rust, and about how many of them a second makes.
    measured: list[tuple[str, Callable[[int], None], str, int]] = [
        ("Engine.charge", caller.charge, "charge", 60_000),
        ("Engine.estimate", caller.estimate, "estimate", 60_000),
        ("Engine.balance", caller.balance, "balance", 150_000),
        ("Engine.execute_many, 1,000 charges", caller.charge_many, "many", 60_000),
        ("AsyncEngine.charge, alone", caller.charge_alone, "submit", 20_000),
        ("AsyncEngine.charge, gather of 64", caller.charge_gathered, "in-flight", 40_000),
        ("AsyncEngine.estimate, alone", caller.estimate_alone, "estimate", 20_000),
        ("AsyncEngine.estimate, gather of 64", caller.estimate_gathered, "estimate", 40_000),
    ]
    for name, call, called, a_second in measured:
        count = max(1, round(a_second * seconds / TURNS / 2 / 16_000)) * 16_000  # whole lists and whole gathers
        bare = caller.bare_gathered if "gather" in name else None
        _row(table, name, count, call, rust, called, bare)
    rust.close()
    caller.loop.run_until_complete(caller.asynchronous.close())
    caller.loop.close()


def _row(
    table: Table,
    name: str,
    count: int,
    call: Callable[[int], None],
    rust: Rust,
    called: str,
    bare: Callable[[int], None] | None,
) -> None:
    def timed(call: Callable[[int], None]) -> float:
        began = time.perf_counter_ns()
        call(count)
        return (time.perf_counter_ns() - began) / count

    contenders = {"python": lambda: timed(call), "rust": lambda: rust.nanos(called, count)}
    if bare is not None:
        contenders["bare"] = lambda: timed(bare)
    micros = {who: median(results) / 1000 for who, results in take_turns(contenders).items()}
    border = micros["python"] - micros["rust"]
    against, of_it = f"{micros['rust']:.2f} us in Rust", f"+{border:.2f} us"
    if bare is not None:
        against += f", {micros['bare']:.2f} us of asyncio"
        of_it = f"{of_it}, +{border - micros['bare']:.2f} us"
    goal = f"{GOAL_MICROSECONDS} us" if name.startswith("Engine.") or bare is not None else ""
    table.row(name, f"{micros['python']:.2f} us", against, of_it, goal)
