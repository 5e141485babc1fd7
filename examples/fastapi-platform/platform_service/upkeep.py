"""What runs beside the requests: books that are due are swept."""

from __future__ import annotations

import asyncio
import logging

from drawdown import AsyncEngine, DrawdownError

LOGGER = logging.getLogger(__name__)

_ACCOUNTS_A_SWEEP = 500


async def sweep_for_ever(engine: AsyncEngine, every_seconds: float) -> None:
    """Book what has become due, again and again, until it is cancelled.

    No balance waits for it: it lets events and totals of accounts that nobody writes to come in time. A failure is
    logged, and the next round tries again.
    """
    while True:
        try:
            while await sweep(engine):
                pass
        except DrawdownError as failure:
            LOGGER.warning("the sweep failed: %s", failure.message)
        await asyncio.sleep(every_seconds)


async def sweep(engine: AsyncEngine) -> bool:
    """Book what is due in some accounts; say whether there are more."""
    swept = await engine.sweep(limit=_ACCOUNTS_A_SWEEP)
    for failed in swept.failed:
        LOGGER.error("the sweep could not settle %s: %s", failed.account, failed.message)
    return swept.more_due
