"""Score a large Parquet file by polars, which reads and writes on all cores; the arithmetic stays numpy's.

polars divides by a number through its reciprocal and rounds decimals in its own way, so that its expressions
would miss the last bit of some figures. What it calls instead, for about 100,000 rows at a time, does what is
done for small files, and hands the rows that are not plain to the usual rules.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet

from service.features import AGE, INCOME, PURCHASES, spending_powers
from service.model import SegmentModel
from service.training.blocks import is_plain_file
from service.training.cells import Floats
from service.training.customers import CustomerReader
from service.training.judging import evaluate
from service.training.nearness import find_nearest
from service.training.notes import PLAIN_NOTES, note_codes
from service.training.source import RawBatch

_ADDED: Final = {
    "segment": pl.Int32,
    "segment_name": pl.String,
    "confidence": pl.Float64,
    "outlier": pl.Boolean,
    "border": pl.Boolean,
    "previous_segment": pl.Int32,
    "changed": pl.Boolean,
    "note": pl.String,
}
_FLAGS: Final = {"is_usable": pl.Boolean, "is_blank": pl.Boolean}
_SCORED: Final = "\0scored"


@dataclass(slots=True)
class Counts:
    """Hold what became of the records."""

    sizes: npt.NDArray[np.int64]
    """Customers of each segment, in the order of the model's segments."""
    unusable: int = 0
    changed: int = 0


def is_rapid(reader: CustomerReader) -> bool:
    """Tell whether polars reads a file as it is, and writes each of its columns as it was."""
    file = reader.file
    if file.format != "parquet" or not is_plain_file(reader) or len(set(file.columns)) < len(file.columns):
        return False
    schema = pyarrow.parquet.read_metadata(file.path).schema
    physical = {schema.column(place).physical_type for place in range(len(schema))}
    return "INT96" not in physical and all(_is_kept(kind) for kind in file.types)


def score_rapidly(
    reader: CustomerReader,
    target: Path,
    *,
    model: SegmentModel,
    previous: SegmentModel | None,
    version: str,
    schema: pa.Schema,
    on_progress: Callable[[int, int], None],
) -> Counts:
    """Write the file with the added columns, the last ones of `schema`.

    Raises:
        DatasetError: It holds no records.
        polars.exceptions.PolarsError: It cannot be read or written.
        OSError: The same.
    """
    scorer = _Scorer(reader, model=model, previous=previous, on_progress=on_progress)
    own = list(reader.file.columns)
    kinds = pl.Struct({**_ADDED, **_FLAGS})
    scored = pl.struct(own).map_batches(scorer.score, return_dtype=kinds, is_elementwise=True)
    query = pl.scan_parquet(reader.file.path, glob=False).with_columns(scored.alias(_SCORED))
    query = query.filter(~_field("is_blank"))
    added = {name: _field(name) for name in _ADDED}
    added["model_version"] = pl.when(_field("is_usable")).then(pl.lit(version))
    names = schema.names[len(own) :]
    order = [*list(_ADDED)[:-1], "model_version", "note"]
    query = query.select(*own, *(added[name].alias(alias) for name, alias in zip(order, names, strict=True)))
    query.sink_parquet(
        target,
        compression="snappy",
        # The types as they were: polars would make large_string of string.
        metadata={"ARROW:schema": _arrow_schema(schema)},
        engine="streaming",
    )
    reader.check_not_empty()
    return scorer.counts


