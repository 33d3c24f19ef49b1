"""Be the load generator where no real one is installed. About as slow as a good server: prefer wrk or hey."""

import asyncio
import ssl
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import uvloop

from service.load.connection import BusyConnection
from service.load.result import Load, percentiles


@dataclass(slots=True)
class Tally:
    """Count what all connections see."""

    latencies_ms: list[float] = field(default_factory=list)
    failed: int = 0


class Connection(BusyConnection):
    """Post one request over and over."""

    def __init__(self, request: bytes, tally: Tally, *, deadline_s: float) -> None:
        """Keep the request's bytes and where to count."""
        super().__init__(deadline_s=deadline_s)
        self._request = request
        self._tally = tally

    def next_request(self) -> bytes:
        """Return the request."""
        return self._request

    def note_answer(self, status: int, *, sent_s: float, now_s: float) -> None:
        """Count an answer; any but 200 is a failure too."""
        self._tally.latencies_ms.append((now_s - sent_s) * 1e3)
        self._tally.failed += status != 200

    def note_loss(self) -> None:
        """Count a failure."""
        self._tally.failed += 1


def put_load_by_client(url: str, *, body: bytes, content_type: str, connections: int, seconds: float) -> Load:
    """Post a body over and over on keep-alive connections."""
    return uvloop.run(_put_load(url, body, content_type, connections, seconds))


async def _put_load(url: str, body: bytes, content_type: str, connections: int, seconds: float) -> Load:
    parts = urlsplit(url)
    is_secure = parts.scheme == "https"
    target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    head = (
        f"POST {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    loop = asyncio.get_running_loop()
    started_s = time.perf_counter()
    tally = Tally()
    opened = [
        await loop.create_connection(
            lambda: Connection(head.encode() + body, tally, deadline_s=started_s + seconds),
            parts.hostname or "",
            parts.port or (443 if is_secure else 80),
            ssl=ssl.create_default_context() if is_secure else None,
        )
        for _ in range(connections)
    ]
    await asyncio.wait([connection.ended for _, connection in opened], timeout=seconds + 60)
    unanswered = sum(not connection.ended.done() for _, connection in opened)
    for transport, _ in opened:
        transport.abort()
    return Load(
        requests=len(tally.latencies_ms),
        seconds=time.perf_counter() - started_s,
        failed=tally.failed + unanswered,
        latencies_ms=percentiles(tally.latencies_ms) if tally.latencies_ms else {},
    )
