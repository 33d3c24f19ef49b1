"""Read customer files from end to end: usable records into a tally, all others into the file of rejects."""

import importlib.util
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from service.training import table_reader
from service.training.blocks import Block, Lines, is_plain_file
from service.training.column_reader import ColumnReader
from service.training.columns import locate_columns
from service.training.customers import CustomerBatch, CustomerReader
from service.training.reject_texts import Found, Waiting, join_lines, join_rows
from service.training.rejects import Reject, RejectsFile, list_fields
from service.training.row_reader import RowReader
from service.training.source import RaggedRow
from service.training.sums import KernelSums
from service.training.tally import CensusTally, Tally

_PEEK_BYTES: Final = 65_536

Progress = Callable[[int, int], None]
"""Called with the bytes read so far and the bytes of all files."""


def estimate_records(path: Path) -> int:
    """Return about how many records a file holds, from its first lines; 0 where it cannot be read."""
    if not path.is_file():
        return 0  # a pipe would be waited for
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

    Args:
        readers: Of the files.
        tally: Takes the usable records.
        id_positions: Of the column that tells customers apart, of each file.
        rejects_path: Where the other records go.
        use_polars: Where it is installed.
        on_progress: Called after every batch.

    Raises:
        DatasetError: A file cannot be read.
    """
    total = sum(reader.file.size_bytes for reader in readers)
    columns = {str(reader.file.path): reader.file.columns for reader in readers}
    is_large = isinstance(tally, CensusTally)
    has_polars = is_large and use_polars and importlib.util.find_spec("polars") is not None
    done = 0
    with RejectsFile(rejects_path, columns=columns) as rejects:
        for reader, id_position in zip(readers, id_positions, strict=True):
            intake = Intake(reader, tally, rejects=rejects, id_position=id_position)

            def progress(before: int = done, reader: CustomerReader = reader) -> None:
                on_progress(before + reader.file.done_bytes, total)

            intake.read(has_polars=has_polars, on_progress=progress)
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
        self._waiting = Waiting()
        """Rows that a fast reader rejects ahead of others before them."""
        self.positions: Mapping[str, int] = locate_columns(reader.file.columns, name=str(reader.file.path))

    def read(self, *, has_polars: bool, on_progress: Callable[[], None]) -> None:
        """Read the file; by the kernel or polars as far as its blocks are plain."""
        blocks = self._fast_blocks(has_polars=has_polars) if is_plain_file(self.reader) else None
        if blocks is not None:
            for _ in blocks:
                on_progress()
            self.reader.check_not_empty()
            return
        for batch in self.reader.batches():
            self.add(batch)
            on_progress()
        self.reject(None)

    def _fast_blocks(self, *, has_polars: bool) -> Iterator[None] | None:
        """Return what takes the file in block by block, None where nothing does."""
        from service.training import fast  # noqa: PLC0415  # it looks at this module

        sums = self.tally.census.sums if isinstance(self.tally, CensusTally) else None
        wants_plain = self.id_position is not None
        if self.reader.file.format == "parquet":
            if isinstance(sums, KernelSums) and ColumnReader.reads(self.reader):
                columns = ColumnReader(self.reader, sums, wants_plain=wants_plain)
                return fast.read_columns(self, columns)
            # Without the kernel polars sums up faster.
            if isinstance(sums, KernelSums) and table_reader.reads(self.reader):
                return fast.read_table(self, table_reader.read_numbers)
            if has_polars:
                from service.training.plain import parse_table  # noqa: PLC0415  # polars is optional

                return fast.read_table(self, parse_table)
            return None
        rows = None
        if isinstance(sums, KernelSums) and RowReader.reads(self.reader):
            rows = RowReader(self.reader, sums, wants_plain=wants_plain)
        parse = _parse_by_polars if has_polars else None
        return fast.read_lines(self, rows, parse) if rows or parse else None

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
        self._count(rejects)
        rejects.sort(key=attrgetter("line"))
        if file.has_quotes:
            lines = file.line_numbers([reject.line for reject in rejects])
            rejects = [replace(reject, line=line) for reject, line in zip(rejects, lines, strict=True)]
        texts = self._rejects.texts_of(rejects, file=str(file.path))
        numbered = [(reject.line, text) for reject, text in zip(rejects, texts, strict=True)]
        self._rejects.keep(self._waiting.take(last, numbered))

    def reject_lines(self, found: Found, text: bytes) -> None:
        """Reject lines of a file without quotes; they are written in turn with those of later batches."""
        delimiter = str(self.reader.file.delimiter)
        texts = self._join(join_lines, text, delimiter, found=found)
        if texts is None:
            lines = text.decode().replace("\r\n", "\n").split("\n")[:-1]
            texts = self._write(found, [line.split(delimiter) for line in lines])
        self._wait(found, texts)

    def reject_rows(self, found: Found, table: pa.Table) -> None:
        """Reject rows of a Parquet file; they are written in turn with those of later batches."""
        texts = self._join(join_rows, table, found=found)
        self._wait(found, self._write(found, list_fields(table)) if texts is None else texts)

    def _join(
        self, join: Callable[..., pa.StringArray | None], *args: object, found: Found
    ) -> pa.StringArray | None:
        file = str(self.reader.file.path)
        return join(*args, file=file, found=found) if self._rejects.is_laid_out(file) else None

    def _write(self, found: Found, fields: Sequence[Sequence[str]]) -> pa.StringArray:
        problems = [found.problems[place] for place in found.places]
        rejects = (
            Reject(line, column, reason, row)
            for line, (column, reason), row in zip(found.lines.tolist(), problems, fields, strict=True)
        )
        return pa.array(self._rejects.texts_of(rejects, file=str(self.reader.file.path)), pa.string())

    def _wait(self, found: Found, texts: pa.StringArray) -> None:
        self._waiting.add(found.lines, texts)
        for problem, count in zip(
            found.problems, np.bincount(found.places, minlength=len(found.problems)), strict=True
        ):
            if count:
                column, reason = problem
                self.tally.rejected[reason, column] += int(count)

    def _count(self, rejects: Sequence[Reject]) -> None:
        self.tally.rejected.update(Counter((reject.reason, reject.column) for reject in rejects))


def _parse_by_polars(lines: Lines, reader: CustomerReader) -> tuple[Block, list[bytes]] | None:
    from service.training.plain import parse_block  # noqa: PLC0415  # polars takes a while to import

    return parse_block(lines, reader)


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
