"""Groups are reported where there are groups, and nowhere else; a heavy tail is told with its remedy."""

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from service.training.candidates import Scaled
from service.training.gap import measure_gaps
from service.training.lloyd import fit_many
from service.training.sampling import random_source
from service.training.structure import find_structure
from service.training.tail import measure_tail
from service.transform import Transform

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "customer_segmentation_data.csv"


def blobs(size: int = 200) -> npt.NDArray[np.float64]:
    generator = np.random.default_rng(1)
    centers = ((25, 2_000), (45, 6_000), (65, 3_000))
    return np.concatenate([generator.normal(center, (3, 300), (size, 2)) for center in centers])


def noise(seed: int, size: int = 400) -> npt.NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    return np.column_stack([generator.uniform(18, 70, size), generator.lognormal(8, 0.8, size)])


def test_groups_that_are_there_are_found() -> None:
    found = find_structure(Scaled.of(blobs(), transform=Transform.NONE), k=3, seed=42)

    assert found.has_structure
    assert found.z > 10
    assert found.sentence.startswith("there are natural groups in Age and Spending_Power")


def test_pure_noise_has_no_groups_whatever_the_seed() -> None:
    found = [
        find_structure(Scaled.of(noise(seed), transform=transform), k=3, seed=42).has_structure
        for seed in range(8)
        for transform in Transform
    ]

    assert not any(found)


@pytest.mark.skipif(not SHARED.is_file(), reason="the shared data is not beside the project")
@pytest.mark.parametrize("transform", list(Transform))
@pytest.mark.parametrize("k", [3, 4])
def test_the_users_data_has_no_groups(transform: Transform, k: int) -> None:
    with SHARED.open(newline="") as file:
        rows = [(float(r["Age"]), float(r["Income"]), float(r["Purchases"])) for r in csv.DictReader(file)]
    data = np.array(rows)
    vectors = np.column_stack([data[:, 0], data[:, 1] / np.maximum(data[:, 2], 1)])
    found = find_structure(Scaled.of(vectors, transform=transform), k=k, seed=42)

    assert not found.has_structure
    assert found.sentence.startswith("no evidence of natural groups: treat as a convenience split")
    if (transform, k) == (Transform.NONE, 4):  # findings/segmentation.md, 3.3
        assert found.silhouette == pytest.approx(0.492, abs=0.006)
        assert found.shuffled_mean == pytest.approx(0.494, abs=0.004)


@pytest.mark.parametrize(("k", "size"), [(1, 100), (3, 6)])
def test_too_little_to_tell_is_no_evidence(k: int, size: int) -> None:
    found = find_structure(Scaled.of(noise(0, size), transform=Transform.NONE), k=k, seed=42)

    assert not found.has_structure
    assert found.shuffles == 0


def test_the_gap_is_widest_at_the_groups_that_are_there() -> None:
    scaled = Scaled.of(blobs(), transform=Transform.NONE)
    inertias = {
        k: float(fit_many(scaled.x[None], scaled.y[None], k=k, starts=5, random=random_source(0)).inertia[0])
        for k in (2, 3, 4, 5)
    }
    gaps = measure_gaps(scaled.x, scaled.y, inertias, random=random_source(0))

    assert max(gaps, key=lambda k: gaps[k].gap) == 3
    assert all(gap.error > 0 for gap in gaps.values())


def test_a_heavy_tail_is_told_with_what_log1p_changes() -> None:
    vectors = noise(3)
    vectors[:8, 1] *= 60
    tail = measure_tail(vectors, k=3, transform=Transform.NONE, seed=42, chosen=None)
    mended = measure_tail(vectors, k=3, transform=Transform.LOG1P, seed=42, chosen=None)
    squares = (vectors[:, 1] - vectors[:, 1].mean()) ** 2

    assert tail.is_heavy
    assert tail.variance == pytest.approx(_top(vectors[:, 1], squares))
    assert tail.log1p is not None
    assert tail.log1p.smallest_share > 0.1
    assert tail.skew > 5 > abs(tail.skew_log1p)
    assert "--transform log1p" in str(tail.sentence)
    assert mended.is_heavy
    assert mended.sentence is None
    assert mended.log1p is None


def _top(powers: npt.NDArray[np.float64], squares: npt.NDArray[np.float64]) -> float:
    return float(squares[np.argsort(powers)[-20:]].sum() / squares.sum())


def test_an_even_column_has_no_tail() -> None:
    tail = measure_tail(
        np.column_stack([np.arange(100.0), np.arange(100.0)]),
        k=3,
        transform=Transform.NONE,
        seed=1,
        chosen=None,
    )

    assert not tail.is_heavy
    assert tail.sentence is None
    assert tail.skew == pytest.approx(0, abs=1e-9)
