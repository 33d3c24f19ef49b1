"""A run reaches a target, its floor only, or misses it, and says which."""

from dataclasses import replace

import pytest

from bench.peers.targets import Target, cheapest_peer, judge
from bench.peers.workloads import BULK, ONE
from tests.bench.runs import make_run


def test_a_run_that_is_fast_enough_reaches_everything() -> None:
    verdicts = {target.name: target.verdict for target in judge(make_run())}

    assert len(verdicts) == 15
    assert set(verdicts.values()) == {"reached"}


def test_a_run_ten_times_dearer_misses_everything() -> None:
    verdicts = {target.name: target.verdict for target in judge(make_run(factor=10.0))}

    assert set(verdicts.values()) == {"missed"}


def test_what_was_not_measured_is_not_reached() -> None:
    results = make_run()
    results.samples = []
    results.starts = []
    results.readings = []
    results.pings = None

    targets = judge(results)

    assert {target.verdict for target in targets} == {"not measured"}
    assert all(target.is_missed for target in targets)


def test_the_cheapest_peer_counts_and_is_named() -> None:
    results = make_run()
    target = next(one for one in judge(results) if one.name.startswith("1 record: CPU of the cheapest peer"))

    assert cheapest_peer(results, ONE) == "slow"
    assert target.measured == pytest.approx(70, rel=0.01)
    assert target.shown.endswith(", slow")


def test_ratios_are_paired_by_round() -> None:
    """A round in which the whole machine was slow changes no ratio."""
    results = make_run()
    results.samples = [
        replace(one, cpu_s=one.cpu_s * 7) if one.round == 2 else one for one in results.samples
    ]
    target = next(one for one in judge(results) if one.name == "1 record: CPU to static nginx's")

    assert list(target.values) == pytest.approx([2.0] * 5)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [([0.9, 0.5, 0.94], "missed"), ([0.96, 0.1, 1.2], "floor reached"), ([1.8, 1.9, 0.2], "reached")],
)
def test_the_median_is_held_against_floor_and_goal(values: list[float], verdict: str) -> None:
    target = Target("requests", values, floor=0.95, goal=1.8, is_least=True)

    assert target.verdict == verdict
    assert target.is_missed == (verdict == "missed")


def test_cpu_of_a_million_records_counts_records_and_not_requests() -> None:
    results = make_run()
    (first, *_) = results.of(BULK.name, "segserve")

    assert first.million_cpu_s == pytest.approx(first.request_cpu_us * 100 / 1e6)
