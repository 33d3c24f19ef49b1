"""Write made-up customers: `segserve sample-data`."""

from pathlib import Path
from typing import Annotated

import typer


def sample_data(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="CSV file to write.", dir_okay=False, show_default=False)
    ],
    *,
    n: Annotated[int, typer.Option("--n", min=1, help="Number of customers.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same customers.")] = 42,
) -> None:
    """Write made-up customers, about 2 % of them without a purchase."""
    from service.training.sample import write_sample

    write_sample(output, n=n, seed=seed)
    typer.echo(f"Wrote {n:,} customers to {output}")
