"""Draw latency by percentile as an SVG, readable without anything else."""

import html
import math
from collections.abc import Sequence
from typing import Final

from service.load.comparison import Comparison, Result
from service.load.result import PERCENTILES

_WIDTH: Final = 720
_HEIGHT: Final = 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 50, 40
_COLOURS: Final = ("#0b6e99", "#c0392b")
_DASHES: Final = ("", ' stroke-dasharray="6 4"')
"""Lines differ by more than their colour."""


def draw(comparison: Comparison) -> str:
    """Return a chart a workload: percentiles to the right, latency upwards on a logarithmic scale."""
    workloads = list(dict.fromkeys(result.workload.name for result in comparison.results))
    height = _HEIGHT * len(workloads)
    charts = [
        f'<g transform="translate(0 {_HEIGHT * index})">{_chart(name, _of(comparison, name))}</g>'
        for index, name in enumerate(workloads)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="Latency by percentile" font-family="sans-serif" font-size="12" fill="#222">'
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>{"".join(charts)}</svg>\n'
    )


def _of(comparison: Comparison, workload: str) -> list[Result]:
    return [result for result in comparison.results if result.workload.name == workload]


def _chart(title: str, results: Sequence[Result]) -> str:
    values = [value for result in results for value in result.load.latencies_ms.values()]
    low = math.floor(math.log10(max(min(values), 1e-3)))
    high = max(math.ceil(math.log10(max(*values, 1e-3))), low + 1)
    parts = [f'<text x="{_LEFT}" y="20" font-size="14" font-weight="bold">{html.escape(title)}</text>']
    for power in range(low, high + 1):
        y = _y(10.0**power, low, high)
        parts.append(
            f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g} ms</text>'
        )
    for index, percentage in enumerate(PERCENTILES):
        name = "slowest" if percentage == 100 else f"p{percentage:g}"
        parts.append(
            f'<text x="{_x(index):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{name}</text>'
        )
    for index, result in enumerate(results):
        points = [
            (_x(place), _y(result.load.latencies_ms[percentage], low, high))
            for place, percentage in enumerate(PERCENTILES)
        ]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        colour, dash = _COLOURS[index % 2], _DASHES[index % 2]
        label = html.escape(f"{result.url}: {result.load.requests_per_s:,.0f} requests/s")
        key = _TOP - 14 + 14 * index
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'
            f'<path d="M{_LEFT + 10} {key - 4}h24" stroke="{colour}" stroke-width="2"{dash}/>'
            f'<text x="{_LEFT + 40}" y="{key}">{label}</text>'
        )
    return "".join(parts)


def _x(place: int) -> float:
    return _LEFT + 20 + (_WIDTH - _LEFT - _RIGHT - 50) * place / (len(PERCENTILES) - 1)


def _y(value_ms: float, low: int, high: int) -> float:
    share = (math.log10(max(value_ms, 10.0**low)) - low) / (high - low)
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share
