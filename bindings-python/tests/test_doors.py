"""The same bad input through every door: each refuses it with the same words, and nothing is booked."""

import asyncio
import enum
import os
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawdown import AmountInvalid, AsyncEngine, Closed, Denied, DrawdownError, Engine, Failed, ManualClock, commands

Fields = dict[str, Any]
Door = Callable[[AsyncEngine, Fields], Awaitable[object]]

FINE: Fields = {"tenant_id": "acme", "payer": "user:u1", "amount": 1}


class Odd(enum.Enum):
    """What holds no text and no number."""

    ONE = object()


BAD: dict[str, tuple[Fields, str, str]] = {
    "a float": ({"amount": 1.5}, "amount_invalid", "amount"),
    "a whole float": ({"amount": 1.0}, "amount_invalid", "amount"),
    "no number": ({"amount": Decimal("NaN")}, "amount_invalid", "amount"),
    "a number that signals": ({"amount": Decimal("sNaN")}, "amount_invalid", "amount"),
    "infinity": ({"amount": Decimal("Infinity")}, "amount_invalid", "amount"),
    "less than a millionth": ({"amount": Decimal("0.0000001")}, "amount_invalid", "amount"),
    "a bool as amount": ({"amount": True}, "amount_invalid", "amount"),
    "a huge int": ({"amount": 10**30}, "amount_invalid", "amount"),
    "an int of many digits": ({"amount": 10**6_000}, "amount_invalid", "amount"),
    "bytes as amount": ({"amount": b"1"}, "amount_invalid", "amount"),
    "nothing positive": ({"amount": 0}, "amount_invalid", "amount"),
    "a naive datetime": ({"deadline": datetime(2126, 1, 1)}, "payload_invalid", "deadline"),
    "a date": ({"deadline": date(2126, 1, 1)}, "payload_invalid", "deadline"),
    "seconds as instant": ({"deadline": 4_922_640_000}, "payload_invalid", "deadline"),
    "text without offset": ({"deadline": "2126-01-01T00:00:00"}, "payload_invalid", "deadline"),
    "a bool as int": ({"expected_version": True}, "payload_invalid", "expected_version"),
    "an int as bool": ({"remember_denials": 1}, "payload_invalid", "remember_denials"),
    "too large a version": ({"expected_version": 2**64}, "payload_invalid", "expected_version"),
    "lone surrogates": ({"task_id": "\ud800"}, "payload_invalid", "task_id"),
    "U+0000": ({"reason": "a\0b"}, "payload_invalid", "reason"),
    "an id of 256 bytes": ({"task_id": "x" * 256}, "payload_invalid", "task_id"),
    "an id with a line": ({"task_id": "a\nb"}, "payload_invalid", "task_id"),
    "an empty id": ({"tenant_id": ""}, "payload_invalid", "tenant_id"),
    "text of more than 64 KiB": ({"reason": "x" * 65_537}, "payload_too_large", "metadata"),
    "metadata of more than 64 KiB": ({"metadata": {"a": "x" * 65_537}}, "payload_too_large", "metadata"),
    "metadata that is a list": ({"metadata": [1]}, "payload_invalid", "metadata"),
    "an object": ({"user_id": object()}, "payload_invalid", "user_id"),
    "an enumeration of objects": ({"user_id": Odd.ONE}, "payload_invalid", "user_id"),
    "a function": ({"user_id": len}, "payload_invalid", "user_id"),
    "an owner without a kind": ({"payer": "u1"}, "owner_invalid", "payer"),
    "an owner without an id": ({"payer": "user:"}, "payload_invalid", "payer"),
}


async def in_many(engine: AsyncEngine, fields: Fields) -> None:
    (answer,) = await engine.execute_many([commands.charge(**fields)])
    if isinstance(answer, DrawdownError):
        raise answer


async def in_many_by_thread(engine: AsyncEngine, fields: Fields) -> None:
    (answer,) = engine.sync.execute_many([commands.charge(**fields)])
    if isinstance(answer, DrawdownError):
        raise answer


async def by_thread(engine: AsyncEngine, fields: Fields) -> None:
    engine.sync.charge(**fields)


async def preview_by_thread(engine: AsyncEngine, fields: Fields) -> None:
    engine.sync.preview(commands.charge(**fields))


