"""Waits are those of the closed forms, and those of the fluid are those of following each request."""

import math
from pathlib import Path

import numpy as np
import pytest

from service.simulation.fleet import EventFleet, FluidFleet, percentile
from service.simulation.queueing import Floats, mean_wait_s, simulate_waits, wait_share
from service.simulation.service_times import ServiceTimes, constant, exponential, read_service_times

LANES, REQUESTS, SETTLING = 400, 4000, 1000


def waits_of(times: ServiceTimes, *, load: float, servers: int) -> Floats:
    random = np.random.default_rng(11)
    shape = (REQUESTS, LANES)
    gaps = random.standard_exponential(shape) * times.mean_s / (load * servers)
    waits = simulate_waits(gaps, times.draw(random, shape), servers=servers, backlog_s=np.zeros(LANES))
    return waits[SETTLING:]


@pytest.mark.parametrize("load", [0.3, 0.7, 0.85])
def test_waits_for_one_server_are_those_of_pollaczek_and_khinchine(load: float) -> None:
    """M/D/1: the mean wait is half of load / (1 - load) service times."""
    waits = waits_of(constant(0.002), load=load, servers=1)

    assert waits.mean() == pytest.approx(0.002 * load / (2 * (1 - load)), rel=0.03)
    assert (waits > 0).mean() == pytest.approx(load, rel=0.02)


@pytest.mark.parametrize(("load", "servers"), [(0.5, 1), (0.6, 2), (0.8, 4), (0.7, 16)])
def test_waits_for_many_servers_are_those_of_erlang(load: float, servers: int) -> None:
    """M/M/c: a share C waits, and those wait 1 / (c (1 - load)) service times, exponentially distributed."""
    waits = waits_of(exponential(0.01), load=load, servers=servers)

    share = wait_share(load, servers)
    who_wait = waits[waits > 0]
    assert (waits > 0).mean() == pytest.approx(share, rel=0.03)
    assert who_wait.mean() == pytest.approx(0.01 / (servers * (1 - load)), rel=0.05)
    assert np.quantile(who_wait, 0.99) == pytest.approx(math.log(100) * who_wait.mean(), rel=0.06)


def test_erlangs_share_is_that_of_the_textbook() -> None:
    """Two servers at a load of 0.5: 1/3; one server: the load itself."""
    assert wait_share(0.5, 2) == pytest.approx(1 / 3)
    assert wait_share(0.37, 1) == pytest.approx(0.37)


def test_who_would_wait_longer_than_their_patience_go_away() -> None:
    """At twice the load half of them go, and nobody waits longer."""
    shape = (20_000, 1)
    waits = simulate_waits(
        np.full(shape, 0.5), np.ones(shape), servers=1, backlog_s=np.zeros(1), patience_s=10.0
    )

    assert np.isnan(waits).mean() == pytest.approx(0.5, abs=0.01)
    assert np.nanmax(waits) <= 10.0


@pytest.mark.parametrize(("rate", "instances", "servers"), [(120.0, 2, 1), (150.0, 1, 2), (60.0, 1, 1)])
def test_the_fluid_finds_the_latencies_that_following_each_request_finds(
    rate: float, instances: int, servers: int
) -> None:
    times = ServiceTimes(
        np.array([0.0, 1.0, 2.0, 5.0]), np.array([0.004, 0.02, 0.05, 0.2]) * 0.0094 / 0.0117, 0.0094, None, ""
    )
    arrivals = np.random.default_rng(5).poisson(rate, 3600)
    latencies = []
    for kind in (EventFleet, FluidFleet):
        fleet = kind(instances, servers=servers, times=times, patience_s=60.0, seed=2)
        gone = sum(fleet.serve(second, int(sent)) for second, sent in enumerate(arrivals))
        assert gone == 0
        latencies.append(np.concatenate(fleet.latencies_ms()))
    exact, sampled = latencies

    for share in (0.5, 0.9, 0.99):
        assert percentile(sampled, share) == pytest.approx(percentile(exact, share), rel=0.12)


def test_the_fluid_loses_as_many_in_a_flood_as_following_each_request() -> None:
    """A minute of three times what fits, then half: a backlog of 20 s, losses, and the way back to none."""
    arrivals = np.random.default_rng(5).poisson([300.0] * 60 + [50.0] * 240)
    lost, late = [], []
    for kind in (EventFleet, FluidFleet):
        fleet = kind(1, servers=1, times=constant(0.01), patience_s=20.0, seed=2)
        lost.append(sum(fleet.serve(second, int(sent)) for second, sent in enumerate(arrivals)))
        late.append([percentile(minute, 0.5) for minute in fleet.latencies_ms()])

    assert lost[1] == pytest.approx(lost[0], rel=0.03)
    assert lost[0] > 8000
    for exact, sampled in zip(*late, strict=True):
        assert sampled == pytest.approx(exact, abs=1500)


def test_the_mean_wait_of_one_server_is_exact() -> None:
    times = constant(0.002)

    assert mean_wait_s(0.5, servers=1, times=times, variation=0.0) == pytest.approx(0.001)


def test_measured_times_have_the_measured_throughput(tmp_path: Path) -> None:
    """What is drawn has the mean that the throughput says, and the shape of the latencies."""
    path = tmp_path / "bench.json"
    path.write_text(
        '{"connections": 8, "results": [{"records": 1, "requests_per_s": 500,'
        ' "latency_ms": {"p50": 10, "p90": 20, "p99": 40, "p100": 80}}]}'
    )
    times = read_service_times(path, records=None, workers=2)
    drawn = times.draw(np.random.default_rng(0), 400_000)

    assert times.per_second(2) == pytest.approx(500)
    assert drawn.mean() == pytest.approx(2 / 500, rel=0.01)
    assert np.quantile(drawn, 0.99) / np.quantile(drawn, 0.5) == pytest.approx(4, rel=0.02)
