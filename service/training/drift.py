"""Tell whether new customers are still like those a version was trained on.

Fixed limits mislead: with 50 customers and no drift at all, the population stability index (PSI) is 0.22 on
average and 0.50 in one batch of twenty. So each measure is compared with what chance alone makes of it at the
batch's size: training sample and batch are thrown together and dealt out again many times (a permutation
test), and the measures are judged together, so that all of them raise a false alarm in one batch of 25.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from service.features import AGE, SPENDING_POWER
from service.model import SegmentModel
from service.training.record import COLUMNS, stack_features

Columns = Mapping[str, npt.NDArray[np.float64]]

ALARM_LEVEL: Final = 0.04
"""Share of batches without any drift that may raise an alarm, over all measures together: below the 5 % that
are promised, so that the promise holds with room for a sample that is not quite like its population."""

SHUFFLES: Final = 999
MAX_BATCH: Final = 10_000
"""Larger batches are sampled: chance has no more to say then, and the answer should come within seconds."""

BINS: Final = 10
WATCH_PSI: Final = 0.1
RETRAIN_PSI: Final = 0.25
"""What exceeds chance by this much matters.

Source: Siddiqi, "Credit Risk Scorecards", 2006: below 0.1 no change, above 0.25 a significant shift.
"""

SEGMENTS: Final = "segments"
_EMPTY_BIN: Final = 0.5
"""Records that an empty bin counts for, so that its logarithm exists."""


class Verdict(StrEnum):
    """Say what to do with the model."""

    KEEP = "keep"
    WATCH = "watch"
    RETRAIN = "retrain"


@dataclass(frozen=True, slots=True)
class Measure:
    """Hold one comparison of the batch with the training data."""

    of: str
    """A feature, or `segments`."""
    kind: str
    """psi or ks."""
    value: float
    expected: float
    """What chance alone makes of it on average at this size."""
    limit: float
    """What chance alone exceeds in one batch of 25, this measure taken alone."""
    p: float
    """Chance of at least so much without drift, corrected for all measures together."""

    @property
    def is_alarm(self) -> bool:
        """Tell whether it is more than chance makes of it."""
        return self.p <= ALARM_LEVEL


@dataclass(frozen=True, slots=True)
class SegmentShare:
    """Hold how many customers a segment has in the training data and in the batch."""

    id: int
    name: str
    training: float
    batch: float


@dataclass(frozen=True, slots=True)
class Drift:
    """Hold the verdict on a batch."""

    verdict: Verdict
    reason: str
    customers: int
    compared: int
    """Customers of the batch that were compared: at most MAX_BATCH."""
    sample: int
    """Customers of the training data they were compared with."""
    measures: tuple[Measure, ...]
    segments: tuple[SegmentShare, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict for a program."""
        measures = [{**asdict(measure), "alarm": measure.is_alarm} for measure in self.measures]
        return {**asdict(self), "measures": measures}


def measure_drift(
    sample: Columns,
    batch: Columns,
    *,
    model: SegmentModel,
    shuffles: int = SHUFFLES,
    seed: int = 42,
) -> Drift:
    """Compare a batch with the sample of the training data.

    Args:
        sample: Age, Income, Purchases and Spending_Power of customers of the training data.
        batch: The same of the new customers; at least one.
        model: Gives the segments.
        shuffles: How often sample and batch are dealt out again. Nine measures share the rarest places, so
            that with fewer than 9 / ALARM_LEVEL nothing can raise an alarm.
        seed: Of the dealing, and of the choice from a large batch.
    """
    rng = np.random.default_rng(seed)
    customers = len(batch[AGE])
    if customers > MAX_BATCH:
        chosen = np.sort(rng.choice(customers, MAX_BATCH, replace=False))
        batch = {name: batch[name][chosen] for name in COLUMNS}
    size = len(sample[AGE])
    pool = _Pool(sample, batch, model)
    is_batch = np.arange(pool.size) >= size
    values = np.empty((shuffles + 1, len(pool.labels)))
    values[0] = pool.measure(is_batch)
    for turn in range(1, shuffles + 1):
        values[turn] = pool.measure(rng.permutation(is_batch))
    measures = _judge(values, pool.labels)
    verdict, reason = _decide(measures)
    return Drift(
        verdict=verdict,
        reason=reason,
        customers=customers,
        compared=pool.size - size,
        sample=size,
        measures=measures,
        segments=pool.segment_shares(is_batch, model),
    )


