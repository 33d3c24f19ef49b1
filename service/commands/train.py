"""Say which options `segserve train` has."""

from pathlib import Path
from typing import Annotated

import typer

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
from service.commands.training_run import train_version
from service.transform import Transform


def train(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE",
            help="Customer files: CSV or Parquet; for Spark also folders, patterns and s3://. "
            "None inside a container: SageMaker's training job.",
            show_default=False,
        ),
    ] = None,
    *,
    k: Annotated[str, typer.Option(help="Number of segments, or auto to choose it.")] = "auto",
    transform: Annotated[Transform, typer.Option(help="Applied to Spending_Power.")] = Transform.NONE,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the random starts.")] = 42,
    store: StoreOption = None,
    column_map: MapOption = None,
    id_column: Annotated[
        str | None, typer.Option("--id-column", help="Column that identifies a customer.", show_default=False)
    ] = None,
    decimal: DecimalOption = ".",
    previous: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION",
            help="Version to continue: its segments keep their ids and names. none starts anew. "
            "Default: production, else none.",
            show_default=False,
        ),
    ] = None,
    sign_key: Annotated[
        Path | None,
        typer.Option(
            "--sign-key",
            metavar="FILE",
            help="Ed25519 private key that signs the version: see models keygen.",
            show_default=False,
        ),
    ] = None,
    engine: EngineOption = Engine.LOCAL,
    spark_conf: SparkOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read customers, find segments and write a new model version."""
    check_engine(engine, spark_conf)
    train_version(
        files or [],
        k=k,
        transform=transform,
        seed=seed,
        store=store,
        column_map=column_map or [],
        id_column=id_column,
        decimal=decimal,
        previous=previous,
        sign_key=sign_key,
        spark_conf=None if engine is Engine.LOCAL else spark_conf or [],
        as_json=as_json,
    )
