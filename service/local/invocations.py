"""Hand invocations on to the instances of an endpoint, as SageMaker's runtime does."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

import httpx

from service.contract import (
    CUSTOM_ATTRIBUTES_HEADER,
    INFERENCE_ID_HEADER,
    INVOCATION_TIMEOUT_S,
    INVOCATIONS_PATH,
    MAX_CUSTOM_ATTRIBUTES,
    MAX_ERROR_BYTES,
)
from service.local.faults import ApiError
from service.local.resources import ACCOUNT
from service.local.traffic import Route

MAX_BODY_BYTES: Final = 6 * 2**20
"""C27: of a request and of an answer. Source: API_runtime_InvokeEndpoint."""

MAX_SERVERLESS_BODY_BYTES: Final = 4 * 2**20
"""C64. Source: AWS guide, "Invoke a serverless endpoint"."""

FORWARDED: Final = (
    "Content-Type",
    "Accept",
    CUSTOM_ATTRIBUTES_HEADER,
    INFERENCE_ID_HEADER,
    "X-Amzn-SageMaker-Session-Id",
)
"""C22: every other header is taken away."""

VARIANT_HEADER: Final = "x-Amzn-Invoked-Production-Variant"
_RETURNED: Final = (
    CUSTOM_ATTRIBUTES_HEADER,
    "X-Amzn-SageMaker-New-Session-Id",
    "X-Amzn-SageMaker-Closed-Session-Id",
)
_TIMED_OUT: Final = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency "
    "metrics for each container, resolve the issue, and try again."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold what a container has answered."""

    body: bytes
    headers: dict[str, str]


async def read_body(chunks: AsyncIterator[bytes], *, limit: int = MAX_BODY_BYTES) -> bytes:
    """Read a request's body to its end, also when it is too large, so that its sender gets the answer.

    Raises:
        ApiError: It is too large.
    """
    body = bytearray()
    size_bytes = 0
    async for chunk in chunks:
        size_bytes += len(chunk)
        if size_bytes <= limit:
            body += chunk
    check_size(size_bytes, limit=limit)
    return bytes(body)


def check_size(size_bytes: int, *, limit: int) -> None:
    """Refuse a body that is too large."""
    if size_bytes > limit:
        raise ApiError(
            f"Request {size_bytes} bytes has exceeded the limit of {limit} bytes",
            code="ValidationError",
            status=413,
        )


async def invoke(
    route: Route,
    client: httpx.AsyncClient,
    *,
    headers: Mapping[str, str],
    body: bytes,
    target_variant: str | None = None,
    timeout_s: float = INVOCATION_TIMEOUT_S,
    limit: int | None = MAX_BODY_BYTES,
) -> Answer:
    """Ask an instance and return its answer.

    Args:
        route: Leads to the instances.
        client: Opens connections to them.
        headers: Of the request, of which only FORWARDED reach the container.
        body: As it came.
        target_variant: Asks this variant instead of one chosen by weight.
        timeout_s: C26.
        limit: Of the answer, in bytes; None for none.

    Raises:
        ApiError: ModelError when the container answers with an error, too late, too much or not at all.
    """
    attributes = headers.get(CUSTOM_ATTRIBUTES_HEADER, "")
    if len(attributes) > MAX_CUSTOM_ATTRIBUTES or not attributes.isascii():
        raise ApiError(
            f"CustomAttributes holds {len(attributes)} characters; at most {MAX_CUSTOM_ATTRIBUTES} visible "
            "US-ASCII ones are accepted",
            code="ValidationError",
        )
    forwarded = {name: headers[name] for name in FORWARDED if name in headers}
    with route.lease(target_variant) as (variant, instance):
        if variant.is_serverless:
            check_size(len(body), limit=MAX_SERVERLESS_BODY_BYTES)
        url = f"{instance.url}{INVOCATIONS_PATH}"
        try:
            async with (
                asyncio.timeout(timeout_s),
                client.stream("POST", url, content=body, headers=forwarded, timeout=None) as response,
            ):
                content = await _read(response, limit=limit)
        except TimeoutError:
            raise model_error(0, _TIMED_OUT, code="MODEL_INVOCATION_TIMEOUT") from None
        except httpx.TransportError as exc:
            message = f"the connection to the container broke ({type(exc).__name__})"
            raise model_error(0, message, code="INTERNAL_FAILURE_FROM_MODEL") from None
    if response.status_code >= 400:
        text = content[:MAX_ERROR_BYTES].decode(errors="replace")
        side = "CLIENT_ERROR" if response.status_code < 500 else "SERVER_ERROR"
        raise model_error(response.status_code, text, code=f"{side}_FROM_MODEL")
    returned = {name: response.headers[name] for name in _RETURNED if name in response.headers}
    content_type = response.headers.get("Content-Type", "application/octet-stream")
    return Answer(content, {"Content-Type": content_type, VARIANT_HEADER: variant.name, **returned})


def model_error(status: int, text: str, *, code: str) -> ApiError:
    """Return what a caller gets for a container's error (C28, C105)."""
    side = "client" if 400 <= status < 500 else "server"
    return ApiError(
        f'Received {side} error ({status}) from primary with message "{text}".',
        code="ModelError",
        status=424,
        members={
            "OriginalStatusCode": status,
            "OriginalMessage": text,
            "ErrorCode": code,
            "LogStreamArn": f"arn:aws:logs:local:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints",
        },
    )


async def _read(response: httpx.Response, *, limit: int | None) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if limit is not None and len(content) > limit:
            message = f"the answer has more than {limit} bytes"
            raise model_error(response.status_code, message, code="MODEL_RESPONSE_TOO_LARGE")
    return bytes(content)
