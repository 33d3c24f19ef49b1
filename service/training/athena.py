"""Write the SQL that sums customers up, or scores them, where they lie: for Amazon Athena, which is Trino.

The rules are those of local files (`numbers.py`), the arithmetic that of `cells.py` and of
`service/partition.py`. Both use nothing but IEEE operations that round alike everywhere, so that cells and
labels are the same to the last bit. In Trino `0.5` is a decimal and `0.5E0` a double, so all are written
with an exponent.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from service.errors import ConfigurationError
from service.features import AGE, INCOME, MAX_VALUE, PURCHASES
from service.model import SegmentModel
from service.training.cells import AGE_CELLS, LARGEST, OFFSETS, POWER_CELLS, UNITS
from service.training.numbers import patterns
from service.transform import Transform

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_ -]{0,126}")
_LOCATION: Final = re.compile(r"s3://[a-z0-9.-]{3,63}/([!-&(-~]*/)?")
"""Of a folder, as Athena asks for; no quote."""
_POWER_ROOM: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """Say where the customers are.

    Raises:
        ConfigurationError: A name is none that SQL can hold.
    """

    table: str = "customers"
    """May have its database before it, with a point."""
    age: str = AGE
    income: str = INCOME
    purchases: str = PURCHASES
    """Columns; Athena does not tell letters from capitals."""

    def __post_init__(self) -> None:
        """Check each name."""
        for option, names in (
            ("--table", self.table.split(".")),
            ("--age", [self.age]),
            ("--income", [self.income]),
            ("--purchases", [self.purchases]),
        ):
            for name in names:
                _check_name(option, name)

    @property
    def quoted_table(self) -> str:
        """Return the table as SQL has it."""
        return ".".join(f'"{name}"' for name in self.table.split("."))


def create_table(source: Source, columns: Sequence[str], *, delimiter: str, location: str) -> str:
    """Return the statement that shows CSV files to Athena, every column as text.

    Args:
        source: What to call the table.
        columns: Of the files, in their order.
        delimiter: Between fields.
        location: The S3 folder they are in.

    Raises:
        ConfigurationError: The location or a column's name is not accepted.
    """
    if not _LOCATION.fullmatch(location):
        raise ConfigurationError(
            f"--location {location[:80]!r} is not accepted: it should be a folder like s3://BUCKET/PREFIX/"
        )
    for column in columns:
        _check_name("the column", column)
    listed = ",\n".join(f"  `{column}` string" for column in columns)
    table = ".".join(f"`{name}`" for name in source.table.split("."))
    mark = delimiter.replace("\t", "\\t")
    return (
        f"CREATE EXTERNAL TABLE {table} (\n{listed}\n)\n"
        "ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde'\n"
        f"WITH SERDEPROPERTIES ('separatorChar' = '{mark}', 'quoteChar' = '\"', 'escapeChar' = '\\\\')\n"
        f"LOCATION '{location}'\n"
        "TBLPROPERTIES ('skip.header.line.count' = '1');\n"
    )


def cells(source: Source, *, income: float | None = None) -> str:
    """Return the query of the cells, a row each: what the fit needs of any number of customers.

    Args:
        source: Where the customers are.
        income: Stands in for a missing Income; None leaves such customers out.
    """
    return (
        f"{_usable(source, income=income, keep=())},\n"  # noqa: S608  # names are checked
        "bounded AS (\n"
        f"  SELECT least(age, {_double(LARGEST)}) AS a, least(income, {_double(LARGEST)}) AS i,\n"
        f"    least(purchases, {_double(LARGEST)}) AS p\n"
        "  FROM usable\n"
        "),\n"
        "places AS (\n"
        f"  SELECT a * {_double(AGE_CELLS)} + 0.5E0 AS x, i, p,\n"
        f"    sqrt(sqrt(sqrt(i / greatest(p, 1E0)))) * {_double(POWER_CELLS)} AS y\n"
        "  FROM bounded\n"
        "),\n"
        "steps AS (\n"
        f"  SELECT CAST(floor(x) AS BIGINT) * {_POWER_ROOM} + CAST(floor(y) AS BIGINT) AS cell,\n"
        f"    CAST(floor((x - floor(x)) * {_double(OFFSETS)} + 0.5E0) AS BIGINT) AS u,\n"
        f"    CAST(floor((y - floor(y)) * {_double(OFFSETS)} + 0.5E0) AS BIGINT) AS v,\n"
        f"    CAST(floor(i * {_double(UNITS)} + 0.5E0) AS BIGINT) AS income,\n"
        f"    CAST(floor(p * {_double(UNITS)} + 0.5E0) AS BIGINT) AS purchases\n"
        "  FROM places\n"
        ")\n"
        "SELECT cell, count(*) AS n, sum(u) AS u, sum(u * u) AS uu, sum(v) AS v, sum(v * v) AS vv,\n"
        "  sum(income) AS income, sum(purchases) AS purchases\n"
        "FROM steps\nGROUP BY cell\nORDER BY cell;\n"
    )


def score(source: Source, model: SegmentModel, *, keep: Sequence[str]) -> str:
    """Return the query that gives each usable customer the segment that an invocation answers.

    Args:
        source: Where the customers are.
        model: What to score with.
        keep: Columns of the table that the answer has, too.

    Raises:
        ConfigurationError: The model takes a logarithm, whose last bits differ between engines.
    """
    if model.transform is not Transform.NONE:
        raise ConfigurationError(
            f"the model was trained with --transform {model.transform}, whose last bits differ in SQL: "
            "score with segserve score, or train with --transform none"
        )
    for column in keep:
        _check_name("--keep", column)
    ours = [f"k{place}" for place in range(len(keep))]
    passed = "".join(f"{name}, " for name in ours)
    (age_mean, power_mean), (age_scale, power_scale) = model.mean, model.scale
    distances = ",\n".join(
        f"    {_square('x', cx)} + {_square('y', cy)} AS d{place}"
        for place, (cx, cy) in enumerate(model.centroids)
    )
    places = [f"d{place}" for place in range(len(model.centroids))]
    nearest = f"least({', '.join(places)})" if len(places) > 1 else "d0"
    ids = "\n".join(
        f"    WHEN {place} = nearest THEN {segment.id}"
        for place, segment in zip(places, model.segments, strict=True)
    )
    names = "\n".join(f"  WHEN {segment.id} THEN {_text(segment.name)}" for segment in model.segments)
    shown = "".join(f'{name} AS "{column}", ' for name, column in zip(ours, keep, strict=True))
    return (
        f"{_usable(source, income=model.income_median, keep=keep)},\n"  # noqa: S608  # names are checked
        "scaled AS (\n"
        f"  SELECT {passed}(age - {_double(age_mean)}) / {_double(age_scale)} AS x,\n"
        f"    (income / greatest(purchases, 1E0) - {_double(power_mean)}) / {_double(power_scale)} AS y\n"
        "  FROM usable\n"
        "),\n"
        f"far AS (\n  SELECT {passed}\n{distances}\n  FROM scaled\n),\n"
        f"near AS (\n  SELECT {passed}{', '.join(places)}, {nearest} AS nearest\n  FROM far\n),\n"
        f"labelled AS (\n  SELECT {passed}CASE\n{ids}\n  END AS segment\n  FROM near\n)\n"
        f"SELECT {shown}segment, CASE segment\n{names}\n  END AS segment_name\nFROM labelled;\n"
    )


def _usable(source: Source, *, income: float | None, keep: Sequence[str]) -> str:
    """Return the beginning of a query: the usable customers, with numbers for their three columns."""
    rule = patterns()
    columns = {"age": source.age, "income": source.income, "purchases": source.purchases}
    passed = "".join(f"k{place}, " for place in range(len(keep)))
    kept = "".join(f'"{column}" AS k{place}, ' for place, column in enumerate(keep))
    trimmed = ",\n".join(
        f"    regexp_replace(coalesce(\"{name}\", ''), {_text(rule.blanks)}, '') AS {column}_text"
        for column, name in columns.items()
    )
    numbers = ",\n".join(
        f"    CASE WHEN regexp_like({column}_text, {_text(rule.amount)})\n"
        f"      THEN CAST(regexp_replace({column}_text, {_text(rule.dressing)}, '') AS DOUBLE)\n"
        f"    END AS {column}"
        for column in columns
    )
    largest = _double(MAX_VALUE)
    missing = f"regexp_like(income_text, {_text(rule.missing)})"
    filled = "income" if income is None else f"CASE WHEN {missing} THEN {_double(income)} ELSE income END"
    return (
        f"WITH texts AS (\n  SELECT {kept}\n{trimmed}\n"  # noqa: S608  # names are checked
        f"  FROM {source.quoted_table}\n),\n"
        f"numbers AS (\n  SELECT {passed}income_text,\n{numbers}\n  FROM texts\n),\n"
        f"filled AS (\n  SELECT {passed}age, {filled} AS income, purchases\n  FROM numbers\n),\n"
        "usable AS (\n  SELECT * FROM filled\n"
        f"  WHERE age > 0E0 AND age <= {largest} AND income >= 0E0 AND income <= {largest}\n"
        f"    AND purchases >= 0E0 AND purchases <= {largest}\n)"
    )


def _square(name: str, centre: float) -> str:
    return f"({name} - {_double(centre)}) * ({name} - {_double(centre)})"


def _double(value: float) -> str:
    """Return a number as a double of SQL, which reads back as the same bits."""
    text = repr(float(value)).replace("e", "E")
    return text if "E" in text else f"{text}E0"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _check_name(option: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{option} {name[:80]!r} is not accepted: it should be letters, digits, blanks, - and _, "
            "and not begin with a digit"
        )
