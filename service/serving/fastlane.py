"""Answer the contract's routes as plain ASGI, ahead of the framework's middleware.

A FastAPI route costs a multiple of what assigning a record does (findings: 75 to 100 µs against 1).
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from service import contract
from service.contract import CUSTOM_ATTRIBUTES_HEADER, INFERENCE_ID_HEADER
from service.errors import (
    InvalidPayloadError,
    InvocationError,
    InvocationTimeoutError,
    ModelNotReadyError,
    PayloadTooLargeError,
)
from service.serving.invocation import (
    Header,
    Invocation,
    ServedModel,
    answer,
    answer_quickly,
    error_body,
    plan_invocation,
    refuse,
)
from service.serving.media import Media, Plan
from service.serving.signals.entry import Digest
from service.serving.signals.journal import Journal
from service.serving.signals.meter import Meter
from service.settings import Settings

Scope = Any
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Endpoint = Callable[[Scope, Receive, Send], Awaitable[None]]

INLINE_BYTES: Final = 64 * 1024
"""Larger payloads are answered in a thread, so that /ping never waits for one (C14)."""

CAREFUL_BYTES: Final = 4 * 1024
"""The same for payloads that take microseconds a record: objects, errors, full detail."""

MAX_PLAN_BYTES: Final = 4 * contract.MAX_CUSTOM_ATTRIBUTES
"""SageMaker itself passes on at most 1024 characters of each (C23, C29)."""

_THREADS: Final = 2
"""Of large payloads at once. More gain nothing, since parsing holds the interpreter's lock, and double the
longest wait of a ping: p99.9 of 185 ms with two, 380 ms with four, 100 ms with one, which would let a small
payload wait behind a large one."""
_ATTRIBUTES: Final = CUSTOM_ATTRIBUTES_HEADER.lower().encode()
_INFERENCE_ID: Final = INFERENCE_ID_HEADER.lower().encode()
_VERSION: Final = b"x-segserve-model-version"
_REQUEST_ID: Final = b"x-request-id"
_SAFE_ID: Final = re.compile(rb"[\w.:/+=@-]{1,64}")
"""Of the caller's own; others are replaced, not repeated."""


class InvocationHeaders(NamedTuple):
    """Hold the headers that an invocation depends on; empty, or 0, where the client gave none."""

    content_type: bytes
    accept: bytes
    attributes: bytes
    inference_id: bytes
    length: int
    """0 also where the payload comes in chunks."""
    request_id: bytes = b""


