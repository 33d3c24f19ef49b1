"""Cells are fitted as scikit-learn fits them, to more digits than are published."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

from service.training.arithmetic import BY_NUMPY, Arithmetic, make_arithmetic
from service.training.cell_fit import cluster_cells, scale_cells

Floats = npt.NDArray[np.float64]
STARTS = 10


def make_cells(seed: int, n: int = 3_000) -> tuple[Floats, Floats]:
    random = np.random.default_rng(seed)
    kinds = random.integers(0, 4, n)
    ages = np.round(np.array([26, 41, 58, 36])[kinds] + random.normal(0, 6, n)) / 4
    powers = np.exp(np.array([6.5, 7.5, 8.2, 9.0])[kinds] + random.normal(0, 0.4, n))
    return np.column_stack([ages, powers]), np.ceil(random.lognormal(4, 2, n))


def fit_by_scikit_learn(
    scaled: Floats, weights: Floats, *, k: int, seed: int, start: Floats | None = None
) -> KMeans:
    init: Any = "k-means++" if start is None else start
    kmeans = KMeans(k, init=init, n_init=STARTS if start is None else 1, tol=0, random_state=seed)
    return kmeans.fit(scaled, sample_weight=weights)


def ordered(centroids: Floats) -> Sequence[Sequence[float]]:
    return sorted(centroids.tolist())


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("k", [1, 2, 4, 9])
def test_the_centroids_are_those_of_scikit_learn(seed: int, k: int) -> None:
    cells, weights = make_cells(seed)
    scaler = scale_cells(cells, weights, within=(0.0, 0.0))
    expected_scaler = StandardScaler().fit(cells, sample_weight=weights)
    scaled = expected_scaler.transform(cells)

    found = cluster_cells(
        scaler.apply(cells), weights, k=k, seed=seed, starts=STARTS, start=None, arithmetic=BY_NUMPY
    )
    expected = fit_by_scikit_learn(scaled, weights, k=k, seed=seed)

    assert scaler.mean == pytest.approx(expected_scaler.mean_, rel=1e-14)
    assert scaler.variance == pytest.approx(expected_scaler.var_, rel=1e-13)
    assert scaler.scale == pytest.approx(expected_scaler.scale_, rel=1e-13)
    assert scaler.n_samples == weights.sum()
    assert np.array(ordered(found.centroids)) == pytest.approx(
        np.array(ordered(expected.cluster_centers_)), rel=1e-12, abs=1e-13
    )
    assert found.inertia == pytest.approx(expected.inertia_, rel=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_a_fit_that_begins_somewhere_ends_where_scikit_learns_does(seed: int) -> None:
    cells, weights = make_cells(seed)
    scaled = scale_cells(cells, weights, within=(0.0, 0.0)).apply(cells)
    start = scaled[np.random.default_rng(seed).integers(0, len(scaled), 5)]

    found = cluster_cells(scaled, weights, k=5, seed=1, starts=STARTS, start=start, arithmetic=BY_NUMPY)
    expected = fit_by_scikit_learn(scaled, weights, k=5, seed=1, start=start)

    assert found.starts == 1
    assert found.centroids == pytest.approx(expected.cluster_centers_, rel=1e-12, abs=1e-13)
    assert found.iterations == expected.n_iter_


@pytest.mark.parametrize("far", [[50.0], [50.0, 60.0], [50.0, 60.0, 70.0]])
def test_a_cluster_that_nobody_is_in_gets_the_furthest_cell(far: list[float]) -> None:
    cells, weights = make_cells(1, n=400)
    scaled = scale_cells(cells, weights, within=(0.0, 0.0)).apply(cells)
    start = np.vstack([scaled[:2], [[value, value] for value in far]])

    found = cluster_cells(scaled, weights, k=len(start), seed=1, starts=1, start=start, arithmetic=BY_NUMPY)
    expected = fit_by_scikit_learn(scaled, weights, k=len(start), seed=1, start=start)

    assert np.isfinite(found.centroids).all()
    assert np.array(ordered(found.centroids)) == pytest.approx(
        np.array(ordered(expected.cluster_centers_)), rel=1e-12, abs=1e-13
    )
    assert found.inertia == pytest.approx(expected.inertia_, rel=1e-12)


def test_a_lone_cell_that_leaves_its_cluster_leaves_no_hole() -> None:
    scaled = np.array([[0.0, 0.0], [10.0, 0.0], [11.0, 0.0]])
    start = np.array([[-5.0, 0.0], [10.5, 0.0], [99.0, 0.0]])

    found = cluster_cells(scaled, np.ones(3), k=3, seed=1, starts=1, start=start, arithmetic=BY_NUMPY)

    assert ordered(found.centroids) == [[0.0, 0.0], [10.0, 0.0], [11.0, 0.0]]
    assert found.inertia == 0.0


def test_what_lies_within_cells_goes_into_the_scale() -> None:
    cells, weights = make_cells(2)
    bare = scale_cells(cells, weights, within=(0.0, 0.0))
    found = scale_cells(cells, weights, within=(3.0, 5.0))

    assert found.variance - bare.variance == pytest.approx([3.0, 5.0])
    assert found.scale == pytest.approx(np.sqrt(found.variance))


@pytest.mark.parametrize("value", [40.0, 123.45, 1 / 3])
def test_a_feature_that_is_the_same_for_all_is_not_divided(value: float) -> None:
    alike = np.array([value, np.nextafter(value, 0), np.nextafter(value, 1e9)] * 20)
    cells = np.column_stack([alike, value * (1 + 1e-12 * np.arange(60.0))])

    scaler = scale_cells(cells, np.arange(1.0, 61.0), within=(0.0, 0.0))

    assert scaler.scale[0] == 1.0
    assert scaler.scale[1] < 1e-10 * value


@pytest.mark.parametrize("k", [1, 3, 8])
def test_the_kernel_changes_no_bit(extension: Any, k: int) -> None:
    cells, weights = make_cells(3)
    scaled = scale_cells(cells, weights, within=(0.0, 0.0)).apply(cells)

    def fit(arithmetic: Arithmetic) -> tuple[Any, float, int]:
        found = cluster_cells(scaled, weights, k=k, seed=4, starts=3, start=None, arithmetic=arithmetic)
        return found.centroids.tolist(), found.inertia, found.iterations

    assert fit(make_arithmetic(extension)) == fit(BY_NUMPY)
