"""What each call answers, as the OpenAPI document shows it; the answers themselves are written by `write_json`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from .models import Kind, Priority, Resolution

_AMOUNT: Final = "An exact amount with at most 6 decimal places."


class Number:
    """An amount as a JSON number."""

    _schema: ClassVar[dict[str, Any]] = {"type": "number", "description": _AMOUNT}

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: object) -> CoreSchema:
        return core_schema.any_schema()

    @classmethod
    def __get_pydantic_json_schema__(cls, *_: object) -> dict[str, Any]:
        return dict(cls._schema)


class DecimalText(Number):
    """An amount as a decimal string."""

    _schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": r"^-?[0-9]+(\.[0-9]{1,6})?$",
        "description": _AMOUNT,
    }


Rate = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "null"}]})]
Asked = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}]})]
Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]

A = TypeVar("A")


class Answer(BaseModel):
    """An answer."""

    model_config = ConfigDict(extra="forbid")


class Option(Answer, Generic[A]):
    """What the same work costs with a priority."""

    priority: Priority
    total_cost: A
    eta_minutes: int | None


class LineItem(Answer, Generic[A]):
    """A part of the cost, and what it is for."""

    item: str
    name: str | None
    quantity: A | None
    rate: Rate
    amount: A


class Estimated(Answer, Generic[A]):
    """What work costs, why, and what is missing to pay it."""

    currency: str
    template_id: str
    scene: str
    resolution: Resolution
    priority: Priority
    current_balance: A
    selected_cost: A
    estimated_cost: A
    min_cost: A
    max_cost: A
    calculation_basis: str
    policy_tag: str | None
    audit_id: str
    suggest_topup: A
    extras: dict[str, Asked]
    options: list[Option[A]]
    line_items: list[LineItem[A]]


class QuotaSnapshot(Answer):
    """What is left of the licence, -1 without a limit, and how often the user has used it, open holds included."""

    template_quota: int
    user_usage: int


class PreDeducted(Answer, Generic[A]):
    """A pre-deduct. `frozen_amount` is what it froze; of a commit, what it captured in total."""

    pre_deduct_id: str
    frozen_amount: A
    balance_after: A
    quota_snapshot: QuotaSnapshot
    expire_at: Instant
    status: Literal["frozen", "committed", "cancelled", "expired"]
    task_id: str | None
    ledger_id: str
    policy_tag: str | None
    audit_id: str
    idempotent_replay: bool


class Cancelled(Answer):
    """A pre-deduct that was given back."""

    pre_deduct_id: str
    status: Literal["cancelled"]
    reason: str
    balance_after: DecimalText
    policy_tag: str | None
    audit_id: str
    idempotent_replay: bool


class Charged(Answer, Generic[A]):
    """What was consumed at once."""

    ledger_id: str
    tenant_id: str
    user_id: str | None
    task_id: str | None
    change: A
    balance_after: A
    reason: str
    policy_tag: str | None
    created_at: Instant
    audit_id: str
    idempotent_replay: bool


class Refunded(Answer, Generic[A]):
    """What was given back, and what of it is lost because its grants have ended."""

    refund_id: str
    ledger_id: str
    change: A
    balance_after: A
    forfeited: A
    policy_tag: str | None
    created_at: Instant
    audit_id: str
    idempotent_replay: bool


class LedgerEntry(Answer, Generic[A]):
    """One line of the ledger. The sum of `change` is the balance, that of `frozen_change` what is frozen."""

    ledger_id: str
    kind: Kind
    task_id: str | None
    change: A
    balance_after: A
    frozen_change: A
    frozen_after: A
    reason: str | None
    policy_tag: str | None
    created_at: Instant
    effective_at: Instant
    user_id: str | None
    template_id: str | None
    operator: str | None
    pre_deduct_id: str | None
    priority: str | None
    metadata: dict[str, Any] | None
    audit_id: str


class LedgerPage(Answer, Generic[A]):
    """A page of the ledger; `next_cursor` is null at the end."""

    entries: list[LedgerEntry[A]]
    next_cursor: str | None


class BalanceNow(Answer, Generic[A]):
    """What is available, and what open pre-deducts keep."""

    balance: A
    frozen: A
    currency: str


class LicenceChecked(Answer):
    """Whether a template may be used. Counts are -1 where there is no limit."""

    is_authorized: bool
    reason_code: Literal["valid", "expired", "revoked", "missing_documents", "daily_quota_exceeded", "quota_exceeded"]
    remaining_quota: int
    daily_remaining: int
    valid_until: Instant | None
    policy_tag: str | None
    requirements: list[str]
    audit_id: str


class TaskNow(Answer, Generic[A]):
    """A task as it stands; of one that was only ever charged the status is null."""

    task_id: str
    status: Literal["accepted", "running", "completed", "failed"] | None
    stage: str | None
    progress: Annotated[int, Field(ge=0, le=100)]
    credits_delta: A
    ts: Instant
    next_eta: Instant | None


class TaskStep(Answer, Generic[A]):
    """A step of a task. One without a cursor is not booked yet, and is read again."""

    task_id: str
    status: Literal["accepted", "running", "completed", "failed"]
    stage: str | None
    progress: Annotated[int, Field(ge=0, le=100)] | None
    credits_delta: A
    ts: Instant
    next_eta: Instant | None
    cursor: str | None


class TaskHistory(Answer, Generic[A]):
    """The steps of a task, the first first."""

    events: list[TaskStep[A]]
    next_cursor: str | None


class Cadence(Answer):
    """An event that a client can play to itself, so long after the one before."""

    event: str
    delay_seconds: float
    stage: str | None


class StreamConfiguration(Answer):
    """Where the stream is, a token for it, and a run of a task to rehearse with."""

    ws_url: str
    sse_url: str
    token: str
    cadence: list[Cadence]
    retry_backoff_seconds: list[int]


class Mistake(Answer):
    """What is wrong with one field."""

    path: str
    message: str


class Refusal(BaseModel):
    """An error: a client branches on the name in `error`, since several names share a code."""

    model_config = ConfigDict(extra="forbid")

    code: str
    error: str
    message: str
    details: dict[str, Any]
    retryable: bool
    retry_at: Instant | None
    request_id: str
    audit_id: str | None
    policy_tag: str | None
