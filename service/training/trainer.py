"""Turn a data set into the files of a model artifact."""

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any, Final

import numpy as np
import numpy.typing as npt

import service
from service.artifact import MODEL, PIPELINE, REPORT, TRAINING, Provenance
from service.features import AGE, INCOME, PURCHASES
from service.model import Golden, SegmentModel
from service.partition import Partition
from service.settings import KernelUse
from service.training.alignment import Aligned, fit_aligned
from service.training.candidates import Scaled
from service.training.dataset import Dataset
from service.training.findings import Findings, examine
from service.training.fit import N_INIT
from service.training.hyperparameters import Hyperparameters
from service.training.lineage import Lineage, Previous
from service.training.names import Names
from service.training.personas import describe_segments
from service.training.pipeline_file import write_pipeline
from service.training.population import Population, describe_cells
from service.training.record import TrainingRecord
from service.training.report.page import render
from service.training.selection import choose
from service.training.structure import find_structure
from service.training.survey import OnProgress, Survey, make_survey
from service.training.weighted import Weights, quantiles

BORDER_RATIO: Final = 1.25
"""A second centroid less than this many times as far as the first makes a border case (about 1 in 8)."""

GOLDEN_RECORDS: Final = 32

LIBRARIES: Final = ("numpy", "scikit-learn", "skops", "pyarrow")


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
    cells: Mapping[str, Any] | None = None
    """What is known of the cells, where they were fitted."""


def train(
    dataset: Dataset,
    hyperparameters: Hyperparameters,
    *,
    previous: Previous | None = None,
    names: Mapping[str, Names] | None = None,
    kernel: KernelUse = KernelUse.AUTO,
    on_progress: OnProgress,
) -> TrainedModel:
    """Fit a model to a data set; `make_survey` and `fit_survey` say how."""
    survey = make_survey(dataset, hyperparameters, kernel=kernel, on_progress=on_progress)
    return fit_survey(survey, previous=previous, names=names, on_progress=on_progress)


def fit_survey(
    survey: Survey,
    *,
    previous: Previous | None = None,
    names: Mapping[str, Names] | None = None,
    on_progress: OnProgress,
) -> TrainedModel:
    """Fit a model to a data set that was looked at.

    The result depends on the records, the hyperparameters, the previous version and the names alone, not on
    the order of the records.

    Args:
        survey: Of the records.
        previous: The version to continue: its segments keep their ids and names.
        names: Names given by people, by family of models and segment id.
        on_progress: Told of each stage.

    Raises:
        TrainingError: There are fewer distinct records than clusters.
    """
    dataset, columns, hyperparameters = survey.dataset, survey.columns, survey.hyperparameters
    transform, seed = hyperparameters.transform, hyperparameters.seed
    cells = dataset.cells
    population = Population(columns) if cells is None else Population.of_cells(cells, transform)
    choice = choose(
        survey.candidates,
        given=hyperparameters.k,
        previous=None if previous is None else len(previous.model.centroids),
    )
    on_progress("Fitting", 0, 1)
    with ThreadPoolExecutor(max_workers=1) as threads:
        scaled = Scaled.of(survey.vectors, transform=transform)
        structure = threads.submit(
            find_structure, scaled, k=choice.k, seed=seed, arithmetic=survey.arithmetic
        )
        aligned = fit_aligned(
            population.vectors,
            k=choice.k,
            transform=transform,
            seed=seed,
            previous=previous,
            weighting=population.weighting,
            arithmetic=survey.arithmetic,
        )
        on_progress("Fitting", 1, 1)
        on_progress("Describing", 0, 1)
        labels = aligned.fit.partition.assign(survey.vectors)
        model = _build_model(dataset, population, aligned, names=_names(aligned, previous, names or {}))
        findings = examine(
            dataset,
            columns,
            labels=labels,
            order=survey.order,
            model=model,
            choice=choice,
            candidates=survey.candidates,
            seed=seed,
            population=population,
            structure=structure,
            arithmetic=survey.arithmetic,
        )
    on_progress("Describing", 1, 1)
    summary = None
    if cells is not None:
        summary = describe_cells(cells, population, aligned.fit, drawn=len(labels))
    provenance = _provenance(columns, digest=None if cells is None else cells.digest)
    return _gather(dataset, hyperparameters, aligned, model, findings, provenance=provenance, cells=summary)


def _gather(
    dataset: Dataset,
    hyperparameters: Hyperparameters,
    aligned: Aligned,
    model: SegmentModel,
    findings: Findings,
    *,
    provenance: Provenance,
    cells: Mapping[str, Any] | None,
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
        **({} if cells is None else {"cells": cells}),
    }
    written = _json(document)
    return TrainedModel(
        model=model,
        files={
            MODEL: model.to_json(),
            PIPELINE: write_pipeline(aligned.fit),
            TRAINING: written,
            REPORT: render(TrainingRecord(model, json.loads(written)), provenance),
        },
        provenance=provenance,
        metrics=metrics,
        findings=findings,
        lineage=aligned.lineage,
        warnings=findings.warnings,
        cells=cells,
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


def _build_model(
    dataset: Dataset, population: Population, aligned: Aligned, *, names: Mapping[int, str]
) -> SegmentModel:
    partition, vectors = aligned.fit.partition, population.vectors
    return SegmentModel(
        transform=partition.transform,
        mean=partition.mean,
        scale=partition.scale,
        centroids=tuple(partition.centroids),
        segments=describe_segments(
            population.columns,
            partition=partition,
            labels=partition.assign(vectors),
            ids=aligned.ids,
            names=names,
            weights=population.weights,
        ),
        income_median=dataset.report.income_median,
        border_ratio=BORDER_RATIO,
        golden=_golden(vectors, partition, ids=aligned.ids, weights=population.weights),
    )


def _golden(
    vectors: npt.NDArray[np.float64], partition: Partition, *, ids: Sequence[int], weights: Weights
) -> Golden:
    """Spread made-up records over the range of the data: no real customer goes into the model."""
    steps = (np.arange(GOLDEN_RECORDS) + 0.5) / GOLDEN_RECORDS
    shuffled = steps[np.arange(GOLDEN_RECORDS) * 13 % GOLDEN_RECORDS]
    records = tuple(
        (float(f"{age:.3g}"), float(f"{power:.3g}"))
        for age, power in zip(
            _spread(vectors[:, 0], shuffled, weights).tolist(),
            _spread(vectors[:, 1], steps, weights).tolist(),
            strict=True,
        )
    )
    return Golden(records=records, clusters=tuple(ids[partition.assign_one(*record)] for record in records))


def _spread(
    values: npt.NDArray[np.float64], shares: npt.NDArray[np.float64], weights: Weights
) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = np.quantile(values, shares)
    return found if weights is None else quantiles(values, shares, weights)


def _provenance(columns: Mapping[str, npt.NDArray[np.float64]], *, digest: str | None) -> Provenance:
    if digest is None:
        records = hashlib.sha256()
        for name in (AGE, INCOME, PURCHASES):
            records.update(columns[name].astype("<f8").tobytes())
        digest = records.hexdigest()
    versions = {name: metadata.version(name) for name in LIBRARIES}
    return Provenance(
        python=platform.python_version(),
        libraries={"segserve": service.__version__, **versions},
        git_revision=_git_revision(),
        data_digest=digest,
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
