"""Add customers up as they come: in cells of the plane, by steps of Income, and by the hash of each."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from service.features import AGE, INCOME, PURCHASES
from service.training.cells import LARGEST, UNITS, Cells, Floats, Integers
from service.training.drawing import hash_customers
from service.training.rounding import round_significant

Columns = tuple[Floats, Floats, Floats]
"""Ages, incomes and purchases, each of shape (n_samples,)."""

_PENDING: Final = 524_288
"""Customers that are summarised at a time: fewer would make many small tables of cells."""

_PARTS: Final = 8
_MOST_THREADS: Final = 4
"""Each has cells of its own; what comes before and after takes one thread, and most of the time with more."""

INCOME_STEPS: Final = 16_384
"""Cells a unit of the eighth root of Income: 0.01 % wide at 50,000."""

INCOME_CELLS: Final = int(LARGEST**0.125 * INCOME_STEPS) + 2


@dataclass(slots=True)
class Incomes:
    """Hold the customers by Income, to find the median without keeping any."""

    counts: Integers = field(default_factory=lambda: np.zeros(INCOME_CELLS, dtype=np.int64))
    sums: Integers = field(default_factory=lambda: np.zeros(INCOME_CELLS, dtype=np.int64))

    def add(self, incomes: Floats) -> None:
        """Add incomes that are known."""
        known = np.minimum(incomes, LARGEST)
        places = np.floor(np.sqrt(np.sqrt(np.sqrt(known))) * INCOME_STEPS).astype(np.int64)
        size = int(places.max(initial=0)) + 1
        self.counts[:size] += np.bincount(places, minlength=size)
        units = np.floor(known * UNITS + 0.5)
        # Whole numbers below 2^53 add up exactly in any order.
        self.sums[:size] += np.bincount(places, weights=units, minlength=size).astype(np.int64)

    def median(self) -> float:
        """Return the mean of the cell that holds the median."""
        place = int(np.searchsorted(np.cumsum(self.counts), (self.counts.sum() + 1) // 2))
        return round_significant(float(self.sums[place] / self.counts[place] / UNITS))


@dataclass(frozen=True, slots=True)
class Summed:
    """Hold what is to be known of customers beside their sums."""

    used: int
    no_purchases: int
    no_incomes: tuple[Floats, Floats]
    """Ages and purchases of those without an Income."""
    drawn: Columns
    """Of those whose hash is low."""
    hashes: Integers
    """Of the same."""


_DRAWN_ROW: Final = np.dtype([(AGE, "f8"), (INCOME, "f8"), (PURCHASES, "f8"), ("hash", "i8")])
DRAWN_BYTES: Final = _DRAWN_ROW.itemsize
"""Of one customer who was drawn, as the kernel returns it."""

UNUSUAL_ROW: Final = np.dtype([("record", "i8"), ("kind", "i8")])
"""As the kernel returns it."""


def read_drawn(drawn: bytes) -> npt.NDArray[np.void]:
    """Return who was drawn, as the kernel tells it: a record each with Age, Income, Purchases and hash."""
    return np.frombuffer(drawn, dtype=_DRAWN_ROW)


def read_summed(drawn: bytes, no_incomes: bytes, *, used: int, no_purchases: int) -> Summed:
    """Return what the kernel tells of customers that it has added up."""
    rows = read_drawn(drawn)
    ages, purchases = np.frombuffer(no_incomes, dtype=np.float64).reshape(-1, 2).T
    return Summed(
        used=used,
        no_purchases=no_purchases,
        no_incomes=(ages, purchases),
        drawn=(rows[AGE], rows[INCOME], rows[PURCHASES]),
        hashes=rows["hash"],
    )


class Sums(Protocol):
    """Add up customers, in any order and in pieces of any size."""

    def add(self, columns: Columns, *, make_cells: Callable[[], Cells] | None = None) -> Integers:
        """Add usable customers, and return the hash of each.

        Args:
            columns: A missing Income is NaN; who has none is in no cell and no step.
            make_cells: An engine's way to sum up the same customers.
        """

    def finish(self) -> tuple[Cells, Incomes]:
        """Return all who have an Income."""


class ArrowSums:
    """Add up customers by numpy and pyarrow, which are always there."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._incomes = Incomes()
        self._parts: list[Cells] = []
        self._pending: list[Columns] = []

    def add(self, columns: Columns, *, make_cells: Callable[[], Cells] | None = None) -> Integers:
        """Add usable customers."""
        hashes = hash_customers(*columns)
        known = ~np.isnan(columns[1])
        ages, incomes, purchases = columns if known.all() else (column[known] for column in columns)
        self._incomes.add(incomes)
        if make_cells is None:
            self._pending.append((ages, incomes, purchases))
            if sum(len(part[0]) for part in self._pending) >= _PENDING:
                self._summarise()
        else:
            self._parts.append(make_cells())
        if len(self._parts) >= _PARTS:
            self._parts = [Cells.join(self._parts)]
        return hashes

    def add_summed(self, cells: Cells, incomes: pa.Table) -> None:
        """Add customers that an engine has summed up elsewhere.

        Args:
            cells: Of those with an Income.
            incomes: `place` of each step of Income, `n` customers and the sum of their `units`.
        """
        self._parts.append(cells)
        places = incomes["place"].to_numpy()
        self._incomes.counts[places] += incomes["n"].to_numpy()
        self._incomes.sums[places] += incomes["units"].to_numpy()

    def _summarise(self) -> None:
        ages, incomes, purchases = (np.concatenate(columns) for columns in zip(*self._pending, strict=True))
        self._parts.append(Cells.of_records(ages, incomes, purchases, np.ones(len(ages), dtype=np.int64)))
        self._pending = []

    def finish(self) -> tuple[Cells, Incomes]:
        """Return all who have an Income."""
        if self._pending:
            self._summarise()
        self._parts = [Cells.join(self._parts)] if self._parts else [Cells.of()]
        return self._parts[0], self._incomes


