"""The engine for threads: opening, closing, groups, events, forks."""

import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from conftest import Refused, ask, charge, grant, locked

from drawdown import AsyncEngine, Command, Engine, commands
from drawdown.types import ChargeReceipt

CHARGE = commands.charge(tenant_id="acme", payer="user:u1", amount=1)


def of(amount: Any) -> Command[ChargeReceipt]:
    """A charge of this amount, right or wrong."""
    return commands.charge(tenant_id="acme", payer="user:u1", amount=amount)


def test_the_books_stay_in_the_file(url: str) -> None:
    with Engine(url) as engine:
        grant(engine)
        assert repr(engine) == f"Engine({url!r})"
    assert engine.closed and repr(engine) == f"Engine({url!r}, closed)"
    with Engine(url) as again:
        assert ask(again, "balance", owner="user:u1").available == 100


@pytest.mark.parametrize(
    "url",
    ["", "mysql://x", "sqlite://", "sqlite:x.db", "memory://x", "sqlite:///no/such/folder/x.db", "sqlite://a.db?b"],
)
def test_a_wrong_address_is_refused(url: str) -> None:
    with pytest.raises(Refused) as caught:
        Engine(url)
    assert caught.value.name == "store"


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("these are notes, and no books; " * 100)
    with pytest.raises(Refused) as caught:
        Engine(f"sqlite://{tmp_path}/notes.db")
    assert caught.value.name == "store"


