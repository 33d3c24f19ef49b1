"""Compare two versions on a customer file, and keep those who switch."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from service.errors import ConfigurationError
from service.model import SegmentModel
from service.training.compare import Comparison, Migration
from service.training.customers import CustomerBatch, CustomerReader, read_customers
from service.training.expression import fold_name
from service.training.table_file import TableFile, open_table_file
from service.training.vectors import model_features

SWITCH_COLUMNS: Final = ("previous_segment", "previous_segment_name", "segment", "segment_name")
"""Appended to the file's own columns."""


@dataclass(frozen=True, slots=True)
class Source:
    """Hold a customer file and how to read it."""

    path: Path
    mapping: dict[str, str]
    decimal: str = "."
    trained: Mapping[str, str] | None = None
    """The expressions of the training data, for what neither the file nor the mapping has."""


def compare_on_file(
    source: Source,
    *,
    before: SegmentModel,
    after: SegmentModel,
    switchers: Path | None,
    on_progress: Callable[[int, int], None],
) -> tuple[Comparison, int]:
    """Return the comparison on the usable customers of a file, and the number of the others.

    Args:
        source: The customers.
        before: The older model.
        after: The newer one.
        switchers: File for the customers who switch, with their own columns and both segments.
        on_progress: Called with the bytes read and all bytes.

    Raises:
        ConfigurationError: The file has a column of a name that is to be added.
        DatasetError: A file cannot be read or written.
    """
    reader = read_customers(
        source.path, mapping=source.mapping, decimal=source.decimal, trained=source.trained
    )
    migration = Migration(before, after)
    unusable = 0
    with _open_switchers(switchers, reader) as file:
        for batch in reader.batches():
            usable = batch.is_usable
            unusable += int((~usable).sum())
            old, new = migration.add(model_features(batch, before), model_features(batch, after))
            if file is not None and (old != new).any():
                places = np.flatnonzero(usable)[old != new]
                file.write(_switched_rows(batch, places, before, after))
            on_progress(reader.file.done_bytes, reader.file.size_bytes)
            unusable += len(reader.file.ragged)
            reader.file.ragged.clear()
    return migration.compare(), unusable


def _switched_rows(
    batch: CustomerBatch, places: npt.NDArray[np.int64], before: SegmentModel, after: SegmentModel
) -> pa.Table:
    chosen = np.zeros(len(batch.is_usable), dtype=np.bool_)
    chosen[places] = True
    table = batch.table.filter(pa.array(chosen))
    among_usable = chosen[batch.is_usable]
    columns: list[pa.Array] = []
    for model in (before, after):
        labels = model.partition.assign(model_features(batch, model)[among_usable]).tolist()
        columns.append(pa.array([model.segments[label].id for label in labels], pa.int32()))
        columns.append(pa.array([model.segments[label].name for label in labels], pa.string()))
    for name, column in zip(SWITCH_COLUMNS, columns, strict=True):
        table = table.append_column(name, column)
    return table


@contextmanager
def _open_switchers(target: Path | None, reader: CustomerReader) -> Iterator[TableFile | None]:
    if target is None:
        with nullcontext():
            yield None
        return
    taken = {fold_name(column) for column in reader.file.columns}
    for name in SWITCH_COLUMNS:
        if fold_name(name) in taken:
            raise ConfigurationError(f"{reader.file.path} has a column {name!r} already; rename it")
    kinds = (pa.int32(), pa.string(), pa.int32(), pa.string())
    fields = [
        *zip(reader.file.columns, reader.file.types, strict=True),
        *zip(SWITCH_COLUMNS, kinds, strict=True),
    ]
    with open_table_file(target, pa.schema(fields), delimiter=reader.file.delimiter or ",") as file:
        yield file
