"""Be the load generator where wrk is not: `python -m bench.client URL BODY CONNECTIONS SECONDS`."""

import asyncio
import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httptools
import uvloop


@dataclass(slots=True)
class Tally:
    """Count what all connections see."""

    deadline: float
    latencies_s: list[float] = field(default_factory=list)
    failed: int = 0


class Connection(asyncio.Protocol):
    """Post one request after the other until the deadline."""

    def __init__(self, request: bytes, tally: Tally) -> None:
        """Keep the request's bytes and where to count."""
        self._request = request
        self._tally = tally
        self._sent = 0.0
        self._transport: Any = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        """Send the first request; uvloop's transports are none of asyncio's."""
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Parse the answer."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Count the answer and send the next request."""
        self._tally.latencies_s.append(time.perf_counter() - self._sent)
        self._tally.failed += self._parser.get_status_code() != 200
        if time.perf_counter() < self._tally.deadline:
            self._send()
        elif not self.closed.done():
            self.closed.set_result(None)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Count a connection that ends before the deadline as a failure."""
        if not self.closed.done():
            self._tally.failed += 1
            self.closed.set_result(None)

    def _send(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._sent = time.perf_counter()
        self._transport.write(self._request)


async def run(url: str, body: bytes, *, connections: int, seconds: float) -> dict[str, float]:
    """Return what `load.Load` holds."""
    _, _, address, path = url.split("/", 3)
    host, _, port = address.partition(":")
    head = (
        f"POST /{path} HTTP/1.1\r\nHost: {address}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    tally = Tally(deadline=started + seconds)
    opened = [
        await loop.create_connection(lambda: Connection(head.encode() + body, tally), host, int(port))
        for _ in range(connections)
    ]
    await asyncio.gather(*(connection.closed for _, connection in opened))
    percentiles = statistics.quantiles(tally.latencies_s, n=100)
    return {
        "requests": len(tally.latencies_s),
        "seconds": time.perf_counter() - started,
        "failed": tally.failed,
        "p50_ms": percentiles[49] * 1e3,
        "p99_ms": percentiles[98] * 1e3,
    }


def main(url: str, body_path: str, connections: str, seconds: str) -> None:
    """Print what was seen as one line of JSON."""
    body = Path(body_path).read_bytes()
    print(json.dumps(uvloop.run(run(url, body, connections=int(connections), seconds=float(seconds)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
