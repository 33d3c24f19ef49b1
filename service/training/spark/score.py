"""Give every customer a segment by Spark: into a folder of parts that is whole, or is none.

Spark writes each part under a name of the attempt and moves it when its task is committed: a part that is
computed twice, for an executor died, is there once. The job as a whole ends with the file _SUCCESS; a job
that is started again writes the folder anew.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from service.errors import ConfigurationError, DatasetError
from service.features import AGE, INCOME, PURCHASES
from service.model import SegmentModel
from service.training.columns import ColumnMap, locate_columns
from service.training.expression import fold_name
from service.training.notes import PLAIN_NOTES
from service.training.score import SCORE_COLUMNS, Previous, ScoreReport
from service.training.spark.assignment import with_label, with_segments
from service.training.spark.files import list_folder, open_files
from service.training.spark.judging import BLANK, RAGGED, USABLE
from service.training.spark.reading import Part, read_parts
from service.training.table_file import OTHER_FORMATS, PARQUET_ENDING

_STAGES: Final = 3
_MAX_LINES: Final = 11
_OURS: Final = ("part-", "_", ".")
"""How the names begin of what Spark leaves in a folder."""


def score_by_spark(  # noqa: PLR0913  # an option is an argument
    spark: Any,
    source: str,
    target: str,
    *,
    model: SegmentModel,
    version: str,
    mapping: Mapping[str, str],
    decimal: str,
    prefix: str,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    previous: Previous | None = None,
    trained: Mapping[str, str] | None = None,
) -> ScoreReport:
    """Score customer files into a folder: see `score_file`, whose columns these are.

    Args:
        spark: The session.
        source: A path, a folder, a pattern or an address such as s3://; all files of one layout.
        target: The folder; what an earlier job left there is replaced. Parquet when it ends in .parquet.
        model: Assigns the records.
        version: Its version, which stands in every scored row.
        mapping: Expressions for Age, Income and Purchases where a column of that name will not do.
        decimal: What stands before the fraction in text, "." or ",".
        prefix: Stands before the names of the added columns.
        on_progress: Called after every stage.
        previous: The model of the previous segments; None leaves their columns empty.
        trained: The expressions of the training data, for what neither the files nor the mapping has.

    Raises:
        ConfigurationError: A column of that name is there already, or an option is not accepted.
        DatasetError: A file cannot be read or written.
    """
    ending = PurePosixPath(target).suffix.lower()
    if ending in OTHER_FORMATS:
        raise ConfigurationError(
            f"{target} cannot be written: CSV and Parquet are written, not {ending}; "
            f"name a folder that ends in .csv or {PARQUET_ENDING}"
        )
    from pyspark.sql import Observation  # noqa: PLC0415  # pyspark is optional

    files = open_files(spark, [source])
    _check_target(spark, target, {file.key for file in files})
    parts = read_parts(spark, files, columns=ColumnMap(mapping, decimal=decimal, trained=trained))
    if len(parts) > 1:
        first, other = (part.files[0].name for part in parts[:2])
        raise DatasetError(
            f"{first} and {other} differ in their columns, delimiter or encoding; score them one by one"
        )
    part = parts[0]
    _check_names([prefix + name for name in SCORE_COLUMNS], part)
    on_progress(1, _STAGES)
    rows = _scored(part.frame, part, model, version=version, previous=previous or Previous())
    observed = Observation()
    rows = rows.observe(observed, *_counts(model)).where(f"problem <> {BLANK} AND problem <> {RAGGED}")
    _write(rows, part, target, prefix=prefix, to_parquet=ending == PARQUET_ENDING)
    on_progress(2, _STAGES)
    report = _report(
        observed.get, part, model, is_previous_known=previous is not None and previous.model is not None
    )
    on_progress(_STAGES, _STAGES)
    return report


def _check_target(spark: Any, target: str, keys: set[str]) -> None:
    """Refuse a folder that holds anything else than an earlier job's parts, or the input itself."""
    for name, key in list_folder(spark, target):
        if key in keys:
            raise ConfigurationError(f"{target} holds the customers themselves; name another folder")
        if not name.startswith(_OURS):
            raise ConfigurationError(
                f"{target} holds {name}, which no job of this kind wrote; name a new folder for the parts"
            )


