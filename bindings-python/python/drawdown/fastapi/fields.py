"""Types of request fields, each with what it takes and how the OpenAPI document says so."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from drawdown._native import write_json

MAX_ID_BYTES: Final = 255
MAX_METADATA_BYTES: Final = 8 * 1024
MAX_EXTRAS: Final = 64
MAX_EXPIRE_IN: Final = 604_800

_DECIMAL_TEXT: Final = re.compile(r"-?[0-9]{1,13}(\.[0-9]{1,6})?", re.ASCII)
_DECIMAL_PATTERN: Final = r"^[0-9]{1,13}(\.[0-9]{1,6})?$"
# Beyond this many digits before or after the point nothing is an amount, and working with it would only cost time.
_MOST_DIGITS: Final = 40


def _amount(value: object) -> Decimal | int | str:
    """Lets through what can be an amount; whether it is one is for the engine to say."""
    match value:
        case bool():
            pass
        case int() if abs(value) < 10**_MOST_DIGITS:
            return value
        case Decimal() if value.is_finite() and abs(value.adjusted()) < _MOST_DIGITS:
            return value
        case str() if _DECIMAL_TEXT.fullmatch(value):
            return value
        case _:
            pass
    raise PydanticCustomError("amount_invalid", "a decimal number, or the text of one, with at most 6 decimal places")


def _whole(value: object) -> object:
    """Reads `900.0` as `900`: JSON does not tell them apart."""
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) < _MOST_DIGITS:
        return int(value) if value == value.to_integral_value() else value
    return value


def _at_most_255_bytes(text: str) -> str:
    if len(text.encode()) > MAX_ID_BYTES:
        raise PydanticCustomError("text_too_long", "at most 255 bytes")
    return text


def _small(metadata: dict[str, Any]) -> dict[str, Any]:
    if len(write_json(metadata)) > MAX_METADATA_BYTES:
        raise PydanticCustomError("metadata_too_large", "at most 8 KiB of JSON")
    return metadata


def _extra(value: object) -> object:
    if isinstance(value, str):
        return value
    return value if value is None or isinstance(value, bool) else _quantity(value)


def _quantity(value: object) -> Decimal | int:
    given = _amount(value)
    if isinstance(given, str) or not 0 <= given <= 1_000_000_000:
        raise PydanticCustomError(
            "quantity_invalid", "a quantity from 0 to 1000000000, true, false, null, or the name of an option"
        )
    return given


def _amount_schema(bound: str) -> WithJsonSchema:
    number = {"type": "number", bound: 0, "maximum": 9_223_372_036_854}
    return WithJsonSchema(
        {
            "anyOf": [number, {"type": "string", "pattern": _DECIMAL_PATTERN}],
            "description": "An exact amount with at most 6 decimal places: a JSON number, or the text of one.",
        }
    )


_EXTRA_SCHEMA = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": 1_000_000_000},
        {"type": "boolean"},
        {"type": "string"},
        {"type": "null"},
    ]
}

Cost = Annotated[Any, BeforeValidator(_amount), _amount_schema("minimum")]
"""An amount of 0 or more."""

Positive = Annotated[Any, BeforeValidator(_amount), _amount_schema("exclusiveMinimum")]
"""An amount above 0."""

Id = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_ID_BYTES, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$"),
    AfterValidator(_at_most_255_bytes),
]
"""A text id: 1 to 255 bytes, no control characters."""

Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
"""Words of the caller: no U+0000."""

Seconds = Annotated[int, Field(ge=1, le=MAX_EXPIRE_IN), BeforeValidator(_whole)]
"""Seconds: 1 to 604,800, which are 7 days."""

Metadata = Annotated[dict[str, Any], AfterValidator(_small)]
"""What the caller notes: an object of at most 8 KiB, in which every field is free."""

Extras = Annotated[
    dict[Id, Annotated[Any, BeforeValidator(_extra), WithJsonSchema(_EXTRA_SCHEMA)]], Field(max_length=MAX_EXTRAS)
]
"""Extras by their names: a quantity, `true` for 1, or the name of an option."""
