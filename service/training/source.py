"""Open the files people really have: CSV in any usual dialect, or Parquet, in batches of bounded memory.

pyarrow reads the CSV, all columns as text. What it cannot tell is found beforehand: the encoding, by decoding
the file once, and the delimiter, from the first records. Its record numbers are not lines where quoted line
breaks precede; only when somebody asks for lines does the csv module walk the file once more.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from service.errors import DatasetError
from service.training.dialect import (
    BLOCK_BYTES,
    FindEncoding,
    find_encoding,
    is_parquet,
    locate,
    long_fields,
    refuse_open_quote,
    sniff,
)

_BATCH_ROWS: Final = 32_768


@dataclass(frozen=True, slots=True)
class FileReport:
    """Say what a file was and what was in it, once it is read."""

    name: str
    """As the user gave it."""
    format: Literal["csv", "parquet"]
    delimiter: str | None
    encoding: str | None
    """The name of the Python codec."""
    records: int
    """Without the header and blank rows; with those that have too many or too few fields."""
    blank: int


@dataclass(frozen=True, slots=True)
class RaggedRow:
    """Hold a record with too many or too few fields."""

    record: int
    text: str
    expected: int
    actual: int


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Hold rows as they stand in the file, without the ragged ones."""

    table: pa.Table
    records: npt.NDArray[np.int64]
    """The number of each row, from 1. In CSV, the header and blank lines count."""


