"""Draw bars on a logarithmic scale as an SVG, readable without anything else."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_WIDTH: Final = 860
_LEFT: Final = 360
_RIGHT: Final = 80
_TOP: Final = 44
_ROW: Final = 24
_COLOURS: Final = {"ours": "#0b5fa5", "peer": "#b3440f", "ceiling": "#5c5c5c"}
"""Each has a contrast of 4.5 and more against white, as WCAG 2.2 (1.4.3) asks of text."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Hold one bar and the spread of what it stands for."""

    label: str
    value: float
    low: float
    high: float
    kind: str


def bars(title: str, shown: Sequence[Bar]) -> str:
    """Return a bar a row, with a whisker from the least to the most, and its value beside it."""
    bottom = math.floor(math.log10(min(bar.low for bar in shown if bar.low > 0)))
    top = max(math.ceil(math.log10(max(bar.high for bar in shown))), bottom + 1)
    height = _TOP + _ROW * len(shown) + 16

    def x(value: float) -> float:
        share = (math.log10(max(value, 10.0**bottom)) - bottom) / (top - bottom)
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * share

    parts = [f'<text x="12" y="20" font-size="14" font-weight="bold">{html.escape(title)}</text>']
    for power in range(bottom, top + 1):
        place = x(10.0**power)
        parts.append(
            f'<path d="M{place:.1f} {_TOP - 4}V{height - 12}" stroke="#ddd"/>'
            f'<text x="{place:.1f}" y="{_TOP - 8}" text-anchor="middle">{10.0**power:,g}</text>'
        )
    for row, bar in enumerate(shown):
        y = _TOP + _ROW * row
        middle = y + _ROW / 2
        colour = _COLOURS[bar.kind]
        parts.append(
            f'<text x="{_LEFT - 8}" y="{middle + 4}" text-anchor="end">{html.escape(bar.label)}</text>'
            f'<rect x="{_LEFT}" y="{y + 4}" width="{max(x(bar.value) - _LEFT, 1):.1f}" height="{_ROW - 8}"'
            f' fill="{colour}"/>'
            f'<path d="M{x(bar.low):.1f} {middle}H{x(bar.high):.1f}" stroke="#222"/>'
            f'<text x="{x(bar.high) + 6:.1f}" y="{middle + 4}" fill="{colour}">{_text(bar.value)}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{html.escape(title)}" font-family="sans-serif" font-size="12" fill="#222">'
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _text(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
