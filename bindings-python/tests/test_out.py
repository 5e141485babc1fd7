"""From answers to Python's values, and JSON text."""

import json
import pickle
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from conftest import Refused, ask, charge, grant, run
from hypothesis import given
from hypothesis import strategies as st
from test_into import JSON

from drawdown import Closed, Engine, InsufficientBalance, ManualClock, read_json, write_json
from drawdown.types import GrantReceipt


def test_a_receipt_is_frozen_and_typed(engine: Engine) -> None:
    grant(engine)
    receipt = charge(engine, "2.5", reason="work")
    assert (receipt.change, receipt.balance_after, receipt.reason) == (Decimal("-2.5"), Decimal("97.5"), "work")
    assert isinstance(receipt.change, Decimal) and isinstance(receipt.version, int)
    assert receipt.created_at.tzinfo is timezone.utc
    assert receipt.idempotent_replay is False and receipt.task_id is None
    with pytest.raises(AttributeError):
        receipt.change = Decimal(0)
    assert not hasattr(receipt, "__dict__")


def test_a_receipt_whose_terms_stand_among_its_fields(engine: Engine) -> None:
    receipt = run(engine, "set_licence", licence_id="l1", template_id="poster", channels=["viewer"], operator="ops")
    assert type(receipt).__name__ == "LicenceReceipt"
    assert (receipt.licence_id, receipt.template_id, receipt.channels) == ("l1", "poster", ("viewer",))


def test_each_kind_of_answer_is_built(engine: Engine) -> None:
    grant(engine)
    hold = run(engine, "hold", payer="user:u1", amount=5, task_id="t1")
    assert [part.amount for part in hold.draw] == [Decimal(5)]
    assert ask(engine, "hold", hold_id=hold.hold_id).held == 5
    assert ask(engine, "task", task_id="t1").status == "accepted"
    assert ask(engine, "operation_by_key", idempotency_key="none") is None
    assert [entry.change for entry in ask(engine, "entries").entries] == [-5, 100]
    assert ask(engine, "explain", owner="user:u1", amount=1).grants[0].take == 1
    assert engine._call("health", (), ()).status == "ok"
    assert engine._call("verify", (), ()).faults == ()
    events = engine._call("events", (), ()).events
    assert [event.kind for event in events] == ["credits.updated", "credits.updated", "task.accepted"]
    assert events[0].credits.entries[0].change == 100


def test_a_denial_says_everything(engine: Engine) -> None:
    with pytest.raises(Refused) as caught:
        charge(engine, 3)
    refused = caught.value
    assert (refused.name, refused.used_by, refused.retryable) == ("insufficient_balance", "write", False)
    assert (refused.details["available"], refused.retry_at, refused.index) == ("0", None, None)
    with pytest.raises(Refused) as held:
        run(engine, "hold", payer="user:u1", amount=1)
    assert held.value.used_by == "hold"
    with pytest.raises(Refused) as unknown:
        run(engine, "steal", amount=1)
    assert unknown.value.details["field"] == "command"
    with pytest.raises(Refused) as lone:
        run(engine, "\ud800")
    assert lone.value.details["given"] == "\\ud800"
    with pytest.raises(Refused) as call:
        ask(engine, "balances")
    assert (call.value.name, call.value.used_by) == ("payload_invalid", "read")


def test_when_to_retry_is_an_instant() -> None:
    clock = ManualClock("2026-01-01T00:00:00Z")
    book = {"version": "a", "effective_at": "2026-02-01T00:00:00Z", "unit": "credit", "templates": {"p": {"base": 1}}}
    with Engine("memory://", clock=clock, price_books=[book]) as engine, pytest.raises(Refused) as caught:
        ask(engine, "estimate", user_id="u1", template_id="p")
    assert caught.value.retry_at == datetime(2026, 2, 1, tzinfo=timezone.utc) and caught.value.retryable


def test_a_clock_is_set_and_moved() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=timezone.utc))
    with Engine("memory://", clock=clock) as engine:
        grant(engine, expires_at=clock.now() + timedelta(days=1))
        clock.advance(86_400)
        assert ask(engine, "balance", owner="user:u1").available == 0
        clock.set("2026-01-01T12:00:00Z")
        assert clock.now().hour == 12
        assert repr(clock) == "ManualClock('2026-01-01T12:00:00.000000Z')"
    with pytest.raises(Refused):
        ManualClock(datetime(2026, 1, 1))


@given(st.datetimes(timezones=st.just(timezone.utc)))
def test_every_instant_is_built(at: datetime) -> None:
    now = ManualClock(at).now()
    assert (now, now.tzinfo, now.fold, repr(now)) == (at, timezone.utc, 0, repr(at.replace(fold=0)))


@pytest.mark.parametrize(
    "at", ["0001-01-01T00:00:00Z", "2024-02-29T23:59:59.999999Z", "1900-03-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"]
)
def test_the_edges_of_the_calendar_are_built(at: str) -> None:
    assert ManualClock(at).now() == datetime.fromisoformat(at.replace("Z", "+00:00"))


@given(st.integers(min_value=1, max_value=2**62 - 1))
def test_every_amount_has_its_digits_alone(micros: int) -> None:
    amount = Decimal(micros).scaleb(-6)
    digits = f"{amount:f}".rstrip("0").rstrip(".")
    with Engine("memory://") as engine:
        for _ in range(2):  # the second time they are remembered
            assert str(grant(engine, amount).change) == digits
            charged = charge(engine, amount)
            assert (str(charged.change), str(charged.balance_after)) == (f"-{digits}", "0")


