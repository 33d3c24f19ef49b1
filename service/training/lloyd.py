"""Fit k-means to many small data sets at once, with the same bits anywhere.

Judging a number of clusters takes hundreds of fits of a thousand records each. Done one by one, most of the
time goes into calls; and a fit by scikit-learn may differ between versions, which would let k, and so the
digest of a model, depend on them. Only IEEE additions and multiplications in a fixed order are used here.

Source: Lloyd, 1982; starts by greedy k-means++: Arthur and Vassilvitskii, 2007.
"""

from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

MAX_ITERATIONS: Final = 100
TOLERANCE: Final = 1e-4
"""A fit has converged when its centroids move less than this, squared and summed, in scaled space."""

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


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
        labels, _ = _assign(np.broadcast_to(x, shape), np.broadcast_to(y, shape), self.x, self.y)
        return labels


@dataclass(frozen=True, slots=True)
class Step:
    """Hold what a step of all data sets found, in arrays of shape (n_datasets, k) but for the first."""

    nearest: Floats
    """Squared distance of each record to its centroid, shape (n_datasets, n_samples)."""
    counts: Floats
    """Customers of each cluster: the sum of its records' weights."""
    sums_x: Floats
    sums_y: Floats


class Stepper(Protocol):
    """Assigns the records of each data set to its centroids."""

    def __call__(
        self, x: Floats, y: Floats, cx: Floats, cy: Floats, *, weights: Floats | None = None
    ) -> Step:
        """Take the records and the centroids, and how many customers each record stands for; None: one."""
        ...


def step_by_numpy(x: Floats, y: Floats, cx: Floats, cy: Floats, *, weights: Floats | None = None) -> Step:
    """Assign records to centroids by numpy, which is always there."""
    labels, nearest = _assign(x, y, cx, cy)
    shape = cx.shape
    clusters = (labels + np.arange(shape[0])[:, None] * shape[1]).ravel()
    ones = np.ones_like(x) if weights is None else weights
    counts, sums_x, sums_y = (
        np.bincount(clusters, weights=values.ravel(), minlength=cx.size).reshape(shape).astype(np.float64)
        for values in (ones, x * ones, y * ones)
    )
    return Step(nearest, counts, sums_x, sums_y)


def step_by_kernel(extension: Any) -> Stepper:
    """Return what assigns records to centroids by the compiled kernel, with the same bits."""

    def step(x: Floats, y: Floats, cx: Floats, cy: Floats, *, weights: Floats | None = None) -> Step:
        nearest, counts = np.empty(x.shape), np.empty(cx.shape)
        sums_x, sums_y = np.empty(cx.shape), np.empty(cx.shape)
        extension.lloyd_step(len(x), x, y, weights, cx, cy, nearest, counts, sums_x, sums_y)
        return Step(nearest, counts, sums_x, sums_y)

    return step


def make_stepper(extension: Any) -> Stepper:
    """Return the faster of both; None stands for an extension that is not to be used."""
    return step_by_numpy if extension is None else step_by_kernel(extension)


def fit_many(
    x: Floats,
    y: Floats,
    *,
    k: int,
    starts: int,
    random: np.random.RandomState,
    stepper: Stepper = step_by_numpy,
) -> Centroids:
    """Fit k clusters to every data set, the best of some starts.

    Args:
        x: First feature in scaled space, shape (n_datasets, n_samples).
        y: Second feature.
        k: Number of clusters.
        starts: Fits a data set.
        random: Where the starts are drawn from.
        stepper: Numpy's or the kernel's.
    """
    many_x, many_y = np.repeat(x, starts, axis=0), np.repeat(y, starts, axis=0)
    cx, cy = _seed(many_x, many_y, k=k, random=random)
    inertia = _iterate(many_x, many_y, cx, cy, stepper=stepper)
    best = inertia.reshape(-1, starts).argmin(axis=1) + np.arange(len(x)) * starts
    return Centroids(cx[best], cy[best], inertia[best])


def _iterate(x: Floats, y: Floats, cx: Floats, cy: Floats, *, stepper: Stepper) -> Floats:
    """Move the centroids, in place, until they stay; return the inertias."""
    inertia = np.empty(len(x))
    running = np.arange(len(x))
    for _ in range(MAX_ITERATIONS):
        step = stepper(x, y, cx[running], cy[running])
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


def _assign(x: Floats, y: Floats, cx: Floats, cy: Floats) -> tuple[Labels, Floats]:
    """Return the nearest centroid of each record, and its squared distance."""
    labels = np.zeros(x.shape, dtype=np.int64)
    nearest, squared, other = np.empty(x.shape), np.empty(x.shape), np.empty(x.shape)
    _square_distances(x, y, cx[:, :1], cy[:, :1], out=nearest, buffer=other)
    for label in range(1, cx.shape[1]):
        _square_distances(x, y, cx[:, label, None], cy[:, label, None], out=squared, buffer=other)
        np.copyto(labels, label, where=squared < nearest)
        np.minimum(nearest, squared, out=nearest)
    return labels, nearest


def _square_distances(x: Floats, y: Floats, cx: Floats, cy: Floats, *, out: Floats, buffer: Floats) -> None:
    np.subtract(x, cx, out=out)
    np.multiply(out, out, out=out)
    np.subtract(y, cy, out=buffer)
    np.multiply(buffer, buffer, out=buffer)
    np.add(out, buffer, out=out)


def _seed(x: Floats, y: Floats, *, k: int, random: np.random.RandomState) -> tuple[Floats, Floats]:
    """Spread the first centroids: each the best of a few records drawn by their squared distance."""
    runs = np.arange(len(x))
    trials = 2 + int(np.log(k))
    cx, cy = np.empty((len(x), k)), np.empty((len(x), k))
    first = random.randint(0, x.shape[1], size=len(x))
    cx[:, 0], cy[:, 0] = x[runs, first], y[runs, first]
    closest, squared, other = np.empty(x.shape), np.empty(x.shape), np.empty(x.shape)
    _square_distances(x, y, cx[:, :1], cy[:, :1], out=closest, buffer=other)
    for label in range(1, k):
        reach = np.cumsum(closest, axis=1)
        best = np.full(len(x), np.inf)
        best_closest = closest.copy()
        for _ in range(trials):
            wanted = random.random_sample(len(x)) * reach[:, -1]
            drawn = np.minimum((reach < wanted[:, None]).sum(axis=1), x.shape[1] - 1)
            tried_x, tried_y = x[runs, drawn], y[runs, drawn]
            _square_distances(x, y, tried_x[:, None], tried_y[:, None], out=squared, buffer=other)
            np.minimum(squared, closest, out=squared)
            left = squared.sum(axis=1)
            better = left < best
            best[better], best_closest[better] = left[better], squared[better]
            cx[better, label], cy[better, label] = tried_x[better], tried_y[better]
        closest = best_closest
    return cx, cy
