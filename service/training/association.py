"""Tell whether the segments differ in columns that the model never saw, such as Gender."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.special import chdtr, chdtrc, chndtrinc

from service.training.attributes import Attribute
from service.training.rounding import round_significant

RARE: Final = 5
"""Values of fewer customers go together: they prove nothing, and might tell who it is."""

OTHER: Final = "(other)"
CONFIDENCE: Final = 0.95
SIGNIFICANT: Final = 0.05
_STRENGTHS: Final = ((0.1, "hardly any"), (0.3, "a weak"), (0.5, "a clear"), (np.inf, "a strong"))
"""Upper bounds of Cramér's V, after Cohen, 1988."""
WORTH_A_WARNING: Final = 0.1


@dataclass(frozen=True, slots=True)
class Association:
    """Hold how much the segments and a column have to do with each other."""

    column: str
    cramers_v: float
    """0 is nothing, 1 is that one tells the other."""
    low: float
    """Of the 95 % interval, as is `high`."""
    high: float
    p: float
    """Of the chi-squared test; not corrected for the number of columns."""
    values: tuple[str, ...]
    table: Mapping[int, Mapping[str, int]]
    """Customers by segment id and value."""
    sentence: str

    @property
    def is_worth_a_warning(self) -> bool:
        """Tell whether the association is both there and not negligible."""
        return self.p < SIGNIFICANT and self.cramers_v >= WORTH_A_WARNING


def find_associations(
    attributes: Sequence[Attribute], labels: npt.NDArray[np.int32], *, ids: Sequence[int]
) -> list[Association]:
    """Return the association of the segments with each column that tells customers apart, strongest first.

    Args:
        attributes: Columns of the data set.
        labels: Position of each record's segment, in the order of the data set.
        ids: Of the segments.
    """
    found = [_associate(attribute, labels, ids=ids) for attribute in attributes]
    return sorted((one for one in found if one is not None), key=lambda one: (-one.cramers_v, one.column))


def _associate(
    attribute: Attribute, labels: npt.NDArray[np.int32], *, ids: Sequence[int]
) -> Association | None:
    """Return the association with one column, None where there is nothing to compare."""
    values, codes = _group_rare(attribute)
    is_known = codes >= 0
    cells = labels[is_known] * len(values) + codes[is_known]
    table = np.bincount(cells, minlength=len(ids) * len(values)).reshape(len(ids), len(values))
    seen = table[table.sum(axis=1) > 0]
    smaller = min(seen.shape) - 1
    if smaller < 1:
        return None
    n = int(seen.sum())
    expected = np.outer(seen.sum(axis=1), seen.sum(axis=0)) / n
    statistic = float(((seen - expected) ** 2 / expected).sum())
    freedom = (seen.shape[0] - 1) * (seen.shape[1] - 1)
    v = float(np.sqrt(statistic / (n * smaller)))
    low, high = (float(np.sqrt(limit / (n * smaller))) for limit in _noncentralities(statistic, freedom))
    low, high, p = min(low, v), min(max(high, v), 1.0), float(chdtrc(freedom, statistic))
    return Association(
        column=attribute.column,
        cramers_v=round_significant(v),
        low=round_significant(low),
        high=round_significant(high),
        p=round_significant(p),
        values=values,
        table={
            number: dict(zip(values, row, strict=True))
            for number, row in zip(ids, table.tolist(), strict=True)
        },
        sentence=_sentence(attribute.column, v, low, high, p),
    )


def _group_rare(attribute: Attribute) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Return the values in alphabetical order, rare ones as one at the end, and the codes to match."""
    known = attribute.codes[attribute.codes >= 0]
    counts = np.bincount(known, minlength=len(attribute.values))
    frequent = sorted(value for value, count in zip(attribute.values, counts, strict=True) if count >= RARE)
    has_rare = any(0 < count < RARE for count in counts.tolist())
    values = (*frequent, *([OTHER] if has_rare else []))
    lookup = [frequent.index(value) if value in frequent else len(frequent) for value in attribute.values]
    return values, np.array([*lookup, -1], dtype=np.int64)[attribute.codes]


def _noncentralities(statistic: float, freedom: int) -> tuple[float, float]:
    """Return the noncentralities under which the statistic would be barely high, and barely low, enough.

    Source: Smithson, 2003, "Confidence Intervals", the inversion of the noncentral chi-squared distribution.
    """
    tail = (1 - CONFIDENCE) / 2
    low, high = (
        float(chndtrinc(statistic, freedom, probability)) if chdtr(freedom, statistic) > probability else 0.0
        for probability in (1 - tail, tail)
    )
    return low, high


def _sentence(column: str, v: float, low: float, high: float, p: float) -> str:
    figures = f"Cramér's V {v:.2f}, 95 % interval {low:.2f} to {high:.2f}, {_format_p(p)}"
    if p >= SIGNIFICANT:
        return f"no association of the segments with {column} is found ({figures})"
    strength: Any = next(words for bound, words in _STRENGTHS if v < bound)
    return f"there is {strength} association of the segments with {column} ({figures})"


def _format_p(p: float) -> str:
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"
