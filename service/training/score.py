"""Give every customer of a file a segment, in a stream: same columns, same order, nine more columns."""

import importlib.util
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from service.errors import ConfigurationError, DatasetError
from service.model import SegmentModel
from service.training.columns import locate_columns
from service.training.customers import CustomerBatch, CustomerReader, read_customers
from service.training.expression import fold_name
from service.training.intake import estimate_records
from service.training.notes import PLAIN_NOTES, note_codes
from service.training.table_file import PARQUET_ENDING, appear_whole, open_table_file
from service.training.vectors import model_features

_log = logging.getLogger(__name__)

SCORE_COLUMNS: Final[dict[str, pa.DataType]] = {
    "segment": pa.int32(),
    "segment_name": pa.string(),
    "confidence": pa.float64(),
    "outlier": pa.bool_(),
    "border": pa.bool_(),
    "previous_segment": pa.int32(),
    "changed": pa.bool_(),
    "model_version": pa.string(),
    "note": pa.string(),
}
"""Appended to the file's own columns."""

RAPID_ROWS: Final = 500_000
"""Of a Parquet file that polars is worth importing for."""

_MAX_LINES: Final = 11
"""Of ragged rows, whose lines are reported: one more than a person is shown."""


@dataclass(frozen=True, slots=True)
class Previous:
    """Say where a customer's previous segment comes from: an earlier model, or a column of the file."""

    model: SegmentModel | None = None
    column: str | None = None


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
    """Customers of each segment, in the order of the model's segments."""
    changed: int | None
    """Customers whose segment is not the previous one; None when no previous one is known of any."""
    columns: Mapping[str, str]
    """What stood for Age, Income and Purchases where it was no column of just that name."""


def score_file(  # noqa: PLR0913  # an option is an argument
    source: Path,
    target: Path,
    *,
    model: SegmentModel,
    version: str,
    mapping: dict[str, str],
    decimal: str,
    prefix: str,
    on_progress: Callable[[int, int], None],
    previous: Previous | None = None,
    trained: Mapping[str, str] | None = None,
    rapid_rows: int | None = RAPID_ROWS,
) -> ScoreReport:
    """Score one customer file; `target` appears whole or not at all.

    Args:
        source: CSV or Parquet.
        target: Parquet when it ends in .parquet, else CSV with the delimiter of `source`.
        model: Assigns the records.
        version: Its version, which stands in every scored row.
        mapping: Expressions for Age, Income and Purchases where a column of that name will not do.
        decimal: What stands before the fraction in text, "." or ",".
        prefix: Stands before the names of the added columns.
        on_progress: Called with the bytes read and all bytes.
        previous: Where the previous segments come from; None leaves their columns empty.
        trained: The expressions of the training data, for what neither the file nor the mapping has.
        rapid_rows: A Parquet file of so many is scored by polars where that is installed; the result is the
            same. None leaves polars alone.

    Raises:
        ConfigurationError: A column of that name is there already, or an option is not accepted.
        DatasetError: A file cannot be read or written.
    """
    reader = read_customers(source, mapping=mapping, decimal=decimal, trained=trained)
    names = tuple(prefix + name for name in SCORE_COLUMNS)
    _check_names(names, reader)
    scorer = _Scorer(model, version=version, previous=previous or Previous(), reader=reader)
    own = zip(reader.file.columns, reader.file.types, strict=True)
    schema = pa.schema([*own, *zip(names, SCORE_COLUMNS.values(), strict=True)])
    if rapid_rows is not None and _is_for_polars(reader, target, previous, rows=rapid_rows):
        report = _score_rapidly(
            reader,
            target,
            model=model,
            version=version,
            previous=None if previous is None else previous.model,
            schema=schema,
            on_progress=on_progress,
        )
        if report is not None:
            return report
        # What polars could not do the usual way can, or says in its words why not.
        reader = read_customers(source, mapping=mapping, decimal=decimal, trained=trained)
        scorer = _Scorer(model, version=version, previous=previous or Previous(), reader=reader)
    with open_table_file(target, schema, delimiter=reader.file.delimiter or ",") as file:
        for batch in reader.batches():
            table = batch.table
            for name, column in zip(names, scorer.score(batch), strict=True):
                table = table.append_column(name, column)
            file.write(table)
            on_progress(reader.file.done_bytes, reader.file.size_bytes)
    return scorer.report()


def _is_for_polars(reader: CustomerReader, target: Path, previous: Previous | None, *, rows: int) -> bool:
    """Tell whether polars is there and can do it: Parquet to Parquet, no segments to read."""
    if target.suffix.lower() != PARQUET_ENDING or (previous is not None and previous.column is not None):
        return False
    if reader.file.format != "parquet" or estimate_records(reader.file.path) < rows:
        return False
    if importlib.util.find_spec("polars") is None:
        return False
    from service.training.rapid import is_rapid  # noqa: PLC0415  # polars is optional

    return is_rapid(reader)


def _score_rapidly(
    reader: CustomerReader,
    target: Path,
    *,
    model: SegmentModel,
    version: str,
    previous: SegmentModel | None,
    schema: pa.Schema,
    on_progress: Callable[[int, int], None],
) -> ScoreReport | None:
    """Score by polars; None where it gives up."""
    import polars as pl  # noqa: PLC0415  # it is optional

    from service.training.rapid import score_rapidly  # noqa: PLC0415  # polars is optional

    try:
        with appear_whole(target) as partial:
            counts = score_rapidly(
                reader,
                partial,
                model=model,
                previous=previous,
                version=version,
                schema=schema,
                on_progress=on_progress,
            )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, DatasetError) as exc:
        _log.info("polars gave up scoring, reading the file again without it error=%s", type(exc).__name__)
        return None
    return ScoreReport(
        scored=int(counts.sizes.sum()),
        unusable=counts.unusable,
        ragged=0,
        ragged_lines=(),
        blank=reader.report.blank,
        sizes=tuple(counts.sizes.tolist()),
        changed=counts.changed if previous is not None and counts.sizes.any() else None,
        columns=reader.renamed,
    )


