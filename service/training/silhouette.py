"""Measure how well clusters are separated: the silhouette."""

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

_BLOCK: Final = 256
"""Records compared with all others at a time."""

Floats = npt.NDArray[np.float64]


def silhouettes(x: Floats, y: Floats, labels: npt.NDArray[np.integer], *, k: int) -> Floats:
    """Return the silhouette of each record, shape (n_samples,); quadratic in time.

    Args:
        x: First feature in scaled space, shape (n_samples,).
        y: Second feature.
        labels: Cluster of each record, 0 to k - 1.
        k: Number of clusters, some of which may be empty.

    Source: Rousseeuw, 1987; from -1 to 1. A record alone in its cluster has 0, and so has every record
    where fewer than two clusters hold any.
    """
    sizes = np.bincount(labels, minlength=k)
    if np.count_nonzero(sizes) < 2:
        return np.zeros(len(x))
    members = np.zeros((len(x), k))
    members[np.arange(len(x)), labels] = 1.0
    result = np.empty(len(x))
    with _threads().limit(limits=1):
        for start in range(0, len(x), _BLOCK):
            block = slice(start, start + _BLOCK)
            apart = np.sqrt((x[block, None] - x) ** 2 + (y[block, None] - y) ** 2)
            result[block] = _of_block(apart @ members, labels[block], sizes)
    return result


@cache
def _threads() -> ThreadpoolController:
    """Return what holds the threads of numpy; finding them takes as long as a small silhouette."""
    return ThreadpoolController()


def _of_block(sums: Floats, labels: npt.NDArray[np.integer], sizes: npt.NDArray[np.integer]) -> Floats:
    """Return the silhouettes of records, from the sums of their distances to the members of each cluster."""
    rows = np.arange(len(sums))
    own_size = sizes[labels]
    own = sums[rows, labels] / np.maximum(own_size - 1, 1)
    means = np.divide(sums, sizes, out=np.full(sums.shape, np.inf), where=sizes > 0)
    means[rows, labels] = np.inf
    other = means.min(axis=1)
    larger = np.maximum(own, other)
    ratio = np.divide(other - own, larger, out=np.zeros(len(sums)), where=larger > 0)
    return np.where(own_size > 1, ratio, 0.0)
