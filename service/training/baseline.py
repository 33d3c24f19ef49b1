"""Take a snapshot of the customers trained on, to compare later ones with."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from service.training.rounding import round_significant
from service.training.sampling import draw_positions

BINS: Final = 10
BASELINE_RECORDS: Final = 2_000


def take_baseline(
    columns: Mapping[str, npt.NDArray[np.float64]],
    labels: npt.NDArray[np.int32],
    *,
    ids: Sequence[int],
    seed: int,
    shares: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Return the distribution of each column and a sample of the records, as training.json keeps them.

    The sample has four figures and a segment a customer: no id, no name, no other column.

    Args:
        columns: Age, Income, Purchases and Spending_Power, each (n_samples,).
        labels: Position of each record's segment.
        ids: Of the segments.
        seed: Of the sample.
        shares: Of the segments, where these are not all customers.
    """
    n = len(labels)
    drawn = draw_positions(n, size=BASELINE_RECORDS, seed=seed)
    numbers = np.array(ids)
    if shares is None:
        sizes = np.bincount(labels, minlength=len(ids)).tolist()
        shares = [round_significant(size / n) for size in sizes]
    return {
        "n": n,
        "features": {name: _distribution(values) for name, values in columns.items()},
        "sample": {
            **{name: _rounded(values[drawn]) for name, values in columns.items()},
            "segment": numbers[labels[drawn]].tolist(),
        },
        "segment_shares": dict(zip(ids, shares, strict=True)),
    }


def _distribution(values: npt.NDArray[np.float64]) -> dict[str, list[float]]:
    """Return the edges of bins that hold about as many each, and what share each holds.

    As in numpy.histogram a bin begins with its lower edge, and the last one has both; the outermost edges
    are the smallest and the largest value.
    """
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)))
    if len(edges) == 1:
        return {"edges": [float(edges[0]), float(edges[0])], "shares": [1.0]}
    counts, _ = np.histogram(values, bins=edges)
    return {"edges": edges.tolist(), "shares": _rounded(counts / len(values))}


def _rounded(values: npt.NDArray[np.float64]) -> list[float]:
    return [round_significant(value) for value in values.tolist()]
