"""The stream of what happens: as Server-Sent Events, and by WebSocket on the same path."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Annotated, Any, Final

from fastapi import Query, WebSocket
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocketDisconnect

from drawdown import user
from drawdown._native import write_json

from .._errors import DrawdownError
from .._generated.types import CreditsUpdated, EntryUpdated, EventKind, EventsPage, EventView
from .auth import Identity, identify
from .calls import Calls
from .errors import LOGGER, problem_of
from .models import StreamQuery
from .settings import Settings
from .tasks import MISSING
from .wire import REQUEST_ID, Caller, ExactRoute, refuse_repeated, refused, request_id_of

KINDS: Final[tuple[EventKind, ...]] = (
    "task.accepted",
    "task.running",
    "task.completed",
    "task.failed",
    "credits.updated",
    "compliance.alert",
)

HEARTBEAT: Final = "system.heartbeat"

_PAGE: Final = 100
# A client of Server-Sent Events connects again after so many milliseconds.
_RETRY_MILLISECONDS: Final = 2_000
# Own close codes of WebSockets are 4000 and above.
_CLOSE_BASE: Final = 4_000


@dataclass(frozen=True, slots=True)
class Message:
    """An event on its way to a client; `id` is where to resume after it."""

    event: str
    id: str
    content: dict[str, Any]

    def as_text(self) -> str:
        """Writes the message of a WebSocket: the content alone, which says event and id too."""
        return write_json(self.content).decode()

    def as_event(self) -> bytes:
        """Writes the lines of a Server-Sent Event."""
        return b"id: %s\nevent: %s\ndata: %s\n\n" % (self.id.encode(), self.event.encode(), write_json(self.content))


@dataclass(frozen=True, slots=True)
class Subscription:
    """Whose events a client is told: of a tenant, and there of one user or of all."""

    tenant_id: str
    user_id: str | None

    def may_read(self, event: EventView, entry: EntryUpdated) -> bool:
        """Says whether an entry is told: an account of many users has those of others beside the user's own."""
        return self.user_id in (None, entry.user_id) or event.owner == user(self.user_id)


class StreamRoute(ExactRoute):
    """A route whose caller may show a token in the query, since a browser's event source sends no header."""

    async def _caller(self, request: Request, request_id: str) -> Caller:
        return Caller(await identify_by_token(self.settings, request), request_id)


async def identify_by_token(settings: Settings, connection: HTTPConnection) -> Identity:
    """Asks for one of our own tokens, else the hook, which is handed the `token` of the query as a bearer's."""
    token = connection.query_params.get("token")
    if token is None or "authorization" in connection.headers:
        return await identify(settings.authenticate, connection)
    identity = settings.tokens.read(token)
    if identity is not None:
        return identity
    bearer = (b"authorization", b"Bearer " + token.encode("ascii", "replace"))
    scope = {**connection.scope, "headers": [*connection.scope["headers"], bearer]}
    return await identify(settings.authenticate, HTTPConnection(scope))


