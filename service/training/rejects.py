"""Write the records that could not be used to a CSV file of their own, each with its line and the reason."""

import csv
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.errors import DatasetError

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
    fields: Sequence[str]
    """In the order of the file's columns; nothing when the record could not be divided into fields."""
    unparsed: str = ""


class RejectsFile:
    """Gather rejects on disk, for there may be as many as there are records, then write the file at once.

    Its columns are known only at the end: `unparsed` is there only when a record needs it.
    """

    def __init__(self, path: Path, *, columns: Mapping[str, Sequence[str]]) -> None:
        """Touch nothing yet.

        Args:
            path: Where the rejects go, if there are any.
            columns: The columns of each customer file, by the file's name.
        """
        self.path = path
        self.count = 0
        self._has_unparsed = False
        self._union = list(dict.fromkeys(key for names in columns.values() for key in _keys(names)))
        place = {key: position for position, key in enumerate(self._union)}
        self._places = {file: [place[key] for key in _keys(names)] for file, names in columns.items()}
        self._spool = tempfile.TemporaryFile("w+", encoding="utf-8", newline="")  # noqa: SIM115  # closed by write
        self._writer = csv.writer(self._spool, lineterminator="\n")

    def add(self, reject: Reject, *, file: str) -> None:
        """Keep one record of `file`."""
        fields = [""] * len(self._union)
        for place, field in zip(self._places[file], reject.fields, strict=False):
            fields[place] = field
        self._writer.writerow((file, reject.line, reject.column, reject.reason, *fields, reject.unparsed))
        self._has_unparsed |= bool(reject.unparsed)
        self.count += 1

    def close(self) -> None:
        """Write the file if there is anything to write, and let go of the disk space.

        Raises:
            DatasetError: The file cannot be written.
        """
        with self._spool:
            if self.count:
                try:
                    self._write()
                except OSError as exc:
                    raise DatasetError(f"{self.path} cannot be written: {exc.strerror or exc}") from exc
