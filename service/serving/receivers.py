"""Take large payloads off the wire in large parts.

Before each read and after it, whoever reads waits for the interpreter's lock, which others hold while they
answer large payloads. An event loop's own reads bring a quarter of a megabyte at the most.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Final

FULL_READ_BYTES: Final = 250_000
"""What the event loop's own reads bring, or nearly, where more is there."""

BULK_BYTES: Final = 2**19
"""Read at a time. Twice as much gains nothing, and lets pings wait longer."""

MOST_IN_BULK: Final = 32
"""Connections that are read so: what each brings is in memory before it is counted as a payload's."""

_SINK: Final = bytearray(2 * 2**20)
"""For what nobody looks at, of all connections."""

_kept: Final = threading.local()
_in_bulk: Final["set[Bulk]"] = set()


class Receiver(asyncio.BufferedProtocol):
    """Stand in for a connection's protocol, and tell it all but what comes."""

    def __init__(self, protocol: Any) -> None:
        """Take the protocol."""
        self._protocol = protocol

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on."""
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass it on."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._protocol.resume_writing()

    def eof_received(self) -> bool | None:
        """Pass it on."""
        keeps_open: bool | None = self._protocol.eof_received()
        return keeps_open


class Bulk(Receiver):
    """Take much at a time, as long as much is there and it is a payload's."""

    def __init__(self, protocol: Any, *, stop: Callable[[], None]) -> None:
        """Take the protocol, and what has it read for itself again.

        The protocol tells by `is_amid_payload` whether a payload is coming.
        """
        super().__init__(protocol)
        self._stop = stop
        _in_bulk.add(self)

    @staticmethod
    def has_room() -> bool:
        """Tell whether one more connection may be read so."""
        return len(_in_bulk) < MOST_IN_BULK

    def leave(self) -> None:
        """Make room for another; a transport may hold this object as long as its connection."""
        _in_bulk.discard(self)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Return where to write what comes: the one place of this thread, whose loop reads one at a time."""
        if not hasattr(_kept, "buffer"):
            _kept.buffer = memoryview(bytearray(BULK_BYTES))
        buffer: memoryview = _kept.buffer
        return buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Hand it over."""
        self._protocol.data_received(bytes(_kept.buffer[:nbytes]))
        if nbytes < FULL_READ_BYTES or not self._protocol.is_amid_payload():
            self._stop()


class Drain(Receiver):
    """Take the rest of a payload whose answer is sent, and throw it away.

    Closing a connection on which bytes have come that nobody reads resets it, and the client loses the
    answer. Source: RFC 9112, 9.6.
    """

    def get_buffer(self, _sizehint: int) -> bytearray:
        """Return where to write what comes."""
        return _SINK

    def buffer_updated(self, _nbytes: int) -> None:
        """Do nothing with it."""
