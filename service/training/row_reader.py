"""Read the plain rows of CSV by the compiled kernel: no text is made of a field, and no object of a row."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from service.features import AGE, INCOME, PURCHASES
from service.training.cells import Integers
from service.training.customers import CustomerReader
from service.training.drawing import DRAWN, PRIME, find_limit
from service.training.sums import DRAWN_BYTES, UNUSUAL_ROW, KernelSums, Summed, read_drawn, read_summed

_DELIMITERS: Final = frozenset(",;\t|:")
_MOST_DRAWN: Final = 4 * DRAWN
"""At a time: where all customers are alike, all of them are drawn."""

_MIN_DIVIDED: Final = 1 << 20
"""Bytes that are worth more than one thread."""

_LONGEST_LINE: Final = 1 << 16
"""Where a longer one lies at a border, that border is left out."""

Begun = Future[tuple[Any, ...]]
"""Reads a part of the lines."""

_KEPT_BYTES: Final = 4 << 20
"""What is kept is taken in while other lines are read, in so small portions that these need not wait."""

_KEPT: Final = (
    "drawn",
    "drawn_lines",
    "plain_lines",
    "no_incomes",
    "missing",
    "missing_lines",
    "odd",
    "odd_lines",
)
"""What the kernel returns beside counts."""

_GROWS: Final = ("plain_lines", "no_incomes", "missing", "missing_lines", "odd", "odd_lines")
"""Of those what becomes more with every row; of the drawn those with the highest hashes are let go."""

_NUMBERED: Final = ("missing", "odd")


@dataclass(frozen=True, slots=True)
class ReadRows:
    """Say what has been read; the plain rows are in the sums already."""

    plain: Summed
    drawn_lines: bytes
    """Of those among the plain rows that were drawn."""
    plain_lines: bytes
    """Of all plain rows, where they were wanted."""
    missing: Integers
    """Rows that are plain but for an empty Age or Purchases: their records, from 1."""
    blamed: Integers
    """Which of the reader's sources is empty, for each of those."""
    missing_lines: bytes
    odd: Integers
    """The records of all other rows."""
    odd_lines: bytes


