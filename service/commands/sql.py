"""Print the SQL that sums up or scores customers where they lie: `segserve sql`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.options import StoreOption, VersionArgument

if TYPE_CHECKING:
    from service.training.athena import Source

app = typer.Typer(
    help="Print the same reading rules and arithmetic as SQL for Amazon Athena; nothing is run.",
    no_args_is_help=True,
)

DialectOption = Annotated[str, typer.Option(metavar="athena", help="Whose SQL.")]
TableOption = Annotated[str, typer.Option(help="Name of the table, with its database or without.")]
AgeOption = Annotated[str, typer.Option(help="Its column of ages.")]
IncomeOption = Annotated[str, typer.Option(help="Its column of incomes.")]
PurchasesOption = Annotated[str, typer.Option(help="Its column of purchases.")]


@app.command("table")
def table(
    csv: Annotated[
        Path,
        typer.Argument(metavar="CSV", help="One of the files, for its header.", exists=True, dir_okay=False),
    ],
    *,
    location: Annotated[str, typer.Option(metavar="s3://BUCKET/PREFIX/", help="Where the files are.")],
    name: Annotated[str, typer.Option("--table", help="What to call the table.")] = "customers",
    dialect: DialectOption = "athena",
) -> None:
    """Print the statement that shows CSV files in S3 to Athena."""
    from service.errors import ConfigurationError
    from service.training.athena import Source, create_table
    from service.training.dialect import find_encoding, is_parquet, sniff

    _check_dialect(dialect)
    if is_parquet(csv):
        raise ConfigurationError(f"{csv} is Parquet, which a Glue crawler shows to Athena: give a CSV file")
    encoding, _ = find_encoding(csv)
    if not encoding.startswith("utf-8"):
        raise ConfigurationError(f"{csv} is {encoding}, and Athena reads UTF-8: convert it first")
    delimiter, columns, _ = sniff(csv, encoding=encoding)
    typer.echo(
        create_table(
            Source(name), [column.strip() for column in columns], delimiter=delimiter, location=location
        ),
        nl=False,
    )


@app.command("cells")
def cells(
    *,
    table: TableOption = "customers",
    age: AgeOption = "Age",
    income: IncomeOption = "Income",
    purchases: PurchasesOption = "Purchases",
    median_income: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Stands in for a missing Income. Default: such customers are left out.",
            show_default=False,
        ),
    ] = None,
    dialect: DialectOption = "athena",
) -> None:
    """Print the query that sums customers up in cells, as training does above a million of them."""
    from service.training import athena

    source = _source(dialect, table, age, income, purchases)
    typer.echo(athena.cells(source, income=median_income), nl=False)


@app.command("score")
def score(
    version: VersionArgument = None,
    *,
    store: StoreOption = None,
    table: TableOption = "customers",
    age: AgeOption = "Age",
    income: IncomeOption = "Income",
    purchases: PurchasesOption = "Purchases",
    keep: Annotated[
        list[str] | None,
        typer.Option(
            help="A column that the answer has, too, like customer_id. Repeatable.", show_default=False
        ),
    ] = None,
    dialect: DialectOption = "athena",
) -> None:
    """Print the query that gives each customer the segment that a model gives."""
    from service.settings import read_settings
    from service.store import find_artifact
    from service.training import athena
    from service.trust import read_signed

    source = _source(dialect, table, age, income, purchases)
    settings = read_settings(model=version, store=store)
    artifact = read_signed(find_artifact(settings.model, store=Path(settings.store)), settings)
    typer.echo(athena.score(source, artifact.model, keep=keep or []), nl=False)


def _source(dialect: str, table: str, age: str, income: str, purchases: str) -> "Source":
    from service.training.athena import Source

    _check_dialect(dialect)
    return Source(table, age, income, purchases)


def _check_dialect(name: str) -> None:
    from service.errors import ConfigurationError

    if name != "athena":
        raise ConfigurationError(f"--dialect {name[:20]!r} is not accepted: there is athena")
