"""Compare a fit with fits to records spread evenly over the same box: the gap statistic."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from service.training.arithmetic import BY_NUMPY, Arithmetic, Floats
from service.training.lloyd import fit_many

REFERENCES: Final = 10
STARTS: Final = 2


@dataclass(frozen=True, slots=True)
class Gap:
    """Hold how much tighter the clusters are than those of evenly spread records."""

    gap: float
    error: float
    """Standard error, with that of the simulation."""


def measure_gaps(
    x: Floats,
    y: Floats,
    inertias: Mapping[int, float],
    *,
    random: np.random.RandomState,
    arithmetic: Arithmetic = BY_NUMPY,
) -> dict[int, Gap]:
    """Return the gap of each number of clusters.

    Args:
        x: First feature in scaled space, shape (n_samples,).
        y: Second feature.
        inertias: By number of clusters, of the fits to these records.
        random: Where references and starts are drawn from.
        arithmetic: Of the fits.

    Source: Tibshirani, Walther and Hastie, 2001, with the box along the principal components.
    """
    reference_x, reference_y = _references(x, y, random=random)
    gaps = {}
    for k, inertia in inertias.items():
        logs = _logs(
            fit_many(
                reference_x, reference_y, k=k, starts=STARTS, random=random, arithmetic=arithmetic
            ).inertia
        )
        error = float(logs.std() * np.sqrt(1 + 1 / REFERENCES))
        gaps[k] = Gap(float(logs.mean() - _logs(np.array([inertia]))[0]), error)
    return gaps


def _references(x: Floats, y: Floats, *, random: np.random.RandomState) -> tuple[Floats, Floats]:
    """Draw records from the box that holds the records, turned as they lie; shape (REFERENCES, n_samples)."""
    mean_x, mean_y = x.mean(), y.mean()
    angle = _principal_angle(x - mean_x, y - mean_y)
    cosine, sine = np.cos(angle), np.sin(angle)
    along, across = _turn(x - mean_x, y - mean_y, cosine, sine)
    shape = (REFERENCES, len(x))
    drawn_along = along.min() + random.random_sample(shape) * (along.max() - along.min())
    drawn_across = across.min() + random.random_sample(shape) * (across.max() - across.min())
    turned_x, turned_y = _turn(drawn_along, drawn_across, cosine, -sine)
    return turned_x + mean_x, turned_y + mean_y


def _principal_angle(x: Floats, y: Floats) -> float:
    return float(np.arctan2(2 * (x * y).sum(), (x * x).sum() - (y * y).sum()) / 2)


def _turn(x: Floats, y: Floats, cosine: float, sine: float) -> tuple[Floats, Floats]:
    return x * cosine + y * sine, y * cosine - x * sine


def _logs(inertias: Floats) -> Floats:
    return np.log(np.maximum(inertias, np.finfo(np.float64).tiny))
