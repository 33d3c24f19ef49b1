"""Parse one connection's bytes in small steps, within limits that httptools does not set.

Whoever sends ten thousand requests in one packet would otherwise hold up all others while they are parsed,
and have each of them in memory. Bytes that are neither payload nor a finished part of a request are counted
as they come: an endless target, header, trailer or chunk extension is never complete, so that no callback
hears of it.
"""

import asyncio
import contextlib
from enum import IntEnum
from typing import Any, Final

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.serving.framing import is_framed_plainly, is_host, is_of_another_protocol
from service.serving.outlet import Outlet
from service.serving.receivers import FULL_READ_BYTES, Bulk, Drain

MAX_HEADER_BYTES: Final = 64 * 1024
"""Names and values of one request's headers together, with HEADER_COST for each."""

HEADER_COST: Final = 32
"""Bytes that a header costs beside its own. Source: RFC 7541, 4.1."""

MAX_URL_BYTES: Final = 16 * 1024
"""Enough for a model's name of 1024 characters, each of them four bytes that are escaped."""

MAX_FRAMING_BYTES: Final = MAX_HEADER_BYTES + MAX_URL_BYTES
"""Bytes from one sign of progress to the next."""

STEP_BYTES: Final = 8 * 1024
"""Parsed at a time."""

MAX_REST_BYTES: Final = 2**20
"""Taken after a refusal and thrown away: closing before would reset the connection, and lose the refusal."""

LAST_LINGER_S: Final = 1.0
"""Once the server stops, for what is left of a payload that is already refused."""

_REFUSAL: Final = (
    b"HTTP/1.1 400 Bad Request\r\n%bcontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%b"
)
_VERSIONS: Final = frozenset({"1.0", "1.1"})
_OF_THE_CONNECTION: Final = frozenset({b"connection", b"upgrade", b"http2-settings"})


class Stage(IntEnum):
    """Name what a connection's client sends next."""

    REQUEST = 0
    """The first byte of a request."""
    HEAD = 1
    BODY = 2


STAGES: Final = len(Stage)
"""Once and for all: to ask an enumeration takes a sixth of a microsecond."""


class HeldFlow(FlowControl):
    """Take nothing more off the wire while some of it waits to be parsed, whoever would go on reading."""

    is_held = False

    def resume_reading(self) -> None:
        """Go on reading, unless bytes wait."""
        if not self.is_held:
            super().resume_reading()


