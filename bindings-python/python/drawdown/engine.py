"""The engine: `Engine` for threads, `AsyncEngine` for event loops."""

import asyncio
import atexit
import weakref
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final

from . import _native
from ._doors import Command as Taken
from ._doors import Door, Doors
from ._errors import DrawdownError
from ._generated.calls import AsyncCalls, AsyncCommands, Command, SyncCalls, SyncCommands
from ._generated.errors import BY_NAME

# Those that are closed when the interpreter ends, so that what they still have to write is written.
_open: Final[weakref.WeakSet[_native.Engine]] = weakref.WeakSet()


class Engine(SyncCommands, SyncCalls):
    """A credits engine over the books at an address.

    Every method may be called by any thread; while the engine works, other threads run. After a fork, open a new one
    in the child: the parent's answers `store` there. Do not open the file of an engine by the module `sqlite3` in
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
        config_invalid: a policy or price book has mistakes; `details["field"]` names the first.
        store: the address names no store, or the store cannot be opened.

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
                "price_books": None if price_books is None else list(price_books),
                "templates": None if templates is None else list(templates),
                "event_retention_seconds": event_retention_seconds,
                "clock": clock,
            },
        )
        _open.add(self._native)

    def execute_many(self, commands: Iterable[Command[Any] | Mapping[str, object]]) -> list[Any]:
        """Execute any number of commands in this order, 256 at a time; each is accepted or refused by itself.

        A command is a dict as in JSON: `command` names its kind, the other fields stand beside it.

        Returns:
            In the order of the commands, for each its receipt or the exception that says why not. None is raised.
        """
        return self._native.run_many(_taken(commands))

    def execute_all(self, commands: Iterable[Command[Any] | Mapping[str, object]]) -> list[Any]:
        """Execute at most 256 commands as one: all take effect, or none.

        Raises:
            batch_too_large: above 256.
            any denial of the first command that was refused, whose place, from 0, is its `index`.
        """
        return self._native.run_all(_taken(commands))

    def preview(self, command: Command[Any] | Mapping[str, object]) -> Any:
        """Decide a command without committing it: the receipt that it would be answered with, or its denial."""
        (taken,) = _taken([command])
        return self._native.preview(*taken)

    def wait_for_events(
        self,
        tenant_id: str | None = None,
        *,
        after: str | None = None,
        latest: bool = False,
        kinds: Sequence[str] | None = None,
        owner: str | None = None,
        user_id: str | None = None,
        task_id: str | None = None,
        limit: int | None = None,
        timeout_seconds: float | None = None,
    ) -> Any:
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
            cursor_expired: what follows the cursor is older than events are retained.
            closed: the engine was closed meanwhile.
        """
        names, values = _asked(tenant_id, after, latest, kinds, owner, user_id, task_id, limit)
        return self._native.wait_for_events(names, values, _seconds(timeout_seconds))

    def follow_events(
        self,
        tenant_id: str | None = None,
        *,
        after: str | None = None,
        latest: bool = False,
        kinds: Sequence[str] | None = None,
        owner: str | None = None,
        user_id: str | None = None,
        task_id: str | None = None,
        limit: int | None = None,
        timeout_seconds: float | None = None,
    ) -> Iterator[Any]:
        """Iterate over events for as long as they come. Each has a `cursor`, from which a later iteration goes on.

        It ends when none has come for `timeout_seconds`; without that, when the engine is closed, by `closed`. The rest
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

        Whatever is asked afterwards is `closed`. Closing again does nothing.
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

    def _run(self, name: str, names: tuple[str, ...], values: tuple[object, ...]) -> Any:
        return self._native.run(name, names, values)

    def _call(self, name: str, names: tuple[str, ...], values: tuple[object, ...]) -> Any:
        return self._native.call(name, names, values)


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

    @property
    def sync(self) -> Engine:
        """The same engine for threads: the same books, and closed together."""
        return self._sync

    async def execute_many(self, commands: Iterable[Command[Any] | Mapping[str, object]]) -> list[Any]:
        """Execute any number of commands in this order: see `Engine.execute_many`."""
        answers: list[Any] = await self._door().run_many(_taken(commands))
        return answers

    async def execute_all(self, commands: Iterable[Command[Any] | Mapping[str, object]]) -> list[Any]:
        """Execute at most 256 commands as one: see `Engine.execute_all`."""
        answers: list[Any] = await self._door().run_all(_taken(commands))
        return answers

    async def preview(self, command: Command[Any] | Mapping[str, object]) -> Any:
        """Decide a command without committing it: see `Engine.preview`."""
        (taken,) = _taken([command])
        return await self._door().preview(*taken)

    async def wait_for_events(
        self,
        tenant_id: str | None = None,
        *,
        after: str | None = None,
        latest: bool = False,
        kinds: Sequence[str] | None = None,
        owner: str | None = None,
        user_id: str | None = None,
        task_id: str | None = None,
        limit: int | None = None,
        timeout_seconds: float | None = None,
    ) -> Any:
        """Wait for the next page that has an event: see `Engine.wait_for_events`. It takes no thread while it waits."""
        names, values = _asked(tenant_id, after, latest, kinds, owner, user_id, task_id, limit)
        return await self._door().wait_for_events(names, values, _seconds(timeout_seconds))

    async def follow_events(
        self,
        tenant_id: str | None = None,
        *,
        after: str | None = None,
        latest: bool = False,
        kinds: Sequence[str] | None = None,
        owner: str | None = None,
        user_id: str | None = None,
        task_id: str | None = None,
        limit: int | None = None,
        timeout_seconds: float | None = None,
    ) -> AsyncIterator[Any]:
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

    async def _run(self, name: str, names: tuple[str, ...], values: tuple[object, ...]) -> Any:
        return await self._door().run(name, names, values)

    async def _call(self, name: str, names: tuple[str, ...], values: tuple[object, ...]) -> Any:
        return await self._door().call(name, names, values)

    def _door(self) -> Door:
        return self._doors.of(asyncio.get_running_loop())


def _taken(commands: Iterable[Command[Any] | Mapping[str, object]]) -> list[Taken]:
    def taken(command: Command[Any] | Mapping[str, object]) -> Taken:
        if isinstance(command, Command):
            return command.kind, command.names, command.values
        fields = dict(command)
        kind = fields.pop("command", None)
        if not isinstance(kind, str):
            raise TypeError("a command is a dict whose `command` is the name of its kind")
        return kind, tuple(fields), tuple(fields.values())

    return [taken(command) for command in commands]


def _asked(
    tenant_id: str | None,
    after: str | None,
    latest: bool,
    kinds: Sequence[str] | None,
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


def _raised(name: str, message: str, details: dict[str, Any], *said: Any) -> DrawdownError:
    names = ("retryable", "retry_at", "policy_tag", "audit_id", "used_by", "index")
    return BY_NAME[name](message, details=details, **dict(zip(names, said, strict=True)))


_native.define_errors(_raised)


@atexit.register
def _close_all() -> None:
    for native in list(_open):
        native.close()
