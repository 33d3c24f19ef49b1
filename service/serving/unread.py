"""Bound what answers hold that their clients do not read.

A small payload may have an answer a hundred times as large, which waits in memory for a client that is slow,
or that never meant to read it.
"""

import logging
from typing import Any, Final

_SHARE: Final = 2
"""Answers may hold one part in so many of what payloads may, which are in memory beside them."""

_logger = logging.getLogger(__name__)


class Unread:
    """Hold the connections of one server process whose clients are behind, those behind for longest first."""

    def __init__(self, *, max_waiting_bytes: int | None) -> None:
        """Take what payloads may hold; None for no limit."""
        self._max_bytes = None if max_waiting_bytes is None else max_waiting_bytes // _SHARE
        self._behind: dict[Any, int] = {}
        """With the bytes that each had not read when it fell behind."""

    def add(self, connection: Any) -> int:
        """Note that a client is behind; where all of them hold too much, close those behind for longest.

        Returns:
            The bytes that those closed had not read.
        """
        self._behind[connection] = connection.transport.get_write_buffer_size()
        if self._max_bytes is None:
            return 0
        held = {other: other.transport.get_write_buffer_size() for other in self._behind}
        excess = sum(held.values()) - self._max_bytes
        closed, dropped_bytes = 0, 0
        for other, size in held.items():
            if excess <= 0 or other is connection:  # one alone always has room
                break
            excess -= size
            closed, dropped_bytes = closed + 1, dropped_bytes + size
            del self._behind[other]
            other.transport.abort()
        if closed:
            _logger.warning("Answers that were not read dropped count=%d", closed)
        return dropped_bytes

    def discard(self, connection: Any) -> int:
        """Forget a client that has caught up, or gone; return the bytes that it had not read before."""
        return self._behind.pop(connection, 0)
