"""Turn payloads into features: a fast way for plain numbers, the careful way of `records` for all else.

The fast way proves the shape first: with all digits taken out, n records must leave n times the same
brackets and commas. What remains is one array of numbers, which simdjson reads without making objects
of them. simdjson alone would flatten ragged rows silently.
"""

from __future__ import annotations

import re
import threading
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, assert_never

from service.errors import InvalidPayloadError, RejectReason
from service.features import MAX_VALUE
from service.lazy import np, npt, simdjson
from service.serving.media import Reader
from service.serving.records import (
    Vector,
    csv_records,
    json_lines_records,
    json_records,
    npy_vectors,
    read_records,
)
from service.serving.turns import in_turns

_DIGITS: Final = b"0123456789+-.eE \t\r"
_DIGITS_AND_NEWLINES: Final = _DIGITS + b"\n"
BOM: Final = b"\xef\xbb\xbf"
"""Of UTF-8; it may stand before any text and means nothing."""
_NPY_MAGIC: Final = b"\x93NUMPY"
_GZIP_MAGIC: Final = b"\x1f\x8b"
_BLANK: Final = b" \t\r\n"
_COMMA: Final = re.compile(rb"[ \t\r\n]*,[ \t\r\n]*")
_NOT_PLAIN: Final = b"not plain"

BLOCK_BYTES: Final = 512 * 1024
"""Text read at a time. More would leave the CPU's cache, and a parser holds twelve times as much memory."""

_kept: Final = threading.local()


class Payload:
    """Hold the features of a payload's records and which of them are bad."""

    __slots__ = ("bad", "rejected", "vectors")

    def __init__(
        self,
        vectors: npt.NDArray[np.float64],
        bad: frozenset[int] = frozenset(),
        rejected: Mapping[RejectReason, int] = MappingProxyType({}),
    ) -> None:
        """Keep unscaled features of shape (n_samples, 2), the positions of bad records and how many why."""
        self.vectors = vectors
        self.bad = bad
        self.rejected = rejected


def decode(body: bytes, *, reader: Reader, is_lenient: bool) -> Payload:
    """Read the records of a payload.

    Raises:
        InvalidPayloadError: The payload cannot be read.
        InvalidRecordError: A record is bad, and not lenient.
    """
    body = body.removeprefix(BOM)
    if not body or body.isspace():
        raise InvalidPayloadError("the payload is empty; an empty list of records is []")
    if body.startswith(_GZIP_MAGIC):
        raise InvalidPayloadError("the payload is compressed; send it as it is")
    return decode_plain(body, reader=reader) or _decode_carefully(body, reader=reader, is_lenient=is_lenient)


def decode_plain(body: bytes, *, reader: Reader) -> Payload | None:
    """Read the records of a payload of plain, valid numbers; None when it needs a closer look.

    Raises:
        InvalidPayloadError: An npy payload cannot be read.
    """
    body = body.removeprefix(BOM)
    match known_reader(reader, body):
        case Reader.NPY:
            vectors: npt.NDArray[np.float64] | None = npy_vectors(body)
        case known:
            vectors = _plain_text(body, known)
    return Payload(vectors) if vectors is not None and _are_valid(vectors) else None


def known_reader(reader: Reader, body: bytes) -> Reader:
    """Return the reader, found by the first byte where the content type does not say."""
    if reader is not Reader.SNIFF:
        return reader
    if body.startswith(_NPY_MAGIC):
        return Reader.NPY
    return Reader.JSON if body.lstrip(_BLANK)[:1] in {b"[", b"{"} else Reader.CSV


def _plain_text(body: bytes, reader: Reader) -> npt.NDArray[np.float64] | None:
    """Read block by block: a whole 100 MB payload would need ten times its size."""
    if len(body) <= BLOCK_BYTES:
        return _plain_block(body, reader)
    # Of the shortest records, as 1,2 and the end of a line. Memory that is not filled is not taken.
    most = len(body) // 4 + 1
    vectors = np.empty((most, 2))
    filled = 0
    for block in _blocks(body, reader):
        part = _plain_block(block, reader)
        if part is None:
            return None
        vectors[filled : filled + len(part)] = part
        filled += len(part)
    return vectors[:filled]


def _blocks(body: bytes, reader: Reader) -> Iterator[bytes]:
    """Cut a payload between records; where that cannot be done, give a block that is not plain."""
    return _json_blocks(body.strip(_BLANK)) if reader is Reader.JSON else _line_blocks(body)


