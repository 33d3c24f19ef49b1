"""Answer the contract's routes as plain ASGI, ahead of the framework's middleware.

A FastAPI route costs a multiple of what assigning a record does (findings: 75 to 100 µs against 1).
"""

import asyncio
import contextlib
import time
from functools import lru_cache, partial
from typing import Any, Final

import orjson

from service import contract
from service.errors import (
    InvalidPayloadError,
    InvocationError,
    InvocationTimeoutError,
    ModelNotReadyError,
    PayloadTooLargeError,
    UnsupportedEncodingError,
)
from service.lazy import np, simdjson
from service.serving.admission import Admission
from service.serving.asgi import Endpoint, Receive, Scope, Send, send_answer, send_reply
from service.serving.execution_parameters import execution_parameters
from service.serving.headers import InvocationHeaders, KnownHead, KnownHeads, read_headers
from service.serving.invocation import (
    Invocation,
    ServedModel,
    answer,
    answer_carefully,
    answer_few,
    answer_lightly,
    answer_quickly,
    error_body,
    refuse,
    version_header,
)
from service.serving.media import Media, Plan, Reader, default_answer, make_plan
from service.serving.signals.entry import Digest
from service.serving.signals.journal import Journal
from service.serving.signals.meter import Meter
from service.serving.tally import Tally
from service.serving.trimming import Trimmer
from service.serving.turns import Turns
from service.settings import Settings

INLINE_BYTES, KERNEL_INLINE_BYTES = 64 * 1024, 256 * 1024
"""Larger payloads are answered in a thread, so that /ping never waits (C14); without and with the kernel."""

CAREFUL_BYTES: Final = 4 * 1024
"""The same for payloads that take microseconds a record: errors, full detail, objects without the kernel."""

JOINING_BYTES: Final = 2 * 2**20
"""Parts of a larger payload are joined in a thread; with that many, Python lets go of its lock meanwhile."""

MAX_PLAN_BYTES: Final = 4 * contract.MAX_CUSTOM_ATTRIBUTES
"""SageMaker itself passes on at most 1024 characters of each (C23, C29)."""


