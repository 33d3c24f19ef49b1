"""Read the plain rows of CSV by the compiled kernel: no text is made of a field, and no object of a row."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from service.features import AGE, INCOME, PURCHASES
from service.training.cells import Integers
from service.training.customers import CustomerReader
from service.training.drawing import DRAWN
from service.training.sums import KernelSums, Summed

_DELIMITERS: Final = frozenset(",;\t|:")
_MOST_DRAWN: Final = 4 * DRAWN
"""At a time: where all customers are alike, all of them are drawn."""

_DRAWN_ROW: Final = np.dtype([(AGE, "f8"), (INCOME, "f8"), (PURCHASES, "f8"), ("hash", "i8")])
_UNUSUAL_ROW: Final = np.dtype([("row", "i8"), ("kind", "i8")])


@dataclass(frozen=True, slots=True)
class ReadRows:
    """Say what has been read of a text, from its beginning; rows are numbered from 0."""

    size: int
    """Bytes."""
    rows: int
    has_more_plain: bool
    """Whether it is worth it to read on."""
    plain: Summed
    drawn_lines: bytes
    """Of those among the plain rows that were drawn."""
    plain_lines: bytes
    """Of all plain rows, where they were wanted."""
    missing: Integers
    """Rows that are plain but for an empty Age or Purchases."""
    blamed: Integers
    """Which of the reader's sources is empty, for each of those."""
    missing_lines: bytes
    odd: Integers
    """All other rows."""
    odd_lines: bytes


class RowReader:
    """Add the plain rows of a file to sums, and find all other rows."""

    def __init__(self, reader: CustomerReader, sums: KernelSums) -> None:
        """Say whose rows are read, and where they go."""
        self._sums = sums
        file = reader.file
        places = {source.target: source.positions[0] for source in reader.sources}
        self._layout = (
            ord(str(file.delimiter)),
            len(file.columns),
            (places[AGE], places[INCOME], places[PURCHASES]),
        )
        order = [source.target for source in reader.sources]
        self._age, self._purchases = order.index(AGE), order.index(PURCHASES)

    @staticmethod
    def reads(reader: CustomerReader) -> bool:
        """Tell whether there may be plain rows in a file: its numbers must be columns, not expressions."""
        file = reader.file
        return (
            file.format == "csv"
            and file.delimiter in _DELIMITERS
            and all(source.expression.is_column for source in reader.sources)
        )

    def read(self, text: memoryview, *, below: int, wants_plain: bool) -> ReadRows:
        """Read whole lines without quotes, as far as it is worth it.

        Args:
            text: The lines.
            below: Who has a lower hash is drawn.
            wants_plain: Whether the lines of the plain rows are returned.
        """
        extension = self._sums.extension
        size, rows, used, no_purchases, has_more_plain, *found = self._sums.compiled.add_lines(
            text, *self._layout, below, _MOST_DRAWN, wants_plain
        )
        drawn, drawn_lines, plain_lines, no_incomes, missing, missing_lines, odd, odd_lines = found
        customers = np.frombuffer(drawn, dtype=_DRAWN_ROW)
        ages, purchases = np.frombuffer(no_incomes, dtype=np.float64).reshape(-1, 2).T
        unusual = np.frombuffer(missing, dtype=_UNUSUAL_ROW)
        return ReadRows(
            size=size,
            rows=rows,
            has_more_plain=bool(has_more_plain),
            plain=Summed(
                used=used,
                no_purchases=no_purchases,
                no_incomes=(ages, purchases),
                drawn=(customers[AGE], customers[INCOME], customers[PURCHASES]),
                hashes=customers["hash"],
            ),
            drawn_lines=drawn_lines,
            plain_lines=plain_lines,
            missing=unusual["row"],
            blamed=np.where(unusual["kind"] == extension.NO_AGE, self._age, self._purchases),
            missing_lines=missing_lines,
            odd=np.frombuffer(odd, dtype=_UNUSUAL_ROW)["row"],
            odd_lines=odd_lines,
        )
