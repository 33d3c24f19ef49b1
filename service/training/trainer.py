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
from service.training.alignment import Aligned, Lineage, Previous, fit_aligned
from service.training.candidates import CANDIDATES, Candidate, sweep
from service.training.dataset import Dataset
from service.training.findings import Findings, examine
from service.training.fit import N_INIT, check_enough_records
from service.training.hyperparameters import Hyperparameters
from service.training.names import Names
from service.training.personas import describe_segments
from service.training.record import TrainingRecord
from service.training.report.page import render
from service.training.selection import Choice, choose

BORDER_RATIO: Final = 1.25
"""A second centroid less than this many times as far as the first makes a border case (about 1 in 8)."""

GOLDEN_RECORDS: Final = 32

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
    findings: Findings
    lineage: Lineage
    warnings: Sequence[str] = field(default=())


def train(
    dataset: Dataset,
    hyperparameters: Hyperparameters,
    *,
    previous: Previous | None = None,
    names: Mapping[str, Names] | None = None,
    on_progress: OnProgress,
) -> TrainedModel:
    """Fit a model to a data set.

    The result depends on the records, the hyperparameters, the previous version and the names alone, not on
    the order of the records.

    Args:
        dataset: The records.
        hyperparameters: What the user decided about the fit.
        previous: The version to continue: its segments keep their ids and names.
        names: Names given by people, by family of models and segment id.
        on_progress: Told of each stage.

    Raises:
        TrainingError: There are fewer distinct records than clusters.
    """
    columns, order = _canonical_columns(dataset)
    vectors = np.column_stack([columns[name] for name in FEATURE_NAMES])
    candidates, choice = _choose_k(vectors, hyperparameters, previous=previous, on_progress=on_progress)
    on_progress("Fitting", 0, 1)
    transform, seed = hyperparameters.transform, hyperparameters.seed
    aligned = fit_aligned(vectors, k=choice.k, transform=transform, seed=seed, previous=previous)
    on_progress("Fitting", 1, 1)
    on_progress("Describing", 0, 1)
    labels = aligned.fit.partition.assign(vectors)
    named = _names(aligned, previous, names or {})
    model = _build_model(dataset, columns, vectors, aligned, labels=labels, names=named)
    findings = examine(
        dataset,
        columns,
        labels=labels,
        order=order,
        model=model,
        choice=choice,
        candidates=candidates,
        seed=seed,
    )
    on_progress("Describing", 1, 1)
    return _gather(dataset, hyperparameters, aligned, model, findings, provenance=_provenance(columns))


def _choose_k(
    vectors: npt.NDArray[np.float64],
    hyperparameters: Hyperparameters,
    *,
    previous: Previous | None,
    on_progress: OnProgress,
) -> tuple[list[Candidate], Choice]:
    """Measure each number of clusters, and choose one unless it is given."""
    given = hyperparameters.k
    if given is not None:
        check_enough_records(vectors, k=given)
    candidates = sweep(
        vectors,
        transform=hyperparameters.transform,
        seed=hyperparameters.seed,
        ks=(*CANDIDATES, *([] if given is None else [given])),
        on_progress=lambda done, total: on_progress("Choosing k", done, total),
    )
    before = None if previous is None else len(previous.model.centroids)
    return candidates, choose(candidates, given=given, previous=before)


def _gather(
    dataset: Dataset,
    hyperparameters: Hyperparameters,
    aligned: Aligned,
    model: SegmentModel,
    findings: Findings,
    *,
    provenance: Provenance,
) -> TrainedModel:
    """Write the files of the artifact."""
    metrics = {
        "inertia": aligned.fit.inertia,
        "silhouette": findings.silhouette,
        "n_clusters": float(len(model.centroids)),
        "n_samples": float(dataset.report.used),
        "heavy_tail_variance": findings.tail.variance,
    }
    document = {
        "hyperparameters": {**asdict(hyperparameters), "k": hyperparameters.k or "auto", "n_init": N_INIT},
        "metrics": metrics,
        "data": dataset.report.as_dict(),
        "lineage": asdict(aligned.lineage),
        **findings.as_dict(),
    }
    written = _json(document)
    return TrainedModel(
        model=model,
        files={
            MODEL: model.to_json(),
            PIPELINE: skops.io.dumps(aligned.fit.pipeline),
            TRAINING: written,
            REPORT: render(TrainingRecord(model, json.loads(written)), provenance),
        },
        provenance=provenance,
        metrics=metrics,
        findings=findings,
        lineage=aligned.lineage,
        warnings=findings.warnings,
    )


def _names(aligned: Aligned, previous: Previous | None, names: Mapping[str, Names]) -> dict[int, str]:
    """Return the names that segments have already: people's own first, then those of the previous version."""
    given = names.get(aligned.lineage.family, {})
    kept = {} if previous is None else {one.id: one.name for one in previous.model.segments}
    taken = {name for number, name in given.items() if number in aligned.ids}
    return {
        **{number: name for number, name in kept.items() if name not in taken},
        **given,
    }


def _canonical_columns(dataset: Dataset) -> tuple[dict[str, npt.NDArray[np.float64]], npt.NDArray[np.int64]]:
    """Return the columns with their records in an order that does not depend on the file's, and the order."""
    powers = spending_powers(dataset.incomes, dataset.purchases)
    order = np.lexsort((dataset.purchases, dataset.incomes, powers, dataset.ages))
    columns = {
        AGE: dataset.ages[order],
        INCOME: dataset.incomes[order],
        PURCHASES: dataset.purchases[order],
        SPENDING_POWER: powers[order],
    }
    return columns, order


def _build_model(
    dataset: Dataset,
    columns: Mapping[str, npt.NDArray[np.float64]],
    vectors: npt.NDArray[np.float64],
    aligned: Aligned,
    *,
    labels: npt.NDArray[np.int32],
    names: Mapping[int, str],
) -> SegmentModel:
    partition = aligned.fit.partition
    return SegmentModel(
        transform=partition.transform,
        mean=partition.mean,
        scale=partition.scale,
        centroids=tuple(partition.centroids),
        segments=describe_segments(columns, partition=partition, labels=labels, ids=aligned.ids, names=names),
        income_median=dataset.report.income_median,
        border_ratio=BORDER_RATIO,
        golden=_golden(vectors, partition, ids=aligned.ids),
    )


def _golden(vectors: npt.NDArray[np.float64], partition: Partition, *, ids: Sequence[int]) -> Golden:
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
    return Golden(records=records, clusters=tuple(ids[partition.assign_one(*record)] for record in records))


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
