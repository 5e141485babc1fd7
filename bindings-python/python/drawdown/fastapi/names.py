"""What the surface calls the fields of the engine, and which of its calls are reads or hold something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .._generated.codes import UsedBy

# A denial of the engine speaks of its own fields; the answer speaks of those that the caller sent.
_EVERYWHERE: Final[Mapping[str, str]] = {
    "hold_id": "pre_deduct_id",
    "unit": "currency",
    "payer": "user_id",
    "owner": "user_id",
    "idempotency_key": "X-Idempotency-Key",
}
_BY_CALL: Final[Mapping[str, Mapping[str, str]]] = {
    "pre_deduct": {"amount": "estimated_cost"},
    "task_events": {"cursor": "after"},
    "task_stream": {"after": "last_event_id", "cursor": "last_event_id"},
}

# Which code stands for some names depends on the kind of call; any other call is a write.
_USED_BY: Final[Mapping[str, UsedBy]] = {
    "estimate": "read",
    "pre_deduct": "hold",
    "commit": "hold",
    "ledger": "read",
    "balance": "read",
    "check_licence": "check",
    "task": "read",
    "task_events": "read",
    "task_stream": "read",
}


def field_names(call: str) -> Mapping[str, str]:
    """Lists the surface's names of fields of the engine in a call."""
    return {**_EVERYWHERE, **_BY_CALL.get(call, {})}


def used_by(call: str) -> UsedBy:
    """Says the kind of a call: `read`, `check`, `hold` or `write`."""
    return _USED_BY.get(call, "write")
