"""What the OpenAPI document says of errors: of every call each name, with its code and status."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from .answers import Refusal
from .errors import Problem
from .names import used_by
from .settings import Settings

_ANY: Final = ("unauthenticated", "payload_invalid", "internal")
_BODY: Final = ("payload_too_large",)
_COMMAND: Final = (*_BODY, "amount_invalid", "idempotency_conflict", "ledger_unavailable")
_SPENDS: Final = (
    "owner_invalid", "blocked", "not_a_member", "member_limit_exceeded", "account_not_found", "template_not_found",
    "authorization_missing", "daily_quota_exceeded", "quota_exceeded", "cap_exceeded", "capacity_exceeded",
    "insufficient_balance",
)  # fmt: skip
_ENDS: Final = ("pre_deduct_not_found", "pre_deduct_already_processed", "capacity_exceeded")

ERRORS: Final[Mapping[str, tuple[str, ...]]] = {
    "estimate": (
        *_BODY, "amount_invalid", "estimate_rate_limited", "account_not_found", "template_not_found",
        "authorization_missing", "pricing_unavailable", "ledger_service_unavailable",
    ),
    "pre_deduct": (*_COMMAND, *_SPENDS, "pre_deduct_already_processed", "authorization_not_found"),
    "commit": (*_COMMAND, *_ENDS, "hold_exceeded", "insufficient_balance"),
    "cancel": (*_COMMAND, *_ENDS),
    "charge": (*_COMMAND, *_SPENDS, "charge_rate_limited"),
    "refund": (
        *_COMMAND, "account_not_found", "refund_not_allowed", "refund_duplicate", "invalid_refund_amount",
        "capacity_exceeded",
    ),
    "ledger": ("account_not_found", "ledger_service_unavailable"),
    "balance": ("account_not_found", "ledger_service_unavailable"),
    "check_licence": (
        *_BODY, "account_not_found", "template_not_found", "estimate_rate_limited", "license_service_unavailable",
    ),
    "task": ("task_not_found", "ledger_service_unavailable"),
    "task_events": ("task_not_found", "ledger_service_unavailable"),
    "task_stream": ("task_not_found", "cursor_expired", "ledger_service_unavailable"),
    "task_stream_mock": (),
}  # fmt: skip
"""The names that each call can answer."""

STRICT: Final = ("authorization_revoked", "daily_quota_exceeded", "quota_exceeded")
"""The further names of a licence check where the router is strict."""


def error_responses(call: str, settings: Settings, *, has_body: bool) -> dict[int | str, dict[str, Any]]:
    """Describes the error responses of a call, by status, with an example of each name."""
    names = (*_ANY, *ERRORS[call], *(STRICT if call == "check_licence" and settings.strict_licences else ()))
    problems = [Problem.named(name, name.replace("_", " "), used_by=used_by(call)) for name in names]
    if has_body:
        problems.append(Problem.framework(415, "the body must be JSON: `application/json`"))
    responses: dict[int | str, dict[str, Any]] = {}
    for problem in sorted(problems, key=lambda problem: problem.status):
        response = responses.setdefault(problem.status, _response(problem.status))
        response["content"]["application/json"]["examples"][problem.error] = {
            "value": problem.body("req_7f3a", settings.codes),
        }
    return responses


def _response(status: int) -> dict[str, Any]:
    response: dict[str, Any] = {
        "model": Refusal,
        "description": HTTPStatus(status).phrase,
        "content": {"application/json": {"examples": {}}},
    }
    if status in (429, 503):
        response["headers"] = {
            "Retry-After": {
                "description": "Whole seconds, where it is known when a retry can succeed.",
                "schema": {"type": "string", "pattern": "^[0-9]+$"},
            }
        }
    return response
