"""Gather what is shown of a server: the model that it serves, and the counts of all its workers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Self

import msgspec

from service.artifact import TRAINING, Artifact
from service.serving.signals.baseline import Baseline, read_baseline
from service.serving.signals.board import Board


class ModelFacts(msgspec.Struct, frozen=True):
    """Hold what signals say of a model."""

    version: str
    digest: str
    created_s: float | None
    """Unix time; None where the manifest does not say it."""
    segments: Mapping[int, str]
    """Name of each segment id, in the order of the model's segments."""
    baseline: Baseline | None

    @classmethod
    def of(cls, artifact: Artifact) -> Self:
        """Return the facts of an artifact."""
        return cls(
            version=artifact.manifest.model_version,
            digest=artifact.model.digest,
            created_s=_unix_time(artifact.manifest.created),
            segments={segment.id: segment.name for segment in artifact.model.segments},
            baseline=read_baseline(artifact.files.get(TRAINING, b"{}")),
        )

    @property
    def segment_cells(self) -> int:
        """Return how many of the board's segment cells this model uses."""
        return len(self.segments)


class Source(msgspec.Struct, frozen=True):
    """Hold what /metrics and /live read."""

    board: Board
    model: ModelFacts | None


def _unix_time(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
