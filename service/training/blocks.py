"""Divide large files into blocks of rows, of which the plain ones are read faster than all others.

Plain is a row of the right width whose numbers are digits, a point and an exponent, finite and within limits:
every reader here reads those alike. Every other row is found, and judged where all rows of small files are.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO, Final

import numpy as np
import pyarrow as pa

from service.training.cells import Cells, Integers
from service.training.customers import CustomerReader
from service.training.source import CustomerFile
from service.training.sums import Columns

BLOCK_BYTES: Final = 16 << 20
"""Whoever imports modules meanwhile takes the interpreter's lock after every block, and keeps it a while."""

FIRST_BYTES: Final = 6 << 20
"""Of the first block, by whose end most files have told which hashes are too high to be drawn."""

BLOCKS_AHEAD: Final = 2
"""Blocks that may be read while one before them is taken in."""

MAX_ODD: Final = 0.5
"""With more rows that are not plain, a fast reader saves nothing."""

_LINE_BYTES: Final = 1 << 16
"""Looked through at a time for the end of a line."""

_HEADER_BYTES: Final = 1 << 20
"""A longer header is left to the usual reader."""

_ENCODINGS: Final = {"utf-8": 0, "utf-8-sig": 3}
"""Those that are read here, with the bytes of the mark at the beginning."""


@dataclass(frozen=True, slots=True)
class Block:
    """Hold the plain rows of a part of a file, and where the others are."""

    columns: Columns
    """Ages, incomes and purchases of the plain rows; an Income is NaN where there is none."""
    places: Integers
    """Of the plain rows, from 0."""
    missing: Integers
    """Of rows that are plain but for an empty Age or Purchases, from 0."""
    blamed: Integers
    """Which of the reader's sources is empty, for each of those."""
    odd: Integers
    """Of the others."""
    rows: int
    make_cells: Callable[[], Cells] | None = None
    """Sums up those who have an Income, where an engine does so faster than pyarrow."""


class Lines:
    """Hold whole lines of a file."""

    def __init__(self, text: bytes) -> None:
        """Take lines; the text ends with one."""
        self.text = text
        self._bytes = np.frombuffer(text, dtype=np.uint8)

    @cached_property
    def ends(self) -> Integers:
        """Where each line ends, its line feed included."""
        return np.flatnonzero(self._bytes == ord("\n")) + 1

    def count(self, character: str) -> int:
        """Count an ASCII character; `bytes.count` takes ten times as long where there are many."""
        return int(np.count_nonzero(self._bytes == ord(character)))

    @cached_property
    def lone_returns(self) -> int:
        """Count the carriage returns elsewhere than before a line feed, each of which ends a record too."""
        returns = self.count("\r")
        pairs = self._bytes[self.ends - 2] == ord("\r") if returns and len(self._bytes) > 1 else ()
        return returns - int(np.count_nonzero(pairs))

    def cut(self, places: Integers) -> list[bytes]:
        """Return some lines, each with its end."""
        ends = self.ends[places].tolist()
        starts = np.where(places > 0, self.ends[places - 1], 0).tolist()
        return [self.text[start:end] for start, end in zip(starts, ends, strict=True)]


def is_plain_file(reader: CustomerReader) -> bool:
    """Tell whether there is hope of plain rows in a file."""
    file = reader.file
    if reader.decimal != "." or file.has_quotes or (file.format == "csv" and file.encoding not in _ENCODINGS):
        return False
    needed = {place for source in reader.sources for place in source.positions}
    return all(_is_simple(file.types[place]) for place in needed) and (
        file.format == "parquet" or _has_plain_header(file)
    )


def read_blocks(reader: CustomerReader) -> Iterator[memoryview]:
    """Divide the records of a CSV file into blocks of whole lines.

    A block stays as it is until BLOCKS_AHEAD more have been taken, and another is asked for.
    """
    file = reader.file
    buffer = _make_buffer(BLOCK_BYTES)
    # The end of a block is copied into the next one before that is asked for: one more than are in use.
    others = deque(_make_buffer(BLOCK_BYTES) for _ in range(BLOCKS_AHEAD + 1))
    with file.path.open("rb") as stream:
        for _ in _header_lines(stream, file):
            pass
        left, wanted = 0, FIRST_BYTES
        while read := stream.readinto(buffer[left : left + wanted]):
            wanted = BLOCK_BYTES
            file.done_bytes = stream.tell()
            end = left + read
            cut = _find_last_end(buffer, left, end)
            left = end - cut
            if cut:
                following = others.popleft()
                if left > len(following):
                    following = _make_buffer(len(buffer))
                following[:left] = buffer[cut:end]
                yield buffer[:cut]
                others.append(buffer)
                buffer = following
            if left == len(buffer):
                buffer = _enlarge(buffer)
        if left:
            yield memoryview(bytes(buffer[:left]) + b"\n")


def _make_buffer(size: int) -> memoryview:
    """Return room for bytes, which is not written to before it is used."""
    return np.empty(size, dtype=np.uint8).data


def _enlarge(buffer: memoryview) -> memoryview:
    larger = _make_buffer(2 * len(buffer))
    larger[: len(buffer)] = buffer
    return larger


def _find_last_end(text: memoryview, start: int, end: int) -> int:
    """Return where the last line of a part ends, its line feed included; 0 where there is none."""
    while start < end:
        begin = max(start, end - _LINE_BYTES)
        place = bytes(text[begin:end]).rfind(b"\n")
        if place >= 0:
            return begin + place + 1
        end = begin
    return 0


def _header_lines(stream: BinaryIO, file: CustomerFile) -> Iterator[bytes]:
    stream.seek(_ENCODINGS[str(file.encoding)])
    for _ in range(file.header_records):
        yield stream.readline(_HEADER_BYTES)


def _has_plain_header(file: CustomerFile) -> bool:
    """Tell whether line feeds end the lines of the header, so that no record stands in one of them."""
    with file.path.open("rb") as stream:
        return all(
            line.endswith(b"\n") and b"\r" not in line.removesuffix(b"\r\n")
            for line in _header_lines(stream, file)
        )


def _is_simple(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_float32(kind)
        or pa.types.is_float64(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
    )
