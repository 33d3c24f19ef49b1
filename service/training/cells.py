"""Sum customers up in small cells of the plane of [Age, Spending_Power]; the same cells on every engine.

What makes a cell is written once, as narwhals expressions: polars, pyarrow, pandas and Spark give the same
integers to the last bit, for only IEEE operations that round alike everywhere are used (no logarithm), and
what is summed are integers, so that no order, chunk or shard changes a sum.

    a, i, p = least(Age, 2^38), least(Income, 2^38), least(Purchases, 2^38)
    x  = a * 4 + 0.5                                        quarters of a year
    y  = sqrt(sqrt(sqrt(i / greatest(p, 1)))) * 1024        0.3 % wide where Spending_Power is 2,500
    cell = floor(x) * 2^20 + floor(y)
    u, v = floor((x - floor(x)) * 65536 + 0.5), the same of y
    GROUP BY cell: count, sum(u), sum(u * u), sum(v), sum(v * v), sum(floor(i * 1024 + 0.5)), the same of p
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from service.features import AGE, INCOME, PURCHASES, SPENDING_POWER
from service.training.expressions import nw

LARGEST: Final = 2.0**38
"""What is above counts as this much, 275 thousand millions, so that no sum overflows."""

AGE_CELLS: Final = 4
"""Cells a year."""
POWER_CELLS: Final = 1024
"""Cells a unit of the eighth root of Spending_Power: about as fine for a ratio of 0.01 as of a million."""
OFFSETS: Final = 65_536
"""Steps within a cell: the fixed point of the sums."""
UNITS: Final = 1024
"""Steps of a unit of Income and Purchases."""
FITTED_CELLS: Final = 65_536
"""Neighbours are joined until there are no more: scikit-learn fits so many in a fraction of a second."""

_POWER_BITS: Final = 20
_SUMS: Final = ("n", "u", "uu", "v", "vv", "income", "purchases")
_NAMES: Final = ("cell", *_SUMS)

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def summarise(frame: nw.DataFrame[Any] | nw.LazyFrame[Any]) -> nw.DataFrame[Any] | nw.LazyFrame[Any]:
    """Return a row a cell, in any order.

    Args:
        frame: Usable customers: Age, Income and Purchases as Float64, no null, and `n` of each kind as Int64.
    """
    n, purchases = nw.col("n"), nw.col("p")
    one, largest = nw.lit(1.0), nw.lit(LARGEST)
    power = nw.col("i") / nw.max_horizontal(purchases, one)
    return (
        frame.select(
            "n",
            a=nw.min_horizontal(nw.col(AGE), largest),
            i=nw.min_horizontal(nw.col(INCOME), largest),
            p=nw.min_horizontal(nw.col(PURCHASES), largest),
        )
        .with_columns(x=nw.col("a") * AGE_CELLS + 0.5, y=power.sqrt().sqrt().sqrt() * POWER_CELLS)
        .with_columns(fx=nw.col("x").floor(), fy=nw.col("y").floor())
        .select(
            "n",
            cell=_integer(nw.col("fx")) * (1 << _POWER_BITS) + _integer(nw.col("fy")),
            u=_integer(((nw.col("x") - nw.col("fx")) * OFFSETS + 0.5).floor()),
            v=_integer(((nw.col("y") - nw.col("fy")) * OFFSETS + 0.5).floor()),
            income=_integer((nw.col("i") * UNITS + 0.5).floor()),
            purchases=_integer((nw.col("p") * UNITS + 0.5).floor()),
        )
        .select(
            "cell",
            "n",
            u=nw.col("u") * n,
            uu=nw.col("u") * nw.col("u") * n,
            v=nw.col("v") * n,
            vv=nw.col("v") * nw.col("v") * n,
            income=nw.col("income") * n,
            purchases=nw.col("purchases") * n,
        )
        .group_by("cell")
        .agg(*(nw.col(name).sum() for name in _SUMS))
    )


def _integer(expression: nw.Expr) -> nw.Expr:
    return expression.cast(nw.Int64)


@dataclass(frozen=True)
class Cells:
    """Hold cells in ascending order of their number; a row of `sums` a cell."""

    numbers: Integers
    """Shape (n_cells,)."""
    sums: Integers
    """Customers, then the sums in the order of `summarise`, shape (n_cells, 7)."""

    @classmethod
    def of(cls, *tables: pa.Table) -> Cells:
        """Join the tables of `summarise`, of the same cells or of others."""
        if not tables:
            return cls(np.empty(0, dtype=np.int64), np.empty((0, len(_SUMS)), dtype=np.int64))
        return cls.join(
            [
                cls(
                    table["cell"].to_numpy(),
                    np.column_stack([table[name].cast(pa.int64()).to_numpy() for name in _SUMS]),
                )
                for table in tables
            ]
        )

    @classmethod
    def of_records(cls, ages: Floats, incomes: Floats, purchases: Floats, counts: Integers) -> Cells:
        """Summarise usable customers by pyarrow, each so many times; shape (n_samples,) all."""
        table = pa.table({AGE: ages, INCOME: incomes, PURCHASES: purchases, "n": counts})
        return cls.of(summarise(nw.from_native(table, eager_only=True)).to_native())

    @classmethod
    def join(cls, parts: Sequence[Cells]) -> Cells:
        """Add up what several parts of the data hold."""
        numbers = np.concatenate([part.numbers for part in parts])
        order = np.argsort(numbers, kind="stable")
        numbers = numbers[order]
        starts = np.flatnonzero(np.diff(numbers, prepend=-1))
        sums = np.concatenate([part.sums for part in parts])[order]
        return cls(numbers[starts], np.add.reduceat(sums, starts, axis=0) if len(starts) else sums)

    @cached_property
    def digest(self) -> str:
        """Return a hash that the same customers have on every engine, in any order."""
        table = np.column_stack([self.numbers, self.sums]).astype("<i8")
        return hashlib.sha256(table.tobytes()).hexdigest()

    @property
    def counts(self) -> Integers:
        """Return the customers of each cell."""
        return self.sums[:, 0]

    @property
    def total(self) -> int:
        """Return the number of customers."""
        return int(self.counts.sum())

    def columns(self) -> dict[str, Floats]:
        """Return the means of each cell, in the user's units.

        The sums are exact to a 65,536th of a cell; what the eighth power adds is known to the second order.
        """
        y, variance = self._roots()
        return {
            AGE: (self._ages() - 0.5) / AGE_CELLS,
            INCOME: self.sums[:, 5] / self.counts / UNITS,
            PURCHASES: self.sums[:, 6] / self.counts / UNITS,
            SPENDING_POWER: y**8 + 28 * y**6 * variance,
        }

    def variances(self) -> tuple[Floats, Floats]:
        """Return how far customers lie from the mean of their cell: of Age and of Spending_Power."""
        mean = self.sums[:, 1] / self.counts / OFFSETS
        ages = np.maximum(self.sums[:, 2] / self.counts / OFFSETS**2 - mean**2, 0.0)
        y, variance = self._roots()
        return ages / AGE_CELLS**2, 64 * y**14 * variance

    def _ages(self) -> Floats:
        quarters: Floats = (self.numbers >> _POWER_BITS) + self.sums[:, 1] / self.counts / OFFSETS
        return quarters

    def _roots(self) -> tuple[Floats, Floats]:
        """Return mean and variance of the eighth root of Spending_Power in each cell."""
        mean = self.sums[:, 3] / self.counts / OFFSETS
        variance = np.maximum(self.sums[:, 4] / self.counts / OFFSETS**2 - mean**2, 0.0)
        roots = ((self.numbers & ((1 << _POWER_BITS) - 1)) + mean) / POWER_CELLS
        return roots, variance / POWER_CELLS**2

    def coarse(self, limit: int = FITTED_CELLS) -> Integers:
        """Return to which of at most about `limit` larger cells each belongs, numbered from 0."""
        shift = 0
        while True:
            ages = self.numbers >> (_POWER_BITS + max(shift - 2, 0))
            powers = (self.numbers & ((1 << _POWER_BITS) - 1)) >> shift
            joined, places = np.unique((ages << _POWER_BITS) | powers, return_inverse=True)
            if len(joined) <= limit or shift == _POWER_BITS:
                found: Integers = places.astype(np.int64)
                return found
            shift += 1
