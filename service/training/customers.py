"""Find Age, Income and Purchases in a customer file, and judge each of its rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from service.errors import ConfigurationError, DatasetError
from service.features import AGE, INCOME, MAX_VALUE, PURCHASES, RAW_COLUMNS
from service.training.expression import (
    Expression,
    column_expression,
    find_birth_date,
    find_target,
    fold_name,
    parse_expression,
    suggest_mapping,
)
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


@dataclass(frozen=True, slots=True)
class Source:
    """Say where one file keeps Age, Income or Purchases."""

    target: str
    expression: Expression
    positions: tuple[int, ...]
    """The columns of the file that the expression needs, in the order of its names."""
    columns: tuple[str, ...]
    """The same in the file's own spelling."""

    @property
    def text(self) -> str:
        """What the target is made of: the file's own column, or the user's expression."""
        return self.columns[0] if self.expression.is_column else self.expression.text

    @property
    def blamed(self) -> str:
        """The column to name when the value itself is wrong, not an operand."""
        return self.columns[0] if self.expression.is_column else self.target


class ColumnMap:
    """Find the needed columns in any file, by name or as the user mapped them."""

    def __init__(
        self, mapping: Mapping[str, str], *, decimal: str = ".", trained: Mapping[str, str] | None = None
    ) -> None:
        """Take `--map` and `--decimal`.

        Args:
            mapping: Expressions for Age, Income and Purchases where a column of that name will not do.
            decimal: What stands before the fraction in text, "." or ",".
            trained: The same of the training data, for what neither the file nor the mapping has.

        Raises:
            ConfigurationError: A target or the decimal sign is not accepted.
        """
        if decimal not in (".", ","):
            raise ConfigurationError(f"--decimal {decimal!r} is not accepted; it is '.' or ','")
        self.decimal: Decimal = "," if decimal == "," else "."
        self._mapping = {find_target(target): text for target, text in mapping.items()}
        self._trained = trained or {}

    def resolve(self, columns: Sequence[str], *, name: str) -> tuple[Source, ...]:
        """Return the sources of Age, Income and Purchases, in this order.

        Raises:
            DatasetError: A column is missing, or two cannot be told apart.
            ConfigurationError: An expression is neither a column nor arithmetic on columns.
        """
        positions = locate_columns(columns, name=name)
        sources = []
        missing = []
        for target in RAW_COLUMNS:
            text = self._mapping.get(target, target)
            if fold_name(text) in positions:
                expression = column_expression(text)
            elif target in self._mapping:
                expression = parse_expression(text)
            elif (trained := self._trained_expression(target, positions)) is not None:
                expression = trained
            else:
                missing.append(target)
                continue
            found = [positions.get(fold_name(operand)) for operand in expression.names]
            if None in found:
                unknown = expression.names[found.index(None)]
                raise DatasetError(
                    f"{name} has no column {unknown!r}, which {target}={text} needs. {_list(columns)}"
                )
            places = tuple(place for place in found if place is not None)
            sources.append(Source(target, expression, places, tuple(columns[place] for place in places)))
        if missing:
            raise DatasetError(_explain_missing(missing, columns=columns, name=name))
        return tuple(sources)

    def _trained_expression(self, target: str, positions: Mapping[str, int]) -> Expression | None:
        """Return what stood for a column in training, if this file has all that it needs."""
        text = self._trained.get(target)
        if text is None:
            return None
        expression = column_expression(text) if fold_name(text) in positions else parse_expression(text)
        return expression if all(fold_name(name) in positions for name in expression.names) else None


class CustomerReader:
    """Read one customer file, batch by batch."""

    def __init__(self, path: Path, *, columns: ColumnMap) -> None:
        """Open the file and find its columns; `read_customers` says what can go wrong."""
        self.file = open_customers(path)
        self.sources = columns.resolve(self.file.columns, name=str(path))
        self._decimal = columns.decimal
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
            is_blank = _find_blank(raw.table)
            self._blank += int(is_blank.sum())
            if is_blank.any():
                raw = RawBatch(raw.table.filter(pa.array(~is_blank)), raw.records[~is_blank])  # noqa: PLW2901
            self._kept += raw.table.num_rows
            if raw.table.num_rows:
                yield self._judge(raw)
        if not self.report.records:
            raise DatasetError(f"{self.file.path} has a header but no records")

    def _judge(self, raw: RawBatch) -> CustomerBatch:
        size = raw.table.num_rows
        columns, reasons = np.full((2, size), "", dtype=np.object_)
        is_usable = np.ones(size, dtype=np.bool_)
        values = {}
        for source in self.sources:
            readings = [
                read_numbers(raw.table.column(place), decimal=self._decimal) for place in source.positions
            ]
            values[source.target] = source.expression.evaluate(
                [reading.values for reading in readings], size=size
            ).copy()
            for is_bad, column, reason in _find_problems(
                source, readings, values[source.target], decimal=self._decimal
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


def locate_columns(columns: Sequence[str], *, name: str) -> dict[str, int]:
    """Return the position of each column by its folded name.

    Raises:
        DatasetError: Two have the same folded name, so that none can be chosen.
    """
    positions: dict[str, int] = {}
    for position, column in enumerate(columns):
        first = positions.setdefault(fold_name(column), position)
        if first != position and fold_name(column):
            raise DatasetError(
                f"{name} has two columns of one name, {columns[first]!r} and {column!r}; rename one"
            )
    positions.pop("", None)
    return positions


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


def _explain_missing(missing: Sequence[str], *, columns: Sequence[str], name: str) -> str:
    suggestions = " ".join(suggest_mapping(target, columns) for target in missing)
    message = f"{name} has no column {' and no column '.join(missing)}. {_list(columns)} Try {suggestions}"
    if AGE in missing and (birth_date := find_birth_date(columns)):
        message += f" {birth_date!r} cannot be mapped to Age, dates are not read: add a column with the age"
    return message


def _list(columns: Sequence[str]) -> str:
    return f"Its columns are {', '.join(repr(column) for column in columns)}."
