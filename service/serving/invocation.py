"""Answer one invocation: bytes and headers in, bytes and headers out, no web framework."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
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
    OverloadedError,
    PayloadTooLargeError,
    RejectReason,
    UnsupportedContentTypeError,
    UnsupportedEncodingError,
)
from service.features import MAX_VALUE
from service.lazy import np, npt
from service.model import SegmentModel
from service.serving.answers import encode_details, encode_labels
from service.serving.codec import Payload, decode, decode_plain
from service.serving.kernel import Kernel
from service.serving.media import Media, Plan, Reader, make_plan
from service.serving.tally import Tally
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
    UnsupportedEncodingError: 415,
    ModelNotReadyError: 503,
    OverloadedError: 503,
    InvocationTimeoutError: 504,
    InsufficientMemoryError: 507,
}

Header = tuple[bytes, bytes]

NO_ROUTE: Final = "there is no such route; see /docs, or POST records to /invocations"

VERSION_HEADER: Final = b"x-segserve-model-version"
"""Of every answer: which model gave it."""

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
    rules: Mapping[int, str] = field(default_factory=dict)
    """The rule in words of each segment, by id, where training found them."""
    kernel: Kernel | None = None
    """Answers plain payloads; without one Python does."""
    version_header: Header = field(init=False, repr=False)
    """Of every answer."""
    assign_one: Callable[[float, float], int] = field(init=False, repr=False, compare=False)
    """Of the model's partition, here so that it need not be looked for."""
    id_texts: tuple[bytes, ...] = field(init=False, repr=False)
    """The segments' ids as they stand in an answer."""

    def __post_init__(self) -> None:
        """Encode once what is in many answers."""
        object.__setattr__(self, "version_header", version_header(self.version))
        object.__setattr__(self, "assign_one", self.model.partition.assign_one)
        object.__setattr__(self, "id_texts", tuple(text.encode() for text in self.model.id_texts))


class Invocation(msgspec.Struct):
    """Hold the answer to an invocation, and what is counted of it; a Struct, since one is made for each."""

    status: int
    body: bytes
    content_type: str
    headers: tuple[Header, ...]
    """All but content-length and x-request-id, names in lower case."""
    places: list[int] | npt.NDArray[np.int32] | Tally = msgspec.field(default_factory=list)
    """Where the segment of each good record stands in the model's; or how often each occurs."""
    vectors: Sequence[Sequence[float]] | npt.NDArray[np.float64] = ()
    """Unscaled features of each good record, as many as there are places; none beside a tally."""
    rejected: Mapping[RejectReason, int] | None = None
    """How many records were not used, and why; of a request that failed, the first one alone."""
    error_code: str = ""
    request_id: bytes = b""


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
    return answer_quickly(body, plan, model) or answer_carefully(body, plan, model)


def answer_carefully(body: bytes, plan: Plan, model: ServedModel) -> Invocation:
    """Answer any payload, in microseconds a record; never raises."""
    try:
        return _succeed(decode(body, reader=plan.reader, is_lenient=plan.is_lenient), plan, model)
    except Exception as exc:  # noqa: BLE001  # the edge: it is logged, and answered without the trace
        return _fail(exc, body, model)


def answer_quickly(body: bytes, plan: Plan, model: ServedModel) -> Invocation | None:
    """Answer plain numbers with labels, in nanoseconds a record; None for what may take microseconds."""
    if light := answer_lightly(body, plan, model):
        return light
    try:
        if plan.has_detail or plan.reader is Reader.NPY:
            return None
        payload = decode_plain(body, reader=plan.reader)
        return None if payload is None else _succeed(payload, plan, model)
    except Exception as exc:  # noqa: BLE001  # the edge: it is logged, and answered without the trace
        return _fail(exc, body, model)


