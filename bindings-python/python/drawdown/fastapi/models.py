"""What each call takes. Unknown fields are refused, and nothing is converted but amounts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from .fields import Cost, Extras, Id, Metadata, Positive, Seconds, Text

Instant = Annotated[str, StringConstraints(max_length=64), Field(json_schema_extra={"format": "date-time"})]
"""An ISO 8601 instant with an offset: `2026-01-01T00:00:00Z`."""

Resolution = Literal["sd", "hd", "4k"]
Priority = Literal["standard", "accelerated"]
Channel = Literal["viewer", "creator", "external"]
Order = Literal["desc", "asc"]
Kind = Literal[
    "grant", "hold", "extend", "capture", "release", "charge", "refund", "reissue", "expire", "void", "amend",
    "rollover", "adjust", "import",
]  # fmt: skip


class Asked(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    tenant_id: Id


class EstimateAsked(Asked):
    """Work to be priced."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "tenant_id": "acme",
                "user_id": "u1",
                "template_id": "poster",
                "scene": "launch",
                "resolution": "hd",
                "priority": "standard",
                "extras": {"voice": 2, "no_watermark": True},
            }
        }
    )

    user_id: Id | None = None
    template_id: Id
    scene: Id
    resolution: Resolution = "hd"
    priority: Priority = "standard"
    extras: Extras | None = None


class PreDeductAsked(Asked):
    """An amount to be frozen for a task. An `audit_id` pins the price of that quote."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "task_id": "task-1",
                "template_id": "poster",
                "tenant_id": "acme",
                "user_id": "u1",
                "scene": "launch",
                "estimated_cost": 12.5,
                "currency": "credit",
                "expire_in": 900,
            }
        }
    )

    task_id: Id
    template_id: Id
    user_id: Id | None = None
    scene: Id
    estimated_cost: Cost
    currency: Id | None = None
    expire_in: Seconds = 900
    audit_id: Id | None = None


class CommitAsked(Asked):
    """What the work did cost. With `final` false a part is captured and the rest stays frozen."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "pre_deduct_id": "hold_019aa7b2-6f0e-7c3d-9d4c-2f6b8a1e0c55",
                "actual_cost": 10,
                "task_id": "task-1",
                "tenant_id": "acme",
                "template_id": "poster",
                "user_id": "u1",
                "final": True,
            }
        }
    )

    pre_deduct_id: Id
    actual_cost: Cost
    task_id: Id
    template_id: Id
    user_id: Id | None = None
    final: bool = True


class CancelAsked(Asked):
    """A pre-deduct to be given back."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "pre_deduct_id": "hold_019aa7b2-6f0e-7c3d-9d4c-2f6b8a1e0c55",
                "tenant_id": "acme",
                "user_id": "u1",
                "reason": "the task was withdrawn",
            }
        }
    )

    pre_deduct_id: Id
    user_id: Id | None = None
    reason: Text


class ChargeAsked(Asked):
    """An amount to be consumed at once. The priority is recorded, not priced."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "tenant_id": "acme",
                "user_id": "u1",
                "template_id": "poster",
                "task_id": "task-2",
                "amount": 2.5,
                "priority": "standard",
                "reason": "a poster",
                "metadata": {"order": "4711"},
            }
        }
    )

    user_id: Id | None = None
    template_id: Id
    task_id: Id | None = None
    amount: Positive
    priority: Priority
    reason: Text
    metadata: Metadata | None = None
    audit_id: Id | None = None


class RefundAsked(Asked):
    """What was charged or captured under a task, or by one entry, to be given back: a part, or what is left."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["task_id"], "properties": {"task_id": {"type": "string"}, "ledger_id": {"type": "null"}}},
                {
                    "required": ["ledger_id"],
                    "properties": {"ledger_id": {"type": "string"}, "task_id": {"type": "null"}},
                },
            ],
            "example": {
                "tenant_id": "acme",
                "user_id": "u1",
                "task_id": "task-2",
                "amount": 1,
                "reason": "it was blurred",
                "operator": "ops-7",
            },
        }
    )

    user_id: Id | None = None
    task_id: Id | None = None
    ledger_id: Id | None = None
    amount: Positive | None = None
    reason: Text
    operator: Id

    @model_validator(mode="after")
    def _names_one(self) -> RefundAsked:
        if (self.task_id is None) == (self.ledger_id is None):
            raise PydanticCustomError("one_of", "exactly one of `task_id` and `ledger_id` is needed")
        return self


class LicenceAsked(Asked):
    """A question whether a user may use a template. The session is recorded, and changes nothing."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "tenant_id": "acme",
                "template_id": "poster",
                "user_id": "u1",
                "channel": "creator",
                "session_id": "s-77",
            }
        }
    )

    template_id: Id
    user_id: Id | None = None
    channel: Channel
    session_id: Id | None = None


class Queried(BaseModel):
    """The query of a request."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AccountQuery(Queried):
    """An account: of a user, or the tenant's pool."""

    tenant_id: Id
    user_id: Id | None = None
    currency: Id | None = None


class LedgerQuery(AccountQuery):
    """Entries of an account, the latest first unless `order` says otherwise."""

    task_id: Id | None = None
    kind: Kind | None = None
    from_: Annotated[Instant | None, Field(alias="from")] = None
    to: Instant | None = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 50
    cursor: Id | None = None
    order: Order = "desc"


class TaskQuery(Queried):
    """Whose task it is, for a caller of no single tenant."""

    tenant_id: Id | None = None


class StepsQuery(TaskQuery):
    """Steps of a task after the one with this cursor."""

    after: Id | None = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 1_000


class StreamQuery(TaskQuery):
    """Where a stream resumes, and the token of a caller that can send no header."""

    token: Annotated[str | None, Field(max_length=4_096)] = None
    last_event_id: Id | None = None