def _check_names(names: Sequence[str], part: Part) -> None:
    taken = locate_columns(part.layout.columns, name=part.files[0].name)
    for name in names:
        if fold_name(name) in taken:
            raise ConfigurationError(
                f"{part.files[0].name} has a column {name!r} already; choose other names "
                "with --prefix, for example --prefix new_"
            )


def _scored(frame: Any, part: Part, model: SegmentModel, *, version: str, previous: Previous) -> Any:
    """Add SCORE_COLUMNS to judged rows."""
    from pyspark.sql import functions as F  # noqa: N812, PLC0415

    is_usable = F.col("problem") == USABLE
    frame = frame.withColumns({name: F.when(is_usable, F.col(name)) for name in (AGE, INCOME, PURCHASES)})
    frame = with_segments(frame, model)
    if previous.model is None:
        frame = frame.withColumn("previous_segment", F.lit(None).cast("int"))
    else:
        frame = with_label(frame, previous.model, name="previous_segment")
    reasons = F.array(F.lit(""), *(F.lit(problem.reason) for problem in part.judged.problems))
    plain = F.array(*(F.lit(note) for note in PLAIN_NOTES))
    code = (F.col(PURCHASES) == 0).cast("int") + 2 * F.col(INCOME).isNull().cast("int")  # as note_codes
    own_note = F.element_at(plain, code + 1)
    return frame.withColumns(
        {
            "changed": F.col("previous_segment") != F.col("segment"),
            "model_version": F.when(is_usable, F.lit(version)),
            "note": F.when(is_usable, own_note).otherwise(
                F.element_at(reasons, F.greatest(F.col("problem"), F.lit(0)) + 1)
            ),
        }
    )


def _counts(model: SegmentModel) -> list[Any]:
    """Return what is to be counted while the rows are written."""
    from pyspark.sql import functions as F  # noqa: N812, PLC0415

    problem = F.col("problem")
    conditions = {
        "unusable": problem > USABLE,
        "ragged": problem == RAGGED,
        "blank": problem == BLANK,
        "changed": F.col("changed"),
        **{f"segment {number}": F.col("segment") == number for number in model.ids},
    }
    return [F.count(F.when(condition, 1)).alias(name) for name, condition in conditions.items()]


def _report(
    counts: Mapping[str, int], part: Part, model: SegmentModel, *, is_previous_known: bool
) -> ScoreReport:
    from pyspark.sql import functions as F  # noqa: N812, PLC0415

    lines: list[int] = []
    if counts["ragged"]:
        ragged = part.frame.where(F.col("problem") == RAGGED).orderBy("file", "record").limit(_MAX_LINES)
        lines = [row.record for row in ragged.select("record").collect()]
    sizes = tuple(counts[f"segment {number}"] for number in model.ids)
    return ScoreReport(
        scored=sum(sizes),
        unusable=counts["unusable"],
        ragged=counts["ragged"],
        ragged_lines=tuple(lines),
        blank=counts["blank"],
        sizes=sizes,
        changed=counts["changed"] if is_previous_known and any(sizes) else None,
        columns={one.target: one.text for one in part.sources if one.text != one.target},
    )


def _write(rows: Any, part: Part, target: str, *, prefix: str, to_parquet: bool) -> None:
    from pyspark.sql import functions as F  # noqa: N812, PLC0415

    own = [F.col(name).alias(column) for name, column in zip(part.names, part.layout.columns, strict=True)]
    added = []
    for name in SCORE_COLUMNS:
        column = F.col(name)
        if name == "confidence" and not to_parquet:  # as Arrow writes it: 1, not 1.0
            column = F.regexp_replace(column.cast("string"), r"\.0$", "")
        added.append(column.alias(prefix + name))
    writer = rows.select(*own, *added).write.mode("overwrite")
    # Version 1 moves parts into place when the whole job ends; version 2 would leave some of a failed one.
    writer = writer.option("mapreduce.fileoutputcommitter.algorithm.version", "1")
    if to_parquet:
        writer.parquet(target)
        return
    writer.options(
        header=True,
        sep=part.layout.delimiter or ",",
        escape='"',
        emptyValue="",
        nullValue="",
        ignoreLeadingWhiteSpace=False,
        ignoreTrailingWhiteSpace=False,
    ).csv(target)
