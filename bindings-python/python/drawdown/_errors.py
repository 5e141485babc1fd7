"""What is raised: refusals by the rules, and failures of the machinery. Their classes are generated; these are their bases."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from ._generated.codes import DENIALS, ERRORS, Code, Surface, UsedBy


class DrawdownError(Exception):
    """What the engine answers instead of a result.

    Branch on the class or on `name`: several names share a code. `code` and `http_status` are those of the platform's surface; `on` has
    those of the others.

    Example:
        >>> from drawdown import DrawdownError, Engine
        >>> with Engine("memory://") as engine:
        ...     try:
        ...         engine.charge(tenant_id="acme", payer="user:u1", amount=5)
        ...     except DrawdownError as refused:
        ...         print(refused.name, refused.code, refused.http_status, refused.details["available"])
        insufficient_balance 40201 402 0
    """

    name: ClassVar[str] = "internal"

    def __init__(
        self,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        retryable: bool = False,
        retry_at: datetime | None = None,
        policy_tag: str | None = None,
        audit_id: str | None = None,
        used_by: UsedBy = "write",
        index: int | None = None,
    ) -> None:
        """Take what the engine says; a host that answers a refusal of its own gives the message alone."""
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = dict(details or {})
        self.retryable = retryable
        self.retry_at = retry_at
        self.policy_tag = policy_tag
        self.audit_id = audit_id
        self.used_by: UsedBy = used_by
        self.index = index

    @property
    def wire_name(self) -> str:
        """The name on the wire: that of a denial, and of a failure what the call could not reach."""
        return self.name

    def on(self, surface: Surface) -> Code | None:
        """What a surface says for it; None where no call of the surface is answered so."""
        return ERRORS.get((self.name, surface))

    @property
    def code(self) -> str | None:
        """The code that the platform has for it, as text: `0901` keeps its zero."""
        said = self.on("platform")
        return said.short if said else None

    @property
    def http_status(self) -> int:
        """The HTTP status of that code; 500 where the platform has none."""
        said = self.on("platform")
        return said.http_status if said else 500

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with everything that was said."""
        return (
            _again,
            (type(self), self.message, {name: value for name, value in vars(self).items() if name != "message"}),
        )


class Denied(DrawdownError):
    """An expected refusal by the rules: nothing changed. Its subclasses are named as the denials are."""

    def on(self, surface: Surface) -> Code | None:
        """What a surface says for it; None where no call of the surface is denied so."""
        return DENIALS.get((self.name, surface, self.used_by))


class Failed(DrawdownError):
    """A failure of the machinery. Nothing took effect, unless it is `OutcomeUnknown`."""

    @property
    def wire_name(self) -> str:
        """What the call could not reach: the ledger, to write or to read, or the licences."""
        if self.name in ("corrupt", "output"):
            return "internal"
        return {"read": "ledger_service_unavailable", "check": "license_service_unavailable"}.get(
            self.used_by, "ledger_unavailable"
        )

    def on(self, surface: Surface) -> Code | None:
        """What a surface says for it."""
        return ERRORS.get((self.wire_name, surface))


def _again(kind: type[DrawdownError], message: str, said: dict[str, Any]) -> DrawdownError:
    error = kind(message)
    vars(error).update(said)
    return error
