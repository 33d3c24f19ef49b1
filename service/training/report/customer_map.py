"""Draw the map of the customers: who stands where, and where each segment begins and ends."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from service.features import AGE, SPENDING_POWER
from service.model import SegmentModel
from service.training.record import COLUMNS
from service.training.report.charts import color, tint
from service.training.report.markup import Chart, number
from service.transform import Transform

Columns = Mapping[str, npt.NDArray[np.float64]]

_CELLS: Final = (150, 90)
"""Of the grid on which the regions are found, over Age and Spending_Power."""
_SYMBOLS: Final = ("circle", "rect", "triangle", "diamond", "roundRect", "pin", "arrow")


def map_chart(model: SegmentModel, sample: Columns | None, *, logarithmic: bool) -> Chart:
    """Show the customers, the regions and the centroids in the user's units.

    Args:
        model: Divides the plane.
        sample: Customers of the training data; without them regions and centroids are shown alone.
        logarithmic: Whether Spending_Power gets a logarithmic axis.
    """
    centres = centroids(model)
    ages, powers = _extent(model, sample, logarithmic=logarithmic)
    names = [segment.name for segment in model.segments]
    many = 0 if sample is None else len(sample[AGE])
    scale = "logarithmic" if logarithmic else "linear"
    return Chart(
        id="map",
        title="The map of the customers",
        alt=f"{many:,} customers of the training data by Age and Spending_Power ({scale}), on the regions of "
        f"{len(names)} segments. Centres: "
        + "; ".join(
            f"{name} at Age {number(age)} and {number(power)}"
            for name, (age, power) in zip(names, centres, strict=True)
        ),
        option={
            "grid": {"left": 8, "right": 24, "top": 28, "bottom": 40, "containLabel": True},
            "tooltip": {"trigger": "item"},
            "xAxis": {
                "type": "value",
                "min": ages[0],
                "max": ages[1],
                "name": AGE,
                "nameLocation": "middle",
                "nameGap": 26,
                "splitLine": {"show": False},
            },
            "yAxis": {
                "type": "log" if logarithmic else "value",
                "min": powers[0],
                "max": powers[1],
                "name": SPENDING_POWER,
                "splitLine": {"show": False},
            },
            "series": [
                {
                    "type": "custom",
                    "name": "regions",
                    "silent": True,
                    "z": 0,
                    "clip": True,
                    "colors": [tint(color(place)) for place in range(len(names))],
                    "data": _regions(model, ages, powers, logarithmic=logarithmic),
                },
                *_points(model, sample, powers[0]),
                {
                    "type": "scatter",
                    "name": "centres",
                    "z": 5,
                    "symbolSize": 26,
                    "itemStyle": {"color": "#ffffff", "borderColor": "#1a1a1a", "borderWidth": 2},
                    "label": {"show": True, "color": "#1a1a1a", "fontWeight": "bold", "formatter": "{@[2]}"},
                    "data": [
                        {
                            "name": segment.name,
                            "value": [_short(age), _short(max(power, powers[0])), str(segment.id)],
                        }
                        for segment, (age, power) in zip(model.segments, centres, strict=True)
                    ],
                },
            ],
        },
        legend=[(name, color(place)) for place, name in enumerate(names)],
        header=["Segment", "id", f"{AGE} of its centre", f"{SPENDING_POWER} of its centre"],
        rows=[
            [segment.name, segment.id, number(age, digits=1), number(power)]
            for segment, (age, power) in zip(model.segments, centres, strict=True)
        ],
        is_tall=True,
    )


def centroids(model: SegmentModel) -> list[tuple[float, float]]:
    """Return Age and Spending_Power of each centroid, in the user's units."""
    points = []
    for x, y in model.centroids:
        power = y * model.scale[1] + model.mean[1]
        untransformed = float(np.expm1(power)) if model.transform is Transform.LOG1P else power
        points.append((x * model.scale[0] + model.mean[0], untransformed))
    return points


def _extent(
    model: SegmentModel, sample: Columns | None, *, logarithmic: bool
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the ranges of both axes, with some air around the customers."""
    centres = np.array(centroids(model))
    golden = np.array(model.golden.records).reshape(-1, 2)
    shown = golden if sample is None else np.column_stack([sample[AGE], sample[SPENDING_POWER]])
    everything = np.vstack([centres, shown])
    low, high = everything.min(axis=0), everything.max(axis=0)
    ages = (float(np.floor(low[0] - 2)), float(np.ceil(high[0] + 2)))
    if not logarithmic:
        air = 0.03 * max(high[1] - low[1], 1.0)
        return (max(ages[0], 0.0), ages[1]), (_short(max(low[1] - air, 0.0)), _short(high[1] + air))
    positive = everything[:, 1][everything[:, 1] > 0]
    floor = float(positive.min()) if len(positive) else 1.0
    return (max(ages[0], 0.0), ages[1]), (_short(floor / 1.15), _short(max(high[1], floor) * 1.15))


def _regions(
    model: SegmentModel, ages: tuple[float, float], powers: tuple[float, float], *, logarithmic: bool
) -> list[list[float]]:
    """Return rectangles [left, right, bottom, top, place of the segment] that fill the plane."""
    columns, rows = _CELLS
    xs = np.linspace(*ages, columns + 1)
    ys = np.geomspace(*powers, rows + 1) if logarithmic else np.linspace(*powers, rows + 1)
    middle_x, middle_y = (xs[:-1] + xs[1:]) / 2, (ys[:-1] + ys[1:]) / 2
    grid = np.column_stack([np.tile(middle_x, rows), np.repeat(middle_y, columns)])
    labels = model.partition.assign(grid).reshape(rows, columns)
    rectangles = []
    for row, line in enumerate(labels):
        ends = [*np.flatnonzero(np.diff(line)).tolist(), columns - 1]
        start = 0
        for end in ends:
            rectangles.append(
                [
                    _short(float(xs[start])),
                    _short(float(xs[end + 1])),
                    _short(float(ys[row])),
                    _short(float(ys[row + 1])),
                    int(line[start]),
                ]
            )
            start = end + 1
    return rectangles


def _points(model: SegmentModel, sample: Columns | None, floor: float) -> list[dict[str, Any]]:
    """Return a series of customers for each segment; empty ones keep the legend whole."""
    places = (
        None
        if sample is None
        else model.partition.assign(np.column_stack([sample[AGE], sample[SPENDING_POWER]]))
    )
    series = []
    for place, segment in enumerate(model.segments):
        points: list[list[float]] = []
        if sample is not None and places is not None:
            chosen = places == place
            values = np.column_stack([sample[name][chosen] for name in (AGE, SPENDING_POWER, *COLUMNS[1:3])])
            points = [
                [_short(age), _short(max(power, floor)), _short(income), _short(purchases)]
                for age, power, income, purchases in values.tolist()
            ]
        series.append(
            {
                "type": "scatter",
                "name": segment.name,
                "color": color(place),
                "symbol": _SYMBOLS[place % len(_SYMBOLS)],
                "symbolSize": 6,
                "itemStyle": {"opacity": 0.75},
                "dimensions": [AGE, SPENDING_POWER, *COLUMNS[1:3]],
                "data": points,
            }
        )
    return series


def _short(value: float) -> float:
    """Return a number to five digits: nobody sees more, and the file stays small."""
    return float(f"{value:.5g}")
