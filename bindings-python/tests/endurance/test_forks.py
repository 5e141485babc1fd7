"""Processes: forked after the engine was opened, and several over one file."""

import asyncio
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
import pytest

from drawdown import AsyncEngine, Engine, StoreFailed, user

FULL = bool(os.environ.get("ENDURANCE"))
U1 = user("u1")

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.timeout(600),
]

parent: Engine


def use_the_parents(said: Connection) -> None:
    """A worker that was given its engine by its parent."""
    try:
        parent.charge(tenant_id="acme", payer=U1, amount=1)
    except StoreFailed as refused:
        said.send(str(refused))


def use_its_own(url: str, number: int, count: int) -> None:
    """A worker that opens its own engine, in a loop of its own, beside the parent's that it inherited."""

    async def main() -> None:
        async with AsyncEngine(url) as engine:
            charges = (
                engine.charge(tenant_id="acme", payer=U1, amount=1, idempotency_key=f"{number % 2}-{index}")
                for index in range(count)
            )
            await asyncio.gather(*charges)

    asyncio.run(main())


def test_workers_of_a_parent_that_opened_its_engine(url: str) -> None:
    """As gunicorn does with `--preload`: the parent's engine says what to do, one of the worker's own works."""
    global parent
    count = 500 if FULL else 50
    fork = multiprocessing.get_context("fork")
    with Engine(url) as parent:
        parent.grant_credit(tenant_id="acme", owner=U1, type="plan", amount=100_000)
        told, said = fork.Pipe(duplex=False)
        first = fork.Process(target=use_the_parents, args=(said,))
        first.start()
        assert told.poll(30) and "after a fork, open it anew in the child" in told.recv()
        workers = [fork.Process(target=use_its_own, args=(url, number, count)) for number in range(4)]
        for worker in workers:
            worker.start()
        mine = [parent.charge(tenant_id="acme", payer=U1, amount=1) for _ in range(20)]
        for worker in (first, *workers):
            worker.join(120)
            assert worker.exitcode == 0
        assert len(mine) == 20
        # Two workers each asked with the same keys.
        balance = parent.balance(tenant_id="acme", owner=U1)
        assert balance.available == 100_000 - 20 - 2 * count
        assert not parent.verify().faults


def test_a_fork_in_the_middle_of_everything(url: str) -> None:
    """The parent's threads are at work while it forks: children end in order, the parent goes on."""

    async def main() -> None:
        async with AsyncEngine(url) as engine:
            await engine.grant_credit(tenant_id="acme", owner=U1, type="plan", amount=100_000)
            charges = [asyncio.ensure_future(engine.charge(tenant_id="acme", payer=U1, amount=1)) for _ in range(400)]
            for _ in range(40 if FULL else 5):
                await asyncio.sleep(0.002)
                child = os.fork()
                if child == 0:
                    os._exit(0)
                for _ in range(1_000):
                    ended, code = os.waitpid(child, os.WNOHANG)  # noqa: ASYNC222 - it does not wait
                    if ended:
                        break
                    await asyncio.sleep(0.01)
                assert (ended, code) == (child, 0)
            await asyncio.gather(*charges)
            assert (await engine.balance(tenant_id="acme", owner=U1)).available == 100_000 - 400
            assert not (await engine.verify()).faults

    asyncio.run(main())


CHARGE = {"tenant_id": "acme", "template_id": "poster", "priority": "standard", "reason": "a poster"}

SERVICE = """
import os
from contextlib import asynccontextmanager
from fastapi import FastAPI
from drawdown import AsyncEngine
from drawdown.fastapi import Identity, router

engine = AsyncEngine(os.environ["URL"], deadline_seconds=60)

@asynccontextmanager
async def lifespan(app):
    async with engine:
        yield

app = FastAPI(lifespan=lifespan)

@app.middleware("http")
async def say_who(request, ask):
    response = await ask(request)
    response.headers["worker"] = str(os.getpid())
    return response

def who_calls(request):
    return Identity(tenant="acme", actor="web")

app.include_router(router(engine, authenticate=who_calls, stream_secret=b"s" * 32))
"""


@contextmanager
def served(folder: Path, url: str, workers: int) -> Iterator[str]:
    """The service, by so many processes."""
    (folder / "service.py").write_text(SERVICE, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "service:app", "--port", str(port), "--workers", str(workers)]
    environment = dict(os.environ, URL=url)
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(
            [*command, "--no-access-log"], cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        until = time.monotonic() + 60
        while (folder / "log").read_text(encoding="utf-8").count("startup complete") < workers:
            assert time.monotonic() < until, (folder / "log").read_text(encoding="utf-8")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0 or not (folder / "log").read_text(encoding="utf-8").count("Traceback")


def test_two_workers_over_one_file(url: str, tmp_path: Path) -> None:
    """Of many concurrent charges, several with each key: each key is charged once, and all are answered alike."""
    count, keys = (5_000, 1_700) if FULL else (200, 70)
    with Engine(url) as engine:
        engine.grant_credit(tenant_id="acme", owner=U1, type="plan", amount=100_000)
    answers: dict[str, list[httpx.Response]] = {}

    async def some(base: str, numbers: range) -> None:
        async with httpx.AsyncClient(base_url=base, limits=httpx.Limits(max_connections=2), timeout=120) as client:

            async def one(number: int) -> None:
                key = f"k{number % keys}"
                body = {**CHARGE, "user_id": "u1", "amount": "1"}
                headers = {"x-idempotency-key": key}
                answer = await client.post("/api/v1/credits/charge", json=body, headers=headers)
                answers.setdefault(key, []).append(answer)

            await asyncio.gather(*(one(number) for number in numbers))

    async def ask(base: str) -> None:
        # All at once, by 50 clients: the pool of one looks at all that wait in it whenever one is answered.
        await asyncio.gather(*(some(base, range(first, count, 50)) for first in range(50)))

    with served(tmp_path, url, workers=2) as base:
        began = time.monotonic()
        asyncio.run(ask(base))
        took = time.monotonic() - began
    told = [answer for each in answers.values() for answer in each]
    assert Counter(answer.status_code for answer in told) == {200: count}
    workers = Counter(answer.headers["worker"] for answer in told)
    for each in answers.values():
        assert len({answer.json()["ledger_id"] for answer in each}) == 1
        assert [answer.json()["idempotent_replay"] for answer in each].count(False) == 1
    with Engine(url) as engine:
        balance = engine.balance(tenant_id="acme", owner=U1)
        assert balance.available == 100_000 - keys and balance.version == 1 + keys
        assert not engine.verify().faults
    assert len(workers) == 2 or not FULL
    print(f"{count} charges of {keys} keys by {dict(workers)} in {took:.1f} s")
