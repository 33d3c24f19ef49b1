"""Do what fits and measures of clusters spend their time on, by the compiled kernel or by numpy.

Both take the same IEEE operations in the same order, so nothing that is found depends on which it was. Sums
of many numbers are made in LANES lanes, each of every eighth number, that are added up in pairs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

LANES: Final = 8
"""Numbers that a processor adds at once; fewer at a time give the same sum."""

_BLOCK: Final = 256
"""Records compared with all others at a time."""

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Step:
    """Hold what a step of all data sets found, in arrays of shape (n_datasets, k) but for the first."""

    nearest: Floats
    """Squared distance of each record to its centroid, shape (n_datasets, n_samples)."""
    counts: Floats
    """Customers of each cluster: the sum of its records' weights."""
    sums_x: Floats
    sums_y: Floats


class Arithmetic(Protocol):
    """Computes for many data sets at once; x and y are features, of shape (n_datasets, n_samples)."""

    def step(self, x: Floats, y: Floats, cx: Floats, cy: Floats, *, weights: Floats | None = None) -> Step:
        """Assign the records of each data set to the nearest of its centroids.

        Args:
            x: First feature.
            y: Second feature.
            cx: Of the centroids, shape (n_datasets, k).
            cy: The second feature of those.
            weights: How many customers each record stands for, shape (n_datasets, n_samples); None: one.
        """

    def approach(
        self, x: Floats, y: Floats, cx: Floats, cy: Floats, closest: Floats
    ) -> tuple[Floats, Floats]:
        """Return the squared distances to the closest centroid with one more of them, and their sums.

        Args:
            x: First feature.
            y: Second feature.
            cx: Of one centroid more for each data set, shape (n_datasets,).
            cy: The second feature of those.
            closest: Squared distances to the closest of the others, shape (n_datasets, n_samples).
        """

    def sum_distances(self, x: Floats, y: Floats, borders: Labels) -> Floats:
        """Return the sum of the distances of each record to all of each cluster, shape (n_samples, k).

        Args:
            x: First feature of records in the order of their clusters, shape (n_samples,).
            y: Second feature.
            borders: Where each cluster begins, and the end of the last, shape (k + 1,).
        """


class NumpyArithmetic:
    """Compute by numpy, which is always there."""

    def step(self, x: Floats, y: Floats, cx: Floats, cy: Floats, *, weights: Floats | None = None) -> Step:
        """Assign records to centroids."""
        labels, nearest = assign(x, y, cx, cy)
        shape = cx.shape
        clusters = (labels + np.arange(shape[0])[:, None] * shape[1]).ravel()
        columns = (None, x, y) if weights is None else (weights, x * weights, y * weights)
        counts, sums_x, sums_y = (
            np.bincount(clusters, weights=None if values is None else values.ravel(), minlength=cx.size)
            .reshape(shape)
            .astype(np.float64)
            for values in columns
        )
        return Step(nearest, counts, sums_x, sums_y)

    def approach(
        self, x: Floats, y: Floats, cx: Floats, cy: Floats, closest: Floats
    ) -> tuple[Floats, Floats]:
        """Return the squared distances to the closest centroid, and their sums."""
        squared, other = np.empty(x.shape), np.empty(x.shape)
        square_distances(x, y, cx[:, None], cy[:, None], out=squared, buffer=other)
        np.minimum(squared, closest, out=squared)
        return squared, _sum_lanes(squared)

    def sum_distances(self, x: Floats, y: Floats, borders: Labels) -> Floats:
        """Return the sum of the distances of each record to all of each cluster."""
        sums = np.empty((len(x), len(borders) - 1))
        for start in range(0, len(x), _BLOCK):
            block = slice(start, start + _BLOCK)
            apart = np.sqrt((x[block, None] - x) ** 2 + (y[block, None] - y) ** 2)
            for cluster, members in enumerate(_slices(borders)):
                sums[block, cluster] = _sum_lanes(apart[:, members])
        return sums


class KernelArithmetic:
    """Compute by the compiled kernel."""

    def __init__(self, extension: Any) -> None:
        """Take the kernel."""
        self._extension = extension

    def step(self, x: Floats, y: Floats, cx: Floats, cy: Floats, *, weights: Floats | None = None) -> Step:
        """Assign records to centroids."""
        nearest, counts = np.empty(x.shape), np.empty(cx.shape)
        sums_x, sums_y = np.empty(cx.shape), np.empty(cx.shape)
        self._extension.lloyd_step(len(x), x, y, weights, cx, cy, nearest, counts, sums_x, sums_y)
        return Step(nearest, counts, sums_x, sums_y)

    def approach(
        self, x: Floats, y: Floats, cx: Floats, cy: Floats, closest: Floats
    ) -> tuple[Floats, Floats]:
        """Return the squared distances to the closest centroid, and their sums."""
        squared, sums = np.empty(x.shape), np.empty(len(x))
        self._extension.approach(x, y, cx, cy, closest, squared, sums)
        return squared, sums

    def sum_distances(self, x: Floats, y: Floats, borders: Labels) -> Floats:
        """Return the sum of the distances of each record to all of each cluster."""
        sums = np.empty((len(x), len(borders) - 1))
        self._extension.sum_distances(x, y, borders, sums)
        return sums


BY_NUMPY: Final = NumpyArithmetic()


def make_arithmetic(extension: Any) -> Arithmetic:
    """Return the faster of both; None stands for an extension that is not to be used."""
    return BY_NUMPY if extension is None else KernelArithmetic(extension)


def assign(x: Floats, y: Floats, cx: Floats, cy: Floats) -> tuple[Labels, Floats]:
    """Return the nearest centroid of each record, and its squared distance; shapes as in Arithmetic.step."""
    labels = np.zeros(x.shape, dtype=np.int64)
    nearest, squared, other = np.empty(x.shape), np.empty(x.shape), np.empty(x.shape)
    square_distances(x, y, cx[:, :1], cy[:, :1], out=nearest, buffer=other)
    for label in range(1, cx.shape[1]):
        square_distances(x, y, cx[:, label, None], cy[:, label, None], out=squared, buffer=other)
        np.copyto(labels, label, where=squared < nearest)
        np.minimum(nearest, squared, out=nearest)
    return labels, nearest


def square_distances(x: Floats, y: Floats, cx: Floats, cy: Floats, *, out: Floats, buffer: Floats) -> None:
    """Fill `out` with squared distances to a centroid each, shape (n_datasets, 1); overwrites the buffer."""
    np.subtract(x, cx, out=out)
    np.multiply(out, out, out=out)
    np.subtract(y, cy, out=buffer)
    np.multiply(buffer, buffer, out=buffer)
    np.add(out, buffer, out=out)


def _sum_lanes(values: Floats) -> Floats:
    """Return the sums of rows."""
    whole = values.shape[1] // LANES * LANES
    lanes = values[:, :whole].reshape(len(values), -1, LANES).sum(axis=1)
    rest = values[:, whole:]
    lanes[:, : rest.shape[1]] += rest
    while lanes.shape[1] > 1:
        lanes = lanes[:, ::2] + lanes[:, 1::2]
    sums: Floats = lanes[:, 0]
    return sums


def _slices(borders: Labels) -> Iterator[slice]:
    for start, end in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
        yield slice(start, end)
