"""The scaler does what the two alarms of a target-tracking policy do."""

from collections.abc import Sequence

import pytest

from service.errors import ConfigurationError
from service.simulation.scaler import Scaler
from service.tracking import TargetTracking

POLICY = TargetTracking(minimum=1, maximum=10, target=1000)


def play(figures: Sequence[float], *, desired: int = 1, policy: TargetTracking = POLICY) -> list[int]:
    """Return the size after each minute in which so many invocations come to the endpoint."""
    scaler = Scaler(policy, start_s=120, delay_s=0, desired=desired)
    sizes = []
    for minute, invocations in enumerate(figures, start=1):
        scaler.publish(minute * 60, invocations / scaler.desired, int(invocations))
        scaler.decide(minute * 60)
        sizes.append(scaler.desired)
    return sizes


def test_three_high_minutes_are_needed_to_grow() -> None:
    assert play([2500] * 3) == [1, 1, 3]
    assert play([2500, 2500, 900, 2500, 2500, 2500]) == [1, 1, 1, 1, 1, 3]
    assert play([1000] * 5) == [1] * 5


def test_fifteen_minutes_below_nine_tenths_are_needed_to_shrink() -> None:
    assert play([1000] * 15, desired=4) == [4] * 14 + [1]
    assert play([1000] * 7 + [3900] + [1000] * 15, desired=4) == [4] * 22 + [1]
    assert play([3650] * 40, desired=4) == [4] * 40


def test_nothing_goes_beyond_the_bounds() -> None:
    assert play([50_000] * 3)[-1] == 10
    assert play([0] * 15, desired=3, policy=TargetTracking(2, 5, 100))[-1] == 2


def test_an_update_under_way_keeps_the_next_one_waiting() -> None:
    """Two minutes to start, and one of cooldown."""
    sizes = play([2500] * 3 + [3500] * 6)

    assert sizes == [1, 1, 3, 3, 3, 4, 4, 4, 4]
    assert play([2500] * 3 + [9999] * 3) == [1, 1, 3, 3, 10, 10]


def test_a_scale_in_waits_for_its_cooldown_and_a_scale_out_does_not() -> None:
    shrinking = play([900] * 15 + [100] * 8, desired=10)

    assert shrinking[14] == 1
    rising = play([900] * 15 + [5000] * 4, desired=10)
    assert rising[-1] == 5


def test_figures_are_seen_late_by_their_delay() -> None:
    scaler = Scaler(POLICY, start_s=0, delay_s=120, desired=1)
    changes = []
    for minute in range(1, 7):
        scaler.publish(minute * 60, 5000.0, 5000)
        changes.append(scaler.decide(minute * 60))

    assert changes == [0, 0, 0, 0, 4, 0]


@pytest.mark.parametrize("target", [0.0, -1.0, float("nan"), float("inf")])
def test_a_policy_that_aws_would_refuse_is_refused(target: float) -> None:
    with pytest.raises(ConfigurationError, match="--target"):
        TargetTracking(1, 2, target)
