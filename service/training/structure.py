"""Tell whether there are groups at all: are the clusters better separated than those of shuffled columns?"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from service.features import AGE, SPENDING_POWER
from service.training.arithmetic import BY_NUMPY, Arithmetic, Floats
from service.training.candidates import Scaled
from service.training.lloyd import fit_many
from service.training.rounding import round_significant
from service.training.sampling import random_source
from service.training.silhouette import silhouettes

SHUFFLES: Final = 20
STRUCTURE_RECORDS: Final = 1_000
STARTS: Final = 8

MIN_Z: Final = 3.0
"""Standard deviations that the silhouette must lie above those of shuffled columns."""
MIN_DIFFERENCE: Final = 0.01
"""And by how much: on much data, a difference that nobody could use would be significant."""

NO_EVIDENCE: Final = "no evidence of natural groups: treat as a convenience split"


@dataclass(frozen=True, slots=True)
class Structure:
    """Hold how the silhouette compares with that of the same columns, each shuffled by itself."""

    silhouette: float
    shuffled_mean: float
    shuffled_std: float
    shuffles: int
    z: float
    """How far the silhouette lies above, in standard deviations of the shuffled ones."""
    has_structure: bool
    sentence: str


def find_structure(scaled: Scaled, *, k: int, seed: int, arithmetic: Arithmetic = BY_NUMPY) -> Structure:
    """Compare the fit of k clusters with fits to shuffled columns.

    Shuffling keeps what each column is and destroys what they are together. So this asks about groups that
    Age and Spending_Power form jointly, beyond what each shows alone.
    """
    records = scaled.sample(STRUCTURE_RECORDS, seed=seed)
    if k < 2 or len(records) <= 2 * k:
        return Structure(0.0, 0.0, 0.0, 0, 0.0, has_structure=False, sentence=_too_few(k))
    random = random_source(seed)
    orders = np.array([random.permutation(len(records)) for _ in range(SHUFFLES)])
    x = np.broadcast_to(records.x, (SHUFFLES + 1, len(records)))
    y = np.concatenate([records.y[None], records.y[orders]])
    scores = _mean_silhouettes(x, y, k=k, random=random, arithmetic=arithmetic)
    observed, shuffled = float(scores[0]), scores[1:]
    mean, spread = float(shuffled.mean()), float(shuffled.std(ddof=1))
    difference = observed - mean
    z = difference / spread if spread > 0 else 0.0
    has_structure = difference > MIN_DIFFERENCE and z > MIN_Z
    return Structure(
        silhouette=round_significant(observed),
        shuffled_mean=round_significant(mean),
        shuffled_std=round_significant(spread),
        shuffles=SHUFFLES,
        z=round_significant(z),
        has_structure=has_structure,
        sentence=_sentence(observed, mean, spread, has_structure=has_structure),
    )


def _mean_silhouettes(
    x: Floats, y: Floats, *, k: int, random: np.random.RandomState, arithmetic: Arithmetic
) -> Floats:
    fits = fit_many(x, y, k=k, starts=STARTS, random=random, arithmetic=arithmetic)
    labels = fits.label(x, y)
    return np.array(
        [
            silhouettes(one_x, one_y, one_labels, k=k, arithmetic=arithmetic).mean()
            for one_x, one_y, one_labels in zip(x, y, labels, strict=True)
        ]
    )


def _sentence(observed: float, mean: float, spread: float, *, has_structure: bool) -> str:
    figures = f"silhouette {observed:.3f}, with shuffled columns {mean:.3f} ± {spread:.3f}"
    if has_structure:
        return f"there are natural groups in {AGE} and {SPENDING_POWER} ({figures})"
    return f"{NO_EVIDENCE} ({figures})"


def _too_few(k: int) -> str:
    return f"{NO_EVIDENCE} ({'one segment' if k < 2 else 'too few records to tell'})"
