"""Fit scikit-learn's StandardScaler and KMeans to records."""

import numpy as np
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from service.training.arithmetic import Floats
from service.training.fitted import Clusters, Scaler


def scale_records(features: Floats) -> Scaler:
    """Return what scales records, shape (n_samples, n_features), to a variance of 1."""
    scaler = StandardScaler().fit(features)
    return Scaler(scaler.mean_, scaler.var_, scaler.scale_, n_samples=len(features))


def cluster_records(scaled: Floats, *, k: int, seed: int, starts: int, start: Floats | None) -> Clusters:
    """Fit k clusters.

    Args:
        scaled: Features, shape (n_samples, n_features).
        k: Number of clusters.
        seed: Of the random starts.
        starts: How many of them; the best one counts.
        start: k centroids to begin at, once, instead, shape (k, n_features).
    """
    kmeans = KMeans(
        n_clusters=k,
        init="k-means++" if start is None else start,
        n_init=starts if start is None else 1,
        random_state=seed,
    )
    # Threads wait for each other longer than they compute (findings: 13 ms with one, 898 ms with two),
    # and with more than one the last bits move.
    with threadpool_limits(limits=1):
        kmeans.fit(scaled)
    return Clusters(
        centroids=kmeans.cluster_centers_,
        inertia=float(kmeans.inertia_),
        iterations=int(kmeans.n_iter_),
        seed=seed,
        starts=kmeans.n_init,
        tolerance=kmeans.tol,
        absolute_tolerance=float(kmeans.tol * np.var(scaled, axis=0).mean()),
        start=start,
    )
