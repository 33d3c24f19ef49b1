"""Answer one invocation: bytes and headers in, bytes and headers out, no web framework."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson

from service.contract import MAX_ERROR_BYTES
from service.errors import (
    InsufficientMemoryError,
    InvalidModelError,
    InvalidPayloadError,
    InvalidRecordError,
    InvocationError,
    InvocationTimeoutError,
    ModelAlreadyLoadedError,
    ModelNotLoadedError,
    ModelNotReadyError,
    NotAcceptableError,
    PayloadTooLargeError,
    UnsupportedContentTypeError,
)
from service.features import MAX_VALUE
from service.model import SegmentModel
from service.serving.answers import encode_details, encode_labels
from service.serving.codec import Payload, decode, decode_plain
from service.serving.media import Media, Plan, Reader, make_plan
from service.settings import OnError

STATUSES: Final[Mapping[type[InvocationError], int]] = {
    InvalidRecordError: 400,
    InvalidPayloadError: 400,
    InvalidModelError: 400,
    ModelNotLoadedError: 404,
    NotAcceptableError: 406,
    ModelAlreadyLoadedError: 409,
    PayloadTooLargeError: 413,
    UnsupportedContentTypeError: 415,
    ModelNotReadyError: 503,
    InvocationTimeoutError: 504,
    InsufficientMemoryError: 507,
}

Header = tuple[bytes, bytes]

_SMALL: Final = 256
"""Bodies up to here, in bytes, are tried as a few plain JSON records in pure Python."""
_MAX_MESSAGE: Final = MAX_ERROR_BYTES // 4
_MAX_BODY: Final = MAX_ERROR_BYTES - 1

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """Hold the model that a server answers with, and the server's own defaults."""

    model: SegmentModel
    version: str
    default_accept: str = Media.JSON.value
    on_error: OnError = OnError.REJECT
    version_header: Header = field(init=False, repr=False)
    """Of every answer."""

    def __post_init__(self) -> None:
        """Encode the version once."""
        object.__setattr__(self, "version_header", version_header(self.version))


@dataclass(frozen=True, slots=True)
class Invocation:
    """Hold the answer to an invocation."""

    status: int
    body: bytes
    content_type: str
    headers: tuple[Header, ...]
    """All but content-length, names in lower case."""


def invoke(body: bytes, *, content_type: str, accept: str, attributes: str, model: ServedModel) -> Invocation:
    """Answer an invocation; never raises.

    Args:
        body: The payload.
        content_type: Its content type, "" where the client gave none.
        accept: Content types that the client can read, "" where it gave none.
        attributes: `X-Amzn-SageMaker-Custom-Attributes`, "" where the client gave none.
        model: Assigns the records.
    """
    try:
        return answer(body, plan_invocation(content_type, accept, attributes, model), model)
    except InvocationError as exc:
        return refuse(exc, version=model.version)


def plan_invocation(content_type: str, accept: str, attributes: str, model: ServedModel) -> Plan:
    """Decide how a request with these headers is answered; raises as `make_plan` does."""
    return make_plan(
        content_type,
        accept,
        attributes,
        default_accept=model.default_accept,
        on_error=model.on_error,
    )


def answer(body: bytes, plan: Plan, model: ServedModel) -> Invocation:
    """Answer a payload by its plan; never raises."""
    quick = answer_quickly(body, plan, model)
    if quick is not None:
        return quick
    try:
        return _succeed(decode(body, reader=plan.reader, is_lenient=plan.is_lenient), plan, model)
    except Exception as exc:  # noqa: BLE001  # the edge: it is logged, and answered without the trace
        return _fail(exc, body, model)


def answer_quickly(body: bytes, plan: Plan, model: ServedModel) -> Invocation | None:
    """Answer plain numbers with labels, in nanoseconds a record; None for what may take microseconds."""
    try:
        if len(body) <= _SMALL and plan.is_plain_json and (text := _answer_few(body, model)):
            return Invocation(200, text, plan.content_type, (*plan.headers, model.version_header))
        if plan.has_detail or plan.reader is Reader.NPY:
            return None
        payload = decode_plain(body, reader=plan.reader)
        return None if payload is None else _succeed(payload, plan, model)
    except Exception as exc:  # noqa: BLE001  # the edge: it is logged, and answered without the trace
        return _fail(exc, body, model)


def _fail(error: Exception, body: bytes, model: ServedModel) -> Invocation:
    if isinstance(error, InvocationError):
        return refuse(error, version=model.version)
    _logger.error("Invocation failed bytes=%d", len(body), exc_info=error)
    failure = InvocationError("the invocation failed; the server's log says why")
    return refuse(failure, version=model.version)


def _succeed(payload: Payload, plan: Plan, model: ServedModel) -> Invocation:
    if plan.has_detail:
        text = encode_details(payload.vectors, bad=payload.bad, media=plan.media, model=model.model)
    else:
        labels = model.model.partition.assign(payload.vectors)
        text = encode_labels(labels, bad=payload.bad, media=plan.media, k=len(model.model.centroids))
    return Invocation(200, text, plan.content_type, (*plan.headers, model.version_header))


def refuse(error: InvocationError, *, version: str) -> Invocation:
    """Return the answer that reports an error."""
    return Invocation(
        status=STATUSES.get(type(error), 500),
        body=error_body(error.code, str(error), details=_position(error)),
        content_type=Media.JSON.value,
        headers=((b"content-type", Media.JSON.value.encode()), version_header(version)),
    )


def version_header(version: str) -> Header:
    """Return the header that names the model which answered."""
    return b"x-segserve-model-version", version.encode()


def error_body(code: str, message: str, *, details: Mapping[str, object] | None = None) -> bytes:
    """Return the one form that every error has, under MAX_ERROR_BYTES (C28)."""
    text = message[:_MAX_MESSAGE]
    while (
        len(body := orjson.dumps({"error": {"code": code, "message": text, **(details or {})}})) > _MAX_BODY
    ):
        text = text[: len(text) // 2]  # JSON may write one character in several bytes
    return body


def _answer_few(body: bytes, model: ServedModel) -> bytes | None:
    """Answer a few plain records without numpy; None when the payload is anything else."""
    try:
        records = orjson.loads(body)
        assign_one = model.model.partition.assign_one
        labels = []
        for age, power in records:
            # bool is an int, but not a number that anyone means.
            if type(age) is bool or type(power) is bool:
                return None
            if not (0.0 <= age <= MAX_VALUE and 0.0 <= power <= MAX_VALUE):
                return None
            labels.append(str(assign_one(float(age), float(power))))
    except (ValueError, TypeError):
        return None
    return f"[{', '.join(labels)}]".encode() if type(records) is list else None


def _position(error: InvocationError) -> dict[str, object]:
    if not isinstance(error, InvalidRecordError):
        return {}
    return {"record": error.position, **({"field": error.field} if error.field else {})}
