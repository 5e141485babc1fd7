"""Interpreters that end at random moments: none aborts, none hangs, and what was answered is in the books."""

import os
import random
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import drawdown
from drawdown import Engine, user

FULL = bool(os.environ.get("ENDURANCE"))
COUNT = 308 if FULL else 28
# The module is the same for every Python: each runs it from the folder of the package.
PYTHONS = os.environ.get("PYTHONS", sys.executable).split() if FULL else [sys.executable]

# An exception of the host's own, Ctrl-C, or sys.exit(7).
EXPECTED = {0, 1, 7, -2, 130}
COMPLAINTS = re.compile(r"Fatal Python error|panicked|Segmentation|SystemError|_enter_buffered_busy|double free")


def end(python: str, seed: int, url: str) -> tuple[int, int, str, str]:
    """Let one end."""
    command = [python, "-X", "faulthandler", "-W", "ignore", str(Path(__file__).with_name("ending.py")), str(seed), url]
    folder = str(Path(drawdown.__file__).parents[1])
    environment = dict(os.environ, PYTHONPATH=folder, PYTHONDONTWRITEBYTECODE="1")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            said, complained = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            return seed, -999, "", f"it hangs\n{process.communicate()[1]}"
    return seed, process.returncode, said, complained


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("python", PYTHONS)
def test_every_ending_is_clean(python: str, url: str) -> None:
    with Engine(url) as engine:
        engine.grant_credit(tenant_id="acme", owner=user("u1"), type="plan", amount=10**9)
    first = random.randrange(10**6) if FULL else 0
    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(lambda seed: end(python, seed, url), range(first, first + COUNT)))
    bad = [
        (seed, code, complained[-2_000:])
        for seed, code, _, complained in ended
        if code not in EXPECTED or COMPLAINTS.search(complained)
    ]
    assert not bad, f"{len(bad)} of {COUNT}: {bad[:3]}"
    asked: set[str] = set()
    done: set[str] = set()
    for _, _, said, _ in ended:
        for line in said.splitlines():
            word, _, key = line.partition(" ")
            (asked if word == "asked" else done).add(key)
    with Engine(url) as engine:
        booked = {key for key in asked if engine.operation_by_key(tenant_id="acme", idempotency_key=key)}
        assert len(asked) > COUNT and done <= booked
        assert not engine.verify().faults
    print(f"{python}: {COUNT} ended, {len(asked)} asked, {len(done)} answered, {len(booked)} booked")
