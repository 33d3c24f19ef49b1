"""Read customer files into the three columns that training needs, and account for every record."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from service.errors import ConfigurationError, DatasetError
from service.training.attributes import Attribute, AttributeTally
from service.training.customers import ColumnMap, CustomerBatch, CustomerReader, locate_columns
from service.training.expression import fold_name
from service.training.rejects import Reject, RejectsFile
from service.training.source import FileReport, RaggedRow

_MAX_REASONS: Final = 3
"""How many reasons a message gives when nothing can be used."""

Progress = Callable[[int, int], None]
"""Called with the bytes read so far and the bytes of all files."""


@dataclass(frozen=True, slots=True)
class DataReport:
    """Say what was read, used, rejected and filled in: read = used + rejected."""

    files: tuple[FileReport, ...]
    read: int
    """Records, without blank rows."""
    blank: int
    used: int
    rejected: int
    rejected_by_reason: Mapping[str, int]
    """The most frequent first."""
    income_imputed: int
    income_median: float
    no_purchases: int
    """Customers used although they have not bought anything."""
    duplicate_ids: int | None
    """Used records whose id was there before; None when no id column was named."""
    columns: Mapping[str, str]
    """What stands for Age, Income and Purchases where it is not a column of just that name."""
    ignored_columns: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the report in types that JSON knows."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Hold the usable records, in arrays of shape (n_samples,), in the order of the files."""

    ages: npt.NDArray[np.float64]
    incomes: npt.NDArray[np.float64]
    """The median where there was none."""
    purchases: npt.NDArray[np.float64]
    is_income_imputed: npt.NDArray[np.bool_]
    report: DataReport
    attributes: tuple[Attribute, ...] = ()
    """Columns that are no input and sort customers into a few kinds."""


