"""Answer small invocations in the parser's own callback: no ASGI scope, no task, one write.

uvicorn spends more on turning a request into a scope and a task than an invocation costs. This subclass of
its protocol keeps its parser, limits, timeouts, pipelining and shutdown. It takes a short cut where a request
is plainly a small POST to a model's invocations with nothing before it on its connection; all else goes
uvicorn's way.

Clients send the same head, byte for byte, with every request whose payload is as long. What the parser found
in it is kept, so that it is parsed once (`KnownHeads`).
"""

from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.serving.fastlane import FastLane, inline_bytes
from service.serving.headers import InvocationHeaders, KnownHead, read_headers
from service.serving.invocation import Invocation, ServedModel

MAX_HEADER_BYTES: Final = 64 * 1024
"""Names and values of one request's headers together; httptools sets no limit."""

_END_OF_HEAD: Final = b"\r\n\r\n"


class ShortcutProtocol(HttpToolsProtocol):
    """Serve one connection; `app.lane` answers what takes the short cut."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what uvicorn gives its protocols."""
        super().__init__(*args, **kwargs)
        self._lane: FastLane = self.app.lane  # a SegmentationApp, never wrapped
        self._short_cuts = {} if self.app.tracing else self._lane.short_cuts  # a trace needs the scope
        self._invocation: InvocationHeaders | None = None
        """Of the request that is taking the short cut."""
        self._model: ServedModel | None = None
        """What answers it."""
        self._chunks: list[bytes] = []
        self._header_bytes = 0
        self._is_between = True
        """Nothing of a further request has come in."""
        self._is_stopping = False
        self._last_head: tuple[object, object, int, bytes] = (None, None, 0, b"")
        self._heads = self._lane.known_heads
        self._learned: tuple[InvocationHeaders, bytes] | None = None
        """Of the request that has just taken the short cut: what was in its head, and its payload."""
        self._answered_s = 0.0
        """When the last short cut ended, on the loop's clock."""

    def data_received(self, data: bytes) -> None:
        """Answer a whole request whose head is known; give all else to the parser."""
        if self._is_between:
            end = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
            known = self._heads.get(data[:end])
            if (
                known is not None
                and len(data) - end == known.headers.length
                and self._answer(data[end:], known)
            ):
                return
            self._learned = None
            super().data_received(data)
            if self._learned is not None:
                headers, body = self._learned
                if data[end:] == body:  # one request and nothing else, whose head ended where it seems to
                    self._lane.keep_head(data[:end], self.url, headers)
        else:
            super().data_received(data)

    def on_message_begin(self) -> None:
        """Begin a request; the scope is made once it is known to be needed."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._is_between = False
        self._invocation = None
        self._header_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; too many of them end the connection with 400, as any malformed request does."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEADER_BYTES:
            raise ValueError("too many headers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Decide which way the request goes."""
        headers = read_headers(self.headers) if self._may_be_short() else None
        model = self._model
        if headers is not None and model is not None and 0 < headers.length <= inline_bytes(model):
            self._invocation = headers
            self._chunks.clear()
            return
        url, expects, given = self.url, self.expect_100_continue, self.headers
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += given
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Keep a part of the payload."""
        if self._invocation is None:
            super().on_body(body)
        else:
            self._chunks.append(body)

    def on_message_complete(self) -> None:
        """Answer, if the request took the short cut and the payload is quickly read."""
        headers, self._invocation = self._invocation, None
        self._is_between = self.parser.should_keep_alive()
        if headers is None:
            super().on_message_complete()
            return
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        model, self._model = self._model, None
        reply = self._lane.answer_now(body, headers, model) if model else None
        if reply is None:
            self._take_the_long_way(body)
        else:
            keeps_alive = self.parser.should_keep_alive()
            self._write(reply, keeps_alive=keeps_alive)
            self._learned = (headers, body) if keeps_alive else None
            self.on_response_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, unless a short cut was taken since the timer was set."""
        left_s = self._answered_s + self.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left_s, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def shutdown(self) -> None:
        """Close the connection, after the answer to a request that is arriving."""
        self._is_stopping = True
        if self._invocation is None:
            super().shutdown()

    def _answer(self, body: bytes, known: KnownHead) -> bool:
        """Answer a request without the parser; tell whether that was possible."""
        cycle: Any = self.cycle
        model = self._short_cuts.get(known.url)
        if model is None or self.flow.write_paused or not (cycle is None or cycle.response_complete):
            return False
        reply = self._lane.answer_known(body, known, model)
        if reply is None:
            return False
        self._write(reply, keeps_alive=True)
        # In place of `on_response_complete`: nothing is queued or paused, and the timer goes on.
        self.server_state.total_requests += 1
        self._answered_s = self.loop.time()
        return True

    def _may_be_short(self) -> bool:
        self._model = self._short_cuts.get(self.url)
        if self._model is None:
            return False
        cycle: Any = self.cycle  # None before the first request, whatever its type says
        return (
            not self.expect_100_continue
            and (cycle is None or cycle.response_complete)
            and not self.flow.write_paused
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and not self.parser.should_upgrade()
        )

    def _take_the_long_way(self, body: bytes) -> None:
        """Hand a complete request over to uvicorn, as if it had just arrived."""
        url, given = self.url, self.headers
        super().on_message_begin()
        self.url = url
        self.headers += given
        super().on_headers_complete()
        if self._is_stopping:
            self.cycle.keep_alive = False
        super().on_body(body)
        super().on_message_complete()

    def _write(self, reply: Invocation, *, keeps_alive: bool) -> None:
        keeps_alive = keeps_alive and not self._is_stopping
        connection = b"" if keeps_alive else b"connection: close\r\n"
        self.transport.write(
            b"%bx-request-id: %b\r\n%bcontent-length: %d\r\n\r\n%b"
            % (self._head(reply), reply.request_id, connection, len(reply.body), reply.body)
        )
        if not keeps_alive:
            self.transport.close()

    def _head(self, reply: Invocation) -> bytes:
        """Return status line and headers; most answers on a connection have those of the answer before."""
        default, headers, status, head = self._last_head
        if (
            headers == reply.headers
            and default is self.server_state.default_headers
            and status == reply.status
        ):
            return head
        default = self.server_state.default_headers
        lines = (b"%b: %b\r\n" % pair for pair in (*default, *reply.headers))
        head = STATUS_LINE[reply.status] + b"".join(lines)
        self._last_head = (default, reply.headers, reply.status, head)
        return head
