"""Make the training.json that a complete training run writes, from the records themselves."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from service.artifact import TRAINING
from service.features import spending_powers
from service.model import SegmentModel
from service.training.dataset import Dataset

Columns = Mapping[str, npt.NDArray[np.float64]]


def columns_of(dataset: Dataset) -> dict[str, npt.NDArray[np.float64]]:
    """Return the four columns of the training records."""
    return {
        "Age": dataset.ages,
        "Income": dataset.incomes,
        "Purchases": dataset.purchases,
        "Spending_Power": spending_powers(dataset.incomes, dataset.purchases),
    }


def complete(
    files: Mapping[str, bytes], *, model: SegmentModel, columns: Columns, **extra: Any
) -> dict[str, bytes]:
    """Return an artifact's files with all keys that training.json may have."""
    vectors = np.column_stack([columns["Age"], columns["Spending_Power"]])
    places = model.partition.assign(vectors)
    ids = np.array([segment.id for segment in model.segments])[places]
    document = json.loads(files[TRAINING])
    document |= {
        "choice": {
            "k": len(model.segments),
            "by": "stable",
            "reason": f"{len(model.segments)} is the largest number of segments that come out alike when the "
            "customers are drawn anew.",
            "rules": {"stability": 3, "silhouette": 2, "elbow": 3},
        },
        "structure": {
            "silhouette": 0.49,
            "z": 0.4,
            "has_structure": False,
            "sentence": "The silhouette is 0.492, and 0.488 when each column is shuffled: these customers "
            "have no natural groups. The segments divide them conveniently.",
        },
        "sweep": [
            {"k": k, "silhouette": 0.7 - k / 20, "stability": 0.95 - k / 40, "smallest_share": 0.2 / k}
            for k in range(2, 11)
        ],
        "tail": {"is_heavy": True, "sentence": "The top 5 % hold 85 % of the variance of Spending_Power."},
        "segments": [
            {
                "id": segment.id,
                "statistics": {
                    name: _statistics(values[ids == segment.id]) for name, values in columns.items()
                },
                "difference": {
                    name: float(values[ids == segment.id].mean() / values.mean() - 1)
                    for name, values in columns.items()
                },
                "examples": [
                    {name: float(values[ids == segment.id][place]) for name, values in columns.items()}
                    for place in (0, 1)
                ],
                "rule": {
                    "text": "Age at most 34 and Spending_Power at most 21,000",
                    "precision": 0.97,
                    "coverage": 0.93,
                },
            }
            for segment in model.segments
        ],
        "overall": {"statistics": {name: _statistics(values) for name, values in columns.items()}},
        "associations": [
            {
                "column": "Gender",
                "values": ["Female", "Male"],
                "table": {
                    str(segment.id): {"Female": segment.size // 2, "Male": segment.size - segment.size // 2}
                    for segment in model.segments
                },
                "sentence": "Gender hardly differs between the segments (Cramér's V 0.03).",
            }
        ],
        "baseline": {
            "n": len(ids),
            "sample": {
                **{name: values.tolist() for name, values in columns.items()},
                "segment": ids.tolist(),
            },
        },
        **extra,
    }
    return {**files, TRAINING: json.dumps(document).encode()}


def _statistics(values: npt.NDArray[np.float64]) -> dict[str, float]:
    low, p05, median, p95, high = np.quantile(values, [0, 0.05, 0.5, 0.95, 1]).tolist()
    return {"mean": float(values.mean()), "median": median, "min": low, "max": high, "p05": p05, "p95": p95}


def write_customers(path: Path, n: int) -> Path:
    """Write a customer file of n records."""
    from service.training.sample import write_sample

    write_sample(path, n=n, seed=7)
    return path
