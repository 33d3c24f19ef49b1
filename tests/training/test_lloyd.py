"""Many fits at once are as good as scikit-learn's one by one, and the same with the same seed."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_samples

from service.training.arithmetic import BY_NUMPY, KernelArithmetic
from service.training.lloyd import fit_many
from service.training.sampling import draw_positions, random_source
from service.training.silhouette import silhouettes
from service.training.stability import adjusted_rand, cross_tables, jaccards

RECORDS = np.random.default_rng(3).normal(size=(2, 400))
X, Y = RECORDS


@pytest.mark.parametrize("k", [1, 2, 3, 5, 10])
def test_the_best_of_some_starts_is_as_good_as_scikit_learns(k: int) -> None:
    found = fit_many(X[None], Y[None], k=k, starts=10, random=random_source(1))
    expected = KMeans(k, n_init=10, random_state=1).fit(np.column_stack([X, Y]))

    assert found.inertia[0] <= expected.inertia_ * 1.02


def test_each_data_set_has_its_own_fit() -> None:
    shifted = np.stack([X, X + 100.0])
    found = fit_many(shifted, np.stack([Y, Y]), k=3, starts=5, random=random_source(1))

    assert (abs(found.x[0]) < 5).all()
    assert (abs(found.x[1] - 100) < 5).all()
    assert found.label(X, Y).shape == (2, 400)
    assert set(found.label(X, Y)[0].tolist()) == {0, 1, 2}


@pytest.mark.parametrize("n", [1, 2, 255, 256, 257, 2_500])
@pytest.mark.parametrize("k", [1, 2, 7, 30])
def test_the_kernel_takes_the_same_step(extension: Any, n: int, k: int) -> None:
    random = np.random.default_rng(n * 100 + k)
    x, y = random.normal(size=(2, 3, n))
    x[1], y[1] = random.integers(0, 4, (2, n))  # ties, and centroids that lie on records or on each other
    cx, cy = random.normal(size=(2, 3, k))
    cx[1], cy[1] = random.integers(0, 4, (2, k))
    cx[2, -1] = 1e9  # nobody's

    for weights in (None, np.ceil(random.lognormal(2, 2, x.shape))):
        found = KernelArithmetic(extension).step(x, y, cx, cy, weights=weights)
        expected = BY_NUMPY.step(x, y, cx, cy, weights=weights)

        for name in ("nearest", "counts", "sums_x", "sums_y"):
            assert np.array_equal(getattr(found, name), getattr(expected, name)), name
        assert expected.counts.sum() == (x.size if weights is None else weights.sum())
        assert k == 1 or expected.counts[2, -1] == 0


def test_the_kernel_refuses_arrays_that_do_not_fit(extension: Any) -> None:
    x, c = np.ones((2, 5)), np.ones((2, 3))
    few_records, few_clusters = np.ones((2, 4)), np.ones((2, 2))

    def step(sets: int, *, weights: Any = None, nearest: Any = None, sums: Any = None) -> None:
        filled = x.copy() if nearest is None else nearest
        sums_x = c.copy() if sums is None else sums
        extension.lloyd_step(sets, x, x, weights, c, c, filled, c.copy(), sums_x, c.copy())

    step(2)
    step(2, weights=x)
    for wrong in ({"nearest": few_records}, {"sums": few_clusters}, {"weights": few_records}):
        with pytest.raises(ValueError, match="as many records"):
            step(2, **wrong)
    for sets in (0, -1, 3, 2**40):
        with pytest.raises(ValueError, match=r"data set|as many records"):
            step(sets)


@pytest.mark.parametrize("n", [1, 7, 8, 9, 255, 1_500])
def test_the_kernel_comes_as_close(extension: Any, n: int) -> None:
    random = np.random.default_rng(n)
    x, y, closest = random.normal(size=(3, 4, n))
    cx, cy = random.normal(size=(2, 4))
    closest = np.abs(closest)
    closest[1], closest[2] = np.inf, 0.0

    found = KernelArithmetic(extension).approach(x, y, cx, cy, closest)
    expected = BY_NUMPY.approach(x, y, cx, cy, closest)

    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    squared = np.minimum((x - cx[:, None]) ** 2 + (y - cy[:, None]) ** 2, closest)
    assert np.array_equal(expected[0], squared)
    assert expected[1] == pytest.approx(squared.sum(axis=1))


@pytest.mark.parametrize("n", [1, 7, 8, 9, 255, 256, 257, 1_500])
def test_the_kernel_sums_the_same_distances(extension: Any, n: int) -> None:
    random = np.random.default_rng(n)
    x, y = random.normal(size=(2, n))
    borders = np.sort([0, *random.integers(0, n + 1, 4), n // 2, n // 2, n])

    found = KernelArithmetic(extension).sum_distances(x, y, borders)
    expected = BY_NUMPY.sum_distances(x, y, borders)

    assert np.array_equal(found, expected)
    apart = np.hypot(x[:, None] - x, y[:, None] - y)
    for cluster, (start, end) in enumerate(pairwise(borders.tolist())):
        assert expected[:, cluster] == pytest.approx(apart[:, start:end].sum(axis=1))


def test_the_kernel_refuses_distances_that_do_not_fit(extension: Any) -> None:
    x, c, few = np.ones((2, 5)), np.ones(2), np.ones((2, 4))
    extension.approach(x, x, c, c, x, x.copy(), c.copy())
    for wrong in ((x, few, c, c, x, x.copy(), c.copy()), (x, x, c, np.ones(3), x, x.copy(), c.copy())):
        with pytest.raises(ValueError, match="as many data sets"):
            extension.approach(*wrong)
    with pytest.raises(ValueError, match="as many data sets"):
        extension.approach(x, x, c, c, x, few.copy(), c.copy())
    with pytest.raises(ValueError, match="as many data sets"):
        extension.approach(x, x, np.ones(0), np.ones(0), x, x.copy(), np.ones(0))

    one = np.ones(5)
    extension.sum_distances(one, one, np.array([0, 2, 5]), np.ones((5, 2)))
    for borders in ([0, 2, 4], [1, 2, 5], [0, 6, 5], [0, -1, 5], [0], []):
        with pytest.raises(ValueError, match="do not divide"):
            extension.sum_distances(one, one, np.array(borders, dtype=np.int64), np.ones((5, 2)))
    with pytest.raises(ValueError, match="do not divide"):
        extension.sum_distances(one, np.ones(4), np.array([0, 5]), np.ones((5, 1)))
    with pytest.raises(ValueError, match="room for a sum"):
        extension.sum_distances(one, one, np.array([0, 2, 5]), np.ones((5, 1)))


def test_records_that_are_alike_do_no_harm() -> None:
    same = np.ones((1, 20))
    found = fit_many(same, same, k=3, starts=2, random=random_source(1))

    assert found.inertia.tolist() == [0.0]
    assert np.isfinite(found.x).all()


@pytest.mark.parametrize("k", [2, 5])
def test_silhouettes_are_those_of_scikit_learn(k: int) -> None:
    labels = KMeans(k, n_init=1, random_state=0).fit_predict(np.column_stack([X, Y]))

    found = silhouettes(X, Y, labels, k=k + 1)
    assert found == pytest.approx(silhouette_samples(np.column_stack([X, Y]), labels))


def test_one_cluster_and_single_records_have_silhouette_0() -> None:
    labels = np.zeros(400, dtype=np.int64)
    alone = labels.copy()
    alone[7] = 1

    assert (silhouettes(X, Y, labels, k=1) == 0).all()
    assert silhouettes(X, Y, alone, k=2)[7] == 0


def test_the_adjusted_rand_index_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    labels, others = generator.integers(0, 4, 300), generator.integers(0, 4, (3, 300))
    others[0] = labels
    tables = cross_tables(labels, others, k=4)

    assert [adjusted_rand(table) for table in tables] == pytest.approx(
        [adjusted_rand_score(labels, one) for one in others]
    )
    assert jaccards(tables)[0].diagonal().tolist() == [1.0] * 4


def test_samples_are_those_that_were_drawn_before() -> None:
    """numpy promises the stream of RandomState; a change here would change k, and digests."""
    assert draw_positions(10, size=4, seed=42).tolist() == [0, 1, 5, 8]
    assert draw_positions(3, size=4, seed=42).tolist() == [0, 1, 2]
    assert random_source(42).randint(0, 1000, 3).tolist() == [102, 435, 860]
