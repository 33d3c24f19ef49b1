"""auto takes the most stable k that qualifies, and says why."""

from dataclasses import replace
from typing import Any

import pytest

from service.training.candidates import Candidate
from service.training.selection import ChosenBy, choose

GOOD = Candidate(
    k=3,
    inertia=100.0,
    silhouette=0.4,
    calinski_harabasz=500.0,
    davies_bouldin=0.8,
    gap=1.0,
    gap_error=0.01,
    stability=0.9,
    worst_jaccard=0.8,
    smallest_size=200,
    smallest_share=0.2,
)


def candidate(k: int, **changes: Any) -> Candidate:
    return replace(GOOD, k=k, inertia=300.0 / k, **changes)


def test_the_most_stable_k_wins() -> None:
    choice = choose([candidate(3), candidate(4, stability=0.97), candidate(5, stability=0.95)])

    assert (choice.k, choice.by) == (4, ChosenBy.STABLE)
    assert "stability 0.97, worst Jaccard 0.80, smallest segment 20.0%" in choice.reason


def test_two_is_never_taken_though_it_be_more_stable() -> None:
    choice = choose([candidate(2, stability=1.0, silhouette=0.9), candidate(3)])

    assert choice.k == 3
    assert choice.rules["stability"] == 2
    assert choice.rules["silhouette"] == 2


@pytest.mark.parametrize(
    "flaw", [{"stability": 0.79}, {"worst_jaccard": 0.59}, {"smallest_share": 0.049}], ids=str
)
def test_a_k_that_misses_a_limit_does_not_qualify(flaw: dict[str, float]) -> None:
    best = candidate(4, **({"stability": 0.99} | flaw))

    assert choose([candidate(3), candidate(4, stability=0.99)]).k == 4
    assert choose([candidate(3), best]).k == 3


def test_where_none_qualifies_the_least_bad_is_taken_and_its_flaw_is_told() -> None:
    choice = choose([candidate(3, smallest_share=0.002), candidate(4, smallest_share=0.045)])

    assert (choice.k, choice.by) == (4, ChosenBy.LEAST_BAD)
    assert choice.reason.startswith("no k meets all limits")
    assert "its smallest segment has only 4.5% of the customers" in choice.reason


def test_a_given_k_is_taken_and_its_flaws_are_told() -> None:
    choice = choose([candidate(3), candidate(4, stability=0.5)], given=4)

    assert (choice.k, choice.by) == (4, ChosenBy.GIVEN)
    assert "its stability is only 0.50" in choice.reason
    assert choice.reason.endswith("Left to choose, training would take k=3")


def test_the_previous_k_is_kept_while_it_qualifies() -> None:
    candidates = [candidate(3), candidate(4, stability=0.97)]

    assert choose(candidates, previous=3).k == 3
    assert "that of the previous version" in choose(candidates, previous=3).reason
    assert choose([candidate(3, stability=0.7), candidate(4)], previous=3).k == 4


def test_the_previous_k_is_kept_among_bad_ones_unless_another_is_clearly_better() -> None:
    slightly = [candidate(3, smallest_share=0.047), candidate(4, smallest_share=0.049)]
    clearly = [candidate(3, smallest_share=0.03), candidate(4, smallest_share=0.049)]

    assert choose(slightly, previous=3).k == 3
    assert choose(clearly, previous=3).k == 4


def test_equally_stable_ones_are_ranked_by_separation_and_then_the_smaller_wins() -> None:
    assert choose([candidate(3), candidate(4, stability=0.904, silhouette=0.5)]).k == 4
    assert choose([candidate(4), candidate(3)]).k == 3


def test_every_rule_has_its_own_pick() -> None:
    candidates = [
        candidate(2, silhouette=0.7),
        candidate(3, davies_bouldin=0.5),
        candidate(4, stability=0.95),
        candidate(5, calinski_harabasz=900.0),
        candidate(6, gap=2.0),
    ]

    assert choose(candidates).rules == {
        "stability": 4,
        "silhouette": 2,
        "calinski_harabasz": 5,
        "davies_bouldin": 3,
        "gap": 6,
        "elbow": 3,
    }


def test_nothing_to_compare_is_one_segment() -> None:
    choice = choose([])

    assert (choice.k, choice.by, choice.rules) == (1, ChosenBy.LEAST_BAD, {})
