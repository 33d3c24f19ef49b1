"""Let a day pass: requests, instances, alarms, waits and the bill."""

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from service.errors import ConfigurationError
from service.simulation.fleet import EventFleet, Fleet, FluidFleet, fits_events, percentile
from service.simulation.scaler import PERIOD_S, Scaler
from service.simulation.service_times import ServiceTimes
from service.simulation.traffic import Traffic, check_ranges
from service.tracking import TargetTracking

Floats = npt.NDArray[np.float64]
MAX_INSTANCES: Final = 100_000


class Method(StrEnum):
    """Name how requests are followed."""

    AUTO = "auto"
    EVENTS = "events"
    """Each by itself."""
    FLUID = "fluid"
    """As a fluid, with samples."""


@dataclass(frozen=True, slots=True)
class Hosting:
    """Hold what an instance is, and how fast one is there.

    Raises:
        ConfigurationError: A value is not accepted.
    """

    times: ServiceTimes
    workers: int = 2
    start_s: int = 300
    delay_s: int = 60
    """From the end of a minute until the alarms see its figure."""
    patience_s: float = 60.0
    """Who would wait longer goes away: SageMaker gives a container so long."""
    quota: float = math.inf
    """InvokeEndpoint calls a second that AWS lets through."""
    hourly: float | None = None
    """Price of an instance."""

    def __post_init__(self) -> None:
        """Check each value."""
        check_ranges(
            ("--workers", self.workers, 1, 192),
            ("--start-minutes", self.start_s / 60, 0, 60),
            ("--metric-delay", self.delay_s, 0, 600),
            ("--patience", self.patience_s, 0.001, 3600),
            ("--quota", self.quota, 1, math.inf),
        )

    @property
    def capacity(self) -> float:
        """Return how many requests an instance answers in a second, fully loaded."""
        return self.times.per_second(self.workers)


@dataclass(frozen=True, slots=True)
class Minute:
    """Hold what happened in a minute."""

    minute: int
    requests: int
    """That were sent."""
    throttled: int
    """Refused by AWS, being more than the quota."""
    failed: int
    """Gone away, since they would have waited too long."""
    instances: int
    """That took traffic at its end."""
    billed: int
    """These and those that were starting."""
    load: float
    """What came to an instance, as a share of what it can answer."""
    p50_ms: float | None
    """None where nothing was answered."""
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class Day:
    """Hold a simulated day."""

    traffic: Traffic
    hosting: Hosting
    policy: TargetTracking
    method: Method
    minutes: tuple[Minute, ...]
    p50_ms: float
    p99_ms: float
    p999_ms: float
    """Of all that were answered."""
    reaction_s: int | None
    """From the spike's beginning until the first new instance took traffic; None without either."""

    @property
    def requests(self) -> int:
        """Return how many were sent."""
        return sum(minute.requests for minute in self.minutes)

    @property
    def throttled(self) -> int:
        """Return how many AWS refused."""
        return sum(minute.throttled for minute in self.minutes)

    @property
    def failed(self) -> int:
        """Return how many went away."""
        return sum(minute.failed for minute in self.minutes)

    @property
    def instance_hours(self) -> float:
        """Return what is billed."""
        return sum(minute.billed for minute in self.minutes) / 60

    @property
    def cost(self) -> float | None:
        """Return the price of all, None where that of an instance is not known."""
        return None if self.hosting.hourly is None else self.instance_hours * self.hosting.hourly

    def as_document(self) -> dict[str, Any]:
        """Return the day for programs."""
        policy = {name: value for name, value in asdict(self.policy).items() if name != "is_async"}
        return {
            "traffic": asdict(self.traffic),
            "policy": policy,
            "instance": {
                "workers": self.hosting.workers,
                "requests_per_s": self.hosting.capacity,
                "service_ms": self.hosting.times.mean_s * 1e3,
                "measured": self.hosting.times.source,
                "start_s": self.hosting.start_s,
                "hourly": self.hosting.hourly,
            },
            "method": self.method,
            "requests": self.requests,
            "throttled": self.throttled,
            "failed": self.failed,
            "instance_hours": self.instance_hours,
            "cost": self.cost,
            "latency_ms": {"p50": self.p50_ms, "p99": self.p99_ms, "p99.9": self.p999_ms},
            "reaction_s": self.reaction_s,
            "minutes": [asdict(minute) for minute in self.minutes],
        }


