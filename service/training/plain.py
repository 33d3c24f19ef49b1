"""Read what is plain of a large file by polars, which is faster; what is not is left to the usual rules.

Plain is a row of the right width whose numbers are digits, a point and an exponent, finite and within limits:
all engines read those alike. Every other row is found here and judged where all rows of small files are.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import narwhals as nw
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from service.features import AGE, INCOME, MAX_VALUE, PURCHASES, RAW_COLUMNS
from service.training.cells import Cells, Floats, Integers, summarise
from service.training.columns import Source
from service.training.customers import CustomerReader

BLOCK_BYTES: Final = 16 << 20
BATCH_ROWS: Final = 131_072
_MAX_ODD: Final = 0.5
"""With more rows that are not plain, polars saves nothing."""

_ENCODINGS: Final = {"utf-8": 0, "utf-8-sig": 3}
"""Those that polars reads, with the bytes of the mark at the beginning."""


@dataclass(frozen=True, slots=True)
class Block:
    """Hold the plain rows of a part of a file, and where the others are."""

    frame: pl.DataFrame
    """Age, Income and Purchases of the plain rows; Income is NaN where there is none."""
    places: Integers
    """Of the plain rows, from 0."""
    missing: Integers
    """Of rows that are plain but for an empty Age or Purchases, from 0."""
    blamed: Integers
    """Which of the reader's sources is empty, for each of those."""
    odd: Integers
    """Of the others."""
    rows: int

    def cells(self) -> Cells:
        """Sum up the plain rows that have an Income."""
        frame = (
            self.frame.lazy().filter(pl.col(INCOME).is_not_nan()).with_columns(n=pl.lit(1, dtype=pl.Int64))
        )
        return Cells.of(nw.to_native(summarise(nw.from_native(frame))).collect().to_arrow())


class Lines:
    """Hold whole lines of a file."""

    def __init__(self, text: bytes) -> None:
        """Find the lines; the text ends with one."""
        self.text = text
        self._bytes = np.frombuffer(text, dtype=np.uint8)
        self.ends: Integers = np.flatnonzero(self._bytes == ord("\n")) + 1
        """Where each line ends, its line feed included."""

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


def parse_block(lines: Lines, reader: CustomerReader) -> tuple[Block, list[bytes]] | None:
    """Return the plain rows of a block and the lines of the odd ones, None where it is not worth it.

    polars neither counts the fields of a row nor knows a lone carriage return for a line's end, so both are
    looked after here. A row whose last field is not empty has enough fields, the delimiters of the others are
    counted, and all delimiters together tell that none has too many.
    """
    file = reader.file
    if lines.has_lone_returns:
        return None
    delimiter, width = str(file.delimiter), len(file.columns)
    names = [str(place) for place in range(width)]
    text = pl.scan_csv(
        io.BytesIO(lines.text),
        has_header=False,
        schema=dict.fromkeys(names, pl.String),
        separator=delimiter,
        quote_char=None,
    )
    mark = delimiter.encode()

    def find_short(places: Integers) -> Integers:
        is_short = [line.count(mark) != width - 1 for line in lines.cut(places)]
        return places[np.array(is_short, dtype=np.bool_)]

    try:
        found = _judge(
            text,
            reader.sources,
            names=names,
            is_whole=pl.col(names[-1]).is_not_null(),
            find_short=find_short,
        )
    except pl.exceptions.PolarsError:
        return None
    if len(found.odd) > _MAX_ODD * found.rows or found.rows != len(lines.ends):
        return None
    odd = lines.cut(found.odd)
    if lines.count(delimiter) - b"".join(odd).count(mark) != (found.rows - len(found.odd)) * (width - 1):
        return None
    return found, odd


def parse_table(table: pa.Table, reader: CustomerReader) -> Block:
    """Return the plain rows of a part of a Parquet file."""
    names = [str(place) for place in range(table.num_columns)]
    needed = sorted({place for source in reader.sources for place in source.positions})
    columns = pa.table([table.column(place) for place in needed], [names[place] for place in needed])
    frame = pl.from_arrow(columns)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101  # what it makes of a table
    return _judge(
        frame.lazy(),
        reader.sources,
        names=names,
        is_whole=pl.lit(value=True),
        find_short=lambda places: places[:0],
    )


def _judge(
    text: pl.LazyFrame,
    sources: Sequence[Source],
    *,
    names: Sequence[str],
    is_whole: pl.Expr,
    find_short: Callable[[Integers], Integers],
) -> Block:
    needed = sorted({names[place] for source in sources for place in source.positions})
    frame = text.select(
        *(pl.col(name).cast(pl.Float64, strict=False) for name in needed),
        *(pl.col(name).is_null().alias(f"empty {name}") for name in needed),
        is_whole=is_whole,
    ).collect(engine="streaming")
    is_good, is_empty, values = {}, {}, {}
    for source in sources:
        operands = [frame[names[place]] for place in source.positions]
        values[source.target], is_good[source.target] = evaluate(source, operands, size=len(frame))
        is_empty[source.target] = (
            frame[f"empty {names[source.positions[0]]}"].to_numpy()
            if source.expression.is_column
            else np.zeros(len(frame), dtype=np.bool_)
        )
    is_plain = is_good[AGE] & (is_good[INCOME] | is_empty[INCOME]) & is_good[PURCHASES]
    is_known = np.ones(len(frame), dtype=np.bool_)
    for name in RAW_COLUMNS:
        is_known &= is_good[name] | is_empty[name]
    # A row without any of the three may be a blank one.
    is_missing = is_known & ~is_plain & (is_good[AGE] | is_good[INCOME] | is_good[PURCHASES])
    short = find_short(np.flatnonzero((is_plain | is_missing) & ~frame["is_whole"].to_numpy()))
    is_plain[short] = is_missing[short] = False
    missing = np.flatnonzero(is_missing)
    order = [source.target for source in sources]
    whole = pl.DataFrame({name: values[name] for name in RAW_COLUMNS})
    return Block(
        frame=whole if is_plain.all() else whole.filter(pl.Series(is_plain)),
        places=np.flatnonzero(is_plain),
        missing=missing,
        blamed=np.where(is_empty[AGE][missing], order.index(AGE), order.index(PURCHASES)),
        odd=np.flatnonzero(~(is_plain | is_missing)),
        rows=len(frame),
    )


def evaluate(
    source: Source, operands: Sequence[pl.Series], *, size: int
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the values of a source, and which of them are plain."""
    columns = [operand.fill_null(np.nan).to_numpy() for operand in operands]
    values = source.expression.evaluate(columns, size=size)
    is_good: npt.NDArray[np.bool_] = (values > 0 if source.target == AGE else values >= 0) & (
        values <= MAX_VALUE
    )
    for column in columns:
        is_good &= np.isfinite(column)
    return values, is_good


def _is_simple(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_float32(kind)
        or pa.types.is_float64(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
    )