class FastLane:
    """Hold the contract's endpoints around one model."""

    def __init__(
        self, served: ServedModel | None, settings: Settings, *, meter: Meter, journal: Journal
    ) -> None:
        """Keep the model, None where there is none to serve, the limits, and where invocations are noted."""
        self._served = served
        self._max_bytes = settings.max_payload_bytes
        self._timeout_s = settings.invocation_timeout_s
        self._parameters = orjson.dumps(execution_parameters(settings))
        self._version = served.version.encode() if served else b"none"
        # Most clients send the same headers with every request.
        self._plan_for = lru_cache(maxsize=512)(self._plan)
        self._meter = meter
        self._note = journal.note
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="invocation")
        self.routes: dict[str, Endpoint] = {
            contract.PING_PATH: self.ping,
            contract.INVOCATIONS_PATH: self.invocations,
            contract.EXECUTION_PARAMETERS_PATH: self.execution_parameters,
        }

    async def ping(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer 200 while the model assigns its golden records as it must, else 503 (C13, C15, C17)."""
        if scope["method"] not in {"GET", "POST", "HEAD"}:
            await self._refuse_method(send, allowed="GET, POST, HEAD")
            return
        is_healthy = self._served is not None and self._served.model.is_healthy()
        await _send(send, 200 if is_healthy else 503, ((_VERSION, self._version),), b"")

    async def execution_parameters(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Propose how a batch transform job should call (C48)."""
        if scope["method"] not in {"GET", "HEAD"}:
            await self._refuse_method(send, allowed="GET, HEAD")
            return
        headers = ((b"content-type", b"application/json"), (_VERSION, self._version))
        await _send(send, 200, headers, self._parameters)

    async def invocations(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer POST /invocations (C21 to C33)."""
        if scope["method"] != "POST":
            self._meter.count_request(contract.INVOCATIONS_PATH, 405, 0.0)
            await self._refuse_method(send, allowed="POST")
            return
        headers = read_headers(scope["headers"])
        started_s = time.perf_counter()
        try:
            self._check_size(headers.length)  # before the client is asked to go on (Expect: 100-continue)
            message = await receive()
            body = message.get("body", b"")
            if message.get("more_body"):
                body = await self._whole_body(message, receive)
            if body is None or message["type"] != "http.request":
                return  # the client has gone
            reply = self.answer_now(body, headers) if len(body) <= INLINE_BYTES else None
            if reply is None:
                reply = await self._answer_in_thread(body, headers)
        except InvocationError as exc:
            reply = self._refuse(exc, headers, bytes_in=headers.length, started_s=started_s)
        scope["segserve.reply"] = reply
        await _send(send, reply.status, (*reply.headers, (_REQUEST_ID, reply.request_id)), reply.body)

    def answer_now(self, body: bytes, headers: InvocationHeaders) -> Invocation | None:
        """Answer at once; None for a payload that would hold up the event loop."""
        started_s = time.perf_counter()
        try:
            self._check_size(len(body))
            plan = self._plan_for(headers.content_type, headers.accept, headers.attributes)
            model = self._model()
        except InvocationError as exc:
            return self._refuse(exc, headers, bytes_in=len(body), started_s=started_s)
        if len(body) <= CAREFUL_BYTES:
            reply: Invocation | None = answer(body, plan, model)
        else:
            reply = answer_quickly(body, plan, model)
        if reply is not None:
            content_type, _, _, inference_id, _, request_id = headers
            seconds = time.perf_counter() - started_s
            self._note(reply, request_id, inference_id, content_type, len(body), seconds)
        return reply

    def _plan(self, content_type: bytes, accept: bytes, attributes: bytes) -> Plan:
        if len(content_type) + len(accept) + len(attributes) > MAX_PLAN_BYTES:
            # lru_cache keeps no exception, and so none of these.
            raise InvalidPayloadError("Content-Type, Accept and Custom-Attributes are too long together")
        return plan_invocation(
            content_type.decode("latin-1"),
            accept.decode("latin-1"),
            attributes.decode("latin-1"),
            self._model(),
        )

    def _model(self) -> ServedModel:
        if self._served is None:
            raise ModelNotReadyError("no model is loaded")
        return self._served

    async def _answer_in_thread(self, body: bytes, headers: InvocationHeaders) -> Invocation:
        started_s = time.perf_counter()
        self._check_size(len(body))
        plan = self._plan_for(headers.content_type, headers.accept, headers.attributes)
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._threads, self._answer_and_condense, body, plan, self._model())
        try:
            reply, digest = await asyncio.wait_for(running, self._timeout_s)
        except TimeoutError:
            raise InvocationTimeoutError(f"the invocation took longer than {self._timeout_s:g} s") from None
        content_type, _, _, inference_id, _, request_id = headers
        seconds = time.perf_counter() - started_s
        self._note(reply, request_id, inference_id, content_type, len(body), seconds, digest)
        return reply

    def _answer_and_condense(self, body: bytes, plan: Plan, model: ServedModel) -> tuple[Invocation, Digest]:
        reply = answer(body, plan, model)
        return reply, self._meter.condense(reply)

    def _refuse(
        self, error: InvocationError, headers: InvocationHeaders, *, bytes_in: int, started_s: float
    ) -> Invocation:
        reply = refuse(error, version=self._version.decode())
        content_type, _, _, inference_id, _, request_id = headers
        seconds = time.perf_counter() - started_s
        self._note(reply, request_id, inference_id, content_type, bytes_in, seconds)
        return reply

    async def _whole_body(self, message: Any, receive: Receive) -> bytes | None:
        """Return the payload, None when the client has gone; raise PayloadTooLargeError over the cap."""
        chunks = [message.get("body", b"")]
        size = len(chunks[0])
        while message.get("more_body", False):
            message = await receive()
            if message["type"] != "http.request":
                return None
            chunk = message.get("body", b"")
            size += len(chunk)
            self._check_size(size)
            chunks.append(chunk)
        return b"".join(chunks)

    def _check_size(self, size: int) -> None:
        if self._max_bytes is not None and size > self._max_bytes:
            raise self._too_large()

    def _too_large(self) -> PayloadTooLargeError:
        return PayloadTooLargeError(
            f"the payload has more than {self._max_bytes} bytes; send less, or raise SERVICE_MAX_PAYLOAD_MB"
        )

    async def _refuse_method(self, send: Send, *, allowed: str) -> None:
        body = error_body("MethodNotAllowed", f"this route takes {allowed}")
        headers = (
            (b"content-type", Media.JSON.value.encode()),
            (b"allow", allowed.encode()),
            (_VERSION, self._version),
        )
        await _send(send, 405, headers, body)


def execution_parameters(settings: Settings) -> dict[str, int | str]:
    """Return what /execution-parameters proposes; concurrency times payload stays within 100 MB (C50)."""
    transforms = max(1, settings.max_concurrent_transforms or settings.workers)
    transforms = min(transforms, contract.BATCH_PAYLOAD_BUDGET_MB)
    payload_mb = min(
        settings.max_payload_mb or contract.BATCH_PAYLOAD_BUDGET_MB,
        contract.BATCH_DEFAULT_PAYLOAD_MB if not settings.batch else contract.BATCH_PAYLOAD_BUDGET_MB,
        contract.BATCH_PAYLOAD_BUDGET_MB // transforms,
    )
    return {
        "MaxConcurrentTransforms": transforms,
        "BatchStrategy": settings.batch_strategy,
        "MaxPayloadInMB": payload_mb,
    }


def read_headers(headers: Sequence[Header]) -> InvocationHeaders:
    """Find the headers that an invocation depends on."""
    content_type = accept = attributes = inference_id = request_id = b""
    length = 0
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name == b"accept":
            accept = accept + b"," + value if accept else value
        elif name == b"content-length":
            length = int(value)
        elif name == _ATTRIBUTES:
            attributes = value
        elif name == _INFERENCE_ID:
            inference_id = value
        elif name == _REQUEST_ID and _SAFE_ID.fullmatch(value):
            request_id = value
    return InvocationHeaders(content_type, accept, attributes, inference_id, length, request_id)


async def _send(send: Send, status: int, headers: Sequence[Header], body: bytes) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"content-length", b"%d" % len(body))],
        }
    )
    await send({"type": "http.response.body", "body": body})
