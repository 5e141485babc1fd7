"""The program that uses every method is whole, and runs."""

import ast
import asyncio
import inspect
from collections.abc import Iterable
from pathlib import Path

import every_method
import pytest
from described import PAGE
from every_method import POLICIES, PRICES

from drawdown import AsyncEngine, Denied, DrawdownError, Engine, ManualClock, commands

START = "2026-03-01T12:00:00Z"


def public(of: type) -> set[str]:
    """The public methods and properties of a class."""
    return {name for name in dir(of) if not name.startswith("_")}


def used(function: str, on: Iterable[str]) -> set[str]:
    """Which methods a function of the program uses on what is named so."""
    tree = ast.parse(Path(every_method.__file__).read_text(encoding="utf-8"))
    (body,) = [node for node in tree.body if getattr(node, "name", None) == function]
    attributes = [node for node in ast.walk(body) if isinstance(node, ast.Attribute)]
    return {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id in on}


def test_every_method_is_used() -> None:
    assert used("threads", ["engine"]) == public(Engine)
    assert used("loops", ["engine"]) == public(AsyncEngine)
    assert used("as_data", ["commands"]) == public(type(commands))


def test_every_command_and_call_of_the_core_is_a_method() -> None:
    calls = {call["name"] for call in PAGE["calls"]}
    assert len(calls) > 30 and calls <= public(Engine) and calls <= public(AsyncEngine)
    kinds = [command.kind for command in every_method.as_data()]
    assert sorted(kinds) == sorted(command["kind"] for command in PAGE["commands"])
    assert public(type(commands)) <= public(Engine) & public(AsyncEngine)


def test_the_three_ways_take_the_same_arguments() -> None:
    for name in public(type(commands)):
        asked = [inspect.signature(getattr(of, name)) for of in (Engine, AsyncEngine, type(commands))]
        assert asked[0].parameters == asked[1].parameters == asked[2].parameters, name
        assert all(one.kind is one.KEYWORD_ONLY for one in list(asked[0].parameters.values())[1:]), name


def test_whoever_waits_for_events_can_ask_what_a_page_can_be_asked() -> None:
    # Those who wait and follow are written by hand: they take seconds, and the one that follows is an iterator.
    page = set(inspect.signature(Engine.events).parameters) - {"from_"}
    for of in (Engine, AsyncEngine):
        for waiting in (of.wait_for_events, of.follow_events):
            assert set(inspect.signature(waiting).parameters) == page | {"latest", "timeout_seconds"}, waiting
    for name in ("wait_for_events", "follow_events"):
        asked = [inspect.signature(getattr(of, name)).parameters for of in (Engine, AsyncEngine)]
        assert asked[0] == asked[1], name


@pytest.mark.parametrize("place", ["memory", "file"])
def test_by_threads(place: str, url: str) -> None:
    clock = ManualClock(START)
    engine = Engine(address(place, url), clock=clock, policies=POLICIES, price_books=[PRICES])
    every_method.threads(engine, clock)


@pytest.mark.parametrize("place", ["memory", "file"])
def test_by_loops(place: str, url: str) -> None:
    async def main() -> None:
        clock = ManualClock(START)
        engine = AsyncEngine(address(place, url), clock=clock, policies=POLICIES, price_books=[PRICES])
        await every_method.loops(engine, clock)

    asyncio.run(main())


def address(place: str, url: str) -> str:
    """The address of new books."""
    return "memory://" if place == "memory" else url


def test_as_data(engine: Engine) -> None:
    answers = engine.execute_many(every_method.as_data())
    refused = {answer.name for answer in answers if isinstance(answer, DrawdownError)}
    assert len(answers) == len(every_method.as_data())
    # None is refused by its shape; a rule that is not there is refused as this field.
    assert not refused & {"amount_invalid", "owner_invalid", "internal"}
    fields = [answer.details["field"] for answer in answers if isinstance(answer, Denied) and "field" in answer.details]
    assert fields == ["rule_id"]
