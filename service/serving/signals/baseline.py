"""Tell how far the traffic is from the training data: the population stability index (PSI)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, Self

import msgspec
import orjson

from service.features import FEATURE_NAMES
from service.lazy import np, npt
from service.serving.signals.board import Cells
from service.serving.signals.layout import FEATURES, MAX_BINS, SEGMENTS

MIN_RECORDS: Final = 500
"""Fewer say nothing: with ten bins, chance alone gives a PSI of about 9 / 500 = 0.02."""

_LEAST_SHARE: Final = 1e-4
"""Stands in for an empty bin, whose logarithm would be infinite."""

_logger = logging.getLogger(__name__)


class Feature(msgspec.Struct, frozen=True):
    """Hold how one feature was spread in the training data."""

    edges: tuple[float, ...]
    """Between the bins, ascending; a value on an edge belongs to the bin above it, as in numpy.histogram."""
    shares: tuple[float, ...]
    """One more than there are edges."""

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Read `edges` and `shares`; edges may include both outer ends, beyond which traffic may lie.

        Raises:
            ValueError: They do not fit together.
        """
        edges = tuple(float(edge) for edge in document["edges"])
        shares = tuple(float(share) for share in document["shares"])
        if len(edges) == len(shares) + 1:
            edges = edges[1:-1]
        is_ascending = all(low < high for low, high in pairwise(edges))
        if len(shares) != len(edges) + 1 or len(shares) > MAX_BINS or not is_ascending or min(shares) < 0:
            raise ValueError("edges and shares do not fit together")
        return cls(edges, shares)


class Baseline(msgspec.Struct, frozen=True):
    """Hold what the training data looked like."""

    features: tuple[Feature, Feature]
    """In FEATURE_NAMES order."""
    segments: Mapping[int, float]
    """Share of each segment id."""

    @property
    def edges(self) -> tuple[Sequence[float], Sequence[float]]:
        """Return the edges of each feature's bins."""
        return self.features[0].edges, self.features[1].edges


class Drift(msgspec.Struct, frozen=True):
    """Hold how far traffic has moved, and on how many records that rests."""

    records: int
    psi: Mapping[str, float]
    """By feature, and for `segment`; empty below MIN_RECORDS."""


def read_baseline(training: bytes) -> Baseline | None:
    """Return the baseline in `training.json`; None where there is none, as in models of older versions."""
    try:
        document = orjson.loads(training).get("baseline")
        if document is None:
            return None
        age, power = (Feature.read(document["features"][name]) for name in FEATURE_NAMES)
        segments = {int(key): float(share) for key, share in document["segment_shares"].items()}
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        _logger.warning("Drift is not measured: the baseline in training.json cannot be read (%r)", exc)
        return None
    return Baseline((age, power), segments)


def measure_drift(totals: Cells, baseline: Baseline) -> Drift:
    """Compare the traffic since the start with the baseline."""
    psi = {}
    least = int(min(counts.sum() for counts in _feature_counts(totals)))
    if least >= MIN_RECORDS:
        for name, feature, counts in zip(
            FEATURE_NAMES, baseline.features, _feature_counts(totals), strict=True
        ):
            psi[name] = stability_index(feature.shares, counts[: len(feature.shares)])
        ids = sorted(baseline.segments)  # the order of the model's segments
        assigned = totals[SEGMENTS][: len(ids)]
        if assigned.any():
            psi["segment"] = stability_index([baseline.segments[key] for key in ids], assigned)
    return Drift(least, psi)


def stability_index(expected: Sequence[float], counts: npt.NDArray[np.uint64]) -> float:
    """Return the population stability index: 0 for alike, over 0.25 for a different population.

    Source: Siddiqi, Credit Risk Scorecards, 2006, chapter 8: under 0.1 stable, 0.1 to 0.25 a small shift.
    """
    wanted = np.maximum(np.array(expected, dtype=np.float64), _LEAST_SHARE)
    found = np.maximum(counts / counts.sum(), _LEAST_SHARE)
    return float(((found - wanted) * np.log(found / wanted)).sum())


def _feature_counts(totals: Cells) -> list[Cells]:
    cells = totals[FEATURES]
    return [cells[:MAX_BINS], cells[MAX_BINS:]]
