"""auto finds the number of groups where there are groups."""

import numpy as np
import numpy.typing as npt
import pytest

from service.training import selection
from service.training.selection import Candidate, choose, sweep
from service.transform import Transform


def make_groups(n_groups: int, *, size: int = 60) -> npt.NDArray[np.float64]:
    generator = np.random.default_rng(n_groups)
    centers = np.column_stack([np.linspace(20, 80, n_groups), np.linspace(500, 9_000, n_groups)[::-1]])
    centers[::2, 1] *= 3
    return np.concatenate([generator.normal(center, (1.0, 60.0), (size, 2)) for center in centers])


@pytest.mark.parametrize("n_groups", [2, 3, 5, 7])
def test_auto_finds_groups_that_are_there(n_groups: int) -> None:
    seen: list[tuple[int, int]] = []
    candidates = sweep(
        make_groups(n_groups),
        transform=Transform.NONE,
        seed=42,
        on_progress=lambda done, total: seen.append((done, total)),
    )

    assert [candidate.k for candidate in candidates] == list(range(2, 11))
    assert choose(candidates) == n_groups
    assert seen[-1] == (9, 9)


def test_the_sweep_stops_where_records_run_out() -> None:
    vectors = np.array([[20.0, 100.0], [30.0, 900.0], [40.0, 100.0], [50.0, 700.0]])
    candidates = sweep(vectors, transform=Transform.NONE, seed=42, on_progress=lambda *_: None)

    assert [candidate.k for candidate in candidates] == [2, 3]


def test_records_that_are_all_alike_make_one_cluster() -> None:
    vectors = np.full((20, 2), 40.0)
    candidates = sweep(vectors, transform=Transform.NONE, seed=42, on_progress=lambda *_: None)

    assert candidates == []
    assert choose(candidates) == 1


def test_the_smaller_k_wins_a_tie() -> None:
    assert choose([Candidate(2, 9.0, 0.5), Candidate(3, 5.0, 0.5), Candidate(4, 3.0, 0.4)]) == 2


def test_large_data_is_sampled_to_the_same_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "SWEEP_RECORDS", 400)
    monkeypatch.setattr(selection, "SILHOUETTE_RECORDS", 200)
    vectors = make_groups(4, size=500)
    candidates = sweep(vectors, transform=Transform.NONE, seed=42, on_progress=lambda *_: None)

    assert choose(candidates) == 4
    assert all(candidate.inertia < 400 * 2 for candidate in candidates)
