"""Judge whether a retrain still shows what the previous version did, as far as chance allows one to tell."""

from typing import Final

import numpy as np
import numpy.typing as npt

from service.model import SegmentModel
from service.partition import Pair, Partition
from service.training.arithmetic import Floats
from service.training.fit import Fit
from service.training.weighted import Weights, mean, total
from service.transform import Transform, transform_all

WARM_TOLERANCE: Final = 1.01
"""A warm start is kept up to this many times the inertia of a cold fit."""

CHANCE: Final = 3.0
"""Differences up to so many standard errors are put down to which customers happened to be drawn."""


def keep_scale(
    vectors: Floats, *, model: SegmentModel, transform: Transform, weights: Weights = None
) -> Pair | None:
    """Return the scale of the previous version while these records do not contradict it, else None.

    A few extreme records decide on a standard deviation, and it on how much Age counts beside Spending_Power:
    whether two or five of them were drawn would send all others into other segments.

    Args:
        vectors: Unscaled features, shape (n_samples, 2).
        model: The previous version.
        transform: Applied to Spending_Power before scaling.
        weights: How many customers each record stands for, shape (n_samples,).
    """
    if transform is not model.transform:
        return None
    columns = (vectors[:, 0], transform_all(vectors[:, 1], transform))
    is_kept = all(
        _is_chance(column, scale, weights) for column, scale in zip(columns, model.scale, strict=True)
    )
    return model.scale if is_kept else None


def is_as_good(warm: Fit, cold: Fit, vectors: Floats, weights: Weights = None) -> bool:
    """Tell whether a warm start is within 1 % of a cold fit of the same scale, or chance explains the rest.

    Source: the standard error of a mean of paired differences, one a record.
    """
    if warm.inertia <= cold.inertia * WARM_TOLERANCE:
        return True
    gains = _squares(warm.partition, vectors) - _squares(cold.partition, vectors)
    gain = mean(gains, weights)
    spread = float(np.sqrt(mean((gains - gain) ** 2, weights)))
    return gain <= CHANCE * spread / float(np.sqrt(total(gains, weights)))


def _is_chance(column: Floats, scale: float, weights: Weights) -> bool:
    """Tell whether records of such a spread may be drawn where the standard deviation is `scale`.

    Source: the delta method; the standard error of log(s) is sqrt((kurtosis - 1) / 4n), here of two samples.
    """
    centred = column - mean(column, weights)
    variance = mean(centred**2, weights)
    if not variance > 0:
        return False
    kurtosis = mean(centred**4, weights) / variance**2
    error = float(np.sqrt(2 * (kurtosis - 1) / (4 * total(column, weights))))
    return abs(float(np.log(variance)) / 2 - float(np.log(scale))) <= CHANCE * error


def _squares(partition: Partition, vectors: Floats) -> npt.NDArray[np.float64]:
    """Return the squared distance of each record to its centroid."""
    x, y = partition.scale_all(vectors)
    nearest = np.full(len(x), np.inf)
    for cx, cy in partition.centroids:
        np.minimum(nearest, (x - cx) ** 2 + (y - cy) ** 2, out=nearest)
    return nearest
