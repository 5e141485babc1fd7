"""What this service's own calls answer when they are refused: the platform's form, and a sentence for end users."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Any

from drawdown import DrawdownError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from .answers import plain
from .messages import language_of, sentence

_NAMES = {401: "unauthenticated", 403: "forbidden", 404: "not_found", 405: "not_allowed", 429: "too_many", 503: "busy"}


def answer_problems(app: FastAPI) -> None:
    """Let every refusal and failure of the application be answered in one form."""
    app.add_exception_handler(DrawdownError, _of_engine)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_framework)


async def _of_engine(request: Request, failure: Exception) -> JSONResponse:
    assert isinstance(failure, DrawdownError)
    headers = {}
    if failure.retry_at is not None:
        left = (failure.retry_at - datetime.now(timezone.utc)).total_seconds()
        headers["Retry-After"] = str(max(0, math.ceil(left)))
    said = {
        "code": failure.code,
        "details": plain(failure.details),
        "retryable": failure.retryable,
        "retry_at": plain(failure.retry_at),
        "audit_id": failure.audit_id,
        "policy_tag": failure.policy_tag,
    }
    return problem(request, failure.http_status, failure.wire_name, failure.message, headers, **said)


async def _of_validation(request: Request, failure: Exception) -> JSONResponse:
    assert isinstance(failure, RequestValidationError)
    errors = [{"path": ".".join(map(str, error["loc"][1:])), "message": error["msg"]} for error in failure.errors()]
    return problem(request, 422, "payload_invalid", "the request has mistakes", {}, details={"errors": errors})


async def _of_framework(request: Request, failure: Exception) -> JSONResponse:
    assert isinstance(failure, HTTPException)
    name = _NAMES.get(failure.status_code, "request_invalid")
    return problem(request, failure.status_code, name, str(failure.detail), dict(failure.headers or {}))


def problem(
    request: Request, status: int, name: str, message: str, headers: dict[str, str], **said: Any
) -> JSONResponse:
    """Write a problem: `message` for developers, `user_message` for whom it happens to, in the request's language."""
    language = language_of(request.headers.get("accept-language"))
    content = {"error": name, "message": message, "user_message": sentence(name, language), **said}
    headers = {**headers, "Content-Language": language, "Vary": "Accept-Language"}
    return JSONResponse(content, status, headers)
