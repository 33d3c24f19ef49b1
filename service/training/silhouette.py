"""Measure how well clusters are separated: the silhouette."""

import numpy as np
import numpy.typing as npt

from service.training.arithmetic import BY_NUMPY, Arithmetic, Floats


def silhouettes(
    x: Floats, y: Floats, labels: npt.NDArray[np.integer], *, k: int, arithmetic: Arithmetic = BY_NUMPY
) -> Floats:
    """Return the silhouette of each record, shape (n_samples,); quadratic in time.

    Args:
        x: First feature in scaled space, shape (n_samples,).
        y: Second feature.
        labels: Cluster of each record, 0 to k - 1.
        k: Number of clusters, some of which may be empty.
        arithmetic: Numpy's or the kernel's.

    Source: Rousseeuw, 1987; from -1 to 1. A record alone in its cluster has 0, and so has every record
    where fewer than two clusters hold any.
    """
    sizes = np.bincount(labels, minlength=k)
    result = np.zeros(len(x))
    if np.count_nonzero(sizes) < 2:
        return result
    order = np.argsort(labels, kind="stable")
    sums = arithmetic.sum_distances(x[order], y[order], np.concatenate([[0], np.cumsum(sizes)]))
    result[order] = _of_sums(sums, labels[order], sizes)
    return result


def _of_sums(sums: Floats, labels: npt.NDArray[np.integer], sizes: npt.NDArray[np.integer]) -> Floats:
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
