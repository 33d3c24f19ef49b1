"""Compare how far clusters are from each other with how wide they are."""

from dataclasses import dataclass

import numpy as np

from service.training.arithmetic import Floats, Labels


@dataclass(frozen=True, slots=True)
class Spread:
    """Hold two indices; both are 0 where there is nothing to compare."""

    calinski_harabasz: float
    """Variance between clusters to that within; higher is better. Source: Calinski and Harabasz, 1974."""
    davies_bouldin: float
    """Widths to distances of the most similar clusters; lower is better. Source: Davies and Bouldin, 1979."""


def measure_spread(x: Floats, y: Floats, labels: Labels, *, k: int) -> Spread:
    """Return both indices; empty clusters do not count.

    Args:
        x: First feature in scaled space, shape (n_samples,).
        y: Second feature.
        labels: Cluster of each record, 0 to k - 1.
        k: Number of clusters.
    """
    sizes = np.bincount(labels, minlength=k)
    filled = np.flatnonzero(sizes)
    if not 1 < len(filled) < len(x):
        return Spread(0.0, 0.0)
    cx = np.bincount(labels, weights=x, minlength=k) / np.maximum(sizes, 1)
    cy = np.bincount(labels, weights=y, minlength=k) / np.maximum(sizes, 1)
    squared = (x - cx[labels]) ** 2 + (y - cy[labels]) ** 2
    within = float(squared.sum())
    between = float((sizes * ((cx - x.mean()) ** 2 + (cy - y.mean()) ** 2)).sum())
    widths = np.bincount(labels, weights=np.sqrt(squared), minlength=k)[filled] / sizes[filled]
    apart = np.hypot(cx[filled, None] - cx[filled], cy[filled, None] - cy[filled])
    likeness = np.divide(widths[:, None] + widths, apart, out=np.zeros(apart.shape), where=apart > 0)
    freedom = (len(x) - len(filled)) / (len(filled) - 1)
    return Spread(
        calinski_harabasz=between / within * freedom if within > 0 else 0.0,
        davies_bouldin=float(likeness.max(axis=1).mean()),
    )
