"""Every class of results, by reflection: frozen, compared, shown, hashed, copied, pickled, written as JSON."""

import copy
import dataclasses
import pickle
import typing
from collections.abc import Iterator
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, get_args, get_origin

import pytest
from described import PAGE

from drawdown import read_json, write_json
from drawdown._generated import types

CLASSES = [kind for kind in vars(types).values() if isinstance(kind, type) and dataclasses.is_dataclass(kind)]
HINTS = {kind: typing.get_type_hints(kind) for kind in CLASSES}


def values(hint: Any, number: int) -> Any:
    """A value of a type; another number gives another value."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return made(hint, number)
    origin, inner = get_origin(hint), get_args(hint)
    if origin is typing.Literal:
        return inner[number % len(inner)]
    if origin is tuple:
        return (values(inner[0], number),)
    if origin is dict:
        return {"field": values(inner[1], number)}
    if inner:  # a union: what is not None
        return values(next(one for one in inner if one is not type(None)), number)
    plain: dict[Any, Any] = {
        str: f"text {number} é",
        int: number,
        bool: number % 2 == 0,
        Decimal: Decimal(number).scaleb(-6),
        datetime: datetime(2026, 1, 1, 0, 0, number, 5, tzinfo=timezone.utc),
        Any: {"any": [number, None, True, Decimal("1.50")]},
    }
    return plain[hint]


def made(kind: type, number: int = 1) -> Any:
    """An instance, by names."""
    return kind(**{name: values(hint, number) for name, hint in HINTS[kind].items()})


def inside(value: Any) -> Iterator[Any]:
    """A value and what stands in it."""
    yield value
    if dataclasses.is_dataclass(value):
        value = [getattr(value, field.name) for field in dataclasses.fields(value)]
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        yield from inside(inner)


def each(of: list[type]) -> pytest.MarkDecorator:
    """A test for each class."""
    return pytest.mark.parametrize("kind", of, ids=lambda kind: kind.__name__)


def test_no_class_is_missing() -> None:
    described = {name for name, schema in PAGE["answered_types"].items() if schema.get("type") == "object"}
    assert {kind.__name__ for kind in CLASSES} == described
    answers = {one["receipt"] for one in PAGE["commands"] if isinstance(one.get("receipt"), str)}
    assert answers <= described


@each(CLASSES)
def test_it_is_frozen_and_has_no_room_for_more(kind: type) -> None:
    result = made(kind)
    for field in dataclasses.fields(result):
        with pytest.raises(AttributeError):
            setattr(result, field.name, None)
        with pytest.raises(AttributeError):
            delattr(result, field.name)
    with pytest.raises((AttributeError, TypeError)):
        result.unknown = 1
    assert not hasattr(result, "__dict__")
    with pytest.raises(TypeError):
        kind(1)  # by names alone, so that a new field is no break


@each(CLASSES)
def test_it_is_pickled_copied_and_compared(kind: type) -> None:
    result, other = made(kind), made(kind, 2)
    assert result == made(kind) and result != other and result != 1
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(result, protocol))
        assert again == result and type(again) is kind
        assert [type(one) for one in inside(again)] == [type(one) for one in inside(result)]
    assert copy.copy(result) == copy.deepcopy(result) == result
    first = dataclasses.fields(result)[0].name
    assert dataclasses.replace(result, **{first: getattr(other, first)}) != result


@each(CLASSES)
def test_it_shows_all_its_fields(kind: type) -> None:
    result = made(kind)
    shown = repr(result)
    assert shown.startswith(f"{kind.__name__}(")
    assert all(f"{field.name}=" in shown for field in dataclasses.fields(result))
    names: dict[str, Any] = {one.__name__: one for one in CLASSES} | {
        "Decimal": Decimal,
        "datetime": __import__("datetime"),
    }
    assert eval(shown, names) == result


@each(CLASSES)
def test_it_is_written_as_json_with_its_fields(kind: type) -> None:
    result = made(kind)
    written = read_json(write_json(result))
    order = [field.name.removesuffix("_") for field in dataclasses.fields(result)]
    assert list(written) == order == PAGE["order"][kind.__name__]


@each([kind for kind in CLASSES if not any(isinstance(one, dict) for one in inside(made(kind)))])
def test_it_can_be_a_key(kind: type) -> None:
    assert {made(kind): 1}[made(kind)] == 1


@each(CLASSES)
def test_each_field_says_what_it_is(kind: type) -> None:
    assert kind.__doc__ and not kind.__doc__.startswith(f"{kind.__name__}(")
