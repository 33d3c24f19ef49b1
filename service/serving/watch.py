"""Close connections whose clients keep the server waiting: uvicorn itself would wait for ever.

One look at all connections every few seconds costs requests nothing: no clock is read for them and no timer
set. A payload may take as long as it needs while it keeps coming at a least rate, so that large ones over
slow links still work.
"""

import asyncio
import logging
import resource
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.serving.invocation import error_body
from service.serving.stepping import STAGES, Stage, SteppingProtocol
from service.serving.unread import Unread
from service.settings import Settings

LEAST_RATE: Final = 1024
"""Bytes a second that a payload must come at, once it has had its first SERVICE_BODY_TIMEOUT_S."""

IDLE_S: Final = 75
"""C142: longer than clients keep idle connections in their pools; also before the first request."""

DRAIN_S: Final = 30
"""For what is left of a payload that is already refused: clients that send all of it first see the answer."""

_LONGEST_PAUSE_S: Final = 5.0
_LOOKS: Final = 4
"""Within the shortest deadline."""
_OTHER_FILES: Final = 128
"""Open files that are not connections."""
_MOST: Final = 65_536
"""Connections, where the limit of open files sets none."""
_BATCH: Final = 64
"""Makes room for more than one connection at a time, since finding the oldest means looking at all."""

_logger = logging.getLogger(__name__)


class Wait(StrEnum):
    """Name what the server waits for its client to do."""

    NOTHING = "nothing"
    REQUEST = "request"
    HEAD = "head"
    BODY = "body"
    REST = "rest"
    """Of a payload whose answer is sent."""
    ANSWER = "answer"
    """To be read."""


