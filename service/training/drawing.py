"""Draw real customers from any number of them in one pass, the same ones whatever the engine and the order.

Who is drawn follows from the customer's own numbers: those whose hash is lowest. The hash is plain integer
arithmetic, so that an engine can do it in SQL:

    m = 2^31 - 1
    f(x) = floor(least(x, 2^38) * 1024) & m
    h = (f(Age) * 1103515245 + f(Income) * 1812433253 + f(Purchases) * 1664525) % m
    h = h * h % m * 48271 % m, twice;                       a missing Income has f = m
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from service.features import AGE, INCOME, PURCHASES
from service.training.attributes import UNKNOWN, Attribute, encode_values
from service.training.cells import LARGEST, Floats, Integers

DRAWN: Final = 32_768
"""Different customers that are kept."""

EXPANDED: Final = 65_536
"""Records that they stand for at most, where many customers are alike."""

PRIME: Final = 2**31 - 1
KEEP_VALUES: Final = 1_000
"""A column with more values among those drawn is not kept further; in the end far fewer may be left."""

_NUMBERS: Final = (AGE, INCOME, PURCHASES)

Take = Callable[[Integers], Mapping[str, pa.Array]]
"""Returns the text of each dropped column, by folded name, at these positions."""


class Drawing:
    """Keep the customers of the lowest hashes, each with what stands in the dropped columns."""

    def __init__(self, columns: Mapping[str, str]) -> None:
        """Name the dropped columns: how they are spelled, by folded name."""
        self._columns = dict(columns)
        self._below = PRIME
        self._parts: list[pa.Table] = []
        self._rows = 0

    @property
    def columns(self) -> Sequence[str]:
        """Return the folded names of the columns that are still kept."""
        return tuple(self._columns)

    @property
    def below(self) -> int:
        """Return the hash from which on nobody is drawn any more."""
        return self._below

    def add(self, ages: Floats, incomes: Floats, purchases: Floats, *, hashes: Integers, take: Take) -> None:
        """Draw from usable customers, shape (n_samples,); a missing Income is NaN."""
        drawn = np.flatnonzero(hashes < self._below)
        if len(drawn) > 4 * DRAWN and (limit := find_limit(hashes[drawn])) is not None:
            self._below = limit
            drawn = np.flatnonzero(hashes < self._below)
        if not len(drawn):
            return
        texts = take(drawn)
        table = {
            "hash": pa.array(hashes[drawn]),
            AGE: pa.array(ages[drawn]),
            INCOME: pa.array(incomes[drawn], from_pandas=True),
            PURCHASES: pa.array(purchases[drawn]),
            "n": pa.array(np.ones(len(drawn), dtype=np.int64)),
        }
        for name in self._columns:
            found = texts.get(name)
            table[_key(name)] = (
                pa.nulls(len(drawn), pa.string()) if found is None else found.cast(pa.string())
            )
        self._parts.append(pa.table(table))
        self._rows += len(drawn)
        if self._rows > 4 * DRAWN:
            self._cut()
            if self._rows > 2 * DRAWN:
                self._compact()

    def add_counted(self, table: pa.Table) -> None:
        """Draw from customers that were hashed and counted elsewhere.

        Args:
            table: hash, Age, Income, Purchases, `n` and the text of each kept column, named by `_key`.
        """
        if table.num_rows:
            self._parts.append(table)
            self._rows += table.num_rows

    def _cut(self) -> None:
        """Let go of the highest hashes."""
        limit = find_limit(np.concatenate([part["hash"].to_numpy() for part in self._parts]))
        if limit is not None:
            self._below = limit
            self._parts = [part.filter(pc.less(part["hash"], limit)) for part in self._parts]
            self._rows = sum(part.num_rows for part in self._parts)
        self._drop_columns()

    def _drop_columns(self) -> None:
        """Keep no column with too many values."""
        for name in list(self._columns):
            key = _key(name)
            values = pa.concat_tables([part.select([key]) for part in self._parts])[key]
            if pc.count_distinct(values).as_py() > KEEP_VALUES:
                del self._columns[name]

    def _compact(self) -> None:
        """Join customers who are alike in all that is kept, and let go of the highest hashes."""
        if not self._parts:
            return
        self._drop_columns()
        keys = ["hash", *_NUMBERS, *(_key(name) for name in self._columns)]
        table = pa.concat_tables([part.select([*keys, "n"]) for part in self._parts]).combine_chunks()
        table = table.group_by(keys).aggregate([("n", "sum")]).rename_columns([*keys, "n"])
        if table.num_rows > DRAWN:
            hashes = np.sort(table["hash"].to_numpy())
            # All of the hash that does not fit as a whole go, so that the order does not matter.
            self._below = max(int(hashes[DRAWN]), int(hashes[0]) + 1)
            table = table.filter(pc.less(table["hash"], self._below))
        self._parts, self._rows = [table], table.num_rows

    def records(
        self, income: Callable[[], float]
    ) -> tuple[dict[str, Floats], npt.NDArray[np.bool_], tuple[Attribute, ...]]:
        """Return the customers drawn in an order of their own, where Income was missing, and their columns.

        Args:
            income: Returns what is taken where there is none; asked for late.
        """
        self._compact()
        keys = ["hash", *_NUMBERS, *(_key(name) for name in self._columns)]
        table = self._parts[0].sort_by([(name, "ascending") for name in keys])
        places = _expand(table["n"].to_numpy())
        table = table.take(pa.array(places))
        numbers = {name: table[name].to_numpy().astype(np.float64) for name in _NUMBERS}
        is_missing = np.isnan(numbers[INCOME])
        numbers[INCOME][is_missing] = income()
        attributes = []
        for name, column in self._columns.items():
            values: dict[str, int] = {}
            codes = encode_values(table[_key(name)], values)
            if codes is not None and values and (codes != UNKNOWN).any():
                attributes.append(Attribute(column, tuple(values), codes))
        return numbers, is_missing, tuple(attributes)


def hash_customers(ages: Floats, incomes: Floats, purchases: Floats) -> Integers:
    """Return a number from 0 to 2^31 - 2 for each customer, the same for equal ones."""
    mixed = (
        _fixed(ages) * 1_103_515_245 + _fixed(incomes) * 1_812_433_253 + _fixed(purchases) * 1_664_525
    ) % PRIME
    for _ in range(2):
        mixed = mixed * mixed % PRIME * 48_271 % PRIME
    return mixed


def find_limit(hashes: Integers) -> int | None:
    """Return the lowest hash that DRAWN different ones lie below, None where there are not so many."""
    # Among the lowest, most of which differ as a rule; looking through all takes ten times as long.
    lowest = np.partition(hashes, 2 * DRAWN)[: 2 * DRAWN]
    for some in (lowest, hashes):
        # `np.unique` hashes them, which takes ten times as long.
        ascending = np.sort(some)
        different = ascending[np.diff(ascending, prepend=-1) > 0]
        if len(different) > DRAWN:
            return int(different[DRAWN])
    return None


def _fixed(values: Floats) -> Integers:
    is_missing = np.isnan(values)
    fixed: Integers = (
        np.floor(np.minimum(np.where(is_missing, 0.0, values), LARGEST) * 1024).astype(np.int64) & PRIME
    )
    fixed[is_missing] = PRIME
    return fixed


def _expand(counts: Integers) -> Integers:
    """Repeat each row as often as it was there; where that is too much, every so many of all of them."""
    total = int(counts.sum())
    if total <= EXPANDED:
        return np.repeat(np.arange(len(counts)), counts)
    steps = (np.arange(EXPANDED, dtype=np.int64) * 2 + 1) * total // (2 * EXPANDED)
    return np.searchsorted(np.cumsum(counts), steps, side="right").astype(np.int64)


def _key(name: str) -> str:
    return f"column {name}"
