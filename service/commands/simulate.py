"""Try out a scaling policy before it is paid for: `segserve simulate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.options import JsonOption
from service.tracking import DEFAULT_MAXIMUM, DEFAULT_MINIMUM, DEFAULT_TARGET

if TYPE_CHECKING:
    from rich.table import Table

    from service.simulation.day import Day, Method, Minute


def simulate(
    *,
    peak: Annotated[
        float, typer.Option(help="Requests a second at the busiest time of the day, without the spike.")
    ] = 1000.0,
    trough: Annotated[
        float, typer.Option(help="Share of the peak that is left at the quietest time.")
    ] = 0.25,
    hours: Annotated[int, typer.Option(min=1, max=168, help="How long.")] = 24,
    spike: Annotated[float, typer.Option(help="A spike multiplies the requests by this; 1 is none.")] = 1.0,
    spike_at: Annotated[float, typer.Option(help="When it begins, in hours.")] = 9.0,
    spike_minutes: Annotated[float, typer.Option(help="How long it lasts.")] = 20.0,
    spike_ramp: Annotated[float, typer.Option(help="Seconds that it takes to rise.")] = 30.0,
    minimum: Annotated[int, typer.Option("--min", help="As of autoscale.")] = DEFAULT_MINIMUM,
    maximum: Annotated[int, typer.Option("--max", help="As of autoscale.")] = DEFAULT_MAXIMUM,
    target: Annotated[float, typer.Option(help="As of autoscale.")] = DEFAULT_TARGET,
    workers: Annotated[
        int, typer.Option(help="Workers of an instance, each as fast as the measured one.")
    ] = 2,
    bench: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Service times from a result of `segserve bench --json`. Default: measured ones.",
            show_default=False,
        ),
    ] = None,
    bench_workers: Annotated[
        int, typer.Option(min=1, max=192, help="Workers of the server that was measured.")
    ] = 1,
    records: Annotated[
        int | None,
        typer.Option(min=1, help="Records in a request: a payload of the bench.", show_default=False),
    ] = None,
    start_minutes: Annotated[float, typer.Option(help="Until a new instance takes traffic.")] = 5.0,
    metric_delay: Annotated[
        int, typer.Option(help="Seconds from the end of a minute until the alarms see its figure.")
    ] = 60,
    patience: Annotated[
        float, typer.Option(help="Seconds that a request waits before it counts as failed.")
    ] = 60.0,
    quota: Annotated[
        float | None,
        typer.Option(help="InvokeEndpoint calls a second that AWS lets through.", show_default=False),
    ] = None,
    instance_type: Annotated[str, typer.Option(help="What an instance is, for its price.")] = "ml.m5.xlarge",
    region: Annotated[str, typer.Option(help="Where, for the price.")] = "us-east-1",
    prices: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Another price table.", show_default=False)
    ] = None,
    method: Annotated[
        str, typer.Option(metavar="auto|events|fluid", help="Follow each request, or samples.")
    ] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of the random numbers.")] = 0,
    plot: Annotated[
        Path | None, typer.Option(help="Write a chart of the day here, as SVG.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Let a made-up day pass against the policy that `autoscale` writes: instances, latency, failures, cost.

    Needs no account and no network.
    """
    import math

    from service.aws.price_table import read_prices
    from service.commands.output import print_json
    from service.simulation.advice import advise
    from service.simulation.day import Hosting
    from service.simulation.day import simulate as let_pass
    from service.simulation.plot import draw
    from service.simulation.service_times import read_service_times
    from service.simulation.traffic import Traffic
    from service.tracking import TargetTracking

    table = read_prices(prices)
    day = let_pass(
        Traffic(peak, trough, hours, spike, spike_at, spike_minutes, spike_ramp),
        Hosting(
            times=read_service_times(bench, records=records, workers=bench_workers),
            workers=workers,
            start_s=round(start_minutes * 60) if math.isfinite(start_minutes) else -1,
            delay_s=metric_delay,
            patience_s=patience,
            quota=math.inf if quota is None else quota,
            hourly=table.hourly(region, instance_type),
        ),
        TargetTracking(minimum, maximum, target),
        seed=seed,
        method=_method(method),
    )
    advice = advise(day)
    if plot is not None:
        _write(plot, draw(day))
    if as_json:
        prices_of = {"prices_as_of": table.as_of.isoformat(), "currency": table.currency}
        print_json({**day.as_document(), **prices_of, "advice": advice})
        return
    _show(day, instance_type=instance_type, prices=f"prices of {table.as_of}, {region}", advice=advice)


def _method(name: str) -> "Method":
    from service.errors import ConfigurationError
    from service.simulation.day import Method

    if name not in set(Method):
        raise ConfigurationError(
            f"--method {name[:20]!r} is not accepted: it should be one of {', '.join(Method)}"
        )
    return Method(name)


def _write(path: Path, chart: str) -> None:
    from service.errors import LoadError

    try:
        path.write_text(chart, encoding="utf-8")
    except OSError as exc:
        raise LoadError(f"{path} cannot be written: {exc.strerror}") from None


def _show(day: "Day", *, instance_type: str, prices: str, advice: list[str]) -> None:
    from service.commands.output import console

    screen = console()
    times = day.hosting.times
    screen.print(_table(day))
    lost = day.failed + day.throttled
    cost = "price unknown" if day.cost is None else f"${day.cost:,.2f}"
    told = f"p50 {day.p50_ms:.2f} ms, p99 {day.p99_ms:.2f} ms, p99.9 {day.p999_ms:.2f} ms in the container"
    workers = f"{day.hosting.workers} worker{'s' if day.hosting.workers > 1 else ''}"
    lines = [
        f"{day.requests:,} requests, {lost:,} without an answer ({lost / max(day.requests, 1):.3%}); {told}",
        f"{day.instance_hours:,.1f} hours of {instance_type}: {cost} ({prices})",
        f"An instance answers {day.hosting.capacity:,.0f} requests a second with {workers}",
        f"Measured by {times.source}",
    ]
    for line in [*lines, *(f"Advice: {sentence}" for sentence in advice)]:
        screen.print(line, markup=False)


def _table(day: "Day") -> "Table":
    from rich.table import Table

    table = Table(box=None)
    for name in (
        "hour",
        "requests/s",
        "busiest",
        "instances",
        "load",
        "p50 ms",
        "p99 ms",
        "failed",
        "throttled",
    ):
        table.add_column(name, justify="right")
    for hour in range(0, len(day.minutes), 60):
        table.add_row(f"{hour // 60}", *_cells(day.minutes[hour : hour + 60]))
    return table


def _cells(minutes: "tuple[Minute, ...]") -> list[str]:
    sizes = sorted({minute.instances for minute in minutes})
    middle, worst = [
        [value for value in values if value is not None]
        for values in ([minute.p50_ms for minute in minutes], [minute.p99_ms for minute in minutes])
    ]
    return [
        f"{sum(minute.requests for minute in minutes) / 60 / len(minutes):,.0f}",
        f"{max(minute.requests for minute in minutes) / 60:,.0f}",
        f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}",
        f"{max(minute.load for minute in minutes):.0%}",
        f"{max(middle):,.2f}" if middle else "",
        f"{max(worst):,.2f}" if worst else "",
        f"{sum(minute.failed for minute in minutes):,}",
        f"{sum(minute.throttled for minute in minutes):,}",
    ]
