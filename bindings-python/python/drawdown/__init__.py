"""An embeddable credits engine: grants, holds, charges and refunds on an idempotent, verifiable ledger.

What commands and calls are given and answer stands in `drawdown.types`; every refusal has a class here.
"""

from . import types as types
from ._errors import Denied as Denied
from ._errors import DrawdownError as DrawdownError
from ._errors import Failed as Failed
from ._generated.calls import Command as Command
from ._generated.calls import CommandsAsData as CommandsAsData
from ._generated.codes import Code as Code
from ._generated.errors import *
from ._native import ManualClock as ManualClock
from ._native import read_json as read_json
from ._native import write_json as write_json
from .engine import AsyncEngine as AsyncEngine
from .engine import Engine as Engine
from .owner import POOL as POOL
from .owner import organization as organization
from .owner import user as user

commands = CommandsAsData()
"""Every command as data, for `execute_many`, `execute_all` and `preview`."""
