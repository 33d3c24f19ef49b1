"""Read customer files into the three columns that training needs, and account for every record."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from service.compiled import load_kernel
from service.errors import ConfigurationError, DatasetError
from service.settings import KernelUse
from service.training.attributes import Attribute
from service.training.cells import Cells
from service.training.columns import ColumnMap, locate_columns
from service.training.customers import CustomerReader
from service.training.dialect import FindEncoding, find_encoding
from service.training.expression import fold_name
from service.training.intake import Progress, estimate_records, take_in
from service.training.source import FileReport
from service.training.sums import make_sums
from service.training.tally import CensusTally, RecordTally, Tally

_MAX_REASONS: Final = 3
"""How many reasons a message gives when nothing can be used."""

LARGE_RECORDS: Final = 1_000_000
"""Up to here the records themselves are fitted."""


@dataclass(frozen=True, slots=True)
class Means:
    """Say what may read files, where it is installed; the result is the same with any of them."""

    kernel: KernelUse = KernelUse.AUTO
    polars: bool = True
    find_encoding: FindEncoding = find_encoding
    """Who may have looked at text files before."""


ALL_MEANS: Final = Means()


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
    """Hold the usable records, in arrays of shape (n_samples,), in the order of the files.

    With cells, those who were drawn, in an order of their own.
    """

    ages: npt.NDArray[np.float64]
    incomes: npt.NDArray[np.float64]
    """The median where there was none."""
    purchases: npt.NDArray[np.float64]
    is_income_imputed: npt.NDArray[np.bool_]
    report: DataReport
    attributes: tuple[Attribute, ...] = ()
    """Columns that are no input and sort customers into a few kinds."""
    cells: Cells | None = None
    """All usable records, where they are so many that the arrays hold only some; see `LARGE_RECORDS`."""


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
    large: int = LARGE_RECORDS,
    means: Means = ALL_MEANS,
) -> Dataset:
    """Read all files as one data set; missing incomes become the median of the others.

    Args:
        paths: CSV and Parquet files, which may spell the columns differently.
        mapping: Expressions for Age, Income and Purchases where a column of that name will not do.
        rejects_path: Where the records go that cannot be used; written only when there are any.
        id_column: The column that tells customers apart, to count those who are there twice.
        decimal: What stands before the fraction in text, "." or ",".
        on_progress: Called after every batch.
        large: Above so many usable records they are summed up in cells, and only some are kept.
        means: What may read the files; the result is the same.

    Raises:
        ConfigurationError: An option is not accepted, or the kernel must be used and cannot be.
        DatasetError: A file cannot be read or lacks a column, no record can be used, or none has an Income.
    """
    if not paths:
        raise ConfigurationError("No customer files were given; at least one CSV or Parquet file is needed")
    column_map = ColumnMap(mapping, decimal=decimal)
    extension, _ = load_kernel(means.kernel)

    def read(*, is_large: bool) -> Dataset:
        readers = [
            CustomerReader(path, columns=column_map, find_encoding=means.find_encoding) for path in paths
        ]
        ignored = list_ignored(readers, id_column=id_column)
        tally = CensusTally(ignored, make_sums(extension)) if is_large else RecordTally(ignored)
        take_in(
            readers,
            tally,
            id_positions=[_find_id(reader, id_column=id_column) for reader in readers],
            rejects_path=rejects_path,
            use_polars=means.polars,
            on_progress=on_progress,
        )
        return finish(tally, readers=readers, id_column=id_column, rejects_path=rejects_path)

    guess = is_large(paths, large=large)
    dataset = read(is_large=guess)
    if (dataset.report.used > large) is not guess:
        dataset = read(is_large=not guess)
    return dataset


def is_large(paths: Sequence[Path], *, large: int = LARGE_RECORDS) -> bool:
    """Tell whether files seem to have so many records that these are summed up in cells."""
    return sum(estimate_records(path) for path in paths) > large


def finish(
    tally: Tally, *, readers: Sequence[CustomerReader], id_column: str | None, rejects_path: Path
) -> Dataset:
    """Return what was gathered as a data set.

    Raises:
        DatasetError: No record can be used, or none has an Income.
    """
    if not tally.used:
        raise DatasetError(_explain_rejects(tally.rejected, rejects_path=rejects_path))
    taken = tally.finish()
    by_reason: Counter[str] = Counter()
    for (reason, _), count in tally.rejected.items():
        by_reason[reason] += count
    files = tuple(reader.report for reader in readers)
    report = DataReport(
        files=files,
        read=sum(file.records for file in files),
        blank=sum(file.blank for file in files),
        used=taken.used,
        rejected=by_reason.total(),
        rejected_by_reason=dict(by_reason.most_common()),
        income_imputed=taken.income_imputed,
        income_median=taken.income_median,
        no_purchases=taken.no_purchases,
        duplicate_ids=None if id_column is None else tally.count_duplicate_ids(),
        columns=_list_sources(readers),
        ignored_columns=list_ignored(readers, id_column=id_column),
    )
    return Dataset(*taken.columns, taken.is_income_imputed, report, taken.attributes, taken.cells)


def _find_id(reader: CustomerReader, *, id_column: str | None) -> int | None:
    if id_column is None:
        return None
    file = reader.file
    position = locate_columns(file.columns, name=str(file.path)).get(fold_name(id_column))
    if position is None:
        found = ", ".join(repr(column) for column in file.columns)
        raise DatasetError(f"{file.path} has no id column {id_column!r}. Its columns are {found}.")
    return position


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


def list_ignored(readers: Sequence[CustomerReader], *, id_column: str | None) -> tuple[str, ...]:
    """Return the columns that are neither an input nor the id, as they are spelled first."""
    ignored: dict[str, None] = {}
    for reader in readers:
        used = {fold_name(column) for source in reader.sources for column in source.columns}
        used.add(fold_name(id_column or ""))
        ignored.update(dict.fromkeys(c for c in reader.file.columns if fold_name(c) not in used))
    return tuple(ignored)