@dataclass(slots=True)
class _Tally:
    """Gather what the batches give."""

    attributes: AttributeTally
    ages: list[npt.NDArray[np.float64]] = field(default_factory=list)
    incomes: list[npt.NDArray[np.float64]] = field(default_factory=list)
    purchases: list[npt.NDArray[np.float64]] = field(default_factory=list)
    ids: list[pa.Array] = field(default_factory=list)
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By reason and column."""

    def add(self, batch: CustomerBatch, *, positions: Mapping[str, int], id_position: int | None) -> None:
        """Keep the usable rows of a batch and count the others."""
        is_usable = batch.is_usable
        self.attributes.add(batch.table, positions=positions, is_usable=is_usable)
        self.ages.append(batch.ages[is_usable])
        self.incomes.append(batch.incomes[is_usable])
        self.purchases.append(batch.purchases[is_usable])
        if id_position is not None:
            ids = batch.table.column(id_position).filter(pa.array(is_usable)).cast(pa.string())
            self.ids.extend(pc.utf8_trim_whitespace(ids).chunks)

    def count_duplicate_ids(self) -> int:
        """Count the rows that repeat an id; rows without one repeat nothing."""
        ids = pa.chunked_array(self.ids, type=pa.string())
        ids = ids.filter(pc.fill_null(pc.greater(pc.utf8_length(ids), 0), fill_value=False))
        return len(ids) - int(pc.count_distinct(ids).as_py())


def _ignore(_done: int, _total: int) -> None:
    """Report progress to nobody."""


def read_dataset(
    paths: Sequence[Path],
    *,
    mapping: Mapping[str, str],
    rejects_path: Path,
    id_column: str | None = None,
    decimal: str = ".",
    on_progress: Progress = _ignore,
) -> Dataset:
    """Read all files as one data set; missing incomes become the median of the others.

    Args:
        paths: CSV and Parquet files, which may spell the columns differently.
        mapping: Expressions for Age, Income and Purchases where a column of that name will not do.
        rejects_path: Where the records go that cannot be used; written only when there are any.
        id_column: The column that tells customers apart, to count those who are there twice.
        decimal: What stands before the fraction in text, "." or ",".
        on_progress: Called after every batch.

    Raises:
        ConfigurationError: An option is not accepted.
        DatasetError: A file cannot be read or lacks a column, no record can be used, or none has an Income.
    """
    if not paths:
        raise ConfigurationError("No customer files were given; at least one CSV or Parquet file is needed")
    column_map = ColumnMap(mapping, decimal=decimal)
    readers = [CustomerReader(path, columns=column_map) for path in paths]
    id_positions = [_find_id(reader, id_column=id_column) for reader in readers]
    total = sum(reader.file.size_bytes for reader in readers)
    tally = _Tally(AttributeTally(_list_ignored(readers, id_column=id_column)))
    done = 0
    columns = {str(reader.file.path): reader.file.columns for reader in readers}
    with RejectsFile(rejects_path, columns=columns) as rejects:
        for reader, id_position in zip(readers, id_positions, strict=True):
            positions = locate_columns(reader.file.columns, name=str(reader.file.path))
            for batch in reader.batches():
                tally.add(batch, positions=positions, id_position=id_position)
                _reject(reader, batch, rejects=rejects, tally=tally)
                on_progress(done + reader.file.done_bytes, total)
            _reject(reader, None, rejects=rejects, tally=tally)
            done += reader.file.size_bytes
            on_progress(done, total)
        rejects.write()
    return _finish(tally, readers=readers, id_column=id_column, rejects_path=rejects_path)


def _finish(
    tally: _Tally, *, readers: Sequence[CustomerReader], id_column: str | None, rejects_path: Path
) -> Dataset:
    ages, incomes, purchases = (
        np.concatenate([np.empty(0), *parts]) for parts in (tally.ages, tally.incomes, tally.purchases)
    )
    if not len(ages):
        raise DatasetError(_explain_rejects(tally.rejected, rejects_path=rejects_path))
    is_imputed = np.isnan(incomes)
    if is_imputed.all():
        raise DatasetError(f"None of the {len(ages)} usable records has an Income, so none can be filled in")
    median = float(np.median(incomes[~is_imputed]))
    incomes[is_imputed] = median
    by_reason: Counter[str] = Counter()
    for (reason, _), count in tally.rejected.items():
        by_reason[reason] += count
    files = tuple(reader.report for reader in readers)
    report = DataReport(
        files=files,
        read=sum(file.records for file in files),
        blank=sum(file.blank for file in files),
        used=len(ages),
        rejected=by_reason.total(),
        rejected_by_reason=dict(by_reason.most_common()),
        income_imputed=int(is_imputed.sum()),
        income_median=median,
        no_purchases=int((purchases == 0).sum()),
        duplicate_ids=None if id_column is None else tally.count_duplicate_ids(),
        columns=_list_sources(readers),
        ignored_columns=_list_ignored(readers, id_column=id_column),
    )
    return Dataset(ages, incomes, purchases, is_imputed, report, tally.attributes.attributes())


def _find_id(reader: CustomerReader, *, id_column: str | None) -> int | None:
    if id_column is None:
        return None
    file = reader.file
    position = locate_columns(file.columns, name=str(file.path)).get(fold_name(id_column))
    if position is None:
        found = ", ".join(repr(column) for column in file.columns)
        raise DatasetError(f"{file.path} has no id column {id_column!r}. Its columns are {found}.")
    return position


def _reject(
    reader: CustomerReader, batch: CustomerBatch | None, *, rejects: RejectsFile, tally: _Tally
) -> None:
    """Hand over the rejects of a batch, and the ragged rows up to its end; without a batch, all of them."""
    file = reader.file
    found = {}
    last = None
    if batch is not None:
        last = int(batch.records[-1])
        bad = np.flatnonzero(~batch.is_usable)
        cells = [_texts(column) for column in batch.table.take(pa.array(bad)).columns]
        for position, *fields in zip(bad.tolist(), *cells, strict=True):
            reject = (str(batch.columns[position]), str(batch.reasons[position]), fields, "")
            found[int(batch.records[position])] = reject
    ragged = [row for row in file.ragged if last is None or row.record <= last]
    del file.ragged[: len(ragged)]
    for row in ragged:
        found[row.record] = ("", _explain_ragged(row), [], row.text)
    records = sorted(found)
    for record, line in zip(records, file.line_numbers(records), strict=True):
        column, reason, fields, unparsed = found[record]
        rejects.add(Reject(line, column, reason, fields, unparsed), file=str(file.path))
        tally.rejected[reason, column] += 1


def _explain_ragged(row: RaggedRow) -> str:
    return f"expected {row.expected} fields, found {row.actual}"


def _texts(column: pa.ChunkedArray) -> list[str]:
    return ["" if value is None else str(value) for value in column.to_pylist()]


def _explain_rejects(rejected: Counter[tuple[str, str]], *, rejects_path: Path) -> str:
    most = "; ".join(
        f"{reason} (column {column!r}, {count} records)" if column else f"{reason} ({count} records)"
        for (reason, column), count in rejected.most_common(_MAX_REASONS)
    )
    return (
        f"None of the {rejected.total()} records can be used: {most}. All of them are in {rejects_path}. "
        "Mend them, or name better columns with --map"
    )


def _list_sources(readers: Sequence[CustomerReader]) -> dict[str, str]:
    """Return what stands for each target; where files differ, the first that is not the plain name."""
    sources: dict[str, str] = {}
    for reader in readers:
        for target, text in reader.renamed.items():
            sources.setdefault(target, text)
    return sources


def _list_ignored(readers: Sequence[CustomerReader], *, id_column: str | None) -> tuple[str, ...]:
    ignored: dict[str, None] = {}
    for reader in readers:
        used = {fold_name(column) for source in reader.sources for column in source.columns}
        used.add(fold_name(id_column or ""))
        ignored.update(dict.fromkeys(c for c in reader.file.columns if fold_name(c) not in used))
    return tuple(ignored)
