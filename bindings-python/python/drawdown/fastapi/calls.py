"""What every family of calls needs: the settings, who asks, and what that caller reaches."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from drawdown import POOL, user

from .auth import Identity, reach_tenant, reach_user
from .errors import Problem, absent
from .settings import Settings
from .wire import Caller, ExactResponse, caller_of


class Calls:
    """A family of calls of one router."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = settings.engine
        self.amount = settings.amount

    def enter(
        self, request: Request, tenant_id: str | None, user_id: str | None, *, missing: str = "account_not_found"
    ) -> tuple[Caller, str, str | None]:
        """Says who asks, and which tenant and user the call is about.

        What the caller does not reach reads as the denial named by `missing`.
        """
        return self.enter_as(caller_of(request), tenant_id, user_id, missing=missing)

    def enter_as(
        self, caller: Caller, tenant_id: str | None, user_id: str | None, *, missing: str
    ) -> tuple[Caller, str, str | None]:
        """Does the same for a caller who is known already."""
        tenant = reach_tenant(caller.identity, tenant_id, missing=missing)
        return caller, tenant, reach_user(caller.identity, user_id, missing=missing)

    async def reach_hold(self, identity: Identity, tenant_id: str, hold_id: str, refusal: Problem) -> None:
        """Refuses a caller who is bound to another user than the one whose hold this is."""
        if identity.user_id is None:
            return
        with absent("hold_id", refusal):
            hold = await self.engine.hold(tenant_id=tenant_id, hold_id=hold_id)
        if identity.user_id != hold.user_id and hold.owner != user(identity.user_id):
            raise refusal

    async def payer(self, tenant_id: str, user_id: str | None) -> str:
        """Says whose account a read is about: the one that pays for the user by the tenant's policy."""
        if user_id is None:
            return POOL
        policy = await self.engine.policy(tenant_id=tenant_id)
        return POOL if policy["payer"] == "tenant" else user(user_id)


def spender(user_id: str | None) -> dict[str, Any]:
    """Says who pays for a command: the user, or whom the tenant's policy says; without a user the pool."""
    return {"payer": POOL} if user_id is None else {"user_id": user_id}


def answer(content: dict[str, Any]) -> ExactResponse:
    """Answers with 200."""
    return ExactResponse(content)
