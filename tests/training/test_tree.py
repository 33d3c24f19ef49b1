"""The tree asks what scikit-learn's would."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.tree import DecisionTreeClassifier

from service.training.tree import Leaf, Node, depth_of, grow

Floats = npt.NDArray[np.float64]


def grown_by_scikit_learn(tree: DecisionTreeClassifier) -> Any:
    inner = tree.tree_

    def walk(node: int) -> Any:
        if inner.children_left[node] < 0:
            return int(tree.classes_[inner.value[node][0].argmax()])
        below, above = walk(inner.children_left[node]), walk(inner.children_right[node])
        return int(inner.feature[node]), float(inner.threshold[node]), below, above

    return walk(0)


def plainly(node: Node) -> Any:
    if isinstance(node, Leaf):
        return node.cluster
    return node.feature, node.threshold, plainly(node.below), plainly(node.above)


def label(node: Node, vectors: Floats) -> list[int]:
    found = []
    for vector in vectors:
        at = node
        while not isinstance(at, Leaf):
            at = at.below if vector[at.feature] <= at.threshold else at.above
        found.append(at.cluster)
    return found


@pytest.mark.parametrize("seed", range(40))
def test_the_tree_is_that_of_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    n, k, leaf = int(random.integers(20, 3_000)), int(random.integers(1, 9)), int(random.integers(1, 6))
    # Numbers that 32 bits hold, as scikit-learn's trees take no others.
    vectors = np.column_stack([random.integers(18, 90, n), random.lognormal(7, 1, n).round() / 4])
    centroids = vectors[random.integers(0, n, k)]
    spread = vectors.std(axis=0)
    distances = (((vectors[:, None] - centroids) / spread) ** 2).sum(axis=2)
    labels = distances.argmin(axis=1).astype(np.int32)
    labels[random.random(n) < 0.1] = 0

    found = grow(vectors, labels, k=k, depth=3, leaf=leaf)
    tree = DecisionTreeClassifier(max_depth=3, min_samples_leaf=leaf, random_state=0).fit(vectors, labels)

    assert plainly(found) == grown_by_scikit_learn(tree)
    assert depth_of(found) == tree.get_depth()
    assert label(found, vectors) == tree.predict(vectors).tolist()


def test_no_side_of_a_question_is_smaller_than_a_leaf() -> None:
    vectors = np.column_stack([np.arange(10.0), np.zeros(10)])
    labels = np.array([1, 0, 0, 0, 0, 0, 0, 0, 0, 0], dtype=np.int32)

    assert grow(vectors, labels, k=2, depth=3, leaf=6) == Leaf(0)
    assert plainly(grow(vectors, labels, k=2, depth=1, leaf=1)) == (0, 0.5, 1, 0)
    assert plainly(grow(vectors, labels, k=2, depth=1, leaf=3)) == (0, 2.5, 0, 0)


def test_records_that_cannot_be_told_apart_are_one_leaf() -> None:
    vectors = np.full((10, 2), 7.0)
    labels = np.array([0, 1] * 4 + [1, 1], dtype=np.int32)

    assert grow(vectors, labels, k=3, depth=3, leaf=1) == Leaf(1)
    assert depth_of(Leaf(1)) == 0


@pytest.mark.parametrize("low", [1e16, 1e16 + 2])
def test_a_threshold_lies_between_neighbours_that_hardly_differ(low: float) -> None:
    vectors = np.column_stack([[low, np.nextafter(low, np.inf)], [0.0, 0.0]])

    found = grow(vectors, np.array([0, 1], dtype=np.int32), k=2, depth=1, leaf=1)

    assert label(found, vectors) == [0, 1]
