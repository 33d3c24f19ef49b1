"""Build the training.json of a version that knows all that training can tell."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import silhouette_samples

from service.artifact import TRAINING
from service.features import AGE, INCOME, PURCHASES, SPENDING_POWER, spending_powers
from service.model import SegmentModel
from service.store import Store
from service.training.dataset import Dataset, read_dataset
from service.training.hyperparameters import Hyperparameters
from service.training.trainer import TrainedModel, train
from service.transform import Transform

Columns = Mapping[str, npt.NDArray[np.float64]]
COLUMNS = (AGE, INCOME, PURCHASES, SPENDING_POWER)


def columns_of(dataset: Dataset) -> dict[str, npt.NDArray[np.float64]]:
    powers = spending_powers(dataset.incomes, dataset.purchases)
    return {AGE: dataset.ages, INCOME: dataset.incomes, PURCHASES: dataset.purchases, SPENDING_POWER: powers}


def rich_document(
    trained: TrainedModel, columns: Columns, *, lineage: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return training.json with the keys of the selection, persona and alignment work."""
    model = trained.model
    labels = model.partition.assign(np.column_stack([columns[AGE], columns[SPENDING_POWER]]))
    scaled = np.column_stack(
        model.partition.scale_all(np.column_stack([columns[AGE], columns[SPENDING_POWER]]))
    )
    silhouettes = silhouette_samples(scaled, labels)
    k = len(model.segments)
    document: dict[str, Any] = json.loads(trained.files[TRAINING])
    rng = np.random.default_rng(7)
    chosen = np.sort(rng.choice(len(labels), min(2000, len(labels)), replace=False))
    document |= {
        "sweep": [
            {
                "k": n,
                "inertia": 2000 / n,
                "silhouette": 0.6 - 0.02 * n,
                "calinski_harabasz": 800 + 10.0 * n,
                "davies_bouldin": 0.7 + 0.01 * n,
                "gap": 0.3 + 0.01 * n,
                "gap_error": 0.01,
                "stability": 0.95 - 0.03 * abs(n - k),
                "worst_jaccard": 0.9 - 0.05 * abs(n - k),
                "smallest_size": 400 // n,
                "smallest_share": 0.4 / n,
            }
            for n in range(2, 11)
        ],
        "choice": {
            "k": k,
            "by": "stable",
            "reason": f"k={k} is the most stable choice.",
            "rules": {
                "stability": k,
                "silhouette": 2,
                "calinski_harabasz": 9,
                "davies_bouldin": 3,
                "gap": 8,
                "elbow": 3,
            },
        },
        "structure": {
            "silhouette": 0.42,
            "shuffled_mean": 0.41,
            "shuffled_std": 0.01,
            "shuffles": 30,
            "z": 1.0,
            "has_structure": False,
            "sentence": "No evidence of natural groups: treat the segments as a convenience split.",
        },
        "tail": {
            "variance": 0.85,
            "skew": 6.1,
            "skew_log1p": 0.3,
            "top_share": 0.05,
            "is_heavy": True,
            "sentence": "Spending_Power has a heavy tail: the top 5 % hold 85 % of its variance.",
            "log1p": {"k": 3, "silhouette": 0.41, "stability": 0.9, "smallest_share": 0.16},
        },
        "segments": [_segment(model, columns, labels, silhouettes, label) for label in range(k)],
        "overall": {"statistics": {name: _statistics(columns[name]) for name in COLUMNS}},
        "explanation": {"fidelity": 0.97, "depth": 3},
        "associations": [
            {
                "column": "Gender",
                "cramers_v": 0.05,
                "low": 0.0,
                "high": 0.11,
                "p": 0.4,
                "values": ["Female", "Male"],
                "table": {str(segment.id): {"Female": 50, "Male": 52} for segment in model.segments},
                "sentence": "Gender is as good as independent of the segments.",
            }
        ],
        "baseline": {
            "n": len(labels),
            "features": {name: _bins(columns[name]) for name in COLUMNS},
            "sample": {
                **{name: columns[name][chosen].tolist() for name in COLUMNS},
                "segment": [model.segments[label].id for label in labels[chosen]],
            },
            "segment_shares": {str(segment.id): segment.share for segment in model.segments},
        },
        "lineage": lineage
        or {
            "previous": None,
            "method": "cold",
            "mapping": {},
            "kept_share": None,
            "born": [],
            "retired": [],
            "next_id": k,
            "migration": None,
        },
    }
    return document


def add_version(
    store: Path,
    csv: Path,
    *,
    k: int,
    transform: Transform = Transform.NONE,
    lineage: Mapping[str, Any] | None = None,
) -> str:
    """Train on a file and add a version that knows all."""
    dataset = read_dataset([csv], mapping={}, rejects_path=store.parent / "rejects.csv")
    trained = train(dataset, Hyperparameters(k=k, transform=transform), on_progress=lambda *_: None)
    document = rich_document(trained, columns_of(dataset), lineage=lineage)
    files = {**trained.files, TRAINING: json.dumps(document).encode()}
    return Store(store).add(files, provenance=trained.provenance)


def _segment(
    model: SegmentModel,
    columns: Columns,
    labels: npt.NDArray[np.int32],
    silhouettes: npt.NDArray[np.float64],
    label: int,
) -> dict[str, Any]:
    segment = model.segments[label]
    chosen = labels == label
    return {
        "id": segment.id,
        "name": segment.name,
        "size": segment.size,
        "share": segment.share,
        "statistics": {name: _statistics(columns[name][chosen]) for name in COLUMNS},
        "difference": {
            name: float(columns[name][chosen].mean() / columns[name].mean() - 1) for name in COLUMNS
        },
        "silhouette": float(silhouettes[chosen].mean()),
        "silhouettes": np.sort(silhouettes[chosen])[:: max(1, int(chosen.sum()) // 200)].tolist(),
        "examples": [{name: float(columns[name][chosen][place]) for name in COLUMNS} for place in (0, 1)],
        "rule": {
            "text": f"Age > {20 + 10 * label} and Spending_Power <= 9,000",
            "precision": 0.97,
            "coverage": 0.93,
        },
    }


def _statistics(values: npt.NDArray[np.float64]) -> dict[str, float]:
    quantiles = np.quantile(values, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]).tolist()
    names = ("min", "p05", "p25", "median", "p75", "p95", "max")
    return {"mean": float(values.mean()), **dict(zip(names, quantiles, strict=True))}


def _bins(values: npt.NDArray[np.float64]) -> dict[str, list[float]]:
    edges = np.unique(np.quantile(values, np.arange(1, 10) / 10))
    counts = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)
    return {"edges": edges.tolist(), "shares": (counts / counts.sum()).tolist()}
