"""The model's labels are scikit-learn's, but where rounding alone decides."""

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.pipeline import Pipeline

from service.partition import Partition
from service.training.fit import Fit, fit_pipeline
from service.training.pipeline_objects import build_pipeline
from service.training.sample import sample_customers
from service.transform import Transform

RECORDS = 1_000_000
CASES = [(4, Transform.NONE), (9, Transform.NONE), (3, Transform.LOG1P)]


@pytest.fixture(name="fit", scope="module", params=CASES, ids=lambda case: f"{case[1]}-k{case[0]}")
def _fit(request: pytest.FixtureRequest) -> Fit:
    k, transform = request.param
    rows = np.array([row[1:4] for row in sample_customers(2_000)], dtype=np.float64)
    vectors = np.column_stack([rows[:, 0], rows[:, 1] / np.maximum(rows[:, 2], 1)])
    return fit_pipeline(vectors, k=k, transform=transform, seed=42)


def predict(pipeline: Pipeline, vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    return np.asarray(pipeline.predict(vectors), dtype=np.int32)


def is_tied(partition: Partition, vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Tell where the two nearest squared distances agree to a relative 1e-9."""
    ordered = np.sort(partition.distances(vectors), axis=1)
    return (ordered[:, 0] / ordered[:, 1]) ** 2 >= 1 - 1e-9


def test_labels_equal_scikit_learns_on_random_records(fit: Fit) -> None:
    generator = np.random.default_rng(3)
    vectors = np.column_stack([generator.uniform(0, 100, RECORDS), 10 ** generator.uniform(0, 6, RECORDS)])

    assert np.count_nonzero(fit.partition.assign(vectors) != predict(build_pipeline(fit), vectors)) == 0


def test_labels_differ_from_scikit_learns_on_boundaries_only_in_ties(fit: Fit) -> None:
    vectors = records_on_boundaries(fit.partition, RECORDS)
    is_different = fit.partition.assign(vectors) != predict(build_pipeline(fit), vectors)
    tied = is_tied(fit.partition, vectors)

    assert np.count_nonzero(tied) > RECORDS / 10, "the records must really lie on boundaries"
    assert np.count_nonzero(~tied) > RECORDS / 10, "and next to them"
    assert np.count_nonzero(is_different & ~tied) == 0


def records_on_boundaries(partition: Partition, n: int) -> npt.NDArray[np.float64]:
    """Place records on bisectors of two centroids, and from 1e-16 to 1e-2 beside them."""
    generator = np.random.default_rng(4)
    centroids = np.array(partition.centroids)
    k = len(centroids)
    first = generator.integers(0, k, n)
    second = (first + generator.integers(1, k, n)) % k
    middle = (centroids[first] + centroids[second]) / 2
    across = centroids[second] - centroids[first]
    along = np.column_stack([-across[:, 1], across[:, 0]])
    offset = 10 ** generator.uniform(-16, -2, n) * generator.choice([-1, 0, 1], n)
    scaled = middle + along * generator.uniform(-0.5, 0.5, (n, 1)) + across * offset[:, None]
    unscaled: npt.NDArray[np.float64] = scaled * np.array(partition.scale) + np.array(partition.mean)
    if partition.transform is Transform.LOG1P:
        unscaled[:, 1] = np.expm1(unscaled[:, 1])
    unscaled[unscaled < 0] = 0.0
    return unscaled
