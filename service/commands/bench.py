"""Put load on a server: `segserve bench`."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.options import JsonOption

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from service.load.comparison import Comparison, Effort, Result, Workload
    from service.load.tools import Tool

_BAR_WIDTH = 40

UrlsArgument = Annotated[
    list[str],
    typer.Argument(metavar="URL...", help="One server, or two to compare. Without a path: /invocations."),
]
RecordsOption = Annotated[
    list[int] | None,
    typer.Option(
        min=1,
        max=1_000_000,
        help="Records in a payload. Repeatable. Default: 1, 100 and 10000.",
        show_default=False,
    ),
]
BodyOption = Annotated[
    Path | None,
    typer.Option(
        exists=True, dir_okay=False, help="Post this file instead of made-up customers.", show_default=False
    ),
]
TypeOption = Annotated[str, typer.Option(help="Content type of --body.")]
ConnectionsOption = Annotated[
    int, typer.Option(min=1, max=10_000, help="Connections, each with one request at a time.")
]
SecondsOption = Annotated[int, typer.Option(min=1, max=3600, help="Length of a round.")]
RoundsOption = Annotated[
    int, typer.Option(min=1, max=1000, help="Rounds of each payload on each server; shown is the median.")
]
WarmUpOption = Annotated[int, typer.Option(min=0, max=3600, help="Seconds of load beforehand, not counted.")]
ToolOption = Annotated[
    str | None,
    typer.Option(
        metavar="wrk|hey|python",
        help="Load generator. Default: wrk or hey where installed, else our own.",
        show_default=False,
    ),
]
PlotOption = Annotated[
    Path | None, typer.Option(help="Write a chart of the latencies here, as SVG.", show_default=False)
]


def bench(
    urls: UrlsArgument,
    *,
    records: RecordsOption = None,
    body: BodyOption = None,
    content_type: TypeOption = "application/json",
    connections: ConnectionsOption = 16,
    seconds: SecondsOption = 2,
    rounds: RoundsOption = 3,
    warm_up: WarmUpOption = 1,
    tool: ToolOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put load on a server and show throughput and latencies; with two URLs, compare them.

    Only load servers that are yours to load. Fails when a request fails.
    """
    from service.commands.output import print_json, progress_bar
    from service.errors import ConfigurationError
    from service.load.comparison import Effort, Workload, compare, describe, invocations_url, records_workload
    from service.load.plot import draw

    if len(urls) > 2:
        raise ConfigurationError(f"{len(urls)} URLs are not accepted: it should be one, or two to compare")
    if body is not None and records:
        raise ConfigurationError("--body and --records cannot be used together")
    workloads = (
        [Workload(body.name, body.read_bytes(), content_type, records=None)]
        if body is not None
        else [records_workload(n) for n in records or (1, 100, 10_000)]
    )
    effort = Effort(_tool(tool), connections, seconds=seconds, rounds=rounds, warm_up_s=warm_up)
    targets = [invocations_url(url) for url in urls]
    if len(set(targets)) < len(targets):
        raise ConfigurationError("the two URLs are the same server")
    with progress_bar() as bar:
        comparison = compare(targets, workloads, effort, on_progress=bar)
    if plot is not None:
        _write(plot, draw(comparison))
    if as_json:
        print_json(describe(comparison, effort))
    else:
        _show(comparison, workloads, effort)
    _check(comparison)


def _tool(name: str | None) -> "Tool":
    from service.errors import ConfigurationError
    from service.load.tools import Tool, find_tool

    if name is None:
        return find_tool()
    if name not in set(Tool):
        raise ConfigurationError(f"--tool {name!r} is not accepted: it should be one of {', '.join(Tool)}")
    return Tool(name)


def _write(path: Path, chart: str) -> None:
    from service.errors import LoadError

    try:
        path.write_text(chart, encoding="utf-8")
    except OSError as exc:
        raise LoadError(f"{path} cannot be written: {exc.strerror}") from None


def _show(comparison: "Comparison", workloads: Sequence["Workload"], effort: "Effort") -> None:
    from service.commands.output import console

    screen = console()
    screen.print(
        f"{effort.tool}, {effort.connections} connections, "
        f"median of {effort.rounds} rounds of {effort.seconds} s after {effort.warm_up_s} s of warm-up"
    )
    for workload in workloads:
        results = [result for result in comparison.results if result.workload is workload]
        screen.print(_table(workload, results))
        for line in _bars(results):
            screen.print(line)
    for name in comparison.different:
        screen.print(f"Note: the servers give different answers to {name}.")


def _table(workload: "Workload", results: Sequence["Result"]) -> "Table":
    from rich.table import Table

    table = Table(title=f"{workload.name}, {len(workload.body):,} bytes", title_justify="left")
    table.add_column("server")
    for column in ("requests/s", "records/s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "slowest", "failed"):
        table.add_column(column, justify="right")
    shown = (50.0, 90.0, 99.0, 99.9, 100.0)
    for result in results:
        load = result.load
        scored = "" if workload.records is None else f"{load.requests_per_s * workload.records:,.0f}"
        table.add_row(
            result.url,
            f"{load.requests_per_s:,.0f}",
            scored,
            *(f"{load.latencies_ms[percentage]:.2f}" for percentage in shown),
            f"{load.failed:,}",
        )
    if len(results) == 2:
        first, second = (result.load for result in results)
        rate = f"x {second.requests_per_s / first.requests_per_s:.2f}"
        ratios = (second.latencies_ms[key] / max(first.latencies_ms[key], 1e-9) for key in shown)
        scored = "" if workload.records is None else rate
        table.add_row("second / first", rate, scored, *(f"x {ratio:.2f}" for ratio in ratios), "")
    return table


def _bars(results: Sequence["Result"]) -> list["Text"]:
    """Return a bar a percentile and server, on a logarithmic scale from half of the smallest latency."""
    from rich.text import Text

    values = [value for result in results for value in result.load.latencies_ms.values()]
    low, high = max(min(values), 1e-3) / 2, max(*values, 2e-3)
    lines = []
    for percentage in results[0].load.latencies_ms:
        for index, result in enumerate(results):
            value = result.load.latencies_ms[percentage]
            share = math.log(max(value, low) / low) / math.log(high / low)
            name = ("slowest" if percentage == 100 else f"p{percentage:g}") if index == 0 else ""
            bar = ("█", "▒")[index] * max(1, round(_BAR_WIDTH * share))
            lines.append(Text(f"  {name:>8} {bar} {value:.2f} ms"))
    return lines


def _check(comparison: "Comparison") -> None:
    from service.errors import LoadError

    failed = {result.url: 0 for result in comparison.results}
    for result in comparison.results:
        failed[result.url] += result.load.failed
    for url, count in failed.items():
        if count:
            raise LoadError(f"{count} requests to {url} failed")
