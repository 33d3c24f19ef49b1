"""Serve requests by instances that start and stop, request by request or as a fluid."""

import heapq
import math
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from service.simulation.queueing import mean_wait_s, simulate_waits, wait_share
from service.simulation.service_times import ServiceTimes

Floats = npt.NDArray[np.float64]

LANES_A_MINUTE: Final = 12
_SETTLING: Final = 100
_COUNTED: Final = 150
"""Requests of a lane that are let pass, and that are counted."""


class Fleet(Protocol):
    """Serve what comes in a second; SageMaker sends each request to an instance at random by default."""

    @property
    def instances(self) -> int:
        """Return how many take traffic."""

    def resize(self, instances: int) -> None:
        """Add instances, which are idle, or take some away."""

    def serve(self, second: int, requests: int) -> int:
        """Serve the requests of a second; return how many go away."""

    def latencies_ms(self) -> list[Floats]:
        """Return latencies of each minute, all or a sample, without those that went away."""


class EventFleet:
    """Follow each request by itself: exact, and fit for a few million of them."""

    def __init__(
        self, instances: int, *, servers: int, times: ServiceTimes, patience_s: float, seed: int
    ) -> None:
        """Begin with idle instances."""
        self._servers, self._times, self._patience_s = servers, times, patience_s
        self._random = np.random.default_rng(seed)
        self._free: list[list[float]] = []
        self._minutes: list[list[float]] = []
        self.resize(instances)

    @property
    def instances(self) -> int:
        """Return how many take traffic."""
        return len(self._free)

    def resize(self, instances: int) -> None:
        """Add idle instances, or take the newest away."""
        del self._free[instances:]
        self._free += [[0.0] * self._servers for _ in range(instances - len(self._free))]

    def serve(self, second: int, requests: int) -> int:
        """Serve the requests of a second; return how many go away."""
        if second % 60 == 0:
            self._minutes.append([])
        kept = self._minutes[-1]
        arrivals = np.sort(self._random.random(requests)) + second
        targets = self._random.integers(len(self._free), size=requests)
        took = self._times.draw(self._random, requests)
        gone = 0
        for now, target, service in zip(arrivals.tolist(), targets.tolist(), took.tolist(), strict=True):
            free = self._free[target]
            start = max(now, free[0])
            if start - now > self._patience_s:
                gone += 1
                continue
            heapq.heapreplace(free, start + service)
            kept.append(start - now + service)
        return gone

    def latencies_ms(self) -> list[Floats]:
        """Return the latencies of each minute, by when the requests came."""
        return [np.array(minute) * 1e3 for minute in self._minutes]


class FluidFleet:
    """Let backlogs rise and fall as a fluid, and follow requests only through samples of the day.

    At thousands of requests a second a queue settles within a fraction of a second, so that what a request
    finds depends on the load at that moment and on the backlog, which are known at any rate. In some seconds
    of every minute a few hundred requests are followed through an instance chosen at random. It begins with
    the backlog of that second, or, where there is none, with a wait like that of a settled queue.
    """

    def __init__(
        self, instances: int, *, servers: int, times: ServiceTimes, patience_s: float, seed: int
    ) -> None:
        """Begin with idle instances."""
        self._servers, self._times, self._patience_s = servers, times, patience_s
        self._random = np.random.default_rng(seed)
        self._capacity = times.per_second(servers)
        self._room = patience_s * self._capacity
        self._backlog = np.zeros(instances)
        self._is_behind = False
        self._sampled: list[tuple[int, float, float]] = []
        """Minute, requests a second and seconds of backlog, of an instance."""
        self._watched: set[int] = set()
        self.resize(instances)

    @property
    def instances(self) -> int:
        """Return how many take traffic."""
        return len(self._backlog)

    def resize(self, instances: int) -> None:
        """Add idle instances, or take the newest away."""
        kept = self._backlog[:instances]
        self._backlog = np.concatenate([kept, np.zeros(instances - len(kept))])

    def serve(self, second: int, requests: int) -> int:
        """Serve the requests of a second; return how many go away."""
        if second % 60 == 0:
            places = np.linspace(0, 60, LANES_A_MINUTE, endpoint=False)
            self._watched = {
                second + int(place + self._random.integers(60 // LANES_A_MINUTE)) for place in places
            }
        each = requests / len(self._backlog)
        if second in self._watched and requests:
            waiting = float(self._backlog[self._random.integers(len(self._backlog))])
            self._sampled.append((second // 60, each, waiting / self._capacity))
        if not self._is_behind and each <= self._capacity:
            return 0
        self._backlog += each - self._capacity
        np.maximum(self._backlog, 0, out=self._backlog)
        excess = np.maximum(self._backlog - self._room, 0)
        self._backlog -= excess
        self._is_behind = bool(self._backlog.any())
        return round(float(excess.sum()))

    def latencies_ms(self) -> list[Floats]:
        """Return latencies of each minute, of those who were followed."""
        if not self._sampled:
            return []
        minutes, rates, waits = (np.array(column) for column in zip(*self._sampled, strict=True))
        random, shape = self._random, (_SETTLING + _COUNTED, len(rates))
        load = np.minimum(rates / self._capacity, 1 - 1e-9)
        settled = self._settled(load)
        backlog_s = np.where(waits > 0, waits, settled)
        took, gaps = self._times.draw(random, shape), random.standard_exponential(shape) / rates
        found = simulate_waits(
            gaps,
            took,
            servers=self._servers,
            backlog_s=backlog_s,
            patience_s=self._patience_s,
        )
        latencies = (found + took) * 1e3
        counted = latencies[_SETTLING:]
        # A settled queue is let settle; a backlog is what it is in its second only.
        for lane in np.flatnonzero(waits > 0).tolist():
            within = latencies[gaps[:, lane].cumsum() <= 1, lane]
            counted[:, lane] = np.resize(within, _COUNTED) if len(within) else np.nan
        places = range(int(minutes[-1]) + 1)
        kept = [counted[:, minutes == minute].ravel() for minute in places]
        return [values[~np.isnan(values)] for values in kept]

    def _settled(self, load: Floats) -> Floats:
        """Return a wait of each load as it is in a settled queue: nothing, or an exponential one."""
        variation = self._times.variation()
        table = np.linspace(0, 1 - 1e-9, 1000)
        shares = [wait_share(value, self._servers) for value in table.tolist()]
        means = [
            mean_wait_s(value, servers=self._servers, times=self._times, variation=variation)
            for value in table.tolist()
        ]
        share = np.maximum(np.interp(load, table, shares), 1e-12)
        waits = np.interp(load, table, means) / share
        does_wait = self._random.random(len(load)) < share
        return np.where(does_wait, self._random.standard_exponential(len(load)) * waits, 0.0)


def fits_events(requests: float) -> bool:
    """Tell whether there are few enough requests to follow each."""
    return requests <= 2_000_000


def percentile(values: Floats, share: float) -> float:
    """Return the smallest value that this share of the values does not exceed; NaN of none."""
    if not len(values):
        return math.nan
    return float(np.partition(values, place := max(0, math.ceil(len(values) * share) - 1))[place])
