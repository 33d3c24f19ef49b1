"""Write the records that could not be used to a CSV file of their own, each with its line and the reason."""

import contextlib
import csv
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import pyarrow as pa

from service.durable import whole
from service.errors import DatasetError
from service.training.dialect import long_fields
from service.training.reject_texts import text_of

_LEADING: Final = ("file", "line", "column", "reason")
_UNPARSED: Final = "unparsed"
"""The column for records with too many or too few fields."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Hold one record that could not be used."""

    line: int
    """Where it starts, from 1; in Parquet, the number of the row."""
    column: str
    reason: str
    fields: Sequence[str] = ()
    """In the order of the file's columns; nothing when the record could not be divided into fields."""
    unparsed: str = ""


class RejectsFile:
    """Gather rejects on disk, for they may be as many as the records, until their columns are known.

    A context manager; `write` at the end of it, or nothing is written.
    """

    def __init__(self, path: Path, *, columns: Mapping[str, Sequence[str]]) -> None:
        """Touch nothing at `path` yet.

        Args:
            path: Where the rejects go, if there are any.
            columns: The columns of each customer file, by the file's name.
        """
        self.path = path
        self._has_unparsed = False
        self._union = list(dict.fromkeys(key for names in columns.values() for key in _keys(names)))
        place = {key: position for position, key in enumerate(self._union)}
        self._all_places = list(range(len(self._union)))
        self._places = {file: [place[key] for key in _keys(names)] for file, names in columns.items()}
        try:
            self._spool = tempfile.TemporaryFile("w+", encoding="utf-8", newline="")  # noqa: SIM115  # __exit__ closes it
        except OSError as exc:
            raise DatasetError(f"no temporary file can be written ({exc.strerror}): set TMPDIR") from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # what is left to write has been reported, or nobody wants it
            self._spool.close()

    def add(self, rejects: Iterable[Reject], *, file: str) -> None:
        """Keep records of `file`."""
        self.keep("".join(self.texts_of(rejects, file=file)))

    def texts_of(self, rejects: Iterable[Reject], *, file: str) -> list[str]:
        """Return each record of `file` as it is kept."""
        texts = _Texts()
        # The default line ending, CR LF, is what makes the csv module quote either of the two.
        csv.writer(texts).writerows(self._row(reject, file=file) for reject in rejects)
        return texts

    def is_laid_out(self, file: str) -> bool:
        """Tell whether the columns of `file` are those that the rejects have, in the same order."""
        return self._places[file] == self._all_places

    def keep(self, text: str) -> None:
        """Keep records that are text already."""
        try:
            # One write for all: a text file that is read later takes long over each.
            self._spool.write(text)
        except OSError as exc:
            raise self._spool_error(exc) from exc

    def _row(self, reject: Reject, *, file: str) -> tuple[object, ...]:
        fields: Sequence[str] = reject.fields
        if len(fields) != len(self._union) or not self.is_laid_out(file):
            fields = [""] * len(self._union)
            for place, field in zip(self._places[file], reject.fields, strict=False):
                fields[place] = field
        row = (file, reject.line, reject.column, reject.reason, *fields)
        if not reject.unparsed:
            return row
        self._has_unparsed = True
        return (*row, reject.unparsed)

    def write(self) -> None:
        """Write the file; no file at all when there are no rejects.

        Raises:
            DatasetError: The file cannot be written.
        """
        try:
            if not self._spool.tell():
                return
            self._spool.seek(0)
        except OSError as exc:
            raise self._spool_error(exc) from exc
        header = [*_LEADING, *(name for name, _ in self._union), _UNPARSED]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with whole(self.path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                if self._has_unparsed:
                    writer.writerow(header)
                    with long_fields():
                        rows = csv.reader(self._spool)
                        writer.writerows((*row, "") if len(row) < len(header) else row for row in rows)
                else:
                    writer.writerow(header[:-1])
                    shutil.copyfileobj(self._spool, file)
        except OSError as exc:
            raise DatasetError(f"{self.path} cannot be written: {exc.strerror or exc}") from exc

    def _spool_error(self, error: OSError) -> DatasetError:
        return DatasetError(
            f"rejected records cannot be kept in {tempfile.gettempdir()}: {error.strerror or error}"
        )


class _Texts(list[str]):
    """Hold what a csv writer writes, which is a row at a time."""

    def write(self, text: str) -> None:
        self.append(text)


def _keys(names: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Tell columns of one name apart, which only empty names are."""
    return ((name, names[:position].count(name)) for position, name in enumerate(names))


def list_fields(table: pa.Table) -> Sequence[Sequence[str]]:
    """Return the text of each row, field by field."""
    return list(zip(*(text_of(column).to_pylist() for column in table.columns), strict=True))
