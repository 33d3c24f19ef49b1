"""Say why a record is in its segment and not in the second best: which feature decided, and by what."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from service.features import FEATURE_NAMES
from service.model import SegmentModel
from service.partition import Pair
from service.transform import Transform

_MANY: Final = 1e15
"""From here on digits say less than an exponent."""
_MAX_EXPONENT: Final = 700.0
"""Above 709 the exponential overflows; the logarithm of MAX_VALUE is 230."""
_MAX_RULE: Final = 300
"""Characters of a rule that are answered with each record."""


class Reasons:
    """Explain the records of one model."""

    def __init__(self, model: SegmentModel) -> None:
        """Explain by the centroids of a model."""
        self._model = model
        self._partition = model.partition

    def explain(self, record: Sequence[float], *, cluster: int, second: int) -> str:
        """Return a sentence on the feature that decided.

        Args:
            record: Age and Spending_Power.
            cluster: Place of the nearest centroid.
            second: Place of the second nearest; -1 where there is none.
        """
        if second < 0:
            return "There is only this segment"
        scaled = self._partition.scale_one(record[0], record[1])
        own, other = self._partition.centroids[cluster], self._partition.centroids[second]
        gains = [(scaled[axis] - other[axis]) ** 2 - (scaled[axis] - own[axis]) ** 2 for axis in (0, 1)]
        axis = 0 if gains[0] >= gains[1] else 1
        here, there = (_unscale(self._model, centroid, axis=axis) for centroid in (own, other))
        return (
            f"{FEATURE_NAMES[axis]} {_show(record[axis])} is nearer to {_show(here)}, "
            f"the centre of this segment, than to {_show(there)}, that of {self._model.segments[second].name}"
        )


def read_rules(training: bytes | None) -> dict[int, str]:
    """Return the rule in words of each segment, by id, from training.json; empty where it has none."""
    try:
        document: Any = orjson.loads(training or b"null")
        rules = {segment["id"]: segment["rule"]["text"] for segment in document["segments"]}
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        return {}
    return {
        identity: rule[:_MAX_RULE]
        for identity, rule in rules.items()
        if isinstance(identity, int) and isinstance(rule, str)
    }


def rule_of(rules: Mapping[int, str] | None, identity: int) -> dict[str, str]:
    """Return what an answer says of a segment's rule: nothing where training found none."""
    return {"rule": rules[identity]} if rules and identity in rules else {}


def _unscale(model: SegmentModel, centroid: Pair, *, axis: int) -> float:
    """Return a centroid's Age (axis 0) or Spending_Power (axis 1) in the user's units."""
    value = centroid[axis] * model.scale[axis] + model.mean[axis]
    if axis == 0 or model.transform is Transform.NONE:
        return value
    return math.expm1(min(value, _MAX_EXPONENT))


def _show(value: float) -> str:
    return f"{value:,.0f}" if abs(value) < _MANY else f"{value:.3g}"
