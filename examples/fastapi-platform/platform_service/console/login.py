"""The operator's login: a token once, then a signed cookie that no script can read and no other site can send."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ..auth import Person, Tokens
from ..services import Services, services

COOKIE: Final = "console"
PATH: Final = "/console"


class Login(BaseModel):
    """What the login form sends."""

    model_config = ConfigDict(extra="forbid")

    token: Annotated[str, Field(min_length=1, max_length=1_000)]


class Session(BaseModel):
    """Who is logged in."""

    name: str
    tenant_id: str


async def same_origin(request: Request) -> None:
    """Refuse what another site sent: the cookie is not sent along with that, and this is the second lock."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if foreign or site not in (None, "same-origin", "none"):
        raise HTTPException(403, "the console is asked by its own page only")


async def operator(request: Request, known: Annotated[Services, Depends(services)]) -> Person:
    """Let operators in, by the cookie of their login."""
    person = _read(request.cookies.get(COOKIE, ""), known.tokens, time.time())
    if person is None:
        raise HTTPException(401, "log in to the console")
    return person


routes = APIRouter(prefix="/console/api", include_in_schema=False, dependencies=[Depends(same_origin)])


@routes.post("/login")
async def log_in(
    sent: Login, request: Request, response: Response, known: Annotated[Services, Depends(services)]
) -> Session:
    """Take an operator's token, and answer with the cookie."""
    person = known.tokens.person(sent.token.strip())
    if person is None or person.kind != "operator":
        raise HTTPException(401, "this is no operator's token")
    seconds = int(known.settings.session_hours * 3600)
    response.set_cookie(
        COOKIE,
        _signed(person.name, int(time.time()) + seconds, known.tokens),
        max_age=seconds,
        path=PATH,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return Session(name=person.name, tenant_id=known.settings.tenant_id)


@routes.post("/logout", status_code=204)
async def log_out(response: Response) -> None:
    """Forget the cookie."""
    response.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="strict")


@routes.get("/session")
async def session(request: Request, known: Annotated[Services, Depends(services)]) -> Session | None:
    """Say who is logged in; null for nobody."""
    person = _read(request.cookies.get(COOKIE, ""), known.tokens, time.time())
    return None if person is None else Session(name=person.name, tenant_id=known.settings.tenant_id)


def _signed(name: str, ends_at: int, tokens: Tokens) -> str:
    said = f"{ends_at}:{name}".encode().hex()
    return f"{said}.{_signature(said, name, tokens)}"


def _read(cookie: str, tokens: Tokens, now: float) -> Person | None:
    """Say whose login a cookie is; None for one that is forged, over, or of someone who is no operator any more."""
    said, _, signature = cookie.partition(".")
    try:
        ends_at, _, name = bytes.fromhex(said).decode().partition(":")
        over = int(ends_at) <= now
    except ValueError:
        return None
    person = tokens.named(name)
    if person is None or person.kind != "operator" or over:
        return None
    known = _signature(said, name, tokens)
    return person if hmac.compare_digest(known.encode(), signature.encode()) else None


def _signature(said: str, name: str, tokens: Tokens) -> str:
    # The key follows from the operator's token: all processes know it, and with a new token all logins are over.
    key = hashlib.blake2b(tokens.by_name[name].encode(), person=b"console-cookie").digest()
    return hmac.new(key, said.encode(), "sha256").hexdigest()
