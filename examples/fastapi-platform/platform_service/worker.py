"""The task worker: it holds what a task will cost, works, and captures what the work was worth, or gives it back."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final, Literal

import drawdown
from drawdown import AsyncEngine, DrawdownError

LOGGER = logging.getLogger(__name__)

STAGES: Final = (("preparing", 10), ("rendering", 40), ("refining", 75), ("checking", 95))
"""What the simulated work does, and how far it is then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Work that a user wants. `fails_at` is the stage at which the simulation breaks down."""

    task_id: str
    user_id: str
    template_id: str
    scene: str | None = None
    resolution: Literal["sd", "hd", "4k"] | None = None
    priority: Literal["standard", "accelerated"] | None = None
    extras: dict[str, Any] | None = None
    actual_cost: Decimal | None = None
    fails_at: str | None = None


class Full(Exception):
    """As many tasks wait as may."""


class WorkFailed(Exception):
    """The work came to nothing."""


class TaskWorker:
    """Works on tasks, some at once.

    A task is held for before it is queued: whoever cannot pay is told at once, and what waits is paid. When the process
    dies, its holds run out by themselves and the credit is back; when it ends in order, they are released.
    """

    def __init__(
        self, engine: AsyncEngine, tenant_id: str, *, actor: str, at_once: int, waiting: int, step_seconds: float
    ):
        self._engine = engine
        self._tenant_id = tenant_id
        self._actor = actor
        self._at_once = at_once
        self._step_seconds = step_seconds
        self._queue: asyncio.Queue[Order] = asyncio.Queue(waiting)
        self._running: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to work."""
        self._running = [asyncio.create_task(self._work_for_ever()) for _ in range(self._at_once)]

    async def close(self) -> None:
        """Stop working, and give back what was held for tasks that are not done."""
        for running in self._running:
            running.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        while not self._queue.empty():
            await self._fail(self._queue.get_nowait(), "the service was closed")

    async def take(self, order: Order) -> Any:
        """Hold what an order costs, and queue it. The same order again is answered as the first time, and not queued.

        Returns:
            The estimate and the receipt of the hold.

        Raises:
            Full: as many tasks wait as may; nothing was held.
            DrawdownError: the platform's refusals, `insufficient_balance` and `authorization_not_found` among them.
        """
        if self._queue.full():
            raise Full
        owner = drawdown.user(order.user_id)
        estimate = await self._engine.estimate(
            tenant_id=self._tenant_id,
            owner=owner,
            actor=order.user_id,
            template_id=order.template_id,
            scene=order.scene,
            resolution=order.resolution,
            priority=order.priority,
            extras=order.extras,
        )
        hold = await self._engine.place_hold(
            tenant_id=self._tenant_id,
            payer=owner,
            user_id=order.user_id,
            actor=order.user_id,
            amount=estimate.selected_cost,
            price_basis=estimate.calculation_basis,
            task_id=order.task_id,
            template_id=order.template_id,
            scene=order.scene,
            idempotency_key=f"task:{order.task_id}:hold",
        )
        if not hold.idempotent_replay:
            # What came between the look at the queue and here is at most what other requests queued meanwhile.
            await self._queue.put(order)
        return estimate, hold

    async def _work_for_ever(self) -> None:
        while True:
            order = await self._queue.get()
            try:
                await self._work(order)
            except asyncio.CancelledError:
                await self._fail(order, "the service was closed")
                raise
            except WorkFailed as failure:
                await self._fail(order, str(failure))
            except Exception:
                LOGGER.exception("task %s broke down", order.task_id)
                await self._fail(order, "the work broke down")

    async def _work(self, order: Order) -> None:
        """Do the work of a task; capture what it was worth."""
        for number, (stage, progress) in enumerate(STAGES):
            left = (len(STAGES) - number) * self._step_seconds
            await self._engine.advance_task(
                tenant_id=self._tenant_id,
                task_id=order.task_id,
                stage=stage,
                progress=progress,
                next_eta=datetime.now(timezone.utc) + timedelta(seconds=left),
                actor=self._actor,
                idempotency_key=f"task:{order.task_id}:{stage}",
            )
            await asyncio.sleep(self._step_seconds)  # a real worker calls its model here
            if stage == order.fails_at:
                raise WorkFailed(f"the model failed while {stage}")
        await self._engine.complete_task(
            tenant_id=self._tenant_id,
            task_id=order.task_id,
            actual_cost=order.actual_cost,
            actor=self._actor,
            idempotency_key=f"task:{order.task_id}:end",
        )

    async def _fail(self, order: Order, reason: str) -> None:
        """Give back what was held. A hold that has ended meanwhile has nothing left to give."""
        try:
            await self._engine.fail_task(
                tenant_id=self._tenant_id,
                task_id=order.task_id,
                reason=reason,
                actor=self._actor,
                idempotency_key=f"task:{order.task_id}:failed",
            )
        except DrawdownError as refused:
            LOGGER.warning("task %s was not failed: %s", order.task_id, refused.message)
