"""Count customers in one pass, in memory that does not grow with them: cells, incomes, and some of them."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from service.errors import DatasetError
from service.features import AGE, PURCHASES
from service.training.attributes import Attribute
from service.training.cells import Cells
from service.training.drawing import Drawing, Take
from service.training.sums import Columns, Summed, Sums

_PARTS: Final = 8


@dataclass(frozen=True, slots=True)
class Totals:
    """Hold what an engine has counted elsewhere, beside the sums."""

    used: int
    no_purchases: int
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

    def __init__(self, columns: Mapping[str, str], sums: Sums) -> None:
        """Begin with nobody.

        Args:
            columns: The dropped columns, as they are spelled, by folded name.
            sums: Of nobody yet.
        """
        self.drawing = Drawing(columns)
        self.used = 0
        self._no_purchases = 0
        self._imputed = 0
        self.sums = sums
        self._unknown: list[Columns] = []
        """Those without an Income: ages, counts and purchases of the same."""

    def add(self, columns: Columns, *, take: Take, make_cells: Callable[[], Cells] | None = None) -> None:
        """Add usable customers.

        Args:
            columns: A missing Income is NaN.
            take: Gives the dropped columns of some of them.
            make_cells: An engine's way to sum up those who have an Income.
        """
        ages, incomes, purchases = columns
        if not len(ages):
            return
        hashes = self.sums.add(columns, make_cells=make_cells)
        unknown = np.isnan(incomes)
        self.add_summed(
            Summed(
                used=len(ages),
                no_purchases=int((purchases == 0).sum()),
                no_incomes=(ages[unknown], purchases[unknown]),
                drawn=columns,
                hashes=hashes,
            ),
            take=take,
        )

    def add_summed(self, summed: Summed, *, take: Take) -> None:
        """Add customers who are in the sums already.

        Args:
            summed: What else is known of them.
            take: Gives the dropped columns of some of those who were drawn.
        """
        self.used += summed.used
        self._no_purchases += summed.no_purchases
        self.drawing.add(*summed.drawn, hashes=summed.hashes, take=take)
        ages, purchases = summed.no_incomes
        if len(ages):
            self._imputed += len(ages)
            self._unknown.append((ages, np.ones(len(ages)), purchases))
        if len(self._unknown) > _PARTS:
            self._unknown = [_join_alike(self._unknown)]

    def add_totals(self, totals: Totals) -> None:
        """Add customers that were counted elsewhere, and are in the sums already."""
        self.used += totals.used
        self._no_purchases += totals.no_purchases
        self.drawing.add_counted(totals.drawn)
        counts = totals.unknown["n"].to_numpy()
        if len(counts):
            self._imputed += int(counts.sum())
            ages, purchases = (totals.unknown[name].to_numpy() for name in (AGE, PURCHASES))
            self._unknown.append((ages, counts.astype(np.float64), purchases))

    def finish(self) -> Counted:
        """Give those without an Income the median of the others, and return all.

        Raises:
            DatasetError: Nobody has an Income.
        """
        if self._imputed == self.used:
            raise DatasetError(
                f"None of the {self.used} usable records has an Income, so none can be filled in"
            )
        with ThreadPoolExecutor(max_workers=1) as threads:
            summing = threads.submit(self.sums.finish)

            def find_median() -> float:
                return summing.result()[1].median()

            columns, is_missing, attributes = self.drawing.records(find_median)
        cells, _ = summing.result()
        median = find_median()
        if self._unknown:
            ages, counts, purchases = _join_alike(self._unknown)
            incomes = np.full(len(ages), median)
            alike = Cells.of_records(ages, incomes, purchases, counts.astype(np.int64))
            cells = Cells.join([cells, alike])
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
