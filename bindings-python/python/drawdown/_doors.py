"""How an event loop asks an engine: by a bridge where it can watch a socket, else by threads."""

import asyncio
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from . import _native

# The kind of a command as in its JSON, the names of its fields, and their values.
Taken: TypeAlias = tuple[str, tuple[str, ...], tuple[object, ...]]

# How long a thread waits for events at once: so long the interpreter waits for it at its end.
_SLICE_SECONDS = 0.25


class BridgeDoor:
    """The bridge of one event loop, and who waits on it. All of it runs on the loop's thread.

    What is asked is sent at once, and one coroutine awaits the answer: each further one would cost as much again.
    """

    def __init__(self, native: _native.Engine, loop: asyncio.AbstractEventLoop) -> None:
        """Watch the bridge's socket on the loop; NotImplementedError where the loop cannot."""
        self._native = native
        self._bridge = _native.Bridge()
        self._futures: dict[int, asyncio.Future[Any]] = {}
        loop.add_reader(self._bridge.fileno(), self._drain)

    def run(self, kind: str, names: tuple[str, ...], values: tuple[object, ...]) -> Awaitable[Any]:
        """Submit a command."""
        return self._answer(self._bridge.run(self._native, kind, names, values))

    def preview(self, kind: str, names: tuple[str, ...], values: tuple[object, ...]) -> Awaitable[Any]:
        """Decide a command without committing it."""
        return self._answer(self._bridge.preview(self._native, kind, names, values))

    def run_many(self, commands: list[Taken]) -> Awaitable[Any]:
        """Run commands in order, each by itself."""
        return self._answer(self._bridge.run_many(self._native, commands))

    def run_all(self, commands: list[Taken]) -> Awaitable[Any]:
        """Run commands as one."""
        return self._answer(self._bridge.run_all(self._native, commands))

    def call(self, name: str, names: tuple[str, ...], values: tuple[object, ...]) -> Awaitable[Any]:
        """Ask a question."""
        return self._answer(self._bridge.call(self._native, name, names, values))

    async def wait_for_events(self, names: tuple[str, ...], values: tuple[object, ...], seconds: float) -> Any:
        """Wait for the next page that has an event, or for so long."""
        number = self._bridge.wait_for_events(self._native, names, values)
        future = self._expect(number)
        try:
            while True:
                await asyncio.wait([future], timeout=None if seconds == float("inf") else seconds)
                if future.done():
                    return future.result()
                if (page := self._bridge.give_up(number)) is not None:
                    return page
                seconds = 0.01  # what stands in the books is still being read
        finally:
            self._forget(number, future)

    async def finish(self) -> None:
        """Return once what a thread has begun is answered; begin nothing more."""
        await asyncio.to_thread(self._bridge.finish)

    async def close(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer everybody, and watch no more."""
        self._drain()
        self.abandon(loop)

    def abandon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tell whoever still waits that the engine is closed."""
        self._bridge.close()
        self._drain()
        loop.remove_reader(self._bridge.fileno())

    async def _answer(self, number: int) -> Any:
        future = self._expect(number)
        try:
            return await future
        except BaseException:
            self._forget(number, future)
            raise

    def _expect(self, number: int) -> asyncio.Future[Any]:
        # At once: the answer may be there before the loop comes to anything else.
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._futures[number] = future
        return future

    def _forget(self, number: int, future: asyncio.Future[Any]) -> None:
        if self._futures.pop(number, None) is not None:
            self._bridge.forget(number)
        elif not future.cancelled():
            # Cancelled after it was answered: nobody will ask for the exception, and none is to be missed.
            future.exception()

    def _drain(self) -> None:
        for number, answer in self._bridge.drain():
            future = self._futures.pop(number, None)
            if future is None or future.done():
                continue
            if isinstance(answer, BaseException):
                future.set_exception(answer)
            else:
                future.set_result(answer)


class ThreadDoor:
    """The same by Python's threads, for loops that cannot watch a socket (Proactor)."""

    def __init__(self, native: _native.Engine) -> None:
        """Ask this engine."""
        self._native = native

    async def run(self, kind: str, names: tuple[str, ...], values: tuple[object, ...]) -> Any:
        """Run a command."""
        return await asyncio.to_thread(self._native.run, kind, names, values)

    async def preview(self, kind: str, names: tuple[str, ...], values: tuple[object, ...]) -> Any:
        """Decide a command without committing it."""
        return await asyncio.to_thread(self._native.preview, kind, names, values)

    async def run_many(self, commands: list[Taken]) -> Any:
        """Run commands in order, each by itself."""
        return await asyncio.to_thread(self._native.run_many, commands)

    async def run_all(self, commands: list[Taken]) -> Any:
        """Run commands as one."""
        return await asyncio.to_thread(self._native.run_all, commands)

    async def call(self, name: str, names: tuple[str, ...], values: tuple[object, ...]) -> Any:
        """Ask a question."""
        return await asyncio.to_thread(self._native.call, name, names, values)

    async def wait_for_events(self, names: tuple[str, ...], values: tuple[object, ...], seconds: float) -> Any:
        """Wait for the next page that has an event, or for so long."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            left = until - loop.time()
            page = await asyncio.to_thread(self._native.wait_for_events, names, values, min(left, _SLICE_SECONDS))
            if page.events or left <= _SLICE_SECONDS:
                return page
            names, values = _after(names, values, page.next)

    async def finish(self) -> None:
        """Do nothing: each thread ends with its answer."""

    async def close(self, loop: asyncio.AbstractEventLoop) -> None:
        """Do nothing: each thread ends with its answer."""

    def abandon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Do nothing: each thread ends with its answer."""


Door: TypeAlias = BridgeDoor | ThreadDoor


def _nobody() -> None:
    return None


_NOBODY: Final = (_nobody, _nobody)


class Doors:
    """The door of each event loop that asks one engine."""

    def __init__(self, native: _native.Engine) -> None:
        """Begin without any."""
        self._native = native
        self._lock = threading.Lock()
        self._doors: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Door] = weakref.WeakKeyDictionary()
        # The loop that asked last, which mostly is the only one, and its door: neither lives longer for it.
        self._last: tuple[Callable[[], object], Callable[[], Door | None]] = _NOBODY

    def of(self, loop: asyncio.AbstractEventLoop) -> Door:
        """Answer the door of this running loop."""
        known, kept = self._last
        if known() is loop and (last := kept()) is not None:
            return last
        door = self._doors.get(loop) or self._open(loop)
        self._last = weakref.ref(loop), weakref.ref(door)
        return door

    async def close(self) -> None:
        """Close the engine, once whatever it has taken is answered, and every door."""
        await asyncio.to_thread(self._native.close)
        with self._lock:
            asked = list(self._doors.values())
        for door in asked:
            await door.finish()
        here = asyncio.get_running_loop()
        with self._lock:
            doors = list(self._doors.items())
            self._doors.clear()
        for loop, door in doors:
            if loop is here:
                await door.close(loop)
            elif not loop.is_closed():
                _soon(loop, door.abandon, loop)

    def _open(self, loop: asyncio.AbstractEventLoop) -> Door:
        with self._lock:
            # What waits on a loop that is closed waits for ever, and keeps the loop.
            for closed in [known for known in self._doors if known.is_closed()]:
                del self._doors[closed]
            try:
                door: Door = BridgeDoor(self._native, loop)
            except (AttributeError, NotImplementedError):
                door = ThreadDoor(self._native)
            self._doors[loop] = door
            return door


def _soon(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *args: object) -> None:
    try:
        loop.call_soon_threadsafe(function, *args)
    except RuntimeError:
        pass  # it was closed meanwhile


def _after(
    names: tuple[str, ...], values: tuple[object, ...], cursor: object
) -> tuple[tuple[str, ...], tuple[object, ...]]:
    given = dict(zip(names, values, strict=True)) | {"after": cursor}
    return tuple(given), tuple(given.values())
