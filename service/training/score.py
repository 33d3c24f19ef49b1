"""Give every customer of a file a segment, in a stream: same columns, same order, six more columns."""

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet

from service.errors import ConfigurationError, DatasetError
from service.features import spending_powers
from service.model import SegmentModel
from service.training.customers import CustomerBatch, CustomerReader, read_customers
from service.training.expression import fold_name

SCORE_COLUMNS: Final = ("segment", "segment_name", "confidence", "outlier", "model_version", "note")
"""Appended to the file's own columns."""

_IMPUTED: Final = "Income taken as the median of the training data"
_NO_PURCHASE: Final = "no purchase, counted as one"


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """Hold what became of a file's records."""

    scored: int
    unusable: int
    """In the output without a segment, with the reason in its note."""
    ragged: int
    """Left out: they do not have the file's columns."""
    ragged_lines: tuple[int, ...]
    blank: int
    sizes: tuple[int, ...]
    """Customers of each segment."""


class _Writer(Protocol):
    """Write scored tables to one file."""

    def write(self, table: pa.Table) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def score_file(
    source: Path,
    target: Path,
    *,
    model: SegmentModel,
    version: str,
    mapping: dict[str, str],
    decimal: str,
    prefix: str,
    on_progress: Callable[[int, int], None],
) -> ScoreReport:
    """Score one customer file; `target` appears whole or not at all.

    Args:
        source: CSV or Parquet.
        target: Parquet when it ends in .parquet, else CSV with the delimiter of `source`.
        model: Assigns the records.
        version: Its version, which stands in every scored row.
        mapping: Expressions for Age, Income and Purchases where a column of that name will not do.
        decimal: What stands before the fraction in text, "." or ",".
        prefix: Stands before the names of the six columns.
        on_progress: Called with the bytes read and all bytes.

    Raises:
        ConfigurationError: A column of that name is there already, or an option is not accepted.
        DatasetError: A file cannot be read or written.
    """
    reader = read_customers(source, mapping=mapping, decimal=decimal)
    names = tuple(prefix + name for name in SCORE_COLUMNS)
    _check_names(names, reader)
    sizes = np.zeros(len(model.segments), dtype=np.int64)
    unusable = 0
    with _appearing(target) as partial, _open_writer(partial, target, reader, names) as writer:
        for batch in reader.batches():
            columns, positions = _score(batch, model=model, version=version)
            table = batch.table
            for name, column in zip(names, columns, strict=True):
                table = table.append_column(name, column)
            writer.write(table)
            sizes += np.bincount(positions, minlength=len(sizes))
            unusable += int((~batch.is_usable).sum())
            on_progress(reader.file.done_bytes, reader.file.size_bytes)
    report = reader.report
    ragged = [row.record for row in reader.file.ragged]
    return ScoreReport(
        scored=int(sizes.sum()),
        unusable=unusable,
        ragged=len(ragged),
        ragged_lines=tuple(reader.file.line_numbers(ragged)),
        blank=report.blank,
        sizes=tuple(sizes.tolist()),
    )


def _score(
    batch: CustomerBatch, *, model: SegmentModel, version: str
) -> tuple[list[pa.Array], npt.NDArray[np.int32]]:
    """Return the six columns of a batch, and where the segments of its usable rows stand in the model."""
    usable = batch.is_usable
    is_imputed = usable & np.isnan(batch.incomes)
    incomes = np.where(is_imputed, model.income_median, batch.incomes)[usable]
    powers = spending_powers(incomes, batch.purchases[usable])
    evidence = model.explain(np.column_stack([batch.ages[usable], powers]))
    segment_names = np.array([segment.name for segment in model.segments], dtype=np.object_)
    notes = batch.reasons.copy()
    notes[usable & (batch.purchases == 0)] = _NO_PURCHASE
    notes[is_imputed] = _IMPUTED
    notes[is_imputed & (batch.purchases == 0)] = f"{_IMPUTED}; {_NO_PURCHASE}"
    columns = [
        _spread(evidence.clusters, usable, pa.int32()),
        _spread(segment_names[evidence.positions], usable, pa.string()),
        _spread(evidence.confidences.round(4), usable, pa.float64()),
        _spread(evidence.is_outlier, usable, pa.bool_()),
        _spread(np.full(int(usable.sum()), version, dtype=np.object_), usable, pa.string()),
        pa.array(notes, type=pa.string()),
    ]
    return columns, evidence.positions


def _spread(values: npt.NDArray[Any], usable: npt.NDArray[np.bool_], kind: pa.DataType) -> pa.Array:
    """Put the values of usable rows in their places, nothing in the others."""
    spread = np.zeros(len(usable), dtype=values.dtype)
    spread[usable] = values
    return pa.array(spread, type=kind, mask=~usable)


def _check_names(names: Sequence[str], reader: CustomerReader) -> None:
    taken = {fold_name(column) for column in reader.file.columns}
    for name in names:
        if fold_name(name) in taken:
            raise ConfigurationError(
                f"{reader.file.path} has a column {name!r} already; choose other names "
                "with --prefix, for example --prefix new_"
            )


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """Give a temporary name that becomes `target` when all went well."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield partial
        partial.replace(target)
    except OSError as exc:
        raise DatasetError(f"{target} cannot be written: {exc.strerror or exc}") from exc
    finally:
        partial.unlink(missing_ok=True)


def _open_writer(partial: Path, target: Path, reader: CustomerReader, names: Sequence[str]) -> _Writer:
    if target.suffix != ".parquet":
        return _CsvWriter(
            partial, header=[*reader.file.columns, *names], delimiter=reader.file.delimiter or ","
        )
    fields = list(zip(reader.file.columns, reader.file.types, strict=True))
    kinds = (pa.int32(), pa.string(), pa.float64(), pa.bool_(), pa.string(), pa.string())
    writer: _Writer = pyarrow.parquet.ParquetWriter(
        partial, pa.schema([*fields, *zip(names, kinds, strict=True)])
    )
    return writer


class _CsvWriter:
    """Write text as it stood in the file, quoted only where it must be (Arrow's writer quotes all text)."""

    def __init__(self, path: Path, *, header: Sequence[str], delimiter: str) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._csv = csv.writer(self._file, delimiter=delimiter, lineterminator="\n")
        self._csv.writerow(header)

    def write(self, table: pa.Table) -> None:
        columns = [_text(column) for column in table.columns]
        self._csv.writerows(zip(*columns, strict=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _text(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_boolean(column.type):
        return [None if value is None else str(value).lower() for value in column.to_pylist()]
    values: list[Any] = column.to_pylist()
    return values
