"""Read the plain rows of CSV by the compiled kernel: one pass, without the interpreter's lock."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from service.features import AGE, INCOME, PURCHASES
from service.training.blocks import MAX_ODD, Block, Lines
from service.training.cells import Floats, Integers
from service.training.customers import CustomerReader

_DELIMITERS: Final = frozenset(",;\t|:")


class RowReader:
    """Read blocks of lines, one after another, into the same memory."""

    def __init__(self, extension: Any) -> None:
        """Take the compiled extension."""
        self._extension = extension
        self._values: Floats = np.empty((3, 0))
        self._kinds: npt.NDArray[np.uint8] = np.empty(0, dtype=np.uint8)
        self._ends: Integers = np.empty(0, dtype=np.int64)

    @staticmethod
    def reads(reader: CustomerReader) -> bool:
        """Tell whether there may be plain rows in a file: its numbers must be columns, not expressions."""
        file = reader.file
        return (
            file.format == "csv"
            and file.delimiter in _DELIMITERS
            and all(source.expression.is_column for source in reader.sources)
        )

    def parse(self, lines: Lines, reader: CustomerReader) -> tuple[Block, list[bytes]] | None:
        """Return the plain rows of a block and the lines of the odd ones, None where it is not worth it.

        The block's columns are good until the next one is read.
        """
        file = reader.file
        size = lines.count("\n")
        if size > len(self._kinds):
            self._values = np.empty((3, size))
            self._kinds = np.empty(size, dtype=np.uint8)
            self._ends = np.empty(size, dtype=np.int64)
        places = {source.target: source.positions[0] for source in reader.sources}
        found = self._extension.read_rows(
            lines.text,
            ord(str(file.delimiter)),
            len(file.columns),
            (places[AGE], places[INCOME], places[PURCHASES]),
            *self._values,
            self._kinds,
            self._ends,
        )
        if found is None:
            return None
        rows, plain = found
        kinds = self._kinds[:rows]
        odd = np.flatnonzero(kinds == self._extension.ODD)
        if len(odd) > MAX_ODD * rows:
            return None
        lines.ends = self._ends[:rows]
        missing = np.flatnonzero((kinds != self._extension.PLAIN) & (kinds != self._extension.ODD))
        order = [source.target for source in reader.sources]
        is_age = kinds[missing] == self._extension.NO_AGE
        ages, incomes, purchases = (column[:plain] for column in self._values)
        block = Block(
            columns=(ages, incomes, purchases),
            places=np.flatnonzero(kinds == self._extension.PLAIN),
            missing=missing,
            blamed=np.where(is_age, order.index(AGE), order.index(PURCHASES)),
            odd=odd,
            rows=rows,
        )
        return block, lines.cut(odd)
