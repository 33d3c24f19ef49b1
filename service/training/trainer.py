"""Turn a data set into the files of a model artifact."""

import hashlib
import json
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import skops.io

import service
from service.artifact import MODEL, PIPELINE, REPORT, TRAINING, Provenance
from service.features import AGE, FEATURE_NAMES, INCOME, PURCHASES, SPENDING_POWER, spending_powers
from service.model import Golden, SegmentModel
from service.partition import Partition
from service.training.dataset import Dataset
from service.training.fit import N_INIT, Fit, fit_pipeline, round_significant
from service.training.hyperparameters import Hyperparameters
from service.training.personas import describe_segments
from service.training.record import TrainingRecord
from service.training.report.page import render
from service.training.selection import Candidate, choose, silhouette, sweep
from service.transform import Transform

BORDER_RATIO: Final = 1.25
"""A second centroid less than this many times as far as the first makes a border case (about 1 in 8)."""

GOLDEN_RECORDS: Final = 32
HEAVY_TAIL_SHARE: Final = 0.05
HEAVY_TAIL_VARIANCE: Final = 0.5
"""The tail is heavy when the top 5 % of records hold more than half of the variance of Spending_Power."""

LIBRARIES: Final = ("numpy", "scikit-learn", "skops", "pyarrow")

OnProgress = Callable[[str, int, int], None]
"""Called with a stage's name, what is done of it and what there is of it."""


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """Hold a model with all that goes into its artifact."""

    model: SegmentModel
    files: Mapping[str, bytes]
    provenance: Provenance
    metrics: Mapping[str, float]
    candidates: Sequence[Candidate]
    warnings: Sequence[str] = field(default=())


def train(dataset: Dataset, hyperparameters: Hyperparameters, *, on_progress: OnProgress) -> TrainedModel:
    """Fit a model to a data set.

    The result depends on the records and hyperparameters alone, not on the order of the records.

    Raises:
        TrainingError: There are fewer distinct records than clusters.
    """
    columns = _canonical_columns(dataset)
    vectors = np.column_stack([columns[name] for name in FEATURE_NAMES])
    transform, seed = hyperparameters.transform, hyperparameters.seed
    candidates: list[Candidate] = []
    k = hyperparameters.k
    if k is None:
        candidates = sweep(
            vectors,
            transform=transform,
            seed=seed,
            on_progress=lambda done, total: on_progress("Choosing k", done, total),
        )
        k = choose(candidates)
    on_progress("Fitting", 0, 1)
    fit = fit_pipeline(vectors, k=k, transform=transform, seed=seed)
    on_progress("Fitting", 1, 1)
    model = _build_model(dataset, columns, vectors, fit)
    metrics = {
        "inertia": fit.inertia,
        "silhouette": silhouette(vectors, fit.partition, seed=seed),
        "n_clusters": float(k),
        "n_samples": float(len(vectors)),
        "heavy_tail_variance": _tail_variance(columns[SPENDING_POWER]),
    }
    document = {
        "hyperparameters": {**asdict(hyperparameters), "k": hyperparameters.k or "auto", "n_init": N_INIT},
        "metrics": metrics,
        "sweep": [asdict(candidate) for candidate in candidates],
        "data": dataset.report.as_dict(),
    }
    provenance = _provenance(columns)
    written = _json(document)
    return TrainedModel(
        model=model,
        files={
            MODEL: model.to_json(),
            PIPELINE: skops.io.dumps(fit.pipeline),
            TRAINING: written,
            REPORT: render(TrainingRecord(model, json.loads(written)), provenance),
        },
        provenance=provenance,
        metrics=metrics,
        candidates=candidates,
        warnings=_warnings(metrics, transform),
    )


def _canonical_columns(dataset: Dataset) -> dict[str, npt.NDArray[np.float64]]:
    """Return the columns with their records in an order that does not depend on the file's."""
    powers = spending_powers(dataset.incomes, dataset.purchases)
    order = np.lexsort((dataset.purchases, dataset.incomes, powers, dataset.ages))
    return {
        AGE: dataset.ages[order],
        INCOME: dataset.incomes[order],
        PURCHASES: dataset.purchases[order],
        SPENDING_POWER: powers[order],
    }


def _build_model(
    dataset: Dataset,
    columns: Mapping[str, npt.NDArray[np.float64]],
    vectors: npt.NDArray[np.float64],
    fit: Fit,
) -> SegmentModel:
    labels = fit.partition.assign(vectors)
    return SegmentModel(
        transform=fit.partition.transform,
        mean=fit.partition.mean,
        scale=fit.partition.scale,
        centroids=tuple(fit.partition.centroids),
        segments=describe_segments(columns, partition=fit.partition, labels=labels),
        income_median=dataset.report.income_median,
        border_ratio=BORDER_RATIO,
        golden=_golden(vectors, fit.partition),
    )


def _golden(vectors: npt.NDArray[np.float64], partition: Partition) -> Golden:
    """Spread made-up records over the range of the data: no real customer goes into the model."""
    steps = (np.arange(GOLDEN_RECORDS) + 0.5) / GOLDEN_RECORDS
    shuffled = steps[np.arange(GOLDEN_RECORDS) * 13 % GOLDEN_RECORDS]
    records = tuple(
        (float(f"{age:.3g}"), float(f"{power:.3g}"))
        for age, power in zip(
            np.quantile(vectors[:, 0], shuffled).tolist(),
            np.quantile(vectors[:, 1], steps).tolist(),
            strict=True,
        )
    )
    return Golden(records=records, clusters=tuple(partition.assign_one(*record) for record in records))


def _tail_variance(powers: npt.NDArray[np.float64]) -> float:
    """Return the share of the variance of Spending_Power that the top 5 % of records hold."""
    squares = (powers - powers.mean()) ** 2
    total = float(squares.sum())
    top = np.argsort(powers, kind="stable")[len(powers) - max(1, int(len(powers) * HEAVY_TAIL_SHARE)) :]
    return round_significant(float(squares[top].sum()) / total) if total else 0.0


def _warnings(metrics: Mapping[str, float], transform: Transform) -> list[str]:
    variance = metrics["heavy_tail_variance"]
    if transform is not Transform.NONE or variance <= HEAVY_TAIL_VARIANCE:
        return []
    warning = (
        f"{SPENDING_POWER} has a heavy tail: the top {HEAVY_TAIL_SHARE:.0%} of records hold {variance:.0%} "
        "of its variance, so a few customers decide where the segments lie. Compare with --transform log1p."
    )
    return [warning]


def _provenance(columns: Mapping[str, npt.NDArray[np.float64]]) -> Provenance:
    digest = hashlib.sha256()
    for name in (AGE, INCOME, PURCHASES):
        digest.update(columns[name].astype("<f8").tobytes())
    versions = {name: metadata.version(name) for name in LIBRARIES}
    return Provenance(
        python=platform.python_version(),
        libraries={"segserve": service.__version__, **versions},
        git_revision=_git_revision(),
        data_digest=digest.hexdigest(),
    )


def _git_revision() -> str | None:
    """Return the revision of the user's own checkout, None outside of one."""
    try:
        result = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607  # the user's own git
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None


def _json(document: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(document, indent=1, sort_keys=True, allow_nan=False)}\n".encode()
