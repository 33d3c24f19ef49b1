"""Fit the Pipeline(StandardScaler, KMeans) so that the same records give the same numbers anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from threadpoolctl import threadpool_limits

from service.errors import TrainingError
from service.features import AGE, SPENDING_POWER
from service.partition import Pair, Partition
from service.training.rounding import round_significant
from service.training.weighted import Weights
from service.transform import Transform, transform_all, transform_one

N_INIT: Final = 10
"""Starts of KMeans; the best one counts."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Hold a fitted pipeline, with its own numbers in plain form."""

    pipeline: Pipeline
    partition: Partition
    inertia: float


def fit_pipeline(
    vectors: npt.NDArray[np.float64],
    *,
    k: int,
    transform: Transform,
    seed: int,
    start: Sequence[Pair] | None = None,
    scale: Pair | None = None,
    weights: Weights = None,
    within: Pair = (0.0, 0.0),
) -> Fit:
    """Fit k clusters, numbered by Spending_Power and then Age of their centroids.

    Args:
        vectors: Unscaled features, shape (n_samples, 2), in FEATURE_NAMES order and in a canonical row order.
        k: Number of clusters, at most the number of distinct records.
        transform: Applied to Spending_Power before scaling.
        seed: Of the random starts.
        start: k centroids in the user's units to start from, once, instead of at random; their order is kept.
        scale: To divide by, instead of the standard deviations of these records.
        weights: How many customers each record stands for, shape (n_samples,); None: one.
        within: Mean squared distance of the customers to the record that stands for them.

    Raises:
        TrainingError: There are fewer distinct records than clusters.
    """
    check_enough_records(vectors, k=k)
    transformed = np.column_stack([vectors[:, 0], transform_all(vectors[:, 1], transform)])
    scaler = _scaler(transformed, scale=scale, weights=weights, within=within)
    # Cells are so few that stopping early, as scikit-learn does by default, would save nothing.
    tol = 1e-4 if weights is None else 0.0
    if start is None:
        kmeans = KMeans(n_clusters=k, n_init=N_INIT, random_state=seed, tol=tol)
    else:
        first = np.array([(age, transform_one(power, transform)) for age, power in start])
        kmeans = KMeans(n_clusters=k, n_init=1, init=scaler.transform(first), random_state=seed, tol=tol)
    # Threads wait for each other longer than they compute (findings: 13 ms with one, 898 ms with two),
    # and with more than one the last bits move.
    with threadpool_limits(limits=1):
        kmeans.fit(scaler.transform(transformed), sample_weight=weights)
    if weights is not None:
        # Huygens: what the customers add around the records that stand for them.
        kmeans.inertia_ += float(weights.sum() * (np.array(within) / scaler.scale_**2).sum())
    pipeline = Pipeline([("scale", scaler), ("kmeans", kmeans)])
    _publish(pipeline, is_ordered=start is not None)
    if transform is Transform.LOG1P:
        pipeline.steps.insert(0, ("log1p", _log1p_step(vectors[:1])))
    return _read(pipeline, transform=transform)


def reorder(fit: Fit, order: Sequence[int]) -> Fit:
    """Return the fit with its clusters in another order, in the pipeline too.

    Args:
        fit: Is not used any more afterwards.
        order: The present position of each cluster.
    """
    kmeans = fit.pipeline["kmeans"]
    kmeans.cluster_centers_ = np.ascontiguousarray(kmeans.cluster_centers_[list(order)])
    return _read(fit.pipeline, transform=fit.partition.transform)


def _scaler(
    transformed: npt.NDArray[np.float64], *, scale: Pair | None, weights: Weights, within: Pair
) -> StandardScaler:
    """Return a fitted scaler, that divides by `scale` where it is given."""
    scaler = StandardScaler().fit(transformed, sample_weight=weights)
    if weights is not None:
        scaler.n_samples_seen_ = int(weights.sum())
        scaler.var_ = scaler.var_ + np.array(within)
        scaler.scale_ = np.sqrt(np.where(scaler.var_ > 0, scaler.var_, 1.0))
    if scale is not None:
        scaler.scale_ = np.array(scale)
        scaler.var_ = scaler.scale_**2
    return scaler


def _read(pipeline: Pipeline, *, transform: Transform) -> Fit:
    """Return a fitted pipeline with its numbers in plain form."""
    scaler, kmeans = pipeline["scale"], pipeline["kmeans"]
    partition = Partition(
        transform=transform,
        mean=tuple(scaler.mean_.tolist()),
        scale=tuple(scaler.scale_.tolist()),
        centroids=tuple((x, y) for x, y in kmeans.cluster_centers_.tolist()),
    )
    return Fit(pipeline=pipeline, partition=partition, inertia=round_significant(kmeans.inertia_))


def check_enough_records(vectors: npt.NDArray[np.float64], *, k: int) -> None:
    """Raise TrainingError when there are fewer distinct records than clusters."""
    if k > len(vectors) or k > (distinct := count_distinct(vectors, enough=k)):
        found = min(len(vectors), distinct) if k <= len(vectors) else len(vectors)
        raise TrainingError(
            f"k={k} needs at least {k} distinct records of ({AGE}, {SPENDING_POWER}), but there are {found}"
        )


def count_distinct(vectors: npt.NDArray[np.float64], *, enough: int) -> int:
    """Count distinct records, exactly up to `enough`; cheap for large data."""
    distinct = len(np.unique(vectors[: 100 * enough], axis=0))
    return distinct if distinct >= enough else len(np.unique(vectors, axis=0))


def _publish(pipeline: Pipeline, *, is_ordered: bool) -> None:
    """Round what was fitted, and order it unless it is, in the pipeline itself, so that the model agrees."""
    scaler, kmeans = pipeline["scale"], pipeline["kmeans"]
    rounded = np.vectorize(round_significant, otypes=[np.float64])
    scaler.mean_, scaler.scale_, scaler.var_ = (
        rounded(scaler.mean_),
        rounded(scaler.scale_),
        rounded(scaler.var_),
    )
    centroids = rounded(kmeans.cluster_centers_)
    order = np.arange(len(centroids)) if is_ordered else np.lexsort((centroids[:, 0], centroids[:, 1]))
    kmeans.cluster_centers_ = np.ascontiguousarray(centroids[order])
    # One integer a training record otherwise: size, and a leak of who is where.
    kmeans.labels_ = np.empty(0, dtype=np.int32)


def _log1p_step(example: npt.NDArray[np.float64]) -> ColumnTransformer:
    """Return the transform as a scikit-learn step, for those who load the pipeline."""
    step = ColumnTransformer(
        [
            (AGE, "passthrough", [0]),
            (SPENDING_POWER, FunctionTransformer(np.log1p), [1]),
        ]
    )
    step.fit(example)
    return step
