"""Know what an answer takes that is being sent: flow control counts what is not sent alone."""

from collections.abc import Callable
from typing import Any


class Outlet:
    """Be the transport that an answer is written to, and know what it takes: all of it, until all is sent."""

    __slots__ = ("_transport", "close", "is_closing", "written_bytes")

    def __init__(self, transport: Any, *, close: Callable[[], None]) -> None:
        """Write to a connection's transport, and close the connection in some other way than at once."""
        self._transport = transport
        self.is_closing = transport.is_closing
        self.close = close
        self.written_bytes = 0
        """The last time."""

    def write(self, data: bytes) -> None:
        """Pass a part of an answer on."""
        self.written_bytes = len(data)
        self._transport.write(data)
