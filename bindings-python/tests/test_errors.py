"""Every class of exceptions, against the core's own page of denials and errors."""

import copy
import pickle
from datetime import datetime, timezone
from typing import Any

import pytest
from described import PAGE

import drawdown
from drawdown import Denied, DrawdownError, Engine, Failed
from drawdown._generated import errors
from drawdown._generated.codes import DENIALS, ERRORS, MEANINGS
from drawdown._generated.errors import BY_NAME

SURFACES = ("platform", "entitlements", "enterprise", "image")
USES = ("write", "write_all_expired", "hold", "read", "check")
CLASSES = list(BY_NAME.values())
SAID: dict[str, Any] = {
    "details": {"field": "amount", "given": "1.5"},
    "retryable": True,
    "retry_at": datetime(2026, 1, 1, tzinfo=timezone.utc),
    "policy_tag": "brand",
    "audit_id": "aud_1",
    "index": 3,
}


def each(of: list[Any]) -> pytest.MarkDecorator:
    """A test for each class."""
    return pytest.mark.parametrize("kind", of, ids=lambda kind: kind.name)


def test_every_denial_has_a_class() -> None:
    denied = {name for name, kind in BY_NAME.items() if issubclass(kind, Denied)}
    assert denied == {denial["name"] for denial in PAGE["denials"]}
    assert {kind("").wire_name for kind in CLASSES if issubclass(kind, Failed)} <= {
        error["name"] for error in PAGE["errors"]
    }
    assert len(set(CLASSES)) == len(CLASSES) and all(BY_NAME[kind.name] is kind for kind in CLASSES)


@each(CLASSES)
def test_it_can_be_named_caught_and_read(kind: type[DrawdownError]) -> None:
    assert getattr(drawdown, kind.__name__) is kind is getattr(errors, kind.__name__)
    assert issubclass(kind, Denied) != issubclass(kind, Failed)
    assert kind.__doc__ and kind.__doc__.endswith(".")
    raised = kind("the reason")
    assert (str(raised), raised.message, raised.args) == ("the reason", "the reason", ("the reason",))
    assert (raised.details, raised.retryable, raised.retry_at, raised.index) == ({}, False, None, None)


@each(CLASSES)
def test_it_is_pickled_whole(kind: type[DrawdownError]) -> None:
    raised = kind("the reason", used_by="hold", **SAID)
    vars(raised)["__notes__"] = ["noted"]
    for again in (
        *(pickle.loads(pickle.dumps(raised, protocol)) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)),
        copy.copy(raised),
        copy.deepcopy(raised),
    ):
        assert type(again) is kind and vars(again) == vars(raised) and again.args == raised.args
        assert (again.code, again.http_status) == (raised.code, raised.http_status)
        assert repr(again) == repr(raised)


@pytest.mark.parametrize("surface", SURFACES)
@each([kind for kind in CLASSES if issubclass(kind, Denied)])
def test_a_denial_has_the_codes_of_the_core(kind: type[DrawdownError], surface: Any) -> None:
    (described,) = [denial for denial in PAGE["denials"] if denial["name"] == kind.name]
    assert MEANINGS[kind.name] == described["meaning"]
    for used_by in USES:
        raised = kind("the reason", used_by=used_by)  # type: ignore[arg-type]
        expected = described["codes"].get(surface, {}).get(used_by)
        said = raised.on(surface)
        assert (said._asdict() if said else None) == expected
        if surface == "platform":
            assert raised.code == (expected["short"] if expected else None)
            assert raised.http_status == (expected["http_status"] if expected else 500)


@pytest.mark.parametrize("surface", SURFACES)
@each([kind for kind in CLASSES if issubclass(kind, Failed)])
def test_a_failure_has_the_codes_of_what_it_could_not_reach(kind: type[DrawdownError], surface: Any) -> None:
    for used_by in USES:
        raised = kind("the reason", used_by=used_by)  # type: ignore[arg-type]
        (described,) = [error for error in PAGE["errors"] if error["name"] == raised.wire_name]
        said = raised.on(surface)
        assert (said._asdict() if said else None) == described["codes"].get(surface)
        assert raised.http_status >= 500


def test_no_code_is_made_up() -> None:
    described = {
        (denial["name"], surface, used_by)
        for denial in PAGE["denials"]
        for surface, codes in denial["codes"].items()
        for used_by, said in codes.items()
        if said
    }
    assert set(DENIALS) == described
    assert set(ERRORS) == {
        (error["name"], on) for error in PAGE["errors"] for on, said in error["codes"].items() if said
    }


def test_what_the_engine_raises_is_of_these_classes(engine: Engine) -> None:
    with pytest.raises(drawdown.InsufficientBalance) as caught:
        engine.charge(tenant_id="acme", payer="user:u1", amount=5)
    again = pickle.loads(pickle.dumps(caught.value))
    assert vars(again) == vars(caught.value) and again.details["available"] == "0"
    assert (again.code, again.http_status, again.used_by) == ("40201", 402, "write")
