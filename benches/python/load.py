"""Charges a service over connections that are kept, in a process of its own, and says how it went.

It reads lines of standard input: the port, the path, for how many seconds, over how many connections. For each it
writes a line of JSON. HTTP is written and read by hand: a client library would cost more than the server.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import cast

import uvloop

BODY = (
    '{{"tenant_id": "bench", "user_id": "{user}", "template_id": "poster", "amount": 0.000001, '
    '"priority": "standard", "reason": "render"}}'
)
USERS = 1_000


class Load:
    """One turn."""

    def __init__(self, path: str, connections: int) -> None:
        """Prepare the requests."""
        self.path, self.connections = path, connections
        bodies = [BODY.format(user=f"user-{number:06}").encode() for number in range(USERS)]
        self.bodies = bodies
        self.head = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer bench\r\ncontent-length: {len(bodies[0])}\r\n"
            f"x-idempotency-key: {os.urandom(6).hex()}-"
        ).encode()
        self.sent = 0
        self.latencies: list[float] = []
        self.failed: bytes | None = None
        self.stopping = False
        self.left = connections
        self.done = asyncio.Event()

    def next(self) -> bytes:
        """Write the next request."""
        self.sent += 1
        return b"%b%012d\r\n\r\n%b" % (self.head, self.sent, self.bodies[self.sent % USERS])

    def one_left(self) -> None:
        """Note that a connection is done."""
        self.left -= 1
        if self.left == 0:
            self.done.set()


class Connection(asyncio.Protocol):
    """One connection: as soon as it is answered it asks again."""

    def __init__(self, load: Load) -> None:
        """Ask what the load says."""
        self.load = load
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is not of that class

    def ask(self) -> None:
        """Send the next request."""
        self.began = time.perf_counter()
        self.transport.write(self.load.next())

    def data_received(self, data: bytes) -> None:
        """Ask again once the whole answer is there."""
        self.received += data
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return
        length = self.received.find(b"content-length: ")
        if len(self.received) < end + 4 + int(self.received[length + 16 : self.received.index(b"\r\n", length)]):
            return
        if not self.received.startswith(b"HTTP/1.1 200"):
            self.load.failed = self.received
            self.transport.close()
            return
        self.received = b""
        self.load.latencies.append(time.perf_counter() - self.began)
        if self.load.stopping:
            self.transport.close()
        else:
            self.ask()

    def connection_lost(self, _: Exception | None) -> None:
        """Tell the load."""
        self.load.one_left()


async def turn(port: int, path: str, seconds: float, connections: int) -> dict[str, object]:
    """Charge for a time."""
    loop, load = asyncio.get_running_loop(), Load(path, connections)
    opened = [await loop.create_connection(lambda: Connection(load), "127.0.0.1", port) for _ in range(connections)]
    began, spent = time.perf_counter(), time.process_time()
    for _, connection in opened:
        connection.ask()
    await asyncio.sleep(seconds)
    load.stopping = True
    await load.done.wait()
    elapsed, spent = time.perf_counter() - began, time.process_time() - spent
    if load.failed is not None or not load.latencies:
        return {"failed": (load.failed or b"nothing was answered").decode(errors="replace")}
    latencies = sorted(load.latencies)
    return {
        "count": len(latencies),
        "seconds": elapsed,
        "cpu": spent,
        "p50": latencies[len(latencies) // 2],
        "p99": latencies[len(latencies) * 99 // 100],
    }


async def main() -> None:
    """Take the turns that standard input asks for."""
    while line := sys.stdin.readline():
        port, path, seconds, connections = line.split()
        print(json.dumps(await turn(int(port), path, float(seconds), int(connections))), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
