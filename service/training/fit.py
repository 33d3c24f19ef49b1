"""Fit the Pipeline(StandardScaler, KMeans) so that the same records give the same numbers anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from service.partition import Pair, Partition
from service.training.arithmetic import BY_NUMPY, Arithmetic, Floats
from service.training.cell_fit import cluster_cells, scale_cells
from service.training.distinct import check_enough_records
from service.training.fitted import Clusters, Scaler
from service.training.rounding import round_significant
from service.training.weighted import Weighting
from service.transform import Transform, transform_all, transform_one

N_INIT: Final = 10
"""Starts of KMeans; the best one counts."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Hold a fitted pipeline, its numbers rounded as they are published."""

    transform: Transform
    scaler: Scaler
    clusters: Clusters

    @property
    def partition(self) -> Partition:
        """Return what assigns records to clusters."""
        return Partition(
            transform=self.transform,
            mean=_pair(self.scaler.mean),
            scale=_pair(self.scaler.scale),
            centroids=tuple(_pair(centroid) for centroid in self.clusters.centroids),
        )

    @property
    def inertia(self) -> float:
        """Return the squared distances of all customers to their centroids, in scaled space."""
        return round_significant(self.clusters.inertia)


def fit_pipeline(
    vectors: npt.NDArray[np.float64],
    *,
    k: int,
    transform: Transform,
    seed: int,
    start: Sequence[Pair] | None = None,
    scale: Pair | None = None,
    weighting: Weighting | None = None,
    arithmetic: Arithmetic = BY_NUMPY,
) -> Fit:
    """Fit k clusters, numbered by Spending_Power and then Age of their centroids.

    Records are fitted by scikit-learn; those that stand for several customers each, as it would fit them.

    Args:
        vectors: Unscaled features, shape (n_samples, 2), in FEATURE_NAMES order and in a canonical row order.
        k: Number of clusters, at most the number of distinct records.
        transform: Applied to Spending_Power before scaling.
        seed: Of the random starts.
        start: k centroids in the user's units to start from, once, instead of at random; their order is kept.
        scale: To divide by, instead of the standard deviations of these records.
        weighting: The customers that records stand for; None: each for itself.
        arithmetic: Of the fit where there is a weighting; the result does not depend on it.

    Raises:
        TrainingError: There are fewer distinct records than clusters.
    """
    check_enough_records(vectors, k=k)
    features = np.column_stack([vectors[:, 0], transform_all(vectors[:, 1], transform)])
    scaler = _scale(features, weighting)
    if scale is not None:
        scaler = replace(scaler, scale=np.array(scale), variance=np.array(scale) ** 2)
    first = None
    if start is not None:
        first = scaler.apply(np.array([(age, transform_one(power, transform)) for age, power in start]))
    scaled = scaler.apply(features)
    if weighting is None:
        clusters = _cluster_records(scaled, k=k, seed=seed, start=first)
    else:
        clusters = cluster_cells(
            scaled, weighting.weights, k=k, seed=seed, starts=N_INIT, start=first, arithmetic=arithmetic
        )
        # Huygens: what the customers add around the records that stand for them.
        added = float(weighting.weights.sum() * (np.array(weighting.within) / scaler.scale**2).sum())
        clusters = replace(clusters, inertia=clusters.inertia + added)
    return _publish(Fit(transform, scaler, clusters), is_ordered=start is not None)


def reorder(fit: Fit, order: Sequence[int]) -> Fit:
    """Return the fit with its clusters in another order.

    Args:
        fit: Stays as it is.
        order: The present position of each cluster.
    """
    return replace(fit, clusters=replace(fit.clusters, centroids=fit.clusters.centroids[list(order)]))


def _scale(features: Floats, weighting: Weighting | None) -> Scaler:
    if weighting is not None:
        return scale_cells(features, weighting.weights, within=weighting.within)
    from service.training.record_fit import scale_records  # noqa: PLC0415  # takes a second to import

    return scale_records(features)


def _cluster_records(scaled: Floats, *, k: int, seed: int, start: Floats | None) -> Clusters:
    from service.training.record_fit import cluster_records  # noqa: PLC0415  # takes a second to import

    return cluster_records(scaled, k=k, seed=seed, starts=N_INIT, start=start)


def _publish(fit: Fit, *, is_ordered: bool) -> Fit:
    """Round what was fitted, and order it unless it is."""
    rounded = np.vectorize(round_significant, otypes=[np.float64])
    scaler, clusters = fit.scaler, fit.clusters
    centroids: Floats = rounded(clusters.centroids)
    if not is_ordered:
        centroids = centroids[np.lexsort((centroids[:, 0], centroids[:, 1]))]
    return replace(
        fit,
        scaler=replace(
            scaler,
            mean=rounded(scaler.mean),
            variance=rounded(scaler.variance),
            scale=rounded(scaler.scale),
        ),
        clusters=replace(clusters, centroids=centroids),
    )


def _pair(values: Floats) -> Pair:
    first, second = values.tolist()
    return first, second
