"""Make results of a run, with figures that are easy to reckon with."""

from bench.peers.results import Pings, Reading, Results, Sample, Server, Start
from bench.peers.workloads import (
    BULK,
    CSV_MILLION,
    HUNDRED,
    NPY,
    OBJECTS,
    ONE,
    ONE_SLOW,
    ONE_WORKER,
    TWO_SLOW,
    TWO_WORKERS,
    Workload,
)

KINDS = {
    "segserve": "ours",
    "slow": "peer",
    "slower": "peer",
    "hello": "ceiling",
    "nginx": "ceiling",
    "copy": "ceiling",
    "fastapi-hello": "ceiling",
}
COSTS_US = {"segserve": 10.0, "slow": 700.0, "slower": 1500.0, "hello": 20.0, "nginx": 5.0, "copy": 8.0}
"""CPU time of a request of one record, and of everything else a multiple of it."""


def sample(number: int, server: str, workload: Workload, *, cost_us: float, p99_ms: float = 1.0) -> Sample:
    """Return a round in which a server used its core for one second."""
    return Sample(
        number,
        server,
        workload.name,
        workload.records,
        requests=max(1, round(1e6 / cost_us)),
        seconds=1.0,
        cpu_s=1.0,
        p50_ms=0.5,
        p99_ms=p99_ms,
        p999_ms=2.0,
    )


def make_run(*, rounds: int = 5, factor: float = 1.0) -> Results:
    """Return a run in which every target is reached, unless segserve costs a multiple of what it should."""
    results = Results(
        "2026-11-23T20:00:00+00:00",
        {"platform": "Linux", "cpus": 2, "load": [0.1, 0.1, 0.1], "python": "3.11.7"},
        1.0,
        servers=[
            Server(name, f"the {name} server", kind, {"thing": "1.0"}, f"run {name}", "[...]", "")
            for name, kind in KINDS.items()
        ],
    )
    for number in range(1, rounds + 1):
        for server, cost_us in COSTS_US.items():
            spent_us = cost_us * (factor if server == "segserve" else 1)
            for workload, times in ((ONE, 1), (HUNDRED, 2), (BULK, 40), (NPY, 10)):
                p99_ms = factor if server == "segserve" else 1.0
                results.samples.append(
                    sample(number, server, workload, cost_us=spent_us * times, p99_ms=p99_ms)
                )
        results.samples += [
            sample(number, "segserve", CSV_MILLION, cost_us=100_000 * factor),
            sample(number, "segserve", OBJECTS, cost_us=400 * factor),
            sample(number, "segserve", ONE_WORKER, cost_us=400),
            sample(number, "segserve", TWO_WORKERS, cost_us=200 * factor),
            sample(number, "segserve", ONE_SLOW, cost_us=4000),
            sample(number, "segserve", TWO_SLOW, cost_us=2000 * factor),
        ]
        results.readings += [Reading(number, "polars", 0.1, 0.08), Reading(number, "pandas", 0.2, 0.2)]
        results.starts += [
            Start(number, name, 0.5 if name == "fastapi-hello" else 0.2 * factor, 20.0 * factor)
            for name in KINDS
            if name != "hello"
        ]
        results.starts.append(Start(number, "hello", 0.2, 20.0))
    results.pings = Pings(1000, 1.0, 20.0 * factor, 30.0, bodies=12)
    return results
