"""The people of the sample, and what they are given at the first start."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal

import drawdown
import yaml
from drawdown import AsyncEngine, IdempotencyConflict
from pydantic import BaseModel, ConfigDict


class _Read(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Grant(_Read):
    """A grant that someone gets once. Amounts are text, so that none goes through a float."""

    key: str
    type: Literal["trial", "new_user", "campaign", "invite", "purchased", "plan"]
    amount: str
    expires_in_days: int | None = None
    template_id: str | None = None


class LowBalance(_Read):
    """From when a balance counts as low."""

    below: str
    recovered_from: str


class Owned(_Read):
    """What an owner is given."""

    grants: list[Grant] = []
    low_balance: LowBalance | None = None


class Licence(_Read):
    """A licence that the tenant has."""

    template_id: str
    user_id: str | None = None
    channels: list[Literal["viewer", "creator", "external"]]
    total_quota: int | None = None
    daily_quota: int | None = None
    required_documents: list[str] = []
    policy_tag: str | None = None


class People(_Read):
    """Everyone, and what they are given."""

    operator: str
    worker: str
    users: dict[str, Owned]
    pool: Owned = Owned()
    licences: dict[str, Licence] = {}

    @classmethod
    def read(cls, path: Path) -> People:
        """Read them from YAML.

        Raises `ValueError` with every mistake.
        """
        return cls.model_validate(yaml.safe_load(path.read_text("utf-8")))


async def seed(engine: AsyncEngine, tenant_id: str, people: People) -> int:
    """Give everyone what the file says, under keys: what was given before is not given again.

    Returns how much of it was new.
    """
    new = 0
    owners = {drawdown.user(name): owned for name, owned in people.users.items()}
    for owner, owned in {**owners, drawdown.POOL: people.pool}.items():
        for grant in owned.grants:
            new += await _once(
                engine, "grant_credit", f"seed:{owner}:{grant.key}", **_grant(owner, grant), **_by(tenant_id, people)
            )
        if owned.low_balance is not None:
            low = {"owner": owner, "low_balance": owned.low_balance.model_dump()}
            new += await _once(engine, "set_low_balance", f"seed:{owner}:low-balance", **low, **_by(tenant_id, people))
    for licence_id, licence in people.licences.items():
        fields = {"licence_id": licence_id, **licence.model_dump()}
        new += await _once(engine, "set_licence", f"seed:licence:{licence_id}", **fields, **_by(tenant_id, people))
    return new


async def _once(engine: AsyncEngine, command: str, key: str, **fields: Any) -> bool:
    """Execute a command unless one was executed under its key.

    Expiries count from now, so the same command is another one tomorrow: the key is asked first. Of two processes that
    start at once one is told of the conflict, which says the same.
    """
    if await engine.operation_by_key(tenant_id=fields["tenant_id"], idempotency_key=key) is not None:
        return False
    try:
        receipt = await getattr(engine, command)(idempotency_key=key, **fields)
    except IdempotencyConflict:
        return False
    return not receipt.idempotent_replay


def _by(tenant_id: str, people: People) -> dict[str, Any]:
    return {"tenant_id": tenant_id, "operator": people.operator, "actor": "seed", "reason": "the sample's first start"}


def _grant(owner: str, grant: Grant) -> dict[str, Any]:
    days = grant.expires_in_days
    return {
        "owner": owner,
        "type": grant.type,
        "amount": grant.amount,
        "expires_at": None if days is None else datetime.now(timezone.utc) + timedelta(days=days),
        "scope": None if grant.template_id is None else {"template_id": grant.template_id},
    }
