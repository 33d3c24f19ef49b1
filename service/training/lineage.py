"""Hold what a version passes on to the next: ids, and where they come from. Needs no scikit-learn."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from service.artifact import TRAINING, Artifact
from service.model import SegmentModel
from service.partition import Partition


class Method(StrEnum):
    """Name how the ids came about."""

    COLD = "cold"
    """There is no previous version, or it has nothing in common with this one."""
    WARM_START = "warm-start"
    """The fit began at the previous centroids, and is as good as any."""
    MATCHED = "matched"
    """Another fit was better; each segment got the id of the one it shares most customers with."""


@dataclass(frozen=True, slots=True)
class Previous:
    """Hold the version that this training continues."""

    version: str
    model: SegmentModel
    next_id: int
    """The first id that no version of the family has had."""
    retired: tuple[int, ...] = ()
    family: str = ""

    @classmethod
    def of(cls, artifact: Artifact) -> Self:
        """Read what a version passes on; one without a lineage begins its own."""
        lineage = _read_lineage(artifact.files.get(TRAINING, b"{}"))
        ids = artifact.model.ids
        retired = tuple(one for one in lineage.get("retired", []) if isinstance(one, int) and one not in ids)
        next_id = lineage.get("next_id")
        known = max((*ids, *retired)) + 1
        return cls(
            version=artifact.manifest.model_version,
            model=artifact.model,
            next_id=max(next_id, known) if isinstance(next_id, int) else known,
            retired=retired,
            family=str(lineage.get("family") or name_family(artifact.model.partition)),
        )


@dataclass(frozen=True, slots=True)
class Lineage:
    """Hold where the ids of a version come from."""

    previous: str | None
    method: Method
    next_id: int
    family: str
    """What names are kept for; the same for all versions trained from one another."""
    mapping: Mapping[int, int] = field(default_factory=dict)
    """Previous id to present id, of the segments that live on."""
    kept_share: float | None = None
    """Share of the customers whose segment has the same id under the previous model."""
    born: tuple[int, ...] = ()
    retired: tuple[int, ...] = ()
    """Ids of all versions before that no segment has any more."""
    migration: Mapping[int, Mapping[int, int]] | None = None
    """Customers by previous and present id."""


def name_family(partition: Partition) -> str:
    """Return a name that the same first fit always gets."""
    numbers = [partition.transform.value, partition.mean, partition.scale, tuple(partition.centroids)]
    return hashlib.sha256(json.dumps(numbers).encode()).hexdigest()[:12]


def _read_lineage(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError:
        return {}
    lineage = document.get("lineage") if isinstance(document, dict) else None
    return lineage if isinstance(lineage, dict) else {}
