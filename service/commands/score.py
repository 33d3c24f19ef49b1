"""Give every customer of a file a segment: `segserve score`."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands.cluster import load_session
from service.commands.options import (
    DecimalOption,
    Engine,
    EngineOption,
    JsonOption,
    MapOption,
    SparkOption,
    StoreOption,
    check_engine,
)
from service.errors import (
    ConfigurationError,
    MissingExtraError,
    ModelNotFoundError,
    UntrustedArtifactError,
)
from service.imports import importing

if TYPE_CHECKING:
    from service.model import SegmentModel
    from service.settings import Settings
    from service.training.record import TrainingRecord
    from service.training.score import Previous, ScoreReport


def score(
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="Customer file: CSV or Parquet; for Spark also a folder, a pattern or s3://.",
        ),
    ],
    *,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="File to write, for Spark a folder of parts: CSV, or Parquet by its ending.",
            show_default=False,
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|VERSION",
            help="An artifact's path or a version of the store. Default: production, else the latest.",
            show_default=False,
        ),
    ] = None,
    store: StoreOption = None,
    column_map: MapOption = None,
    decimal: DecimalOption = ".",
    prefix: Annotated[str, typer.Option(help="Stands before the names of the added columns.")] = "",
    previous: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|VERSION",
            help="The model whose segments are the previous ones. Default: the version that this one "
            "follows, if the store holds it.",
            show_default=False,
        ),
    ] = None,
    previous_column: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Column of the file that holds the previous segments.", show_default=False
        ),
    ] = None,
    engine: EngineOption = Engine.LOCAL,
    spark_conf: SparkOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy a file with a segment for every customer."""
    if previous is not None and previous_column is not None:
        raise ConfigurationError("--previous and --previous-column exclude each other: give one of them")
    check_engine(engine, spark_conf)
    try:
        from service.training.expression import parse_mapping
        from service.training.record import read_record
        from service.training.score import Previous
    except ModuleNotFoundError as exc:
        raise MissingExtraError("score", extra="train", package=exc.name or "a package") from exc
    from service.commands.output import print_json, progress_bar
    from service.settings import read_settings
    from service.store import find_artifact
    from service.trust import read_trusted

    settings = read_settings(model=model, store=store)
    artifact = read_trusted(find_artifact(settings.model, store=Path(settings.store)), settings)
    record = read_record(artifact)
    with progress_bar() as on_progress:
        report = _scorer(None if engine is Engine.LOCAL else spark_conf or [])(
            source,
            output,
            model=artifact.model,
            version=artifact.manifest.model_version,
            mapping=parse_mapping(column_map or []),
            decimal=decimal,
            prefix=prefix,
            previous=Previous(
                model=None if previous_column else _find_previous(previous, record, settings),
                column=previous_column,
            ),
            trained=record.columns,
            on_progress=lambda done, total: on_progress("Scoring", done, total),
        )
    if as_json:
        print_json(
            {**asdict(report), "model_version": artifact.manifest.model_version, "output": str(output)}
        )
        return
    typer.echo(f"{report.scored:,} customers scored with {artifact.manifest.model_version}, in {output}")
    for segment, size in zip(artifact.model.segments, report.sizes, strict=True):
        typer.echo(f"  {segment.id}  {segment.name}: {size:,}")
    if report.columns and not column_map:
        typer.echo(f"  {', '.join(f'{name} is {text}' for name, text in report.columns.items())}")
    if report.changed is not None:
        typer.echo(f"  {report.changed:,} changed their segment")
    if report.unusable:
        typer.echo(f"  {report.unusable:,} have no segment: the column '{prefix}note' says why")
    if report.blank:
        typer.echo(f"  {report.blank:,} blank rows left out")
    if report.ragged:
        typer.echo(
            f"  {report.ragged:,} rows left out: they do not have the file's columns "
            f"({_lines(report.ragged_lines)})"
        )


def _scorer(spark_conf: list[str] | None) -> "Callable[..., ScoreReport]":
    """Return what scores: this machine where no settings of Spark are given."""
    with importing():
        from service.training.score import score_file

    if spark_conf is None:
        return lambda source, target, **options: score_file(Path(source), Path(target), **options)
    session = load_session("score")

    settings = session.parse_settings(spark_conf)

    def score(source: str, target: str, *, previous: "Previous", **options: Any) -> "ScoreReport":
        if previous.column is not None:
            raise ConfigurationError(
                "--previous-column is not known to --engine spark; name a model: --previous"
            )
        with session.spark_session(settings, command="score") as spark:
            from service.training.spark.score import score_by_spark

            return score_by_spark(spark, source, target, previous=previous, **options)

    return score


def _find_previous(wish: str | None, record: "TrainingRecord", settings: "Settings") -> "SegmentModel | None":
    """Return the model of the previous segments; None where none was named and none is known."""
    from service.store import Store, find_artifact
    from service.trust import read_signed

    store = Path(settings.store)
    if wish is not None:
        return read_signed(find_artifact(wish, store=store), settings).model
    lineage = record.get("lineage")
    version = lineage.get("previous") if isinstance(lineage, dict) else None
    if not isinstance(version, str):
        return None
    try:
        return read_signed(Store(store).resolve(version), settings).model
    except (ModelNotFoundError, UntrustedArtifactError):
        return None


def _lines(lines: tuple[int, ...]) -> str:
    more = ", ..." if len(lines) > 10 else ""
    return f"line {', '.join(str(line) for line in lines[:10])}{more}"