class CustomerFile:
    """Hold an open file: what it is, its columns, and how far it has been read."""

    def __init__(self, path: Path, *, find_encoding: FindEncoding = find_encoding) -> None:
        """Find out what the file is; `open_customers` says what can go wrong."""
        self.path = path
        self.format: Literal["csv", "parquet"] = "parquet" if is_parquet(path) else "csv"
        self.delimiter: str | None = None
        self.encoding: str | None = None
        self.size_bytes = path.stat().st_size
        self.done_bytes = 0
        self.ragged: list[RaggedRow] = []
        """Grows while batches are read; whoever has dealt with some may remove them."""
        self.ragged_count = 0
        self.blank_count = 0
        """Ragged rows without any text; blank rows of the right width are in the batches."""
        self._skipped: list[int] = []
        self._starts: Iterator[tuple[int, int]] = iter(())
        self._unlocated = sys.maxsize
        self.has_quotes = False
        self.header_records = 0
        if self.format == "parquet":
            with pyarrow.parquet.ParquetFile(path) as source:
                schema = source.schema_arrow
            self.columns, self.types = tuple(schema.names), tuple(schema.types)
        else:
            self.encoding, quotes = find_encoding(path)
            self.has_quotes = quotes > 0
            self.delimiter, self.columns, self.header_records = sniff(path, encoding=self.encoding)
            if quotes % 2:
                refuse_open_quote(path, encoding=self.encoding, delimiter=self.delimiter)
            self.types = (pa.string(),) * len(self.columns)

    def batches(self, *, rows: int = _BATCH_ROWS) -> Iterator[RawBatch]:
        """Read the file once.

        Args:
            rows: At a time, in Parquet.

        Raises:
            DatasetError: It turns out to be damaged.
        """
        try:
            yield from self._read_parquet(rows) if self.format == "parquet" else self._read_csv()
        except (pa.ArrowException, UnicodeDecodeError, OSError) as exc:
            hint = f"it is damaged, or has a record of over {BLOCK_BYTES} bytes"
            raise DatasetError(f"{self.path} cannot be read to its end: {hint}") from exc

    def line_numbers(self, records: Sequence[int]) -> list[int]:
        """Return the line on which each record starts, from 1; in Parquet, the number of the row.

        Asking in ascending order, batch after batch, costs one more pass over the file in all.
        """
        if not self.has_quotes:
            return list(records)  # no line break lies within a record
        lines: dict[int, int] = {}
        with long_fields():
            for record in sorted(set(records)):
                if record < self._unlocated:
                    self._starts = self._walk()
                lines[record] = next(line for number, line in self._starts if number == record)
                self._unlocated = record + 1
        return [lines[record] for record in records]

    def _walk(self) -> Iterator[tuple[int, int]]:
        """Number the records as pyarrow does, and give the line on which each of them starts."""
        with self.path.open(encoding=self.encoding, newline="") as file:
            for number, (line, _) in enumerate(locate(file, delimiter=str(self.delimiter)), start=1):
                yield number, line

    def _read_parquet(self, rows: int) -> Iterator[RawBatch]:
        done = 0
        # What is fetched ahead is kept to the end: in the end, the whole file.
        with pyarrow.parquet.ParquetFile(self.path, pre_buffer=False) as source:
            total = source.metadata.num_rows
            # More threads take a quarter more time of the processors; who is in a hurry reads ahead.
            for batch in source.iter_batches(batch_size=rows, use_threads=False):
                records = np.arange(done + 1, done + batch.num_rows + 1, dtype=np.int64)
                done += batch.num_rows
                self.done_bytes = self.size_bytes * done // total
                yield RawBatch(pa.Table.from_batches([batch]), records)

    def _read_csv(self) -> Iterator[RawBatch]:
        with pa.OSFile(str(self.path)) as stream:
            for batch in self._parse(stream, header_records=self.header_records):
                self.done_bytes = min(stream.tell(), self.size_bytes)
                yield batch

    def parse_lines(self, lines: bytes) -> Iterator[RawBatch]:
        """Read some lines of the file, whose records are numbered from 1, as are those in `ragged`."""
        self._skipped.clear()
        yield from self._parse(pa.BufferReader(lines), header_records=0)

    def _parse(self, stream: pa.NativeFile, *, header_records: int) -> Iterator[RawBatch]:
        following = header_records + 1
        for batch in self._open_csv(stream, header_records=header_records):
            if batch.num_rows:
                records = self._number(following, size=batch.num_rows)
                following = int(records[-1]) + 1
                yield RawBatch(pa.table(batch.columns, names=list(self.columns)), records)

    def _open_csv(self, stream: pa.NativeFile, *, header_records: int) -> pyarrow.csv.CSVStreamingReader:
        # Several columns may have an empty name, and pyarrow gives types by name: so it sees numbers here.
        names = [str(position) for position in range(len(self.columns))]
        return pyarrow.csv.open_csv(
            stream,
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False,  # with threads, ragged rows come without their number
                block_size=BLOCK_BYTES,
                encoding="utf8" if self.encoding == "utf-8-sig" else self.encoding,
                column_names=names,
                skip_rows_after_names=header_records,
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=self.delimiter,
                newlines_in_values=True,
                ignore_empty_lines=False,
                invalid_row_handler=self._skip,
            ),
            convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )

    def _skip(self, row: pyarrow.csv.InvalidRow) -> Literal["skip"]:
        self._skipped.append(row.number)
        if not row.text.replace(str(self.delimiter), "").strip():
            self.blank_count += 1
            return "skip"
        self.ragged_count += 1
        self.ragged.append(RaggedRow(row.number, row.text, row.expected_columns, row.actual_columns))
        return "skip"

    def _number(self, first: int, *, size: int) -> npt.NDArray[np.int64]:
        """Number the next rows, leaving out what was skipped; pyarrow may have parsed ahead of them."""
        numbers = np.arange(first, first + size + len(self._skipped), dtype=np.int64)
        records = np.setdiff1d(numbers, self._skipped, assume_unique=True)[:size]
        self._skipped = [number for number in self._skipped if number > records[-1]]
        return records


def open_customers(path: Path, *, find_encoding: FindEncoding = find_encoding) -> CustomerFile:
    """Open a CSV or Parquet file.

    Args:
        path: Of the file.
        find_encoding: Returns the codec of a text file, and the number of its quotes.

    Raises:
        DatasetError: There is no such file, or it is not readable, empty, or neither CSV nor Parquet.
    """
    try:
        if path.is_dir():
            raise DatasetError(f"{path} is a folder; name the files in it")
        if path.exists() and not path.is_file():
            raise DatasetError(f"{path} is not a regular file; it is read more than once")
        return CustomerFile(path, find_encoding=find_encoding)
    except (pa.ArrowException, UnicodeDecodeError) as exc:  # names of columns are text, or damaged
        raise DatasetError(f"{path} cannot be read as Parquet: it is damaged or incomplete") from exc
    except OSError as exc:
        raise DatasetError(f"{path} cannot be read: {exc.strerror or exc}") from exc
