"""The page for operators: static files, their login, and an API of its own, of thin handlers on calls of the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import api, login

STATIC: Final = Path(__file__).parent / "static"

_HEADERS: Final = {
    # All that the page uses comes from this service; nothing is written into it, and nothing may frame it.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def mount_console(app: FastAPI) -> None:
    """Mount the page at `/console`."""
    app.add_middleware(_Headers)
    app.include_router(login.routes)
    app.include_router(api.routes)
    app.add_api_route("/console", _to_the_page, include_in_schema=False)
    app.add_api_route("/console/", _page, include_in_schema=False)
    app.mount("/console", StaticFiles(directory=STATIC), name="console")


async def _page() -> Response:
    return FileResponse(STATIC / "index.html", media_type="text/html")


async def _to_the_page() -> Response:
    # What the page names is relative to its folder.
    return RedirectResponse("/console/")


class _Headers:
    """Puts the headers on every answer of the console, streams too."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or not (path == "/console" or path.startswith("/console/")):
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                # Answers are an operator's; files are asked for anew, and are not sent again while they are the same.
                headers["Cache-Control"] = "no-store" if path.startswith("/console/api/") else "no-cache"
            await send(message)

        await self.app(scope, receive, send_with_headers)
