"""Read new customers into the columns that the training data has."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from service.errors import DatasetError
from service.features import AGE, INCOME, PURCHASES, SPENDING_POWER, spending_powers
from service.model import SegmentModel
from service.training.customers import read_customers
from service.training.record import COLUMNS


def read_columns(
    path: Path,
    *,
    model: SegmentModel,
    mapping: Mapping[str, str],
    decimal: str,
    trained: Mapping[str, str] | None = None,
) -> tuple[dict[str, npt.NDArray[np.float64]], int]:
    """Return the usable customers of a file by column, and the number of the others.

    A missing Income is the median of the training data.

    Raises:
        ConfigurationError: The mapping or the decimal sign is not accepted.
        DatasetError: It cannot be read, or none of its customers can be used.
    """
    columns: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in COLUMNS}
    unusable = 0
    reader = read_customers(path, mapping=mapping, decimal=decimal, trained=trained)
    for batch in reader.batches():
        usable = batch.is_usable
        incomes = np.where(np.isnan(batch.incomes), model.income_median, batch.incomes)[usable]
        purchases = batch.purchases[usable]
        columns[AGE].append(batch.ages[usable])
        columns[INCOME].append(incomes)
        columns[PURCHASES].append(purchases)
        columns[SPENDING_POWER].append(spending_powers(incomes, purchases))
        unusable += int((~usable).sum()) + len(reader.file.ragged)
        reader.file.ragged.clear()
    whole = {name: np.concatenate(parts) for name, parts in columns.items()}
    if not len(whole[AGE]):
        raise DatasetError(
            f"none of the {unusable:,} records of {path} can be used; 'segserve score' says why for each"
        )
    return whole, unusable
