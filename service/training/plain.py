"""Read what is plain of a large file by polars, which is faster than the usual rules."""

import io
from collections.abc import Callable, Sequence
from functools import partial

import narwhals as nw
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from service.features import AGE, INCOME, MAX_VALUE, PURCHASES, RAW_COLUMNS
from service.training.blocks import MAX_ODD, Block, Lines
from service.training.cells import Cells, Floats, Integers, summarise
from service.training.columns import Source
from service.training.customers import CustomerReader
from service.training.sums import Columns


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
    ages, incomes, purchases = (
        values[name] if is_plain.all() else values[name][is_plain] for name in RAW_COLUMNS
    )
    columns = (ages, incomes, purchases)
    return Block(
        columns=columns,
        places=np.flatnonzero(is_plain),
        missing=missing,
        blamed=np.where(is_empty[AGE][missing], order.index(AGE), order.index(PURCHASES)),
        odd=np.flatnonzero(~(is_plain | is_missing)),
        rows=len(frame),
        make_cells=partial(_make_cells, columns),
    )


def _make_cells(columns: Columns) -> Cells:
    """Sum up usable customers that have an Income."""
    frame = pl.DataFrame(dict(zip(RAW_COLUMNS, columns, strict=True))).lazy()
    frame = frame.filter(pl.col(INCOME).is_not_nan()).with_columns(n=pl.lit(1, dtype=pl.Int64))
    return Cells.of(nw.to_native(summarise(nw.from_native(frame))).collect().to_arrow())


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
