"""Calls of the service itself: to order a task, and what end users are told in their language."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from .answers import plain
from .auth import Person
from .messages import language_of, sentences
from .services import Services, services
from .worker import Full, Order

demo = APIRouter(prefix="/api/demo", tags=["demo"])

_Id = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]


class TaskOrdered(BaseModel):
    """Work that a user orders."""

    model_config = ConfigDict(extra="forbid")

    template_id: _Id
    task_id: Annotated[_Id | None, Field(description="Ordered again under the same id, it is the same task.")] = None
    scene: _Id | None = None
    resolution: Literal["sd", "hd", "4k"] | None = None
    priority: Literal["standard", "accelerated"] | None = None
    extras: dict[str, int | bool | str | None] | None = None
    actual_cost: Annotated[
        str | None, Field(description="What the simulated work turns out to cost; all, if none.")
    ] = None
    fails_at: Literal["preparing", "rendering", "refining", "checking"] | None = None


async def user(request: Request, known: Annotated[Services, Depends(services)]) -> Person:
    """Let users in, by their bearer token."""
    person = known.tokens.bearer(request)
    if person is None or person.kind != "user":
        raise HTTPException(401, "a user's token is needed", {"WWW-Authenticate": "Bearer"})
    return person


@demo.post("/tasks", status_code=202)
async def order_task(
    ordered: TaskOrdered,
    by: Annotated[Person, Depends(user)],
    known: Annotated[Services, Depends(services)],
) -> dict[str, Any]:
    """Hold what the work costs and queue it; `GET /api/v1/tasks/{task_id}` and the stream tell how it goes on."""
    fields = ordered.model_dump()
    fields["task_id"] = ordered.task_id or f"task-{uuid.uuid4().hex[:12]}"
    fields["actual_cost"] = None if ordered.actual_cost is None else _amount(ordered.actual_cost)
    try:
        estimate, hold = await known.worker.take(Order(user_id=by.name, **fields))
    except Full:
        raise HTTPException(503, "too many tasks wait", {"Retry-After": "5"}) from None
    answer: dict[str, Any] = plain(
        {
            "task_id": hold.task_id,
            "pre_deduct_id": hold.hold_id,
            "frozen_amount": hold.frozen_amount,
            "balance_after": hold.balance_after,
            "expire_at": hold.expires_at,
            "calculation_basis": estimate.calculation_basis,
            "idempotent_replay": hold.idempotent_replay,
        }
    )
    return answer


@demo.get("/messages")
async def messages(response: Response, accept_language: Annotated[str | None, Header()] = None) -> dict[str, str]:
    """List what end users are told, by the name of the denial, in the language that the request asks for."""
    language = language_of(accept_language)
    response.headers.update({"Content-Language": language, "Vary": "Accept-Language"})
    return sentences(language)


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except ArithmeticError:
        raise HTTPException(422, "actual_cost is no amount") from None
    if not amount.is_finite() or amount < 0:
        raise HTTPException(422, "actual_cost is no amount")
    return amount
