"""Read customers by Spark into the data set that training takes, whatever their number."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from service.errors import DatasetError
from service.training.columns import ColumnMap, locate_columns
from service.training.customers import CustomerReader
from service.training.dataset import LARGE_RECORDS, Dataset, _finish, _list_ignored
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
    rows = [part.frame.persist() for part in parts]
    try:
        tally = SparkTally(parts, rows, id_column=id_column, large=large)
        readers = cast("list[CustomerReader]", tally.readers())
        for reader in readers:
            if not reader.report.records:
                raise DatasetError(f"{reader.report.name} has a header but no records")
        tally.ignored = _list_ignored(readers, id_column=id_column)
        on_progress(2, _STAGES)
        _write_rejects(parts, rows, rejects_path)
        on_progress(3, _STAGES)
        dataset = _finish(tally, readers=readers, id_column=id_column, rejects_path=rejects_path)
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


def _write_rejects(parts: Sequence[Part], rows: Sequence[Any], path: Path) -> None:
    """Write the rejects in the order of the files and their lines, a partition at a time."""
    names = {file.number: (file.name, part) for part in parts for file in part.files}
    columns = {name: part.layout.columns for _, (name, part) in sorted(names.items())}
    with RejectsFile(path, columns=columns) as rejects:
        for number, (name, part) in sorted(names.items()):
            frame = rows[parts.index(part)]
            bad = frame.where(f"file = {number} AND problem <> {USABLE} AND problem >= {RAGGED}")
            for row in bad.orderBy("record").toLocalIterator():
                column, reason = explain(part, row.problem, row.width)
                fields = [] if row.problem == RAGGED else [_text(row[one]) for one in part.names]
                rejects.add(Reject(row.record, column, reason, fields, row.text or ""), file=name)
        rejects.write()


def _text(value: object) -> str:
    return "" if value is None else str(value)