class Stream(Calls):
    """The call `tasks/stream`, by both protocols."""

    async def task_stream(self, request: Request, asked: Annotated[StreamQuery, Query()]) -> Response:
        """Tells what happens, as it happens, by Server-Sent Events.

        They are `task.*`, `credits.updated`, `compliance.alert` and, as long as the connection lives,
        `system.heartbeat`. `Last-Event-ID`, or `last_event_id` in the query, resumes after that event: each id is a
        cursor, and nothing ever appears behind one. Without it the stream begins now. The same path takes a WebSocket,
        which is sent what stands in `data`.
        """
        messages = await self._messages(request, request.state.caller, asked)

        async def lines() -> AsyncIterator[bytes]:
            yield b"retry: %d\n\n" % _RETRY_MILLISECONDS
            try:
                async for message in messages:
                    yield message.as_event()
            except DrawdownError as failure:
                # The answer has begun: all that is left is to end it, and the client comes again with its last id.
                LOGGER.warning("a stream ended: %s", failure.message)

        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return StreamingResponse(lines(), media_type="text/event-stream", headers=headers)

    async def task_socket(self, socket: WebSocket) -> None:
        """Sends the same by WebSocket; what the client sends is not read."""
        request_id = request_id_of(socket)
        try:
            caller = Caller(await identify_by_token(self.settings, socket), request_id)
            messages = await self._messages(socket, caller, _query_of(socket))
        except Exception as failure:
            await self._refuse(socket, failure, request_id)
            return
        await socket.accept(headers=[(REQUEST_ID.lower().encode(), request_id.encode())])
        sending = asyncio.create_task(_send_all(socket, messages))
        leaving = asyncio.create_task(_until_left(socket))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            ended = sending.exception() if sending.done() else None
            if ended is not None:
                await self._close(socket, ended)
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _refuse(self, socket: WebSocket, failure: Exception, request_id: str) -> None:
        """Answers the handshake with the error, where the server can; else the socket is closed."""
        problem = problem_of(failure, "task_stream")
        if "websocket.http.response" in socket.scope.get("extensions", {}):
            await socket.send_denial_response(refused(problem, request_id, self.settings))
        else:
            await socket.close(_CLOSE_BASE + problem.status, problem.error)

    async def _close(self, socket: WebSocket, failure: BaseException) -> None:
        if isinstance(failure, (WebSocketDisconnect, RuntimeError, OSError)) or not isinstance(failure, Exception):
            return
        problem = problem_of(failure, "task_stream")
        await socket.close(_CLOSE_BASE + problem.status, problem.error)

    async def _messages(self, connection: HTTPConnection, caller: Caller, asked: StreamQuery) -> AsyncIterator[Message]:
        """Begins the messages for a caller. A cursor that cannot be used is refused before the first."""
        _, tenant_id, user_id = self.enter_as(caller, asked.tenant_id, None, missing=MISSING)
        after = connection.headers.get("last-event-id") or asked.last_event_id
        whose = Subscription(tenant_id, user_id)
        return self._follow(whose, await self._page(whose, after))

    async def _follow(self, whose: Subscription, page: EventsPage) -> AsyncIterator[Message]:
        now = asyncio.get_running_loop().time
        # The first heartbeat tells at once where to resume, though nothing may happen for long.
        due = now()
        while True:
            for event in page.events:
                yield self._message(event, whose)
            if now() >= due:
                yield _heartbeat(page.next, whose.tenant_id)
                due = now() + self.settings.heartbeat_seconds
            page = await self._next(whose, page, due - now())

    async def _next(self, whose: Subscription, page: EventsPage, seconds: float) -> EventsPage:
        if page.more:
            return await self._page(whose, page.next)
        found: EventsPage = await self.engine.wait_for_events(
            tenant_id=whose.tenant_id,
            user_id=whose.user_id,
            kinds=KINDS,
            after=page.next,
            limit=_PAGE,
            timeout_seconds=max(0.0, seconds),
        )
        return found

    async def _page(self, whose: Subscription, after: str | None) -> EventsPage:
        return await self.engine.events(
            tenant_id=whose.tenant_id,
            user_id=whose.user_id,
            kinds=KINDS,
            after=after,
            from_="oldest" if after else "latest",
            limit=_PAGE,
        )

    def _message(self, event: EventView, whose: Subscription) -> Message:
        content = {
            "event": event.kind,
            "id": event.cursor,
            "event_id": event.event_id,
            "tenant_id": event.tenant_id,
            "user_id": event.user_id,
            "task_id": event.task_id,
            "ts": event.ts,
            "data": self._data(event, whose),
        }
        return Message(event.kind, event.cursor, content)

    def _data(self, event: EventView, whose: Subscription) -> dict[str, Any]:
        if event.task is not None:
            names = ("task_id", "status", "stage", "progress", "ts", "next_eta")
            step = event.task
            return {**{name: getattr(step, name) for name in names}, "credits_delta": self.amount(step.credits_delta)}
        if event.credits is not None:
            return self._credits(event, event.credits, whose)
        alert = event.alert
        return {name: getattr(alert, name) for name in ("audit_id", "operation", "rule", "details", "policy_tag")}

    def _credits(self, event: EventView, updated: CreditsUpdated, whose: Subscription) -> dict[str, Any]:
        amounts = ("change", "frozen_change", "balance_after", "frozen_after")
        return {
            "owner": event.owner,
            "currency": event.unit,
            "operation": updated.operation,
            **{name: self.amount(getattr(updated, name)) for name in amounts},
            "policy_tag": updated.policy_tag,
            "audit_id": updated.audit_id,
            "entries": [
                {
                    "ledger_id": entry.ledger_id,
                    "kind": entry.kind,
                    "change": self.amount(entry.change),
                    "frozen_change": self.amount(entry.frozen_change),
                    "pre_deduct_id": entry.hold_id,
                    "task_id": entry.task_id,
                    "user_id": entry.user_id,
                    "reason": entry.reason,
                    "effective_at": entry.effective_at,
                }
                for entry in updated.entries
                if whose.may_read(event, entry)
            ],
        }


def _heartbeat(cursor: str, tenant_id: str) -> Message:
    content = {"event": HEARTBEAT, "id": cursor, "tenant_id": tenant_id, "ts": datetime.now(timezone.utc)}
    return Message(HEARTBEAT, cursor, content)


def _query_of(socket: WebSocket) -> StreamQuery:
    refuse_repeated(socket)
    try:
        return StreamQuery.model_validate(dict(socket.query_params))
    except ValidationError as error:
        raise RequestValidationError(
            [{**mistake, "loc": ("query", *mistake["loc"])} for mistake in error.errors()]
        ) from None


async def _send_all(socket: WebSocket, messages: AsyncIterator[Message]) -> None:
    async for message in messages:
        await socket.send_text(message.as_text())


async def _until_left(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