class KernelSums:
    """Add up customers by the compiled kernel, in one pass."""

    def __init__(self, extension: Any, *, threads: int = 1) -> None:
        """Begin with nobody.

        Args:
            extension: The kernel.
            threads: How many may add beside whoever calls `add`.
        """
        self.extension = extension
        self._own = extension.Sums()
        self.compiled: Sequence[Any] = [extension.Sums() for _ in range(threads)]
        """What the extension itself may add to, one a thread; whole numbers add up to the same."""

    def add(self, columns: Columns, *, make_cells: Callable[[], Cells] | None = None) -> Integers:
        """Add usable customers."""
        del make_cells
        hashes = np.empty(len(columns[0]), dtype=np.int64)
        self._own.add(*map(np.ascontiguousarray, columns), hashes)
        return hashes

    def blame(self, kinds: Integers, order: Sequence[str]) -> Integers:
        """Return which of the sources is empty in rows that lack Age or Purchases.

        Args:
            kinds: Of these rows, as the kernel tells them.
            order: Targets of the sources.
        """
        is_age = kinds == self.extension.NO_AGE
        return np.where(is_age, order.index(AGE), order.index(PURCHASES))

    def finish(self) -> tuple[Cells, Incomes]:
        """Return all who have an Income."""
        everyone = [self._own, *self.compiled]
        parts = [_as_integers(one.cells()).reshape(-1, 8) for one in everyone]
        counts, sums = zip(*(map(_as_integers, one.incomes()) for one in everyone), strict=True)
        return (
            Cells.join([Cells(rows[:, 0], rows[:, 1:]) for rows in parts]),
            Incomes(np.sum(counts, axis=0), np.sum(sums, axis=0)),
        )


def make_sums(extension: Any) -> Sums:
    """Return the faster way; the sums are the same."""
    if extension is None:
        return ArrowSums()
    return KernelSums(extension, threads=min(os.cpu_count() or 1, _MOST_THREADS))


def _as_integers(numbers: bytes) -> Integers:
    return np.frombuffer(numbers, dtype=np.int64)