def _line_blocks(body: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(body):
        end = body.rfind(b"\n", start, start + BLOCK_BYTES) + 1 or len(body)
        yield body[start:end]
        start = end


def _json_blocks(body: bytes) -> Iterator[bytes]:
    start, last = 1, len(body) - 1
    if body[:1] != b"[" or body[last:] != b"]":
        yield _NOT_PLAIN
    while start < last:
        end = body.rfind(b"]", start, min(start + BLOCK_BYTES, last)) + 1 or last
        yield b"[%b]" % body[start:end]
        comma = _COMMA.match(body, end, last)
        start = comma.end() if comma else end
        if (start == last) if comma else body[end:last].strip(_BLANK):
            yield _NOT_PLAIN
        if not comma:
            return


def _plain_block(body: bytes, reader: Reader) -> npt.NDArray[np.float64] | None:
    """Return the features in one block of plain numbers, None for anything else."""
    body = body.strip(_BLANK)
    match reader:
        case Reader.JSON:
            skeleton = body.translate(None, _DIGITS_AND_NEWLINES)
            n = len(skeleton) // 4
            is_plain = skeleton == b"[%b[,]]" % (b"[,]," * (n - 1))
            return _numbers(body, n) if is_plain else None
        case Reader.JSON_LINES:
            skeleton = body.translate(None, _DIGITS)
            n = (len(skeleton) + 1) // 4
            is_plain = skeleton == b"%b[,]" % (b"[,]\n" * (n - 1))
            return _numbers(b"[%b]" % body.replace(b"\n", b","), n) if is_plain else None
        case Reader.CSV:
            skeleton = body.translate(None, _DIGITS)
            n = (len(skeleton) + 1) // 2
            is_plain = skeleton == b"%b," % (b",\n" * (n - 1)) and body.count(b"\r") == body.count(b"\r\n")
            return _numbers(b"[[%b]]" % body.replace(b"\n", b"],["), n) if is_plain else None
        case Reader.NPY | Reader.SNIFF:
            raise AssertionError("not text")
        case _:
            assert_never(reader)


def _numbers(document: bytes, n: int) -> npt.NDArray[np.float64] | None:
    """Return the numbers of a JSON array of n pairs; None when simdjson refuses one of them."""
    try:
        array: Any = _parser(len(document)).parse(document)
        values = np.frombuffer(array.as_buffer(of_type="d"), dtype=np.float64)
    except (ValueError, TypeError, RuntimeError):
        return None
    return values.reshape(n, 2) if len(values) == 2 * n else None


def _parser(size_bytes: int) -> Any:
    """Return the parser that this thread keeps, or for a document far over a block one that is let go.

    A new one gets its memory page by page from the system, which takes longer than reading.
    """
    if size_bytes > 2 * BLOCK_BYTES:
        return simdjson.Parser()
    if not hasattr(_kept, "parser"):
        _kept.parser = simdjson.Parser()
    return _kept.parser


def _are_valid(vectors: npt.NDArray[np.float64]) -> bool:
    return not len(vectors) or bool(vectors.min() >= 0.0 and vectors.max() <= MAX_VALUE)


def _decode_carefully(body: bytes, *, reader: Reader, is_lenient: bool) -> Payload:
    known = known_reader(reader, body)
    match known:
        case Reader.JSON:
            records: Iterable[object] = json_records(body, is_lenient=is_lenient)
        case Reader.JSON_LINES:
            records = json_lines_records(body)
        case Reader.CSV:
            records = csv_records(body)
        case Reader.NPY:
            records = npy_vectors(body).tolist()
        case Reader.SNIFF:
            raise AssertionError("sniffed before")
        case _:
            assert_never(known)
    rejected: Counter[RejectReason] = Counter()
    return _payload(read_records(records, is_lenient=is_lenient, rejected=rejected), rejected)


def _payload(vectors: Iterable[Vector | None], rejected: Mapping[RejectReason, int]) -> Payload:
    """Gather features in 16 bytes a record; tuples of floats would take ten times as much."""
    values = array("d")
    bad = set()
    for position, vector in enumerate(in_turns(vectors)):
        if vector is None:
            bad.add(position)
        values.extend(vector or (0.0, 0.0))
    return Payload(np.frombuffer(values, dtype=np.float64).reshape(-1, 2), frozenset(bad), rejected)
