"""A few extreme records move neither the scale nor the segments; a real change does."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from service.model import Golden, Segment, SegmentModel
from service.training.alignment import fit_aligned
from service.training.continuity import is_as_good, keep_scale
from service.training.fit import Fit, fit_pipeline
from service.training.lineage import Method, Previous
from service.training.pipeline_objects import build_pipeline
from service.transform import Transform

Vectors = npt.NDArray[np.float64]
K = 4


def draw(n_extreme: int, *, seed: int, factor: float = 1.0) -> Vectors:
    """Draw customers, a few of whom have thirty times the Spending_Power of the others."""
    generator = np.random.default_rng(seed)
    powers = np.concatenate(
        [generator.gamma(4, 1_200, 2_000), generator.uniform(140_000, 160_000, n_extreme)]
    )
    vectors = np.column_stack([generator.uniform(20, 70, len(powers)), powers * factor])
    return vectors[np.lexsort((vectors[:, 1], vectors[:, 0]))]


def model_of(fit: Fit) -> SegmentModel:
    partition = fit.partition
    return SegmentModel(
        transform=partition.transform,
        mean=partition.mean,
        scale=partition.scale,
        centroids=tuple(partition.centroids),
        segments=tuple(Segment(number, f"s{number}", 1, 0.1, {}, 1.0) for number in range(K)),
        income_median=1.0,
        border_ratio=1.25,
        golden=Golden((), ()),
    )


def fit(vectors: Vectors, *, transform: Transform = Transform.NONE) -> Fit:
    return fit_pipeline(vectors, k=K, transform=transform, seed=42)


@pytest.mark.parametrize("n_extreme", [1, 2, 5, 9])
def test_customers_keep_their_id_however_many_extreme_ones_are_drawn(n_extreme: int) -> None:
    first = model_of(fit(draw(5, seed=0)))
    drawn = draw(n_extreme, seed=1)
    aligned = fit_aligned(
        drawn, k=K, transform=Transform.NONE, seed=42, previous=Previous("v1", first, next_id=K)
    )

    assert aligned.lineage.method is Method.WARM_START
    assert aligned.fit.partition.scale == first.scale
    assert aligned.lineage.kept_share is not None
    assert aligned.lineage.kept_share > 0.95
    assert build_pipeline(aligned.fit).predict(drawn).tolist() == aligned.fit.partition.assign(drawn).tolist()


@pytest.mark.parametrize(
    "drawn",
    [draw(0, seed=1), draw(5, seed=1, factor=10.0), draw(400, seed=1), np.full((2_000, 2), 40.0)],
    ids=["no extreme ones any more", "another currency", "a crowd of them", "all alike"],
)
def test_the_scale_follows_the_data_when_chance_does_not_explain_the_difference(drawn: Vectors) -> None:
    first = model_of(fit(draw(5, seed=0)))

    assert keep_scale(drawn, model=first, transform=Transform.NONE) is None


def test_the_scale_of_another_transform_means_nothing() -> None:
    first = model_of(fit(draw(5, seed=0)))

    assert keep_scale(draw(5, seed=0), model=first, transform=Transform.NONE) == first.scale
    other = replace(first, transform=Transform.LOG1P)
    assert keep_scale(draw(5, seed=0), model=other, transform=Transform.NONE) is None


def test_a_cold_fit_wins_by_more_than_chance_only() -> None:
    few, many = draw(0, seed=2)[::100], draw(0, seed=2)
    for vectors, is_enough in ((few, True), (many, False)):
        cold = fit(vectors)
        moved = np.add(cold.clusters.centroids, [0.25, 0.0])

        def warm(share: float, *, cold: Fit = cold, moved: Vectors = moved) -> Fit:
            inertia = cold.clusters.inertia * share
            return replace(cold, clusters=replace(cold.clusters, centroids=moved, inertia=inertia))

        assert is_as_good(warm(1.05), cold, vectors) is is_enough
        assert is_as_good(warm(1.009), cold, vectors)
