"""Calls about tasks: how one stands, its steps, and what a client needs to follow them."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Final

from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import Response

from drawdown import user

from .._generated.types import TaskStep, TaskView
from .auth import Identity
from .calls import Calls, answer
from .errors import Problem
from .fields import Id
from .models import StepsQuery, TaskQuery
from .wire import caller_of

TaskId = Annotated[Id, Path(description="The task that a pre-deduct or charge named.")]

MISSING: Final = "task_not_found"

# A run of a task to rehearse with: what happens, after how many seconds, at which stage.
_CADENCE: Final = (
    ("task.accepted", 0, "queued"),
    ("credits.updated", 0, None),
    ("task.running", 2, "preparing"),
    ("task.running", 4, "rendering"),
    ("task.running", 4, "finishing"),
    ("task.completed", 2, "done"),
    ("credits.updated", 0, None),
)

_RETRY_BACKOFF_SECONDS: Final = (1, 2, 5, 10, 30)


class Tasks(Calls):
    """The calls under `tasks/` but the stream itself."""

    async def task(self, request: Request, task_id: TaskId, asked: Annotated[TaskQuery, Query()]) -> Response:
        """Says how a task stands now, and what its latest step did to the balance."""
        caller, tenant_id, _ = self.enter(request, asked.tenant_id, None, missing=MISSING)
        task = await self.engine.task(tenant_id=tenant_id, task_id=task_id)
        await self._reach(caller.identity, tenant_id, task)
        return answer(self._step(task))

    async def task_events(self, request: Request, task_id: TaskId, asked: Annotated[StepsQuery, Query()]) -> Response:
        """Lists the steps of a task, the first first; after the one whose cursor is given.

        A step without a cursor is an expiry that is not booked yet: it is read again until it is.
        """
        caller, tenant_id, _ = self.enter(request, asked.tenant_id, None, missing=MISSING)
        if caller.identity.user_id is not None:
            await self._reach(caller.identity, tenant_id, await self.engine.task(tenant_id=tenant_id, task_id=task_id))
        page = await self.engine.task_events(tenant_id=tenant_id, task_id=task_id, after=asked.after, limit=asked.limit)
        events = [{**self._step(step), "cursor": step.cursor} for step in page.steps]
        return answer({"events": events, "next_cursor": page.next_cursor})

    async def task_stream_mock(self, request: Request) -> Response:
        """Says where the stream is, with a token for it and a run of a task that a client can play to itself."""
        identity = caller_of(request).identity
        url = request.url.replace(path=request.url.path.removesuffix("/mock"), query="", fragment="")
        beats = (("system.heartbeat", Decimal(str(self.settings.heartbeat_seconds)), None),)
        return answer(
            {
                "ws_url": str(url.replace(scheme="wss" if url.scheme == "https" else "ws")),
                "sse_url": str(url),
                "token": self.settings.tokens.issue(identity),
                "cadence": [
                    {"event": event, "delay_seconds": delay, "stage": stage}
                    for event, delay, stage in (*_CADENCE, *beats)
                ],
                "retry_backoff_seconds": list(_RETRY_BACKOFF_SECONDS),
            }
        )

    def _step(self, step: TaskView | TaskStep) -> dict[str, Any]:
        names = ("task_id", "status", "stage", "progress", "ts", "next_eta")
        return {**{name: getattr(step, name) for name in names}, "credits_delta": self.amount(step.credits_delta)}

    async def _reach(self, identity: Identity, tenant_id: str, task: TaskView) -> None:
        """Refuses a task of another user than the only one that the caller reaches."""
        refusal = Problem.named(MISSING, f"there is no task `{task.task_id}`", details={"given": task.task_id})
        if task.hold_id is not None:
            await self.reach_hold(identity, tenant_id, task.hold_id, refusal)
        elif identity.user_id is not None and not await self._is_charged(tenant_id, task.task_id, identity.user_id):
            raise refusal

    async def _is_charged(self, tenant_id: str, task_id: str, user_id: str) -> bool:
        """Says whether anything was booked for a task by this user, or in the user's own account."""
        entries = partial(self.engine.entries, tenant_id=tenant_id, task_id=task_id, limit=1)
        return bool((await entries(user_id=user_id)).entries or (await entries(owner=user(user_id))).entries)
