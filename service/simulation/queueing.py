"""Let requests wait for one of several workers: first come, first served."""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from service.simulation.service_times import ServiceTimes

Floats = npt.NDArray[np.float64]

_SETTLING_S: Final = 60.0
"""How long a queue has had to settle where it is taken to have settled."""


def wait_share(load: float, servers: int) -> float:
    """Return the share of requests that wait in M/M/c, by Erlang's formula.

    Args:
        load: Of each server, below 1.
        servers: How many there are.

    Source: Erlang, 1917; the recursion of the blocking formula does not overflow.
    """
    offered, blocked = load * servers, 1.0
    for number in range(1, servers + 1):
        blocked = offered * blocked / (number + offered * blocked)
    return blocked / (1 - load * (1 - blocked))


def mean_wait_s(load: float, *, servers: int, times: ServiceTimes, variation: float) -> float:
    """Return the mean wait in M/G/c: exact for one server and for exponential times, else near it.

    A queue close to saturation takes long to settle, about `4 E[S] / (c (1 - load)^2)`; a load that would
    not have settled within a minute counts as the highest one that has.

    Source: Lee and Longton, 1959; Kimura, "A transform-free approximation for M/G/s", 1986, for its error.
    """
    highest = 1 - math.sqrt(min(4 * times.mean_s / servers / _SETTLING_S, 0.25))
    load = min(load, highest)
    return wait_share(load, servers) * times.mean_s / (servers * (1 - load)) * (1 + variation) / 2


def simulate_waits(
    gaps: Floats, service_s: Floats, *, servers: int, backlog_s: Floats, patience_s: float = math.inf
) -> Floats:
    """Return how long each request of each lane waits; NaN for who would wait longer than the patience.

    Each lane is a queue of its own, and all are advanced together.

    Args:
        gaps: Seconds from one arrival to the next, shape (requests, lanes).
        service_s: Shape (requests, lanes).
        servers: Of each lane.
        backlog_s: Until a server is free at the beginning, shape (lanes,).
        patience_s: Who would wait longer goes away at once.

    Source: Kiefer and Wolfowitz, "On the theory of queues with many servers", 1955.
    """
    lanes = np.arange(gaps.shape[1])
    free = np.repeat(backlog_s[:, np.newaxis], servers, axis=1)
    now = np.zeros(len(lanes))
    waits = np.empty_like(gaps)
    for place, (gap, service) in enumerate(zip(gaps, service_s, strict=True)):
        now += gap
        first = free.argmin(axis=1)
        starts = np.maximum(now, free[lanes, first])
        wait = starts - now
        stays = wait <= patience_s
        free[lanes[stays], first[stays]] = (starts + service)[stays]
        waits[place] = np.where(stays, wait, np.nan)
    return waits
