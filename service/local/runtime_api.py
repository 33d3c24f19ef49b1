"""Answer the runtime's REST routes: invocations at once, streamed, and asynchronous."""

import asyncio
import logging
import tempfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from service.contract import CUSTOM_ATTRIBUTES_HEADER, INFERENCE_ID_HEADER, INVOCATION_TIMEOUT_S
from service.local.caller import read_caller
from service.local.event_stream import CONTENT_TYPE, payload_part
from service.local.faults import ApiError, LaunchError, StorageError, not_emulated
from service.local.invocations import Answer, invoke, read_body
from service.local.operations import RUNTIME
from service.local.resources import ACCOUNT, Kind, Resource, Resources
from service.local.shapes import refused_headers
from service.local.storage import Storage, join
from service.local.traffic import Route, Traffic

ASYNC_TIMEOUT_S: Final = 900
"""C63: of an asynchronous invocation that does not say."""

_PREFIX: Final = "X-Amzn-SageMaker-"
_PART_BYTES: Final = 64 * 1024

_logger = logging.getLogger(__name__)


class RuntimeApi:
    """Answer invocations of the endpoints that are in service."""

    def __init__(
        self,
        resources: Resources,
        traffic: Traffic,
        storage: Storage,
        client: httpx.AsyncClient,
        *,
        default_region: str,
        timeout_s: float = INVOCATION_TIMEOUT_S,
    ) -> None:
        """Find endpoints in `resources` and what serves them in `traffic`."""
        self._resources = resources
        self._traffic = traffic
        self._storage = storage
        self._client = client
        self._default_region = default_region
        self._timeout_s = timeout_s
        self._refused = {operation.name: refused_headers(operation) for operation in RUNTIME}
        self._tasks: set[asyncio.Task[None]] = set()

    async def invoke(self, request: Request) -> Response:
        """Answer InvokeEndpoint."""
        answer = await self._ask(request, operation="InvokeEndpoint")
        return Response(answer.body, headers=answer.headers)

    async def invoke_streamed(self, request: Request) -> Response:
        """Answer InvokeEndpointWithResponseStream; the parts come once the container has answered (C113)."""
        accept = request.headers.get(f"{_PREFIX}Accept")
        answer = await self._ask(request, operation="InvokeEndpointWithResponseStream", accept=accept)
        headers = {f"{_PREFIX}Content-Type": answer.headers["Content-Type"]}
        headers |= {name: value for name, value in answer.headers.items() if name != "Content-Type"}
        return StreamingResponse(_parts(answer.body), media_type=CONTENT_TYPE, headers=headers)

    async def invoke_async(self, request: Request) -> Response:
        """Answer InvokeEndpointAsync: take the task on, and write the answer where the endpoint says."""
        endpoint, _ = self._find(request)
        self._check_headers(request, operation="InvokeEndpointAsync")
        configuration = (endpoint.document.get("AsyncInferenceConfig") or {}).get("OutputConfig")
        if not configuration or not configuration.get("S3OutputPath"):
            raise _invalid(f"Endpoint {endpoint.name} has no AsyncInferenceConfig with an S3OutputPath.")
        source = request.headers.get(f"{_PREFIX}InputLocation")
        if not source:
            raise _invalid("InvokeEndpointAsync needs an InputLocation: segserve local takes no inline body")
        inference_id = request.headers.get(INFERENCE_ID_HEADER) or str(uuid.uuid4())
        name = uuid.uuid4().hex
        output = join(configuration["S3OutputPath"], f"{name}.out")
        failure = join(
            configuration.get("S3FailurePath") or configuration["S3OutputPath"], f"{name}-error.out"
        )
        work = self._answer_later(request, source=source, output=output, failure=failure)
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        headers = {f"{_PREFIX}OutputLocation": output, f"{_PREFIX}FailureLocation": failure}
        document = f'{{"InferenceId": "{inference_id}"}}'
        return Response(document, status_code=202, media_type="application/json", headers=headers)

    async def close(self) -> None:
        """Drop the asynchronous invocations that have not been answered."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask(self, request: Request, *, operation: str, accept: str | None = None) -> Answer:
        # The body first: an endpoint may be updated while it comes.
        body = await read_body(request.stream())
        _, route = self._find(request)
        self._check_headers(request, operation=operation)
        headers = httpx.Headers(request.headers.raw)
        if accept is not None:
            headers["Accept"] = accept
        return await invoke(
            route,
            self._client,
            headers=headers,
            body=body,
            target_variant=request.headers.get(f"{_PREFIX}Target-Variant"),
            timeout_s=self._timeout_s,
        )

    async def _answer_later(self, request: Request, *, source: str, output: str, failure: str) -> None:
        headers = {
            name: request.headers[f"{_PREFIX}{name}"]
            for name in ("Content-Type", "Accept")
            if f"{_PREFIX}{name}" in request.headers
        }
        for name in (CUSTOM_ATTRIBUTES_HEADER, INFERENCE_ID_HEADER):
            if name in request.headers:
                headers[name] = request.headers[name]
        timeout_s = float(request.headers.get(f"{_PREFIX}InvocationTimeoutSeconds") or ASYNC_TIMEOUT_S)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "payload"
            target = output
            try:
                await asyncio.to_thread(self._storage.fetch, source, path)
                body = await asyncio.to_thread(path.read_bytes)
                _, route = self._find(request)
                answer = await invoke(
                    route,
                    self._client,
                    headers=httpx.Headers(headers),
                    body=body,
                    timeout_s=timeout_s,
                    limit=None,
                )
                content = answer.body
            except (ApiError, StorageError, LaunchError) as exc:
                target, content = failure, str(exc).encode()
            try:
                await asyncio.to_thread(path.write_bytes, content)
                await asyncio.to_thread(self._storage.store, path, target)
            except (StorageError, OSError) as exc:
                _logger.warning("An asynchronous answer is lost target=%s error=%s", target, exc)

    def _check_headers(self, request: Request, *, operation: str) -> None:
        """Refuse what would have another model, container or component answer, or answer elsewhere."""
        for header, member in self._refused[operation].items():
            if header in request.headers:
                raise not_emulated(member, operation, code="ValidationError")

    def _find(self, request: Request) -> tuple[Resource, Route]:
        caller = read_caller(request.headers, default_region=self._default_region)
        name = request.path_params["name"]
        try:
            endpoint = self._resources.get(Kind.ENDPOINT, region=caller.region, name=name)
        except ApiError:
            raise _invalid(f"Endpoint {name[:80]} of account {ACCOUNT} not found.") from None
        route = self._traffic.get(endpoint.arn)
        if route is None:
            raise _invalid(f"Endpoint {name} of account {ACCOUNT} not found: it is {endpoint.status}.")
        return endpoint, route


async def _parts(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), _PART_BYTES):
        yield payload_part(body[start : start + _PART_BYTES])


def _invalid(message: str) -> ApiError:
    return ApiError(message, code="ValidationError")
