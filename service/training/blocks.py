"""Divide large files into blocks of rows, of which the plain ones are read faster than all others.

Plain is a row of the right width whose numbers are digits, a point and an exponent, finite and within limits:
every reader here reads those alike. Every other row is found, and judged where all rows of small files are.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa

from service.training.cells import Cells, Integers
from service.training.customers import CustomerReader
from service.training.sums import Columns

BLOCK_BYTES: Final = 4 << 20
"""A block's numbers, too, fit into the caches of most machines."""

MAX_ODD: Final = 0.5
"""With more rows that are not plain, a fast reader saves nothing."""

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
        """Where each line ends, its line feed included; who has found them may set them."""
        return np.flatnonzero(self._bytes == ord("\n")) + 1

    def count(self, character: str) -> int:
        """Count an ASCII character; `bytes.count` takes ten times as long where there are many."""
        return int(np.count_nonzero(self._bytes == ord(character)))

    @property
    def has_lone_returns(self) -> bool:
        """Tell whether a carriage return stands elsewhere than before a line feed."""
        returns = self.count("\r")
        return returns > 0 and returns != np.count_nonzero(self._bytes[self.ends - 2] == ord("\r"))

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
    return all(_is_simple(file.types[place]) for place in needed)


def read_blocks(reader: CustomerReader) -> Iterator[tuple[Lines, int]]:
    """Divide the records of a CSV file into blocks, each with the number of records before it."""
    file = reader.file
    before = file.header_records
    with file.path.open("rb") as stream:
        stream.seek(_ENCODINGS[str(file.encoding)])
        for _ in range(before):
            stream.readline()
        left = b""
        while chunk := stream.read(BLOCK_BYTES):
            file.done_bytes = stream.tell()
            cut = chunk.rfind(b"\n") + 1
            block, left = left + chunk[:cut], (chunk[cut:] if cut else left + chunk)
            if cut:
                lines = Lines(block)
                yield lines, before
                before += len(lines.ends)
        if left:
            yield Lines(left + b"\n"), before


def _is_simple(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_float32(kind)
        or pa.types.is_float64(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
    )
