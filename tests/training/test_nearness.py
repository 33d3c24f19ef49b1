"""The nearest centroid and its rivals are found with the bits of the model's own arithmetic."""

from dataclasses import replace

import numpy as np
import pytest

from service.artifact import Artifact
from service.training.nearness import find_nearest
from service.transform import Transform

N = 20_011


@pytest.mark.parametrize("transform", list(Transform))
@pytest.mark.parametrize("k", [1, 2, 4, 9])
def test_every_figure_has_the_bits_of_the_models(artifact: Artifact, transform: Transform, k: int) -> None:
    random = np.random.default_rng(k)
    scaled = [(0.5 * number, float(random.integers(-2, 3)) / 2) for number in range(k)]
    model = replace(
        artifact.model,
        transform=transform,
        mean=(40.0, 8.0),
        scale=(8.0, 4.0),
        centroids=tuple(scaled),
        segments=tuple(replace(artifact.model.segments[0], id=number) for number in range(k)),
    )
    # Quarters, so that many records lie as near to two centroids, or on one.
    vectors = np.column_stack([random.integers(80, 320, N) / 4, random.integers(0, 200, N) / 4])
    vectors[:: N // 3] = [1e100, 1e100]
    vectors[7:5000, 1] *= random.random(4993)
    expected = model.explain(vectors)
    found = find_nearest(vectors, model.partition)

    assert np.array_equal(found.positions, expected.positions)
    assert np.array_equal(found.distances, expected.distances)
    assert np.array_equal(found.second_distances, expected.second_distances)
    assert np.array_equal(found.confidences, expected.confidences.round(4))
    if transform is Transform.NONE:
        assert len(np.unique(found.positions)) == k
        assert (found.confidences == 0.5).any() == (k > 1)


def test_centroids_in_one_place_are_equally_near(artifact: Artifact) -> None:
    near = ((0.0, 0.0), (0.0, 0.0), (1e-5, 0.0), (3.0, 0.0))
    model = replace(
        artifact.model, transform=Transform.NONE, mean=(40.0, 8.0), scale=(8.0, 4.0), centroids=near
    )
    vectors = np.array([[40.0, 8.0], [40.00006, 8.0], [64.0, 8.0], [41.0, 9.0]] * 9)
    expected = model.explain(vectors).confidences.round(4)

    found = find_nearest(vectors, replace(model.partition, centroids=near)).confidences
    pair = find_nearest(vectors, replace(model.partition, centroids=near[1:])).confidences

    assert np.array_equal(found, expected)
    assert found[:3].tolist() == [0.5, 0.75, 1.0]
    assert pair[0] == 1.0
