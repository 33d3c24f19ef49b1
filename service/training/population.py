"""Hold what a fit looks at: the records themselves, or the cells that stand for many of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from service.features import AGE, FEATURE_NAMES, INCOME, PURCHASES, SPENDING_POWER
from service.partition import Pair, Partition
from service.training.cells import AGE_CELLS, OFFSETS, POWER_CELLS, Cells
from service.training.fit import Fit
from service.training.rounding import round_significant
from service.training.weighted import Floats, Weighting, Weights, mean
from service.transform import Transform, transform_all

_COLUMNS = (AGE, INCOME, PURCHASES, SPENDING_POWER)


@dataclass(frozen=True, slots=True)
class Population:
    """Hold records, each of which may stand for many customers."""

    columns: Mapping[str, Floats]
    """Age, Income, Purchases and Spending_Power, each (n_samples,)."""
    weighting: Weighting | None = None

    @property
    def weights(self) -> Weights:
        """Return how many customers each record stands for, None for one."""
        return None if self.weighting is None else self.weighting.weights

    @property
    def vectors(self) -> Floats:
        """Return what the model takes, shape (n_samples, 2), in FEATURE_NAMES order."""
        return np.column_stack([self.columns[name] for name in FEATURE_NAMES])

    @classmethod
    def of_cells(cls, cells: Cells, transform: Transform) -> Self:
        """Join neighbouring cells until a fit of them takes no time; the order is theirs."""
        places = cells.coarse()
        counts = cells.counts.astype(np.float64)
        weights: Floats = np.bincount(places, weights=counts).astype(np.float64)
        fine = cells.columns()
        _, first = np.unique(places, return_index=True)

        def join(values: Floats) -> Floats:
            # Cells that are alike stay so to the last bit, as the sum of many times a number would not.
            base = values[first]
            return base + np.bincount(places, weights=(values - base[places]) * counts) / weights

        columns = {name: join(fine[name]) for name in _COLUMNS}
        ages, powers = cells.variances()
        if transform is Transform.LOG1P:
            powers = powers / (1.0 + fine[SPENDING_POWER]) ** 2
        return cls(
            columns=columns,
            weighting=Weighting(
                weights,
                within=(
                    _within(fine[AGE], columns[AGE][places], ages, counts),
                    _within(
                        transform_all(fine[SPENDING_POWER], transform),
                        transform_all(columns[SPENDING_POWER], transform)[places],
                        powers,
                        counts,
                    ),
                ),
            ),
        )


def _within(fine: Floats, joined: Floats, variances: Floats, counts: Floats) -> float:
    return mean((fine - joined) ** 2 + variances, counts)


def describe_cells(cells: Cells, population: Population, fit: Fit, *, drawn: int) -> dict[str, Any]:
    """Return what training.json says of the cells, with how far the figures may be off.

    Args:
        cells: All customers.
        population: The same, as they were fitted.
        fit: The fit.
        drawn: How many records the figures that need records come from.
    """
    partition = fit.partition
    parts = (0.0, 0.0) if population.weighting is None else population.weighting.within
    within = sum(cells.total * part / scale**2 for part, scale in zip(parts, partition.scale, strict=True))
    powers = cells.columns()[SPENDING_POWER]
    step = mean(
        8 * powers / np.maximum(powers**0.125 * POWER_CELLS, 1.0) / OFFSETS / 2,
        cells.counts.astype(np.float64),
    )
    return {
        "records": cells.total,
        "cells": len(cells.numbers),
        "fitted": len(population.columns[AGE]),
        "drawn": drawn,
        "digest": cells.digest,
        "mean": list(partition.mean),
        "scale": list(partition.scale),
        "centroids": [list(centroid) for centroid in centroids_in_units(partition)],
        "error": {
            "inertia": round_significant(within / fit.inertia) if fit.inertia else 0.0,
            AGE: 1 / AGE_CELLS / OFFSETS / 2,
            SPENDING_POWER: round_significant(step),
        },
    }


def centroids_in_units(partition: Partition) -> Sequence[Pair]:
    """Return the centroids in the scale that is divided by: years, and transformed Spending_Power."""
    return [
        (
            round_significant(x * partition.scale[0] + partition.mean[0]),
            round_significant(y * partition.scale[1] + partition.mean[1]),
        )
        for x, y in partition.centroids
    ]
