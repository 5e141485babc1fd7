"""The interpreter ends whenever it likes: no abort, no hang, nothing on standard error."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = """
import asyncio, os, sys, threading, time
sys.path.insert(0, {tests!r})
import conftest
from drawdown import AsyncEngine, Engine
url = {url!r}
CHARGE = (("tenant_id", "payer", "amount"), ("acme", "user:u1", 1))
"""

PROGRAMS = {
    "closed": "with Engine(url) as engine: conftest.grant(engine)",
    "left open": "engine = Engine(url); conftest.grant(engine)",
    "left open in memory": "engine = Engine('memory://'); conftest.grant(engine)",
    "in a cycle": "engine = Engine(url); engine.itself = engine; conftest.grant(engine)",
    "raised": "engine = Engine(url); conftest.grant(engine); sys.exit(0)",
    "at once": "engine = Engine(url); os._exit(0)",
    "a thread at work": """
engine = Engine(url)
conftest.grant(engine, 10**6)
def work():
    for _ in range(200): conftest.charge(engine)
threading.Thread(target=work).start()
""",
    "daemons at work": """
engine = Engine(url)
conftest.grant(engine, 10**6)
def work():
    while True:
        try: conftest.charge(engine)
        except conftest.Refused: return
for _ in range(4): threading.Thread(target=work, daemon=True).start()
time.sleep(0.05)
""",
    "a daemon waits for events": """
engine = Engine(url)
def wait():
    try: engine.wait_for_events()
    except conftest.Refused: pass
threading.Thread(target=wait, daemon=True).start()
time.sleep(0.05)
""",
    "awaited and closed": """
async def main():
    async with AsyncEngine(url) as engine:
        conftest.grant(engine.sync)
        await asyncio.gather(*(engine._run("charge", *CHARGE) for _ in range(20)))
asyncio.run(main())
""",
    "awaited and left open": """
engine = AsyncEngine(url)
async def main():
    conftest.grant(engine.sync)
    await asyncio.gather(*(engine._run("charge", *CHARGE) for _ in range(20)))
asyncio.run(main())
""",
    "futures pending": """
engine = AsyncEngine(url)
async def main():
    conftest.grant(engine.sync)
    asyncio.get_running_loop().tasks = [
        asyncio.create_task(engine._run("charge", *CHARGE)) for _ in range(20)
    ] + [asyncio.create_task(engine.wait_for_events(latest=True)) for _ in range(20)]
    await asyncio.sleep(0)
asyncio.run(main())
""",
    "a loop left behind": """
engine = AsyncEngine(url)
loop = asyncio.new_event_loop()
async def main():
    conftest.grant(engine.sync)
    await engine._call("balance", ("tenant_id", "owner"), ("acme", "user:u1"))
loop.run_until_complete(main())
""",
    "a loop closed under it": """
engine = AsyncEngine(url)
loop = asyncio.new_event_loop()
async def main():
    conftest.grant(engine.sync)
    for _ in range(20): engine._door()._bridge.run(
        engine.sync._native, "charge", *CHARGE)
loop.run_until_complete(main())
loop.close()
""",
    "a daemon's loop": """
engine = AsyncEngine(url)
async def main():
    conftest.grant(engine.sync, 10**6)
    while True:
        try: await engine._run("charge", *CHARGE)
        except conftest.Refused: return
threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
time.sleep(0.05)
""",
    "a question under way": """
engine = AsyncEngine(url)
async def main():
    conftest.grant(engine.sync)
    for _ in range(50): engine._door()._bridge.call(engine.sync._native, "verify", (), ())
asyncio.run(main())
""",
    "opened while it ends": """
import atexit
atexit.register(lambda: conftest.grant(Engine(url)))
""",
    "asked while it ends": """
class Late:
    def __init__(self): self.engine = Engine(url)
    def __del__(self):
        try: conftest.grant(self.engine)
        except Exception: pass
late = Late()
""",
    "forked": """
engine = AsyncEngine(url)
async def main():
    conftest.grant(engine.sync)
    await engine._call("balance", ("tenant_id", "owner"), ("acme", "user:u1"))
    if os.fork() == 0:
        os._exit(0)
    os.wait()
    await engine._call("balance", ("tenant_id", "owner"), ("acme", "user:u1"))
asyncio.run(main())
""",
    "forked, and the child ends in order": """
engine = Engine(url)
conftest.grant(engine)
if os.fork() != 0:
    os.wait()
    conftest.charge(engine)
""",
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_the_interpreter_ends(program: str, url: str) -> None:
    if "fork" in program and not hasattr(os, "fork"):
        pytest.skip("there is no fork")
    begin = BEGIN.format(tests=str(Path(__file__).parent), url=url)
    ended = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-W", "ignore::DeprecationWarning", "-c", begin + program],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
