"""Be the load generator where no real one is installed. About as slow as a good server: prefer wrk or hey."""

import asyncio
import ssl
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httptools
import uvloop

from service.load.result import Load, percentiles


@dataclass(slots=True)
class Tally:
    """Count what all connections see."""

    deadline_s: float
    latencies_ms: list[float] = field(default_factory=list)
    failed: int = 0


class Connection(asyncio.Protocol):
    """Post one request after the other until the deadline."""

    def __init__(self, request: bytes, tally: Tally) -> None:
        """Keep the request's bytes and where to count."""
        self._request = request
        self._tally = tally
        self._sent_s = 0.0
        self._transport: Any = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        """Send the first request; uvloop's transports are none of asyncio's."""
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Parse the answer; what is no HTTP ends the connection, which counts as a failure."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_message_complete(self) -> None:
        """Count the answer and send the next request."""
        now_s = time.perf_counter()
        self._tally.latencies_ms.append((now_s - self._sent_s) * 1e3)
        self._tally.failed += self._parser.get_status_code() != 200
        if now_s < self._tally.deadline_s:
            self._send()
        elif not self.ended.done():
            self.ended.set_result(None)
            self._transport.close()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Count a connection that ends before the deadline as a failure."""
        if not self.ended.done():
            self._tally.failed += 1
            self.ended.set_result(None)

    def _send(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._sent_s = time.perf_counter()
        self._transport.write(self._request)


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
    tally = Tally(deadline_s=started_s + seconds)
    opened = [
        await loop.create_connection(
            lambda: Connection(head.encode() + body, tally),
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
