"""Answer AWS's own clients that are pointed at this server, as if SageMaker stood before it (C101 to C113).

SageMaker never calls these routes of a container: it answers them itself and calls /invocations.
"""

import time
import uuid
from typing import Final

from service.errors import InvocationError, ModelNotLoadedError
from service.serving.asgi import Receive, Scope, Send, send_answer
from service.serving.async_invocations import AsyncInvocations
from service.serving.event_stream import CONTENT_TYPE, payload_parts
from service.serving.fastlane import FastLane
from service.serving.invocation import Header, Invocation, ServedModel
from service.serving.multi_model import MultiModel
from service.serving.runtime_errors import model_error, validation_error
from service.serving.runtime_request import (
    Operation,
    RuntimeCall,
    ValidationError,
    find_operation,
    read_call,
)
from service.serving.signals.routes import COUNTED
from service.settings import Settings

_VARIANT: Final = "AllTraffic"
"""What SageMaker's SDK names the only variant of an endpoint."""
_ATTRIBUTES: Final = b"x-amzn-sagemaker-custom-attributes"


class RuntimeApi:
    """Hold the three operations around one model, or around many."""

    def __init__(
        self, lane: FastLane, settings: Settings, *, served: ServedModel | None, models: MultiModel | None
    ) -> None:
        """Answer with `served`, or with what a caller targets among `models`."""
        self._lane = lane
        self._served = served
        self._models = models
        self._async = AsyncInvocations(lane, settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer a request; False for a path that is of no operation."""
        found = find_operation(scope["path"])
        if found is None:
            return False
        if scope["method"] != "POST":
            await self._lane.refuse_method(send, allowed="POST")
            return True
        try:
            await self._answer(read_call(*found, scope["headers"]), scope, receive, send)
        except ValidationError as exc:
            await _send(send, validation_error(str(exc)))
        return True

    async def _answer(self, call: RuntimeCall, scope: Scope, receive: Receive, send: Send) -> None:
        headers = call.to_invocation()
        started_s = time.perf_counter()
        try:
            body = await self._lane.read_payload(receive, headers)
            if body is None:
                return
            model = await self._target(call)
        except InvocationError as exc:
            scope[COUNTED] = True
            reply = self._lane.refuse(exc, headers, None, bytes_in=headers.length, started_s=started_s)
            await _send(send, model_error(reply, call))
            return
        if call.operation is Operation.ASYNC:
            accepted, job = self._async.accept(call, body, model)
            await _send(send, accepted)
            if job:  # the server waits for this when it is told to stop
                await self._async.run(job)
            return
        scope[COUNTED] = True
        reply = await self._lane.answer_payload(body, headers, model)
        if reply.status >= 400:
            await _send(send, model_error(reply, call))
        elif call.operation is Operation.STREAM:
            await _stream(send, reply, call)
        else:
            fields = ((b"content-type", reply.content_type.encode()), *_headers(reply, call))
            await send_answer(send, reply.status, fields, reply.body)

    async def _target(self, call: RuntimeCall) -> ServedModel | None:
        target = call.get("target-model")
        if self._models is None:
            if target:
                raise ValidationError("TargetModel is for multi-model endpoints, and this is none")
            return self._served
        if not target:
            raise ValidationError("a multi-model endpoint needs TargetModel")
        try:
            return await self._models.find_target(target)
        except ModelNotLoadedError as exc:
            raise ValidationError(str(exc)) from None


def _headers(reply: Invocation, call: RuntimeCall) -> list[Header]:
    """Return what AWS adds, and the one header of a container that it passes on (C102)."""
    variant = call.get("target-variant") or _VARIANT
    passed_on = [header for header in reply.headers if header[0] == _ATTRIBUTES]
    return [*passed_on, (b"x-amzn-invoked-production-variant", variant.encode()), _request_id()]


def _request_id() -> Header:
    return b"x-amzn-requestid", str(uuid.uuid4()).encode()


async def _send(send: Send, reply: Invocation) -> None:
    await send_answer(send, reply.status, (*reply.headers, _request_id()), reply.body)


async def _stream(send: Send, reply: Invocation, call: RuntimeCall) -> None:
    """Send an answer as an event stream, whose frames are written as fast as the client takes them (C108)."""
    fields = [
        (b"content-type", CONTENT_TYPE.encode()),
        (b"x-amzn-sagemaker-content-type", reply.content_type.encode()),
        *_headers(reply, call),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    for frame in payload_parts(reply.body):
        await send({"type": "http.response.body", "body": frame, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
