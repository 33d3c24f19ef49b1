"""Draw samples that are the same for the same seed, whatever the versions of the libraries."""

import numpy as np
import numpy.typing as npt


def random_source(seed: int) -> np.random.RandomState:
    """Return a source of random numbers.

    Source: numpy's policy on random numbers: the stream of RandomState is frozen, that of Generator is not.
    What is drawn here decides on k, and so on the digest of a model.
    """
    return np.random.RandomState(seed)  # the frozen stream is the point


def draw_positions(n: int, *, size: int, seed: int) -> npt.NDArray[np.int64]:
    """Return `size` of the positions 0 to n - 1 in ascending order, or all of them if there are no more."""
    if n <= size:
        return np.arange(n, dtype=np.int64)
    drawn = random_source(seed).permutation(n)[:size]
    return np.sort(drawn).astype(np.int64)
