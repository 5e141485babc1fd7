"""The cases of `tests/vectors`, which every language of the project runs."""

import dataclasses
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from drawdown import Engine, ManualClock, _native, read_json

VECTORS = Path(__file__).parents[2] / "tests" / "vectors"

Fields = dict[str, Any]


def document(name: str) -> Fields:
    """Read one file of them, exactly."""
    found: Fields = read_json((VECTORS / f"{name}.json").read_bytes())
    return found


def cases(name: str, part: str = "cases") -> pytest.MarkDecorator:
    """Make a test of each case."""
    found = document(name)[part]
    assert found, f"{name} has no {part}"
    return pytest.mark.parametrize(
        "case", found, ids=[case.get("name", str(index)) for index, case in enumerate(found)]
    )


def asked(command: Fields) -> tuple[str, tuple[str, ...], tuple[object, ...]]:
    """A command of a vector: its kind, the names and the values of its fields."""
    fields = dict(command)
    kind = fields.pop("command")
    return kind, tuple(fields), tuple(fields.values())


def refused(ask: Callable[[], object]) -> Any:
    """What is raised."""
    try:
        answer = ask()
    except Exception as error:
        return error
    pytest.fail(f"it was answered: {answer}")


def shown(value: Any) -> Any:
    """A result as its JSON: amounts and instants as the text that they are on the wire."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, dict):
        return {name: shown(inner) for name, inner in value.items()}
    if dataclasses.is_dataclass(value):
        return {field.name: shown(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return [shown(inner) for inner in value] if isinstance(value, list | tuple) else value


def test_every_file_of_vectors_runs() -> None:
    run = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in VECTORS.iterdir()} <= run


@cases("amounts")
def test_amounts(case: Fields) -> None:
    def fingerprint(amount: object) -> object:
        fields = {"tenant_id": "acme", "owner": "pool", "amount": amount, "operator": "ops", "reason": "r"}
        return _native.fingerprint("adjust", tuple(fields), tuple(fields.values()))

    if "denied" in case:
        assert refused(lambda: fingerprint(case["text"])).name == case["denied"]
        return
    amount = Decimal(case["micros"]).scaleb(-6)
    assert fingerprint(case["text"]) == fingerprint(amount) == fingerprint(case["written"])
    assert Decimal(case["written"]) == amount
    if amount >= 0:
        with Engine("memory://") as engine:
            if amount > 0:
                engine._run(
                    *asked({"command": "grant", "tenant_id": "a", "owner": "pool", "type": "plan", "amount": amount})
                )
            held = engine._run(*asked({"command": "hold", "tenant_id": "a", "payer": "pool", "amount": case["text"]}))
            assert held.frozen_amount == amount
            assert shown(held.frozen_amount) == case["written"]


@cases("fingerprints")
def test_fingerprints(case: Fields) -> None:
    named = {other["name"]: other for other in document("fingerprints")["cases"]}
    golden = named[case["same_as"]] if "same_as" in case else case
    assert _native.fingerprint(*asked(case["command"])) == (golden["digest"], golden["stored"])


def test_chain() -> None:
    previous = "0" * 64
    golden = ("hash", "text_hash", "terms_text")
    optional = ("terms", "hold_id", "grant_id", "task_id", "template_id", "app_id", "erased_text_hash")
    for case in document("chain")["cases"]:
        entry = dict.fromkeys(optional) | {name: value for name, value in case.items() if name not in golden}
        entry |= {"op_id": f"op_{case['op_id']}", "hash": "0" * 64}
        hashes = _native.chain_hash(entry, previous)
        assert hashes == (case["text_hash"], case["hash"]), case
        previous = case["hash"]


@cases("checkpoints")
def test_checkpoints(case: Fields) -> None:
    assert _native.checkpoint_line(case["position"], case["taken_at"], case["heads"]) == case["line"]
    written = " ".join(
        f"{name}={case['json'][name]}" for name in ("position", "accounts", "entries", "taken_at", "digest")
    )
    assert case["line"] == f"drawdown-checkpoint/{case['json']['version']} {written}"


@cases("sequences")
def test_sequences(case: Fields) -> None:
    clock = ManualClock(case["steps"][0]["at"])
    made: dict[str, Fields] = {}
    with Engine("memory://", clock=clock, policies={"*": case["policy"]} if "policy" in case else None) as engine:
        for step in case["steps"]:
            clock.set(step["at"])
            command = asked(with_ids(step["command"], made))
            if "denied" in step:
                denial = refused(lambda command=command: engine._run(*command))  # type: ignore[misc]
                assert denial.name == step["denied"], step
                found, expected = denial.details, step.get("details", {})
            else:
                found, expected = shown(engine._run(*command)), step.get("ok", {})
            if "as" in step:
                made[step["as"]] = found
            for name, value in with_ids(expected, made).items():
                assert found[name] == value, (name, step)
            if "balance" in step:
                of = {"tenant_id": "acme", "owner": "user:u1", "unit": "credit"}
                balance = shown(engine._call("balance", tuple(of), tuple(of.values())))
                assert {name: balance[name] for name in ("available", "frozen")} == step["balance"], step


def with_ids(value: Any, made: dict[str, Fields]) -> Any:
    """Put ids in the place of names; `pre_deduct_id` is the platform's word for a hold's id."""
    if isinstance(value, list):
        return [with_ids(inner, made) for inner in value]
    if not isinstance(value, dict):
        return value

    def one(field: str, inner: Any) -> Any:
        if isinstance(inner, str) and inner.startswith("$"):
            return made[inner[1:]]["hold_id" if field == "pre_deduct_id" else field]
        return with_ids(inner, made)

    return {field: one(field, inner) for field, inner in value.items()}


FUNDED = ("current_balance", "balance_after", "suggest_topup")


@cases("pricing")
def test_pricing(case: Fields) -> None:
    book = document("pricing")["books"][case["book"]]
    clock = ManualClock("2026-01-01T00:00:00Z")
    with Engine("memory://", clock=clock, price_books=[book]) as engine:
        fields = {"tenant_id": "acme", "owner": "pool", "unit": "UC"} | case["request"]
        for command in such_a_balance(Decimal(case.get("available", 0))):
            engine._run(*asked({"tenant_id": "acme", "unit": "UC"} | command))

        def ask() -> Any:
            return engine._call("estimate", tuple(fields), tuple(fields.values()))

        if "denied" in case:
            denial = refused(ask)
            assert (denial.name, denial.details["field"]) == (case["denied"], case["field"])
            assert denial.details.get("allowed") == case.get("allowed")
            return
        left_out = ("audit_id",) if "available" in case else ("audit_id", *FUNDED)
        estimate = {name: value for name, value in shown(ask()).items() if name not in left_out}
        assert without_none(estimate) == without_none(case["estimate"])


def such_a_balance(available: Decimal) -> list[Fields]:
    """Commands that make it; one below zero was a debt before the limit went."""
    if available >= 0:
        return [{"command": "grant", "owner": "pool", "type": "plan", "amount": available}] if available else []
    limits = [
        {"command": "set_credit_limit", "owner": "pool", "credit_limit": limit, "operator": "ops", "reason": "r"}
        for limit in (-available, 0)
    ]
    return [limits[0], {"command": "charge", "payer": "pool", "amount": -available}, limits[1]]


def without_none(value: Any) -> Any:
    """Leave the fields out that are null."""
    if isinstance(value, dict):
        return {name: without_none(inner) for name, inner in value.items() if inner is not None}
    return [without_none(inner) for inner in value] if isinstance(value, list) else value


@cases("pricing", "mistakes")
def test_mistakes_of_price_books(case: Fields) -> None:
    with Engine("memory://") as engine:
        denial = refused(lambda: engine._call("check_price_book", ("text",), (case["yaml"],)))
    assert [error["path"] for error in denial.details["errors"]] == case["paths"]
