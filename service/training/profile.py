"""Describe segments in figures: statistics in the user's units, differences, silhouettes, examples."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from service.features import FEATURE_NAMES
from service.model import Segment
from service.partition import Partition
from service.training.arithmetic import Arithmetic
from service.training.explanation import Rule
from service.training.rounding import round_significant
from service.training.sampling import draw_positions
from service.training.silhouette import silhouettes

SILHOUETTE_RECORDS: Final = 2_500
"""The silhouette compares every record with every other, so it is taken on a sample of this size."""

SHOWN_SILHOUETTES: Final = 200

Columns = Mapping[str, npt.NDArray[np.float64]]
Statistics = dict[str, dict[str, float]]

_QUANTILES: Final = {
    "min": 0.0,
    "p05": 0.05,
    "p25": 0.25,
    "median": 0.5,
    "p75": 0.75,
    "p95": 0.95,
    "max": 1.0,
}


class SilhouetteSample:
    """Hold the silhouettes of a sample of the records under a model."""

    def __init__(
        self,
        vectors: npt.NDArray[np.float64],
        labels: npt.NDArray[np.int32],
        partition: Partition,
        *,
        seed: int,
        arithmetic: Arithmetic,
    ) -> None:
        """Take the sample and measure it, in scaled space."""
        drawn = draw_positions(len(vectors), size=SILHOUETTE_RECORDS, seed=seed)
        self._labels = labels[drawn]
        x, y = partition.scale_all(vectors[drawn])
        self._values = silhouettes(x, y, self._labels, k=len(partition.centroids), arithmetic=arithmetic)

    @property
    def mean(self) -> float:
        """Return the mean over all segments."""
        return round_significant(float(self._values.mean()))

    def of(self, position: int) -> list[float]:
        """Return those of one segment, ascending, at most SHOWN_SILHOUETTES of them."""
        values = np.sort(self._values[self._labels == position])
        if len(values) > SHOWN_SILHOUETTES:
            values = values[np.linspace(0, len(values) - 1, SHOWN_SILHOUETTES).round().astype(int)]
        return [round(value, 4) for value in values.tolist()]

    def mean_of(self, position: int) -> float:
        """Return the mean of one segment, 0 where the sample has none of it."""
        values = self._values[self._labels == position]
        return round_significant(float(values.mean())) if len(values) else 0.0


def describe_all(columns: Columns) -> Statistics:
    """Return the statistics of each column."""
    return {name: _statistics(values) for name, values in columns.items()}


def profile_segments(
    columns: Columns,
    *,
    partition: Partition,
    labels: npt.NDArray[np.int32],
    segments: Sequence[Segment],
    rules: Sequence[Rule],
    sample: SilhouetteSample,
) -> list[dict[str, Any]]:
    """Return what training.json says of each segment.

    Args:
        columns: Age, Income, Purchases and Spending_Power of the training records, each (n_samples,).
        partition: The fitted clusters.
        labels: Position of each record's segment.
        segments: In the order of their positions, as are the rules.
        rules: What sets each segment apart.
        sample: The silhouettes.
    """
    overall = {name: float(values.mean()) for name, values in columns.items()}
    profiles = []
    for position, (segment, rule) in enumerate(zip(segments, rules, strict=True)):
        members = np.flatnonzero(labels == position)
        statistics = describe_all({name: values[members] for name, values in columns.items()})
        profiles.append(
            {
                "id": segment.id,
                "name": segment.name,
                "size": segment.size,
                "share": segment.share,
                "statistics": statistics,
                "difference": {
                    name: round_significant(figures["mean"] / overall[name] - 1) if overall[name] else 0.0
                    for name, figures in statistics.items()
                },
                "silhouette": sample.mean_of(position),
                "silhouettes": sample.of(position),
                "examples": _examples(columns, members, partition, position),
                "rule": asdict(rule),
            }
        )
    return profiles


def _statistics(values: npt.NDArray[np.float64]) -> dict[str, float]:
    if not len(values):
        return dict.fromkeys(("mean", *_QUANTILES), 0.0)
    quantiles = np.quantile(values, list(_QUANTILES.values())).tolist()
    figures = {"mean": float(values.mean()), **dict(zip(_QUANTILES, quantiles, strict=True))}
    return {name: round_significant(value) for name, value in figures.items()}


def _examples(
    columns: Columns, members: npt.NDArray[np.int64], partition: Partition, position: int
) -> list[dict[str, float]]:
    """Return the customer nearest to the centroid, and one at the median distance from it."""
    if not len(members):
        return []
    age, power = (columns[name][members] for name in FEATURE_NAMES)
    distances = partition.distances(np.column_stack([age, power]))[:, position]
    order = np.argsort(distances, kind="stable")
    chosen = dict.fromkeys([int(order[0]), int(order[len(order) // 2])])
    return [
        {name: round_significant(float(values[members[one]])) for name, values in columns.items()}
        for one in chosen
    ]
