"""Calls that price, freeze and consume credit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from drawdown import POOL

from .._generated.types import (
    CaptureReceipt,
    ChargeReceipt,
    FundedEstimate,
    HoldReceipt,
    LineItem,
    RefundReceipt,
    ReleaseReceipt,
)
from .auth import OPERATOR
from .calls import Calls, answer, spender
from .errors import Problem, absent
from .models import CancelAsked, ChargeAsked, CommitAsked, EstimateAsked, PreDeductAsked, RefundAsked
from .settings import decimal_text
from .wire import Caller

MISSING: Final = "pre_deduct_not_found"

PRIORITY: Final = "$priority"
"""Under which name of an entry's metadata the priority of a charge is kept."""


class Credits(Calls):
    """The calls under `credits/` but the two that read the ledger."""

    async def estimate(self, request: Request, asked: EstimateAsked) -> Response:
        """Says what work costs by the price book in force, and what the account lacks to pay it.

        An estimate that the balance does not cover is still an answer: `suggest_topup` says what is missing.
        """
        caller, tenant_id, user_id = self.enter(request, asked.tenant_id, asked.user_id)
        ask = self.engine.quote if self.settings.quote_every_estimate else self.engine.estimate
        extras = asked.extras or {}
        priced = await ask(
            tenant_id=tenant_id,
            owner=POOL if user_id is None else None,
            user_id=user_id,
            template_id=asked.template_id,
            scene=asked.scene,
            resolution=asked.resolution,
            priority=asked.priority,
            extras=extras,
            **caller.trace,
        )
        return answer(self._estimated(priced, extras))

    async def pre_deduct(self, request: Request, asked: PreDeductAsked) -> Response:
        """Freezes an amount for a task until it is committed, cancelled, or `expire_in` seconds have passed."""
        caller, tenant_id, user_id = self.enter(request, asked.tenant_id, asked.user_id)
        held = await self.engine.place_hold(
            tenant_id=tenant_id,
            **spender(user_id),
            unit=asked.currency,
            amount=asked.estimated_cost,
            expire_in=asked.expire_in,
            task_id=asked.task_id,
            template_id=asked.template_id,
            scene=asked.scene,
            audit_id=asked.audit_id,
            over_capture=self.settings.over_capture,
            late_commit=self.settings.late_commit,
            **caller.context,
        )
        return answer(self._pre_deducted(held, held.frozen_amount, "frozen"))

    async def commit(self, request: Request, asked: CommitAsked) -> Response:
        """Captures what the work did cost; what is left of the pre-deduct comes back, unless `final` is false."""
        caller, tenant_id, user_id = self.enter(request, asked.tenant_id, asked.user_id, missing=MISSING)
        refusal = await self._reach(caller, tenant_id, asked.pre_deduct_id)
        with absent("hold_id", refusal):
            captured = await self.engine.capture_hold(
                tenant_id=tenant_id,
                hold_id=asked.pre_deduct_id,
                actual_cost=asked.actual_cost,
                final=asked.final,
                task_id=asked.task_id,
                template_id=asked.template_id,
                user_id=user_id,
                **caller.context,
            )
        return answer(self._pre_deducted(captured, captured.captured_total, captured.status))

    async def cancel(self, request: Request, asked: CancelAsked) -> Response:
        """Gives back everything that a pre-deduct froze."""
        caller, tenant_id, user_id = self.enter(request, asked.tenant_id, asked.user_id, missing=MISSING)
        refusal = await self._reach(caller, tenant_id, asked.pre_deduct_id)
        with absent("hold_id", refusal):
            released = await self.engine.release_hold(
                tenant_id=tenant_id,
                hold_id=asked.pre_deduct_id,
                user_id=user_id,
                reason=asked.reason,
                **caller.context,
            )
        return answer(
            {
                "pre_deduct_id": released.hold_id,
                "status": released.status,
                "reason": released.reason,
                "balance_after": decimal_text(released.balance_after),
                **_receipt(released),
            }
        )

    async def charge(self, request: Request, asked: ChargeAsked) -> Response:
        """Consumes an amount at once."""
        caller, tenant_id, user_id = self.enter(request, asked.tenant_id, asked.user_id)
        metadata = asked.metadata or {}
        if PRIORITY in metadata:
            raise Problem.invalid(f"metadata.{PRIORITY}", "the name is kept for the priority")
        charged = await self.engine.charge(
            tenant_id=tenant_id,
            **spender(user_id),
            amount=asked.amount,
            task_id=asked.task_id,
            template_id=asked.template_id,
            audit_id=asked.audit_id,
            reason=asked.reason,
            metadata={**metadata, PRIORITY: asked.priority},
            **caller.context,
        )
        return answer(
            {
                "ledger_id": charged.ledger_id,
                "tenant_id": tenant_id,
                "user_id": user_id,
                "task_id": charged.task_id,
                "change": self.amount(charged.change),
                "balance_after": self.amount(charged.balance_after),
                "reason": charged.reason,
                "created_at": charged.created_at,
                **_receipt(charged),
            }
        )

    async def refund(self, request: Request, asked: RefundAsked) -> Response:
        """Gives back what was charged or captured, or a part of it, to the grants that it came from.

        The caller needs the role `operator`.
        """
        caller, tenant_id, user_id = self.enter(request, asked.tenant_id, asked.user_id)
        if OPERATOR not in caller.identity.roles:
            raise Problem.named(
                "refund_not_allowed", "the caller has no role `operator`", details={"required_role": OPERATOR}
            )
        unknown = Problem.named(
            "refund_not_allowed", f"there is no charge `{asked.ledger_id}`", details={"ledger_id": asked.ledger_id}
        )
        with absent("ledger_id", unknown):
            refunded = await self.engine.refund(
                tenant_id=tenant_id,
                **spender(user_id),
                task_id=asked.task_id,
                ledger_id=asked.ledger_id,
                amount=asked.amount,
                reason=asked.reason,
                operator=asked.operator,
                **caller.context,
            )
        return answer(
            {
                "refund_id": refunded.refund_id,
                "ledger_id": refunded.ledger_id,
                "change": self.amount(refunded.change),
                "balance_after": self.amount(refunded.balance_after),
                "forfeited": self.amount(refunded.forfeited),
                "created_at": refunded.created_at,
                **_receipt(refunded),
            }
        )

    async def _reach(self, caller: Caller, tenant_id: str, hold_id: str) -> Problem:
        """Refuses a pre-deduct of another user than the only one that the caller reaches; answers what says so."""
        refusal = Problem.named(MISSING, f"there is no hold `{hold_id}`", details={"pre_deduct_id": hold_id})
        await self.reach_hold(caller.identity, tenant_id, hold_id, refusal)
        return refusal

    def _pre_deducted(self, held: HoldReceipt | CaptureReceipt, frozen: Decimal, status: str) -> dict[str, Any]:
        # Where no licence is needed nothing is counted: no limit, no use.
        quota = held.quota_snapshot
        return {
            "pre_deduct_id": held.hold_id,
            "frozen_amount": self.amount(frozen),
            "balance_after": self.amount(held.balance_after),
            "quota_snapshot": {
                "template_quota": -1 if quota is None else quota.template_quota,
                "user_usage": 0 if quota is None else quota.user_usage,
            },
            "expire_at": held.expires_at,
            "status": status,
            "task_id": held.task_id,
            "ledger_id": held.ledger_id,
            **_receipt(held),
        }

    def _estimated(self, priced: FundedEstimate, asked: dict[str, Any]) -> dict[str, Any]:
        amounts = ("current_balance", "selected_cost", "estimated_cost", "min_cost", "max_cost", "suggest_topup")
        as_asked = (
            "currency",
            "template_id",
            "scene",
            "resolution",
            "priority",
            "calculation_basis",
            "policy_tag",
            "audit_id",
        )
        return {
            **{name: getattr(priced, name) for name in as_asked},
            **{name: self.amount(getattr(priced, name)) for name in amounts},
            "extras": {name: _normal(asked[name]) for name in priced.extras},
            "options": [
                {
                    "priority": option.priority,
                    "total_cost": self.amount(option.total_cost),
                    "eta_minutes": option.eta_minutes,
                }
                for option in priced.options
            ],
            "line_items": [self._line_item(line) for line in priced.line_items],
        }

    def _line_item(self, line: LineItem) -> dict[str, Any]:
        return {
            "item": line.item,
            "name": line.name,
            "quantity": None if line.quantity is None else self.amount(line.quantity),
            "rate": line.rate,
            "amount": self.amount(line.amount),
        }


def _normal(asked: object) -> object:
    """Writes an extra as it was asked for: `true` is a quantity of 1."""
    return 1 if asked is True else asked


def _receipt(
    receipt: HoldReceipt | CaptureReceipt | ReleaseReceipt | ChargeReceipt | RefundReceipt,
) -> dict[str, Any]:
    """Says what every accepted command says."""
    return {
        "policy_tag": receipt.policy_tag,
        "audit_id": receipt.audit_id,
        "idempotent_replay": receipt.idempotent_replay,
    }
