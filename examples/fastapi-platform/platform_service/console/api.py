"""What the page asks, of the operator's tenant: each handler is a call of the engine and its answer."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from drawdown import ConfigInvalid
from drawdown.types import AccountKey, Fault
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict

from ..answers import plain
from ..services import Services, services
from .feed import lines
from .login import operator, same_origin

routes = APIRouter(
    prefix="/console/api", include_in_schema=False, dependencies=[Depends(same_origin), Depends(operator)]
)

Known = Annotated[Services, Depends(services)]

# A field of a form that nothing was written into is not asked for.
_empty = BeforeValidator(lambda given: None if given == "" else given)
Text = Annotated[str | None, _empty]
Instant = Annotated[AwareDatetime | None, _empty]

_PAGE = 1_000
_MOST_OWNERS = 1_000
"""So many owners a form offers; any other can be written into it."""


class Asked(BaseModel):
    """What the page sends."""

    model_config = ConfigDict(extra="forbid")


class LedgerAsked(Asked):
    """Which entries."""

    owner: Text = None
    kind: Text = None
    task_id: Text = None
    from_: Instant = None
    to: Instant = None
    order: Literal["desc", "asc"] = "desc"
    cursor: Text = None
    limit: int = 50


class Quantity(Asked):
    """So many of an extra."""

    quantity: Decimal


class EstimateAsked(Asked):
    """What work, for whom."""

    owner: str
    template_id: Text = None
    scene: Text = None
    resolution: Text = None
    priority: Text = None
    quantity: Text = None
    extras: dict[str, bool | Quantity | str] = {}
    """Each is there, so often, or an option by its name."""


class Pasted(Asked):
    """A price book."""

    text: str


@routes.get("/names")
async def names(known: Known) -> JSONResponse:
    """List what forms offer: owners, and what the price book in force knows."""
    books = await known.engine.price_books()
    book = books[-1].book if books else {}
    return JSONResponse(
        {
            "owners": await _owners(known),
            **{part: list(book.get(part) or {}) for part in ("templates", "scenes", "resolutions", "priorities")},
            "extras": plain(book.get("extras") or {}),
            "price_books": [plain_book(book) for book in books],
        }
    )


@routes.get("/account")
async def account(known: Known, owner: str) -> JSONResponse:
    """Say what an owner has: the balance, rules, and what stands in the way of spending."""
    whose = {"tenant_id": known.settings.tenant_id, "owner": owner}
    balance = await known.engine.balance(**whose)
    rules = await known.engine.rules(**whose)
    grants = await known.engine.grants(**whose)
    return JSONResponse(plain({"balance": balance, "rules": rules, "grants": grants}))


@routes.get("/explain")
async def explain(known: Known, owner: str, amount: str, template_id: Text = None, app_id: Text = None) -> JSONResponse:
    """Say from which grants an amount would be drawn, and why in that order."""
    found = await known.engine.explain(
        tenant_id=known.settings.tenant_id, owner=owner, amount=amount, template_id=template_id, app_id=app_id
    )
    return JSONResponse(plain(found))


@routes.get("/ledger")
async def ledger(known: Known, asked: Annotated[LedgerAsked, Query()]) -> JSONResponse:
    """List entries, a page at a time."""
    found = await known.engine.entries(tenant_id=known.settings.tenant_id, **asked.model_dump())
    return JSONResponse(plain(found))


@routes.get("/history")
async def history(
    known: Known, owner: str, from_: Instant = None, to: Instant = None, limit: int = 500
) -> JSONResponse:
    """List the balance after each of the latest entries of an account, the oldest first."""
    page = await known.engine.entries(
        tenant_id=known.settings.tenant_id, owner=owner, from_=from_, to=to, order="desc", limit=limit
    )
    points = [
        {"at": entry.created_at, "balance": entry.balance_after, "kind": entry.kind, "change": entry.change}
        for entry in reversed(page.entries)
    ]
    return JSONResponse(plain({"points": points, "is_cut": page.next_cursor is not None}))


@routes.get("/events")
async def events(known: Known, request: Request, after: Text = None, oldest: bool = False) -> StreamingResponse:
    """Tell what happens, as it happens, by Server-Sent Events; `Last-Event-ID` goes on after that event."""
    after = request.headers.get("last-event-id") or after
    first = await known.engine.events(
        tenant_id=known.settings.tenant_id, after=after, from_="oldest" if after or oldest else "latest", limit=100
    )
    told = lines(known.engine, known.settings.tenant_id, first, known.settings.heartbeat_seconds)
    return StreamingResponse(told, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


@routes.get("/licences")
async def licences(known: Known, template_id: Text = None, after: Text = None, limit: int = 50) -> JSONResponse:
    """List licences as they stand now."""
    found = await known.engine.licences(
        tenant_id=known.settings.tenant_id, template_id=template_id, after=after, limit=limit
    )
    return JSONResponse(plain(found))


@routes.get("/policy")
async def policy(known: Known) -> JSONResponse:
    """Say what the tenant decides about its credit."""
    return JSONResponse(plain(await known.engine.policy(tenant_id=known.settings.tenant_id)))


@routes.get("/spent")
async def spent(known: Known, spender: str, app_id: Text = None) -> JSONResponse:
    """Say what a spender has charged and holds today."""
    found = await known.engine.spent(tenant_id=known.settings.tenant_id, spender=spender, app_id=app_id)
    return JSONResponse(plain(found))


@routes.post("/estimate")
async def estimate(known: Known, asked: EstimateAsked) -> JSONResponse:
    """Say what work costs, and what of it the owner lacks."""
    extras = {name: extra.quantity if isinstance(extra, Quantity) else extra for name, extra in asked.extras.items()}
    work = {**asked.model_dump(exclude={"extras"}), "extras": extras}
    found = await known.engine.estimate(tenant_id=known.settings.tenant_id, actor=known.people.operator, **work)
    return JSONResponse(plain(found))


@routes.post("/check-price-book")
async def check_price_book(known: Known, pasted: Pasted) -> JSONResponse:
    """Read a price book; a mistaken one is an answer here, with every mistake and its path."""
    try:
        book = await known.engine.check_price_book(text=pasted.text)
    except ConfigInvalid as refused:
        details = plain(refused.details)
        return JSONResponse(
            {"is_valid": False, "message": refused.message, "errors": details.get("errors", []), "details": details}
        )
    return JSONResponse({"is_valid": True, "book": plain_book(book)})


@routes.post("/verify")
async def verify(known: Known) -> JSONResponse:
    """Recompute the books from their first entry, and say where they part from what is kept."""
    began = datetime.now().astimezone()
    report = await known.engine.verify()
    took = (datetime.now().astimezone() - began).total_seconds()
    # One feed carries the books of all tenants, so all are read; of the others only the number of faults is told.
    faults = [fault for fault in report.faults if _is_ours(fault, known.settings.tenant_id)]
    said = {**plain(report), "faults": plain(faults), "faults_elsewhere": len(report.faults) - len(faults)}
    return JSONResponse({"report": said, "seconds": f"{took:.3f}", "at": plain(began)})


@routes.get("/health")
async def health(known: Known) -> JSONResponse:
    """Say how the engine does."""
    return JSONResponse(plain(await known.engine.health()))


async def _owners(known: Services) -> list[str]:
    """List who has an account of the tenant, a page of the books after the other."""
    owners: dict[str, None] = {}
    after: AccountKey | None = None
    while len(owners) < _MOST_OWNERS:
        page = await known.engine.accounts(after=after, limit=_PAGE)
        owners |= {account.owner: None for account in page if account.tenant_id == known.settings.tenant_id}
        if len(page) < _PAGE:
            break
        after = page[-1]
    return list(owners)[:_MOST_OWNERS]


def _is_ours(fault: Fault, tenant_id: str) -> bool:
    return fault.account is None or fault.account.tenant_id == tenant_id


def plain_book(book: object) -> object:
    """Say which book it is, without its prices."""
    said: dict[str, object] = plain(book)
    said.pop("book", None)
    return said
