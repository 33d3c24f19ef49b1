"""Add versions to a store, with a lineage of the test's own where it needs one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.artifact import TRAINING
from service.store import Store
from service.training.dataset import read_dataset
from service.training.hyperparameters import Hyperparameters
from service.training.trainer import train
from service.transform import Transform


def add_version(
    store: Path,
    csv: Path,
    *,
    k: int,
    transform: Transform = Transform.NONE,
    lineage: Mapping[str, Any] | None = None,
) -> str:
    """Train on a file and add the version."""
    dataset = read_dataset([csv], mapping={}, rejects_path=store.parent / "rejects.csv")
    trained = train(dataset, Hyperparameters(k=k, transform=transform), on_progress=lambda *_: None)
    files = dict(trained.files)
    if lineage is not None:
        files[TRAINING] = json.dumps({**json.loads(files[TRAINING]), "lineage": lineage}).encode()
    return Store(store).add(files, provenance=trained.provenance)
