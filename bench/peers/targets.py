"""Say what is aimed at, and whether a run reached it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench.peers.contenders import Kind
from bench.peers.results import Results, Sample
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

OURS: Final = "segserve"
HELLO: Final = "hello"


@dataclass(frozen=True, slots=True)
class Target:
    """Hold what is aimed at and what each round measured."""

    name: str
    values: Sequence[float]
    """One a round; empty when something of it was not measured."""
    floor: float
    goal: float
    is_least: bool
    """Whether more is better."""
    unit: str = "x"
    detail: str = ""

    @property
    def measured(self) -> float | None:
        """Return the median."""
        return median(self.values) if self.values else None

    @property
    def is_missed(self) -> bool:
        """Tell whether not even the floor is reached."""
        return self.verdict in {"missed", "not measured"}

    @property
    def verdict(self) -> str:
        """Say how far it was reached."""
        if self.measured is None:
            return "not measured"
        if self._reaches(self.goal):
            return "reached"
        return "floor reached" if self._reaches(self.floor) else "missed"

    @property
    def shown(self) -> str:
        """Return the median with the spread over rounds, and what it was held against."""
        if self.measured is None:
            return "-"
        text = self._number(self.measured)
        if len(self.values) > 1:
            text += f" ({self._number(min(self.values))} to {self._number(max(self.values))})"
        return f"{text}, {self.detail}" if self.detail else text

    @property
    def floor_text(self) -> str:
        """Return what must be reached."""
        return f"{'≥' if self.is_least else '≤'} {self.floor:g} {self.unit}"

    @property
    def goal_text(self) -> str:
        """Return what is wished for, where that is more."""
        if self.goal == self.floor:
            return ""
        return f"{'≥' if self.is_least else '≤'} {self.goal:g} {self.unit}"

    def _reaches(self, limit: float) -> bool:
        assert self.measured is not None
        return self.measured >= limit if self.is_least else self.measured <= limit

    def _number(self, value: float) -> str:
        return f"{value:.3g} {self.unit}" if value < 100 else f"{value:,.0f} {self.unit}"


def judge(results: Results) -> list[Target]:
    """Return every target with what a run measured of it."""
    return [
        _least(
            "1 record, 16 connections: requests/s to the hello's",
            _ratios(results, ONE, _rate, to=HELLO),
            floor=0.95,
            goal=1.8,
        ),
        _cheaper(results, ONE, "1 record: CPU of the cheapest peer to ours", limit=60),
        _most("1 record: CPU to static nginx's", _ratios(results, ONE, _cpu, to="nginx"), floor=2.5),
        _cheaper(results, HUNDRED, "100 records: CPU of the cheapest peer to ours", limit=25),
        _cheaper(results, BULK, "10,000 records, JSON: CPU of the cheapest peer to ours", limit=10),
        *(
            _most(
                f"{what}, JSON: CPU per million records",
                [sample.million_cpu_s for sample in results.of(workload.name, OURS)],
                floor=0.15,
                goal=0.06,
                unit="s",
            )
            for what, workload in (("10,000 records", BULK), ("10,000 records as objects", OBJECTS))
        ),
        _csv(results),
        _most(
            "100,000 records, npy: CPU to that of a copy of the body",
            _ratios(results, NPY, _cpu, to="copy"),
            floor=2,
        ),
        _most(
            "1 record, 16 connections: p99 to the hello's",
            _ratios(results, ONE, lambda sample: sample.p99_ms, to=HELLO),
            floor=1.3,
        ),
        _most(
            "/ping while 25 MB bodies are scored: p99.9",
            [results.pings.p999_ms] if results.pings and results.pings.bodies else [],
            floor=50,
            unit="ms",
        ),
        *(
            _least(
                f"{what}: records/s of two workers to one's",
                _paired(
                    {sample.round: _rate(sample) for sample in results.of(two.name, OURS)},
                    {sample.round: _rate(sample) for sample in results.of(one.name, OURS)},
                ),
                floor=1.8,
            )
            for what, one, two in (
                ("10,000 records", ONE_WORKER, TWO_WORKERS),
                ("10,000 records as objects with lists", ONE_SLOW, TWO_SLOW),
            )
        ),
        _most(
            "start to the first 200: to a bare FastAPI hello",
            _start_ratios(results, lambda start_s, _: start_s, to="fastapi-hello"),
            floor=1.3,
            goal=0.5,
        ),
        _most(
            "memory after load: to the hello's",
            _start_ratios(results, lambda _, memory_mb: memory_mb, to=HELLO),
            floor=1.5,
        ),
    ]


def cheapest_peer(results: Results, workload: Workload) -> str | None:
    """Return the peer that spends the least CPU time under a workload."""
    spent = {
        name: median(map(_cpu, samples))
        for name in results.names([Kind.PEER])
        if (samples := results.of(workload.name, name))
    }
    return min(spent, key=lambda name: spent[name]) if spent else None


def _cheaper(results: Results, workload: Workload, name: str, *, limit: float) -> Target:
    peer = cheapest_peer(results, workload)
    if peer is None:
        return _least(name, [], floor=limit)
    inverse = _ratios(results, workload, _cpu, to=peer)
    return _least(name, [1 / ratio for ratio in inverse], floor=limit, detail=peer)


def _csv(results: Results) -> Target:
    """Compare the CPU time of a request of a million records with that of only reading them."""
    name = "1,000,000 records, CSV: CPU to that of the fastest reader"
    spent = {
        reader: {one.round: one.cpu_s for one in results.readings if one.reader == reader}
        for reader in dict.fromkeys(one.reader for one in results.readings)
    }
    if not spent:
        return _most(name, [], floor=2)
    fastest = min(spent, key=lambda reader: median(spent[reader].values()))
    ours = {sample.round: sample.cpu_s / sample.requests for sample in results.of(CSV_MILLION.name, OURS)}
    return _most(name, _paired(ours, spent[fastest]), floor=2, detail=fastest)


def _least(
    name: str, values: Sequence[float], *, floor: float, goal: float | None = None, detail: str = ""
) -> Target:
    return Target(name, values, floor, floor if goal is None else goal, is_least=True, detail=detail)


def _most(
    name: str,
    values: Sequence[float],
    *,
    floor: float,
    goal: float | None = None,
    unit: str = "x",
    detail: str = "",
) -> Target:
    return Target(
        name, values, floor, floor if goal is None else goal, is_least=False, unit=unit, detail=detail
    )


def _ratios(
    results: Results, workload: Workload, value: Callable[[Sample], float], *, to: str
) -> list[float]:
    """Return segserve's value as a multiple of another server's, round by round."""
    return _paired(
        {sample.round: value(sample) for sample in results.of(workload.name, OURS)},
        {sample.round: value(sample) for sample in results.of(workload.name, to)},
    )


def _start_ratios(results: Results, value: Callable[[float, float], float], *, to: str) -> list[float]:
    found = {
        name: {
            start.round: value(start.start_s, start.memory_mb)
            for start in results.starts
            if start.server == name
        }
        for name in (OURS, to)
    }
    return _paired(found[OURS], found[to])


def _paired(ours: dict[int, float], others: dict[int, float]) -> list[float]:
    return [ours[number] / others[number] for number in ours if others.get(number)]


def _rate(sample: Sample) -> float:
    return sample.requests_per_s


def _cpu(sample: Sample) -> float:
    return sample.request_cpu_us
