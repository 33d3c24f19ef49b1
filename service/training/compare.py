"""Compare two versions on the same customers: who switches, which segments are born, merged or moved."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from service.model import SegmentModel

UNCHANGED_OVERLAP: Final = 0.75
"""Segments whose customers overlap by this Jaccard index or more count as the same.

Source: Hennig, "Cluster-wise assessment of cluster stability", 2007: from 0.75 on a cluster is
valid and stable.
"""

MERGED_SHARE: Final = 0.5
"""A retired segment is merged into the one that takes more than this share of its customers."""


class Fate(StrEnum):
    """Name what became of a segment."""

    KEPT = "kept"
    MOVED = "moved"
    """The id is in both versions, but over other customers."""
    BORN = "born"
    MERGED = "merged"
    """The id is gone, and most of its customers are together in another segment."""
    DISSOLVED = "dissolved"
    """The id is gone, and its customers are spread over several segments."""


@dataclass(frozen=True, slots=True)
class SegmentFate:
    """Hold what became of one segment."""

    id: int
    fate: Fate
    name_before: str | None
    name_after: str | None
    customers_before: int
    customers_after: int
    overlap: float
    """Jaccard index of its customers before and after; 0 where it is in one version only."""
    related: Mapping[int, float]
    """Born: where its customers come from; merged or dissolved: where they go; shares by segment id."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Hold what a newer version changes for some customers."""

    customers: int
    switched: int
    """Customers whose segment's id differs."""
    rearranged: int
    """Customers who would still switch if one version's segments were renumbered to fit best."""
    migration: Mapping[int, Mapping[int, int]]
    """Customers by segment before, then after."""
    fates: tuple[SegmentFate, ...]

    @property
    def switched_share(self) -> float:
        """Return the share of customers whose segment's id differs."""
        return self.switched / self.customers if self.customers else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison for a program."""
        return {
            "customers": self.customers,
            "switched": self.switched,
            "switched_share": self.switched_share,
            "rearranged": self.rearranged,
            "migration": {str(old): dict(news) for old, news in self.migration.items()},
            "segments": [asdict(fate) for fate in self.fates],
        }


class Migration:
    """Count customers by their segments under two models, batch by batch."""

    def __init__(self, before: SegmentModel, after: SegmentModel) -> None:
        """Start with no customer."""
        self._before, self._after = before, after
        self._counts = np.zeros((len(before.segments), len(after.segments)), dtype=np.int64)

    def add(
        self, before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Count customers, and return the ids of their segments before and after.

        Args:
            before: Their features as the older model takes them, shape (n_samples, 2).
            after: The same for the newer one; they differ where each stands in its own median Income.
        """
        old, new = self._before.partition.assign(before), self._after.partition.assign(after)
        np.add.at(self._counts, (old, new), 1)
        return self._before.label(before), self._after.label(after)

    def compare(self) -> Comparison:
        """Return the comparison of all that were counted."""
        old_ids = [segment.id for segment in self._before.segments]
        new_ids = [segment.id for segment in self._after.segments]
        total = int(self._counts.sum())
        stayed = sum(
            int(self._counts[row, new_ids.index(identity)])
            for row, identity in enumerate(old_ids)
            if identity in new_ids
        )
        rows, columns = linear_sum_assignment(self._counts, maximize=True)
        return Comparison(
            customers=total,
            switched=total - stayed,
            rearranged=total - int(self._counts[rows, columns].sum()),
            migration={
                old: {new: int(self._counts[row, column]) for column, new in enumerate(new_ids)}
                for row, old in enumerate(old_ids)
            },
            fates=tuple(self._fate(identity) for identity in sorted({*old_ids, *new_ids})),
        )

    def _fate(self, identity: int) -> SegmentFate:
        olds = {segment.id: place for place, segment in enumerate(self._before.segments)}
        news = {segment.id: place for place, segment in enumerate(self._after.segments)}
        row, column = olds.get(identity), news.get(identity)
        leaving = self._counts[row] if row is not None else None
        coming = self._counts[:, column] if column is not None else None
        overlap, related = 0.0, {}
        if leaving is not None and coming is not None:
            both = int(self._counts[row, column])
            union = int(leaving.sum() + coming.sum()) - both
            overlap = both / union if union else 1.0
            fate = Fate.KEPT if overlap >= UNCHANGED_OVERLAP else Fate.MOVED
        elif coming is not None:
            fate, related = Fate.BORN, _shares(coming, list(olds))
        else:
            assert leaving is not None  # noqa: S101  # the id comes from one of the two
            related = _shares(leaving, list(news))
            merged = max(related.values(), default=0.0) > MERGED_SHARE
            fate = Fate.MERGED if merged else Fate.DISSOLVED
        return SegmentFate(
            id=identity,
            fate=fate,
            name_before=None if row is None else self._before.segments[row].name,
            name_after=None if column is None else self._after.segments[column].name,
            customers_before=0 if leaving is None else int(leaving.sum()),
            customers_after=0 if coming is None else int(coming.sum()),
            overlap=overlap,
            related=related,
        )


def _shares(counts: npt.NDArray[np.int64], ids: list[int]) -> dict[int, float]:
    """Return the share of each segment that has any, the largest first."""
    total = int(counts.sum())
    found = [(int(count) / total, identity) for count, identity in zip(counts, ids, strict=True) if count]
    return {identity: share for share, identity in sorted(found, key=lambda pair: (-pair[0], pair[1]))}
