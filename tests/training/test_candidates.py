"""The sweep measures what others measure, finds groups where there are groups, and stays small."""

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

from service.training import candidates as module
from service.training.candidates import Scaled, sweep, sweep_size
from service.training.selection import choose
from service.transform import Transform


def make_groups(n_groups: int, *, size: int = 60) -> npt.NDArray[np.float64]:
    generator = np.random.default_rng(n_groups)
    centers = np.column_stack([np.linspace(20, 80, n_groups), np.linspace(500, 9_000, n_groups)[::-1]])
    centers[::2, 1] *= 3
    return np.concatenate([generator.normal(center, (1.0, 60.0), (size, 2)) for center in centers])


@pytest.mark.parametrize("n_groups", [3, 5, 7])
def test_auto_finds_groups_that_are_there(n_groups: int) -> None:
    seen: list[tuple[int, int]] = []
    found = sweep(
        make_groups(n_groups),
        transform=Transform.NONE,
        seed=42,
        on_progress=lambda done, total: seen.append((done, total)),
    )

    assert [one.k for one in found] == list(range(2, 11))
    assert choose(found).k == n_groups
    assert seen[-1] == (9, 9)


def test_the_figures_are_those_of_scikit_learn() -> None:
    vectors = make_groups(4)
    scaled = Scaled.of(vectors, transform=Transform.NONE)
    both = np.column_stack([scaled.x, scaled.y])
    (found,) = sweep(vectors, transform=Transform.NONE, seed=42, ks=[4], on_progress=lambda *_: None)
    kmeans = KMeans(4, n_init=10, random_state=0).fit(both)

    assert found.inertia == pytest.approx(kmeans.inertia_, rel=1e-6)
    assert found.silhouette == pytest.approx(silhouette_score(both, kmeans.labels_))
    assert found.calinski_harabasz == pytest.approx(calinski_harabasz_score(both, kmeans.labels_))
    assert found.davies_bouldin == pytest.approx(davies_bouldin_score(both, kmeans.labels_))
    assert (found.smallest_size, found.smallest_share) == (60, 0.25)
    assert found.stability > 0.99
    assert found.worst_jaccard > 0.99


def test_too_many_clusters_are_less_stable_than_those_that_are_there() -> None:
    found = sweep(make_groups(4), transform=Transform.NONE, seed=42, ks=[4, 7], on_progress=lambda *_: None)

    assert found[0].stability > found[1].stability + 0.1
    assert found[0].worst_jaccard > found[1].worst_jaccard + 0.1


def test_the_sweep_stops_where_records_run_out() -> None:
    vectors = np.array([[20.0, 100.0], [30.0, 900.0], [40.0, 100.0], [50.0, 700.0]])
    found = sweep(vectors, transform=Transform.NONE, seed=42, on_progress=lambda *_: None)

    assert [one.k for one in found] == [2, 3]


def test_records_that_are_all_alike_make_one_cluster() -> None:
    vectors = np.full((20, 2), 40.0)
    found = sweep(vectors, transform=Transform.NONE, seed=42, on_progress=lambda *_: None)

    assert found == []
    assert choose(found).k == 1


def test_the_same_seed_gives_the_same_figures() -> None:
    def run(seed: int) -> list[module.Candidate]:
        return sweep(make_groups(3), transform=Transform.NONE, seed=seed, on_progress=lambda *_: None)

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_large_data_is_sampled_to_the_same_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE", 400)
    monkeypatch.setattr(module, "MIN_SWEEP_RECORDS", 300)
    monkeypatch.setattr(module, "SHARE_RECORDS", 350)
    found = sweep(make_groups(4, size=500), transform=Transform.NONE, seed=42, on_progress=lambda *_: None)

    assert choose(found).k == 4
    assert all(one.inertia < 300 * 2 for one in found)
    assert abs(found[2].smallest_share - 0.25) < 0.05


@pytest.mark.parametrize(
    ("n", "size"),
    [(10, 10), (2_500, 2_500), (50_000, 2_500), (50_001, 400), (300_000, 1_500), (10**7, 2_500)],
)
def test_how_many_records_the_sweep_looks_at(n: int, size: int) -> None:
    assert sweep_size(n) == size
