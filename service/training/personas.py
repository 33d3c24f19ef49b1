"""Describe clusters as segments: size, share, means in the user's units, and a name in plain words."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from service.features import AGE, INCOME, PURCHASES, SPENDING_POWER
from service.model import Segment
from service.partition import Partition
from service.training.rounding import round_significant
from service.training.weighted import Weights, count, mean, quantile

OUTLIER_QUANTILE: Final = 0.99
"""A record farther from its centroid than this share of the segment's training records is an outlier."""

_AGE_BANDS: Final = ((35.0, "Younger"), (55.0, "Middle-aged"), (np.inf, "Older"))
"""Upper bounds of the mean Age."""

_SPENDING_BANDS: Final = (
    (0.67, "low spending power"),
    (1.5, "typical spending power"),
    (4.0, "high spending power"),
    (np.inf, "very high spending power"),
)
"""Upper bounds of the median Spending_Power, in medians of all customers. A mean would follow its tail."""


def describe_segments(
    columns: Mapping[str, npt.NDArray[np.float64]],
    *,
    partition: Partition,
    labels: npt.NDArray[np.int32],
    ids: Sequence[int],
    names: Mapping[int, str],
    weights: Weights = None,
) -> tuple[Segment, ...]:
    """Return one segment a cluster, in the order of their ids.

    Args:
        columns: Age, Income, Purchases and Spending_Power of the training records, each (n_samples,).
        partition: The fitted clusters.
        labels: Position of each record's cluster, shape (n_samples,).
        ids: Of the clusters, ascending.
        names: Names that segments have already, by id; they differ.
        weights: How many customers each record stands for, shape (n_samples,).
    """
    vectors = np.column_stack([columns[AGE], columns[SPENDING_POWER]])
    x, y = partition.scale_all(vectors)
    typical = _quantile(columns[SPENDING_POWER], 0.5, weights)
    sizes = count(labels, weights, k=len(ids)).tolist()
    taken = {names[number] for number in ids if number in names}
    segments: list[Segment] = []
    for label, (number, (cx, cy)) in enumerate(zip(ids, partition.centroids, strict=True)):
        chosen = labels == label
        own = None if weights is None else weights[chosen]
        profile = {
            name: _mean(columns[name][chosen], own) for name in (AGE, INCOME, PURCHASES, SPENDING_POWER)
        }
        distances = np.sqrt((x[chosen] - cx) ** 2 + (y[chosen] - cy) ** 2)
        name = names.get(number)
        if name is None:
            name = _name(
                profile[AGE], spending_power=_quantile(vectors[chosen, 1], 0.5, own), typical=typical
            )
            name = _unique(name, profile, taken=taken)
            taken.add(name)
        segments.append(
            Segment(
                id=number,
                name=name,
                size=sizes[label],
                share=round_significant(sizes[label] / sum(sizes)),
                profile=profile,
                outlier_distance=round_significant(_quantile(distances, OUTLIER_QUANTILE, own)),
            )
        )
    return tuple(segments)


def _mean(values: npt.NDArray[np.float64], weights: Weights) -> float:
    return round_significant(mean(values, weights)) if len(values) else 0.0


def _quantile(values: npt.NDArray[np.float64], share: float, weights: Weights) -> float:
    return quantile(values, share, weights) if len(values) else 0.0


def _name(age: float, *, spending_power: float, typical: float) -> str:
    ratio = spending_power / typical if typical else 1.0
    age_word = next(word for bound, word in _AGE_BANDS if age < bound)
    spending_words = next(words for bound, words in _SPENDING_BANDS if ratio < bound)
    return f"{age_word} with {spending_words}"


def _unique(name: str, profile: Mapping[str, float], *, taken: set[str]) -> str:
    """Tell apart segments of the same bands, by their mean Age and then by a number."""
    if name in taken:
        name = f"{name} (about {profile[AGE]:.0f})"
    number, candidate = 2, name
    while candidate in taken:
        candidate, number = f"{name} {number}", number + 1
    return candidate