def simulate(
    traffic: Traffic,
    hosting: Hosting,
    policy: TargetTracking,
    *,
    seed: int = 0,
    method: Method = Method.AUTO,
) -> Day:
    """Let a day pass.

    Raises:
        ConfigurationError: There would be more instances than can be simulated.
    """
    if policy.maximum > MAX_INSTANCES:
        raise ConfigurationError(
            f"--max {policy.maximum} is not accepted: at most {MAX_INSTANCES} are simulated"
        )
    rates = traffic.rates()
    if method is Method.AUTO:
        method = Method.EVENTS if fits_events(rates.sum()) else Method.FLUID
    arrivals = np.random.default_rng(seed).poisson(rates)
    start = math.ceil(float(rates[:PERIOD_S].mean()) * PERIOD_S / policy.target)
    scaler = Scaler(
        policy,
        hosting.start_s,
        hosting.delay_s,
        desired=min(max(start, policy.minimum), policy.maximum),
    )
    kind: type[EventFleet | FluidFleet] = EventFleet if method is Method.EVENTS else FluidFleet
    fleet = kind(
        scaler.desired,
        servers=hosting.workers,
        times=hosting.times,
        patience_s=hosting.patience_s,
        seed=seed + 1,
    )
    history, reaction_s = _pass(arrivals, fleet, scaler, hosting, spike_s=_spike_start(traffic))
    latencies = fleet.latencies_ms()
    latencies += [np.empty(0)] * (len(history) - len(latencies))
    minutes = tuple(
        _minute(number, told, latencies[number], hosting=hosting) for number, told in enumerate(history)
    )
    p50, p99, p999 = _overall(minutes, latencies)
    return Day(traffic, hosting, policy, method, minutes, p50, p99, p999, reaction_s)


def _spike_start(traffic: Traffic) -> float:
    return traffic.spike_start_s if traffic.spike > 1 else math.inf


@dataclass(slots=True)
class _Tally:
    """Count what happens in a minute."""

    requests: int = 0
    throttled: int = 0
    failed: int = 0
    instances: int = 0
    billed: int = 0
    per_instance: float = 0.0
    """As CloudWatch has it: each request counts as a share of the instances that there are."""


def _pass(
    arrivals: npt.NDArray[np.int64], fleet: Fleet, scaler: Scaler, hosting: Hosting, *, spike_s: float
) -> tuple[list[_Tally], int | None]:
    """Let every second pass; return each minute, and how long a spike waited for the first instance."""
    history, tally = [], _Tally()
    changes: list[tuple[int, int]] = []
    reaction_s = None
    for second, sent in enumerate(arrivals.tolist()):
        while changes and changes[0][0] <= second:
            size = changes.pop(0)[1]
            if size > fleet.instances and reaction_s is None and second > spike_s:
                reaction_s = second - int(spike_s)
            fleet.resize(size)
        let_through = int(min(sent, hosting.quota))
        tally.requests += sent
        tally.throttled += sent - let_through
        tally.failed += fleet.serve(second, let_through)
        tally.per_instance += let_through / fleet.instances
        if (second + 1) % PERIOD_S:
            continue
        now_s = second + 1
        tally.instances, tally.billed = fleet.instances, max(fleet.instances, scaler.desired)
        history.append(tally)
        scaler.publish(now_s, tally.per_instance, tally.requests - tally.throttled)
        if change := scaler.decide(now_s):
            changes.append((now_s + (hosting.start_s if change > 0 else 0), scaler.desired))
        tally = _Tally()
    return history, reaction_s


def _minute(number: int, tally: _Tally, latencies_ms: Floats, *, hosting: Hosting) -> Minute:
    p50, p99 = percentile(latencies_ms, 0.5), percentile(latencies_ms, 0.99)
    return Minute(
        number,
        tally.requests,
        tally.throttled,
        tally.failed,
        tally.instances,
        tally.billed,
        load=tally.per_instance / PERIOD_S / hosting.capacity,
        p50_ms=None if math.isnan(p50) else p50,
        p99_ms=None if math.isnan(p99) else p99,
    )


def _overall(minutes: tuple[Minute, ...], latencies: list[Floats]) -> tuple[float, float, float]:
    """Return percentiles of all requests, of which those of a minute with more of them count for more."""
    weights = [
        np.full(len(values), (minute.requests - minute.throttled - minute.failed) / max(len(values), 1))
        for minute, values in zip(minutes, latencies, strict=True)
    ]
    values, counts = np.concatenate(latencies), np.concatenate(weights)
    if not len(values):
        return math.nan, math.nan, math.nan
    order = np.argsort(values)
    shares = np.cumsum(counts[order]) / counts.sum()
    p50, p99, p999 = (
        float(values[order[min(int(np.searchsorted(shares, share)), len(order) - 1)]])
        for share in (0.5, 0.99, 0.999)
    )
    return p50, p99, p999
