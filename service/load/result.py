"""Hold what a load generator saw."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

PERCENTILES: Final = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 100.0)
"""100 is the slowest request."""


@dataclass(frozen=True, slots=True)
class Load:
    """Hold one stretch of load on one server."""

    requests: int
    seconds: float
    failed: int
    """Requests without an answer, or with another status than 200."""
    latencies_ms: Mapping[float, float]
    """By percentile."""

    @property
    def requests_per_s(self) -> float:
        """Return the throughput."""
        return self.requests / self.seconds

    @property
    def p50_ms(self) -> float:
        """Return the median latency."""
        return self.latencies_ms[50.0]

    @property
    def p99_ms(self) -> float:
        """Return the latency that one request in a hundred exceeds."""
        return self.latencies_ms[99.0]


def percentiles(latencies_ms: Sequence[float]) -> dict[float, float]:
    """Return the smallest latency that each percentage of requests stayed within (nearest rank)."""
    ordered = sorted(latencies_ms)
    return {
        percentage: ordered[max(0, math.ceil(len(ordered) * percentage / 100) - 1)]
        for percentage in PERCENTILES
    }


def summarize(loads: Sequence[Load]) -> Load:
    """Return the median round: of the throughput and of each percentile; failures are added up."""
    rate = median(load.requests_per_s for load in loads)
    seconds = sum(load.seconds for load in loads)
    return Load(
        requests=round(rate * seconds),
        seconds=seconds,
        failed=sum(load.failed for load in loads),
        latencies_ms={
            percentage: median(load.latencies_ms[percentage] for load in loads) for percentage in PERCENTILES
        },
    )
