"""Events of the engine as Server-Sent Events for the page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

from drawdown import AsyncEngine, DrawdownError

from ..answers import plain

_RETRY_MILLISECONDS: Final = 2_000
_PAGE: Final = 100


async def lines(engine: AsyncEngine, tenant_id: str, page: Any, heartbeat_seconds: float) -> AsyncIterator[bytes]:
    """Write the events of a page and all that follow. Each has its cursor as id, so the page resumes after it."""
    yield b"retry: %d\n\n" % _RETRY_MILLISECONDS
    now = asyncio.get_running_loop().time
    due = now()
    try:
        while True:
            for event in page.events:
                yield _line("event", event.cursor, plain(event))
            if now() >= due:
                # It tells at once where to resume, though nothing may happen for long.
                yield _line("heartbeat", page.next, {})
                due = now() + heartbeat_seconds
            page = await engine.wait_for_events(
                tenant_id=tenant_id, after=page.next, limit=_PAGE, timeout_seconds=max(0.0, due - now())
            )
    except DrawdownError:
        return  # the engine was closed: the page connects again, and finds out


def _line(kind: str, cursor: str, content: Any) -> bytes:
    return f"id: {cursor}\nevent: {kind}\ndata: {json.dumps(content, ensure_ascii=False)}\n\n".encode()
