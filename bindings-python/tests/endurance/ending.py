"""A program that uses the engine and ends at a random moment, in one of many ways: `ending.py SEED URL`.

It prints the key of each charge before it asks for it, and again when it was answered, to be compared with the books.
"""

import asyncio
import atexit
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from drawdown import AsyncEngine, Engine, user

U1 = user("u1")


def keys(seed: int) -> Any:
    """Endless keys of this process."""
    number = 0
    while True:
        number += 1
        yield f"{seed}-{number}"


class Work:
    """What every ending has at hand."""

    def __init__(self, seed: int, url: str) -> None:
        self.random = random.Random(seed)
        self.engine = AsyncEngine(url)
        self.keys = keys(seed)
        self.background: set[asyncio.Task[Any]] = set()

    def soon(self) -> float:
        return self.random.choice([0, 0.001, 0.005, 0.02, 0.08])

    async def charge(self) -> None:
        key = next(self.keys)
        say(f"asked {key}")
        await self.engine.charge(tenant_id="acme", payer=U1, amount=1, idempotency_key=key)
        say(f"done {key}")

    async def busy(self) -> None:
        """Leave some of everything under way."""
        asked: list[Callable[[], Any]] = [
            self.charge,
            self.charge,
            self.charge,
            lambda: self.engine.balance(tenant_id="acme", owner=U1),
            lambda: self.engine.wait_for_events("acme", latest=True),
            lambda: self.engine.wait_for_events("acme", latest=True, timeout_seconds=0.01),
            self.follow,
            self.engine.verify,
        ]
        for _ in range(self.random.randint(1, 60)):
            self.background.add(asyncio.ensure_future(self.random.choice(asked)()))
        await asyncio.sleep(self.soon())
        for task in self.random.sample(sorted(self.background, key=id), len(self.background) // 4):
            task.cancel()

    async def follow(self) -> None:
        async for _ in self.engine.follow_events("acme", latest=True):
            pass


def say(line: str) -> None:
    """Print a whole line, whatever other threads print."""
    sys.stdout.write(line + "\n")


async def pending(work: Work) -> None:
    """Return with everything under way."""
    await work.busy()


async def closed(work: Work) -> None:
    """Close in order, with everything under way."""
    async with work.engine:
        await work.busy()


async def raising(work: Work) -> None:
    """End by an exception."""
    await work.busy()
    raise ValueError("a mistake of the host")


async def exiting(work: Work) -> None:
    """End by sys.exit within a task."""

    async def leave() -> None:
        await work.busy()
        sys.exit(7)

    await asyncio.gather(leave(), work.busy(), return_exceptions=False)


async def interrupted(work: Work) -> None:
    """End by Ctrl-C."""
    await work.busy()
    threading.Timer(work.soon(), signal.raise_signal, args=(signal.SIGINT,)).start()
    await asyncio.sleep(10)


async def at_work_in_threads(work: Work) -> None:
    """Leave threads of the executor at work."""
    loop = asyncio.get_running_loop()
    for _ in range(8):
        loop.run_in_executor(None, lambda: [work.engine.sync.balance(tenant_id="acme", owner=U1) for _ in range(20)])
    await work.busy()


async def closing_elsewhere(work: Work) -> None:
    """Close from another thread, at once."""
    threading.Thread(target=work.engine.sync.close).start()
    await work.busy()


def stopped(work: Work) -> None:
    """Close a loop under what waits on it."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(work.busy())
    loop.close()


def left_behind(work: Work) -> None:
    """Forget a loop that was never closed."""
    asyncio.new_event_loop().run_until_complete(work.busy())


def in_a_thread(work: Work) -> None:
    """Run the loop in a thread, and end the main one."""
    threading.Thread(target=lambda: asyncio.run(work.busy())).start()


def in_a_daemon(work: Work) -> None:
    """End under a daemon's loop."""

    async def always() -> None:
        while True:
            await work.busy()

    def run() -> None:
        try:
            asyncio.run(always())
        except Exception:  # the engine is closed at the end
            return

    for _ in range(work.random.randint(1, 3)):
        threading.Thread(target=run, daemon=True).start()
    time.sleep(work.soon())


def at_the_end(work: Work) -> None:
    """Ask while the interpreter ends."""
    atexit.register(lambda: asyncio.run(work.busy()))


def by_threads(work: Work) -> None:
    """End under daemons that ask the engine of threads."""
    sync: Engine = work.engine.sync

    def run() -> None:
        try:
            while True:
                sync.charge(tenant_id="acme", payer=U1, amount=1)
        except Exception:
            return

    for _ in range(4):
        threading.Thread(target=run, daemon=True).start()
    time.sleep(work.soon())


def refused_in_daemons(work: Work) -> None:
    """End under loops that are refused again and again."""

    async def always() -> None:
        while True:
            charges = [work.engine.charge(tenant_id="none", payer=U1, amount=1) for _ in range(200)]
            await asyncio.gather(*charges, return_exceptions=True)

    def run() -> None:
        try:
            asyncio.run(always())
        except Exception:
            return

    for _ in range(3):
        threading.Thread(target=run, daemon=True).start()
    time.sleep(work.random.random() * 0.05)


LOOPS = [pending, closed, raising, exiting, interrupted, at_work_in_threads, closing_elsewhere]
OTHERS = [stopped, left_behind, in_a_thread, in_a_daemon, at_the_end, by_threads, refused_in_daemons]
ENDINGS = [ending.__name__ for ending in LOOPS] + [ending.__name__ for ending in OTHERS]


def main() -> None:
    """End."""
    seed, url = int(sys.argv[1]), sys.argv[2]
    work = Work(seed, url)
    name = ENDINGS[seed % len(ENDINGS)]
    for other in OTHERS:
        if other.__name__ == name:
            return other(work)
    for loop in LOOPS:
        if loop.__name__ == name:
            return asyncio.run(loop(work))


main()
