"""Declare the options that several commands share."""

from typing import Annotated

import typer

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

VersionArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="VERSION",
        help="A version, latest, production, or an artifact's path; default: what would be served.",
        show_default=False,
    ),
]
