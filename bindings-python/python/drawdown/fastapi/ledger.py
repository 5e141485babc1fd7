"""Calls that read the ledger."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from .._generated.types import StatementLine
from .calls import Calls, answer
from .credits import PRIORITY
from .models import AccountQuery, LedgerQuery


class Ledger(Calls):
    """The two calls under `credits/` that read."""

    async def ledger(self, request: Request, asked: Annotated[LedgerQuery, Query()]) -> Response:
        """Lists a page of the entries of a user's account, or of the tenant's pool.

        Where the tenant's pool pays for its users, those of the pool that the user caused.
        """
        _, tenant_id, user_id = self.enter(request, asked.tenant_id, asked.user_id)
        owner = await self.payer(tenant_id, user_id)
        page = await self.engine.entries(
            tenant_id=tenant_id,
            owner=owner,
            unit=asked.currency,
            user_id=user_id if owner == "pool" else None,
            task_id=asked.task_id,
            kind=asked.kind,
            from_=asked.from_,
            to=asked.to,
            order=asked.order,
            cursor=asked.cursor,
            limit=asked.limit,
        )
        return answer({"entries": [self._entry(line) for line in page.entries], "next_cursor": page.next_cursor})

    async def balance(self, request: Request, asked: Annotated[AccountQuery, Query()]) -> Response:
        """Says what a user's account has, or the tenant's pool. An account that never had an entry has zeros."""
        _, tenant_id, user_id = self.enter(request, asked.tenant_id, asked.user_id)
        owner = await self.payer(tenant_id, user_id)
        balance = await self.engine.balance(tenant_id=tenant_id, owner=owner, unit=asked.currency)
        return answer(
            {
                "balance": self.amount(balance.available),
                "frozen": self.amount(balance.frozen),
                "currency": balance.unit,
            }
        )

    def _entry(self, line: StatementLine) -> dict[str, Any]:
        amounts = ("change", "balance_after", "frozen_change", "frozen_after")
        as_booked = (
            "ledger_id", "kind", "task_id", "reason", "policy_tag", "created_at", "effective_at", "user_id",
            "template_id", "operator", "audit_id",
        )  # fmt: skip
        metadata = dict(line.metadata or {})
        return {
            **{name: getattr(line, name) for name in as_booked},
            **{name: self.amount(getattr(line, name)) for name in amounts},
            "pre_deduct_id": line.hold_id,
            "priority": metadata.pop(PRIORITY, None),
            "metadata": metadata or None,
        }
