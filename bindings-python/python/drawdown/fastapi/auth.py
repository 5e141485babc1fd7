"""Who calls: the hook that a host gives, what it answers, and what a caller may reach."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import HTTPConnection

from .errors import Problem

OPERATOR: Final = "operator"
"""The role that may refund."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who calls, as the host's hook says it.

    `tenant` is the only tenant that the caller reaches; None for any, which is for gateways of the host's own.
    `user_id` is the only user whose credit the caller reaches; None for any of the tenant. `actor` is recorded with
    everything the caller does. Of `roles` the router knows `operator`, which may refund. `verified` says that the host
    made sure in a second way that the user means it.

    >>> Identity(tenant="acme", actor="svc-web", roles=frozenset({"operator"}))
    """

    tenant: str | None
    actor: str | None = None
    roles: frozenset[str] = field(default_factory=frozenset)
    verified: bool = False
    user_id: str | None = None


Authenticate = Callable[[HTTPConnection], Identity | Awaitable[Identity | None] | None]
"""The hook: from a request or WebSocket to who calls; None for nobody known. It may be async, and may raise any denial.

On the stream, where a browser can send no header, the `token` of the query is handed to it as `Authorization: Bearer`.
"""


def everyone(_: HTTPConnection) -> Identity:
    """Lets anyone reach everything: what a router that is told `insecure` does."""
    return Identity(tenant=None, roles=frozenset({OPERATOR}))


async def identify(authenticate: Authenticate, connection: HTTPConnection) -> Identity:
    """Asks the hook.

    Raises `unauthenticated` when it knows nobody.
    """
    answer = authenticate(connection)
    identity = await answer if inspect.isawaitable(answer) else answer
    if identity is None:
        raise Problem.named("unauthenticated", "the caller is not known")
    return identity


def reach_tenant(identity: Identity, tenant_id: str | None, *, missing: str) -> str:
    """Says which tenant a call is about.

    A tenant that the caller does not reach reads as if what is asked for did not exist: the denial named by `missing`.
    """
    if tenant_id is None:
        if identity.tenant is None:
            raise Problem.invalid("tenant_id", "needed of a caller who reaches every tenant")
        return identity.tenant
    if identity.tenant not in (None, tenant_id):
        raise Problem.named(missing, f"there is no tenant `{tenant_id}` for this caller", details={"given": tenant_id})
    return tenant_id


def reach_user(identity: Identity, user_id: str | None, *, missing: str) -> str | None:
    """Says which user a call is about; None for the tenant's pool.

    A caller bound to a user means that user where none is named. Another reads as if it did not exist.
    """
    if identity.user_id is None or user_id == identity.user_id:
        return user_id
    if user_id is None:
        return identity.user_id
    raise Problem.named(missing, f"there is no user `{user_id}` for this caller", details={"given": user_id})
