"""Take means and quantiles of records that stand for several customers each."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.partition import Pair

Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float64] | None
"""Customers a record stands for; None: each for itself."""


@dataclass(frozen=True, slots=True)
class Weighting:
    """Say which customers records stand for."""

    weights: Floats
    """How many, shape (n_samples,)."""
    within: Pair = (0.0, 0.0)
    """Mean squared distance of them to their record: of Age, and of transformed Spending_Power."""


def mean(values: Floats, weights: Weights) -> float:
    """Return the mean over customers."""
    return float(values.mean() if weights is None else (values * weights).sum() / weights.sum())


def quantile(values: Floats, share: float, weights: Weights) -> float:
    """Return the value that this share of the customers does not exceed."""
    if weights is None:
        return float(np.quantile(values, share))
    return float(quantiles(values, np.array([share]), weights)[0])


def quantiles(values: Floats, shares: Floats, weights: Floats) -> Floats:
    """Return the values that these shares of the customers do not exceed."""
    order = np.argsort(values, kind="stable")
    reach = np.cumsum(weights[order])
    places = np.searchsorted(reach, shares * reach[-1])
    found: Floats = values[order[np.minimum(places, len(order) - 1)]]
    return found


def count(labels: npt.NDArray[np.integer], weights: Weights, *, k: int) -> npt.NDArray[np.int64]:
    """Return the customers of each label, shape (k,)."""
    return np.bincount(labels, weights=weights, minlength=k).astype(np.int64)


def total(values: Floats, weights: Weights) -> float:
    """Return the number of customers."""
    return float(len(values) if weights is None else weights.sum())
