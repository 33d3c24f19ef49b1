"""Declare the options that several commands share."""

from enum import StrEnum
from typing import Annotated

import typer

from service.errors import ConfigurationError

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]

StoreOption = Annotated[
    str | None, typer.Option(help="Folder of model versions. Default: models.", show_default=False)
]

MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="COLUMN=EXPRESSION",
        help="Where Age, Income or Purchases comes from: a column's name, or arithmetic of columns "
        "(+ - * / and parentheses). Repeatable.",
        show_default=False,
    ),
]

DecimalOption = Annotated[str, typer.Option(help="Decimal mark of the numbers in the file: . or ,")]


class Engine(StrEnum):
    """Name what reads the files."""

    LOCAL = "local"
    """This machine."""
    SPARK = "spark"
    """Apache Spark, on this machine or a cluster."""


EngineOption = Annotated[
    Engine,
    typer.Option(help="What reads the files: this machine, or Apache Spark where they do not fit one."),
]

SparkOption = Annotated[
    list[str] | None,
    typer.Option(
        "--spark-conf",
        metavar="KEY=VALUE",
        help="A setting of Spark, such as spark.master=spark://host:7077. Repeatable.",
        show_default=False,
    ),
]


def check_engine(engine: Engine, spark_conf: list[str] | None) -> None:
    """Raise ConfigurationError where settings of Spark are given to no Spark."""
    if spark_conf and engine is not Engine.SPARK:
        raise ConfigurationError("--spark-conf needs --engine spark")


VersionArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="VERSION",
        help="A version, latest, production, or an artifact's path; default: what would be served.",
        show_default=False,
    ),
]
