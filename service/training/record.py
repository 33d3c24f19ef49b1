"""Read what training wrote down about a version; older versions wrote less."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from service.artifact import TRAINING, Artifact
from service.errors import CorruptArtifactError, ServiceError
from service.features import AGE, FEATURE_NAMES, INCOME, PURCHASES, SPENDING_POWER
from service.model import SegmentModel

COLUMNS = (AGE, INCOME, PURCHASES, SPENDING_POWER)
"""What is known of a customer, in the user's units."""


@dataclass(frozen=True)
class TrainingRecord:
    """Hold a version's model with its `training.json`."""

    model: SegmentModel
    document: Mapping[str, Any]

    def get(self, key: str) -> Any:
        """Return a part of the document, None where this version has none."""
        return self.document.get(key)

    @cached_property
    def sample(self) -> dict[str, npt.NDArray[np.float64]] | None:
        """Return some of the customers that the version was trained on, by column; None where not kept."""
        baseline = self.get("baseline")
        if not isinstance(baseline, dict) or not isinstance(baseline.get("sample"), dict):
            return None
        try:
            columns = {name: np.array(baseline["sample"][name], dtype=np.float64) for name in COLUMNS}
        except (KeyError, TypeError, ValueError):
            raise CorruptArtifactError(f"{TRAINING}: baseline.sample lacks a column of numbers") from None
        if len({column.shape for column in columns.values()}) != 1 or columns[AGE].ndim != 1:
            raise CorruptArtifactError(f"{TRAINING}: the columns of baseline.sample differ in length")
        return columns if len(columns[AGE]) else None

    @property
    def columns(self) -> dict[str, str]:
        """Return what stood for Age, Income and Purchases where it was no column of just that name."""
        data = self.get("data")
        columns = data.get("columns") if isinstance(data, dict) else None
        if not isinstance(columns, dict):
            return {}
        return {name: text for name, text in columns.items() if name in COLUMNS and isinstance(text, str)}

    def names(self) -> dict[int, str]:
        """Return what each segment is called, by id."""
        return {segment.id: segment.name for segment in self.model.segments}


def read_record(artifact: Artifact) -> TrainingRecord:
    """Return what the artifact says of its training.

    Raises:
        CorruptArtifactError: Its training.json is not a JSON object.
    """
    try:
        document = json.loads(artifact.files.get(TRAINING, b"{}"))
    except (ValueError, RecursionError):
        raise CorruptArtifactError(f"{TRAINING} is not JSON") from None
    if not isinstance(document, dict):
        raise CorruptArtifactError(f"{TRAINING} is not a JSON object")
    return TrainingRecord(artifact.model, document)


def require_sample(record: TrainingRecord, *, version: str) -> dict[str, npt.NDArray[np.float64]]:
    """Return the sample of the training data.

    Raises:
        ServiceError: The version holds none.
    """
    if record.sample is None:
        raise ServiceError(
            f"the model {version} holds no sample of its training data: it comes from an earlier segserve. "
            "Train again to get one"
        )
    return record.sample


def stack_features(columns: Mapping[str, npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Return what the model takes, shape (n_samples, 2), in FEATURE_NAMES order."""
    return np.column_stack([columns[name] for name in FEATURE_NAMES])
