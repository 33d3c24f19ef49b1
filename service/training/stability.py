"""Measure whether the same clusters come back when other customers of the same kind are drawn."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from service.training.arithmetic import BY_NUMPY, Arithmetic, Floats, Labels
from service.training.lloyd import fit_many

STARTS: Final = 3
"""Starts of a fit to a bootstrap sample."""


@dataclass(frozen=True, slots=True)
class Stability:
    """Hold how much of a partition comes back in fits to bootstrap samples."""

    adjusted_rand: float
    """Mean over the samples; 1 is the same partition, 0 what chance gives."""
    worst_jaccard: float
    """Of the cluster that comes back worst, the mean over the samples; below 0.6 it cannot be trusted."""


def measure_stability(
    x: Floats,
    y: Floats,
    labels: Labels,
    *,
    k: int,
    bootstraps: int,
    random: np.random.RandomState,
    arithmetic: Arithmetic = BY_NUMPY,
) -> Stability:
    """Fit bootstrap samples, label all records by each fit and compare with `labels`.

    Args:
        x: First feature in scaled space, shape (n_samples,).
        y: Second feature.
        labels: Cluster of each record.
        k: Number of clusters.
        bootstraps: Number of samples.
        random: Where samples and starts are drawn from.
        arithmetic: Of the fits.

    Source: Hennig, 2007, "Cluster-wise assessment of cluster stability"; adjusted Rand index: Hubert and
    Arabie, 1985.
    """
    drawn = random.randint(0, len(x), size=(bootstraps, len(x)))
    fits = fit_many(x[drawn], y[drawn], k=k, starts=STARTS, random=random, arithmetic=arithmetic)
    tables = cross_tables(labels, fits.label(x, y), k=k)
    return Stability(
        adjusted_rand=float(np.mean([adjusted_rand(table) for table in tables])),
        worst_jaccard=float(jaccards(tables).max(axis=2).mean(axis=0).min()),
    )


def cross_tables(labels: Labels, others: Labels, *, k: int) -> npt.NDArray[np.int64]:
    """Count the records in each pair of clusters, shape (n_others, k, k)."""
    cells = labels * k + others + np.arange(len(others))[:, None] * k * k
    return np.bincount(cells.ravel(), minlength=len(others) * k * k).reshape(-1, k, k)


def adjusted_rand(table: npt.NDArray[np.int64]) -> float:
    """Return the adjusted Rand index of two partitions, from their cross table."""
    together = _pairs(table).sum()
    rows, columns = _pairs(table.sum(axis=1)).sum(), _pairs(table.sum(axis=0)).sum()
    total = _pairs(table.sum())
    expected = rows * columns / total if total else 0.0
    largest = (rows + columns) / 2
    return float((together - expected) / (largest - expected)) if largest != expected else 1.0


def jaccards(tables: npt.NDArray[np.int64]) -> Floats:
    """Return the Jaccard index of each pair of clusters, of the shape of `tables`."""
    either = tables.sum(axis=-1)[..., :, None] + tables.sum(axis=-2)[..., None, :] - tables
    index: Floats = np.divide(tables, either, out=np.zeros(tables.shape), where=either > 0)
    return index


def _pairs(counts: npt.NDArray[np.int64]) -> Floats:
    halves: Floats = counts.astype(np.float64) * (counts - 1) / 2
    return halves
