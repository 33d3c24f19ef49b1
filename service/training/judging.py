"""Judge rows whose numbers are columns already: which are plain, and which lack Age or Purchases."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from service.features import AGE, INCOME, MAX_VALUE, PURCHASES, RAW_COLUMNS
from service.training.blocks import Block
from service.training.cells import Floats, Integers
from service.training.columns import Source

Marks = npt.NDArray[np.bool_]


class Operand(NamedTuple):
    """Hold one column of a file as numbers."""

    values: Floats
    """NaN where there is none."""
    is_empty: Marks
    """Where the file has nothing; elsewhere a NaN is something that is no number."""


def judge(
    operands: Mapping[int, Operand],
    sources: Sequence[Source],
    *,
    rows: int,
    is_whole: Marks | None = None,
    find_short: Callable[[Integers], Integers] | None = None,
) -> Block:
    """Return the plain rows, and where the others are.

    Args:
        operands: The columns that the sources need, by their positions.
        sources: Of Age, Income and Purchases.
        rows: How many there are.
        is_whole: Which rows surely have all their fields; None for all.
        find_short: Returns which of some others have not.
    """
    is_good, is_empty, values = {}, {}, {}
    for source in sources:
        found = [operands[place] for place in source.positions]
        values[source.target], is_good[source.target] = evaluate(
            source, [one.values for one in found], size=rows
        )
        is_empty[source.target] = (
            found[0].is_empty if source.expression.is_column else np.zeros(rows, dtype=np.bool_)
        )
    is_plain = is_good[AGE] & (is_good[INCOME] | is_empty[INCOME]) & is_good[PURCHASES]
    is_known = np.ones(rows, dtype=np.bool_)
    for name in RAW_COLUMNS:
        is_known &= is_good[name] | is_empty[name]
    # A row without any of the three may be a blank one.
    is_missing = is_known & ~is_plain & (is_good[AGE] | is_good[INCOME] | is_good[PURCHASES])
    if is_whole is not None and find_short is not None:
        short = find_short(np.flatnonzero((is_plain | is_missing) & ~is_whole))
        is_plain[short] = is_missing[short] = False
    missing = np.flatnonzero(is_missing)
    order = [source.target for source in sources]
    ages, incomes, purchases = (
        values[name] if is_plain.all() else values[name][is_plain] for name in RAW_COLUMNS
    )
    return Block(
        columns=(ages, incomes, purchases),
        places=np.flatnonzero(is_plain),
        missing=missing,
        blamed=np.where(is_empty[AGE][missing], order.index(AGE), order.index(PURCHASES)),
        odd=np.flatnonzero(~(is_plain | is_missing)),
        rows=rows,
    )


def evaluate(source: Source, columns: Sequence[Floats], *, size: int) -> tuple[Floats, Marks]:
    """Return the values of a source, and which of them are plain; a missing operand is NaN."""
    values = source.expression.evaluate(columns, size=size)
    is_good: Marks = (values > 0 if source.target == AGE else values >= 0) & (values <= MAX_VALUE)
    for column in columns:
        is_good &= np.isfinite(column)
    return values, is_good
