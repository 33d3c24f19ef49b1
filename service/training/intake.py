"""Read customer files from end to end: usable records into a tally, all others into the file of rejects."""

import importlib.util
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from service.training.columns import locate_columns
from service.training.customers import CustomerBatch, CustomerReader
from service.training.rejects import Reject, RejectsFile, list_fields
from service.training.source import RaggedRow
from service.training.tally import CensusTally, Tally

_PEEK_BYTES: Final = 65_536

Progress = Callable[[int, int], None]
"""Called with the bytes read so far and the bytes of all files."""


def estimate_records(path: Path) -> int:
    """Return about how many records a file holds, from its first lines; 0 where it cannot be read."""
    try:
        with path.open("rb") as file:
            start = file.read(_PEEK_BYTES)
        if start.startswith(b"PAR1"):
            with pyarrow.parquet.ParquetFile(path) as source:
                return int(source.metadata.num_rows)
        return path.stat().st_size * start.count(b"\n") // max(len(start), 1)
    except (OSError, pa.ArrowException):
        return 0  # reading it says what is wrong


def take_in(
    readers: Sequence[CustomerReader],
    tally: Tally,
    *,
    id_positions: Sequence[int | None],
    rejects_path: Path,
    use_polars: bool,
    on_progress: Progress,
) -> None:
    """Read all files.

    Raises:
        DatasetError: A file cannot be read.
    """
    total = sum(reader.file.size_bytes for reader in readers)
    columns = {str(reader.file.path): reader.file.columns for reader in readers}
    is_fast = use_polars and isinstance(tally, CensusTally) and importlib.util.find_spec("polars") is not None
    done = 0
    with RejectsFile(rejects_path, columns=columns) as rejects:
        for reader, id_position in zip(readers, id_positions, strict=True):
            intake = Intake(reader, tally, rejects=rejects, id_position=id_position)

            def progress(before: int = done, reader: CustomerReader = reader) -> None:
                on_progress(before + reader.file.done_bytes, total)

            intake.read(is_fast=is_fast, on_progress=progress)
            done += reader.file.size_bytes
            on_progress(done, total)
        rejects.write()


class Intake:
    """Take in one file."""

    def __init__(
        self, reader: CustomerReader, tally: Tally, *, rejects: RejectsFile, id_position: int | None
    ) -> None:
        """Say where its records go."""
        self.reader = reader
        self.tally = tally
        self._rejects = rejects
        self.id_position = id_position
        self.found: list[Reject] = []
        """Rows that a fast reader rejects, in the order of the file, with their records for lines."""
        self.positions: Mapping[str, int] = locate_columns(reader.file.columns, name=str(reader.file.path))

    def read(self, *, is_fast: bool, on_progress: Callable[[], None]) -> None:
        """Read the file; by polars as far as its blocks are plain."""
        if is_fast:
            from service.training.fast import is_plain_file, read_plain  # noqa: PLC0415  # polars is optional

            if is_plain_file(self.reader):
                for _ in read_plain(self):
                    on_progress()
                self.reader.check_not_empty()
                return
        for batch in self.reader.batches():
            self.add(batch)
            on_progress()
        self.reject(None)

    def add(self, batch: CustomerBatch) -> None:
        """Take in a batch, and reject its bad rows."""
        self.tally.add(batch, positions=self.positions)
        if self.id_position is not None:
            self.tally.add_ids(batch.table.column(self.id_position).filter(pa.array(batch.is_usable)))
        self.reject(batch)

    def reject(self, batch: CustomerBatch | None) -> None:
        """Hand over the rejects of a batch and those found before its end; without one, all of them."""
        file = self.reader.file
        rejects = []
        last = None
        if batch is not None:
            last = int(batch.records[-1])
            rejects = _list_rejects(batch)
        ragged = [row for row in file.ragged if last is None or row.record <= last]
        del file.ragged[: len(ragged)]
        rejects += [Reject(row.record, "", _explain_ragged(row), unparsed=row.text) for row in ragged]
        found = len(self.found) if last is None else bisect_right(self.found, last, key=attrgetter("line"))
        rejects += self.found[:found]
        del self.found[:found]
        if not rejects:
            return
        rejects.sort(key=attrgetter("line"))
        if file.has_quotes:
            lines = file.line_numbers([reject.line for reject in rejects])
            rejects = [replace(reject, line=line) for reject, line in zip(rejects, lines, strict=True)]
        self._rejects.add(rejects, file=str(file.path))
        self.tally.rejected.update(Counter((reject.reason, reject.column) for reject in rejects))


def _list_rejects(batch: CustomerBatch) -> list[Reject]:
    """Return the bad rows of a batch, each with its record for a line."""
    bad = np.flatnonzero(~batch.is_usable)
    if not len(bad):
        return []
    fields = list_fields(batch.table.take(pa.array(bad)))
    return [
        Reject(*found)
        for found in zip(
            batch.records[bad].tolist(),
            batch.columns[bad].tolist(),
            batch.reasons[bad].tolist(),
            fields,
            strict=True,
        )
    ]


def _explain_ragged(row: RaggedRow) -> str:
    return f"expected {row.expected} fields, found {row.actual}"
