"""Find the nearest centroid of many records and the distance of the second, block by block."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from service.partition import Partition
from service.training.cells import Floats

_BLOCK: Final = 8192
"""Records worked on at a time: fewer make numpy's own cost of a call felt, more do not fit the cache."""


@dataclass(frozen=True, slots=True)
class Nearness:
    """Hold what decides about a segment; every array has the shape (n_samples,)."""

    positions: npt.NDArray[np.int32]
    """Of the nearest centroid."""
    distances: Floats
    """To it, in scaled space."""
    second_distances: Floats
    """To the next one, infinite where there is none."""
    confidences: Floats
    """From 0.5, as near to the second centroid, to 1, on the own one; rounded to 4 decimals."""


def find_nearest(vectors: npt.NDArray[np.float64], partition: Partition) -> Nearness:
    """Return what `SegmentModel.explain` and rounding give, bit for bit, in a third of the time.

    Args:
        vectors: Unscaled, valid features, shape (n_samples, 2), in FEATURE_NAMES order.
        partition: Scaling and centroids.
    """
    size = len(vectors)
    positions = np.zeros(size, dtype=np.int32)
    distances, seconds, confidences = np.empty((3, size))
    buffers = np.empty((2, _BLOCK))
    is_nearer = np.empty(_BLOCK, dtype=np.bool_)
    for start in range(0, size, _BLOCK):
        stop = min(start + _BLOCK, size)
        rows = stop - start
        x, y = partition.scale_all(vectors[start:stop])
        squared, other = buffers[:, :rows]
        nearest, second = distances[start:stop], seconds[start:stop]
        nearest.fill(np.inf)
        second.fill(np.inf)
        for position, (cx, cy) in enumerate(partition.centroids):
            np.subtract(x, cx, out=squared)
            np.multiply(squared, squared, out=squared)
            np.subtract(y, cy, out=other)
            np.multiply(other, other, out=other)
            np.add(squared, other, out=squared)
            if position:
                np.less(squared, nearest, out=is_nearer[:rows])
                np.copyto(positions[start:stop], position, where=is_nearer[:rows])
            # Of this and the nearest so far, the farther one may be the second.
            np.maximum(squared, nearest, out=other)
            np.minimum(second, other, out=second)
            np.minimum(nearest, squared, out=nearest)
        # The root of the least is the least of the roots: it rounds in one direction.
        np.sqrt(nearest, out=nearest)
        np.sqrt(second, out=second)
        if len(partition.centroids) == 1:
            confidences[start:stop] = 1.0
        else:
            _rate(nearest, second, out=confidences[start:stop])
    return Nearness(positions, distances, seconds, confidences)


def _rate(nearest: Floats, second: Floats, *, out: Floats) -> None:
    both = nearest + second
    out.fill(0.5)
    np.divide(second, both, out=out, where=both > 0)
    np.round(out, 4, out=out)