class _Pool:
    """Hold sample and batch together, prepared to be divided again and again."""

    def __init__(self, sample: Columns, batch: Columns, model: SegmentModel) -> None:
        columns = {name: np.concatenate([sample[name], batch[name]]) for name in COLUMNS}
        self.size = len(columns[AGE])
        self._orders = {name: np.argsort(column, kind="stable") for name, column in columns.items()}
        self._ends = {
            name: np.flatnonzero(np.diff(column[self._orders[name]], append=np.inf) > 0)
            for name, column in columns.items()
        }
        self._codes = {name: _bin(column) for name, column in columns.items()}
        self._codes[SEGMENTS] = model.partition.assign(stack_features(columns)).astype(np.int64)
        self._bins = {name: int(codes.max()) + 1 for name, codes in self._codes.items()}
        self._bins[SEGMENTS] = len(model.segments)
        psis = [(name, "psi") for name in (*COLUMNS, SEGMENTS)]
        self.labels = (*psis, *((name, "ks") for name in COLUMNS))

    def measure(self, is_batch: npt.NDArray[np.bool_]) -> list[float]:
        """Return the value of each measure, in the order of `labels`, for one division of the pool."""
        return [
            self._psi(name, is_batch) if kind == "psi" else self._ks(name, is_batch)
            for name, kind in self.labels
        ]

    def segment_shares(
        self, is_batch: npt.NDArray[np.bool_], model: SegmentModel
    ) -> tuple[SegmentShare, ...]:
        """Return the shares of the segments on both sides of a division."""
        before, after = self._counts(SEGMENTS, is_batch)
        return tuple(
            SegmentShare(segment.id, segment.name, float(old / before.sum()), float(new / after.sum()))
            for segment, old, new in zip(model.segments, before, after, strict=True)
        )

    def _counts(
        self, name: str, is_batch: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        every = np.bincount(self._codes[name], minlength=self._bins[name])
        after = np.bincount(self._codes[name][is_batch], minlength=self._bins[name])
        return every - after, after

    def _psi(self, name: str, is_batch: npt.NDArray[np.bool_]) -> float:
        before, after = (np.maximum(counts, _EMPTY_BIN) for counts in self._counts(name, is_batch))
        old, new = before / before.sum(), after / after.sum()
        return float(((new - old) * np.log(new / old)).sum())

    def _ks(self, name: str, is_batch: npt.NDArray[np.bool_]) -> float:
        after = np.cumsum(is_batch[self._orders[name]])[self._ends[name]]
        before = self._ends[name] + 1 - after
        new = int(after[-1])
        return float(np.abs(after / new - before / (self.size - new)).max())


def _bin(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the number of each value's bin: tenths of all values, fewer where many are equal."""
    edges = np.unique(np.quantile(values, np.arange(1, BINS) / BINS))
    return np.searchsorted(edges, values, side="left")


def _judge(values: npt.NDArray[np.float64], labels: Sequence[tuple[str, str]]) -> tuple[Measure, ...]:
    """Return the measures of the first row, by the distribution of all rows.

    Source: Westfall & Young, "Resampling-Based Multiple Testing", 1993: the smallest p of each row makes the
    distribution by which a p is corrected, so that correlated measures are not punished twice.
    """
    turns = len(values)
    ordered = np.sort(values, axis=0)
    below = np.column_stack(
        [np.searchsorted(ordered[:, place], values[:, place], side="left") for place in range(len(labels))]
    )
    alone = (turns - below) / turns
    smallest = alone.min(axis=1)
    return tuple(
        Measure(
            of=of,
            kind=kind,
            value=float(values[0, place]),
            expected=float(values[1:, place].mean()),
            limit=float(np.quantile(values[1:, place], 1 - ALARM_LEVEL)),
            p=float((smallest <= alone[0, place]).mean()),
        )
        for place, (of, kind) in enumerate(labels)
    )


def _decide(measures: Sequence[Measure]) -> tuple[Verdict, str]:
    alarms = [measure for measure in measures if measure.is_alarm]
    if not alarms:
        return Verdict.KEEP, "No measure differs more than chance makes it differ in batches of this size."
    psis = [measure for measure in alarms if measure.kind == "psi"]
    large = [
        measure
        for measure in psis
        if measure.of in {AGE, SPENDING_POWER, SEGMENTS} and measure.value - measure.expected >= RETRAIN_PSI
    ]
    if large:
        return (
            Verdict.RETRAIN,
            f"{_name(large)} shifted far beyond chance (PSI of {RETRAIN_PSI} or more above it).",
        )
    if any(measure.value - measure.expected >= WATCH_PSI for measure in alarms):
        return Verdict.WATCH, f"{_name(alarms)} shifted more than chance explains, but not far."
    return Verdict.KEEP, f"{_name(alarms)} shifted more than chance explains, but too little to matter."


def _name(measures: Sequence[Measure]) -> str:
    names = list(dict.fromkeys(measure.of for measure in measures))
    names = ["The segments' shares" if name == SEGMENTS else name for name in names]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