class SteppingProtocol(HttpToolsProtocol):
    """Serve one connection as uvicorn does, a step at a time."""

    flow: HeldFlow
    outlet: Outlet

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what uvicorn gives its protocols."""
        super().__init__(*args, **kwargs)
        self.progress = 0
        """Grows by one with each part of a request that begins: modulo 3 it is the `Stage`."""
        self.body_bytes = 0
        """Of all payloads on this connection so far."""
        self._header_bytes = 0
        self._has_host = False
        self._fed: bytes | memoryview = b""
        """What is being parsed."""
        self._line = b""
        """The part of a request line that has come, where the rest has not."""
        self._mark = 0
        self._framing_bytes = 0
        self._unparsed: bytes | memoryview = b""
        self._is_scheduled = False
        self._under_way: Any = None
        """The cycle of the request that is being answered; `cycle` is that of the newest."""
        self.is_refused = False
        """Whether what has come is no HTTP: nothing more is parsed, and the client waited for to close."""
        self.is_lingering = False
        """Whether the last answer is sent, and what is left of its payload thrown away."""
        self._bulk: Bulk | None = None
        """Where much is read at a time."""
        self.is_stopping = False
        """Whether the server takes no more requests."""
        self._is_told = False
        self._rest_bytes = 0
        self._would_change = False
        """Whether the request asks for another protocol."""

    @property
    def has_unparsed(self) -> bool:
        """Tell whether bytes wait to be parsed."""
        return bool(self._unparsed)

    def connection_made(self, transport: Any) -> None:
        """Take the connection."""
        super().connection_made(transport)
        self.flow = HeldFlow(transport)
        self.outlet = Outlet(transport, close=self._close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the connection; uvicorn tells the newest request alone, and not the one under way."""
        self._leave()
        self._leave_bulk()
        self.outlet.close = self.transport.close  # let go of this object, which holds the outlet
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived, or its first step."""
        if self.is_refused:
            self._throw_away(data)
        elif self._unparsed:
            self._unparsed = bytes(self._unparsed) + data
        elif len(data) <= STEP_BYTES:
            self._feed(data)
        else:
            self._unparsed = memoryview(data)
            self.flow.pause_reading()
            self.flow.is_held = True
            self._go_on()
            if len(data) >= FULL_READ_BYTES and self._bulk is None:
                self._read_in_bulk()

    def shutdown(self) -> None:
        """Close the connection once it has nothing more to do; one that lingers, soon."""
        self.is_stopping = True
        if self.is_lingering:
            self._close_soon()
        else:
            super().shutdown()

    def on_url(self, url: bytes) -> None:
        """Keep a part of the target."""
        self.url += url
        if len(self.url) > MAX_URL_BYTES:
            raise ValueError("the target is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; too many of them end the connection with 400, as any malformed request does."""
        self._header_bytes += len(name) + len(value) + HEADER_COST
        if self._header_bytes > MAX_HEADER_BYTES:
            raise ValueError("too many headers")
        name = name.lower()
        if name == b"host":
            if self._has_host or not is_host(value):
                raise ValueError("not one host")
            self._has_host = True
        elif name == b"expect":
            self.expect_100_continue = value.lower() == b"100-continue"
        self.headers.append((name, value))

    def check_head(self) -> None:
        """Raise ValueError for a request that has no host, or is of another protocol.

        Source: RFC 9112, 3.2: without a host a request of HTTP/1.1 is refused.
        """
        if not self._has_host and self.parser.get_http_version() != "1.0":
            raise ValueError("no host")
        if self._is_of_another_protocol():
            raise ValueError("not HTTP")

    def on_headers_complete(self) -> None:
        """Begin to answer; a method or version that nobody speaks here ends the connection with 400."""
        version = self.parser.get_http_version()
        if version not in _VERSIONS or self.parser.get_method() == b"CONNECT":
            raise ValueError("not HTTP/1.1")
        if not is_framed_plainly(self.headers, version=version):
            raise ValueError("not framed as one reader and another would read it")
        if self.parser.should_upgrade():
            self._would_change = True
        else:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Let the payload end, unless httptools has not read it."""
        if not self._would_change:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, and let the client close the connection once it has read that."""
        body = msg.encode()
        lines = [b"%b: %b\r\n" % pair for pair in self.server_state.default_headers]
        self.transport.write(_REFUSAL % (b"".join(lines), len(body), body))
        self.transport.write_eof()

    def on_response_complete(self) -> None:
        """Go on with what was sent behind the request that is answered."""
        self.server_state.total_requests += 1
        if self._under_way is not None and self._under_way.body:
            self._under_way.body = bytearray()  # nobody will read it, and it would count as unread for ever
        if self.transport.is_closing() or self.is_lingering:
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        # No timer of uvicorn's for each answer: the watch closes idle connections.
        if self._unparsed:
            self._schedule()
        if self.is_refused:
            self._tell()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._under_way = cycle
        cycle.transport = self.outlet
        super()._start_asgi_task(cycle, app)

    def _close(self) -> None:
        """Close behind an answer; where its payload has not all come, once the client has sent that."""
        cycle = self._under_way
        if not (cycle.response_complete and cycle.more_body) or self.transport.is_closing():
            self.transport.close()
            return
        self.is_lingering = True
        self._unparsed = b""
        self.flow.is_held = False
        self._leave_bulk()
        self._hand_over(Drain(self))
        with contextlib.suppress(OSError):  # the client may be gone
            self.transport.write_eof()
        self.flow.resume_reading()
        if self.is_stopping:
            self._close_soon()

    def _close_soon(self) -> None:
        self.loop.call_later(LAST_LINGER_S, self.transport.close)

    def is_amid_payload(self) -> bool:
        """Tell whether more of a payload is to come, and nothing else."""
        return self.progress % STAGES == Stage.BODY and not self._unparsed and not self.is_refused

    def _read_in_bulk(self) -> None:
        """Read more at a time, if it is a payload that comes, and there is room for that."""
        if self.is_amid_payload() and not self.transport.is_closing() and Bulk.has_room():
            self._bulk = Bulk(self, stop=self._stop_bulk)
            self._hand_over(self._bulk)

    def _stop_bulk(self) -> None:
        if self._bulk is not None:
            self._leave_bulk()
            self._hand_over(self)

    def _leave_bulk(self) -> None:
        if self._bulk is not None:
            self._bulk.leave()
            self._bulk = None

    def _hand_over(self, receiver: asyncio.BaseProtocol) -> None:
        """Have another protocol take what comes; a transport asks which one it is when it begins to read."""
        if self.transport.is_closing():
            return
        is_paused = self.flow.read_paused
        if not is_paused:
            self.transport.pause_reading()
        self.transport.set_protocol(receiver)
        if not is_paused:
            self.transport.resume_reading()

    def _leave(self) -> None:
        """Tell whoever is answering that the client is gone."""
        if self._under_way is not None:
            self._under_way.disconnected = True
            self._under_way.message_event.set()

    def _is_of_another_protocol(self) -> bool:
        text = self._line + bytes(self._fed)
        return is_of_another_protocol(text, method=self.parser.get_method(), url=self.url)

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self.loop.call_soon(self._step)

    def _step(self) -> None:
        self._is_scheduled = False
        if self._unparsed:
            self._go_on()

    def _go_on(self) -> None:
        """Parse what waits: all that is plainly payload, but only a step where there is more to do."""
        while self._unparsed and not self.pipeline and not self.transport.is_closing():
            before = self.body_bytes
            step, self._unparsed = self._unparsed[:STEP_BYTES], self._unparsed[STEP_BYTES:]
            self._feed(step)
            if self.body_bytes - before < len(step) and self._unparsed:
                self._schedule()
                return
        if not self._unparsed or self.transport.is_closing():
            self._unparsed = b""  # an empty part of a packet would keep all of it
            self.flow.is_held = False
            cycle: Any = self.cycle  # None before the first request, whatever its type says
            if not self.pipeline and (cycle is None or len(cycle.body) <= HIGH_WATER_LIMIT):
                self.flow.resume_reading()

    def _feed(self, data: bytes | memoryview) -> None:
        self._fed = data
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay(bytes(data[upgrade.args[0] :]))
        except httptools.HttpParserError:
            self._refuse()
            return
        if self.progress % STAGES == Stage.HEAD:  # its request line may be whole by now
            if self._is_of_another_protocol():
                self._refuse()
                return
            self._line = b"" if self.headers else (self._line + bytes(data)).rpartition(b"\n")[2]
        else:
            self._line = b""
        self._fed = b""  # a part of it would keep the whole packet
        mark = self.progress + self.body_bytes
        if mark != self._mark:
            self._mark, self._framing_bytes = mark, 0
        else:
            self._framing_bytes += len(data)
            if self._framing_bytes > MAX_FRAMING_BYTES:
                self._refuse()

    def _refuse(self) -> None:
        self.logger.warning("Invalid HTTP request received.")
        self.is_refused = True
        self._fed = self._unparsed = b""
        self._tell()

    def _tell(self) -> None:
        """Send the refusal, once all requests before are answered: answers have the order of requests."""
        cycle: Any = self.cycle  # None before the first request, whatever its type says
        is_pending = cycle is not None and not cycle.response_complete
        if self.pipeline or (is_pending and not cycle.more_body) or self._is_told:
            return
        self._is_told = True
        if is_pending:  # its payload will never be whole
            self._leave()
        self.send_400_response("Invalid HTTP request received.")

    def _throw_away(self, data: bytes) -> None:
        self._rest_bytes += len(data)
        if self._rest_bytes > MAX_REST_BYTES:
            self.transport.abort()

    def _stay(self, rest: bytes) -> None:
        """Parse a request that would change the protocol again, without that wish.

        httptools has taken what follows its head for the other protocol's: the payload would be lost, and
        what of it comes in another packet taken for a request.
        """
        self._would_change = False
        head = [
            b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        ]
        head += [b"%b: %b" % pair for pair in self.headers if pair[0] not in _OF_THE_CONNECTION]
        head += [b"connection: close" for pair in self.headers if _asks_to_close(*pair)][:1]
        self.parser = httptools.HttpRequestParser(self)
        self._feed(b"\r\n".join([*head, b"", rest]))


def _asks_to_close(name: bytes, value: bytes) -> bool:
    return name == b"connection" and b"close" in value.lower()
