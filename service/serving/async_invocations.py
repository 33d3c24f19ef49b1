"""Answer asynchronous invocations: take the request, answer later into a file or an S3 object (C110)."""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Final, TypeVar

import msgspec
import orjson

from service import contract
from service.errors import ConfigurationError, InvocationError
from service.serving.fastlane import FastLane
from service.serving.invocation import Invocation, ServedModel
from service.serving.locations import S3, LocationError, Place, input_path, make_place, read_file
from service.serving.runtime_errors import model_error_text, service_unavailable
from service.serving.runtime_request import RuntimeCall, ValidationError
from service.settings import Settings

_AT_ONCE: Final = 4
"""Inputs in memory at a time; on SageMaker it is the endpoint's MaxConcurrentInvocationsPerInstance."""
_MAX_WAITING: Final = 500
_TRANSFERS: Final = 4
_TEXT: Final = "text/plain"

T = TypeVar("T")

_logger = logging.getLogger(__name__)


class Job(msgspec.Struct, frozen=True):
    """Hold one accepted invocation."""

    call: RuntimeCall
    inference_id: str
    model: ServedModel | None
    body: bytes | None
    """None where the input lies elsewhere."""
    output_key: str
    failure_key: str
    accepted_s: float


class AsyncInvocations:
    """Accept invocations, and answer them in their order, a few at once."""

    def __init__(self, lane: FastLane, settings: Settings) -> None:
        """Take the places of inputs and outputs from the settings."""
        self._lane = lane
        self._max_bytes = settings.max_payload_bytes
        self._input_dir = settings.async_input
        self._s3 = S3(settings.s3_endpoint)
        self._output = settings.async_output
        if self._output is not None:
            try:
                self._place  # noqa: B018  # a place that cannot be used is told at the start
            except ConfigurationError as exc:
                raise ConfigurationError(f"SERVICE_ASYNC_OUTPUT: {exc}") from None
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self._transfers = ThreadPoolExecutor(_TRANSFERS, thread_name_prefix="transfer")

    @cached_property
    def _place(self) -> Place:
        """Return where outputs go; the temporary folder, where there may be none, only when it is needed."""
        return make_place(self._output, self._s3)

    def accept(
        self, call: RuntimeCall, body: bytes, model: ServedModel | None
    ) -> tuple[Invocation, Job | None]:
        """Return the answer to the caller, and what is left to do; raise ValidationError."""
        location = call.input_location
        self._check(location, body)
        try:
            place = self._place
        except OSError:
            return service_unavailable("nothing can be written here: set SERVICE_ASYNC_OUTPUT"), None
        if self._waiting >= _MAX_WAITING:
            return service_unavailable(f"{_MAX_WAITING} asynchronous invocations are waiting already"), None
        inference_id = call.get("inference-id") or str(uuid.uuid4())
        name = call.get("filename") or f"{uuid.uuid4()}.out"
        folder = "/".join(part for part in call.get("s3outputpathextension").split("/") if part)
        if ".." in folder.split("/"):
            raise ValidationError("S3OutputPathExtension must not lead out of the output's folder")
        job = Job(
            call=call,
            inference_id=inference_id,
            model=model,
            body=None if location else body,
            output_key=f"{folder}/{name}" if folder else name,
            failure_key=f"failures/{uuid.uuid4()}-error.out",
            accepted_s=time.monotonic(),
        )
        headers = (
            (b"content-type", b"application/json"),
            (b"x-amzn-sagemaker-outputlocation", place.locate(job.output_key).encode()),
            (b"x-amzn-sagemaker-failurelocation", place.locate(job.failure_key).encode()),
        )
        answer = orjson.dumps({"InferenceId": inference_id})
        return Invocation(202, answer, "application/json", headers), job

    async def run(self, job: Job) -> None:
        """Answer an accepted invocation into its output, or say in its failure why not; never raises."""
        self._waiting += 1
        try:
            async with self._slots:
                reply = await self._answer(job)
        finally:
            self._waiting -= 1
        is_done = isinstance(reply, Invocation) and reply.status < 400
        if isinstance(reply, Invocation) and is_done:
            key, content, content_type = job.output_key, reply.body, reply.content_type
        else:
            text = model_error_text(reply, job.call) if isinstance(reply, Invocation) else reply
            key, content, content_type = job.failure_key, text.encode(), _TEXT
        try:
            await self._in_thread(partial(self._place.write, key, content, content_type=content_type))
        except LocationError:
            _logger.exception("Asynchronous answer lost inference_id=%a", job.inference_id)
            return
        _logger.info(
            "Asynchronous invocation ended done=%s inference_id=%a bytes_out=%d",
            is_done,
            job.inference_id,
            len(content),
        )

    def _check(self, location: str, body: bytes) -> None:
        """Raise ValidationError where there is no input that could be read."""
        if bool(location) == bool(body):
            raise ValidationError("give either InputLocation or Body, and not both")
        if len(body) > contract.MAX_ASYNC_INLINE_BYTES:
            raise ValidationError(
                f"Body has more than {contract.MAX_ASYNC_INLINE_BYTES} bytes: use InputLocation"
            )
        try:
            if location.startswith("file://"):
                input_path(location, folder=self._input_dir)
            elif location.startswith("s3://"):
                self._s3.check()
            elif location and not (self._s3.endpoint and location.startswith(f"{self._s3.endpoint}/")):
                raise ValidationError(
                    "InputLocation must be s3://BUCKET/KEY, a file:// URI, or a URL below SERVICE_S3_ENDPOINT"
                )
        except (LocationError, ConfigurationError) as exc:
            raise ValidationError(str(exc)) from exc

    async def _answer(self, job: Job) -> Invocation | str:
        """Return the container's answer, or why it was not asked."""
        waited_s = time.monotonic() - job.accepted_s
        if (limit := job.call.get("requestttlseconds")) and waited_s > int(limit):
            return f"the request has waited longer than its RequestTTLSeconds, {limit}"
        headers = job.call.to_invocation()
        try:
            body = job.body if job.body is not None else await self._fetch(job.call.input_location)
        except InvocationError as exc:
            return self._lane.refuse(exc, headers, job.model, bytes_in=0, started_s=time.perf_counter())
        except LocationError as exc:
            return f"the input cannot be read: {exc}"
        timeout_s = int(job.call.get("invocationtimeoutseconds") or contract.ASYNC_TIMEOUT_S)
        return await self._lane.answer_payload(body, headers, job.model, timeout_s=timeout_s)

    async def _fetch(self, location: str) -> bytes:
        if location.startswith("file://"):
            path = input_path(location, folder=self._input_dir)
            return await self._in_thread(partial(read_file, path, max_bytes=self._max_bytes))
        return await self._in_thread(partial(self._s3.read, location, max_bytes=self._max_bytes))

    async def _in_thread(self, transfer: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._transfers, transfer)
