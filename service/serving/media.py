"""Negotiate content types: which reader a payload needs, which writer its answer gets, in what detail."""

import re
from enum import StrEnum
from typing import Final

import msgspec

from service.contract import CUSTOM_ATTRIBUTES_HEADER, MAX_CUSTOM_ATTRIBUTES
from service.errors import InvalidPayloadError, NotAcceptableError, UnsupportedContentTypeError
from service.settings import OnError


class Media(StrEnum):
    """Name the formats of payloads and answers."""

    JSON = "application/json"
    JSON_LINES = "application/jsonlines"
    CSV = "text/csv"
    NPY = "application/x-npy"


class Reader(StrEnum):
    """Name how a payload is read; SNIFF decides by its first byte."""

    JSON = "json"
    JSON_LINES = "jsonlines"
    CSV = "csv"
    NPY = "npy"
    SNIFF = "sniff"


_READERS: Final = {
    "application/json": Reader.JSON,
    "application/jsonlines": Reader.JSON_LINES,
    "application/x-jsonlines": Reader.JSON_LINES,
    "application/x-ndjson": Reader.JSON_LINES,
    "text/csv": Reader.CSV,
    "application/x-npy": Reader.NPY,
    "application/octet-stream": Reader.SNIFF,
    "application/x-www-form-urlencoded": Reader.SNIFF,  # what curl -d says when nobody says anything
    "*/*": Reader.SNIFF,
    "": Reader.SNIFF,
}
_WRITERS: Final = {
    "application/json": Media.JSON,
    "application/jsonlines": Media.JSON_LINES,
    "application/x-jsonlines": Media.JSON_LINES,
    "application/x-ndjson": Media.JSON_LINES,
    "text/csv": Media.CSV,
    "application/x-npy": Media.NPY,
}
_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_OPTIONS: Final = {"detail": ("labels", "full"), "on_error": tuple(OnError)}
_NOT_VISIBLE: Final = re.compile(r"[^\x20-\x7e]")


class Plan(msgspec.Struct, frozen=True):
    """Hold how one kind of request is answered; requests with the same headers share one."""

    reader: Reader
    media: Media
    content_type: str
    """Of the answer, exactly as the client named it, without parameters (C31)."""
    has_detail: bool
    is_lenient: bool
    """Whether a bad record gets a placeholder instead of failing the request (C56)."""
    headers: tuple[tuple[bytes, bytes], ...]
    """Of the answer, all but its length and the model's version."""
    is_plain_json: bool
    """Whether this is the common case: JSON in, labels as JSON out, any bad record refused."""


def make_plan(
    content_type: str, accept: str, attributes: str, *, default_accept: str, on_error: OnError
) -> Plan:
    """Decide how a request with these headers is answered; an absent header is "".

    Raises:
        UnsupportedContentTypeError: The payload's type or charset cannot be read.
        NotAcceptableError: None of the types in Accept can be produced.
        InvalidPayloadError: An option has a value that is not accepted.
    """
    answer, parameters = _negotiate(accept, default_accept=default_accept)
    options = {**_options(attributes), **parameters}
    for name, accepted in _OPTIONS.items():
        if options.get(name, accepted[0]) not in accepted:
            raise InvalidPayloadError(
                f"{name} in Accept or {CUSTOM_ATTRIBUTES_HEADER} must be one of {', '.join(accepted)}"
            )
    media = _WRITERS[answer]
    has_detail = options.get("detail") == "full"
    if has_detail and media is Media.NPY:
        raise NotAcceptableError(
            f"detail=full has names in it, which {media} cannot hold: ask for JSON or CSV"
        )
    headers = [(b"content-type", answer.encode())]
    if attributes:
        headers.append((CUSTOM_ATTRIBUTES_HEADER.lower().encode(), _visible(attributes)))
    reader = _reader(content_type)
    is_lenient = options.get("on_error", on_error) == OnError.PLACEHOLDER
    is_json = reader in {Reader.JSON, Reader.SNIFF} and media is Media.JSON
    return Plan(
        reader=reader,
        media=media,
        content_type=answer,
        has_detail=has_detail,
        is_lenient=is_lenient,
        headers=tuple(headers),
        is_plain_json=is_json and not has_detail and not is_lenient,
    )


def default_answer(content_type: str, *, is_batch: bool) -> str:
    """Return what answers a request without a wish: JSON, but in a batch job lines for lines (C54)."""
    name, _ = _split(content_type)
    has_lines = _READERS.get(name) in {Reader.CSV, Reader.JSON_LINES}
    return name if is_batch and has_lines else Media.JSON.value


def can_produce(content_type: str) -> bool:
    """Tell whether answers of this content type can be produced."""
    return _split(content_type)[0] in _WRITERS


def accepted_types() -> list[str]:
    """Return the content types that payloads may have."""
    return [name for name, reader in _READERS.items() if reader is not Reader.SNIFF]


def produced_types() -> list[str]:
    """Return the content types that answers may have."""
    return list(_WRITERS)


def _reader(content_type: str) -> Reader:
    name, parameters = _split(content_type)
    reader = _READERS.get(name)
    if reader is None:
        raise UnsupportedContentTypeError(
            f"the payload's content type is not supported; accepted are {', '.join(accepted_types())}"
        )
    if parameters.get("charset", "utf-8") not in _CHARSETS:
        raise UnsupportedContentTypeError("the payload's charset is not supported; accepted is utf-8")
    return reader


def _negotiate(accept: str, *, default_accept: str) -> tuple[str, dict[str, str]]:
    """Return the content type that the client likes best, and its parameters (RFC 9110, 12.5.1).

    The most specific range decides the quality of a type. In a tie, a type that is named wins over one that a
    wildcard allows, then the one named first, then the default.
    """
    ranges = [_split(part) for part in (accept or "*/*").split(",") if part.strip()]
    default = _split(default_accept)[0]
    best: tuple[tuple[float, int, int, bool], str, dict[str, str]] | None = None
    for answer in _WRITERS:
        matches = [
            (specificity, -position, parameters)
            for position, (name, parameters) in enumerate(ranges)
            if (specificity := _specificity(name, answer))
        ]
        if not matches:
            continue
        specificity, position, parameters = max(matches, key=lambda match: match[:2])
        rank = (_quality(parameters), specificity, position, answer == default)
        if rank[0] > 0 and (best is None or rank > best[0]):
            best = (rank, answer, parameters)
    if best is None:
        raise NotAcceptableError(
            f"none of the content types in Accept can be produced; there are {', '.join(_WRITERS)}"
        )
    return best[1], best[2]


def _specificity(name: str, answer: str) -> int:
    """Return how closely a range names a content type; 0 where it does not."""
    if name == answer:
        return 3
    if name == f"{answer.partition('/')[0]}/*":
        return 2
    return int(name == "*/*")


def _quality(parameters: dict[str, str]) -> float:
    try:
        return float(parameters.get("q", "1"))
    except ValueError:
        return 0.0


def _split(value: str) -> tuple[str, dict[str, str]]:
    """Return a media type in lower case and its parameters."""
    name, *rest = value.split(";")
    return name.strip().lower(), _pairs(rest)


def _options(attributes: str) -> dict[str, str]:
    return _pairs(re.split("[;,]", attributes))


def _pairs(parts: list[str]) -> dict[str, str]:
    pairs = (part.partition("=") for part in parts if "=" in part)
    return {name.strip().lower(): value.strip().strip('"').lower() for name, _, value in pairs}


def _visible(attributes: str) -> bytes:
    return _NOT_VISIBLE.sub("", attributes)[:MAX_CUSTOM_ATTRIBUTES].encode()
