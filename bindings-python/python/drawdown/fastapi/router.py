"""The router: the whole platform API over an engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, get_args

from fastapi import APIRouter, Header, Security
from fastapi.params import Depends
from fastapi.security import HTTPBearer

from drawdown import AsyncEngine

from .._generated.types import LateCommit, OverCapture
from . import answers
from .auth import Authenticate, everyone
from .credits import Credits
from .documents import error_responses
from .errors import Codes
from .ledger import Ledger
from .licences import Licences
from .settings import Amounts, Settings
from .stream import Stream, StreamRoute
from .tasks import Tasks
from .tokens import StreamTokens
from .wire import ExactResponse, ExactRoute, UnknownRoute

_EVERY_METHOD: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

BEARER: Final = HTTPBearer(auto_error=False, description="What the host's hook reads.")
"""What the OpenAPI document says of authentication unless told otherwise."""


def router(
    engine: AsyncEngine,
    *,
    authenticate: Authenticate | None = None,
    insecure: bool = False,
    prefix: str = "/api/v1",
    codes: Codes = "short",
    amounts: Amounts = "number",
    require_idempotency_key: bool = False,
    strict_licences: bool = False,
    quote_every_estimate: bool = False,
    over_capture: OverCapture = "reject",
    late_commit: LateCommit = "reject",
    heartbeat_seconds: float = 25,
    max_body_bytes: int = 64 * 1024,
    stream_secret: bytes | None = None,
    stream_token_seconds: int = 300,
    security: Callable[..., Any] | None = BEARER,
    tags: tuple[str, ...] = ("platform",),
) -> APIRouter:
    """Makes a router with the platform API: credits, licences, tasks and their stream.

    `authenticate` answers from a request who calls; without it the router is made only where `insecure` lets anyone
    reach everything. What lies under `prefix` and no route of the application takes is answered in the form of all
    errors.

    - `codes`: `"short"` as the platform documents say (`"0901"`), or `"long"` with five digits always (`"40901"`).
    - `amounts`: how answers write them, `"number"` or `"string"`; both are read.
    - `require_idempotency_key`: whether every POST needs the header `X-Idempotency-Key`.
    - `strict_licences`: whether a check of a licence that is revoked or used up is an error of 403, no answer.
    - `quote_every_estimate`: whether a pre-deduct or charge can name the `audit_id` of any estimate to have its price.
    - `over_capture`: what a commit above its pre-deduct does: `"reject"`, or `"draw"` the excess from the balance.
    - `late_commit`: what a commit after the expiry does: `"reject"`, or `"draw"` anew.
    - `heartbeat_seconds`: how often a stream says that it lives; above 0.
    - `max_body_bytes`: the largest body, 64 KiB unless given.
    - `stream_secret`: what tokens of streams are signed with: 32 bytes or more, the same in all processes.
    - `stream_token_seconds`: for how long such a token can be used to connect.
    - `security`: what the OpenAPI document says of authentication.

    Raises `ValueError` for options that make no sense, and without both a hook and `insecure`.

    >>> app = FastAPI()
    >>> app.include_router(router(engine, authenticate=who_calls))
    """
    if (authenticate is None) != insecure:
        raise ValueError("give the router `authenticate`, a hook that says who calls; or `insecure=True`, never both")
    if not heartbeat_seconds > 0 or max_body_bytes <= 0 or stream_token_seconds <= 0:
        raise ValueError("`heartbeat_seconds`, `max_body_bytes` and `stream_token_seconds` are above 0")
    _one_of("codes", codes, get_args(Codes))
    _one_of("amounts", amounts, get_args(Amounts))
    _one_of("over_capture", over_capture, get_args(OverCapture))
    _one_of("late_commit", late_commit, get_args(LateCommit))
    settings = Settings(
        engine=engine,
        authenticate=authenticate or everyone,
        codes=codes,
        amounts=amounts,
        require_idempotency_key=require_idempotency_key,
        strict_licences=strict_licences,
        quote_every_estimate=quote_every_estimate,
        heartbeat_seconds=heartbeat_seconds,
        over_capture=over_capture,
        late_commit=late_commit,
        max_body_bytes=max_body_bytes,
        tokens=StreamTokens(stream_secret, seconds=stream_token_seconds),
    )
    documented = [] if insecure or security is None else [Security(security)]
    return _Assembly(settings, prefix, list(tags), documented).assemble()


def _one_of(option: str, given: object, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        raise ValueError(f"`{option}` is one of {', '.join(allowed)}")


async def _request_id(
    x_request_id: Annotated[
        str | None, Header(description="1 to 128 visible ASCII characters; it comes back, and goes into the audit.")
    ] = None,
) -> None:
    """Documents the header; the route has read it."""


async def _idempotency_key(
    x_idempotency_key: Annotated[
        str | None,
        Header(
            description="Under one key a command takes effect once: 1 to 255 visible ASCII characters.",
            min_length=1,
            max_length=255,
            pattern="^[!-~]+$",
        ),
    ] = None,
) -> None:
    """Documents the header; the route has read it."""


class _Assembly:
    """A router under construction."""

    def __init__(self, settings: Settings, prefix: str, tags: list[str], security: list[Depends]) -> None:
        self.settings = settings
        self.security = security
        self.router = APIRouter(
            prefix=prefix,
            tags=list(tags),
            route_class=self._route(ExactRoute),
            default_response_class=ExactResponse,
            generate_unique_id_function=lambda route: route.name,
        )

    def assemble(self) -> APIRouter:
        settings = self.settings
        credits, ledger, licences = Credits(settings), Ledger(settings), Licences(settings)
        tasks, stream = Tasks(settings), Stream(settings)
        self._post("/credits/estimate", credits.estimate, self._with_amounts(answers.Estimated))
        self._post("/credits/pre-deduct", credits.pre_deduct, self._with_amounts(answers.PreDeducted))
        self._post("/credits/commit", credits.commit, self._with_amounts(answers.PreDeducted))
        self._post("/credits/cancel", credits.cancel, answers.Cancelled)
        self._post("/credits/charge", credits.charge, self._with_amounts(answers.Charged))
        self._post("/credits/refund", credits.refund, self._with_amounts(answers.Refunded))
        self._get("/credits/ledger", ledger.ledger, self._with_amounts(answers.LedgerPage))
        self._get("/credits/balance", ledger.balance, self._with_amounts(answers.BalanceNow))
        self._post("/licenses/check", licences.check_licence, answers.LicenceChecked)
        self._get("/tasks/stream/mock", tasks.task_stream_mock, answers.StreamConfiguration)
        self._stream("/tasks/stream", stream)
        self._get("/tasks/{task_id:drawdown_text}/events", tasks.task_events, self._with_amounts(answers.TaskHistory))
        self._get("/tasks/{task_id:drawdown_text}", tasks.task, self._with_amounts(answers.TaskNow))
        self.router.add_api_route(
            "/{path:drawdown_text}",
            _nowhere,
            methods=list(_EVERY_METHOD),
            include_in_schema=False,
            route_class_override=self._route(UnknownRoute),
        )
        return self.router

    def _with_amounts(self, model: Any) -> Any:
        """Says of an answer how its amounts are written."""
        return model[self.settings.amount_type]

    def _post(self, path: str, call: Any, answered: Any) -> None:
        self._add(path, call, answered, "POST", [Security(_idempotency_key)])

    def _get(self, path: str, call: Any, answered: Any) -> None:
        self._add(path, call, answered, "GET", [])

    def _add(self, path: str, call: Any, answered: Any, method: str, headers: list[Depends]) -> None:
        self.router.add_api_route(
            path,
            call,
            methods=[method],
            name=call.__name__,
            response_model=answered,
            responses=error_responses(call.__name__, self.settings, has_body=method == "POST"),
            dependencies=[*self.security, Security(_request_id), *headers],
        )

    def _stream(self, path: str, stream: Stream) -> None:
        events = {
            "description": "Events as they happen.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
        self.router.add_api_route(
            path,
            stream.task_stream,
            methods=["GET"],
            name="task_stream",
            response_model=None,
            responses={200: events, **error_responses("task_stream", self.settings, has_body=False)},
            dependencies=[*self.security, Security(_request_id)],
            route_class_override=self._route(StreamRoute),
        )
        self.router.add_api_websocket_route(path, stream.task_socket, name="task_socket")

    def _route(self, base: type[ExactRoute]) -> type[ExactRoute]:
        return type(base.__name__, (base,), {"settings": self.settings})


async def _nowhere() -> None:
    """Does nothing: its route answers."""
