"""A segment's number goes on meaning the same people, from version to version."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from service.artifact import Artifact
from service.features import spending_powers
from service.model import Golden, Segment, SegmentModel
from service.training.alignment import Aligned, fit_aligned
from service.training.candidates import sweep
from service.training.cells import Cells
from service.training.dataset import read_dataset
from service.training.hyperparameters import Hyperparameters
from service.training.lineage import Method, Previous, name_family
from service.training.pipeline_objects import build_pipeline
from service.training.population import Population
from service.training.selection import choose
from service.training.trainer import TrainedModel, train
from service.transform import Transform

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "customer_segmentation_data.csv"
Vectors = npt.NDArray[np.float64]


def fit(path: Path, hyperparameters: Hyperparameters, **options: object) -> TrainedModel:
    dataset = read_dataset([path], mapping={}, rejects_path=path.with_suffix(".rejects"))
    return train(dataset, hyperparameters, on_progress=lambda *_: None, **options)  # type: ignore[arg-type]  # passed on


def read_vectors(path: Path) -> Vectors:
    dataset = read_dataset([path], mapping={}, rejects_path=path.with_suffix(".rejects"))
    return np.column_stack([dataset.ages, spending_powers(dataset.incomes, dataset.purchases)])


def previous_of(trained: TrainedModel, **changes: object) -> Previous:
    ids = trained.model.ids
    previous = Previous("v1", trained.model, next_id=ids[-1] + 1, family=trained.lineage.family)
    return replace(previous, **changes)  # type: ignore[arg-type]  # passed on


def align(vectors: Vectors, previous: Previous | None, *, k: int = 4) -> Aligned:
    ordered = vectors[np.lexsort((vectors[:, 1], vectors[:, 0]))]
    return fit_aligned(ordered, k=k, transform=Transform.NONE, seed=42, previous=previous)


def resample(vectors: Vectors, seed: int) -> Vectors:
    return vectors[np.random.default_rng(seed).integers(0, len(vectors), len(vectors))]


def choose_again(vectors: Vectors, previous: Previous) -> int:
    candidates = sweep(vectors, transform=Transform.NONE, seed=42, on_progress=lambda *_: None)
    return choose(candidates, previous=len(previous.model.ids)).k


@pytest.mark.skipif(not SHARED.is_file(), reason="the shared data is not beside the project")
@pytest.mark.parametrize("k", [None, 4])
def test_97_percent_of_customers_keep_their_id_when_others_of_their_kind_are_drawn(
    tmp_path: Path, k: int | None
) -> None:
    (tmp_path / "customers.csv").write_bytes(SHARED.read_bytes())
    trained = fit(tmp_path / "customers.csv", Hyperparameters(k=k))
    vectors = read_vectors(tmp_path / "customers.csv")
    previous = previous_of(trained)
    before = trained.model.label(vectors)
    kept = []
    for seed in range(10 if k is None else 40):
        sample = resample(vectors, seed)
        aligned = align(sample, previous, k=k or choose_again(sample, previous))
        after = np.array(aligned.ids)[aligned.fit.partition.assign(vectors)]
        kept.append(float((before == after).mean()))

    assert np.mean(kept) >= 0.97


@pytest.fixture(name="vectors", scope="module")
def _vectors(sample_path: Path) -> Vectors:
    return read_vectors(sample_path)


@pytest.fixture(name="first", scope="module")
def _first(sample_path: Path) -> TrainedModel:
    return fit(sample_path, Hyperparameters(k=4))


def test_the_same_data_give_the_same_ids_and_centroids(vectors: Vectors, first: TrainedModel) -> None:
    aligned = align(vectors, previous_of(first))

    assert aligned.lineage.method is Method.WARM_START
    assert aligned.ids == (0, 1, 2, 3)
    assert aligned.lineage.kept_share == 1.0
    assert aligned.lineage.mapping == {0: 0, 1: 1, 2: 2, 3: 3}
    assert np.array(aligned.fit.partition.centroids) == pytest.approx(
        np.array(first.model.centroids), abs=1e-2
    )


def test_numbers_that_were_moved_stay_moved(vectors: Vectors, first: TrainedModel) -> None:
    """Ids need not be 0 to k - 1, nor in the order of a cold fit."""
    order = [2, 0, 3, 1]
    model = replace(
        first.model,
        centroids=tuple(first.model.centroids[position] for position in order),
        segments=tuple(
            replace(first.model.segments[position], id=number)
            for number, position in zip((3, 5, 8, 9), order, strict=True)
        ),
    )
    aligned = align(vectors, previous_of(first, model=model, next_id=12))

    assert aligned.ids == (3, 5, 8, 9)
    assert aligned.lineage.kept_share == 1.0
    assert aligned.lineage.next_id == 12


def test_where_the_people_changed_ids_are_matched_and_never_reused(
    vectors: Vectors, first: TrainedModel
) -> None:
    previous = previous_of(first, next_id=9, retired=(6,))
    fewer, more = align(vectors, previous, k=3), align(vectors, previous, k=6)

    assert fewer.lineage.method is Method.MATCHED
    assert set(fewer.ids) <= {0, 1, 2, 3, 9, 10}
    assert set(fewer.lineage.retired) == {6} | ({0, 1, 2, 3} - set(fewer.ids))
    assert len(more.ids) == 6
    assert list(more.ids) == sorted(more.ids)
    assert more.lineage.born == tuple(number for number in more.ids if number > 3)
    assert min(more.lineage.born) == 9
    assert more.lineage.next_id == max(more.ids) + 1
    assert 6 not in more.ids


def test_a_matched_pipeline_holds_the_centroids_in_the_order_of_the_ids(
    vectors: Vectors, first: TrainedModel
) -> None:
    aligned = align(vectors, previous_of(first), k=6)
    fit = aligned.fit

    pipeline = build_pipeline(fit)

    assert pipeline["kmeans"].cluster_centers_.tolist() == [list(c) for c in fit.partition.centroids]
    assert pipeline.predict(vectors).tolist() == fit.partition.assign(vectors).tolist()


def test_the_migration_counts_every_customer(vectors: Vectors, first: TrainedModel) -> None:
    aligned = align(vectors, previous_of(first), k=5)
    migration = aligned.lineage.migration

    assert migration is not None
    assert {old: sum(row.values()) for old, row in migration.items()} == {
        segment.id: segment.size for segment in first.model.segments
    }
    stayed = sum(row.get(old, 0) for old, row in migration.items())
    assert aligned.lineage.kept_share == stayed / len(vectors)


def test_a_fit_that_is_clearly_better_than_the_warm_start_wins() -> None:
    generator = np.random.default_rng(0)
    corners = np.array([[20, 1_000], [20, 9_000], [70, 1_000], [70, 9_000]])
    old = np.concatenate([generator.normal(corner, (1, 100), (50, 2)) for corner in corners[[0, 0, 1, 2]]])
    new = np.concatenate([generator.normal(corner, (1, 100), (50, 2)) for corner in corners])
    cold = align(old, None)
    model = _model_of(cold)
    aligned = align(new, Previous("v1", model, next_id=4, family="f"))

    assert aligned.lineage.method is Method.MATCHED
    assert aligned.lineage.born == (4,)
    assert aligned.fit.inertia == align(new, None).fit.inertia


def _model_of(aligned: Aligned) -> SegmentModel:
    partition = aligned.fit.partition
    return SegmentModel(
        transform=partition.transform,
        mean=partition.mean,
        scale=partition.scale,
        centroids=tuple(partition.centroids),
        segments=tuple(Segment(number, f"s{number}", 1, 0.1, {}, 1.0) for number in aligned.ids),
        income_median=1.0,
        border_ratio=1.25,
        golden=Golden((), ()),
    )


@pytest.mark.parametrize("transform", list(Transform))
def test_the_transform_may_change_between_versions(sample_path: Path, transform: Transform) -> None:
    other = Transform.LOG1P if transform is Transform.NONE else Transform.NONE
    first = fit(sample_path, Hyperparameters(k=3, transform=transform))
    second = fit(sample_path, Hyperparameters(k=3, transform=other), previous=previous_of(first))

    assert second.lineage.kept_share is not None
    assert second.lineage.kept_share > 0.5


def test_names_travel_with_the_ids_and_peoples_own_come_first(sample_path: Path, first: TrainedModel) -> None:
    renamed = replace(
        first.model,
        segments=tuple(replace(segment, name=f"Group {segment.id}") for segment in first.model.segments),
    )
    family = first.lineage.family
    previous = previous_of(first, model=renamed)
    kept = fit(sample_path, Hyperparameters(k=4), previous=previous)
    given = fit(sample_path, Hyperparameters(k=4), previous=previous, names={family: {1: "Group 2"}})
    strangers = fit(sample_path, Hyperparameters(k=4), names={"another": {1: "Mine"}})

    assert [segment.name for segment in kept.model.segments] == ["Group 0", "Group 1", "Group 2", "Group 3"]
    names = [segment.name for segment in given.model.segments]
    assert names[1] == "Group 2"
    assert len(set(names)) == 4
    assert strangers.model.segments == first.model.segments


def test_the_same_previous_version_gives_the_same_bytes(sample_path: Path, first: TrainedModel) -> None:
    runs = [fit(sample_path, Hyperparameters(k=5), previous=previous_of(first)) for _ in range(2)]

    assert runs[0].files["model.json"] == runs[1].files["model.json"]


def test_a_version_passes_on_what_its_artifact_says(artifact: Artifact) -> None:
    previous = Previous.of(artifact)
    plain = Previous.of(replace(artifact, files={}))

    assert previous.version == artifact.manifest.model_version
    assert (previous.next_id, previous.retired) == (4, ())
    assert previous.family == name_family(artifact.model.partition) == plain.family
    assert plain.next_id == 4


@pytest.mark.parametrize(
    "content", [b"[]", b"{", b'{"lineage": 3}', b'{"lineage": {"next_id": "x", "retired": []}}']
)
def test_an_artifact_without_a_lineage_begins_its_own(artifact: Artifact, content: bytes) -> None:
    assert Previous.of(replace(artifact, files={"training.json": content})).next_id == 4


def test_ids_that_were_retired_before_are_remembered(artifact: Artifact) -> None:
    content = b'{"lineage": {"next_id": 2, "retired": [7], "family": "abc"}}'
    previous = Previous.of(replace(artifact, files={"training.json": content}))

    assert (previous.next_id, previous.retired, previous.family) == (8, (7,), "abc")


def draw_groups(seed: int) -> tuple[Vectors, Cells]:
    """Draw customers of four kinds, many of whom share a cell."""
    random = np.random.default_rng(seed)
    kind = random.choice(4, 20_000, p=[0.4, 0.3, 0.2, 0.1])
    ages = np.array([25, 40, 55, 70])[kind] + random.geometric(0.5, len(kind)).astype(np.float64)
    extra = 500 * random.geometric(0.4, len(kind)).astype(np.float64)
    incomes = np.array([30_000, 90_000, 40_000, 120_000])[kind] + extra
    purchases = np.full(len(kind), 10.0)
    cells = Cells.of_records(ages, incomes, purchases, np.ones(len(kind), dtype=np.int64))
    return np.column_stack([ages, spending_powers(incomes, purchases)]), cells


def align_cells(cells: Cells, previous: Previous | None) -> Aligned:
    population = Population.of_cells(cells, Transform.NONE)
    return fit_aligned(
        population.vectors,
        k=4,
        transform=Transform.NONE,
        seed=42,
        previous=previous,
        weighting=population.weighting,
    )


def test_cells_are_continued_like_their_customers(first: TrainedModel) -> None:
    """The next month's cells start at the centroids of this month's, and every customer is counted."""
    _, before = draw_groups(1)
    partition = align_cells(before, None).fit.partition
    order, ids = [2, 0, 3, 1], (3, 5, 8, 9)
    model = replace(
        first.model,
        mean=partition.mean,
        scale=partition.scale,
        centroids=tuple(partition.centroids[position] for position in order),
        segments=tuple(
            replace(first.model.segments[position], id=number)
            for number, position in zip(ids, order, strict=True)
        ),
    )
    previous = previous_of(first, model=model, next_id=12)
    vectors, after = draw_groups(2)

    cells, records = align_cells(after, previous), align(vectors, previous)

    assert cells.lineage.method is records.lineage.method is Method.WARM_START
    assert cells.ids == records.ids == ids
    assert cells.lineage.migration == records.lineage.migration
    assert cells.lineage.kept_share == records.lineage.kept_share
    assert np.array(cells.fit.partition.centroids) == pytest.approx(
        np.array(records.fit.partition.centroids), abs=1e-4
    )
    assert cells.fit.inertia == pytest.approx(records.fit.inertia, rel=1e-4)


def test_what_runs_before_files_are_read_loads_no_sklearn() -> None:
    """It is imported meanwhile, which takes as long as reading millions of records."""
    rooms = (
        "service.training.lineage, service.training.dataset, service.training.survey, service.training.names"
    )
    script = f"import sys, {rooms}; print(sorted({{'scipy', 'sklearn', 'skops'}} & set(sys.modules)))"
    command = [sys.executable, "-c", script]

    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