class RowReader:
    """Add the plain rows of a file to sums, and keep what else is to be looked at."""

    def __init__(self, reader: CustomerReader, sums: KernelSums, *, wants_plain: bool) -> None:
        """Say what is read, and where it goes.

        Args:
            reader: Of the file.
            sums: Take the plain rows.
            wants_plain: Whether the lines of the plain rows are kept.
        """
        file = reader.file
        self._threads = [ThreadPoolExecutor(max_workers=1) for _ in sums.compiled]
        places = {source.target: source.positions[0] for source in reader.sources}
        self._layout = (
            ord(str(file.delimiter)),
            len(file.columns),
            (places[AGE], places[INCOME], places[PURCHASES]),
        )
        self._order = [source.target for source in reader.sources]
        self._sums = sums
        self._wants_plain = wants_plain
        self._below = PRIME
        self._used = self._no_purchases = 0
        self._kept: Mapping[str, list[bytes]] = {name: [] for name in _KEPT}

    @staticmethod
    def reads(reader: CustomerReader) -> bool:
        """Tell whether there may be plain rows in a file: its numbers must be columns, not expressions."""
        file = reader.file
        return (
            file.format == "csv"
            and file.delimiter in _DELIMITERS
            and all(source.expression.is_column for source in reader.sources)
        )

    @property
    def is_full(self) -> bool:
        """Tell whether so much is kept that it should be taken."""
        kept = sum(len(part) for name in _GROWS for part in self._kept[name])
        return kept > _KEPT_BYTES or self._drawn > _MOST_DRAWN

    @property
    def _drawn(self) -> int:
        return sum(map(len, self._kept["drawn"])) // DRAWN_BYTES

    @property
    def draws_all(self) -> bool:
        """Tell whether everybody is still drawn: to begin with more lines would keep too many."""
        return self._below == PRIME

    def begin(self, text: memoryview, *, below: int) -> list[tuple[memoryview, Begun]]:
        """Divide whole lines without quotes into parts, and begin to read each in a thread of its own.

        Each is to be read on by `read`, in turn.

        Args:
            text: The lines.
            below: Who has a lower hash is drawn.
        """
        self._below = min(self._below, below)
        parts = _divide(text, len(self._threads))
        return [(part, self._submit(part, thread)) for thread, part in enumerate(parts)]

    def _submit(self, text: memoryview, thread: int) -> Begun:
        add, layout = self._sums.compiled[thread].add_lines, self._layout
        below, wants_plain = self._below, self._wants_plain
        return self._threads[thread].submit(lambda: add(text, *layout, below, _MOST_DRAWN, wants_plain))

    def read(
        self, text: memoryview, *, before: int, below: int, begun: Begun | None = None
    ) -> tuple[int, int, bool]:
        """Read whole lines without quotes, and return the bytes and rows read, and whether to read on.

        Args:
            text: The lines.
            before: Records before them.
            below: Who has a lower hash is drawn.
            begun: Reads them already.
        """
        self._below = min(self._below, below)
        result = (begun or self._submit(text, 0)).result()
        size, rows, used, no_purchases, has_more_plain, *found = result
        self._used += used
        self._no_purchases += no_purchases
        for (name, parts), part in zip(self._kept.items(), found, strict=True):
            if part:
                parts.append(_number(part, before + 1) if name in _NUMBERED else part)
        if self._drawn > _MOST_DRAWN:
            self._cut()
        return size, rows, bool(has_more_plain)

    def _cut(self) -> None:
        """Let go of those drawn who have the highest hashes."""
        drawn = read_drawn(b"".join(self._kept["drawn"]))
        limit = find_limit(drawn["hash"])
        if limit is None:
            return
        self._below = limit
        is_low = drawn["hash"] < limit
        text = np.frombuffer(b"".join(self._kept["drawn_lines"]), dtype=np.uint8)
        sizes = np.diff(np.flatnonzero(text == ord("\n")), prepend=-1)
        self._kept["drawn"][:] = [drawn[is_low].tobytes()]
        self._kept["drawn_lines"][:] = [text[np.repeat(is_low, sizes)].tobytes()]

    def take(self) -> ReadRows:
        """Return what is kept, and keep it no longer."""
        if self._drawn > 2 * DRAWN:
            self._cut()
        kept = {name: b"".join(parts) for name, parts in self._kept.items()}
        for parts in self._kept.values():
            parts.clear()
        used, no_purchases = self._used, self._no_purchases
        self._used = self._no_purchases = 0
        missing = np.frombuffer(kept["missing"], dtype=UNUSUAL_ROW)
        return ReadRows(
            plain=read_summed(kept["drawn"], kept["no_incomes"], used=used, no_purchases=no_purchases),
            drawn_lines=kept["drawn_lines"],
            plain_lines=kept["plain_lines"],
            missing=missing["record"],
            blamed=self._sums.blame(missing["kind"], self._order),
            missing_lines=kept["missing_lines"],
            odd=np.frombuffer(kept["odd"], dtype=UNUSUAL_ROW)["record"],
            odd_lines=kept["odd_lines"],
        )


def _divide(text: memoryview, parts: int) -> list[memoryview]:
    """Divide whole lines into about equal parts of whole lines, fewer where lines or the text are short."""
    ends = [0]
    for number in range(1, parts):
        middle = max(len(text) * number // parts, ends[-1])
        line = bytes(text[middle : middle + _LONGEST_LINE]).find(b"\n")
        if len(text) >= _MIN_DIVIDED and line >= 0:
            ends.append(middle + line + 1)
    return [text[start:end] for start, end in pairwise([*ends, len(text)]) if end > start]


def _number(rows: bytes, first: int) -> bytes:
    """Return rows with the numbers of their records."""
    numbered = np.frombuffer(rows, dtype=UNUSUAL_ROW).copy()
    numbered["record"] += first
    return numbered.tobytes()
