"""One arithmetic: the same label and distance alone, in any batch, in pure Python and in numpy."""

import numpy as np
import numpy.typing as npt
import pytest

from service.partition import Partition
from service.transform import Transform

CENTROIDS = ((-1.0, -0.4), (0.3, -0.5), (1.2, -0.4), (0.0, 3.5))


def make_partition(transform: Transform = Transform.NONE) -> Partition:
    scale = (14.9, 9123.4) if transform is Transform.NONE else (14.9, 1.21)
    mean = (43.2, 5000.1) if transform is Transform.NONE else (43.2, 8.3)
    return Partition(transform=transform, mean=mean, scale=scale, centroids=CENTROIDS)


def make_vectors(n: int) -> npt.NDArray[np.float64]:
    generator = np.random.default_rng(n)
    return np.column_stack([generator.uniform(0, 90, n), 10 ** generator.uniform(0, 6, n)])


@pytest.mark.parametrize("transform", list(Transform))
@pytest.mark.parametrize("n", [1, 24, 25, 4095, 4096, 4097, 10_000])
def test_a_record_gets_the_same_label_alone_and_in_any_batch(n: int, transform: Transform) -> None:
    partition = make_partition(transform)
    vectors = make_vectors(n)
    one_by_one = [partition.assign_one(*record) for record in vectors.tolist()]

    assert partition.assign(vectors).tolist() == one_by_one
    assert partition.assign(vectors[::-1]).tolist() == one_by_one[::-1]
    assert partition.assign(np.asfortranarray(vectors)).tolist() == one_by_one


@pytest.mark.parametrize("transform", list(Transform))
def test_distances_have_the_same_bits_alone_and_in_a_batch(transform: Transform) -> None:
    partition = make_partition(transform)
    vectors = make_vectors(5_000)
    one_by_one = np.array([partition.distances_one(*record) for record in vectors.tolist()])

    assert partition.distances(vectors).tobytes() == one_by_one.tobytes()


def test_the_lowest_id_wins_a_tie() -> None:
    centroids = ((5.0, 5.0), (1.0, 0.0), (-1.0, 0.0), (0.0, 1.0))
    partition = Partition(transform=Transform.NONE, mean=(0.0, 0.0), scale=(1.0, 1.0), centroids=centroids)
    tied = np.zeros((5_000, 2))

    assert partition.assign_one(0.0, 0.0) == 1
    assert set(partition.assign(tied).tolist()) == {1}


def test_no_records_give_no_labels() -> None:
    assert make_partition().assign(np.empty((0, 2))).tolist() == []