@pytest.mark.parametrize(
    ("options", "name", "field"),
    [
        ({"policies": {"*": {"zone": "Nowhere"}}}, "config_invalid", "policies.*.zone"),
        ({"policies": {"acme": {"grace_days": -1}}}, "config_invalid", "policies.acme.grace_days"),
        ({"policies": {"acme": {"graces": 1}}}, "config_invalid", "policies.acme.graces"),
        ({"policies": {"": {}}}, "payload_invalid", "policies"),
        ({"policies": {"acme": {"grace_days": 1.5}}}, "payload_invalid", "policies.acme.grace_days"),
        ({"risk": {"caps": 1}}, "config_invalid", "risk"),
        ({"price_books": ["{"]}, "config_invalid", None),
        ({"price_books": [{"version": "a", "base": 1.5}]}, "payload_invalid", "price_books[0].base"),
        ({"deadline_seconds": -1}, "payload_invalid", "deadline_seconds"),
        ({"deadline_seconds": "soon"}, "payload_invalid", "deadline_seconds"),
        ({"event_retention_seconds": float("nan")}, "payload_invalid", "event_retention_seconds"),
        ({"templates": [1]}, "config_invalid", "templates[0]"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], name: str, field: str | None) -> None:
    with pytest.raises(Refused) as caught:
        Engine("memory://", **options)
    assert caught.value.name == name
    if field is not None:
        assert caught.value.details["field"].startswith(field)


@pytest.mark.parametrize("options", [{"templates": "poster"}, {"price_books": "version: 1"}])
def test_text_is_no_list_of_its_letters(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="takes a list of text"):
        Engine("memory://", **options)


def test_policies_by_tenant() -> None:
    with Engine("memory://", policies={"*": {"unit": "UC"}, "acme": {"unit": "CNY"}}, templates=["poster"]) as engine:
        assert ask(engine, "balance", owner="pool").unit == "CNY"
        assert ask(engine, "balance", tenant_id="other", owner="pool").unit == "UC"
        assert ask(engine, "policy")["templates"] == ["poster"]


def test_what_is_asked_after_closing_is_closed(engine: Engine) -> None:
    engine.close()
    engine.close()
    asked: list[Callable[[], Any]] = [
        lambda: grant(engine),
        lambda: ask(engine, "balance", owner="user:u1"),
        lambda: engine._call("health", (), ()),
        lambda: engine.execute_all([CHARGE]),
        lambda: engine.preview(CHARGE),
        lambda: engine.wait_for_events(timeout_seconds=1),
        lambda: next(engine.follow_events()),
        lambda: engine.__enter__()._native.run_many([]),
    ]
    for ask_it in asked:
        with pytest.raises(Refused) as caught:
            ask_it()
        assert caught.value.name == "closed"


def test_many_are_answered_each_by_itself(engine: Engine) -> None:
    grant(engine, 2)
    answers = engine.execute_many([CHARGE, of(0.1), of(5), CHARGE, CHARGE])
    assert [answer.name if isinstance(answer, Refused) else answer.change for answer in answers] == [
        Decimal(-1),
        "amount_invalid",
        "insufficient_balance",
        Decimal(-1),
        "insufficient_balance",
    ]
    assert [answer.index for answer in answers if isinstance(answer, Refused)] == [1, 2, 4]
    assert engine.execute_many([]) == []


def test_all_or_nothing(engine: Engine) -> None:
    grant(engine, 2)
    for amount, name in ((5, "insufficient_balance"), (0.1, "amount_invalid")):
        with pytest.raises(Refused) as caught:
            engine.execute_all([CHARGE, of(amount)])
        assert (caught.value.name, caught.value.index) == (name, 1)
    assert ask(engine, "balance", owner="user:u1").available == 2
    assert [receipt.change for receipt in engine.execute_all([CHARGE, CHARGE])] == [-1, -1]
    with pytest.raises(Refused) as caught:
        engine.execute_all([CHARGE] * 257)
    assert (caught.value.name, caught.value.index) == ("batch_too_large", None)


def test_a_preview_changes_nothing(engine: Engine) -> None:
    grant(engine, 2)
    assert engine.preview(CHARGE).balance_after == 1
    assert ask(engine, "balance", owner="user:u1").available == 2


def test_threads_share_an_engine(url: str) -> None:
    with Engine(url) as engine:
        grant(engine, 100)

        def work(number: int) -> None:
            for index in range(10):
                charge(engine, 1, idempotency_key=f"{number}-{index}")
                charge(engine, 1, idempotency_key=f"{number}-{index}")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ask(engine, "balance", owner="user:u1").available == 20
        assert engine._call("verify", (), ()).faults == ()


def test_other_threads_run_while_the_engine_waits(url: str) -> None:
    with Engine(url, deadline_seconds=30) as engine:
        grant(engine)
        with locked(url):
            charging = threading.Thread(target=charge, args=(engine,))
            charging.start()
            time.sleep(0.05)
            assert charging.is_alive()  # and this thread runs
        charging.join()
        assert ask(engine, "balance", owner="user:u1").available == 99


def test_a_deadline_is_kept(url: str) -> None:
    with Engine(url, deadline_seconds=0.1) as engine:
        grant(engine)
        with locked(url), pytest.raises(Refused) as caught:
            charge(engine)
        assert (caught.value.name, caught.value.retryable) == ("busy", True)


def test_events_are_waited_for(engine: Engine) -> None:
    page = engine.wait_for_events("acme", timeout_seconds=0.01)
    assert page.events == ()
    timer = threading.Timer(0.1, grant, args=(engine,))
    timer.start()
    page = engine.wait_for_events("acme", after=page.next, timeout_seconds=30)
    assert [event.kind for event in page.events] == ["credits.updated"]
    assert engine.wait_for_events("acme", latest=True, timeout_seconds=0).events == ()
    assert engine.wait_for_events("acme", kinds=["task.failed"], timeout_seconds=0).events == ()
    timer.join()


def test_following_goes_on_from_a_cursor(engine: Engine) -> None:
    for _ in range(5):
        grant(engine, 1)
    seen = list(engine.follow_events("acme", limit=2, timeout_seconds=0.01))
    assert len(seen) == 5
    rest = list(engine.follow_events("acme", after=seen[2].cursor, timeout_seconds=0.01))
    assert [event.event_id for event in rest] == [event.event_id for event in seen[3:]]
    with pytest.raises(Refused) as caught:
        engine.wait_for_events("acme", limit=1_001)
    assert caught.value.name == "payload_invalid"


def test_closing_ends_the_waiting(engine: Engine) -> None:
    threading.Timer(0.1, engine.close).start()
    with pytest.raises(Refused) as caught:
        engine.wait_for_events("acme")
    assert caught.value.name == "closed"


def test_a_signal_is_heard_while_waiting(engine: Engine) -> None:
    # Who starts the tests in the background can have told them to ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Timer(0.1, os.kill, args=(os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            engine.wait_for_events("acme", timeout_seconds=30)
    finally:
        signal.signal(signal.SIGINT, before)


def test_neither_copied_nor_pickled(engine: Engine) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(engine)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_is_told_what_to_do(url: str) -> None:
    with Engine(url) as engine:
        grant(engine)
        shared = AsyncEngine("memory://")
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            said: list[str] = []
            asked: list[Callable[[], Any]] = [lambda: charge(engine), lambda: ask(engine, "balance", owner="user:u1")]
            for ask_it in asked:
                try:
                    ask_it()
                except Refused as refused:
                    said.append(f"{refused.name}: {refused}")
            with Engine("memory://") as own:
                said.append(str(grant(own, 7).change))
            engine.close()
            del shared
            os.write(writing, "\n".join(said).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            said = pipe.read().splitlines()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert said[2] == "7"
        for line in said[:2]:
            assert line.startswith("store: ") and "after a fork, open it anew in the child" in line
        assert charge(engine).balance_after == 99


def test_another_interpreter_is_refused_or_works() -> None:
    subinterpreters = pytest.importorskip("_xxsubinterpreters" if sys.version_info < (3, 13) else "_interpreters")
    interpreter = subinterpreters.create()
    program = """
try:
    import drawdown
except ImportError as refused:
    assert "subinterpreter" in str(refused), refused
else:
    drawdown.Engine("memory://").close()
"""
    failed = None
    try:
        failed = subinterpreters.run_string(interpreter, program)
    finally:
        subinterpreters.destroy(interpreter)
    assert not failed


def test_a_closed_engine_lets_its_file_go(url: str, tmp_path: Path) -> None:
    engine = Engine(url)
    grant(engine)
    engine.close()
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("open files cannot be listed")
    still = [os.readlink(entry) for entry in folder.iterdir() if entry.exists()]
    assert not [name for name in still if name.startswith(str(tmp_path))]
