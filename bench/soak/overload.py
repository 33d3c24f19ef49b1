"""Ask a server for ten times what it can do: it must say so early, and stay alive."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from bench.servers import HOST, Server

FACTOR: Final = 10
_CUSTOMER: Final = {"Age": 45, "Income": 60010, "Purchases": 20, "Tags": []}
_BODY: Final = json.dumps([_CUSTOMER] * 40_000).encode()
"""With a list in each record, so that Python reads it, in a hundred times what the kernel takes without."""
_PATIENCE_S: Final = 60
_PING_EVERY_S: Final = 0.05


@dataclass(slots=True)
class Overload:
    """Hold what callers saw."""

    capacity_per_s: float
    """Answers a second to two callers that wait for each."""
    asked: int = 0
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    took_s: dict[int, list[float]] = field(default_factory=dict)
    """By status, from the first byte sent to the answer."""
    without_retry_after: int = 0
    unanswered: int = 0
    pings_s: list[float] = field(default_factory=list)
    failed_pings: int = 0
    peak_mb: float = 0.0

    @property
    def answered_per_s(self) -> float:
        """Return how much was answered with 200 while more was asked than could be."""
        return self.statuses[200] / self.seconds

    def summary(self) -> dict[str, Any]:
        """Return the figures."""
        return {
            "asked": self.asked,
            "seconds": round(self.seconds, 1),
            "capacity_per_s": round(self.capacity_per_s, 2),
            "answered_per_s": round(self.answered_per_s, 2),
            "statuses": dict(self.statuses),
            "slowest_s": {status: round(max(took), 2) for status, took in self.took_s.items()},
            "unanswered": self.unanswered,
            "slowest_ping_s": round(max(self.pings_s), 3),
            "peak_mb": round(self.peak_mb, 1),
        }


async def overload(server: Server, *, seconds: float) -> Overload:
    """Measure what the server can do, then ask for ten times as much."""
    started_s = time.perf_counter()
    measured = 3.0
    found = await asyncio.gather(*(_ask_in_turn(server.port, ends_s=started_s + measured) for _ in range(2)))
    result = Overload(capacity_per_s=sum(found) / (time.perf_counter() - started_s))
    pinging = asyncio.create_task(_ping(server, result))
    started_s = time.perf_counter()
    callers: list[asyncio.Task[None]] = []
    while (now_s := time.perf_counter() - started_s) < seconds:
        while len(callers) < now_s * FACTOR * result.capacity_per_s:
            callers.append(asyncio.create_task(_call(server.port, result)))
        await asyncio.sleep(0.005)
    result.asked = len(callers)
    await asyncio.gather(*callers)
    result.seconds = time.perf_counter() - started_s
    pinging.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await pinging
    return result


async def _ask_in_turn(port: int, *, ends_s: float) -> int:
    count = 0
    while time.perf_counter() < ends_s:
        status, _ = await _ask(port)
        if status != 200:
            raise RuntimeError(f"a server with nothing else to do answered {status}")
        count += 1
    return count


async def _call(port: int, result: Overload) -> None:
    started_s = time.perf_counter()
    try:
        async with asyncio.timeout(_PATIENCE_S):
            status, head = await _ask(port)
    except (TimeoutError, OSError, asyncio.IncompleteReadError):
        result.unanswered += 1
        return
    result.statuses[status] += 1
    result.took_s.setdefault(status, []).append(time.perf_counter() - started_s)
    result.without_retry_after += status == 503 and b"\r\nretry-after: " not in head


async def _ask(port: int) -> tuple[int, bytes]:
    """Ask as most clients do: all is sent, whatever the answer, and nothing is asked beforehand."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        lines = f"POST /invocations HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        writer.write(f"{lines}Connection: close\r\nContent-Length: {len(_BODY)}\r\n\r\n".encode() + _BODY)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.read()
        return int(head.split(b" ", 2)[1]), head
    finally:
        writer.close()


async def _ping(server: Server, result: Overload) -> None:
    reader, writer = await asyncio.open_connection(HOST, server.port)
    while True:
        since_s = time.perf_counter()
        writer.write(f"GET /ping HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        result.pings_s.append(time.perf_counter() - since_s)
        result.failed_pings += b" 200 " not in head[:16]
        result.peak_mb = max(result.peak_mb, server.pss_mb())
        await asyncio.sleep(_PING_EVERY_S)
