"""Warn when a few customers decide where the segments lie, and show what log1p would change."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from service.features import SPENDING_POWER
from service.training.arithmetic import Floats
from service.training.candidates import Candidate, sweep
from service.training.rounding import round_significant
from service.training.weighted import Weights, mean, quantile
from service.transform import Transform, log1p_all

TOP_SHARE: Final = 0.05
HEAVY_VARIANCE: Final = 0.5
"""The tail is heavy when the top 5 % of records hold more than half of the variance of Spending_Power."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """Hold how as many clusters do after log1p; silhouettes of two scalings cannot be compared."""

    k: int
    silhouette: float
    stability: float
    smallest_share: float


@dataclass(frozen=True, slots=True)
class Tail:
    """Hold how far the largest values of Spending_Power stand out."""

    variance: float
    """The share of the variance that the top records hold."""
    skew: float
    skew_log1p: float
    top_share: float
    is_heavy: bool
    sentence: str | None
    """The warning; None where the tail is not heavy, or was mended."""
    log1p: Remedy | None
    """None unless the tail is heavy and no transform was asked for."""


def measure_tail(
    vectors: Floats,
    *,
    k: int,
    transform: Transform,
    seed: int,
    chosen: Candidate | None,
    everyone: tuple[Floats, Weights] | None = None,
) -> Tail:
    """Measure the tail of Spending_Power and, where it is heavy, the remedy.

    Args:
        vectors: Unscaled features, shape (n_samples, 2), in a canonical row order.
        k: Number of clusters.
        transform: What the user asked for.
        seed: Of the samples and fits.
        chosen: What was measured of k clusters without the remedy.
        everyone: Spending_Power of all customers, where the records are only some of them.
    """
    powers, weights = everyone or (vectors[:, 1], None)
    variance = _top_variance(powers, weights)
    is_heavy = variance > HEAVY_VARIANCE
    remedy = None
    if is_heavy and transform is Transform.NONE:
        measured = sweep(vectors, transform=Transform.LOG1P, seed=seed, ks=(k,), on_progress=lambda *_: None)
        remedy = next(
            (Remedy(one.k, one.silhouette, one.stability, one.smallest_share) for one in measured), None
        )
    return Tail(
        variance=variance,
        skew=_skew(powers, weights),
        skew_log1p=_skew(log1p_all(powers), weights),
        top_share=TOP_SHARE,
        is_heavy=is_heavy,
        sentence=_sentence(variance, chosen, remedy) if is_heavy and transform is Transform.NONE else None,
        log1p=remedy,
    )


def _top_variance(powers: Floats, weights: Weights) -> float:
    if weights is not None:
        squares = (powers - mean(powers, weights)) ** 2 * weights
        total = float(squares.sum())
        top = float(squares[powers > quantile(powers, 1 - TOP_SHARE, weights)].sum())
        return round_significant(top / total) if total else 0.0
    first = len(powers) - max(1, int(len(powers) * TOP_SHARE))
    squares = (np.partition(powers, first) - powers.mean()) ** 2
    total = float(squares.sum())
    return round_significant(float(squares[first:].sum()) / total) if total else 0.0


def _skew(values: Floats, weights: Weights) -> float:
    centred = values - mean(values, weights)
    spread = float(np.sqrt(mean(centred**2, weights)))
    return round_significant(mean(centred**3, weights) / spread**3) if spread > 0 else 0.0


def _sentence(variance: float, chosen: Candidate | None, remedy: Remedy | None) -> str:
    text = (
        f"{SPENDING_POWER} has a heavy tail: the top {TOP_SHARE:.0%} of records hold {variance:.0%} "
        "of its variance, so a few customers decide where the segments lie. Compare with --transform log1p"
    )
    if chosen is None or remedy is None:
        return f"{text}."
    return (
        f"{text}: at k={remedy.k} its smallest segment has {remedy.smallest_share:.1%} of the customers "
        f"instead of {chosen.smallest_share:.1%}, and its stability is {remedy.stability:.2f} instead of "
        f"{chosen.stability:.2f}."
    )
