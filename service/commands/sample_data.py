"""Write made-up customers: `segserve sample-data`."""

import csv
from pathlib import Path
from typing import Annotated

import typer

from service.errors import ServiceError
from service.training.sample import SAMPLE_COLUMNS, SAMPLE_RECORDS, SAMPLE_SEED, sample_customers


def sample_data(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="CSV file to write.", dir_okay=False, show_default=False)
    ],
    *,
    n: Annotated[int, typer.Option("--n", min=1, help="Number of customers.")] = SAMPLE_RECORDS,
    seed: Annotated[int, typer.Option(help="The same seed gives the same customers.")] = SAMPLE_SEED,
) -> None:
    """Write made-up customers, about 2 % of them without a purchase."""
    try:
        with output.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(SAMPLE_COLUMNS)
            writer.writerows(sample_customers(n, seed=seed))
    except OSError as exc:
        raise ServiceError(f"{output} cannot be written: {exc.strerror}") from exc
    typer.echo(f"Wrote {n} customers to {output}")
