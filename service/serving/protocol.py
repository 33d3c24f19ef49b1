"""Answer small invocations in the parser's own callback: no ASGI scope, no task, one write.

uvicorn spends more on turning a request into a scope and a task than an invocation costs. This subclass of
its protocol keeps its parser, limits, timeouts, pipelining and shutdown. It takes a short cut where a request
is plainly a small POST to a model's invocations with nothing before it on its connection; all else goes
uvicorn's way.

Clients send the same head, byte for byte, with every request whose payload is as long. What the parser found
in it is kept, so that it is parsed once (`KnownHeads`).
"""

from collections.abc import Iterable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.serving.fastlane import FastLane, inline_bytes
from service.serving.headers import InvocationHeaders, KnownHead, read_headers
from service.serving.invocation import Header, Invocation, ServedModel
from service.serving.stepping import STAGES, Stage
from service.serving.watch import WatchedProtocol

MAX_SHORT_CUTS: Final = 8
"""Of requests that came together: each holds up those of other clients."""

_MAX_CHUNKS: Final = 64
"""Parts of a payload that are kept apart: one of a single byte takes forty."""

_REQUEST: Final = int(Stage.REQUEST)

_END_OF_HEAD: Final = b"\r\n\r\n"


class ShortcutProtocol(WatchedProtocol):
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
        self._short_cuts_left = MAX_SHORT_CUTS
        self._last_head: tuple[object, object, int, bytes] = (None, None, 0, b"")
        self._heads = self._lane.known_heads
        self._journal = self._lane.journal
        self._respond_to = self._journal.ledger.respond if self._journal.ledger else None
        self._recent: KnownHead | None = None
        """Of the last request that the kernel may have answered whole."""
        self._learned: tuple[InvocationHeaders, bytes] | None = None
        """Of the request that has just taken the short cut: what was in its head, and its payload."""

    def data_received(self, data: bytes) -> None:
        """Answer a whole request whose head is known; give all else to the parser."""
        if self.progress % STAGES == _REQUEST and not self._unparsed and not self.is_refused:
            if self._recent is not None and self._respond(data, self._recent):
                return
            end = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
            known = self._heads.get(data[:end])
            if known is not None and len(data) - end == known.headers.length and self._answer(data, known):
                return
            self._learned = None
            super().data_received(data)
            if self._learned is not None:
                (headers, body), self._learned = self._learned, None
                if data[end:] == body:  # one request and nothing else, whose head ended where it seems to
                    self._lane.keep_head(data[:end], self.url, headers)
        else:
            super().data_received(data)
            self._learned = None  # it would keep the payload

    def _step(self) -> None:
        super()._step()
        self._learned = None

    def _feed(self, data: bytes | memoryview) -> None:
        self._short_cuts_left = MAX_SHORT_CUTS
        super()._feed(data)

    def on_message_begin(self) -> None:
        """Begin a request; the scope is made once it is known to be needed."""
        self.progress += 1
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._invocation = None
        self._header_bytes = 0
        self._has_host = False

    def on_headers_complete(self) -> None:
        """Decide which way the request goes."""
        self.progress += 1
        self.check_head()
        headers = read_headers(self.headers) if self._may_be_short() else None
        model = self._model
        if (
            headers is not None
            and model is not None
            and 0 < headers.length <= inline_bytes(model)
            and not headers.encoding
        ):
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
        self.body_bytes += len(body)
        if self._invocation is None:
            super().on_body(body)
            return
        self._chunks.append(body)
        if len(self._chunks) > _MAX_CHUNKS:
            self._chunks = [b"".join(self._chunks)]

    def on_message_complete(self) -> None:
        """Answer, if the request took the short cut and the payload is quickly read."""
        self.progress += 1
        headers, self._invocation = self._invocation, None
        if headers is None:
            super().on_message_complete()
            return
        self._short_cuts_left -= 1
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

    def shutdown(self) -> None:
        """Close the connection, after the answer to a request that is arriving."""
        self.is_stopping = True
        if self._invocation is None:
            super().shutdown()

    def _answer(self, data: bytes, known: KnownHead) -> bool:
        """Answer a request without the parser; tell whether that was possible."""
        if known.way is not None and known is not self._recent:
            self._recent = known
            if self._respond(data, known):
                return True
        model = self._short_cuts.get(known.url)
        if model is None or not self._is_free():
            return False
        body = data[len(known.head) :]
        reply = self._lane.answer_known(body, known, model)
        if reply is None:
            return False
        self._write(reply, keeps_alive=True)
        self._note(len(body))
        return True

    def _respond(self, data: bytes, known: KnownHead) -> bool:
        """Answer a request by the kernel alone; tell whether that was possible."""
        model = self._short_cuts.get(known.url)
        way = known.way
        if (
            model is None
            or model.kernel is None
            or way is None
            or self._respond_to is None
            or self.is_stopping
            or not self._is_free()
        ):
            return False
        state, version = self.server_state, model.version_header
        default = state.default_headers
        if known.answer_default is not default or known.version_header is not version:
            known.answer_head = _head_of(200, (*default, *known.plan.headers, version)) + b"x-request-id: "
            known.answer_default, known.version_header = default, version
        length = known.length
        answer = self._respond_to(
            model.kernel.labeller, data, known.head, length, way[0], way[1], known.answer_head, version[1]
        )
        if answer is None:
            return False
        self.transport.write(answer)
        state.total_requests += 1  # as _note does, without a call
        self.progress += STAGES
        self.body_bytes += length
        if not self._journal.is_awaited:
            self._journal.await_flush()
        return True

    def _is_free(self) -> bool:
        """Tell whether all requests before are answered, and the client reads the answers."""
        cycle: Any = self.cycle  # None before the first request, whatever its type says
        return not self.flow.write_paused and (cycle is None or cycle.response_complete)

    def _note(self, body_bytes: int) -> None:
        """Do what the parser's callbacks and `on_response_complete` do: nothing is queued or paused."""
        self.server_state.total_requests += 1
        self.progress += STAGES
        self.body_bytes += body_bytes

    def has_answered_early(self) -> bool:
        """Tell whether the answer was sent before all of the payload had come."""
        return self._invocation is None and super().has_answered_early()

    def _may_be_short(self) -> bool:
        self._model = self._short_cuts.get(self.url)
        if self._model is None or self._short_cuts_left == 0:
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
        if self.is_stopping:
            self.cycle.keep_alive = False
        super().on_body(body)
        super().on_message_complete()

    def _write(self, reply: Invocation, *, keeps_alive: bool) -> None:
        keeps_alive = keeps_alive and not self.is_stopping
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
        head = _head_of(reply.status, (*default, *reply.headers))
        self._last_head = (default, reply.headers, reply.status, head)
        return head


def _head_of(status: int, headers: Iterable[Header]) -> bytes:
    return STATUS_LINE[status] + b"".join([b"%b: %b\r\n" % pair for pair in headers])
