"""Fit a scaler and k-means to cells, each of which stands for many customers.

As scikit-learn's StandardScaler and KMeans(tol=0) do with sample weights: the same random numbers, starts and
steps, so the same centroids to 11 digits, where no cell is as near to one centroid as to another. Importing
scikit-learn would take longer than reading ten million customers.

Source: Lloyd, 1982; starts by greedy k-means++: Arthur and Vassilvitskii, 2007.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from service.partition import Pair
from service.training.arithmetic import Arithmetic, Floats
from service.training.fitted import Clusters, Scaler
from service.training.sampling import random_source

MAX_ITERATIONS: Final = 300
"""As scikit-learn has it."""

_NOISE: Final = 64 * float(np.finfo(np.float64).eps)
"""A standard deviation of so small a share of the mean is rounding: the feature is the same for all."""


def scale_cells(features: Floats, weights: Floats, *, within: Pair) -> Scaler:
    """Return what scales the customers to a variance of 1.

    Args:
        features: Of the cells, shape (n_cells, 2).
        weights: Customers of each cell, shape (n_cells,).
        within: Mean squared distance of the customers to their cell.
    """
    n = weights.sum()
    mean = (features * weights[:, None]).sum(axis=0) / n
    centred = features - mean
    variance = (centred**2 * weights[:, None]).sum(axis=0) / n - (
        (centred * weights[:, None]).sum(axis=0) / n
    ) ** 2
    variance = variance + np.array(within)
    variance[variance <= (_NOISE * mean) ** 2] = 0.0
    return Scaler(mean, variance, np.sqrt(np.where(variance > 0, variance, 1.0)), n_samples=int(n))


def cluster_cells(
    scaled: Floats,
    weights: Floats,
    *,
    k: int,
    seed: int,
    starts: int,
    start: Floats | None,
    arithmetic: Arithmetic,
) -> Clusters:
    """Fit k clusters until no cell moves any more: there are so few that stopping early would save nothing.

    Args:
        scaled: Features of the cells, shape (n_cells, 2).
        weights: Customers of each cell, shape (n_cells,).
        k: Number of clusters, at most the number of distinct cells.
        seed: Of the random starts.
        starts: How many of them; the best one counts.
        start: k centroids to begin at, once, instead, shape (k, 2).
        arithmetic: Numpy's or the kernel's; the result does not depend on it.
    """
    middle = scaled.mean(axis=0)
    x, y = np.ascontiguousarray((scaled - middle).T)[:, None]
    cells = _Cells(x, y, weights[None], arithmetic)
    if start is not None:
        runs = [cells.iterate(start - middle)]
    else:
        random = random_source(seed)
        runs = [cells.iterate(cells.spread(k, random)) for _ in range(starts)]
    best = min(runs, key=lambda run: run.inertia)
    return Clusters(
        centroids=best.centroids + middle,
        inertia=best.inertia,
        iterations=best.iterations,
        seed=seed,
        starts=len(runs),
        tolerance=0.0,
        absolute_tolerance=0.0,
        start=start,
    )


@dataclass(frozen=True, slots=True)
class _Run:
    centroids: Floats
    inertia: float
    iterations: int


@dataclass(frozen=True, slots=True)
class _Cells:
    """Hold centred features and weights as one data set, each of shape (1, n_cells)."""

    x: Floats
    y: Floats
    weights: Floats
    arithmetic: Arithmetic

    def spread(self, k: int, random: np.random.RandomState) -> Floats:
        """Draw k cells to begin at, each the best of a few drawn by their squared distance, shape (k, 2)."""
        (x,), (y,), (weights,) = self.x, self.y, self.weights
        trials = 2 + int(np.log(k))
        chosen = [int(random.choice(len(x), p=weights / weights.sum()))]
        closest = (x - x[chosen[0]]) ** 2 + (y - y[chosen[0]]) ** 2
        for _ in range(1, k):
            reach = np.cumsum(weights * closest)
            places = np.searchsorted(reach, random.uniform(size=trials) * reach[-1])
            drawn = np.minimum(places, len(x) - 1)
            squared = (x - x[drawn, None]) ** 2 + (y - y[drawn, None]) ** 2
            np.minimum(squared, closest, out=squared)
            best = int((squared * weights).sum(axis=1).argmin())
            chosen.append(int(drawn[best]))
            closest = squared[best]
        return np.column_stack([x[chosen], y[chosen]])

    def iterate(self, centroids: Floats) -> _Run:
        """Move centroids until they stay."""
        cx, cy = np.ascontiguousarray(centroids.T)[:, None]
        iterations = 0
        while True:
            iterations += 1
            step = self.arithmetic.step(self.x, self.y, cx, cy, weights=self.weights)
            counts, sums_x, sums_y = step.counts, step.sums_x, step.sums_y
            if not counts.all():
                self._fill_empty(cx, cy, step.nearest, counts, sums_x, sums_y)
            moved_x, moved_y = (
                np.divide(sums, counts, out=old.copy(), where=counts > 0)
                for sums, old in ((sums_x, cx), (sums_y, cy))
            )
            stays = np.array_equal(moved_x, cx) and np.array_equal(moved_y, cy)
            cx, cy = moved_x, moved_y
            if stays:
                break
            if iterations == MAX_ITERATIONS:
                step = self.arithmetic.step(self.x, self.y, cx, cy, weights=self.weights)
                break
        inertia = float((step.nearest * self.weights).sum())
        return _Run(np.column_stack([cx[0], cy[0]]), inertia, iterations)

    def _fill_empty(
        self, cx: Floats, cy: Floats, nearest: Floats, counts: Floats, sums_x: Floats, sums_y: Floats
    ) -> None:
        """Give each empty cluster one of the cells that are the furthest from their centroids."""
        empty = np.flatnonzero(counts[0] == 0)
        furthest = np.argsort(-nearest[0], kind="stable")[: len(empty)]
        x, y, weights = self.x[0, furthest], self.y[0, furthest], self.weights[0, furthest]
        left = ((x[:, None] - cx) ** 2 + (y[:, None] - cy) ** 2).argmin(axis=1)
        for totals, gains in ((counts[0], weights), (sums_x[0], x * weights), (sums_y[0], y * weights)):
            np.subtract.at(totals, left, gains)
            totals[empty] = gains
