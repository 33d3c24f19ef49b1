"""Say what runs on SageMaker, since when and at what price: `segserve costs`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.aws import ProfileOption, RegionOption, open_session
from service.commands.options import JsonOption

if TYPE_CHECKING:
    from service.aws.price_table import PriceTable
    from service.aws.prices import Cost


def costs(
    *,
    prices: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Another price table, for other regions.", show_default=False),
    ] = None,
    region: RegionOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List every endpoint of the region, whoever made it: since when it runs, and what it costs."""
    session = open_session("costs", region=region, profile=profile)
    from datetime import UTC, datetime

    from rich.table import Table

    from service.aws.price_table import HOURS_A_MONTH, read_prices
    from service.aws.prices import as_document
    from service.aws.prices import costs as find_costs
    from service.commands.output import console, print_json

    table = read_prices(prices)
    now = datetime.now(UTC)
    found = find_costs(session, table)
    known = sum(cost.hourly or 0 for cost in found)
    unknown = sum(cost.hourly is None for cost in found)
    if as_json:
        print_json(
            {
                "region": session.region,
                "prices_as_of": table.as_of.isoformat(),
                "currency": table.currency,
                "hourly": round(known, 4),
                "without_price": unknown,
                "endpoints": [as_document(cost, now=now) for cost in found],
            }
        )
        return
    if not found:
        typer.echo(f"No endpoint in {session.region}: nothing bills by the hour")
        return
    rows = Table(box=None)
    for name in ("endpoint", "status", "made by", "since", "runs on", "an hour", "so far", "until", ""):
        rows.add_column(name, justify="right" if name in {"an hour", "so far"} else "left")
    for cost in found:
        rows.add_row(
            cost.endpoint,
            cost.status,
            "segserve" if cost.is_ours else "others",
            f"{cost.since:%Y-%m-%d %H:%M}",
            cost.hosting,
            _money(cost.hourly, table),
            _money(cost.so_far(now=now), table),
            cost.expires or "no end",
            cost.note,
        )
    console().print(rows)
    more = f", and {unknown} without a known price" if unknown else ""
    typer.echo(
        f"Together {_money(known, table)} an hour, {_money(known * HOURS_A_MONTH, table)} a month{more}. "
        f"Prices of {table.as_of}, {table.currency}; {table.source}"
    )
    if session.is_local("sagemaker"):
        typer.echo("This SageMaker is on this machine and bills nothing: so it would be on AWS.")


def in_words(cost: "Cost", table: "PriceTable") -> str:
    """Return what an endpoint runs on, what that costs and until when."""
    price = "price unknown" if cost.hourly is None else f"{_money(cost.hourly, table)} an hour"
    until = f"until {cost.expires}" if cost.expires else "until it is deleted"
    note = f" ({cost.note})" if cost.note else ""
    return f"runs on {cost.hosting}: {price}{note}, {until}"


def _money(amount: float | None, table: "PriceTable") -> str:
    if amount is None:
        return "?"
    return f"{'$' if table.currency == 'USD' else f'{table.currency} '}{amount:,.2f}"
