"""The way of a request through the router: who asks, an exact body in and out, one form for all that fails."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from fastapi.routing import APIRoute
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from drawdown._native import read_json, write_json

from .auth import Identity, identify
from .errors import Problem, problem_of
from .settings import Settings

REQUEST_ID: Final = "X-Request-Id"
IDEMPOTENCY_KEY: Final = "X-Idempotency-Key"

_REQUEST_ID: Final = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
_IDEMPOTENCY_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
_JSON: Final = re.compile(r"application/([\w.+-]+\+)?json\s*(;.*)?", re.ASCII | re.IGNORECASE)


class _AnyText(Convertor[str]):
    """The rest of a path, whatever it is: that of Starlette ends before a line break."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("drawdown_text", _AnyText())


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and under which ids."""

    identity: Identity
    request_id: str
    idempotency_key: str | None = None

    @property
    def context(self) -> dict[str, Any]:
        """Lists the fields of a command's context that come from the caller."""
        return {**self.trace, "idempotency_key": self.idempotency_key, "verified": self.identity.verified}

    @property
    def trace(self) -> dict[str, Any]:
        """Says what a question tells of who asks it, for the audit."""
        return {"actor": self.identity.actor, "request_id": self.request_id}


class ExactResponse(JSONResponse):
    """JSON in which amounts are the numbers that they are."""

    def render(self, content: Any) -> bytes:
        """Writes the content."""
        return write_json(content)


def request_id_of(connection: HTTPConnection) -> str:
    """Reads the caller's id of the request; one of our own where it gives none that can be used."""
    given = connection.headers.get(REQUEST_ID, "")
    return given if _REQUEST_ID.fullmatch(given) else f"req_{uuid.uuid4().hex}"


def refused(problem: Problem, request_id: str, settings: Settings) -> ExactResponse:
    """Answers a call that was refused or failed."""
    headers = {**problem.all_headers(), REQUEST_ID: request_id}
    return ExactResponse(problem.body(request_id, settings.codes), problem.status, headers)


class ExactRequest(Request):
    """A request whose body was read before, within its limit and exactly."""

    _exact: Any = None

    async def load(self, limit: int) -> None:
        """Reads the body.

        Raises `payload_too_large`, `media_type_unsupported`, or `payload_invalid` for what is no JSON.
        """
        self._body = await self._read(limit)
        if not self._body:
            return
        if not _JSON.fullmatch(self.headers.get("content-type", "").strip()):
            raise Problem.framework(415, "the body must be JSON: `application/json`", {"Accept": "application/json"})
        try:
            self._exact = read_json(self._body)
        except ValueError as error:
            raise Problem.invalid(".", f"the body is no JSON that can be read: {error}") from None

    async def json(self) -> Any:
        """Answers the body as it was read."""
        return self._exact

    async def _read(self, limit: int) -> bytes:
        length = self.headers.get("content-length", "")
        too_large = Problem.named(
            "payload_too_large", f"the body is larger than {limit} bytes", details={"allowed": limit}
        )
        if length.isdecimal() and (len(length) > 18 or int(length) > limit):
            raise too_large
        body = bytearray()
        async for chunk in self.stream():
            body += chunk
            if len(body) > limit:
                raise too_large
        return bytes(body)


class ExactRoute(APIRoute):
    """A route of the platform: it knows who asks before it reads what is asked."""

    settings: ClassVar[Settings]

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Puts the handler of FastAPI between what comes before it and what catches its failures."""
        handle, settings = super().get_route_handler(), self.settings

        async def handler(request: Request) -> Response:
            request_id = request_id_of(request)
            exact = ExactRequest(request.scope, request.receive)
            try:
                exact.state.caller = await self._caller(exact, request_id)
                refuse_repeated(exact)
                if self.body_field is not None:
                    await exact.load(settings.max_body_bytes)
                response = await handle(exact)
            except Exception as failure:
                return refused(problem_of(failure, self.name), request_id, settings)
            response.headers[REQUEST_ID] = request_id
            return response

        return handler

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a method that the path does not have in the form of all errors."""
        if self.methods and scope["method"] not in self.methods:
            allowed = ", ".join(sorted(self.methods))
            problem = Problem.framework(405, f"the path takes {allowed}", {"Allow": allowed})
            response = refused(problem, request_id_of(HTTPConnection(scope)), self.settings)
            await response(scope, receive, send)
            return
        await super().handle(scope, receive, send)

    async def _caller(self, request: Request, request_id: str) -> Caller:
        identity = await identify(self.settings.authenticate, request)
        if "POST" not in (self.methods or ()):
            return Caller(identity, request_id)
        return Caller(identity, request_id, idempotency_key_of(request, self.settings.require_idempotency_key))


class UnknownRoute(ExactRoute):
    """Answers what no route of the whole application takes."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Matches in part, so that any route of the host comes first."""
        match, child_scope = super().matches(scope)
        return (Match.NONE if match is Match.NONE else Match.PARTIAL), child_scope

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 404 in the form of all errors."""
        problem = Problem.framework(404, "there is no such path")
        await refused(problem, request_id_of(HTTPConnection(scope)), self.settings)(scope, receive, send)


def idempotency_key_of(request: HTTPConnection, required: bool) -> str | None:
    """Reads the caller's idempotency key.

    Raises `payload_invalid` for one that is none, and where one is required and missing.
    """
    given = request.headers.get(IDEMPOTENCY_KEY)
    if given is None and not required:
        return None
    if given is None or not _IDEMPOTENCY_KEY.fullmatch(given):
        raise Problem.invalid(IDEMPOTENCY_KEY, "1 to 255 visible ASCII characters" if given else "it is missing")
    return given


def refuse_repeated(connection: HTTPConnection) -> None:
    """Refuses a query in which a field stands twice: which of two values counts would be an accident."""
    given = Counter(name for name, _ in connection.query_params.multi_items())
    if repeated := [name for name, count in given.items() if count > 1]:
        raise Problem.mistakes([(name, "it stands twice") for name in repeated])


def caller_of(request: Request) -> Caller:
    """Says who asks."""
    caller: Caller = request.state.caller
    return caller