class FastLane:
    """Hold the contract's endpoints around one model."""

    def __init__(
        self, served: ServedModel | None, settings: Settings, *, meter: Meter, journal: Journal
    ) -> None:
        """Keep the model, None where there is none to serve, the limits, and where invocations are noted."""
        self.journal = journal
        self._served = served
        self._settings = settings
        self._max_bytes = settings.max_payload_bytes
        self._timeout_s = settings.invocation_timeout_s
        self._parameters = orjson.dumps(execution_parameters(settings))
        self._version_header = served.version_header if served else version_header("none")
        # Most clients send the same headers with every request.
        self._plan_for = lru_cache(maxsize=512)(self._plan)
        self._meter = meter
        self._note = journal.note
        self._is_warm = False
        self._admission = Admission(
            max_bytes=settings.max_waiting_bytes, is_yielding=bool(served and served.kernel)
        )
        self._turns = Turns()
        self.trimmer = Trimmer(is_idle=lambda: self._admission.held_bytes == 0, run=self._admission.run)
        self.routes: dict[str, Endpoint] = {
            contract.PING_PATH: self.ping,
            contract.INVOCATIONS_PATH: self.invocations,
            contract.EXECUTION_PARAMETERS_PATH: self.execution_parameters,
        }
        self.known_heads = KnownHeads()
        self.short_cuts: dict[bytes, ServedModel] = {}
        """Models by the raw path of their invocations: what needs no framework, and no search."""
        if served:
            self.short_cuts[contract.INVOCATIONS_PATH.encode()] = served

    async def ping(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer 200 while the model assigns its golden records as it must, else 503 (C13, C15, C17)."""
        if scope["method"] not in {"GET", "POST", "HEAD"}:
            await self.refuse_method(send, allowed="GET, POST, HEAD")
            return
        # A multi-model server starts without a model, and each was tested when it was loaded.
        is_healthy = self._is_healthy(self._served) if self._served else self._settings.multi_model
        await send_answer(send, 200 if is_healthy else 503, (self._version_header,), b"")

    def _is_healthy(self, served: ServedModel) -> bool:
        if served.kernel and not served.kernel.agrees():
            return False
        return served.model.is_healthy() and (not self._is_warm or served.model.is_healthy_in_bulk())

    def warm(self) -> None:
        """Import what larger payloads need, so that the first of them does not wait for it; in a thread.

        With a kernel plain ones need nothing more, and most servers never see others.
        """
        if self._served is None or self._served.kernel is None:
            self._load()

    def _load(self) -> None:
        simdjson.Parser()
        np.zeros(0)
        self._is_warm = True

    async def execution_parameters(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Propose how a batch transform job should call (C48)."""
        if scope["method"] not in {"GET", "HEAD"}:
            await self.refuse_method(send, allowed="GET, HEAD")
            return
        headers = ((b"content-type", b"application/json"), self._version_header)
        await send_answer(send, 200, headers, self._parameters)

    async def invocations(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer POST /invocations (C21 to C33)."""
        if scope["method"] != "POST":
            self._meter.count_request(contract.INVOCATIONS_PATH, 405, 0.0)
            await self.refuse_method(send, allowed="POST")
            return
        reply = await self.answer_request(receive, read_headers(scope["headers"]), self._served)
        if reply is not None:
            if "segserve.reply" in scope:
                scope["segserve.reply"] = reply
            await send_reply(send, reply)

    async def answer_request(
        self, receive: Receive, headers: InvocationHeaders, model: ServedModel | None
    ) -> Invocation | None:
        """Answer a request with these headers, None when the client goes; without a model it is a 503."""
        started_s = time.perf_counter()
        try:
            body = await self.read_payload(receive, headers, model)
        except InvocationError as exc:
            return self.refuse(exc, headers, model, bytes_in=headers.length, started_s=started_s)
        return None if body is None else await self.answer_payload(body, headers, model)

    async def read_payload(
        self, receive: Receive, headers: InvocationHeaders, model: ServedModel | None = None
    ) -> bytes | None:
        """Return a payload, which a model is to answer at once if one is given.

        Returns:
            None when the client goes.

        Raises:
            InvocationError: None is to be read: it could not be answered, or not in time.
        """
        # All before the client is asked to go on (Expect: 100-continue).
        if headers.encoding:
            raise UnsupportedEncodingError("the payload has a Content-Encoding; send it as it is")
        self.check_size(headers.length)
        if headers.length > INLINE_BYTES:
            self._admission.check_room(headers.length)
        if model is not None and headers.length > inline_bytes(model):
            plan = self._plan_for(headers.content_type, headers.accept, headers.attributes)
            self._admission.check_time(headers.length, kind=_kind_of(plan), limit_s=self._timeout_s)
        message = await receive()
        if message["type"] != "http.request":
            return None
        if message.get("more_body"):
            return await self._whole_body(message, receive)
        body: bytes = message.get("body", b"")
        return body

    async def answer_payload(
        self,
        body: bytes,
        headers: InvocationHeaders,
        model: ServedModel | None,
        *,
        timeout_s: float | None = None,
    ) -> Invocation:
        """Answer a payload, a large one in a thread, within the server's own time limit or another."""
        started_s = time.perf_counter()
        if model is None:
            error = ModelNotReadyError("no model is loaded")
            return self.refuse(error, headers, model, bytes_in=len(body), started_s=started_s)
        reply = self.answer_now(body, headers, model) if len(body) <= inline_bytes(model) else None
        if reply is None:
            try:
                reply = await self._answer_in_thread(body, headers, model, timeout_s or self._timeout_s)
            except InvocationError as exc:
                reply = self.refuse(exc, headers, model, bytes_in=len(body), started_s=started_s)
        return reply

    def answer_now(self, body: bytes, headers: InvocationHeaders, model: ServedModel) -> Invocation | None:
        """Answer at once; None for a payload that would hold up the event loop."""
        started_s = time.perf_counter()
        try:
            self.check_size(len(body))
            plan = self._plan_for(headers.content_type, headers.accept, headers.attributes)
        except InvocationError as exc:
            return self.refuse(exc, headers, model, bytes_in=len(body), started_s=started_s)
        if model.kernel and not self._is_warm:  # to import numpy here would hold up the event loop
            reply: Invocation | None = answer_lightly(body, plan, model)
        elif len(body) <= CAREFUL_BYTES:
            reply = answer(body, plan, model)
        else:
            reply = answer_quickly(body, plan, model)
        if reply is not None:
            content_type, _, _, inference_id, _, request_id, _ = headers
            seconds = time.perf_counter() - started_s
            self._note(reply, request_id, inference_id, content_type, len(body), seconds)
        return reply

    def answer_known(self, body: bytes, known: KnownHead, model: ServedModel) -> Invocation | None:
        """Answer at once a request whose head is known; None for a payload that would hold up the loop."""
        started_s = time.perf_counter()
        reply = answer_few(body, known.plan, model)
        if reply is None:
            return self.answer_now(body, known.headers, model)
        self._note(reply, b"", b"", known.headers[0], len(body), time.perf_counter() - started_s)
        return reply

    def keep_head(self, head: bytes, url: bytes, headers: InvocationHeaders) -> None:
        """Keep what the parser found in the head of a request that was answered at once."""
        with contextlib.suppress(InvocationError):  # of one refused for its headers or its size
            self.check_size(headers.length)
            plan = self._plan_for(headers.content_type, headers.accept, headers.attributes)
            ledger = self.journal.ledger
            way = ledger.way_of(plan, length=headers.length) if ledger else None
            self.known_heads.keep(KnownHead(head, url, headers, plan, way))

    def _plan(self, content_type: bytes, accept: bytes, attributes: bytes) -> Plan:
        if len(content_type) + len(accept) + len(attributes) > MAX_PLAN_BYTES:
            # lru_cache keeps no exception, and so none of these.
            raise InvalidPayloadError("Content-Type, Accept and Custom-Attributes are too long together")
        return make_plan(
            content_type.decode("latin-1"),
            accept.decode("latin-1"),
            attributes.decode("latin-1"),
            default_accept=self._settings.default_accept
            or default_answer(content_type.decode("latin-1"), is_batch=self._settings.batch),
            on_error=self._settings.on_error,
        )

    async def _answer_in_thread(
        self, body: bytes, headers: InvocationHeaders, model: ServedModel, timeout_s: float | None
    ) -> Invocation:
        started_s = time.perf_counter()
        self.check_size(len(body))
        plan = self._plan_for(headers.content_type, headers.accept, headers.attributes)
        running = self._admission.submit(
            partial(self._answer_and_condense, body, plan, model),
            size=len(body),
            kind=_kind_of(plan),
            limit_s=timeout_s,
        )
        try:
            reply, digest = await asyncio.wait_for(asyncio.wrap_future(running), timeout_s)
        except TimeoutError:
            raise InvocationTimeoutError(f"the invocation took longer than {timeout_s:g} s") from None
        content_type, _, _, inference_id, _, request_id, _ = headers
        seconds = time.perf_counter() - started_s
        self._note(reply, request_id, inference_id, content_type, len(body), seconds, digest)
        return reply

    def _answer_and_condense(self, body: bytes, plan: Plan, model: ServedModel) -> tuple[Invocation, Digest]:
        reply = answer_quickly(body, plan, model)
        if reply is None:
            with self._turns.taking():
                reply = answer_carefully(body, plan, model)
        if not self._is_warm and not isinstance(reply.places, Tally):
            self._load()
        return reply, self._meter.condense(reply)

    def refuse(
        self,
        error: InvocationError,
        headers: InvocationHeaders,
        model: ServedModel | None,
        *,
        bytes_in: int,
        started_s: float,
    ) -> Invocation:
        """Return the answer that reports an error, and note it."""
        reply = refuse(error, version=model.version if model else "none")
        content_type, _, _, inference_id, _, request_id, _ = headers
        seconds = time.perf_counter() - started_s
        if self._max_bytes is not None:  # a length that is only announced may be anything, and fill the sum
            bytes_in = min(bytes_in, self._max_bytes + 1)
        self._note(reply, request_id, inference_id, content_type, bytes_in, seconds)
        return reply

    async def _whole_body(self, message: Any, receive: Receive) -> bytes | None:
        chunks = [message.get("body", b"")]
        with self._admission.arriving() as arrival:
            try:
                arrival.grow(len(chunks[0]))
                while message.get("more_body", False):
                    message = await receive()
                    if message["type"] != "http.request":
                        return None
                    chunk = message.get("body", b"")
                    self.check_size(arrival.size + len(chunk))
                    arrival.grow(len(chunk))
                    chunks.append(chunk)
                if arrival.size < JOINING_BYTES:
                    return b"".join(chunks)
                # Memory for a large one takes the system tens of milliseconds.
                return await asyncio.wrap_future(self._admission.run(partial(b"".join, chunks)))
            finally:
                self.trimmer.note(arrival.size)

    def check_size(self, size: int) -> None:
        """Raise PayloadTooLargeError over the cap."""
        if self._max_bytes is not None and size > self._max_bytes:
            raise PayloadTooLargeError.over(self._max_bytes)

    async def refuse_method(self, send: Send, *, allowed: str) -> None:
        """Answer 405, naming the methods that the route takes."""
        body = error_body("MethodNotAllowed", f"this route takes {allowed}")
        headers = (
            (b"content-type", Media.JSON.value.encode()),
            (b"allow", allowed.encode()),
            self._version_header,
        )
        await send_answer(send, 405, headers, body)


def inline_bytes(model: ServedModel) -> int:
    """Return how large payloads may be that are answered in the event loop."""
    return KERNEL_INLINE_BYTES if model.kernel else INLINE_BYTES


def _kind_of(plan: Plan) -> tuple[Reader, bool]:
    """Return what payloads have in common that take about equally long a byte."""
    return plan.reader, plan.has_detail
