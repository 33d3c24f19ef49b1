"""Hold a segmentation as plain numbers: all that an invocation needs, and nothing that runs code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache, cached_property
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, Self

import msgspec
from msgspec import Meta

from service.errors import CorruptArtifactError, IncompatibleArtifactError
from service.features import FEATURE_NAMES, MAX_VALUE, ZERO_PURCHASE_RULE
from service.lazy import np, npt
from service.partition import Partition
from service.transform import Transform

FORMAT_VERSION: Final = 1
"""Raised whenever an older reader would misunderstand a newer model.json."""

MAX_CLUSTERS: Final = 1000

MAX_ID: Final = 999_999_999
"""Ids are never used again, so those of an old family of models go beyond its number of clusters."""

MAX_NAME_CHARACTERS: Final = 80

_MAX_MESSAGE: Final = 200
"""A message may repeat a value of the file."""

Finite = Annotated[float, Meta(ge=-MAX_VALUE, le=MAX_VALUE)]
Positive = Annotated[float, Meta(gt=0, le=MAX_VALUE)]
NotNegative = Annotated[float, Meta(ge=0, le=MAX_VALUE)]


@dataclass(frozen=True)
class Segment:
    """Describe one cluster in business terms."""

    id: Annotated[int, Meta(ge=0, le=MAX_ID)]
    """What an invocation answers; it goes on meaning the same people in later versions."""
    name: Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARACTERS)]
    size: Annotated[int, Meta(ge=0)]
    """Customers of the training data in it."""
    share: Annotated[float, Meta(ge=0, le=1)]
    profile: Mapping[str, Finite]
    """Mean of Age, Income, Purchases and Spending_Power, in the user's units."""
    outlier_distance: NotNegative
    """Records farther from the centroid than this, in scaled space, are flagged."""


@dataclass(frozen=True)
class Golden:
    """Hold records with the segments they were given at training: the self-test."""

    records: tuple[tuple[NotNegative, NotNegative], ...]
    clusters: tuple[int, ...]
    """Ids of segments."""


