"""What a refused or failed call answers: one body for denials, errors and the failures of the framework."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http import HTTPStatus
from typing import Any, Final, Literal

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from .._errors import DrawdownError, Failed
from .._generated.codes import DENIALS, ERRORS, Code, UsedBy
from .._generated.errors import PayloadInvalid
from .names import field_names, used_by

LOGGER: Final = logging.getLogger("drawdown.fastapi")

Codes = Literal["short", "long"]

# Failures that no command comes to: those of the framework, and of a host's hook.
_FRAMEWORK: Final[Mapping[int, tuple[str, str]]] = {
    400: ("payload_invalid", "42201"),
    401: ("unauthenticated", "40101"),
    403: ("forbidden", "40300"),
    404: ("not_found", "40400"),
    405: ("method_not_allowed", "40500"),
    413: ("payload_too_large", "42201"),
    415: ("media_type_unsupported", "41500"),
    422: ("payload_invalid", "42201"),
}


# Not frozen: whatever carries an exception on sets its traceback.
@dataclass(eq=False)
class Problem(Exception):
    """An answer that is an error."""

    error: str
    message: str
    status: int
    code: str
    long_code: str
    details: Mapping[str, Any] = field(default_factory=dict)
    retryable: bool = False
    retry_at: datetime | None = None
    audit_id: str | None = None
    policy_tag: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def named(cls, name: str, message: str, *, used_by: UsedBy = "write", **more: Any) -> Problem:
        """Makes the denial or error of this name, with the code that the platform has for it in such a call."""
        code = code_of(name, used_by)
        return cls(name, message, code.http_status, code.short, code.long, **more)

    @classmethod
    def invalid(cls, path: str, message: str) -> Problem:
        """Makes `payload_invalid` that names one field."""
        return cls.mistakes([(path, message)])

    @classmethod
    def mistakes(cls, mistakes: Sequence[tuple[str, str]], *, name: str = "payload_invalid") -> Problem:
        """Lists every mistake, and names the field of the first."""
        path, message = mistakes[0]
        listed = [{"path": path, "message": message} for path, message in mistakes]
        return cls.named(name, f"`{path}`: {message}", details={"field": path, "errors": listed})

    @classmethod
    def framework(cls, status: int, message: str, headers: Mapping[str, str] | None = None) -> Problem:
        """Makes a failure of the framework by its HTTP status."""
        name, code = _FRAMEWORK.get(status, (HTTPStatus(status).phrase.lower().replace(" ", "_"), f"{status}00"))
        return cls(name, message, status, code, code, headers=dict(headers or {}))

    def body(self, request_id: str, codes: Codes) -> dict[str, Any]:
        """Writes the fields of the error body."""
        return {
            "code": self.code if codes == "short" else self.long_code,
            "error": self.error,
            "message": self.message,
            "details": self.details,
            "retryable": self.retryable,
            "retry_at": self.retry_at,
            "request_id": request_id,
            "audit_id": self.audit_id,
            "policy_tag": self.policy_tag,
        }

    def all_headers(self) -> dict[str, str]:
        """Writes the headers of the answer: `Retry-After` in whole seconds wherever `retry_at` is set."""
        headers = dict(self.headers)
        if self.status == HTTPStatus.UNAUTHORIZED:
            headers.setdefault("WWW-Authenticate", "Bearer")
        if self.retry_at is not None:
            left = (self.retry_at - datetime.now(timezone.utc)).total_seconds()
            headers["Retry-After"] = str(max(0, math.ceil(left)))
        return headers


@contextmanager
def absent(field: str, refusal: Problem) -> Iterator[None]:
    """Refuses an id that is none as one that names nothing."""
    try:
        yield
    except PayloadInvalid as failure:
        if failure.details.get("field") != field:
            raise
        raise refusal from None


def problem_of(failure: Exception, call: str) -> Problem:
    """Says what any failure of a call answers."""
    match failure:
        case Problem():
            return failure
        case DrawdownError():
            return _of_engine(failure, call)
        case RequestValidationError():
            return _of_validation(failure)
        case HTTPException():
            return Problem.framework(failure.status_code, _sentence(str(failure.detail)), failure.headers)
        case ClientDisconnect():
            return Problem.framework(400, "the client went away")
        case _:
            LOGGER.error("a call failed", exc_info=failure)
            return Problem.named("internal", "the call failed; the log of the service says why")


def _of_engine(failure: DrawdownError, call: str) -> Problem:
    if isinstance(failure, Failed):
        LOGGER.warning("the engine failed: %s", failure.message)
    # What cannot be done now is what the caller asked for, whatever was asked for it on the way.
    failure.used_by = used_by(call)
    message, details = _in_words_of_the_surface(failure, field_names(call))
    return Problem.named(
        failure.wire_name,
        message,
        used_by=failure.used_by,
        details=details,
        retryable=failure.retryable,
        retry_at=failure.retry_at,
        audit_id=failure.audit_id,
        policy_tag=failure.policy_tag,
    )


def _in_words_of_the_surface(failure: DrawdownError, fields: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Says message and details of the fields that the caller knows."""
    message, details = failure.message, dict(failure.details)
    inner = details.get("field")
    if not isinstance(inner, str):
        return message, details
    root, dot, rest = inner.partition(".")
    outer = fields.get(root, root) + dot + rest
    message = message.replace(f"`{inner}`", f"`{outer}`", 1)
    details["field"] = outer
    if failure.name in ("payload_invalid", "amount_invalid"):
        details.setdefault("errors", [{"path": outer, "message": message}])
    return message, details


def _of_validation(failure: RequestValidationError) -> Problem:
    errors = failure.errors()
    mistakes = [(_path(error["loc"]), _message(error)) for error in errors]
    kinds = {error["type"] for error in errors}
    if kinds == {"metadata_too_large"}:
        return Problem.mistakes(mistakes, name="payload_too_large")
    return Problem.mistakes(mistakes, name="amount_invalid" if kinds == {"amount_invalid"} else "payload_invalid")


def _path(loc: Sequence[str | int]) -> str:
    path = ""
    # The first part says where the field stands: in the body, the query, the path.
    for part in loc[1:]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path or "."


def _message(error: Mapping[str, Any]) -> str:
    match error["type"]:
        case "extra_forbidden":
            return "unknown fields are refused"
        case "missing":
            return "it is missing"
        case _:
            return _sentence(str(error["msg"]))


def _sentence(text: str) -> str:
    """Writes it as messages are written here: lower case, no full stop."""
    text = text.rstrip(".")
    return text[:1].lower() + text[1:]


def code_of(name: str, used_by: UsedBy) -> Code:
    """Looks up the code of a denial or error in such a call.

    A name that no call of the platform is documented to answer is an internal failure there.
    """
    code = DENIALS.get((name, "platform", used_by)) or ERRORS.get((name, "platform"))
    return code or ERRORS["internal", "platform"]
