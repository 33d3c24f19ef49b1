"""Say in a sentence who belongs to a segment, and how well that sentence fits."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt

from service.features import AGE, FEATURE_NAMES, SPENDING_POWER
from service.training.rounding import round_significant
from service.training.sampling import draw_positions
from service.training.tree import Leaf, Node, depth_of, grow

DEPTH: Final = 3
EXPLAINED_RECORDS: Final = 20_000
MIN_LEAF: Final = 5

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Box:
    """Hold a range of each feature: above the lower bound, up to the upper one."""

    low: tuple[float, float] = (-np.inf, -np.inf)
    high: tuple[float, float] = (np.inf, np.inf)

    def holds(self, vectors: Floats) -> npt.NDArray[np.bool_]:
        """Tell which records lie in it."""
        inside = (vectors > np.array(self.low)) & (vectors <= np.array(self.high))
        return inside[:, 0] & inside[:, 1]

    def cut(self, feature: int, threshold: float) -> tuple["Box", "Box"]:
        """Return what lies at or below a threshold, and what lies above it."""
        low, high = list(self.low), list(self.high)
        low[feature] = high[feature] = threshold
        return Box(self.low, (high[0], high[1])), Box((low[0], low[1]), self.high)

    def join(self, other: "Box") -> "Box | None":
        """Return both as one box, None where they are not two halves of one."""
        for feature in range(len(FEATURE_NAMES)):
            same = 1 - feature
            if (self.low[same], self.high[same]) != (other.low[same], other.high[same]):
                continue
            if self.high[feature] == other.low[feature]:
                return Box(self.low, other.high)
            if other.high[feature] == self.low[feature]:
                return Box(other.low, self.high)
        return None

    def __str__(self) -> str:
        parts = [
            _range(name, low, high)
            for name, low, high in zip(FEATURE_NAMES, self.low, self.high, strict=True)
            if np.isfinite(low) or np.isfinite(high)
        ]
        return " and ".join(parts) or f"any {AGE} and {SPENDING_POWER}"


EVERYWHERE: Final = Box()


@dataclass(frozen=True, slots=True)
class Rule:
    """Hold what sets a segment apart, and how well that fits."""

    text: str
    precision: float
    """Of the customers who meet it, the share that is in the segment."""
    coverage: float
    """Of the segment's customers, the share that meets it."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Hold a rule a segment, from one tree of a few questions."""

    rules: tuple[Rule, ...]
    fidelity: float
    """The share of customers whom the tree gives the segment that the model gives them."""
    depth: int


def explain_segments(vectors: Floats, labels: npt.NDArray[np.int32], *, k: int, seed: int) -> Explanation:
    """Explain each segment by at most DEPTH questions about Age and Spending_Power.

    A segment that the tree does not tell from others, as there are too many, is described by the ranges
    that hold nine in ten of its customers.

    Args:
        vectors: Unscaled features, shape (n_samples, 2).
        labels: Position of each record's segment.
        k: Number of segments.
        seed: Of the sample.
    """
    chosen = draw_positions(len(vectors), size=EXPLAINED_RECORDS, seed=seed)
    records, segments = vectors[chosen], labels[chosen]
    leaf = min(MIN_LEAF, max(1, len(records) // (4 * k)))
    tree = grow(records, segments, k=k, depth=DEPTH, leaf=leaf)
    boxes: list[list[Box]] = [[] for _ in range(k)]
    told = np.full(len(records), -1)
    for box, segment in _leaves(tree):
        boxes[segment].append(box)
        told[box.holds(records)] = segment
    return Explanation(
        rules=tuple(
            _rule(boxes[segment] or [_range_box(records, segments == segment)], records, segments == segment)
            for segment in range(k)
        ),
        fidelity=round_significant(float((told == segments).mean())),
        depth=depth_of(tree),
    )


def _leaves(node: Node, box: Box = EVERYWHERE) -> list[tuple[Box, int]]:
    """Return each leaf's box and segment; leaves of one segment under one question are one."""
    if isinstance(node, Leaf):
        return [(box, node.cluster)]
    below, above = box.cut(node.feature, _plain(node.threshold))
    leaves = [*_leaves(node.below, below), *_leaves(node.above, above)]
    segments = {segment for _, segment in leaves}
    return [(box, segments.pop())] if len(segments) == 1 else leaves


def _rule(boxes: Sequence[Box], records: Floats, is_member: npt.NDArray[np.bool_]) -> Rule:
    meets = np.any([box.holds(records) for box in boxes], axis=0)
    both = int((meets & is_member).sum())
    return Rule(
        text=", or ".join(str(box) for box in _joined(boxes)),
        precision=round_significant(both / max(int(meets.sum()), 1)),
        coverage=round_significant(both / max(int(is_member.sum()), 1)),
    )


def _joined(boxes: Sequence[Box]) -> list[Box]:
    """Return the same region in fewer boxes, where two of them are halves of one."""
    left = list(boxes)
    for first, second in combinations(left, 2):
        both = first.join(second)
        if both is not None:
            return _joined([*(box for box in left if box not in (first, second)), both])
    return left


def _range_box(records: Floats, is_member: npt.NDArray[np.bool_]) -> Box:
    if not is_member.any():
        return Box()
    low, high = np.quantile(records[is_member], [0.05, 0.95], axis=0).tolist()
    return Box((_plain(low[0]) - 1, _plain(low[1]) - 1), (_plain(high[0]), _plain(high[1])))


def _plain(value: float) -> float:
    """Round to three digits: what a person would say."""
    return float(f"{value:.3g}")


def _range(name: str, low: float, high: float) -> str:
    if not np.isfinite(low):
        return f"{name} ≤ {_number(high)}"
    if not np.isfinite(high):
        return f"{name} > {_number(low)}"
    return f"{_number(low)} < {name} ≤ {_number(high)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.4g}"
