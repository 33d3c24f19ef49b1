"""Read the plain rows of Parquet by numpy, where its columns are numbers: polars need not be imported."""

import numpy as np
import pyarrow as pa

from service.training.blocks import Block
from service.training.customers import CustomerReader
from service.training.judging import Operand, judge


def reads(reader: CustomerReader) -> bool:
    """Tell whether all columns that are needed are numbers; text is left to readers that are made for it."""
    return all(
        pa.types.is_integer(kind) or pa.types.is_float32(kind) or pa.types.is_float64(kind)
        for kind in (reader.file.types[place] for source in reader.sources for place in source.positions)
    )


def read_numbers(table: pa.Table, reader: CustomerReader) -> Block:
    """Return the plain rows of a part of a Parquet file."""
    needed = {place for source in reader.sources for place in source.positions}
    operands = {place: _read(table.column(place)) for place in needed}
    return judge(operands, reader.sources, rows=table.num_rows)


def _read(column: pa.ChunkedArray) -> Operand:
    is_empty = np.zeros(len(column), dtype=np.bool_)
    if column.null_count:
        is_empty = column.is_null().to_numpy()
        column = column.cast(pa.float64(), safe=False)
    return Operand(column.to_numpy().astype(np.float64, copy=False), is_empty)
