"""Serve /metrics and /live as plain ASGI, and count what other routes answer."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import orjson

from service.serving.asgi import Endpoint, Receive, Scope, Send, send_answer
from service.serving.invocation import Header, error_body
from service.serving.signals.board import TICK_S
from service.serving.signals.exposition import CONTENT_TYPE
from service.serving.signals.layout import route_of
from service.serving.signals.live import describe_live
from service.serving.signals.meter import Meter
from service.serving.signals.metrics import render_metrics
from service.serving.signals.source import Source

COUNTED: Final = "segserve.counted"
"""Set in the scope of a request that is counted as an invocation, whatever its route."""
METRICS_PATH: Final = "/metrics"
LIVE_PATH: Final = "/live"


class Ticker:
    """Keep snapshots of the totals while the event loop runs."""

    def __init__(self, source: Source) -> None:
        """Wait for `start`."""
        self._source = source

    def start(self) -> None:
        """Take a snapshot now and in every tick from then on; call it once, from the event loop."""
        model = self._source.model
        self._source.board.keep_snapshot(segments=model.segment_cells if model else 0)
        asyncio.get_running_loop().call_later(TICK_S, self.start)


class SignalRoutes:
    """Hold the endpoints that show what was counted."""

    def __init__(self, source: Source, *, before: Callable[[], None], has_live: bool) -> None:
        """Take what is shown, what makes it up to date, and whether /live is there."""
        self._source = source
        self._before = before
        self.ticker = Ticker(source) if has_live else None
        self.routes: dict[str, Endpoint] = {METRICS_PATH: self.metrics}
        if has_live:
            self.routes[LIVE_PATH] = self.live

    async def metrics(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer with Prometheus text."""
        if scope["method"] in {"GET", "HEAD"}:
            self._before()
            await _send(send, 200, CONTENT_TYPE, render_metrics(self._source))
        else:
            await _refuse_method(send)

    async def live(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer with the last minutes as JSON."""
        if scope["method"] in {"GET", "HEAD"}:
            self._before()
            await _send(send, 200, "application/json", orjson.dumps(describe_live(self._source)))
        else:
            await _refuse_method(send)


def count_requests(endpoint: Endpoint, meter: Meter) -> Endpoint:
    """Return an endpoint whose answers are counted by route and status before their last byte is sent."""

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        started_s = time.perf_counter()
        status = 0

        def count() -> None:
            nonlocal status
            if status and COUNTED not in scope:  # else it is counted, or the client has gone
                meter.count_request(route_of(scope["path"]), status, time.perf_counter() - started_s)
            status = 0

        async def note(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif not message.get("more_body"):
                count()
            await send(message)

        try:
            await endpoint(scope, receive, note)
        finally:
            count()

    return counted


async def _send(send: Send, status: int, content_type: str, body: bytes, *more: Header) -> None:
    headers = ((b"content-type", content_type.encode()), (b"cache-control", b"no-store"), *more)
    await send_answer(send, status, headers, body)


async def _refuse_method(send: Send) -> None:
    body = error_body("MethodNotAllowed", "this route takes GET, HEAD")
    await _send(send, 405, "application/json", body, (b"allow", b"GET, HEAD"))
