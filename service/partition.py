"""Assign records to centroids with one arithmetic, whatever the path.

`z = (x - mean) / scale`, squared distance `(z1 - c1)**2 + (z2 - c2)**2`, elementwise in float64: no BLAS,
no fused multiply-add, and the first centroid wins a tie. IEEE 754 rounds each of these operations alike
everywhere, so a record gets the same label to the last bit alone or in a batch, in pure Python or in numpy,
on any machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from service.lazy import np, npt
from service.transform import Transform, transform_all, transform_one

_BLOCK: Final = 4096
"""Records worked on at a time, so that the intermediate columns stay in the CPU's cache."""

_FEW: Final = 24
"""Up to here pure Python is faster than numpy (bench/, 4 centroids)."""

Pair = tuple[float, float]
"""One value for Age, one for Spending_Power."""


@dataclass(frozen=True, slots=True)
class Partition:
    """Hold the scaling and the centroids that divide the plane of [Age, Spending_Power]."""

    transform: Transform
    """What is done to Spending_Power before scaling."""
    mean: Pair
    scale: Pair
    centroids: Sequence[Pair]
    """In scaled space, one a segment, in the order of their ids: a label here is a position there."""

    def scale_one(self, age: float, spending_power: float) -> Pair:
        """Return one record in scaled space."""
        transformed = transform_one(spending_power, self.transform)
        return (age - self.mean[0]) / self.scale[0], (transformed - self.mean[1]) / self.scale[1]

    def scale_all(
        self, vectors: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return both columns of the records in scaled space, each of shape (n_samples,).

        Args:
            vectors: Unscaled features, shape (n_samples, 2), in FEATURE_NAMES order.
        """
        transformed = transform_all(vectors[:, 1], self.transform)
        return (vectors[:, 0] - self.mean[0]) / self.scale[0], (transformed - self.mean[1]) / self.scale[1]

    def assign_one(self, age: float, spending_power: float) -> int:
        """Return the position of the centroid nearest to one record."""
        x, y = self.scale_one(age, spending_power)
        nearest, label = math.inf, 0
        for candidate, (cx, cy) in enumerate(self.centroids):
            dx = x - cx
            dy = y - cy
            squared = dx * dx + dy * dy
            if squared < nearest:
                nearest, label = squared, candidate
        return label

    def distances_one(self, age: float, spending_power: float) -> list[float]:
        """Return the distance of one record to every centroid, in scaled space."""
        x, y = self.scale_one(age, spending_power)
        return [math.sqrt((x - cx) * (x - cx) + (y - cy) * (y - cy)) for cx, cy in self.centroids]

    def assign(self, vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
        """Return the position of the nearest centroid for each record, shape (n_samples,).

        Args:
            vectors: Unscaled, valid features, shape (n_samples, 2), in FEATURE_NAMES order.

        Source: Lloyd, 1982; equals scikit-learn's Pipeline.predict up to ties (tests/test_parity.py).
        """
        if len(vectors) <= _FEW:
            return np.array([self.assign_one(age, power) for age, power in vectors.tolist()], dtype=np.int32)
        labels = np.zeros(len(vectors), dtype=np.int32)
        for start in range(0, len(vectors), _BLOCK):
            self._assign_block(vectors[start : start + _BLOCK], labels[start : start + _BLOCK])
        return labels

    def distances(self, vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the distance of each record to every centroid, in scaled space, shape (n_samples, k)."""
        x, y = self.scale_all(vectors)
        result = np.empty((len(vectors), len(self.centroids)))
        for label, (cx, cy) in enumerate(self.centroids):
            result[:, label] = np.sqrt((x - cx) * (x - cx) + (y - cy) * (y - cy))
        return result

    def _assign_block(self, vectors: npt.NDArray[np.float64], labels: npt.NDArray[np.int32]) -> None:
        """Fill `labels`, which holds zeros, in reused buffers: allocating costs more than subtracting."""
        x, y = self.scale_all(vectors)
        squared, other, nearest = np.empty_like(x), np.empty_like(x), np.empty_like(x)
        is_nearer = np.empty(len(x), dtype=np.bool_)
        for label, (cx, cy) in enumerate(self.centroids):
            np.subtract(x, cx, out=squared)
            np.multiply(squared, squared, out=squared)
            np.subtract(y, cy, out=other)
            np.multiply(other, other, out=other)
            np.add(squared, other, out=squared)
            if label == 0:
                nearest[:] = squared
                continue
            np.less(squared, nearest, out=is_nearer)
            np.copyto(labels, label, where=is_nearer)
            np.minimum(squared, nearest, out=nearest)
