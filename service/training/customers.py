"""Read Age, Income and Purchases of a customer file, and judge each of its rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from service.errors import DatasetError
from service.features import AGE, INCOME, MAX_VALUE, PURCHASES
from service.training.columns import ColumnMap, Source
from service.training.dialect import FindEncoding, find_encoding
from service.training.numbers import Decimal, Flaw, Reading, is_readable, read_numbers
from service.training.source import FileReport, RawBatch, open_customers

_FLAW_REASONS: Final = {
    Flaw.MISSING: "is missing",
    Flaw.NOT_A_NUMBER: "is not a number",
    Flaw.NOT_FINITE: "is not finite",
}
_DECIMAL_NAMES: Final[Mapping[Decimal, str]] = {".": "point", ",": "comma"}


@dataclass(frozen=True, slots=True)
class CustomerBatch:
    """Hold some rows of a file, and what became of each of them, in arrays of shape (n_rows,)."""

    table: pa.Table
    """All columns in their own spelling and order; in CSV, the text as it stands in the file."""
    records: npt.NDArray[np.int64]
    """The number of each row in the file, from 1; `CustomerFile.line_numbers` turns it into a line."""
    ages: npt.NDArray[np.float64]
    """NaN where the row is not usable, as in the next two."""
    incomes: npt.NDArray[np.float64]
    """NaN also where a usable row has none."""
    purchases: npt.NDArray[np.float64]
    columns: npt.NDArray[np.object_]
    """The column that makes the row unusable, else ''."""
    reasons: npt.NDArray[np.object_]
    """Why the row is not usable, else ''."""
    is_usable: npt.NDArray[np.bool_]


class CustomerReader:
    """Read one customer file, batch by batch."""

    def __init__(
        self, path: Path, *, columns: ColumnMap, find_encoding: FindEncoding = find_encoding
    ) -> None:
        """Open the file and find its columns; `read_customers` says what can go wrong."""
        self.file = open_customers(path, find_encoding=find_encoding)
        self.sources = columns.resolve(self.file.columns, name=str(path))
        self.decimal = columns.decimal
        self._kept = 0
        self._blank = 0
        for source in self.sources:
            for place in source.positions:
                if not is_readable(self.file.types[place]):
                    raise DatasetError(
                        f"{path}: the column {self.file.columns[place]!r} holds {self.file.types[place]}; "
                        f"{source.target} can be read from numbers, decimals and text"
                    )

    @property
    def renamed(self) -> dict[str, str]:
        """What stands for Age, Income and Purchases where it is no column of just that name."""
        return {source.target: source.text for source in self.sources if source.text != source.target}

    @property
    def report(self) -> FileReport:
        """What has been read so far: all of the file once `batches` is exhausted."""
        file = self.file
        return FileReport(
            name=str(file.path),
            format=file.format,
            delimiter=file.delimiter,
            encoding=file.encoding,
            records=self._kept + file.ragged_count,
            blank=self._blank + file.blank_count,
        )

    def batches(self) -> Iterator[CustomerBatch]:
        """Read the file once, leaving out blank rows; ragged ones gather in `file.ragged`.

        Raises:
            DatasetError: The file is damaged or holds no records.
        """
        for raw in self.file.batches():
            yield from self.judge(raw)
        self.check_not_empty()

    def judge(self, raw: RawBatch) -> Iterator[CustomerBatch]:
        """Judge rows that were read by `file`; blank ones are left out, which may leave none."""
        is_blank = _find_blank(raw.table)
        self._blank += int(is_blank.sum())
        if is_blank.any():
            raw = RawBatch(raw.table.filter(pa.array(~is_blank)), raw.records[~is_blank])
        self.count(raw.table.num_rows)
        if raw.table.num_rows:
            yield self._judge(raw)

    def count(self, rows: int) -> None:
        """Count rows that are neither blank nor ragged."""
        self._kept += rows

    def check_not_empty(self) -> None:
        """Raise DatasetError unless there were records."""
        if not self.report.records:
            raise DatasetError(f"{self.file.path} has a header but no records")

    def _judge(self, raw: RawBatch) -> CustomerBatch:
        size = raw.table.num_rows
        columns, reasons = np.full((2, size), "", dtype=np.object_)
        is_usable = np.ones(size, dtype=np.bool_)
        values = {}
        for source in self.sources:
            readings = [
                read_numbers(raw.table.column(place), decimal=self.decimal) for place in source.positions
            ]
            values[source.target] = source.expression.evaluate(
                [reading.values for reading in readings], size=size
            ).copy()
            for is_bad, column, reason in _find_problems(
                source, readings, values[source.target], decimal=self.decimal
            ):
                is_first = is_bad & is_usable
                columns[is_first] = column
                reasons[is_first] = f"{source.target} {reason}"
                is_usable &= ~is_bad
        for array in values.values():
            array[~is_usable] = np.nan
        return CustomerBatch(
            table=raw.table,
            records=raw.records,
            ages=values[AGE],
            incomes=values[INCOME],
            purchases=values[PURCHASES],
            columns=columns,
            reasons=reasons,
            is_usable=is_usable,
        )


def read_customers(
    path: Path, *, mapping: Mapping[str, str], decimal: str = ".", trained: Mapping[str, str] | None = None
) -> CustomerReader:
    """Open a customer file to be read in batches; see ColumnMap for the arguments.

    Raises:
        ConfigurationError: The mapping or the decimal sign is not accepted.
        DatasetError: The file cannot be read or lacks a column.
    """
    return CustomerReader(path, columns=ColumnMap(mapping, decimal=decimal, trained=trained))


def _find_problems(
    source: Source, readings: Sequence[Reading], values: npt.NDArray[np.float64], *, decimal: Decimal
) -> Iterator[tuple[npt.NDArray[np.bool_], str, str]]:
    """Give what is wrong, worst first: in which rows, with which column, and why."""
    is_missing = np.zeros(len(values), dtype=np.bool_)
    other: Decimal = "," if decimal == "." else "."
    swapped = f"looks like a number with a decimal {_DECIMAL_NAMES[other]}; for such files: --decimal {other}"
    reasons = {**_FLAW_REASONS, Flaw.OTHER_DECIMAL: swapped}
    flawed = [
        (reading, column)
        for reading, column in zip(readings, source.columns, strict=True)
        if reading.flaws.any()
    ]
    for reading, column in flawed:
        for flaw in (Flaw.NOT_A_NUMBER, Flaw.OTHER_DECIMAL, Flaw.NOT_FINITE):
            yield reading.flaws == flaw, column, reasons[flaw]
    for reading, column in flawed:
        is_missing |= reading.flaws == Flaw.MISSING
        if source.target != INCOME:
            yield reading.flaws == Flaw.MISSING, column, reasons[Flaw.MISSING]
    yield ~np.isfinite(values) & ~is_missing, source.blamed, "is not finite (division by zero or overflow)"
    yield values > MAX_VALUE, source.blamed, f"must not be above {MAX_VALUE:g}"
    if source.target == AGE:
        yield values <= 0, source.blamed, "must be greater than 0"
    else:
        yield values < 0, source.blamed, "must not be negative"


def _find_blank(table: pa.Table) -> npt.NDArray[np.bool_]:
    """Tell which rows hold nothing but blanks; stops at the first column that leaves none."""
    is_blank = np.ones(table.num_rows, dtype=np.bool_)
    for column in table.columns:
        if not is_blank.any():
            break
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            column = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(column)), 0)  # noqa: PLW2901
            is_blank &= pc.fill_null(column, fill_value=True).to_numpy()
        else:
            is_blank &= column.is_null().to_numpy()
    return is_blank
