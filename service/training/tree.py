"""Tell clusters apart by a few questions about one feature each: a decision tree.

Training needs no more of one than this, and importing scikit-learn for it would take longer than reading ten
million customers.

Source: Breiman and others, 1984: each question lowers Gini's impurity the most.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from service.training.arithmetic import Floats

MIN_GAP: Final = 1e-7
"""Values that lie no further apart are not told from each other, as scikit-learn has it."""

Labels = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Leaf:
    """Hold the cluster that most of its records are in; of equals, the first."""

    cluster: int


@dataclass(frozen=True, slots=True)
class Question:
    """Ask whether a feature is above a threshold."""

    feature: int
    threshold: float
    below: "Node"
    """For records that do not exceed it."""
    above: "Node"


Node = Leaf | Question


def grow(vectors: Floats, labels: Labels, *, k: int, depth: int, leaf: int) -> Node:
    """Return a tree that tells the clusters apart as well as so few questions can.

    Args:
        vectors: Features, shape (n_samples, n_features).
        labels: Position of each record's cluster, shape (n_samples,).
        k: Number of clusters.
        depth: Questions asked of a record at most.
        leaf: Records that must be left on each side of a question.
    """
    counts = np.bincount(labels, minlength=k)
    end = Leaf(int(counts.argmax()))
    if depth == 0 or len(labels) < max(2, 2 * leaf) or np.count_nonzero(counts) <= 1:
        return end
    cuts = [_best_cut(values, labels, k=k, leaf=leaf) for values in vectors.T]
    feature = int(np.argmax([purity for purity, _ in cuts]))
    purity, threshold = cuts[feature]
    if purity == -np.inf:
        return end
    is_below = vectors[:, feature] <= threshold
    below, above = (
        grow(vectors[side], labels[side], k=k, depth=depth - 1, leaf=leaf) for side in (is_below, ~is_below)
    )
    return Question(feature, threshold, below, above)


def depth_of(node: Node) -> int:
    """Return how many questions are asked of a record at most."""
    return 0 if isinstance(node, Leaf) else 1 + max(depth_of(node.below), depth_of(node.above))


def _best_cut(values: Floats, labels: Labels, *, k: int, leaf: int) -> tuple[float, float]:
    """Return how pure the best cut leaves both sides, -inf where there is none, and its threshold."""
    order = np.argsort(values, kind="stable")
    ascending, n = values[order], len(values)
    below = np.cumsum(labels[order][:, None] == np.arange(k), axis=0)
    above = below[-1] - below[:-1]
    n_below = np.arange(1, n)
    purity = (below[:-1] ** 2).sum(axis=1) / n_below + (above**2).sum(axis=1) / (n - n_below)
    is_allowed = (np.diff(ascending) > MIN_GAP) & (n_below >= leaf) & (n - n_below >= leaf)
    purity[~is_allowed] = -np.inf
    best = int(purity.argmax())
    threshold = float(ascending[best] / 2 + ascending[best + 1] / 2)
    if threshold >= ascending[best + 1]:
        threshold = float(ascending[best])
    return float(purity[best]), threshold
