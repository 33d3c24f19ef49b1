"""Turn measurements into tables, targets that are met or missed, and a JSON file."""

import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich.table import Table

from bench.serving import LOADED, MANY, ONE, WORKLOADS, Sample, ServingResults, Workload
from bench.servers import ServerName
from bench.training import Training

RESULTS_DIR: Final = Path(__file__).parent / "results"

MIN_HELLO_RATIO: Final = 0.8
MIN_PLAIN_RATIO: Final = 5.0
MIN_BULK_RATIO: Final = 10.0
MAX_MEMORY_MB: Final = 75.0
MAX_START_RATIO: Final = 1.6
MAX_PEAK_MB: Final = 1024.0
MAX_GROWTH: Final = 1.3


@dataclass(frozen=True, slots=True)
class Target:
    """Hold what is promised and what was measured."""

    name: str
    measured: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def is_met(self) -> bool:
        """Tell whether the promise is kept."""
        low = -float("inf") if self.at_least is None else self.at_least
        high = float("inf") if self.at_most is None else self.at_most
        return low <= self.measured <= high


def serving_targets(results: ServingResults) -> list[Target]:
    """Compare the servers with what is promised of segserve."""
    memory_mb = results.memory_mb[ServerName.SEGSERVE]
    return [
        Target(
            "1 record: requests/s of hello",
            rate_ratio(results, ONE, to=ServerName.HELLO),
            at_least=MIN_HELLO_RATIO,
        ),
        Target(
            "1 record: requests/s of plain",
            rate_ratio(results, ONE, to=ServerName.PLAIN),
            at_least=MIN_PLAIN_RATIO,
        ),
        Target(
            "10,000 records: records/s of plain",
            rate_ratio(results, MANY, to=ServerName.PLAIN),
            at_least=MIN_BULK_RATIO,
        ),
        Target("memory, MB", memory_mb, at_most=MAX_MEMORY_MB),
        Target("start-up of fastapi_hello", start_ratio(results), at_most=MAX_START_RATIO),
    ]


def training_targets(trainings: Sequence[Training]) -> list[Target]:
    """Compare training runs with what is promised."""
    largest = max(training.records for training in trainings)
    peak_mb = max(training.peak_mb for training in trainings if training.records == largest)
    return [
        Target(f"training {largest:,} records: peak, MB", peak_mb, at_most=MAX_PEAK_MB),
        Target("training: growth of CPU per record", growth(trainings), at_most=MAX_GROWTH),
    ]


def rate_ratio(results: ServingResults, workload: Workload, *, to: ServerName) -> float:
    """Return the median over rounds of segserve's requests/s as a multiple of another server's."""
    rates = {
        (sample.round, sample.server): sample.requests_per_s
        for sample in results.samples
        if sample.workload == workload.name
    }
    return _median_ratio(rates, to=to)


def cpu_ratio(results: ServingResults, workload: Workload, *, to: ServerName) -> float:
    """Return the median over rounds of segserve's CPU time per request as a multiple of another server's."""
    times = {
        (sample.round, sample.server): sample.cpu_ms
        for sample in results.samples
        if sample.workload == workload.name
    }
    return _median_ratio(times, to=to)


def start_ratio(results: ServingResults) -> float:
    """Return the median over rounds of segserve's start-up as a multiple of the least FastAPI server's."""
    times = {(start.round, start.server): start.start_s for start in results.starts}
    return _median_ratio(times, to=ServerName.FASTAPI_HELLO)


def growth(trainings: Sequence[Training]) -> float:
    """Return what a record costs at the largest size, as a multiple of what it costs at the middle one.

    The smallest run is taken off both as start-up, and the least CPU time of each size counts: noise only
    ever adds. 1 is linear.
    """
    least: dict[int, float] = {}
    for training in trainings:
        if training.k != "auto":
            least[training.records] = min(training.cpu_s, least.get(training.records, float("inf")))
    small, middle, large = sorted(least)
    at_large = (least[large] - least[small]) / (large - small)
    at_middle = (least[middle] - least[small]) / (middle - small)
    return at_large / at_middle


def serving_table(results: ServingResults) -> Table:
    """Return medians a server and workload."""
    table = Table(title="Serving, one worker (medians over rounds)")
    table.add_column("server")
    table.add_column("payload")
    for column in ("requests/s", "records/s", "CPU ms/request", "p50 ms", "p99 ms", "PSS MB", "start s"):
        table.add_column(column, justify="right")
    for workload in WORKLOADS:
        for server in LOADED:
            samples = [
                one for one in results.samples if (one.workload, one.server) == (workload.name, server)
            ]
            table.add_row(
                server,
                workload.name,
                *_load_cells(samples, records=workload.records),
                f"{results.memory_mb[server]:.1f}",
                _start_cell(results, server),
            )
    table.add_row(
        ServerName.FASTAPI_HELLO, "", "", "", "", "", "", "", _start_cell(results, ServerName.FASTAPI_HELLO)
    )
    return table


def training_table(trainings: Sequence[Training]) -> Table:
    """Return medians a size and k."""
    table = Table(title="Training (medians over rounds)")
    for column in ("records", "k", "wall s", "CPU s", "peak MB"):
        table.add_column(column, justify="right")
    for records, k in dict.fromkeys((one.records, one.k) for one in trainings):
        runs = [one for one in trainings if (one.records, one.k) == (records, k)]
        wall_s, cpu_s, peak_mb = (
            _median_of(runs, value)
            for value in (lambda run: run.wall_s, lambda run: run.cpu_s, lambda run: run.peak_mb)
        )
        table.add_row(f"{records:,}", k, f"{wall_s:.2f}", f"{cpu_s:.2f}", f"{peak_mb:.0f}")
    return table
