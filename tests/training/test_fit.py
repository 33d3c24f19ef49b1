"""A fit gives the same numbers for the same records, in the pipeline and in plain form."""

import numpy as np
import numpy.typing as npt
import pytest
import skops.io
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

from service.errors import TrainingError
from service.training.fit import fit_pipeline
from service.training.pipeline_file import write_pipeline
from service.training.pipeline_objects import build_pipeline
from service.training.rounding import round_significant
from service.training.sample import sample_customers
from service.transform import Transform

Vectors = npt.NDArray[np.float64]


@pytest.fixture(name="vectors", scope="module")
def _vectors() -> Vectors:
    rows = np.array([row[1:4] for row in sample_customers(500)], dtype=np.float64)
    return np.column_stack([rows[:, 0], rows[:, 1] / np.maximum(rows[:, 2], 1)])


@pytest.mark.parametrize("transform", list(Transform))
def test_pipeline_and_partition_hold_the_same_numbers(vectors: Vectors, transform: Transform) -> None:
    fit = fit_pipeline(vectors, k=4, transform=transform, seed=42)

    pipeline = build_pipeline(fit)

    assert tuple(pipeline["scale"].mean_.tolist()) == fit.partition.mean
    assert tuple(pipeline["scale"].scale_.tolist()) == fit.partition.scale
    assert pipeline["kmeans"].cluster_centers_.tolist() == [list(c) for c in fit.partition.centroids]
    assert pipeline.predict(vectors).tolist() == fit.partition.assign(vectors).tolist()


def test_without_a_transform_the_steps_are_those_the_user_designed(vectors: Vectors) -> None:
    fit = fit_pipeline(vectors, k=3, transform=Transform.NONE, seed=42)

    assert list(build_pipeline(fit).named_steps) == ["scale", "kmeans"]


@pytest.mark.parametrize("transform", list(Transform))
def test_the_pipeline_loads_without_trusting_anything(vectors: Vectors, transform: Transform) -> None:
    fit = fit_pipeline(vectors, k=4, transform=transform, seed=42)
    content = write_pipeline(fit)

    assert skops.io.get_untrusted_types(data=content) == []
    assert skops.io.loads(content).predict(vectors).tolist() == fit.partition.assign(vectors).tolist()


def test_the_pipeline_does_not_remember_who_is_where(vectors: Vectors) -> None:
    fit = fit_pipeline(vectors, k=4, transform=Transform.NONE, seed=42)

    assert len(build_pipeline(fit)["kmeans"].labels_) == 0


def test_the_pipeline_is_as_scikit_learn_leaves_it(vectors: Vectors) -> None:
    fit = fit_pipeline(vectors, k=4, transform=Transform.NONE, seed=42)
    scaler = StandardScaler().fit(vectors)
    kmeans = KMeans(4, n_init=10, random_state=42).fit(scaler.transform(vectors))

    for found, expected in zip(build_pipeline(fit).named_steps.values(), (scaler, kmeans), strict=True):
        assert vars(found).keys() == vars(expected).keys()
        for name in vars(expected).keys() - {"cluster_centers_", "labels_", "_n_threads"}:
            value = getattr(expected, name)
            assert getattr(found, name) == (value if isinstance(value, str) else pytest.approx(value)), name
    centroids = build_pipeline(fit)["kmeans"].cluster_centers_
    assert sorted(centroids.tolist()) == pytest.approx(np.array(sorted(kmeans.cluster_centers_.tolist())))


def test_clusters_are_numbered_by_spending_power(vectors: Vectors) -> None:
    fit = fit_pipeline(vectors, k=5, transform=Transform.NONE, seed=7)
    powers = [y for _, y in fit.partition.centroids]

    assert powers == sorted(powers)


def test_the_same_seed_gives_the_same_fit(vectors: Vectors) -> None:
    first = fit_pipeline(vectors, k=4, transform=Transform.NONE, seed=1)
    second = fit_pipeline(vectors, k=4, transform=Transform.NONE, seed=1)

    assert first.partition == second.partition
    assert first.inertia == second.inertia


def test_more_clusters_than_distinct_records_is_an_error() -> None:
    vectors = np.repeat(np.array([[30.0, 100.0], [40.0, 200.0], [50.0, 300.0]]), 10, axis=0)

    assert len(fit_pipeline(vectors, k=3, transform=Transform.NONE, seed=42).partition.centroids) == 3
    with pytest.raises(TrainingError, match=r"k=4 needs at least 4 distinct records .* there are 3"):
        fit_pipeline(vectors, k=4, transform=Transform.NONE, seed=42)
    with pytest.raises(TrainingError, match=r"k=31 needs .* there are 3"):
        fit_pipeline(vectors, k=31, transform=Transform.NONE, seed=42)


def test_a_constant_feature_is_no_obstacle() -> None:
    vectors = np.column_stack([np.full(20, 40.0), np.linspace(100, 5_000, 20)])
    fit = fit_pipeline(vectors, k=2, transform=Transform.NONE, seed=42)

    assert set(fit.partition.assign(vectors).tolist()) == {0, 1}


@pytest.mark.parametrize(("value", "expected"), [(1 / 3, 0.333333333333), (0.0, 0.0), (12.0, 12.0)])
def test_numbers_are_published_with_twelve_digits(value: float, expected: float) -> None:
    assert round_significant(value) == expected