async def in_all_by_thread(engine: AsyncEngine, fields: Fields) -> None:
    engine.sync.execute_all([commands.charge(**fields)])


DOORS: dict[str, Door] = {
    "called": by_thread,
    "preview": preview_by_thread,
    "in many": in_many_by_thread,
    "in all": in_all_by_thread,
    "awaited": lambda engine, fields: engine.charge(**fields),
    "awaited preview": lambda engine, fields: engine.preview(commands.charge(**fields)),
    "awaited in many": in_many,
    "awaited in all": lambda engine, fields: engine.execute_all([commands.charge(**fields)]),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("bad", BAD)
def test_bad_input_is_refused_alike(bad: str, door: str) -> None:
    changed, name, field = BAD[bad]

    async def main() -> None:
        async with AsyncEngine("memory://") as engine:
            await engine.grant_credit(tenant_id="acme", owner="user:u1", type="plan", amount=100)
            with pytest.raises(Denied) as caught:
                await DOORS[door](engine, FINE | changed)
            assert (caught.value.name, caught.value.details["field"]) == (name, field)
            assert caught.value.http_status in (400, 413, 422) and not caught.value.retryable
            balance = await engine.balance(tenant_id="acme", owner="user:u1")
            assert balance.available == 100 and balance.version == 1

    asyncio.run(main())


@pytest.mark.parametrize("door", DOORS)
def test_what_is_fine_passes_every_door(door: str) -> None:
    async def main() -> None:
        async with AsyncEngine("memory://") as engine:
            await engine.grant_credit(tenant_id="acme", owner="user:u1", type="plan", amount=100)
            await DOORS[door](engine, FINE)
            booked = (await engine.balance(tenant_id="acme", owner="user:u1")).available
            assert booked == (100 if "preview" in door else 99)

    asyncio.run(main())


QUESTIONS: dict[str, tuple[Callable[[Engine], object], str, str]] = {
    "float": (lambda e: e.explain(tenant_id="a", owner="pool", amount=1.5), "amount_invalid", "amount"),  # type: ignore[arg-type]
    "naive": (lambda e: e.balance(tenant_id="a", owner="pool", at=datetime(2026, 1, 1)), "payload_invalid", "at"),
    "owner": (lambda e: e.balance(tenant_id="a", owner="u1"), "owner_invalid", "owner"),
    "limit": (lambda e: e.entries(tenant_id="a", limit=1_001), "payload_invalid", "limit"),
    "bool": (lambda e: e.entries(tenant_id="a", limit=True), "payload_invalid", "limit"),
    "cursor": (lambda e: e.entries(tenant_id="a", cursor="x"), "payload_invalid", "cursor"),
    "event cursor": (lambda e: e.events(tenant_id="a", after="x"), "payload_invalid", "after"),
    "order": (lambda e: e.entries(tenant_id="a", order="up"), "payload_invalid", "order"),  # type: ignore[arg-type]
    "hold id": (lambda e: e.hold(tenant_id="a", hold_id="\ud800"), "payload_invalid", "hold_id"),
    "quantity": (lambda e: e.estimate(tenant_id="a", owner="pool", quantity=0.5), "amount_invalid", "quantity"),  # type: ignore[arg-type]
    "price book": (lambda e: e.check_price_book(text="\0"), "config_invalid", ""),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_bad_questions_are_refused(question: str, engine: Engine) -> None:
    bad_ask, name, field = QUESTIONS[question]
    with pytest.raises(Denied) as caught:
        bad_ask(engine)
    assert caught.value.name == name or (name, caught.value.name) == ("amount_invalid", "payload_invalid")
    assert caught.value.details.get("field", "") == field or not field


def test_arguments_have_names_and_no_others(engine: Engine) -> None:
    for wrong in (
        lambda: engine.charge("acme", 1),  # type: ignore[call-arg]
        lambda: engine.charge(tenant_id="acme"),  # type: ignore[call-arg]
        lambda: engine.charge(**FINE, unknown=1),  # type: ignore[call-arg]
        lambda: Engine("memory://", unknown=1),  # type: ignore[call-arg]
        lambda: Engine(b"memory://"),  # type: ignore[arg-type]
        lambda: Engine(None),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError):
            wrong()


def test_a_closed_engine_says_so(url: str) -> None:
    engine = Engine(url)
    engine.close()
    with pytest.raises(Closed):
        engine.charge(**FINE)
    with pytest.raises(Closed):
        engine.balance(tenant_id="acme", owner="pool")

    async def main() -> None:
        closed = AsyncEngine(url)
        await closed.close()
        with pytest.raises(Closed):
            await closed.charge(**FINE)
        with pytest.raises(Closed):
            await closed.health()

    asyncio.run(main())


def no_folder(folder: Path) -> str:
    return f"sqlite://{folder}/none/books.db"


def a_folder(folder: Path) -> str:
    (folder / "books.db").mkdir()
    return f"sqlite://{folder}/books.db"


def no_database(folder: Path) -> str:
    (folder / "books.db").write_bytes(b"\x89PNG" * 4_096)
    return f"sqlite://{folder}/books.db"


def another_database(folder: Path) -> str:
    with sqlite3.connect(folder / "books.db") as other:
        other.execute("CREATE TABLE users (id INTEGER)")
    other.close()
    return f"sqlite://{folder}/books.db"


def unreadable(folder: Path) -> str:
    if os.geteuid() == 0:
        pytest.skip("whoever may read everything has no unreadable file")
    Engine(f"sqlite://{folder}/books.db").close()
    (folder / "books.db").chmod(0)
    return f"sqlite://{folder}/books.db"


def a_long_name(folder: Path) -> str:
    return f"sqlite://{folder}/{'x' * 300}.db"


def nul(folder: Path) -> str:
    return f"sqlite://{folder}/a\0b.db"


@pytest.mark.parametrize("place", [no_folder, a_folder, no_database, another_database, unreadable, a_long_name, nul])
@pytest.mark.parametrize("kind", [Engine, AsyncEngine])
def test_a_place_that_is_none_cannot_be_opened(
    place: Callable[[Path], str], kind: Callable[[str], object], tmp_path: Path
) -> None:
    url = place(tmp_path)
    with pytest.raises(Failed) as caught:
        kind(url)
    assert caught.value.name == "store" and caught.value.http_status == 503
    assert str(caught.value)


def test_a_database_of_somebody_else_is_left_as_it_is(tmp_path: Path) -> None:
    url = another_database(tmp_path)
    before = (tmp_path / "books.db").read_bytes()
    with pytest.raises(Failed):
        Engine(url)
    assert (tmp_path / "books.db").read_bytes() == before


SPECIAL = st.sampled_from(["NaN", "sNaN", "Infinity", "-Infinity", "-0", "1E+7", "1E-7", "0E+999999", "1E-999999"])


@given(st.decimals() | SPECIAL.map(Decimal) | st.decimals(allow_nan=False, min_value=0, max_value=10**13, places=6))
def test_a_decimal_is_kept_exactly_or_refused(amount: Decimal) -> None:
    with Engine("memory://") as engine:
        try:
            granted = engine.grant_credit(tenant_id="acme", owner="pool", type="plan", amount=amount)
        except AmountInvalid as refused:
            fits = amount.is_finite() and 0 < amount < Decimal(2**63).scaleb(-6)
            assert not fits or amount != amount.quantize(Decimal("0.000001"))
            assert refused.details["field"] == "amount"
        else:
            assert granted.change == amount == engine.balance(tenant_id="acme", owner="pool").available


OFFSETS = st.integers(-86_399, 86_399).map(lambda seconds: timezone(timedelta(seconds=seconds)))


@given(st.datetimes(timezones=OFFSETS | st.just(timezone.utc)))
def test_an_instant_is_kept_exactly_or_refused(at: datetime) -> None:
    try:
        kept = ManualClock(at).now()
    except Denied as refused:
        assert refused.name == "payload_invalid"
        edge = timedelta(days=2)
        naive = at.replace(tzinfo=None)
        assert naive < datetime(1970, 1, 1) + edge or naive > datetime.max - edge
    else:
        assert kept == at and kept.tzinfo is timezone.utc


@given(st.datetimes() | st.dates() | st.times() | st.floats() | st.booleans())
def test_what_names_no_instant_is_refused(at: Any) -> None:
    with pytest.raises(Denied):
        ManualClock(at)
