"""Read customer files by Spark into rows that are judged, the same ones as on one machine."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from service.errors import DatasetError
from service.training.columns import ColumnMap, Source
from service.training.source import FileReport
from service.training.spark.files import Layout, SparkFile, file_key, reopen
from service.training.spark.judging import BLANK, RAGGED, USABLE, Judged, judge
from service.training.spark.lines import WHITESPACE, decoded, divide, is_blank, read_lines, survey
from service.training.spark.session import small_table

_ROUNDS: Final = 3
"""A file may turn out to be of another encoding than its beginning."""


@dataclass(frozen=True, slots=True)
class Part:
    """Hold the files of one layout as rows.

    The frame has `file`, the number of the file; `record`, the number of the row there; `problem`; Age,
    Income and Purchases; `width`, the fields found; `text`, the line of a ragged row; and `c0` and on, the
    columns.
    """

    layout: Layout
    sources: tuple[Source, ...]
    judged: Judged
    files: tuple[SparkFile, ...]

    @property
    def frame(self) -> Any:
        """Return the rows."""
        return self.judged.frame

    @property
    def names(self) -> tuple[str, ...]:
        """Return the frame's columns that hold the file's."""
        return column_names(len(self.layout.columns))


@dataclass(frozen=True, slots=True)
class FoundColumns:
    """Hold what `CustomerFile` has of columns."""

    columns: tuple[str, ...]


@dataclass(slots=True)
class SparkReader:
    """Say of one file what a CustomerReader says."""

    file: FoundColumns
    sources: tuple[Source, ...]
    report: FileReport

    @property
    def renamed(self) -> dict[str, str]:
        """What stands for Age, Income and Purchases where it is no column of just that name."""
        return {source.target: source.text for source in self.sources if source.text != source.target}


def column_names(n: int) -> tuple[str, ...]:
    """Return the frame's names for so many columns of a file, which may have any names."""
    return tuple(f"c{place}" for place in range(n))


def read_parts(spark: Any, files: Sequence[SparkFile], *, columns: ColumnMap) -> list[Part]:
    """Read all files, those of one layout as one.

    Raises:
        DatasetError: A file is no text, cannot be divided, or lacks a column.
        ConfigurationError: An expression is not accepted.
    """
    files = list(files)
    for file in {file.layout: file for file in files[::-1]}.values():
        if file.layout.format == "csv":
            columns.resolve(file.layout.columns, name=file.name)  # says what is wrong before all is read
    surveys: dict[Layout, Any] = {}
    for _ in range(_ROUNDS):
        groups = _group(files)
        surveys = {layout: survey(spark, group) for layout, group in groups.items() if layout.format == "csv"}
        recoded = {
            number
            for layout, found in surveys.items()
            for number in found.recoded
            if layout.encoding != "cp1252"
        }
        if not recoded:
            break
        for number in recoded:
            files[number] = reopen(spark, files[number], encoding="cp1252")
    parts = []
    for layout, group in _group(files).items():
        if layout.format == "csv":
            parts.append(_read_csv(spark, group, columns=columns, found=surveys[layout]))
        else:
            parts.append(_read_parquet(spark, group, columns=columns))
    return parts


def _group(files: Sequence[SparkFile]) -> dict[Layout, list[SparkFile]]:
    groups: dict[Layout, list[SparkFile]] = {}
    for file in files:
        groups.setdefault(file.layout, []).append(file)
    return groups


def _read_csv(spark: Any, files: Sequence[SparkFile], *, columns: ColumnMap, found: Any) -> Part:
    from pyspark.sql import functions as F  # noqa: N812, PLC0415

    layout = files[0].layout
    delimiter, width = str(layout.delimiter), len(layout.columns)
    bases = small_table(spark, found.parts, "part string, begin bigint, number int, base bigint")
    lines = read_lines(spark, files)
    rows = (
        lines.join(
            F.broadcast(bases), (lines["file"] == bases["part"]) & (lines["start"] == bases["begin"]), "left"
        )
        .select(
            F.col("number").alias("file"),
            (F.col("row") + F.col("base")).alias("record"),
            decoded(str(layout.encoding)).alias("text"),
        )
        .where(F.col("record").isNull() | (F.col("record") > layout.header_records))
        .withColumn("fields", divide(F.col("text"), delimiter))
        .withColumn("width", F.size("fields"))
    )
    is_whole = F.col("width") == width
    is_void = ~F.col("text").rlike(f"[^{WHITESPACE}{re.escape(delimiter)}]")
    # Only quotes may hide that all fields are empty.
    is_hollow = F.col("text").contains('"') & is_blank(F.array_join("fields", ""))
    rows = rows.withColumn(
        "problem",
        F.when(is_void | (is_whole & is_hollow), F.lit(BLANK))
        .when(is_whole, F.lit(USABLE))
        .otherwise(F.lit(RAGGED)),
    ).select(
        "file",
        "record",
        "problem",
        "width",
        F.when(F.col("problem") == RAGGED, F.col("text")).alias("text"),
        *(
            F.when(is_whole, F.col("fields")[place]).alias(name)
            for place, name in enumerate(column_names(width))
        ),
    )
    sources = columns.resolve(layout.columns, name=files[0].name)
    judged = judge(rows, sources, names=column_names(width), decimal=columns.decimal)
    return Part(layout, sources, judged, tuple(files))


def _read_parquet(spark: Any, files: Sequence[SparkFile], *, columns: ColumnMap) -> Part:
    from pyspark.sql import functions as F  # noqa: N812, PLC0415
    from pyspark.sql import types as T  # noqa: N812, PLC0415

    frame = spark.read.option("mergeSchema", "true").parquet(*(file.pattern for file in files))
    layout = replace(files[0].layout, columns=tuple(frame.columns))
    names = column_names(len(layout.columns))
    sources = columns.resolve(layout.columns, name=files[0].name)
    kinds = [field.dataType for field in frame.schema.fields]
    for source in sources:
        for place in source.positions:
            if not isinstance(kinds[place], (T.NumericType, T.StringType, T.NullType)):
                kind = kinds[place].simpleString()
                raise DatasetError(
                    f"{files[0].name}: the column {layout.columns[place]!r} holds {kind}; "
                    f"{source.target} can be read from numbers, decimals and text"
                )
    own = frame.select(
        *(frame[_ticked(column)].alias(name) for column, name in zip(layout.columns, names, strict=True)),
        F.input_file_name().alias("path"),
        (F.col("_metadata.row_index") + 1).alias("record"),
    )
    found = [row.path for row in own.select("path").distinct().collect()]
    numbers = {file.key: file.number for file in files}
    bases = small_table(spark, [(path, numbers[file_key(path)]) for path in found], "uri string, file int")
    is_void = F.lit(True)
    for name, kind in zip(names, kinds, strict=True):
        column = F.col(name)
        is_void &= column.isNull() | is_blank(column) if isinstance(kind, T.StringType) else column.isNull()
    rows = own.join(F.broadcast(bases), own["path"] == bases["uri"], "left").select(
        "file",
        "record",
        F.when(is_void, F.lit(BLANK)).otherwise(F.lit(USABLE)).alias("problem"),
        F.lit(len(names)).alias("width"),
        F.lit(None).cast("string").alias("text"),
        *names,
    )
    judged = judge(rows, sources, names=names, decimal=columns.decimal)
    return Part(layout, sources, judged, tuple(files))


def _ticked(name: str) -> str:
    return f"`{name.replace('`', '``')}`"
