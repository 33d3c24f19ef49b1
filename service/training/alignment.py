"""Give segments the ids of the previous version, so that a number goes on meaning the same people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from service.model import SegmentModel
from service.partition import Pair
from service.training.arithmetic import BY_NUMPY, Arithmetic
from service.training.continuity import is_as_good, keep_scale
from service.training.fit import Fit, fit_pipeline, reorder
from service.training.lineage import Lineage, Method, Previous, name_family
from service.training.stability import jaccards
from service.training.weighted import Weighting, Weights, count
from service.transform import Transform

MIN_OVERLAP: Final = 1 / 3
"""A segment that shares less than this with its best match (Jaccard) is another one: it gets a new id."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """Hold a fit with the id of each of its clusters, ascending."""

    fit: Fit
    ids: tuple[int, ...]
    lineage: Lineage


def fit_aligned(
    vectors: npt.NDArray[np.float64],
    *,
    k: int,
    transform: Transform,
    seed: int,
    previous: Previous | None,
    weighting: Weighting | None = None,
    arithmetic: Arithmetic = BY_NUMPY,
) -> Aligned:
    """Fit k clusters, with the ids of the previous version where it has the same segments.

    Args:
        vectors: Unscaled features, shape (n_samples, 2), in a canonical row order.
        k: Number of clusters.
        transform: Applied to Spending_Power before scaling.
        seed: Of the random starts.
        previous: The version to continue.
        weighting: The customers that records stand for; None: each for itself.
        arithmetic: Of fits with weights; the result does not depend on it.

    Raises:
        TrainingError: There are fewer distinct records than clusters.
    """
    fit_once = partial(
        fit_pipeline,
        vectors,
        k=k,
        transform=transform,
        seed=seed,
        weighting=weighting,
        arithmetic=arithmetic,
    )
    if previous is None:
        cold = fit_once()
        ids = tuple(range(k))
        family = name_family(cold.partition)
        return Aligned(cold, ids, Lineage(None, Method.COLD, next_id=k, family=family, born=ids))
    weights = None if weighting is None else weighting.weights
    before = previous.model.label(vectors)
    scale = None
    if k == len(previous.model.centroids):
        scale = keep_scale(vectors, model=previous.model, transform=transform, weights=weights)
    fit, is_warm = _fit_again(fit_once, vectors, k=k, model=previous.model, scale=scale, weights=weights)
    if is_warm:
        ids = previous.model.ids
        table = _cross_table(before, fit.partition.assign(vectors), ids=ids, k=k, weights=weights)
        return Aligned(fit, ids, _lineage(table, ids, previous, Method.WARM_START))
    table = _cross_table(before, fit.partition.assign(vectors), ids=previous.model.ids, k=k, weights=weights)
    ids_by_position = _match(table, previous=previous)
    order = sorted(range(k), key=ids_by_position.__getitem__)
    ids = tuple(ids_by_position[position] for position in order)
    method = Method.MATCHED if set(ids) & set(previous.model.ids) else Method.COLD
    return Aligned(reorder(fit, order), ids, _lineage(table[:, order], ids, previous, method))


def _fit_again(
    fit_once: Callable[..., Fit],
    vectors: npt.NDArray[np.float64],
    *,
    k: int,
    model: SegmentModel,
    scale: Pair | None,
    weights: Weights,
) -> tuple[Fit, bool]:
    """Return the warm start and True where it is as good as a cold fit, else the cold fit and False."""
    if k != len(model.centroids):
        return fit_once(), False
    cold = fit_once(scale=scale)
    warm = fit_once(start=_centroids_in_units(model), scale=scale)
    if is_as_good(warm, cold, vectors, weights):
        return warm, True
    # Who begins anew has no reason to measure by the old scale.
    return cold if scale is None else fit_once(), False


def _match(table: npt.NDArray[np.int64], *, previous: Previous) -> list[int]:
    """Return an id for each cluster: of the previous segment it shares most customers with, or a new one.

    Source: Kuhn, 1955, the Hungarian method, by scipy.
    """
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415  # takes a while, and few need it

    old_ids = previous.model.ids
    overlap = jaccards(table)
    ids = [-1] * table.shape[1]
    for old, new in zip(*linear_sum_assignment(-table), strict=True):
        if overlap[old, new] >= MIN_OVERLAP:
            ids[new] = old_ids[old]
    next_id = previous.next_id
    for position, found in enumerate(ids):
        if found < 0:
            ids[position], next_id = next_id, next_id + 1
    return ids


def _lineage(table: npt.NDArray[np.int64], ids: Sequence[int], previous: Previous, method: Method) -> Lineage:
    old_ids = previous.model.ids
    kept = sum(int(table[old_ids.index(one), new]) for new, one in enumerate(ids) if one in old_ids)
    return Lineage(
        previous=previous.version,
        method=method,
        next_id=max(previous.next_id, ids[-1] + 1),
        family=previous.family,
        mapping={one: one for one in old_ids if one in ids},
        kept_share=kept / int(table.sum()),
        born=tuple(one for one in ids if one not in old_ids),
        retired=tuple(sorted({*previous.retired, *(one for one in old_ids if one not in ids)})),
        migration={
            old: {new: int(count) for new, count in zip(ids, row.tolist(), strict=True)}
            for old, row in zip(old_ids, table, strict=True)
        },
    )


def _cross_table(
    before: npt.NDArray[np.int32],
    after: npt.NDArray[np.int32],
    *,
    ids: Sequence[int],
    k: int,
    weights: Weights,
) -> npt.NDArray[np.int64]:
    """Count the customers by previous segment and present cluster, shape (n_ids, k)."""
    rows = np.searchsorted(np.array(ids), before)
    return count(rows * k + after, weights, k=len(ids) * k).reshape(len(ids), k)


def _centroids_in_units(model: SegmentModel) -> list[Pair]:
    """Return the centroids as [Age, Spending_Power]."""
    pairs = []
    for x, y in model.centroids:
        power = y * model.scale[1] + model.mean[1]
        if model.transform is Transform.LOG1P:
            power = float(np.expm1(power))
        pairs.append((x * model.scale[0] + model.mean[0], max(power, 0.0)))
    return pairs
