"""What a router was told."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from drawdown import AsyncEngine

from .._generated.types import LateCommit, OverCapture
from .answers import DecimalText, Number
from .auth import Authenticate
from .errors import Codes
from .tokens import StreamTokens

Amounts = Literal["number", "string"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of a router, checked."""

    engine: AsyncEngine
    authenticate: Authenticate
    codes: Codes
    amounts: Amounts
    require_idempotency_key: bool
    strict_licences: bool
    quote_every_estimate: bool
    heartbeat_seconds: float
    over_capture: OverCapture
    late_commit: LateCommit
    max_body_bytes: int
    tokens: StreamTokens

    @property
    def amount_type(self) -> Any:
        """Says the type of amounts in answers, for the OpenAPI document."""
        return Number if self.amounts == "number" else DecimalText

    def amount(self, value: Decimal) -> Decimal | str:
        """Writes an amount as answers have it."""
        return value if self.amounts == "number" else decimal_text(value)


def decimal_text(value: Decimal) -> str:
    """Writes an amount as a decimal string: no exponent, no zeros at the end."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