@pytest.mark.parametrize("rate", ["0.000000000000000001", "1000000000000", "0.1", "12.340", "0"])
def test_every_rate_has_its_digits_alone(rate: str) -> None:
    book = {
        "version": "a",
        "effective_at": "2020-01-01T00:00:00Z",
        "unit": "credit",
        "templates": {"p": {"base": rate}},
    }
    digits = rate.rstrip("0").rstrip(".") if "." in rate else rate
    with Engine("memory://", price_books=[book], clock=ManualClock("2026-01-01T00:00:00Z")) as engine:
        estimate = ask(engine, "estimate", owner="user:u1", template_id="p", quantity="0.000001")
        [line, *_] = estimate.line_items
        assert (f"{line.rate:f}", line.quantity) == (digits, Decimal("0.000001"))


def test_short_texts_stay_apart(engine: Engine) -> None:
    grant(engine)
    edges = [
        "a",
        "a" * 23,
        "a" * 24,
        "a" * 25,
        "é" * 12,
        "é" * 11 + "ab",
        "漢" * 8,
        "漢" * 7 + "é" + "a",
        "\U0001f600" * 6,
    ]
    texts = [*edges, *(f"reason {number}" for number in range(3_000))]
    names = ("tenant_id", "payer", "amount", "reason")
    commands: list[tuple[str, tuple[str, ...], tuple[object, ...]]]
    commands = [("charge", names, ("acme", "user:u1", Decimal("0.01"), text)) for text in texts]
    for _ in range(2):  # the second time those are remembered that nothing has replaced
        assert [receipt.reason for receipt in engine._native.run_many(commands)] == texts


def test_more_amounts_than_are_remembered_stay_apart(engine: Engine) -> None:
    grant(engine)
    amounts = [Decimal(index).scaleb(-6) for index in range(1, 5_001)]
    names = ("tenant_id", "payer", "amount")
    commands: list[tuple[str, tuple[str, ...], tuple[object, ...]]]
    commands = [("charge", names, ("acme", "user:u1", amount)) for amount in amounts]
    for _ in range(2):
        assert [-receipt.change for receipt in engine._native.run_many(commands)] == amounts


@given(JSON)
def test_json_is_read_as_it_was_written(value: Any) -> None:
    text = write_json(value)
    assert read_json(text) == value
    assert read_json(text.decode()) == value
    assert json.loads(text, parse_float=Decimal) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.50", Decimal("1.50")),
        ("1e2", Decimal("1E+2")),
        ("-0", 0),
        ("12345678901234567890", 12345678901234567890),
        ('{"a": [null, true, "\\u00e9"]}', {"a": [None, True, "é"]}),
    ],
)
def test_json_keeps_its_digits(text: str, value: Any) -> None:
    read = read_json(text)
    assert read == value and type(read) is type(value)


@pytest.mark.parametrize("name", ["$serde_json::private::Number", "\\u0024serde_json::private::Number"])
@pytest.mark.parametrize("text", ['{"%s": "5"}', '{"a": 1, "%s": "5"}', '[{"%s": 5}]'])
def test_an_object_is_no_number(name: str, text: str) -> None:
    with pytest.raises(ValueError, match="no field that is called"):
        read_json(text % name)


@pytest.mark.parametrize(
    "text",
    ["", "{", "1 2", '{"a": 1, "a": 2}', '{"a": {"b": 1, "b": 2}}', "NaN", "[" * 200, "1" * 5_000, '"\ud800"', b"\xff"],
)
def test_what_is_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        read_json(text)


def test_what_has_no_exact_form_is_refused() -> None:
    for value in (1.5, object(), {1: 2}, b"", {1}):
        with pytest.raises(TypeError):
            write_json({"a": value} if not isinstance(value, dict) else value)
    loop: list[Any] = []
    loop.append(loop)
    for value in ("\ud800", Decimal("NaN"), datetime(2026, 1, 1), loop):
        with pytest.raises(ValueError):
            write_json(value)


def test_results_are_written_as_objects(engine: Engine) -> None:
    receipt = grant(engine, "1.5")
    written = read_json(write_json(receipt))
    assert (written["change"], written["version"]) == (Decimal("1.5"), 1)
    assert written["created_at"].endswith("Z")
    assert list(written)[:2] == ["grant_id", "ledger_id"]


def test_answers_and_refusals_are_pickled_and_shown(engine: Engine) -> None:
    receipt = grant(engine, "1.5")
    again = pickle.loads(pickle.dumps(receipt))
    assert again == receipt and type(again) is GrantReceipt and hash(again) == hash(receipt)
    assert repr(receipt).startswith("GrantReceipt(grant_id='grt_") and "Decimal('1.5')" in repr(receipt)
    with pytest.raises(InsufficientBalance) as caught:
        engine.charge(tenant_id="acme", payer="user:u1", amount=2)
    pickled = pickle.loads(pickle.dumps(caught.value))
    assert type(pickled) is InsufficientBalance and pickled.details == caught.value.details
    assert (pickled.code, pickled.http_status, str(pickled)) == ("40201", 402, str(caught.value))
    engine.close()
    with pytest.raises(Closed):
        engine.balance(tenant_id="acme", owner="user:u1")
