"""Ask a new endpoint about its model's own centroids: the answers are known beforehand."""

import json
import math
from dataclasses import dataclass
from typing import Any, Final

from service.errors import AwsError
from service.features import MAX_VALUE
from service.model import SegmentModel
from service.transform import Transform

_MAX_RECORDS: Final = 50
CONTENT_TYPE: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Smoke:
    """Hold records and the segment ids that the model must give them."""

    records: list[list[float]]
    expected: list[int]

    @property
    def body(self) -> bytes:
        """Return the payload."""
        return json.dumps(self.records).encode()


def smoke_of(model: SegmentModel) -> Smoke:
    """Return the centroids in the user's units, and what the model on this machine says of them."""
    records = []
    for z_age, z_spending in model.centroids[:_MAX_RECORDS]:
        age = z_age * model.scale[0] + model.mean[0]
        spending = z_spending * model.scale[1] + model.mean[1]
        if model.transform is Transform.LOG1P:
            spending = math.expm1(spending)
        records.append([min(max(value, 0.0), MAX_VALUE) for value in (age, spending)])
    labels = [model.partition.assign_one(*record) for record in records]
    return Smoke(records, [model.segments[label].id for label in labels])


def check_answer(smoke: Smoke, answer: bytes, *, endpoint: str) -> None:
    """Raise AwsError unless the endpoint gives the centroids the segments that the model gives them."""
    try:
        given: Any = json.loads(answer)
    except ValueError:
        given = None
    if given != smoke.expected:
        raise AwsError(
            f"the endpoint {endpoint} answers, but not as the model does: its {len(smoke.expected)} "
            "centroids should get "
            f"{smoke.expected}, and got {answer[:200].decode(errors='replace')!r}"
        )
