"""Answers of the engine as JSON for a browser: amounts as the decimal text that they are, times in UTC."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any


def plain(value: Any) -> Any:
    """Turn what the engine answers into what JSON has. An amount becomes text: a browser reads a number as a float.

    >>> plain(Decimal("12.50"))
    '12.50'
    """
    match value:
        case Decimal():
            return format(value, "f")
        case datetime():
            return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
        case Mapping():
            return {str(key): plain(inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(inner) for inner in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        case _:
            return value