class WatchedProtocol(SteppingProtocol):
    """Tell the watch what the client is waited for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what uvicorn gives its protocols."""
        super().__init__(*args, **kwargs)
        self.watch: Watch = self.app.watch
        self.seen: tuple[Wait, int] = (Wait.NOTHING, 0)
        """What the watch saw last, and since when."""
        self.since_s = 0.0
        self.body_bytes_then = 0

    def connection_made(self, transport: Any) -> None:
        """Take the connection, if there is room for one more."""
        super().connection_made(transport)
        self.since_s = self.loop.time()
        self.watch.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.watch.let_go(self.watch.unread.discard(self))
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Note that the client is behind with reading."""
        super().pause_writing()
        self.watch.let_go(self.watch.unread.add(self))

    def resume_writing(self) -> None:
        """Note that it has caught up."""
        super().resume_writing()
        self.outlet.written_bytes = 0
        self.watch.let_go(self.watch.unread.discard(self))

    def unread_bytes(self) -> int:
        """Return what answers hold that are not read: one is let go as a whole, with its last byte."""
        unsent: int = self.transport.get_write_buffer_size()
        return max(unsent, self.outlet.written_bytes) if unsent else 0

    def waits_for(self) -> tuple[Wait, int]:
        """Return what the server waits for, and a number that changes when the client does something."""
        if unsent := self.transport.get_write_buffer_size():
            return Wait.ANSWER, unsent
        cycle: Any = self.cycle  # None before the first request, whatever its type says
        is_answered = cycle is None or cycle.response_complete
        stage = self.progress % STAGES
        if self.is_refused:
            return Wait.REST, self.progress
        if self.pipeline or self.flow.read_paused or (stage != Stage.BODY and not is_answered):
            return Wait.NOTHING, 0
        if stage == Stage.BODY:
            return (Wait.REST if self.has_answered_early() else Wait.BODY), self.progress
        return (Wait.HEAD if stage == Stage.HEAD else Wait.REQUEST), self.progress

    def has_answered_early(self) -> bool:
        """Tell whether the answer was sent before all of the payload had come."""
        cycle: Any = self.cycle
        return cycle is not None and cycle.response_complete

    def refuse_slowness(self, wait: Wait, *, limit_s: float) -> None:
        """Close the connection, with 408 where that says something."""
        cycle: Any = self.cycle
        has_begun = cycle is not None and cycle.response_started and not cycle.response_complete
        if wait in {Wait.HEAD, Wait.BODY} and not has_begun:
            what = "head" if wait is Wait.HEAD else "payload"
            body = error_body("RequestTimeout", f"the request's {what} did not come within {limit_s:g} s")
            self._leave()
            headers = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[408] + headers % len(body) + body)
            self.transport.close()
        elif wait is Wait.ANSWER:
            self.transport.abort()
        else:
            self.transport.close()


class Watch:
    """Look at all connections of a server process now and then."""

    def __init__(self, settings: Settings, *, let_go: Callable[[int], None]) -> None:
        """Take the limits from the settings, and what counts bytes of answers that are held no more."""
        self.let_go = let_go
        self._limits_s = {
            Wait.REQUEST: float(IDLE_S),
            Wait.HEAD: float(settings.header_timeout_s),
            Wait.BODY: float(settings.body_timeout_s),
            Wait.REST: float(min(DRAIN_S, settings.body_timeout_s)),
            Wait.ANSWER: float(settings.body_timeout_s),
        }
        self._pause_s = min(_LONGEST_PAUSE_S, min(self._limits_s.values()) / _LOOKS)
        self._most = settings.max_connections
        self.unread = Unread(max_waiting_bytes=settings.max_waiting_bytes)
        self._is_looking = False

    def admit(self, connection: WatchedProtocol) -> None:
        """Watch a new connection; where there are too many, close those that have waited longest."""
        if not self._is_looking:
            self._is_looking = True
            connection.loop.call_later(self._pause_s, self._look, connection.connections)
        if self._most is None:  # not before: the limit of open files is raised when the server starts
            self._most = _room()
        if len(connection.connections) > self._most:
            self._make_room(connection, batch=min(_BATCH, 1 + self._most // 8))

    def _make_room(self, newest: WatchedProtocol, *, batch: int) -> None:
        idle = [
            other
            for other in newest.connections
            if other is not newest and other.waits_for()[0] in {Wait.REQUEST, Wait.HEAD, Wait.REST}  # type: ignore[union-attr]  # all are ours
        ]
        # Those that only send the rest of a payload whose answer they have go first.
        idle.sort(key=lambda other: (other.waits_for()[0] is not Wait.REST, other.since_s))  # type: ignore[union-attr]
        oldest: list[Any] = idle[:batch] or [newest]
        for connection in oldest:
            connection.transport.abort()
        _logger.warning("Connections closed to make room count=%d", len(oldest))

    def _look(self, connections: set[Any]) -> None:
        now_s = asyncio.get_running_loop().time()
        closed: Counter[str] = Counter()
        for connection in tuple(connections):
            seen = connection.waits_for()
            if seen != connection.seen:
                connection.seen, connection.since_s = seen, now_s
                connection.body_bytes_then = connection.body_bytes
            elif self._is_too_long(connection, now_s):
                connection.refuse_slowness(seen[0], limit_s=self._limits_s[seen[0]])
                closed[seen[0]] += 1
        if sum(closed.values()) > closed[Wait.REQUEST]:
            _logger.warning(
                "Slow connections closed %s", " ".join(f"{wait}={count}" for wait, count in closed.items())
            )
        self._is_looking = bool(connections)
        if connections:
            asyncio.get_running_loop().call_later(self._pause_s, self._look, connections)

    def _is_too_long(self, connection: WatchedProtocol, now_s: float) -> bool:
        wait = connection.seen[0]
        if wait is Wait.NOTHING or (wait is not Wait.ANSWER and connection.transport.is_closing()):
            return False
        limit_s = self._limits_s[wait]
        if wait is Wait.BODY:
            limit_s += (connection.body_bytes - connection.body_bytes_then) / LEAST_RATE
        return now_s - connection.since_s > limit_s


def _room() -> int:
    """Return how many connections there may be at once: those that the open files leave."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else max(soft - _OTHER_FILES, soft // 2)