def answer_lightly(body: bytes, plan: Plan, model: ServedModel) -> Invocation | None:
    """Answer what needs no numpy: a few plain records, or with a kernel any number of them; else None."""
    if few := answer_few(body, plan, model):
        return few
    try:
        if model.kernel and not plan.has_detail and (labelled := model.kernel.answer(body, plan)):
            text, tally = labelled
            return Invocation(200, text, plan.content_type, (*plan.headers, model.version_header), tally)
    except Exception as exc:  # noqa: BLE001  # the edge: it is logged, and answered without the trace
        return _fail(exc, body, model)
    return None


def _fail(error: Exception, body: bytes, model: ServedModel) -> Invocation:
    if isinstance(error, InvocationError):
        return refuse(error, version=model.version)
    _logger.error("Invocation failed bytes=%d", len(body), exc_info=error)
    failure = InvocationError("the invocation failed; the server's log says why")
    return refuse(failure, version=model.version)


def _succeed(payload: Payload, plan: Plan, model: ServedModel) -> Invocation:
    vectors, bad = payload.vectors, payload.bad
    places = model.model.partition.assign(vectors)
    if plan.has_detail:
        text = encode_details(vectors, bad=bad, media=plan.media, model=model.model, rules=model.rules)
    else:
        labels = model.model.to_ids(places)
        text = encode_labels(labels, bad=bad, media=plan.media, k=model.model.ids[-1] + 1)
    if bad:
        left_out = list(bad)
        places, vectors = np.delete(places, left_out), np.delete(vectors, left_out, axis=0)
    headers = (*plan.headers, model.version_header)
    return Invocation(200, text, plan.content_type, headers, places, vectors, payload.rejected)


def refuse(error: InvocationError, *, version: str) -> Invocation:
    """Return the answer that reports an error."""
    hints: tuple[Header, ...] = ()
    if isinstance(error, OverloadedError):
        hints = ((b"retry-after", b"%d" % error.retry_after_s),)
    elif isinstance(error, UnsupportedEncodingError):
        hints = ((b"accept-encoding", b"identity"),)  # Source: RFC 9110, 15.5.16
    return Invocation(
        status=STATUSES.get(type(error), 500),
        body=error_body(error.code, str(error), details=_position(error)),
        content_type=Media.JSON.value,
        headers=((b"content-type", Media.JSON.value.encode()), version_header(version), *hints),
        rejected={error.reason: 1} if isinstance(error, InvalidRecordError) else None,
        error_code=error.code,
    )


def version_header(version: str) -> Header:
    """Return the header that names the model which answered."""
    return VERSION_HEADER, version.encode()


def error_body(code: str, message: str, *, details: Mapping[str, object] | None = None) -> bytes:
    """Return the one form that every error has, under MAX_ERROR_BYTES (C28)."""
    text = message[:_MAX_MESSAGE]
    while (
        len(body := orjson.dumps({"error": {"code": code, "message": text, **(details or {})}})) > _MAX_BODY
    ):
        text = text[: len(text) // 2]  # JSON may write one character in several bytes
    return body


def answer_few(body: bytes, plan: Plan, model: ServedModel) -> Invocation | None:
    """Answer a few plain records without numpy; None when the payload, or the wish, is anything else."""
    if len(body) > _SMALL or not plan.is_plain_json:
        return None
    try:
        records = orjson.loads(body)
        assign_one, texts = model.assign_one, model.id_texts
        places = []
        for age, power in records:
            # bool is an int, but not a number that anyone means.
            if type(age) is bool or type(power) is bool:
                return None
            if not (0.0 <= age <= MAX_VALUE and 0.0 <= power <= MAX_VALUE):
                return None
            places.append(assign_one(float(age), float(power)))
        if type(records) is not list:
            return None
        text = b"[%b]" % b", ".join([texts[place] for place in places])
    except Exception:  # noqa: BLE001  # the careful way finds out what it is, and reports it
        return None
    headers = (*plan.headers, model.version_header)
    return Invocation(200, text, plan.content_type, headers, places, records)


def _position(error: InvocationError) -> dict[str, object]:
    if not isinstance(error, InvalidRecordError):
        return {}
    return {"record": error.position, **({"field": error.field} if error.field else {})}
