"""Choose the number of clusters, with reasons: every rule side by side, and stability decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from service.training.candidates import Candidate

MIN_CLUSTERS: Final = 3
"""Fewer tell a marketer little, and the best silhouette of two is often a handful of outliers."""

MIN_STABILITY: Final = 0.8
MIN_JACCARD: Final = 0.6
"""Source: Hennig, 2007: a cluster below it should not be trusted."""
MIN_SHARE: Final = 0.05

_MARGIN: Final = 0.1
"""Where no k qualifies, the previous one is kept unless another misses the limits by this much less."""


class ChosenBy(StrEnum):
    """Name how k came about."""

    GIVEN = "given"
    STABLE = "stable"
    LEAST_BAD = "least-bad"


@dataclass(frozen=True, slots=True)
class Choice:
    """Hold the number of clusters and why it is this one."""

    k: int
    by: ChosenBy
    reason: str
    rules: Mapping[str, int]
    """The k that each rule by itself would take."""


def choose(
    candidates: Sequence[Candidate], *, given: int | None = None, previous: int | None = None
) -> Choice:
    """Return the given k, else the most stable that qualifies, else the one that misses the limits least.

    Args:
        candidates: What was measured; none where the records are too few to compare anything.
        given: The user's own k.
        previous: The k of the previous version, which is kept while it qualifies.
    """
    rules = compare_rules(candidates)
    if given is not None:
        return Choice(given, ChosenBy.GIVEN, _explain_given(given, candidates), rules)
    if not candidates:
        return Choice(1, ChosenBy.LEAST_BAD, "there are too few distinct records to tell groups apart", rules)
    qualified = [one for one in candidates if _shortfall(one) == 0]
    if qualified:
        best = max(qualified, key=_rank)
        kept = next((one for one in qualified if one.k == previous), None)
        return Choice(
            (kept or best).k, ChosenBy.STABLE, _explain_stable(kept or best, is_kept=kept is not None), rules
        )
    eligible = [one for one in candidates if one.k >= MIN_CLUSTERS] or list(candidates)
    best = min(eligible, key=lambda one: (round(_shortfall(one), 2), *(-part for part in _rank(one))))
    kept = next((one for one in eligible if one.k == previous), None)
    if kept is not None and _shortfall(kept) <= _shortfall(best) + _MARGIN:
        best = kept
    return Choice(best.k, ChosenBy.LEAST_BAD, _explain_least_bad(best), rules)


def compare_rules(candidates: Sequence[Candidate]) -> dict[str, int]:
    """Return the k that each rule would take by itself."""
    if not candidates:
        return {}
    return {
        "stability": max(candidates, key=_rank).k,
        "silhouette": max(candidates, key=lambda one: (one.silhouette, -one.k)).k,
        "calinski_harabasz": max(candidates, key=lambda one: (one.calinski_harabasz, -one.k)).k,
        "davies_bouldin": min(candidates, key=lambda one: (one.davies_bouldin, one.k)).k,
        "gap": max(candidates, key=lambda one: (one.gap, -one.k)).k,
        "elbow": _elbow(candidates),
    }


def _rank(candidate: Candidate) -> tuple[float, float, int]:
    """Rank by stability, in steps that a second run would not turn round, then by separation."""
    return round(candidate.stability, 2), candidate.silhouette, -candidate.k


def _shortfall(candidate: Candidate) -> float:
    """Return by what part of it the limit is missed that is missed most; 0 qualifies."""
    if candidate.k < MIN_CLUSTERS:
        return 1.0
    found = (
        candidate.stability / MIN_STABILITY,
        candidate.worst_jaccard / MIN_JACCARD,
        candidate.smallest_share / MIN_SHARE,
    )
    return max(0.0, 1.0 - min(found))


def _elbow(candidates: Sequence[Candidate]) -> int:
    """Return where the curve of inertia lies farthest below the line between its ends.

    Source: Satopaa et al., 2011 ("Kneedle"). It finds an elbow in pure noise too: a picture, not a reason.
    """
    k: npt.NDArray[np.float64] = np.array([one.k for one in candidates], dtype=np.float64)
    inertia = np.array([one.inertia for one in candidates])
    if len(k) < 3 or inertia[0] <= inertia[-1]:
        return candidates[0].k
    along = (k - k[0]) / (k[-1] - k[0])
    down = (inertia - inertia[-1]) / (inertia[0] - inertia[-1])
    return candidates[int(np.argmin(along + down))].k


def _explain_given(k: int, candidates: Sequence[Candidate]) -> str:
    own = next((one for one in candidates if one.k == k), None)
    text = f"k={k} was given"
    if own is not None:
        text += f"; {_figures(own)}"
        problems = _problems(own)
        if problems:
            text += f": {' and '.join(problems)}"
    if candidates and (auto := choose(candidates)).k != k:
        text += f". Left to choose, training would take k={auto.k}"
    return text


def _explain_stable(candidate: Candidate, *, is_kept: bool) -> str:
    figures = _figures(candidate)
    if is_kept:
        return f"k={candidate.k} is that of the previous version and still stable ({figures})"
    return f"k={candidate.k} comes back most surely when other customers are drawn ({figures})"


def _explain_least_bad(candidate: Candidate) -> str:
    return (
        f"no k meets all limits (stability {MIN_STABILITY:g}, worst Jaccard {MIN_JACCARD:g}, "
        f"smallest segment {MIN_SHARE:.0%}); k={candidate.k} misses them least: "
        f"{' and '.join(_problems(candidate))}"
    )


def _figures(candidate: Candidate) -> str:
    return (
        f"stability {candidate.stability:.2f}, worst Jaccard {candidate.worst_jaccard:.2f}, "
        f"smallest segment {candidate.smallest_share:.1%}"
    )


def _problems(candidate: Candidate) -> list[str]:
    problems = []
    if candidate.k < MIN_CLUSTERS:
        problems.append(f"fewer than {MIN_CLUSTERS} segments")
    if candidate.stability < MIN_STABILITY:
        problems.append(f"its stability is only {candidate.stability:.2f}")
    if candidate.worst_jaccard < MIN_JACCARD:
        problems.append(f"one segment comes back with a Jaccard of only {candidate.worst_jaccard:.2f}")
    if candidate.smallest_share < MIN_SHARE:
        problems.append(f"its smallest segment has only {candidate.smallest_share:.1%} of the customers")
    return problems
