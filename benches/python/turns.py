"""Contenders that take turns, so that all see the same moods of the machine."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")

TURNS = 5


def take_turns(contenders: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """Let each run five times, in an order that goes round, after once that does not count."""
    for run in contenders.values():
        run()
    results: dict[str, list[T]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(TURNS):
        first = turn % len(names)
        for name in (*names[first:], *names[:first]):
            results[name].append(contenders[name]())
    return results


def median(values: list[float]) -> float:
    """Say what lies in the middle."""
    return statistics.median(values)
