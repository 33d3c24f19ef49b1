"""Turn payloads into features: a fast way for plain numbers, the careful way of `records` for all else.

The fast way proves the shape first: with all digits taken out, n records must leave n times the same
brackets and commas. What remains is one array of numbers, which simdjson reads without making objects
of them. simdjson alone would flatten ragged rows silently.
"""

from typing import Any, Final, assert_never

import numpy as np
import numpy.typing as npt
import simdjson

from service.errors import InvalidPayloadError
from service.features import MAX_VALUE
from service.serving.media import Reader
from service.serving.records import (
    Vector,
    csv_records,
    json_lines_records,
    json_records,
    npy_vectors,
    read_records,
)

_DIGITS: Final = b"0123456789+-.eE \t\r"
_DIGITS_AND_NEWLINES: Final = _DIGITS + b"\n"
_BOM: Final = b"\xef\xbb\xbf"
_NPY_MAGIC: Final = b"\x93NUMPY"
_BLANK: Final = b" \t\r\n"


class Payload:
    """Hold the features of a payload's records and which of them are bad."""

    __slots__ = ("bad", "vectors")

    def __init__(self, vectors: npt.NDArray[np.float64], bad: frozenset[int] = frozenset()) -> None:
        """Keep unscaled features of shape (n_samples, 2) and the positions of bad records."""
        self.vectors = vectors
        self.bad = bad


def decode(body: bytes, *, reader: Reader, is_lenient: bool) -> Payload:
    """Read the records of a payload.

    Raises:
        InvalidPayloadError: The payload cannot be read.
        InvalidRecordError: A record is bad, and not lenient.
    """
    body = body.removeprefix(_BOM)
    if not body.strip(_BLANK):
        raise InvalidPayloadError("the payload is empty; an empty list of records is []")
    if reader is Reader.SNIFF:
        reader = _sniff(body)
    vectors = _fast(body, reader=reader)
    if vectors is not None and _are_valid(vectors):
        return Payload(vectors)
    return _carefully(body, reader=reader, is_lenient=is_lenient)


def _sniff(body: bytes) -> Reader:
    if body.startswith(_NPY_MAGIC):
        return Reader.NPY
    return Reader.JSON if body.lstrip(_BLANK)[:1] in {b"[", b"{"} else Reader.CSV


def _fast(body: bytes, *, reader: Reader) -> npt.NDArray[np.float64] | None:
    """Return the features of a payload of plain numbers, None when it needs a closer look."""
    match reader:
        case Reader.JSON:
            skeleton = body.translate(None, _DIGITS_AND_NEWLINES)
            n = len(skeleton) // 4
            is_plain = skeleton == b"[%b[,]]" % (b"[,]," * (n - 1))
            return _numbers(body, n) if is_plain else None
        case Reader.JSON_LINES:
            body = body.strip(_BLANK)
            skeleton = body.translate(None, _DIGITS)
            n = (len(skeleton) + 1) // 4
            is_plain = skeleton == b"%b[,]" % (b"[,]\n" * (n - 1))
            return _numbers(b"[%b]" % body.replace(b"\n", b","), n) if is_plain else None
        case Reader.CSV:
            body = body.strip(_BLANK)
            skeleton = body.translate(None, _DIGITS)
            n = (len(skeleton) + 1) // 2
            is_plain = skeleton == b"%b," % (b",\n" * (n - 1))
            return _numbers(b"[[%b]]" % body.replace(b"\n", b"],["), n) if is_plain else None
        case Reader.NPY:
            return npy_vectors(body)
        case Reader.SNIFF:
            raise AssertionError("sniffed before")
        case _:
            assert_never(reader)


def _numbers(document: bytes, n: int) -> npt.NDArray[np.float64] | None:
    """Return the numbers of a JSON array of n pairs; None when simdjson refuses one of them."""
    try:
        # A parser of its own: a kept one would hold the memory of the largest payload for ever.
        array: Any = simdjson.Parser().parse(document)
        values = np.frombuffer(array.as_buffer(of_type="d"), dtype=np.float64)
    except (ValueError, TypeError, RuntimeError):
        return None
    return values.reshape(n, 2) if len(values) == 2 * n else None


def _are_valid(vectors: npt.NDArray[np.float64]) -> bool:
    return not len(vectors) or bool(vectors.min() >= 0.0 and vectors.max() <= MAX_VALUE)


def _carefully(body: bytes, *, reader: Reader, is_lenient: bool) -> Payload:
    match reader:
        case Reader.JSON:
            records = json_records(body)
        case Reader.JSON_LINES:
            records = json_lines_records(body)
        case Reader.CSV:
            records = list(csv_records(body))
        case Reader.NPY:
            records = npy_vectors(body).tolist()
        case Reader.SNIFF:
            raise AssertionError("sniffed before")
        case _:
            assert_never(reader)
    return _payload(read_records(records, is_lenient=is_lenient))


def _payload(vectors: list[Vector | None]) -> Payload:
    bad = frozenset(position for position, vector in enumerate(vectors) if vector is None)
    filled = [vector or (0.0, 0.0) for vector in vectors]
    return Payload(np.array(filled, dtype=np.float64).reshape(-1, 2), bad)