class _Scorer:
    """Score batches, and count what became of their records."""

    def __init__(
        self, model: SegmentModel, *, version: str, previous: Previous, reader: CustomerReader
    ) -> None:
        self._model, self._version, self._previous, self._reader = model, version, previous, reader
        self._column = _find_column(previous.column, reader)
        self._names = np.array([segment.name for segment in model.segments], dtype=np.object_)
        self._sizes = np.zeros(len(model.segments), dtype=np.int64)
        self._unusable = self._ragged = self._changed = self._known = 0
        self._ragged_records: list[int] = []

    def score(self, batch: CustomerBatch) -> Iterable[pa.Array]:
        """Return the added columns of a batch."""
        usable = batch.is_usable
        evidence = self._model.explain(model_features(batch, self._model))
        segments = evidence.clusters
        before, is_known = self._find_previous(batch)
        is_changed = is_known & (before != segments)
        self._count(batch, evidence.positions, is_changed, is_known)
        yield _spread(segments, usable, pa.int32())
        yield _spread(self._names[evidence.positions], usable, pa.string())
        yield _spread(evidence.confidences.round(4), usable, pa.float64())
        yield _spread(evidence.is_outlier, usable, pa.bool_())
        yield _spread(evidence.is_border, usable, pa.bool_())
        yield _spread(before[is_known], _among(usable, is_known), pa.int32())
        yield _spread(is_changed[is_known], _among(usable, is_known), pa.bool_())
        yield _spread(np.full(len(segments), self._version, dtype=np.object_), usable, pa.string())
        yield pa.array(_notes(batch), type=pa.string())

    def report(self) -> ScoreReport:
        """Return what became of all records."""
        self._drain_ragged()
        return ScoreReport(
            scored=int(self._sizes.sum()),
            unusable=self._unusable,
            ragged=self._ragged,
            ragged_lines=tuple(self._reader.file.line_numbers(self._ragged_records)),
            blank=self._reader.report.blank,
            sizes=tuple(self._sizes.tolist()),
            changed=self._changed if self._known else None,
            columns=self._reader.renamed,
        )

    def _count(
        self,
        batch: CustomerBatch,
        positions: npt.NDArray[np.int32],
        is_changed: npt.NDArray[np.bool_],
        is_known: npt.NDArray[np.bool_],
    ) -> None:
        self._sizes += np.bincount(positions, minlength=len(self._sizes))
        self._unusable += int((~batch.is_usable).sum())
        self._changed += int(is_changed.sum())
        self._known += int(is_known.sum())
        self._drain_ragged()

    def _drain_ragged(self) -> None:
        """Count the ragged rows and let them go, but for the first numbers: a file may be full of them."""
        ragged = self._reader.file.ragged
        self._ragged += len(ragged)
        self._ragged_records += [row.record for row in ragged[: _MAX_LINES - len(self._ragged_records)]]
        ragged.clear()

    def _find_previous(self, batch: CustomerBatch) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return the previous segment of each usable record, and for which of them there is one."""
        size = int(batch.is_usable.sum())
        if self._column is not None:
            return _read_ids(batch.table.column(self._column).filter(pa.array(batch.is_usable)), self._reader)
        if self._previous.model is None:
            return np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.bool_)
        vectors = model_features(batch, self._previous.model)
        return self._previous.model.label(vectors).astype(np.int64), np.ones(size, dtype=np.bool_)


def _find_column(name: str | None, reader: CustomerReader) -> int | None:
    if name is None:
        return None
    place = locate_columns(reader.file.columns, name=str(reader.file.path)).get(fold_name(name))
    if place is None:
        found = ", ".join(repr(column) for column in reader.file.columns)
        raise DatasetError(
            f"{reader.file.path} has no column {name!r} of previous segments. Its columns are {found}."
        )
    return place


def _read_ids(
    column: pa.ChunkedArray, reader: CustomerReader
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return a column of segment ids as numbers, and where it holds any."""
    texts = ["" if value is None else str(value).strip().removesuffix(".0") for value in column.to_pylist()]
    bad = next((text for text in texts if text and not (text.isascii() and text.isdigit())), None)
    if bad is not None:
        raise DatasetError(
            f"{reader.file.path}: the column of previous segments must hold segment ids, "
            "whole numbers from 0, or nothing"
        )
    is_known = np.array([bool(text) for text in texts], dtype=np.bool_)
    return np.array([int(text[:9]) if text else 0 for text in texts], dtype=np.int64), is_known


def _among(usable: npt.NDArray[np.bool_], is_known: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which of all rows are usable and known."""
    both = usable.copy()
    both[usable] = is_known
    return both


def _notes(batch: CustomerBatch) -> npt.NDArray[np.object_]:
    notes = batch.reasons.copy()
    plain = np.array(PLAIN_NOTES, dtype=np.object_)[note_codes(batch.incomes, batch.purchases)]
    notes[batch.is_usable] = plain[batch.is_usable]
    return notes


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
