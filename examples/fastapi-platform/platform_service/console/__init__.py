"""The page for operators: static files, their login, and an API of its own, of thin handlers on calls of the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.middleware.base import RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from .api import api
from .login import login

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
    app.middleware("http")(_with_headers)
    app.include_router(login)
    app.include_router(api)
    app.add_api_route("/console", _to_the_page, include_in_schema=False)
    app.add_api_route("/console/", _page, include_in_schema=False)
    app.mount("/console", StaticFiles(directory=STATIC), name="console")


async def _page() -> Response:
    return FileResponse(STATIC / "index.html", media_type="text/html")


async def _to_the_page() -> Response:
    # What the page names is relative to its folder.
    return RedirectResponse("/console/")


async def _with_headers(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    path = request.url.path
    if path == "/console" or path.startswith("/console/"):
        response.headers.update(_HEADERS)
        # Answers are an operator's; files are asked for anew, and are not sent again while they are the same.
        response.headers["Cache-Control"] = "no-store" if path.startswith("/console/api/") else "no-cache"
    return response
