"""Keep one connection busy: the next request leaves when the one before is answered."""

import asyncio
import time
from abc import abstractmethod
from typing import Any

import httptools


class BusyConnection(asyncio.Protocol):
    """Ask without pause until the deadline; whoever inherits from it says what, and counts."""

    def __init__(self, *, deadline_s: float) -> None:
        """Take when to end, by `time.perf_counter`."""
        self._deadline_s = deadline_s
        self._sent_s = 0.0
        self._transport: Any = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @abstractmethod
    def next_request(self) -> bytes:
        """Return the bytes of the next request."""

    @abstractmethod
    def note_answer(self, status: int, *, sent_s: float, now_s: float) -> None:
        """Count an answer that is whole."""

    @abstractmethod
    def note_loss(self) -> None:
        """Count a connection that ends before its time."""

    def connection_made(self, transport: Any) -> None:
        """Send the first request; uvloop's transports are none of asyncio's."""
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Parse an answer; what is no HTTP ends the connection."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_message_complete(self) -> None:
        """Count the answer and send the next request."""
        now_s = time.perf_counter()
        self.note_answer(self._parser.get_status_code(), sent_s=self._sent_s, now_s=now_s)
        if now_s < self._deadline_s:
            self._send()
        elif not self.ended.done():
            self.ended.set_result(None)
            self._transport.close()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Tell that the connection ended before its time."""
        if not self.ended.done():
            self.note_loss()
            self.ended.set_result(None)

    def _send(self) -> None:
        request = self.next_request()
        self._parser = httptools.HttpResponseParser(self)
        self._sent_s = time.perf_counter()
        self._transport.write(request)
