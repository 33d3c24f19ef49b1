"""Open a Spark session, or say in one sentence what it lacks."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from service.errors import ConfigurationError, DatasetError, MissingExtraError

_SPLITS: Final = 64
"""Files are divided into at least so many parts, however many executors have come so far, unless told."""

_SPLITS_SETTING: Final = "spark.sql.files.minPartitionNum"

_FIXED: Final = {
    "spark.sql.ansi.enabled": "false",  # what cannot be cast is null, as the rule of numbers has it
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.caseSensitive": "true",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
}
"""What the results depend on."""


def parse_settings(options: Sequence[str]) -> dict[str, str]:
    """Split `--spark-conf key=value` options.

    Raises:
        ConfigurationError: One is not of that form.
    """
    settings = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or not key.strip().startswith("spark."):
            raise ConfigurationError(
                f"--spark-conf {option!r} is not of the form spark.KEY=VALUE, "
                "such as spark.master=spark://host:7077"
            )
        settings[key.strip()] = value.strip()
    return settings


@contextmanager
def spark_session(settings: Mapping[str, str], *, command: str) -> Iterator[Any]:
    """Provide a session: the one that is running, as in spark-submit, or one of its own that ends here.

    Args:
        settings: Spark's own, such as spark.master; they win over those of spark-submit.
        command: The command that needs it, for messages.

    Raises:
        MissingExtraError: pyspark is not installed.
        ConfigurationError: There is no Java, or Spark refuses the settings.
        DatasetError: Spark fails at what it is told to do.
    """
    try:
        from py4j.protocol import Py4JError  # noqa: PLC0415  # pyspark is optional
        from pyspark.errors import PySparkException  # noqa: PLC0415
        from pyspark.sql import SparkSession  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        raise MissingExtraError(f"{command} --engine spark", extra="spark", package="pyspark") from exc
    is_own = SparkSession.getActiveSession() is None
    if is_own:
        check_java(command)
    builder = SparkSession.builder.appName(f"segserve {command}")
    for key, value in {"spark.ui.showConsoleProgress": "false", **settings}.items():
        builder = builder.config(key, value)
    try:
        spark = builder.getOrCreate()
    except (PySparkException, Py4JError) as exc:
        raise ConfigurationError(f"Spark does not start, see above: {_first_line(exc)}") from exc
    try:
        fix_settings(spark)
        yield spark
    except (PySparkException, Py4JError) as exc:
        raise DatasetError(f"Spark fails: {_first_line(exc)}") from exc
    finally:
        if is_own:
            spark.stop()


def fix_settings(spark: Any) -> None:
    """Set what the results depend on, whatever the cluster's defaults are."""
    for key, value in _FIXED.items():
        spark.conf.set(key, value)
    # Left to itself, Spark divides files by the executors that it has at the moment, which may change.
    if spark.conf.get(_SPLITS_SETTING, None) is None:
        splits = max(_SPLITS, 2 * int(spark.sparkContext.defaultParallelism))
        spark.conf.set(_SPLITS_SETTING, str(splits))


def small_table(spark: Any, rows: Sequence[Sequence[Any]], schema: str) -> Any:
    """Return rows of this machine as a frame, without Python on the workers, as createDataFrame has it."""
    from pyspark.sql import functions as F  # noqa: N812, PLC0415

    names = [column.split()[0] for column in schema.split(", ")]
    text = json.dumps([dict(zip(names, row, strict=True)) for row in rows])
    return spark.range(1).select(F.inline(F.from_json(F.lit(text), f"array<struct<{_typed(schema)}>>")))


def _typed(schema: str) -> str:
    return ", ".join(column.replace(" ", ": ", 1) for column in schema.split(", "))


def to_table(frame: Any) -> pa.Table:
    """Return a small result, by Arrow where Spark can (4.0)."""
    if hasattr(frame, "toArrow"):
        return frame.toArrow()
    rows = frame.collect()
    return pa.table({name: [row[place] for row in rows] for place, name in enumerate(frame.columns)})


def check_java(command: str) -> None:
    """Raise ConfigurationError when there is no Java."""
    home = os.environ.get("JAVA_HOME")
    if not shutil.which("java") and not (home and (Path(home) / "bin" / "java").exists()):
        raise ConfigurationError(
            f"segserve {command} --engine spark needs Java 17 or newer: install it, for example "
            "openjdk-17-jre-headless, or set JAVA_HOME"
        )


def _first_line(error: Exception) -> str:
    """Return the first cause without the traces; Spark's messages name files and settings, no customers."""
    java = getattr(error, "java_exception", None)
    text = str(error) if java is None else str(java.toString())
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    return [type(error).__name__, *lines[:1], *causes[:1]][-1][:300]
