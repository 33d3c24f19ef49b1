"""Make the charts of the report from what training wrote down."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from service.features import SPENDING_POWER
from service.model import SegmentModel
from service.training.record import COLUMNS, TrainingRecord
from service.training.report.markup import Chart, difference, number, share

PALETTE: Final = (
    "#0b5fa5",
    "#b3440f",
    "#00735c",
    "#8a3a8f",
    "#7a5600",
    "#3d4b9e",
    "#a3244c",
    "#3a6b1f",
    "#5c5c5c",
    "#00687f",
)
"""Each has a contrast of 4.5 and more against white, as WCAG 2.2 (1.4.3) asks of text."""

_QUANTILES: Final = ("p05", "p25", "median", "p75", "p95")


def color(place: int) -> str:
    """Return the colour of the segment at a place; above ten they repeat, as symbols and labels do not."""
    return PALETTE[place % len(PALETTE)]


def is_logarithmic(record: TrainingRecord) -> bool:
    """Tell whether Spending_Power needs a logarithmic axis to be seen."""
    tail = record.get("tail") or {}
    heavy = tail.get("is_heavy") or (record.get("metrics") or {}).get("heavy_tail_variance", 0) > 0.5
    return bool(heavy) or record.model.transform != "none"


def importance_chart(segments: Sequence[Mapping[str, Any]]) -> Chart:
    """Show how the mean of each segment differs from that of all customers."""
    return Chart(
        id="importance",
        title="What sets each segment apart: its mean against the mean of all customers",
        alt="; ".join(
            f"{segment['name']}: "
            + ", ".join(f"{name} {difference(segment['difference'][name])}" for name in COLUMNS)
            for segment in segments
        ),
        option={
            "grid": {"left": 8, "right": 24, "top": 28, "bottom": 40, "containLabel": True},
            "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}},
            "xAxis": {"type": "value", "name": "difference, %", "nameLocation": "middle", "nameGap": 26},
            "yAxis": {"type": "category", "data": list(COLUMNS), "inverse": True},
            "series": [
                {
                    "type": "bar",
                    "name": segment["name"],
                    "color": color(place),
                    "data": [round(100 * segment["difference"][name], 1) for name in COLUMNS],
                }
                for place, segment in enumerate(segments)
            ],
        },
        legend=_legend(segments),
        header=["Segment", *COLUMNS],
        rows=[
            [segment["name"], *(difference(segment["difference"][name]) for name in COLUMNS)]
            for segment in segments
        ],
    )


def box_charts(segments: Sequence[Mapping[str, Any]], *, logarithmic: bool) -> list[Chart]:
    """Show where the customers of each segment lie, one chart a column."""
    charts = []
    for name in COLUMNS:
        boxes = [[segment["statistics"][name][key] for key in _QUANTILES] for segment in segments]
        is_log = logarithmic and name == SPENDING_POWER
        floor = min((low for box in boxes for low in box if low > 0), default=1.0)
        drawn = [[max(value, floor) for value in box] if is_log else box for box in boxes]
        charts.append(
            Chart(
                id=f"box-{name.lower().replace('_', '-')}",
                title=f"{name} by segment" + (" (logarithmic)" if is_log else ""),
                alt="Boxes hold the middle half of each segment, whiskers nine in ten. Medians: "
                + ", ".join(
                    f"{segment['name']} {number(box[2])}"
                    for segment, box in zip(segments, boxes, strict=True)
                ),
                option={
                    "grid": {"left": 8, "right": 24, "top": 16, "bottom": 28, "containLabel": True},
                    "tooltip": {"trigger": "item"},
                    "xAxis": _measure_axis(is_log=is_log),
                    "yAxis": {
                        "type": "category",
                        "data": [_label(segment) for segment in segments],
                        "inverse": True,
                    },
                    "series": [
                        {
                            "type": "boxplot",
                            "name": name,
                            "dimensions": ["segment", "5 %", "25 %", "median", "75 %", "95 %"],
                            "data": [
                                {
                                    "name": segment["name"],
                                    "value": box,
                                    "itemStyle": {"borderColor": color(place), "color": tint(color(place))},
                                }
                                for place, (segment, box) in enumerate(zip(segments, drawn, strict=True))
                            ],
                        }
                    ],
                },
                header=["Segment", "5 %", "25 %", "median", "75 %", "95 %"],
                rows=[
                    [segment["name"], *(number(value) for value in box)]
                    for segment, box in zip(segments, boxes, strict=True)
                ],
            )
        )
    return charts


def silhouette_chart(segments: Sequence[Mapping[str, Any]]) -> Chart:
    """Show how well customers fit their segments, the best first, each segment as wide as its share."""
    series = []
    start = 0.0
    for place, segment in enumerate(segments):
        values = sorted(segment["silhouettes"], reverse=True)
        step = segment["share"] / max(len(values), 1)
        points = [
            [round(100 * (start + step * (turn + 0.5)), 3), round(value, 4)]
            for turn, value in enumerate(values)
        ]
        series.append(
            {
                "type": "line",
                "name": segment["name"],
                "color": color(place),
                "data": points,
                "showSymbol": False,
                "lineStyle": {"width": 1},
                "areaStyle": {"opacity": 0.55},
            }
        )
        start += segment["share"]
    return Chart(
        id="silhouette",
        title="How well customers fit their segment (silhouette)",
        alt="1 is a perfect fit, 0 lies between two segments, below 0 another segment is nearer. Means: "
        + ", ".join(f"{segment['name']} {segment['silhouette']:.2f}" for segment in segments),
        option={
            "grid": {"left": 8, "right": 24, "top": 28, "bottom": 40, "containLabel": True},
            "tooltip": {"trigger": "item"},
            "xAxis": {
                "type": "value",
                "min": 0,
                "max": 100,
                "name": "share of the customers, %",
                "nameLocation": "middle",
                "nameGap": 26,
            },
            "yAxis": {"type": "value", "max": 1, "name": "silhouette"},
            "series": series,
        },
        legend=_legend(segments),
        header=["Segment", "mean silhouette", "share below 0"],
        rows=[
            [
                segment["name"],
                number(segment["silhouette"], digits=3),
                share(
                    sum(value < 0 for value in segment["silhouettes"]) / max(len(segment["silhouettes"]), 1)
                ),
            ]
            for segment in segments
        ],
    )


_SWEEP_COLUMNS: Final = {
    "silhouette": "silhouette",
    "stability": "stability",
    "worst_jaccard": "worst Jaccard",
    "calinski_harabasz": "Calinski-Harabasz",
    "davies_bouldin": "Davies-Bouldin",
    "gap": "gap",
    "inertia": "inertia",
    "smallest_share": "smallest segment",
}


def sweep_chart(sweep: Sequence[Mapping[str, Any]], *, chosen: int) -> Chart:
    """Show what each number of segments would give."""
    known = [key for key in _SWEEP_COLUMNS if any(one.get(key) is not None for one in sweep)]
    lines = [key for key in ("silhouette", "stability", "worst_jaccard") if key in known]
    mark = {
        "silent": True,
        "symbol": "none",
        "label": {"formatter": f"chosen: {chosen}", "color": "#1a1a1a"},
        "lineStyle": {"color": "#1a1a1a", "type": "dashed"},
        "data": [{"xAxis": str(chosen)}],
    }
    return Chart(
        id="sweep",
        title="What each number of segments (k) would give",
        alt=f"{chosen} segments were chosen. Silhouette by k: "
        + ", ".join(f"{one['k']}: {number(one.get('silhouette'), digits=2)}" for one in sweep),
        option={
            "grid": {"left": 8, "right": 24, "top": 28, "bottom": 40, "containLabel": True},
            "tooltip": {"trigger": "axis"},
            "xAxis": {
                "type": "category",
                "data": [str(one["k"]) for one in sweep],
                "name": "number of segments",
                "nameLocation": "middle",
                "nameGap": 26,
            },
            "yAxis": {"type": "value", "max": 1},
            "series": [
                {
                    "type": "line",
                    "name": _SWEEP_COLUMNS[key],
                    "color": color(place),
                    "symbol": ("circle", "rect", "triangle")[place],
                    "symbolSize": 8,
                    "data": [None if one.get(key) is None else round(one[key], 4) for one in sweep],
                    **({"markLine": mark} if place == 0 else {}),
                }
                for place, key in enumerate(lines)
            ],
        },
        legend=[(_SWEEP_COLUMNS[key], color(place)) for place, key in enumerate(lines)],
        header=["k", *(_SWEEP_COLUMNS[key] for key in known)],
        rows=[
            [
                one["k"],
                *(
                    share(one.get(key)) if key == "smallest_share" else number(one.get(key), digits=3)
                    for key in known
                ),
            ]
            for one in sweep
        ],
    )


def migration_chart(
    migration: Mapping[str, Mapping[str, int]], *, model: SegmentModel, before: Mapping[int, str]
) -> Chart:
    """Show where the customers of the previous version's segments are now."""
    names = {segment.id: segment.name for segment in model.segments}
    places = {segment.id: place for place, segment in enumerate(model.segments)}
    flows = [
        (int(old), int(new), count)
        for old, counts in migration.items()
        for new, count in counts.items()
        if count
    ]

    def earlier(identity: int) -> str:
        return f"before: {identity} {before.get(identity, names.get(identity, ''))}".strip()

    def later(identity: int) -> str:
        return f"now: {identity} {names.get(identity, '')}".strip()

    olds, news = (sorted({flow[side] for flow in flows}) for side in (0, 1))
    nodes = [
        {"name": earlier(one), "depth": 0, "itemStyle": {"color": _node_color(places.get(one))}}
        for one in olds
    ]
    nodes += [
        {"name": later(one), "depth": 1, "itemStyle": {"color": _node_color(places.get(one))}} for one in news
    ]
    moved = sum(count for old, new, count in flows if old != new)
    total = sum(count for *_, count in flows)
    return Chart(
        id="migration",
        title="From the previous version's segments to this one's",
        alt=f"{moved:,} of {total:,} customers ({share(moved / total if total else 0)}) "
        "have another segment than before.",
        option={
            "tooltip": {"trigger": "item"},
            "series": [
                {
                    "type": "sankey",
                    "left": 8,
                    "right": 8,
                    "top": 8,
                    "bottom": 8,
                    "nodeAlign": "justify",
                    "draggable": False,
                    "labelLayout": {"hideOverlap": True},
                    "emphasis": {"focus": "adjacency"},
                    "lineStyle": {"color": "source", "opacity": 0.35},
                    "label": {"color": "#1a1a1a", "overflow": "break", "width": 165, "lineHeight": 15},
                    "data": [
                        {**node, "label": {"position": "right" if node["depth"] == 0 else "left"}}
                        for node in nodes
                    ],
                    "links": [
                        {"source": earlier(old), "target": later(new), "value": count}
                        for old, new, count in flows
                    ],
                }
            ],
        },
        header=["from", "to", "customers"],
        rows=[[earlier(old), later(new), f"{count:,}"] for old, new, count in flows],
        is_tall=True,
    )


def tint(hexadecimal: str, *, strength: float = 0.16) -> str:
    """Return a colour mixed with white."""
    channels = (int(hexadecimal[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{round(255 - strength * (255 - channel)):02x}" for channel in channels)


def _node_color(place: int | None) -> str:
    return "#5c5c5c" if place is None else color(place)


def _legend(segments: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [(segment["name"], color(place)) for place, segment in enumerate(segments)]


def _label(segment: Mapping[str, Any]) -> str:
    return f"{segment['id']}"


def _measure_axis(*, is_log: bool) -> dict[str, Any]:
    return {"type": "log", "logBase": 10} if is_log else {"type": "value", "scale": True}
