"""Say what is promised, and whether the measurements keep it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench.large import (
    EXPRESSIONS,
    GROUP_CSV,
    SCORE,
    SKLEARN,
    SKLEARN_CSV,
    SKLEARN_TEN,
    TRAIN_CSV,
    TRAIN_PARQUET,
    LargeResults,
)
from bench.models import ManyResults
from bench.servers import ServerName
from bench.serving import MANY, ONE, Sample, ServingResults, Workload
from bench.training import Training

MIN_HELLO_RATIO: Final = 0.95
MIN_PLAIN_RATIO: Final = 20.0
MIN_BULK_RATIO: Final = 15.0
MAX_MEMORY_MB: Final = 70.0
MIN_MANY_RATIO: Final = 0.9
MAX_MODEL_KB: Final = 20.0
MAX_START_RATIO: Final = 0.55
MAX_PEAK_MB: Final = 1024.0
MAX_GROWTH: Final = 1.3
MAX_GROUP_RATIO: Final = 2.0
MIN_SKLEARN_RATIO: Final = 3.0
MAX_LARGE_MB: Final = 600.0
MAX_INERTIA_RATIO: Final = 1.00001
MAX_SCORE_RATIO: Final = 1.3
MAX_SCORE_MB: Final = 800.0

LEAST_RECORD_S: Final = 1e-6
"""A record cannot cost less CPU time than this to read and fit; a smaller difference is noise."""


@dataclass(frozen=True, slots=True)
class Target:
    """Hold what is promised and what was measured."""

    name: str
    measured: float
    limit: float
    is_floor: bool = False
    """Whether the limit is the least that is promised; else it is the most that is allowed."""

    @property
    def is_met(self) -> bool:
        """Tell whether the promise is kept."""
        return self.measured >= self.limit if self.is_floor else self.measured <= self.limit


def serving_targets(results: ServingResults) -> list[Target]:
    """Compare segserve with the other servers and with its limits."""
    to_hello = load_ratio(results, ONE, to=ServerName.HELLO, value=requests_per_s)
    to_plain = load_ratio(results, ONE, to=ServerName.PLAIN, value=requests_per_s)
    to_plain_in_bulk = load_ratio(results, MANY, to=ServerName.PLAIN, value=requests_per_s)
    memory_mb = results.memory_mb[ServerName.SEGSERVE]
    return [
        Target("1 record, requests/s: x hello", to_hello, MIN_HELLO_RATIO, is_floor=True),
        Target("1 record, requests/s: x plain", to_plain, MIN_PLAIN_RATIO, is_floor=True),
        Target("10,000 records, records/s: x plain", to_plain_in_bulk, MIN_BULK_RATIO, is_floor=True),
        Target("memory of a worker, MB", memory_mb, MAX_MEMORY_MB),
        Target("start to first ping: x fastapi_hello", start_ratio(results), MAX_START_RATIO),
    ]


def many_targets(results: ManyResults) -> list[Target]:
    """Compare many models in one process with their limits."""
    return [
        Target(
            f"1 of {results.models:,} models, requests/s: x alone",
            results.rate_ratio,
            MIN_MANY_RATIO,
            is_floor=True,
        ),
        Target("memory of a further model, KB", results.model_kb, MAX_MODEL_KB),
    ]


def training_targets(trainings: Sequence[Training]) -> list[Target]:
    """Compare training with its limits."""
    largest = max(training.records for training in trainings)
    peak_mb = max(training.peak_mb for training in trainings if training.records == largest)
    return [
        Target(f"training {largest:,} records, peak MB", peak_mb, MAX_PEAK_MB),
        Target("training, cost of a further record: x at the size before", growth(trainings), MAX_GROWTH),
    ]


def large_targets(results: LargeResults) -> list[Target]:
    """Compare training on millions of records with the bare GROUP BY and with scikit-learn."""

    def wall(what: str, *, to: str) -> float:
        seconds = {(run.round, run.what): run.wall_s for run in results.runs}
        rounds = {run.round for run in results.runs}
        return median(seconds[number, what] / seconds[number, to] for number in rounds)

    def peak_mb(what: str) -> float:
        return max(run.peak_mb for run in results.runs if run.what == what)

    name = f"training {results.records:,} records"
    scoring = f"scoring {results.records:,} records"
    return [
        Target(f"{name}, CSV: x GROUP BY", wall(TRAIN_CSV, to=GROUP_CSV), MAX_GROUP_RATIO),
        *(
            Target(
                f"{name}, {what} of scikit-learn's, time x ours",
                wall(sklearn, to=ours),
                MIN_SKLEARN_RATIO,
                is_floor=True,
            )
            for what, sklearn, ours in (
                ("CSV: one start", SKLEARN_CSV, TRAIN_CSV),
                ("Parquet: one start", SKLEARN, TRAIN_PARQUET),
                ("Parquet: ten starts", SKLEARN_TEN, TRAIN_PARQUET),
            )
        ),
        Target(f"{name}, CSV, peak MB", peak_mb(TRAIN_CSV), MAX_LARGE_MB),
        Target(f"{name}, Parquet, peak MB", peak_mb(TRAIN_PARQUET), MAX_LARGE_MB),
        Target(f"{name}, inertia: x scikit-learn's", max(results.inertia_ratios), MAX_INERTIA_RATIO),
        Target(f"{scoring}, Parquet: x expressions", wall(SCORE, to=EXPRESSIONS), MAX_SCORE_RATIO),
        Target(f"{scoring}, Parquet, peak MB", peak_mb(SCORE), MAX_SCORE_MB),
    ]


def requests_per_s(sample: Sample) -> float:
    """Return what the client got."""
    return sample.load.requests / sample.load.seconds


def cpu_ms(sample: Sample) -> float:
    """Return the server's CPU time per request: what to trust on a noisy machine."""
    return sample.cpu_s / sample.load.requests * 1e3


def load_ratio(
    results: ServingResults, workload: Workload, *, to: ServerName, value: Callable[[Sample], float]
) -> float:
    """Return the median over rounds of segserve's value as a multiple of another server's."""
    values = {
        (sample.round, sample.server): value(sample)
        for sample in results.samples
        if sample.workload == workload.name
    }
    return _median_ratio(values, to=to)


def start_ratio(results: ServingResults) -> float:
    """Return the median over rounds of segserve's start-up as a multiple of the least FastAPI server's."""
    values: dict[tuple[int, str], float] = {
        (start.round, start.server): start.start_s for start in results.starts
    }
    return _median_ratio(values, to=ServerName.FASTAPI_HELLO)


def growth(trainings: Sequence[Training]) -> float:
    """Return the CPU time of a further record at the largest size, as a multiple of that at the next smaller.

    1 is linear. The smallest run stands for start-up and is taken off both; of each size the least CPU time
    counts, since noise only ever adds.
    """
    least: dict[int, float] = {}
    for training in trainings:
        if training.k != "auto":
            least[training.records] = min(training.cpu_s, least.get(training.records, float("inf")))
    small, *_, middle, large = sorted(least)
    at_large = (least[large] - least[small]) / (large - small)
    at_middle = (least[middle] - least[small]) / (middle - small)
    return at_large / max(at_middle, LEAST_RECORD_S)


def _median_ratio(values: Mapping[tuple[int, str], float], *, to: ServerName) -> float:
    rounds = {number for number, _ in values}
    return median(values[number, ServerName.SEGSERVE] / values[number, to] for number in rounds)