class Evidence(msgspec.Struct, frozen=True):
    """Hold how surely each record belongs to its cluster; every array has the shape (n_samples,)."""

    clusters: npt.NDArray[np.int32]
    """Ids of segments."""
    positions: npt.NDArray[np.int32]
    """Where the segments stand in the model's."""
    distances: npt.NDArray[np.float64]
    """To the own centroid, in scaled space."""
    second_clusters: npt.NDArray[np.int32]
    """Ids of segments; -1 in a model with one cluster."""
    second_positions: npt.NDArray[np.int32]
    """-1 in a model with one cluster."""
    second_distances: npt.NDArray[np.float64]
    """Infinite in a model with one cluster."""
    confidences: npt.NDArray[np.float64]
    """From 0.5, as near to the second centroid, to 1, on the own one."""
    is_outlier: npt.NDArray[np.bool_]
    is_border: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SegmentModel:
    """Hold scaling, centroids and segments; `model.json` is this class, field by field."""

    transform: Transform
    mean: tuple[Finite, Finite]
    scale: tuple[Positive, Positive]
    centroids: Annotated[tuple[tuple[Finite, Finite], ...], Meta(min_length=1, max_length=MAX_CLUSTERS)]
    """In scaled space, one a segment, in the order of their ids."""
    segments: tuple[Segment, ...]
    """With ascending ids, not always 0 to k - 1."""
    income_median: NotNegative
    """Stands in for a missing Income when a file is scored."""
    border_ratio: Annotated[float, Meta(ge=1, le=MAX_VALUE)]
    """A record is on a border when its second centroid is less than this many times as far as its first."""
    golden: Golden
    features: tuple[Literal["Age"], Literal["Spending_Power"]] = FEATURE_NAMES
    zero_purchase_rule: Literal["at-least-one"] = ZERO_PURCHASE_RULE
    format_version: int = field(default=FORMAT_VERSION)

    @cached_property
    def partition(self) -> Partition:
        """Return the arithmetic of this model."""
        return Partition(transform=self.transform, mean=self.mean, scale=self.scale, centroids=self.centroids)

    @cached_property
    def ids(self) -> tuple[int, ...]:
        """Return the segments' ids, ascending."""
        return tuple(segment.id for segment in self.segments)

    @cached_property
    def id_texts(self) -> tuple[str, ...]:
        """Return the ids as they stand in an answer."""
        return tuple(str(number) for number in self.ids)

    @cached_property
    def _id_array(self) -> npt.NDArray[np.int32] | None:
        """Return the ids for looking up, None where each is its own position."""
        return None if self.ids == tuple(range(len(self.ids))) else np.array(self.ids, dtype=np.int32)

    @cached_property
    def digest(self) -> str:
        """Return the sha256 of `to_json`: equal for the same records and hyperparameters."""
        return hashlib.sha256(self.to_json()).hexdigest()

    def is_healthy(self) -> bool:
        """Tell whether every golden record, alone, is given the segment that it must have."""
        found = (self.ids[self.partition.assign_one(*record)] for record in self.golden.records)
        return tuple(found) == self.golden.clusters

    def is_healthy_in_bulk(self) -> bool:
        """Tell the same of all golden records at once, which is another path through the arithmetic."""
        records = np.array(self.golden.records, dtype=np.float64).reshape(-1, 2)
        return tuple(self.label(records).tolist()) == self.golden.clusters

    def label(self, vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
        """Return the id of the segment of each record, shape (n_samples,): what an invocation answers.

        Args:
            vectors: Unscaled, valid features, shape (n_samples, 2), in FEATURE_NAMES order.
        """
        return self.to_ids(self.partition.assign(vectors))

    def explain(self, vectors: npt.NDArray[np.float64]) -> Evidence:
        """Return how surely each record belongs to its cluster.

        Args:
            vectors: Unscaled, valid features, shape (n_samples, 2), in FEATURE_NAMES order.
        """
        rows = np.arange(len(vectors))
        positions = self.partition.assign(vectors)
        all_distances = self.partition.distances(vectors)
        distances = all_distances[rows, positions]
        if len(self.centroids) == 1:
            seconds = np.full(len(vectors), -1, dtype=np.int32)
            second_distances = np.full(len(vectors), np.inf)
            confidences = np.ones(len(vectors))
        else:
            all_distances[rows, positions] = np.inf
            seconds = all_distances.argmin(axis=1).astype(np.int32)
            second_distances = all_distances[rows, seconds]
            both = distances + second_distances
            confidences = np.divide(second_distances, both, out=np.full(len(both), 0.5), where=both > 0)
        limits = np.array([segment.outlier_distance for segment in self.segments])
        return Evidence(
            clusters=self.to_ids(positions),
            positions=positions,
            distances=distances,
            second_clusters=seconds if len(self.centroids) == 1 else self.to_ids(seconds),
            second_positions=seconds,
            second_distances=second_distances,
            confidences=confidences,
            is_outlier=distances > limits[positions],
            is_border=second_distances < self.border_ratio * distances,
        )

    def to_ids(self, positions: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Return the ids of segments, given where they stand in the model's."""
        return positions if self._id_array is None else self._id_array[positions]

    def to_json(self) -> bytes:
        """Return `model.json`: the same bytes for the same model, without clock or host."""
        text = json.dumps(asdict(self), indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
        return f"{text}\n".encode()

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """Read `model.json`.

        Raises:
            IncompatibleArtifactError: It has another format version.
            CorruptArtifactError: It is not a model, or a model that contradicts itself.
        """
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as exc:
            raise CorruptArtifactError("model.json is not JSON") from exc
        _check_format(document)
        try:
            model: Self = _decoder().decode(content)
        except (msgspec.ValidationError, msgspec.DecodeError) as exc:
            raise CorruptArtifactError(f"model.json: {str(exc)[:_MAX_MESSAGE]}") from None
        _refuse_unknown(document)
        model._check_consistency()
        return model

    def _check_consistency(self) -> None:
        """Raise CorruptArtifactError where the parts do not fit together."""
        if len(self.segments) != len(self.centroids):
            raise CorruptArtifactError("model.json: segments and centroids differ in number")
        if any(low >= high for low, high in pairwise(self.ids)):
            raise CorruptArtifactError("model.json: segments must have ascending ids")
        if len(self.golden.records) != len(self.golden.clusters):
            raise CorruptArtifactError("model.json: golden records and clusters differ in number")


@cache
def _decoder() -> msgspec.json.Decoder[Any]:
    """Return what reads and validates a model."""
    return msgspec.json.Decoder(SegmentModel)


def _refuse_unknown(document: Any) -> None:
    """Raise CorruptArtifactError for keys that mean nothing here, which msgspec passes over."""
    parts = [(SegmentModel, document), (Golden, document["golden"])]
    parts += [(Segment, segment) for segment in document["segments"]]
    for kind, part in parts:
        for name in part.keys() - {member.name for member in fields(kind)}:
            raise CorruptArtifactError(f"model.json: {name[:80]!r} is no member of {kind.__name__}")


def _check_format(document: Any) -> None:
    found = document.get("format_version") if isinstance(document, dict) else None
    if found != FORMAT_VERSION:
        raise IncompatibleArtifactError(
            f"model.json has format version {found!r:.20}; this segserve reads version {FORMAT_VERSION}"
        )
