"""An embeddable credits engine: grants, holds, charges and refunds on an idempotent, verifiable ledger."""

from ._native import ManualClock, read_json, write_json
from .engine import AsyncEngine, Engine
from .owner import POOL, organization, user

__all__ = [
    "POOL",
    "AsyncEngine",
    "Engine",
    "ManualClock",
    "organization",
    "read_json",
    "user",
    "write_json",
]
