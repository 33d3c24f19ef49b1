"""Count customers in one pass, in memory that does not grow with them: cells, incomes, and some of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa

from service.errors import DatasetError
from service.features import AGE, PURCHASES
from service.training.attributes import Attribute
from service.training.cells import LARGEST, Cells, Floats, Integers
from service.training.drawing import Drawing, Take
from service.training.rounding import round_significant

_PENDING: Final = 524_288
"""Customers that are summarised at a time: fewer would make many small tables of cells."""

_PARTS: Final = 8
INCOME_STEPS: Final = 16_384
"""Cells a unit of the eighth root of Income: 0.01 % wide at 50,000."""

_INCOME_CELLS: Final = int(LARGEST**0.125 * INCOME_STEPS) + 2
INCOME_UNITS: Final = 1024

Columns = tuple[Floats, Floats, Floats]
"""Ages, incomes and purchases, each of shape (n_samples,)."""


@dataclass(slots=True)
class _Incomes:
    """Hold the customers by Income, to find the median without keeping any."""

    counts: Integers = field(default_factory=lambda: np.zeros(_INCOME_CELLS, dtype=np.int64))
    sums: Integers = field(default_factory=lambda: np.zeros(_INCOME_CELLS, dtype=np.int64))

    def add(self, incomes: Floats) -> None:
        known = np.minimum(incomes, LARGEST)
        places = np.floor(np.sqrt(np.sqrt(np.sqrt(known))) * INCOME_STEPS).astype(np.int64)
        size = int(places.max(initial=0)) + 1
        self.counts[:size] += np.bincount(places, minlength=size)
        units = np.floor(known * INCOME_UNITS + 0.5)
        # Whole numbers below 2^53 add up exactly in any order.
        self.sums[:size] += np.bincount(places, weights=units, minlength=size).astype(np.int64)

    def median(self) -> float:
        """Return the mean of the cell that holds the median."""
        place = int(np.searchsorted(np.cumsum(self.counts), (self.counts.sum() + 1) // 2))
        return round_significant(float(self.sums[place] / self.counts[place] / INCOME_UNITS))


@dataclass(frozen=True, slots=True)
class Sums:
    """Hold what an engine has added up elsewhere."""

    used: int
    no_purchases: int
    cells: Cells
    """Of those with an Income."""
    incomes: pa.Table
    """`place` of each cell of _Incomes, `n` customers and the sum of their `units`."""
    unknown: pa.Table
    """Age, Purchases and `n` of those without an Income."""
    drawn: pa.Table
    """For Drawing.add_counted."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Hold what is known of customers, all or only some of whom were kept."""

    cells: Cells | None
    """All customers, the median where there was no Income; None where the columns hold all of them."""
    columns: Columns
    """Those who were drawn, or all."""
    is_income_imputed: np.ndarray[tuple[int], np.dtype[np.bool_]]
    attributes: tuple[Attribute, ...]
    used: int
    income_imputed: int
    income_median: float
    no_purchases: int


class Census:
    """Add customers up, in any order and in pieces of any size."""

    def __init__(self, columns: Mapping[str, str]) -> None:
        """Begin with nobody.

        Args:
            columns: The dropped columns, as they are spelled, by folded name.
        """
        self.drawing = Drawing(columns)
        self.used = 0
        self._no_purchases = 0
        self._imputed = 0
        self._incomes = _Incomes()
        self._parts: list[Cells] = []
        self._pending: list[Columns] = []
        self._unknown: list[Columns] = []
        """Those without an Income: ages, counts and purchases of the same."""

    def add(
        self, ages: Floats, incomes: Floats, purchases: Floats, *, take: Take, cells: Cells | None = None
    ) -> None:
        """Add usable customers, each of shape (n_samples,); a missing Income is NaN.

        Args:
            ages: Age.
            incomes: Income.
            purchases: Purchases.
            take: Gives the dropped columns of some of them.
            cells: Of those of them who have an Income, where an engine has made them already.
        """
        if not len(ages):
            return
        self.used += len(ages)
        self._no_purchases += int((purchases == 0).sum())
        self.drawing.add(ages, incomes, purchases, take=take)
        unknown = np.isnan(incomes)
        if unknown.any():
            self._imputed += int(unknown.sum())
            self._unknown.append((ages[unknown], np.ones(int(unknown.sum())), purchases[unknown]))
            ages, incomes, purchases = ages[~unknown], incomes[~unknown], purchases[~unknown]
        if cells is None:
            self._pending.append((ages, incomes, purchases))
        else:
            self._parts.append(cells)
        self._incomes.add(incomes)
        if sum(len(part[0]) for part in self._pending) >= _PENDING:
            self._summarise()
        if len(self._unknown) > _PARTS:
            self._unknown = [_join_alike(self._unknown)]
        if len(self._parts) >= _PARTS:
            self._parts = [Cells.join(self._parts)]

    def add_sums(self, sums: Sums) -> None:
        """Add customers that were added up elsewhere."""
        self.used += sums.used
        self._no_purchases += sums.no_purchases
        self._parts.append(sums.cells)
        self.drawing.add_counted(sums.drawn)
        places = sums.incomes["place"].to_numpy()
        self._incomes.counts[places] += sums.incomes["n"].to_numpy()
        self._incomes.sums[places] += sums.incomes["units"].to_numpy()
        counts = sums.unknown["n"].to_numpy()
        if len(counts):
            self._imputed += int(counts.sum())
            ages, purchases = (sums.unknown[name].to_numpy() for name in (AGE, PURCHASES))
            self._unknown.append((ages, counts.astype(np.float64), purchases))

    def _summarise(self) -> None:
        ages, incomes, purchases = (np.concatenate(columns) for columns in zip(*self._pending, strict=True))
        self._parts.append(Cells.of_records(ages, incomes, purchases, np.ones(len(ages), dtype=np.int64)))
        self._pending = []

    def finish(self) -> Counted:
        """Give those without an Income the median of the others, and return all.

        Raises:
            DatasetError: Nobody has an Income.
        """
        if self._pending:
            self._summarise()
        if self._imputed == self.used:
            raise DatasetError(
                f"None of the {self.used} usable records has an Income, so none can be filled in"
            )
        median = self._incomes.median()
        if self._unknown:
            ages, counts, purchases = _join_alike(self._unknown)
            incomes = np.full(len(ages), median)
            self._parts.append(Cells.of_records(ages, incomes, purchases, counts.astype(np.int64)))
            self._unknown = []
        cells = Cells.join(self._parts)
        self._parts = [cells]
        columns, is_missing, attributes = self.drawing.records(median)
        ages, incomes, purchases = columns.values()
        return Counted(
            cells=cells,
            columns=(ages, incomes, purchases),
            is_income_imputed=is_missing,
            attributes=attributes,
            used=self.used,
            income_imputed=self._imputed,
            income_median=median,
            no_purchases=self._no_purchases,
        )


def _join_alike(parts: list[Columns]) -> Columns:
    """Return each pair of Age and Purchases once, with how many have it."""
    ages, counts, purchases = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.lexsort((purchases, ages))
    ages, counts, purchases = ages[order], counts[order], purchases[order]
    is_first = np.ones(len(ages), dtype=np.bool_)
    is_first[1:] = (np.diff(ages) != 0) | (np.diff(purchases) != 0)
    starts = np.flatnonzero(is_first)
    return ages[starts], np.add.reduceat(counts, starts), purchases[starts]
