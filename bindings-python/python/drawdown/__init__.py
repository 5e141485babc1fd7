"""An embeddable credits engine: grants, holds, charges and refunds on an idempotent, verifiable ledger."""

from typing import Final

from ._errors import Denied, DrawdownError, Failed
from ._generated import types
from ._generated.calls import Command, CommandsAsData
from ._generated.errors import *  # noqa: F403
from ._native import ManualClock, read_json, write_json
from .engine import AsyncEngine, Engine
from .owner import POOL, organization, user

# Every command as data, not sent: `commands.charge(...)`, for `execute_many`, `execute_all` and `preview`.
commands: Final = CommandsAsData()

__all__ = [
    "POOL",
    "AsyncEngine",
    "Command",
    "Denied",
    "DrawdownError",
    "Engine",
    "Failed",
    "ManualClock",
    "commands",
    "organization",
    "read_json",
    "types",
    "user",
    "write_json",
]
