"""Choose the number of clusters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.metrics import silhouette_score
from threadpoolctl import threadpool_limits

from service.partition import Partition
from service.training.fit import count_distinct, fit_pipeline, round_significant
from service.transform import Transform

CANDIDATES: Final = range(2, 11)
"""The numbers of clusters that `auto` tries."""

SWEEP_RECORDS: Final = 50_000
"""Above this the sweep fits a sample, so that it costs no more than the final fit."""

SILHOUETTE_RECORDS: Final = 5_000
"""The silhouette compares every record with every other, so it is taken on a sample of this size."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Hold how well one number of clusters does."""

    k: int
    inertia: float
    silhouette: float


def sweep(
    vectors: npt.NDArray[np.float64],
    *,
    transform: Transform,
    seed: int,
    on_progress: Callable[[int, int], None],
) -> list[Candidate]:
    """Fit each number of clusters that the records allow and measure it.

    Args:
        vectors: Unscaled features, shape (n_samples, 2), in a canonical row order.
        transform: Applied to Spending_Power before scaling.
        seed: Of the samples and of the fits.
        on_progress: Called with the number of fits done and of all.
    """
    records = _sample(vectors, size=SWEEP_RECORDS, seed=seed)
    distinct = count_distinct(records, enough=CANDIDATES.stop)
    allowed = [k for k in CANDIDATES if k < distinct]
    results = []
    for done, k in enumerate(allowed):
        on_progress(done, len(allowed))
        fit = fit_pipeline(records, k=k, transform=transform, seed=seed)
        results.append(Candidate(k, fit.inertia, silhouette(records, fit.partition, seed=seed)))
    on_progress(len(allowed), len(allowed))
    return results


def choose(candidates: Sequence[Candidate]) -> int:
    """Return the k with the best silhouette, the smaller one in a tie; 1 where nothing can be compared."""
    return max(candidates, key=lambda one: (one.silhouette, -one.k)).k if candidates else 1


def silhouette(vectors: npt.NDArray[np.float64], partition: Partition, *, seed: int) -> float:
    """Return the mean silhouette, in scaled space, of at most SILHOUETTE_RECORDS records.

    Source: Rousseeuw, 1987; from -1 to 1, higher is better separated.
    """
    records = _sample(vectors, size=SILHOUETTE_RECORDS, seed=seed)
    labels = partition.assign(records)
    if not 1 < len(np.unique(labels)) < len(records):
        return 0.0
    with threadpool_limits(limits=1):
        return round_significant(silhouette_score(np.column_stack(partition.scale_all(records)), labels))


def _sample(vectors: npt.NDArray[np.float64], *, size: int, seed: int) -> npt.NDArray[np.float64]:
    if len(vectors) <= size:
        return vectors
    chosen = np.random.default_rng(seed).choice(len(vectors), size=size, replace=False)
    return vectors[np.sort(chosen)]
