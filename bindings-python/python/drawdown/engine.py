"""The engine: `Engine` for threads, `AsyncEngine` for event loops."""

import asyncio
import atexit
import weakref
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, TypeVar

from . import _native
from ._doors import Door, Doors, Taken
from ._errors import DrawdownError
from ._generated.calls import Ask, AsyncCalls, AsyncCommands, Command, SyncCalls, SyncCommands
from ._generated.errors import BY_NAME
from ._generated.types import EventKind, EventsPage, EventView

R = TypeVar("R")

# Those that are closed when the interpreter ends, so that what they still have to write is written.
_open: Final[weakref.WeakSet[_native.Engine]] = weakref.WeakSet()


class Engine(SyncCommands, SyncCalls):
    """A credits engine over the books at an address.

    Every method may be called by any thread; while the engine works, other threads run. After a fork, open a new one
    in the child: the parent's raises `StoreFailed` there. Do not open the file of an engine by the module `sqlite3` in
    the same process: closing it there takes away the engine's locks.

    Args:
        url: `sqlite:///absolute/path.db`, `sqlite://relative.db`, a path that ends in `.db`, or `memory://`.
        deadline_seconds: how long a command is tried again after contention; 10 by default, a day at most.
        policies: the policy of each tenant by its id, as in JSON; `"*"` is that of all others.
        risk: the risk controls of every policy that says nothing of risk.
        price_books: versions of the prices, each a dict, or text in JSON or YAML.
        templates: the templates that exist; without it, whatever is named exists.
        event_retention_seconds: how far back events are handed out; 30 days by default.
        clock: where the present is read, for tests.

    Raises:
        ConfigInvalid: a policy or price book has mistakes; `details["field"]` names the first.
        StoreFailed: the address names no store, or the store cannot be opened.

    >>> with Engine("memory://") as engine:
    ...     engine
    Engine('memory://')
    """

    def __init__(
        self,
        url: str,
        *,
        deadline_seconds: float | None = None,
        policies: Mapping[str, Mapping[str, object]] | None = None,
        risk: Mapping[str, object] | None = None,
        price_books: Iterable[str | Mapping[str, object]] | None = None,
        templates: Iterable[str] | None = None,
        event_retention_seconds: float | None = None,
        clock: _native.ManualClock | None = None,
    ) -> None:
        self._url = url
        self._native = _native.Engine(
            url,
            {
                "deadline_seconds": deadline_seconds,
                "policies": None if policies is None else {tenant: dict(policy) for tenant, policy in policies.items()},
                "risk": None if risk is None else dict(risk),
                "price_books": _listed("price_books", price_books),
                "templates": _listed("templates", templates),
                "event_retention_seconds": event_retention_seconds,
                "clock": clock,
            },
        )
        _open.add(self._native)
        self._run: Ask = self._native.run
        self._call: Ask = self._native.call

    def execute_many(self, commands: Iterable[Command[R]]) -> list[R | DrawdownError]:
        """Execute any number of commands in this order, 256 at a time; each is accepted or refused by itself.

        Commands as data are made by `drawdown.commands`, whose methods are those of the engine.

        Returns:
            In the order of the commands, for each its receipt or the exception that says why not. None is raised.
        """
        answers: list[R | DrawdownError] = self._native.run_many(_taken(commands))
        return answers

    def execute_all(self, commands: Iterable[Command[R]]) -> list[R]:
        """Execute at most 256 commands as one: all take effect, or none.

        Raises:
            BatchTooLarge: above 256.
            Denied: why the first that was refused was so; its `index` is the place of that command, from 0.
        """
        receipts: list[R] = self._native.run_all(_taken(commands))
        return receipts

    def preview(self, command: Command[R]) -> R:
        """Decide a command without committing it: the receipt that it would be answered with, or its denial."""
        receipt: R = self._native.preview(command.kind, command.names, command.values)
        return receipt

    def wait_for_events(
        self,
        tenant_id: str | None = None,
        *,
        after: str | None = None,
        latest: bool = False,
        kinds: Sequence[EventKind] | None = None,
        owner: str | None = None,
        user_id: str | None = None,
        task_id: str | None = None,
        limit: int | None = None,
        timeout_seconds: float | None = None,
    ) -> EventsPage:
        """Wait for the next page that has an event: at once if there is one, else as soon as one is committed.

        Args:
            tenant_id: only of this tenant; of all if none, which only the host itself may see.
            after: goes on after this cursor.
            latest: without a cursor, begins now instead of with the oldest event.
            kinds: only of these kinds.
            owner: only about this owner's accounts.
            user_id: only about this user.
            task_id: only about this task.
            limit: how many at most, 1 to 1,000; 50 by default.
            timeout_seconds: after so long the page is empty, and its `next` says how far it was looked; none for ever.

        Raises:
            CursorExpired: what follows the cursor is older than events are retained.
            Closed: the engine was closed meanwhile.
        """
        names, values = _asked(tenant_id, after, latest, kinds, owner, user_id, task_id, limit)
        page: EventsPage = self._native.wait_for_events(names, values, _seconds(timeout_seconds))
        return page

    def follow_events(
        self,
        tenant_id: str | None = None,
        *,
        after: str | None = None,
        latest: bool = False,
        kinds: Sequence[EventKind] | None = None,
        owner: str | None = None,
        user_id: str | None = None,
        task_id: str | None = None,
        limit: int | None = None,
        timeout_seconds: float | None = None,
    ) -> Iterator[EventView]:
        """Iterate over events for as long as they come. Each has a `cursor`, from which a later iteration goes on.

        It ends when none has come for `timeout_seconds`; without that, when the engine is closed, by `Closed`. The rest
        is as of `wait_for_events`.
        """
        while True:
            page = self.wait_for_events(
                tenant_id,
                after=after,
                latest=latest,
                kinds=kinds,
                owner=owner,
                user_id=user_id,
                task_id=task_id,
                limit=limit,
                timeout_seconds=timeout_seconds,
            )
            if not page.events:
                return
            yield from page.events
            after = page.next

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._native.closed

    def close(self) -> None:
        """Take no more commands, and return once those that were taken are answered and the audit is written.

        Whatever is asked afterwards raises `Closed`. Closing again does nothing.
        """
        self._native.close()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._url!r}{', closed' if self.closed else ''})"


