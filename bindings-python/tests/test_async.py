"""The engine for event loops: answers, cancellation, closing, several loops, loops that cannot watch a socket."""

import asyncio
import contextlib
import gc
import os
import random
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from conftest import Refused, ask, charge, grant, locked

from drawdown import AsyncEngine, Command, commands
from drawdown.types import ChargeReceipt

CHARGE = commands.charge(tenant_id="acme", payer="user:u1", amount=1)


def of(amount: Any) -> Command[ChargeReceipt]:
    """A charge of this amount, right or wrong."""
    return commands.charge(tenant_id="acme", payer="user:u1", amount=amount)


try:
    import uvloop
except ImportError:
    LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.SelectorEventLoop]
else:
    LOOPS = [asyncio.SelectorEventLoop, uvloop.new_event_loop]


class Blind(asyncio.SelectorEventLoop):
    """A loop that cannot watch a socket, as Proactor."""

    def add_reader(self, *_: Any) -> Any:  # type: ignore[override]
        raise NotImplementedError

    def _add_reader(self, fd: Any, callback: Any, *args: Any) -> Any:
        return super()._add_reader(fd, callback, *args)  # type: ignore[misc]


@pytest.fixture(params=[*LOOPS, Blind], ids=lambda made: f"{made.__module__}.{made.__name__}")
def play(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Run a coroutine on a loop; whatever the loop has to complain of fails the test."""

    def play(coroutine: Coroutine[Any, Any, None]) -> None:
        complaints: list[dict[str, Any]] = []
        loop = request.param()
        loop.set_exception_handler(lambda _, complaint: complaints.append(complaint))
        try:
            loop.run_until_complete(asyncio.wait_for(coroutine, 60))
            loop.run_until_complete(loop.shutdown_default_executor())
            gc.collect()
        finally:
            loop.close()
        assert complaints == []

    return play


Play = Callable[[Coroutine[Any, Any, None]], None]


async def run(engine: AsyncEngine, kind: str, **fields: object) -> Any:
    fields = {"tenant_id": "acme"} | fields
    return await engine._run(kind, tuple(fields), tuple(fields.values()))


async def pay(engine: AsyncEngine, amount: object = 1, **fields: object) -> Any:
    return await run(engine, "charge", payer="user:u1", amount=amount, **fields)


async def balance(engine: AsyncEngine) -> Any:
    return (await engine._call("balance", ("tenant_id", "owner"), ("acme", "user:u1"))).available


def waiting(engine: AsyncEngine) -> int:
    """How many still wait in Python; none where threads do."""
    return len(getattr(engine._door(), "_futures", ()))


def test_commands_and_questions_are_awaited(play: Play, url: str) -> None:
    async def main() -> None:
        async with AsyncEngine(url) as engine:
            grant(engine.sync)
            receipts = await asyncio.gather(*(pay(engine, 1, idempotency_key=f"k{index % 20}") for index in range(40)))
            assert sum(receipt.idempotent_replay for receipt in receipts) == 20
            assert await balance(engine) == 80
            assert (await engine.preview(CHARGE)).balance_after == 79
            answers = await engine.execute_many([CHARGE, of(100), of(0.1)])
            assert [isinstance(answer, Refused) for answer in answers] == [False, True, True]
            assert len(await engine.execute_all([CHARGE, CHARGE])) == 2
            with pytest.raises(Refused) as caught:
                await engine.execute_all([CHARGE, of(100)])
            assert (caught.value.name, caught.value.index) == ("insufficient_balance", 1)
            for amount, name in ((0.1, "amount_invalid"), (1_000, "insufficient_balance")):
                with pytest.raises(Refused) as caught:
                    await pay(engine, amount)
                assert caught.value.name == name
            assert repr(engine) == f"AsyncEngine({url!r})"
            assert waiting(engine) == 0
        assert repr(engine) == f"AsyncEngine({url!r}, closed)"

    play(main())


def test_a_cancelled_command_takes_effect_once(play: Play, url: str) -> None:
    async def main() -> None:
        async with AsyncEngine(url) as engine:
            grant(engine.sync, 1_000)
            tasks = [asyncio.create_task(pay(engine, 1, idempotency_key=f"k{index}")) for index in range(200)]
            for task in tasks:
                if random.random() < 0.5:
                    await asyncio.sleep(0)
                if random.random() < 0.5:
                    task.cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(answer, asyncio.CancelledError) or answer.change == -1 for answer in answers)  # type: ignore[union-attr]
            # Who asks again by the key learns what became of it, and it is done by then at the latest.
            again = await asyncio.gather(*(pay(engine, 1, idempotency_key=f"k{index}") for index in range(200)))
            for first, second in zip(answers, again, strict=True):
                assert isinstance(first, asyncio.CancelledError) or second.idempotent_replay
            assert await balance(engine) == 800
            assert waiting(engine) == 0

    play(main())


def test_a_command_that_waits_for_the_file_survives_its_await(play: Play, url: str) -> None:
    async def main() -> None:
        async with AsyncEngine(url, deadline_seconds=30) as engine:
            grant(engine.sync, 10)
            with locked(url):
                task = asyncio.create_task(pay(engine, 4, idempotency_key="k"))
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(task, 0.05)
                assert task.cancelled()
            assert (await pay(engine, 4, idempotency_key="k")).idempotent_replay
            assert await balance(engine) == 6

    play(main())


def test_a_denial_that_nobody_waits_for_is_no_complaint(play: Play, url: str) -> None:
    async def main() -> None:
        async with AsyncEngine(url) as engine:
            for _ in range(50):
                task = asyncio.create_task(pay(engine, 1))
                await asyncio.sleep(0)
                if random.random() < 0.5:
                    await asyncio.sleep(0.001)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Refused):
                    await task
            await asyncio.sleep(0.05)

    play(main())


def test_closing_answers_whoever_waits(play: Play, url: str) -> None:
    async def main() -> None:
        engine = AsyncEngine(url)
        grant(engine.sync, 1_000)
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(pay(engine)) for _ in range(100)]
        tasks += [asyncio.create_task(balance(engine)) for _ in range(50)]
        tasks += [asyncio.create_task(engine.wait_for_events("acme", latest=True)) for _ in range(20)]
        await asyncio.sleep(0)
        await engine.close()
        for answer in await asyncio.gather(*tasks, return_exceptions=True):
            assert not isinstance(answer, Refused) or answer.name == "closed"
        asked: list[Callable[[], Awaitable[Any]]] = [
            lambda: pay(engine),
            lambda: balance(engine),
            lambda: engine.wait_for_events("acme"),
            lambda: engine.execute_many([CHARGE]),
            lambda: engine.execute_all([CHARGE]),
            lambda: engine.preview(CHARGE),
        ]
        for ask_it in asked:
            with pytest.raises(Refused) as caught:
                await ask_it()
            assert caught.value.name == "closed"
        await engine.close()

    play(main())


def test_closing_waits_for_what_was_begun(play: Play, url: str) -> None:
    async def main() -> None:
        engine = AsyncEngine(url)
        grant(engine.sync, 10_000)
        task = asyncio.create_task(engine.execute_many([CHARGE] * 10_000))
        while await balance(engine) == 10_000:
            pass
        await engine.close()
        accepted = [answer for answer in await task if not isinstance(answer, Refused)]
        async with AsyncEngine(url) as again:
            assert await balance(again) == 10_000 - len(accepted)

    play(main())


def test_events_are_awaited(play: Play, url: str) -> None:
    async def main() -> None:
        async with AsyncEngine(url) as engine:
            nothing = await engine.wait_for_events("acme", timeout_seconds=0.01)
            assert nothing.events == ()
            task = asyncio.create_task(engine.wait_for_events("acme", after=nothing.next))
            await asyncio.sleep(0.05)
            await run(engine, "grant", owner="user:u1", type="purchased", amount=5)
            assert [event.kind for event in (await task).events] == ["credits.updated"]
            for _ in range(20):
                gone = asyncio.create_task(engine.wait_for_events("acme", latest=True))
                await asyncio.sleep(random.random() / 100)
                gone.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await gone
            for _ in range(3):
                await pay(engine)
            seen = [event async for event in engine.follow_events("acme", limit=2, timeout_seconds=0.05)]
            assert len(seen) == 4
            rest = [event async for event in engine.follow_events("acme", after=seen[1].cursor, timeout_seconds=0.05)]
            assert [event.event_id for event in rest] == [event.event_id for event in seen[2:]]
            with pytest.raises(Refused) as caught:
                await engine.wait_for_events("acme", limit=0)
            assert caught.value.name == "payload_invalid"
            assert waiting(engine) == 0

    play(main())


def test_many_wait_for_events_without_threads(url: str) -> None:
    async def main() -> None:
        async with AsyncEngine(url) as engine:
            tasks = [asyncio.create_task(engine.wait_for_events("acme", latest=True)) for _ in range(500)]
            await asyncio.sleep(0.3)
            grant(engine.sync)
            pages = await asyncio.gather(*tasks)
            assert all(len(page.events) == 1 for page in pages)
            assert threading.active_count() < 10

    asyncio.run(main())


def test_several_loops_share_an_engine(url: str) -> None:
    engine = AsyncEngine(url)
    grant(engine.sync, 1_000)

    async def main() -> None:
        await asyncio.gather(*(pay(engine) for _ in range(50)))

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(main())
    assert ask(engine.sync, "balance", owner="user:u1").available == 750
    asyncio.run(engine.close())
    assert engine.sync.closed


def test_closing_on_one_loop_tells_the_others(url: str) -> None:
    engine = AsyncEngine(url)
    said: list[str] = []
    begun = threading.Event()

    async def wait() -> None:
        begun.set()
        try:
            await engine.wait_for_events("acme", latest=True)
        except Refused as refused:
            said.append(refused.name)

    thread = threading.Thread(target=asyncio.run, args=(wait(),))
    thread.start()
    begun.wait()
    asyncio.run(engine.close())
    thread.join(10)
    assert said == ["closed"]


def test_nothing_is_left_of_loops_that_ended(url: str) -> None:
    engine = AsyncEngine(url)
    grant(engine.sync, 1_000)
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def main() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        left = asyncio.create_task(engine.wait_for_events("acme", latest=True))
        await pay(engine)
        del left

    folder = Path("/proc/self/fd")
    before = len(os.listdir(folder)) if folder.exists() else 0
    for _ in range(20):
        asyncio.run(main())
    gc.collect()
    assert len([loop for loop in loops if loop() is not None]) <= 1
    if folder.exists():
        assert len(os.listdir(folder)) <= before + 4
    engine.sync.close()


def test_an_abandoned_engine_is_closed(url: str) -> None:
    async def main() -> None:
        engine = AsyncEngine(url)
        grant(engine.sync)
        await pay(engine)

    asyncio.run(main())
    gc.collect()

    async def again() -> None:
        async with AsyncEngine(url) as engine:
            assert await balance(engine) == 99

    asyncio.run(again())


def test_the_loop_runs_while_the_file_is_locked(url: str) -> None:
    async def main() -> None:
        async with AsyncEngine(url, deadline_seconds=0.3) as engine:
            grant(engine.sync)
            ticks = 0
            with locked(url):
                task = asyncio.create_task(pay(engine))
                while not task.done():
                    await asyncio.sleep(0.01)
                    ticks += 1
                with pytest.raises(Refused) as caught:
                    await task
            assert caught.value.name == "busy" and ticks > 10
            charge(engine.sync)

    asyncio.run(main())
