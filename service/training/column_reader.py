"""Read the plain rows of Parquet by the compiled kernel, which takes columns as Arrow holds them."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from service.features import RAW_COLUMNS
from service.training.cells import Integers
from service.training.customers import CustomerReader
from service.training.sums import UNUSUAL_ROW, KernelSums, Summed, read_summed

_KINDS: Final = {
    pa.float32(): "<f4",
    pa.float64(): "<f8",
    pa.int8(): "|i1",
    pa.int16(): "<i2",
    pa.int32(): "<i4",
    pa.int64(): "<i8",
    pa.uint8(): "|u1",
    pa.uint16(): "<u2",
    pa.uint32(): "<u4",
    pa.uint64(): "<u8",
}


@dataclass(frozen=True, slots=True)
class ReadColumns:
    """Say what was read of a table; the plain rows are in the sums already. Rows count from 0."""

    plain: Summed
    drawn: Integers
    """Rows of those who were drawn."""
    used: Integers
    """All plain rows, where they were wanted."""
    missing: Integers
    """Rows that are plain but for an empty Age or Purchases."""
    blamed: Integers
    """Which of the reader's sources is empty, for each of those."""
    odd: Integers
    """All other rows."""


class ColumnReader:
    """Add the plain rows of tables to sums, and find what else is to be looked at."""

    def __init__(self, reader: CustomerReader, sums: KernelSums, *, wants_plain: bool) -> None:
        """Say what is read, and where it goes.

        Args:
            reader: Of the file.
            sums: Take the plain rows.
            wants_plain: Whether to tell which rows are plain.
        """
        places = {source.target: source.positions[0] for source in reader.sources}
        self._places = [places[name] for name in RAW_COLUMNS]
        self._order = [source.target for source in reader.sources]
        self._sums = sums
        self._add = sums.compiled[0].add_columns
        self._wants_plain = wants_plain

    @staticmethod
    def reads(reader: CustomerReader) -> bool:
        """Tell whether all that is needed of a Parquet file are columns of numbers."""
        file = reader.file
        return file.format == "parquet" and all(
            source.expression.is_column and file.types[source.positions[0]] in _KINDS
            for source in reader.sources
        )

    def read(self, table: pa.Table, *, below: int) -> ReadColumns:
        """Read a part of a Parquet file.

        Args:
            table: As it stands in the file.
            below: Who has a lower hash is drawn.
        """
        columns = [self._numbers(table.column(place)) for place in self._places]
        _, _, used, no_purchases, _, *found = self._add(table.num_rows, *columns, below, self._wants_plain)
        drawn, drawn_rows, plain_rows, no_incomes, missing_rows, _, odd_rows, _ = found
        missing = np.frombuffer(missing_rows, dtype=UNUSUAL_ROW)
        return ReadColumns(
            plain=read_summed(drawn, no_incomes, used=used, no_purchases=no_purchases),
            drawn=np.frombuffer(drawn_rows, dtype=np.int64),
            used=np.frombuffer(plain_rows, dtype=np.int64),
            missing=missing["record"],
            blamed=self._sums.blame(missing["kind"], self._order),
            odd=np.frombuffer(odd_rows, dtype=UNUSUAL_ROW)["record"],
        )

    def _numbers(self, column: pa.ChunkedArray) -> tuple[Any, Any, int, int]:
        """Return where the kernel finds a column."""
        chunk = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
        is_there, values = chunk.buffers()
        has_all = chunk.null_count == 0
        return (
            values or b"",
            None if has_all else is_there,
            chunk.offset,
            self._sums.extension.KINDS[_KINDS[chunk.type]],
        )
