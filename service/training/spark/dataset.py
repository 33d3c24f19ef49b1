"""Read customers by Spark into the data set that training takes, whatever their number."""

import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from service.errors import DatasetError
from service.training.columns import ColumnMap, locate_columns
from service.training.customers import CustomerReader
from service.training.dataset import LARGE_RECORDS, Dataset, finish, list_ignored
from service.training.expression import fold_name
from service.training.rejects import Reject, RejectsFile
from service.training.spark.files import open_files
from service.training.spark.judging import RAGGED, USABLE
from service.training.spark.reading import Part, read_parts
from service.training.spark.tally import SparkTally, explain

_STAGES: Final = 4


def read_by_spark(  # an option is an argument
    spark: Any,
    names: Sequence[str],
    *,
    mapping: Mapping[str, str],
    rejects_path: Path,
    id_column: str | None = None,
    decimal: str = ".",
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    large: int = LARGE_RECORDS,
) -> Dataset:
    """Read all files as one data set: what `read_dataset` does on one machine, with the same result.

    Args:
        spark: The session.
        names: Paths, folders, patterns, and addresses such as s3://.
        mapping: Expressions for Age, Income and Purchases where a column of that name will not do.
        rejects_path: Where the records go that cannot be used; written only when there are any.
        id_column: The column that tells customers apart, to count those who are there twice.
        decimal: What stands before the fraction in text, "." or ",".
        on_progress: Called after every stage.
        large: Above so many usable records they are summed up in cells, and only some are kept.

    Raises:
        ConfigurationError: An option is not accepted.
        DatasetError: A file cannot be read or lacks a column, no record can be used, or none has an Income.
    """
    parts = read_parts(spark, open_files(spark, names), columns=ColumnMap(mapping, decimal=decimal))
    for part in parts:
        if id_column is not None:
            _check_id(part, id_column)
    on_progress(1, _STAGES)
    # Judged once, and kept in memory as far as it fits, else on the executors' disks.
    rows = [_needed(part, id_column).persist() for part in parts]
    try:
        tally = SparkTally(parts, rows, id_column=id_column, large=large)
        readers = cast("list[CustomerReader]", tally.readers())
        for reader in readers:
            if not reader.report.records:
                raise DatasetError(f"{reader.report.name} has a header but no records")
        tally.ignored = list_ignored(readers, id_column=id_column)
        on_progress(2, _STAGES)
        _write_rejects(parts, rows, rejects_path)
        on_progress(3, _STAGES)
        dataset = finish(tally, readers=readers, id_column=id_column, rejects_path=rejects_path)
        on_progress(_STAGES, _STAGES)
        return dataset
    finally:
        for frame in rows:
            frame.unpersist()


def _check_id(part: Part, id_column: str) -> None:
    name = part.files[0].name
    if fold_name(id_column) not in locate_columns(part.layout.columns, name=name):
        found = ", ".join(repr(column) for column in part.layout.columns)
        raise DatasetError(f"{name} has no id column {id_column!r}. Its columns are {found}.")


def _needed(part: Part, id_column: str | None) -> Any:
    """Return the rows without the text that usable ones have been read from."""
    from pyspark.sql import functions as F  # noqa: N812, PLC0415

    read = {place for source in part.sources for place in source.positions}
    if id_column is not None:
        read.discard(locate_columns(part.layout.columns, name=part.files[0].name)[fold_name(id_column)])
    names = [part.names[place] for place in sorted(read)]
    return part.frame.withColumns({name: F.when(F.col("problem") != USABLE, F.col(name)) for name in names})


def _write_rejects(parts: Sequence[Part], rows: Sequence[Any], path: Path) -> None:
    """Write the rejects in the order of the files and their lines, a partition at a time."""
    files = {file.number: (file.name, part) for part in parts for file in part.files}
    columns = {name: part.layout.columns for _, (name, part) in sorted(files.items())}
    found = (
        frame.where(f"problem <> {USABLE} AND problem >= {RAGGED}")
        .orderBy("file", "record")
        .toLocalIterator()
        for frame in rows
    )
    in_order = heapq.merge(*found, key=lambda row: row.file)
    with RejectsFile(path, columns=columns) as rejects:
        for number, some in itertools.groupby(in_order, key=lambda row: row.file):
            name, part = files[number]
            rejects.add((_reject(row, part) for row in some), file=name)
        rejects.write()


def _reject(row: Any, part: Part) -> Reject:
    column, reason = explain(part, row.problem, row.width)
    fields = [] if row.problem == RAGGED else [_text(row[one]) for one in part.names]
    return Reject(row.record, column, reason, fields, row.text or "")


def _text(value: object) -> str:
    return "" if value is None else str(value)