class _Scorer:
    """Score rows on any of polars' threads, and count what became of them."""

    def __init__(
        self,
        reader: CustomerReader,
        *,
        model: SegmentModel,
        previous: SegmentModel | None,
        on_progress: Callable[[int, int], None],
    ) -> None:
        self._reader, self._model, self._previous = reader, model, previous
        self._on_progress = on_progress
        self._lock = Lock()
        self._done = 0
        with pyarrow.parquet.ParquetFile(reader.file.path) as source:
            self._total = max(source.metadata.num_rows, 1)
        self._names = pl.Series([segment.name for segment in model.segments], dtype=pl.String)
        self._limits = np.array([segment.outlier_distance for segment in model.segments])
        self._ids = np.array(model.ids, dtype=np.int32)
        self.counts = Counts(np.zeros(len(model.segments), dtype=np.int64))

    def score(self, rows: pl.Series) -> pl.Series:
        """Return the added columns of some rows, without those that hold one value throughout."""
        frame = rows.struct.unnest()
        batch = self._read(frame)
        usable = batch.is_usable
        near = find_nearest(batch.features(self._model), self._model.partition)
        segments = self._ids[near.positions]
        before = None if self._previous is None else self._previous.label(batch.features(self._previous))
        changed = None if before is None else before != segments
        self._count(batch, near.positions, changed)
        columns = {
            "segment": segments,
            "segment_name": self._names.gather(near.positions),
            "confidence": near.confidences,
            "outlier": near.distances > self._limits[near.positions],
            "border": near.second_distances < self._model.border_ratio * near.distances,
            "previous_segment": before,
            "changed": changed,
        }
        full = pl.DataFrame(
            [
                pl.Series(name, [None], dtype=_ADDED[name]).new_from_index(0, len(frame))
                if column is None
                else pl.Series(name, column, dtype=_ADDED[name])
                for name, column in columns.items()
            ]
        )
        if not usable.all():
            full = full.select(pl.when(pl.Series(usable)).then(pl.all()))
        return full.with_columns(
            batch.notes.alias("note"), is_usable=pl.Series(usable), is_blank=pl.Series(batch.is_blank)
        ).to_struct("")

    def _read(self, frame: pl.DataFrame) -> "_Batch":
        """Read plain rows at once, and all others by the usual rules."""
        size = len(frame)
        values, is_good, is_empty = {}, {}, np.zeros(size, dtype=np.bool_)
        for source in self._reader.sources:
            series = [frame.to_series(place).cast(pl.Float64, strict=False) for place in source.positions]
            columns = [one.fill_null(np.nan).to_numpy() for one in series]
            values[source.target], is_good[source.target] = evaluate(source, columns, size=size)
            if source.target == INCOME and source.expression.is_column:
                is_empty = frame.to_series(source.positions[0]).is_null().to_numpy()
        is_usable = is_good[AGE] & (is_good[INCOME] | is_empty) & is_good[PURCHASES]
        is_blank = np.zeros(size, dtype=np.bool_)
        codes = note_codes(values[INCOME], values[PURCHASES])
        notes = list(PLAIN_NOTES)
        odd = np.flatnonzero(~is_usable)
        if len(odd):
            values = {name: column.copy() for name, column in values.items()}
            codes[odd] = 0
            for column in values.values():
                column[odd] = 0.0
            is_blank[odd] = True
            with self._lock:
                judged = list(self._reader.judge(RawBatch(_to_arrow(frame[odd]), odd)))
            for batch in judged:
                is_blank[batch.records] = False
                good = batch.records[batch.is_usable]
                is_usable[good] = True
                values[AGE][good] = batch.ages[batch.is_usable]
                values[INCOME][good] = batch.incomes[batch.is_usable]
                values[PURCHASES][good] = batch.purchases[batch.is_usable]
                codes[good] = note_codes(values[INCOME][good], values[PURCHASES][good])
                reasons, places = np.unique(batch.reasons[~batch.is_usable].astype(str), return_inverse=True)
                codes[batch.records[~batch.is_usable]] = len(notes) + places
                notes += reasons.tolist()
        return _Batch(
            ages=values[AGE],
            incomes=values[INCOME],
            purchases=values[PURCHASES],
            is_usable=is_usable,
            is_blank=is_blank,
            notes=pl.Series(notes, dtype=pl.String).gather(codes),
            odd=len(odd),
        )

    def _count(
        self, batch: "_Batch", positions: npt.NDArray[np.int32], changed: npt.NDArray[np.bool_] | None
    ) -> None:
        usable = batch.is_usable
        sizes = np.bincount(positions[usable], minlength=len(self._ids))
        unusable = int((~usable & ~batch.is_blank).sum())
        switched = 0 if changed is None else int((changed & usable).sum())
        with self._lock:
            self._reader.count(len(usable) - batch.odd)
            self.counts.sizes += sizes
            self.counts.unusable += unusable
            self.counts.changed += switched
            self._done += len(usable)
            size_bytes = self._reader.file.size_bytes
            self._on_progress(size_bytes * self._done // self._total, size_bytes)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Hold rows that are read, in arrays of shape (n_rows,)."""

    ages: Floats
    """0 where the row is not usable, as in the next two."""
    incomes: Floats
    """NaN where a usable row has none."""
    purchases: Floats
    is_usable: npt.NDArray[np.bool_]
    is_blank: npt.NDArray[np.bool_]
    notes: pl.Series
    odd: int
    """Rows that were judged by the usual rules, and counted there."""

    def features(self, model: SegmentModel) -> npt.NDArray[np.float64]:
        """Return what a model takes of all rows, its own median for a missing Income."""
        incomes = np.where(np.isnan(self.incomes), model.income_median, self.incomes)
        return np.column_stack([self.ages, spending_powers(incomes, self.purchases)])


def _field(name: str) -> pl.Expr:
    return pl.col(_SCORED).struct.field(name)


def _to_arrow(frame: pl.DataFrame) -> pa.Table:
    """Return rows with text of the kind that Arrow's older functions take."""
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def _arrow_schema(schema: pa.Schema) -> str:
    """Return what pyarrow keeps in a Parquet file, to find the types again."""
    empty = io.BytesIO()
    pyarrow.parquet.ParquetWriter(empty, schema).close()
    kept: bytes = pyarrow.parquet.read_metadata(empty).metadata[b"ARROW:schema"]
    return kept.decode()


def _is_kept(kind: pa.DataType) -> bool:
    tests: Sequence[Callable[[pa.DataType], bool]] = (
        pa.types.is_integer,
        pa.types.is_float32,
        pa.types.is_float64,
        pa.types.is_boolean,
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_date32,
        pa.types.is_timestamp,
    )
    return any(test(kind) for test in tests)
