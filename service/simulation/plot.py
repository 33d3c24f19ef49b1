"""Draw a simulated day as an SVG, readable without anything else."""

import html
import math
from collections.abc import Callable, Sequence
from typing import Final

from service.simulation.day import Day, Minute

_WIDTH: Final = 720
_HEIGHT: Final = 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 40, 30
_COLOURS: Final = ("#0b6e99", "#c0392b")
_DASHES: Final = ("", ' stroke-dasharray="6 4"')
"""Lines differ by more than their colour."""

Line = tuple[str, Sequence[float | None]]


def draw(day: Day) -> str:
    """Return a chart of requests, of instances, of latencies and of requests without an answer."""
    minutes = day.minutes
    policy = day.policy
    title = f"min {policy.minimum}, max {policy.maximum}, target {policy.target:,.10g} a minute and instance"
    charts = (
        (
            f"requests/s; {title}",
            [
                ("sent", _of(minutes, lambda minute: minute.requests / 60)),
                (
                    "what the instances can answer",
                    _of(minutes, lambda minute: minute.instances * day.hosting.capacity),
                ),
            ],
            False,
        ),
        (
            "instances",
            [
                ("that take traffic", _of(minutes, lambda minute: minute.instances)),
                ("that are paid for", _of(minutes, lambda minute: minute.billed)),
            ],
            False,
        ),
        (
            "latency in the container, ms",
            [
                ("p50", [minute.p50_ms for minute in minutes]),
                ("p99", [minute.p99_ms for minute in minutes]),
            ],
            True,
        ),
        (
            "requests/s without an answer",
            [
                ("gone after waiting too long", _of(minutes, lambda minute: minute.failed / 60)),
                ("throttled by AWS", _of(minutes, lambda minute: minute.throttled / 60)),
            ],
            False,
        ),
    )
    parts = [
        f'<g transform="translate(0 {_HEIGHT * index})">{_chart(name, lines, is_logarithmic=is_steep)}</g>'
        for index, (name, lines, is_steep) in enumerate(charts)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT * len(charts)}" role="img" '
        f'aria-label="A simulated day of an endpoint" font-family="sans-serif" font-size="12" fill="#222">'
        f'<rect width="{_WIDTH}" height="{_HEIGHT * len(charts)}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _of(minutes: Sequence[Minute], value: Callable[[Minute], float]) -> list[float | None]:
    return [value(minute) for minute in minutes]


def _chart(title: str, lines: Sequence[Line], *, is_logarithmic: bool) -> str:
    known = [value for _, values in lines for value in values if value is not None]
    if is_logarithmic:
        low = math.floor(math.log10(max(min(known, default=1), 1e-3)))
        high = max(math.ceil(math.log10(max(known, default=1))), low + 1)
        ticks = [10.0**power for power in range(low, high + 1)]
    else:
        ticks = _ticks(max(known, default=0))
    parts = [f'<text x="{_LEFT}" y="14" font-size="14" font-weight="bold">{html.escape(title)}</text>']

    def height(value: float) -> float:
        if is_logarithmic:
            share = math.log(max(value, ticks[0]) / ticks[0]) / math.log(ticks[-1] / ticks[0])
        else:
            share = value / ticks[-1]
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share

    for tick in ticks:
        y = height(tick)
        parts.append(
            f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:,.10g}</text>'
        )
    n_minutes = len(lines[0][1])
    for hour in range(0, n_minutes // 60 + 1, max(n_minutes // 60 // 8, 1)):
        x = _x(hour * 60, n_minutes)
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{hour} h</text>')
    for index, (name, values) in enumerate(lines):
        stroke = f'fill="none" stroke="{_COLOURS[index]}" stroke-width="1.5"{_DASHES[index]}'
        key = _LEFT + 300 * index
        parts += [f'<polyline points="{points}" {stroke}/>' for points in _runs(values, height)]
        parts.append(
            f'<path d="M{key} 26h24" {stroke}/><text x="{key + 30}" y="30">{html.escape(name)}</text>'
        )
    return "".join(parts)


def _runs(values: Sequence[float | None], height: Callable[[float], float]) -> list[str]:
    """Return the points of each stretch without a gap."""
    runs: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append(f"{_x(place, len(values)):.1f},{height(value):.1f}")
    return [" ".join(run) for run in runs if run]


def _x(minute: float, n_minutes: int) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * minute / max(n_minutes, 1)


def _ticks(highest: float) -> list[float]:
    """Return round numbers from 0 to above the highest value."""
    if highest <= 0:
        return [0.0, 1.0]
    unit = 10.0 ** math.floor(math.log10(highest))
    step = next(step for step in (unit / 4, unit / 2, unit, unit * 2.5) if highest / step <= 4)
    return [step * place for place in range(math.ceil(highest / step) + 1)]
