"""Fit k-means to many small data sets at once, with the same bits anywhere.

Judging a number of clusters takes hundreds of fits of a thousand records each. Done one by one, most of the
time goes into calls; and a fit by scikit-learn may differ between versions, which would let k, and so the
digest of a model, depend on them. Only IEEE additions and multiplications in a fixed order are used here.

Source: Lloyd, 1982; starts by greedy k-means++: Arthur and Vassilvitskii, 2007.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from service.training.arithmetic import BY_NUMPY, Arithmetic, Floats, Labels, assign

MAX_ITERATIONS: Final = 100
TOLERANCE: Final = 1e-4
"""A fit has converged when its centroids move less than this, squared and summed, in scaled space."""


@dataclass(frozen=True, slots=True)
class Centroids:
    """Hold the best fit to each data set."""

    x: Floats
    """Shape (n_datasets, k), as is `y`."""
    y: Floats
    inertia: Floats
    """Shape (n_datasets,)."""

    def label(self, x: Floats, y: Floats) -> Labels:
        """Return the cluster of each record under each fit, shape (n_datasets, n_samples).

        Args:
            x: First feature, shape (n_samples,) for the same records everywhere or (n_datasets, n_samples).
            y: Second feature.
        """
        shape = (len(self.x), x.shape[-1])
        labels, _ = assign(np.broadcast_to(x, shape), np.broadcast_to(y, shape), self.x, self.y)
        return labels


def fit_many(
    x: Floats,
    y: Floats,
    *,
    k: int,
    starts: int,
    random: np.random.RandomState,
    arithmetic: Arithmetic = BY_NUMPY,
) -> Centroids:
    """Fit k clusters to every data set, the best of some starts.

    Args:
        x: First feature in scaled space, shape (n_datasets, n_samples).
        y: Second feature.
        k: Number of clusters.
        starts: Fits a data set.
        random: Where the starts are drawn from.
        arithmetic: Numpy's or the kernel's.
    """
    many_x, many_y = np.repeat(x, starts, axis=0), np.repeat(y, starts, axis=0)
    cx, cy = _seed(many_x, many_y, k=k, random=random, arithmetic=arithmetic)
    inertia = _iterate(many_x, many_y, cx, cy, arithmetic=arithmetic)
    best = inertia.reshape(-1, starts).argmin(axis=1) + np.arange(len(x)) * starts
    return Centroids(cx[best], cy[best], inertia[best])


def _iterate(x: Floats, y: Floats, cx: Floats, cy: Floats, *, arithmetic: Arithmetic) -> Floats:
    """Move the centroids, in place, until they stay; return the inertias."""
    inertia = np.empty(len(x))
    running = np.arange(len(x))
    for _ in range(MAX_ITERATIONS):
        step = arithmetic.step(x, y, cx[running], cy[running])
        filled = step.counts > 0  # an empty cluster keeps its centroid
        new_x = np.divide(step.sums_x, step.counts, out=cx[running], where=filled)
        new_y = np.divide(step.sums_y, step.counts, out=cy[running], where=filled)
        shift = ((new_x - cx[running]) ** 2 + (new_y - cy[running]) ** 2).sum(axis=1)
        cx[running], cy[running], inertia[running] = new_x, new_y, step.nearest.sum(axis=1)
        moves = shift > TOLERANCE
        if not moves.any():
            break
        if not moves.all():
            running, x, y = running[moves], x[moves], y[moves]
    return inertia


def _seed(
    x: Floats, y: Floats, *, k: int, random: np.random.RandomState, arithmetic: Arithmetic
) -> tuple[Floats, Floats]:
    """Spread the first centroids: each the best of a few records drawn by their squared distance."""
    runs = np.arange(len(x))
    trials = 2 + int(np.log(k))
    cx, cy = np.empty((len(x), k)), np.empty((len(x), k))
    first = random.randint(0, x.shape[1], size=len(x))
    cx[:, 0], cy[:, 0] = x[runs, first], y[runs, first]
    closest, _ = arithmetic.approach(x, y, cx[:, 0].copy(), cy[:, 0].copy(), np.full(x.shape, np.inf))
    for label in range(1, k):
        reach = np.cumsum(closest, axis=1)
        best = np.full(len(x), np.inf)
        best_closest = closest.copy()
        for _ in range(trials):
            wanted = random.random_sample(len(x)) * reach[:, -1]
            drawn = [row.searchsorted(value) for row, value in zip(reach, wanted, strict=True)]
            drawn = np.minimum(drawn, x.shape[1] - 1)
            tried_x, tried_y = x[runs, drawn], y[runs, drawn]
            squared, left = arithmetic.approach(x, y, tried_x, tried_y, closest)
            better = left < best
            best[better], best_closest[better] = left[better], squared[better]
            cx[better, label], cy[better, label] = tried_x[better], tried_y[better]
        closest = best_closest
    return cx, cy
