"""Write tables to a CSV or Parquet file that appears whole or not at all, in bounded memory."""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from service.errors import ConfigurationError, DatasetError

PARQUET_ENDING: Final = ".parquet"
OTHER_FORMATS: Final = frozenset({".xlsx", ".xls", ".ods", ".json"})
"""Endings of what CSV text must not be written into."""
_QUOTE: Final = '"'


class TableFile(Protocol):
    """Write tables of one schema to one file."""

    def write(self, table: pa.Table) -> None:
        """Append the rows of a table."""

    def __enter__(self) -> Self:
        """Open the file."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""


@contextmanager
def open_table_file(target: Path, schema: pa.Schema, *, delimiter: str) -> Iterator[TableFile]:
    """Write to a temporary name that becomes `target` when the block ends well.

    Args:
        target: Parquet when it ends in .parquet, else CSV; no ending of a spreadsheet or of JSON.
        schema: Names and types of the columns.
        delimiter: Of a CSV file.

    Raises:
        ConfigurationError: The target's ending is that of a format that is not written.
        DatasetError: The file cannot be written.
    """
    ending = target.suffix.lower()
    if ending in OTHER_FORMATS:
        raise ConfigurationError(
            f"{target} cannot be written: CSV and Parquet are written, not {ending}; "
            f"name a file that ends in .csv or {PARQUET_ENDING}"
        )
    with (
        appear_whole(target) as partial,
        _open(partial, schema, delimiter if ending != PARQUET_ENDING else None) as file,
    ):
        yield file


@contextmanager
def appear_whole(target: Path) -> Iterator[Path]:
    """Provide a temporary name that becomes `target` when the block ends well, and else is gone.

    Raises:
        DatasetError: The file cannot be written.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield partial
        partial.replace(target)
    except OSError as exc:
        raise DatasetError(f"{target} cannot be written: {exc.strerror or exc}") from exc
    finally:
        with contextlib.suppress(OSError):  # gone already, or never there: the disk may be read-only
            partial.unlink()


def _open(path: Path, schema: pa.Schema, delimiter: str | None) -> TableFile:
    if delimiter is None:
        writer: TableFile = pyarrow.parquet.ParquetWriter(path, schema)
        return writer
    return _CsvFile(path, header=schema.names, delimiter=delimiter)


class _CsvFile:
    """Write text as it stood in the file, quoted only where it must be."""

    def __init__(self, path: Path, *, header: Sequence[str], delimiter: str) -> None:
        self._file = path.open("wb")
        self._delimiter = delimiter
        self._file.write(_quoted([header], delimiter))

    def write(self, table: pa.Table) -> None:
        texts = [_texts(column) for column in table.columns]
        self._file.write(
            _plain(texts, self._delimiter)
            or _quoted(zip(*(column.to_pylist() for column in texts), strict=True), self._delimiter)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return pc.cast(column, pa.string())
    except pa.ArrowNotImplementedError:  # lists and structs of a Parquet file
        return pa.chunked_array(
            [[None if value is None else str(value) for value in column.to_pylist()]], pa.string()
        )


def _plain(texts: Sequence[pa.ChunkedArray], delimiter: str) -> pa.Buffer | None:
    """Return rows where no cell needs quotes, without a loop over them; None where one does."""
    if any(pc.any(pc.match_substring(column, "\r")).as_py() for column in texts):
        return None  # Arrow takes a lone carriage return for text
    buffer = pa.BufferOutputStream()
    options = pyarrow.csv.WriteOptions(include_header=False, delimiter=delimiter, quoting_style="none")
    try:
        pyarrow.csv.write_csv(
            pa.table(texts, names=[str(place) for place in range(len(texts))]), buffer, options
        )
    except pa.ArrowInvalid:
        return None
    return buffer.getvalue()


def _quoted(rows: Iterable[Sequence[str | None]], delimiter: str) -> bytes:
    """Return rows with quotes where they must be: Arrow's writer would quote all text.

    The csv module leaves a carriage return unquoted before Python 3.13, and so breaks the row in two.
    """
    needs_quotes = re.compile(f'["\r\n{re.escape(delimiter)}]').search

    def cell(text: str | None) -> str:
        if text is None:
            return ""
        return f'"{text.replace(_QUOTE, _QUOTE * 2)}"' if needs_quotes(text) else text

    return "".join(f"{delimiter.join(map(cell, row))}\n" for row in rows).encode()
