"""Gather what the batches of customer files give: the records themselves, or their sums."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from service.errors import DatasetError
from service.training.attributes import AttributeTally
from service.training.cells import Cells, Floats, Integers
from service.training.census import Census, Counted
from service.training.customers import CustomerBatch
from service.training.drawing import Take
from service.training.expression import fold_name
from service.training.sums import Columns, Summed, Sums


class Tally(Protocol):
    """Take in batches, and say at the end what they held."""

    rejected: Counter[tuple[str, str]]
    """By reason and column."""

    @property
    def used(self) -> int:
        """Return the number of usable records."""

    def add(self, batch: CustomerBatch, *, positions: Mapping[str, int]) -> None:
        """Take in the usable rows of a batch.

        Args:
            batch: Some rows of a file.
            positions: Of the columns in it, by folded name.
        """

    def add_ids(self, ids: pa.ChunkedArray) -> None:
        """Take in the ids of usable records."""

    def count_duplicate_ids(self) -> int:
        """Count the rows that repeat an id; rows without one repeat nothing."""

    def finish(self) -> Counted:
        """Fill in what is missing, and return all.

        Raises:
            DatasetError: Nobody has an Income.
        """


class _Ids:
    """Keep the ids, to count those that are there twice."""

    def __init__(self) -> None:
        self.rejected: Counter[tuple[str, str]] = Counter()
        self._ids: list[pa.Array] = []

    def add_ids(self, ids: pa.ChunkedArray) -> None:
        self._ids.extend(pc.utf8_trim_whitespace(ids.cast(pa.string())).chunks)

    def count_duplicate_ids(self) -> int:
        ids = pa.chunked_array(self._ids, type=pa.string())
        ids = ids.filter(pc.fill_null(pc.greater(pc.utf8_length(ids), 0), fill_value=False))
        return len(ids) - int(pc.count_distinct(ids).as_py())


class RecordTally(_Ids):
    """Keep every usable record."""

    def __init__(self, columns: Sequence[str]) -> None:
        """Name the dropped columns."""
        super().__init__()
        self._attributes = AttributeTally(columns)
        self._batches: list[tuple[Floats, Floats, Floats]] = []
        self.used = 0

    def add(self, batch: CustomerBatch, *, positions: Mapping[str, int]) -> None:
        """Keep the usable rows of a batch."""
        usable = batch.is_usable
        self._attributes.add(batch.table, positions=positions, is_usable=usable)
        self._batches.append((batch.ages[usable], batch.incomes[usable], batch.purchases[usable]))
        self.used += int(usable.sum())

    def finish(self) -> Counted:
        """Fill in the median Income where there is none."""
        ages, incomes, purchases = (np.concatenate(columns) for columns in zip(*self._batches, strict=True))
        is_imputed = np.isnan(incomes)
        if is_imputed.all():
            raise DatasetError(
                f"None of the {len(ages)} usable records has an Income, so none can be filled in"
            )
        median = float(np.median(incomes[~is_imputed]))
        incomes[is_imputed] = median
        return Counted(
            cells=None,
            columns=(ages, incomes, purchases),
            is_income_imputed=is_imputed,
            attributes=self._attributes.attributes(),
            used=len(ages),
            income_imputed=int(is_imputed.sum()),
            income_median=median,
            no_purchases=int((purchases == 0).sum()),
        )


class CensusTally(_Ids):
    """Keep sums of all records, and a few of them."""

    def __init__(self, columns: Sequence[str], sums: Sums) -> None:
        """Name the dropped columns; of several spellings the first is shown."""
        super().__init__()
        spelled: dict[str, str] = {}
        for column in columns:
            spelled.setdefault(fold_name(column), column)
        self.census = Census(spelled, sums)

    @property
    def used(self) -> int:
        """Return the number of usable records."""
        return self.census.used

    def add(self, batch: CustomerBatch, *, positions: Mapping[str, int]) -> None:
        """Add up the usable rows of a batch."""
        usable = np.flatnonzero(batch.is_usable)
        self.add_plain(
            (batch.ages[usable], batch.incomes[usable], batch.purchases[usable]),
            rows=lambda places: batch.table.take(pa.array(usable[places])),
            positions=positions,
        )

    def add_plain(
        self,
        columns: Columns,
        *,
        rows: Callable[[Integers], pa.Table],
        positions: Mapping[str, int],
        make_cells: Callable[[], Cells] | None = None,
    ) -> None:
        """Add up usable customers.

        Args:
            columns: Ages, incomes and purchases.
            rows: Gives some of them as they stand in the file.
            positions: Of the columns there, by folded name.
            make_cells: An engine's way to sum up those who have an Income.
        """
        self.census.add(columns, take=self._taker(rows, positions=positions), make_cells=make_cells)

    def add_summed(
        self, summed: Summed, *, rows: Callable[[Integers], pa.Table], positions: Mapping[str, int]
    ) -> None:
        """Add usable customers who are in the sums already.

        Args:
            summed: What else is known of them.
            rows: Gives some of those who were drawn as they stand in the file.
            positions: Of the columns there, by folded name.
        """
        self.census.add_summed(summed, take=self._taker(rows, positions=positions))

    def _taker(self, rows: Callable[[Integers], pa.Table], *, positions: Mapping[str, int]) -> Take:
        def take(places: Integers) -> Mapping[str, pa.Array]:
            kept = [name for name in self.census.drawing.columns if name in positions]
            if not kept:
                return {}
            table = rows(places)
            texts = {name: as_text(table.column(positions[name])) for name in kept}
            return {name: text for name, text in texts.items() if text is not None}

        return take

    def finish(self) -> Counted:
        """Fill in the median Income where there is none."""
        return self.census.finish()


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return a column as text, None where it does not hold any."""
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        return None
    try:
        return pc.utf8_trim_whitespace(column.cast(pa.string()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