class AsyncEngine(AsyncCommands, AsyncCalls):
    """The same engine for event loops: every command and question is awaited. It takes what `Engine` takes.

    A command takes effect at most once, whatever becomes of the await: when that is cancelled, it may have taken
    effect, and the same command under the same key answers whether it has. Several loops can use it, each in its
    thread. Where a loop cannot watch a socket (Proactor), threads of Python wait instead.
    """

    def __init__(
        self,
        url: str,
        *,
        deadline_seconds: float | None = None,
        policies: Mapping[str, Mapping[str, object]] | None = None,
        risk: Mapping[str, object] | None = None,
        price_books: Iterable[str | Mapping[str, object]] | None = None,
        templates: Iterable[str] | None = None,
        event_retention_seconds: float | None = None,
        clock: _native.ManualClock | None = None,
    ) -> None:
        self._sync = Engine(
            url,
            deadline_seconds=deadline_seconds,
            policies=policies,
            risk=risk,
            price_books=price_books,
            templates=templates,
            event_retention_seconds=event_retention_seconds,
            clock=clock,
        )
        self._doors = Doors(self._sync._native)
        self._run: Ask = self._run_here
        self._call: Ask = self._call_here

    @property
    def sync(self) -> Engine:
        """The same engine for threads: the same books, and closed together."""
        return self._sync

    async def execute_many(self, commands: Iterable[Command[R]]) -> list[R | DrawdownError]:
        """Execute any number of commands in this order: see `Engine.execute_many`."""
        answers: list[R | DrawdownError] = await self._door().run_many(_taken(commands))
        return answers

    async def execute_all(self, commands: Iterable[Command[R]]) -> list[R]:
        """Execute at most 256 commands as one: see `Engine.execute_all`."""
        receipts: list[R] = await self._door().run_all(_taken(commands))
        return receipts

    async def preview(self, command: Command[R]) -> R:
        """Decide a command without committing it: see `Engine.preview`."""
        receipt: R = await self._door().preview(command.kind, command.names, command.values)
        return receipt

    async def wait_for_events(
        self,
        tenant_id: str | None = None,
        *,
        after: str | None = None,
        latest: bool = False,
        kinds: Sequence[EventKind] | None = None,
        owner: str | None = None,
        user_id: str | None = None,
        task_id: str | None = None,
        limit: int | None = None,
        timeout_seconds: float | None = None,
    ) -> EventsPage:
        """Wait for the next page that has an event: see `Engine.wait_for_events`. It takes no thread while it waits."""
        names, values = _asked(tenant_id, after, latest, kinds, owner, user_id, task_id, limit)
        page: EventsPage = await self._door().wait_for_events(names, values, _seconds(timeout_seconds))
        return page

    async def follow_events(
        self,
        tenant_id: str | None = None,
        *,
        after: str | None = None,
        latest: bool = False,
        kinds: Sequence[EventKind] | None = None,
        owner: str | None = None,
        user_id: str | None = None,
        task_id: str | None = None,
        limit: int | None = None,
        timeout_seconds: float | None = None,
    ) -> AsyncIterator[EventView]:
        """Iterate over events for as long as they come: see `Engine.follow_events`."""
        while True:
            page = await self.wait_for_events(
                tenant_id,
                after=after,
                latest=latest,
                kinds=kinds,
                owner=owner,
                user_id=user_id,
                task_id=task_id,
                limit=limit,
                timeout_seconds=timeout_seconds,
            )
            if not page.events:
                return
            for event in page.events:
                yield event
            after = page.next

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._sync.closed

    async def close(self) -> None:
        """Take no more commands, and return once those that were taken are answered: see `Engine.close`."""
        await self._doors.close()

    async def __aenter__(self) -> "AsyncEngine":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._sync._url!r}{', closed' if self.closed else ''})"

    def _run_here(self, name: str, names: tuple[str, ...], values: tuple[object, ...]) -> Awaitable[Any]:
        return self._door().run(name, names, values)

    def _call_here(self, name: str, names: tuple[str, ...], values: tuple[object, ...]) -> Awaitable[Any]:
        return self._door().call(name, names, values)

    def _door(self) -> Door:
        return self._doors.of(asyncio.get_running_loop())


def _listed(name: str, given: Iterable[object] | None) -> list[object] | None:
    """Make a list; of text, which would be one of its letters, a TypeError."""
    if isinstance(given, str):
        raise TypeError(f"`{name}` takes a list of text, not text")
    return None if given is None else list(given)


def _taken(commands: Iterable[Command[Any]]) -> list[Taken]:
    return [(command.kind, command.names, command.values) for command in commands]


_native.define_errors(dict(BY_NAME))


def _asked(
    tenant_id: str | None,
    after: str | None,
    latest: bool,
    kinds: Sequence[EventKind] | None,
    owner: str | None,
    user_id: str | None,
    task_id: str | None,
    limit: int | None,
) -> tuple[tuple[str, ...], tuple[object, ...]]:
    names = ("tenant_id", "after", "from", "kinds", "owner", "user_id", "task_id", "limit")
    kinds = None if kinds is None else list(kinds)
    return names, (tenant_id, after, "latest" if latest else None, kinds, owner, user_id, task_id, limit)


def _seconds(timeout_seconds: float | None) -> float:
    return float("inf") if timeout_seconds is None else max(0.0, timeout_seconds)


@atexit.register
def _close_all() -> None:
    for native in list(_open):
        native.close()
