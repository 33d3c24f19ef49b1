"""Read what is plain of a large file by polars, which is faster; what is not is left to the usual rules.

Plain is a row of the right width whose numbers are digits, a point and an exponent, finite and within limits:
all engines read those alike. Every other row is found here and judged where all rows of small files are.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import narwhals as nw
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from service.features import AGE, INCOME, MAX_VALUE, PURCHASES, RAW_COLUMNS
from service.training.cells import Cells, Integers, summarise
from service.training.columns import Source
from service.training.customers import CustomerReader

BLOCK_BYTES: Final = 16 << 20
BATCH_ROWS: Final = 524_288
_MAX_ODD: Final = 0.5
"""With more rows that are not plain, polars saves nothing."""

_ENCODINGS: Final = {"utf-8": 0, "utf-8-sig": 3}
"""Those that polars reads, with the bytes of the mark at the beginning."""


@dataclass(frozen=True, slots=True)
class Block:
    """Hold the plain rows of a part of a file, and where the others are."""

    frame: pl.DataFrame
    """Age, Income and Purchases of the plain rows."""
    places: Integers
    """Of the plain rows, from 0."""
    odd: Integers
    """Of the others."""
    rows: int

    def cells(self) -> Cells:
        """Sum up the plain rows."""
        frame = self.frame.lazy().with_columns(n=pl.lit(1, dtype=pl.Int64))
        table = nw.to_native(summarise(nw.from_native(frame))).collect(engine="streaming")
        return Cells.of(table.to_arrow())


def is_plain_file(reader: CustomerReader) -> bool:
    """Tell whether there is hope of plain rows in a file."""
    file = reader.file
    if reader.decimal != "." or file.has_quotes or (file.format == "csv" and file.encoding not in _ENCODINGS):
        return False
    needed = {place for source in reader.sources for place in source.positions}
    return all(_is_simple(file.types[place]) for place in needed)


def read_blocks(reader: CustomerReader) -> Iterator[tuple[bytes, int]]:
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
                yield block, before
                before += block.count(b"\n")
        if left:
            yield left + b"\n", before


def parse_block(block: bytes, reader: CustomerReader) -> tuple[Block, bytes] | None:
    """Return the plain rows of a block and the lines of the others, None where it is not worth it.

    polars neither counts the fields of a row nor knows a lone carriage return for a line's end, so both are
    looked after here. A row whose last field is not empty has enough fields; all delimiters together tell
    that none has too many.
    """
    file = reader.file
    if block.count(b"\r") != block.count(b"\r\n"):
        return None
    delimiter, width = str(file.delimiter), len(file.columns)
    names = [str(place) for place in range(width)]
    text = pl.scan_csv(
        io.BytesIO(block),
        has_header=False,
        schema=dict.fromkeys(names, pl.String),
        separator=delimiter,
        quote_char=None,
    )
    try:
        found = _judge(text, reader.sources, names=names, is_whole=pl.col(names[-1]).is_not_null())
    except pl.exceptions.PolarsError:
        return None
    if len(found.odd) > _MAX_ODD * found.rows or found.rows != block.count(b"\n"):
        return None
    odd = take_lines(block, found.odd)
    mark = delimiter.encode()
    if block.count(mark) - odd.count(mark) != (found.rows - len(found.odd)) * (width - 1):
        return None
    return found, odd


def parse_table(table: pa.Table, reader: CustomerReader) -> Block:
    """Return the plain rows of a part of a Parquet file."""
    names = [str(place) for place in range(table.num_columns)]
    needed = sorted({place for source in reader.sources for place in source.positions})
    columns = pa.table([table.column(place) for place in needed], [names[place] for place in needed])
    frame = pl.from_arrow(columns)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101  # what it makes of a table
    return _judge(frame.lazy(), reader.sources, names=names, is_whole=pl.lit(value=True))


def take_lines(block: bytes, places: Integers) -> bytes:
    """Return some lines of a block, each with its end."""
    if not len(places):
        return b""
    ends = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == ord("\n")) + 1
    starts = np.concatenate([[0], ends[:-1]])
    return b"".join(
        block[start:end] for start, end in zip(starts[places].tolist(), ends[places].tolist(), strict=True)
    )


def _judge(
    text: pl.LazyFrame, sources: Sequence[Source], *, names: Sequence[str], is_whole: pl.Expr
) -> Block:
    needed = sorted({names[place] for source in sources for place in source.positions})
    frame = text.select(
        *(pl.col(name).cast(pl.Float64, strict=False) for name in needed), is_whole=is_whole
    ).collect(engine="streaming")
    is_plain = frame["is_whole"]
    for name in needed:
        is_plain = is_plain & frame[name].is_finite().fill_null(value=False)
    values = {}
    for source in sources:
        operands = [frame[names[place]] for place in source.positions]
        if source.expression.is_column:
            values[source.target] = operands[0]
        else:
            columns = [operand.fill_null(np.nan).to_numpy() for operand in operands]
            values[source.target] = pl.Series(source.expression.evaluate(columns, size=len(frame)))
    limits = {AGE: values[AGE] > 0, INCOME: values[INCOME] >= 0, PURCHASES: values[PURCHASES] >= 0}
    for name in RAW_COLUMNS:
        is_plain = (
            is_plain
            & limits[name].fill_null(value=False)
            & (values[name] <= MAX_VALUE).fill_null(value=False)
        )
    mask: npt.NDArray[np.bool_] = is_plain.to_numpy()
    whole = pl.DataFrame({name: values[name] for name in RAW_COLUMNS})
    return Block(
        frame=whole if mask.all() else whole.filter(is_plain),
        places=np.flatnonzero(mask),
        odd=np.flatnonzero(~mask),
        rows=len(frame),
    )


def _is_simple(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_float32(kind)
        or pa.types.is_float64(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
    )
