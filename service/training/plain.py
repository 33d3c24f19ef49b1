"""Read what is plain of a large file by polars, which is faster than the usual rules."""

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import narwhals as nw
import numpy as np
import polars as pl
import pyarrow as pa

from service.features import INCOME, RAW_COLUMNS
from service.training.blocks import MAX_ODD, Block, Lines
from service.training.cells import Cells, Integers, summarise
from service.training.columns import Source
from service.training.customers import CustomerReader
from service.training.judging import Operand, judge
from service.training.sums import Columns


def parse_block(lines: Lines, reader: CustomerReader) -> tuple[Block, list[bytes]] | None:
    """Return the plain rows of a block and the lines of the odd ones, None where it is not worth it.

    polars neither counts the fields of a row nor knows a lone carriage return for a line's end, so both are
    looked after here. A row whose last field is not empty has enough fields, the delimiters of the others are
    counted, and all delimiters together tell that none has too many.
    """
    file = reader.file
    if lines.lone_returns:
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
    if len(found.odd) > MAX_ODD * found.rows or found.rows != len(lines.ends):
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
    return _judge(frame.lazy(), reader.sources, names=names)


def _judge(
    text: pl.LazyFrame,
    sources: Sequence[Source],
    *,
    names: Sequence[str],
    is_whole: pl.Expr | None = None,
    find_short: Callable[[Integers], Integers] | None = None,
) -> Block:
    needed = sorted({place for source in sources for place in source.positions})
    frame = text.select(
        *(pl.col(names[place]).cast(pl.Float64, strict=False) for place in needed),
        *(pl.col(names[place]).is_null().alias(f"empty {names[place]}") for place in needed),
        is_whole=pl.lit(value=True) if is_whole is None else is_whole,
    ).collect(engine="streaming")
    operands = {
        place: Operand(
            frame[names[place]].fill_null(np.nan).to_numpy(), frame[f"empty {names[place]}"].to_numpy()
        )
        for place in needed
    }
    block = judge(
        operands,
        sources,
        rows=len(frame),
        is_whole=None if is_whole is None else frame["is_whole"].to_numpy(),
        find_short=find_short,
    )
    return replace(block, make_cells=partial(_make_cells, block.columns))


def _make_cells(columns: Columns) -> Cells:
    """Sum up usable customers that have an Income."""
    frame = pl.DataFrame(dict(zip(RAW_COLUMNS, columns, strict=True))).lazy()
    frame = frame.filter(pl.col(INCOME).is_not_nan()).with_columns(n=pl.lit(1, dtype=pl.Int64))
    return Cells.of(nw.to_native(summarise(nw.from_native(frame))).collect().to_arrow())
