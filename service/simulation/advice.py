"""Say where a policy failed on a simulated day, and what to set instead."""

import math
from collections.abc import Iterator
from typing import Final

from service.simulation.day import Day
from service.simulation.scaler import HIGH_PERIODS, PERIOD_S

GOOD_LOAD: Final = 0.6
"""Of an instance: leaves room for what comes before the next one has started."""
_LOW_LOAD: Final = 0.2


def suggest_target(day: Day) -> float:
    """Return a target that loads an instance well, in two digits."""
    return _two_digits(GOOD_LOAD * day.hosting.capacity * 60)


def advise(day: Day) -> list[str]:
    """Return a sentence for each thing that went wrong, or could be had for less."""
    return list(_advise(day))


def _advise(day: Day) -> Iterator[str]:
    policy, capacity, traffic = day.policy, day.hosting.capacity, day.traffic
    share = policy.target / 60 / capacity
    better = suggest_target(day)
    if share > 0.9:
        yield (
            f"--target {policy.target:.10g} is {share:.0%} of what an instance answers: the alarm comes "
            f"when it is too late. --target {better:.10g} leaves room."
        )
    elif share < _LOW_LOAD:
        yield (
            f"--target {policy.target:.10g} is {share:.1%} of what an instance answers ({capacity * 60:,.0f} "
            f"a minute): most of what is paid for is idle. --target {better:.10g} needs fewer."
        )
    behind = [minute for minute in day.minutes if minute.load > 1]
    if any(minute.instances == policy.maximum for minute in behind):
        busiest = max(minute.requests - minute.throttled for minute in day.minutes) / PERIOD_S
        needed = math.ceil(busiest / (GOOD_LOAD * capacity))
        yield f"--max {policy.maximum} was reached and was not enough: --max {needed} would be."
    if behind and traffic.spike > 1 and share <= 0.9:
        yield _late(day)
    if day.throttled:
        yield (
            f"{day.throttled:,} requests were more than the quota of {day.hosting.quota:g} a second, which "
            "no instance helps against: ask AWS for more, or send more records in a request."
        )


def _late(day: Day) -> str:
    """Say how long a spike waits for instances, and what holds it until they are there."""
    traffic, capacity = day.traffic, day.hosting.capacity
    alarm_s = HIGH_PERIODS * PERIOD_S + day.hosting.delay_s
    before = traffic.rates()[max(int(traffic.spike_start_s) - 1, 0)]
    peak = before * traffic.spike
    target = _two_digits(capacity * 60 / traffic.spike * 0.95)
    least = math.ceil(peak / (0.95 * capacity))
    came = (
        "no instance came in time"
        if day.reaction_s is None
        else f"the first took {day.reaction_s / 60:.0f} min"
    )
    return (
        f"The spike was faster than the policy: the alarm takes {alarm_s / 60:.0f} min and an instance "
        f"{day.hosting.start_s / 60:g} more; {came}. What is there must bear it: --min {least}, at its time "
        f"by a scheduled action, or --target {target:.10g} at all times."
    )


def _two_digits(value: float) -> float:
    """Round down to two digits."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.floor(value / unit) * unit
