"""Two versions on the same customers: who switches, and what became of the segments."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.artifact import Artifact
from service.errors import ConfigurationError
from service.features import spending_power
from service.model import Golden, Segment, SegmentModel
from service.training.compare import Comparison, Fate, Migration
from service.training.switchers import SWITCH_COLUMNS, Source, compare_on_file
from service.transform import Transform


def make_model(
    *ages: float, ids: tuple[int, ...] | None = None, income_median: float = 100.0
) -> SegmentModel:
    """Return a model that divides by Age alone."""
    identities = ids or tuple(range(len(ages)))
    return SegmentModel(
        transform=Transform.NONE,
        mean=(0.0, 0.0),
        scale=(1.0, 1e6),
        centroids=tuple((age, 0.0) for age in ages),
        segments=tuple(
            Segment(identity, f"about {age:g}", 1, 1 / len(ages), {}, 1.0)
            for identity, age in zip(identities, ages, strict=True)
        ),
        income_median=income_median,
        border_ratio=1.2,
        golden=Golden((), ()),
    )


def compare(before: SegmentModel, after: SegmentModel, ages: list[float]) -> Comparison:
    migration = Migration(before, after)
    vectors = np.array([[age, 1.0] for age in ages])
    half = len(ages) // 2
    for part in (vectors[:half], vectors[half:]):
        migration.add(part, part)
    return migration.compare()


def fates(comparison: Comparison) -> dict[int, Fate]:
    return {fate.id: fate.fate for fate in comparison.fates}


def test_a_version_compared_with_itself_changes_nothing() -> None:
    model = make_model(20, 40, 60)
    found = compare(model, model, [21, 22, 39, 61, 62])

    assert (found.customers, found.switched, found.rearranged, found.switched_share) == (5, 0, 0, 0.0)
    assert found.migration == {0: {0: 2, 1: 0, 2: 0}, 1: {0: 0, 1: 1, 2: 0}, 2: {0: 0, 1: 0, 2: 2}}
    assert set(fates(found).values()) == {Fate.KEPT}


def test_a_moved_border_switches_those_between() -> None:
    found = compare(make_model(20, 60), make_model(20, 50), [10, 20, 30, 36, 37, 38, 39, 60, 61, 62])

    assert (found.switched, found.switched_share) == (4, 0.4)
    assert found.migration[0] == {0: 3, 1: 4}
    assert fates(found) == {0: Fate.MOVED, 1: Fate.MOVED}
    assert [fate.overlap for fate in found.fates] == [3 / 7, 3 / 7]


def test_numbers_alone_are_told_from_customers_who_really_move() -> None:
    found = compare(make_model(20, 60), make_model(60, 20), [10, 20, 60, 61])

    assert (found.switched, found.rearranged) == (4, 0)


def test_merged_born_and_dissolved_segments_are_told_apart() -> None:
    ages = [20.0] * 4 + [30.0] * 4 + [60.0] * 4
    merged = compare(make_model(20, 30, 60), make_model(25, 60, ids=(0, 2)), ages)
    born = compare(make_model(25, 60, ids=(0, 2)), make_model(20, 30, 60, ids=(0, 3, 2)), ages)
    dissolved = compare(make_model(25, 60), make_model(20, 30, ids=(5, 6)), [20.0, 30.0])

    assert fates(merged) == {0: Fate.MOVED, 1: Fate.MERGED, 2: Fate.KEPT}
    assert merged.fates[1].related == {0: 1.0}
    assert (merged.fates[1].name_before, merged.fates[1].name_after) == ("about 30", None)
    assert fates(born)[3] is Fate.BORN
    assert born.fates[-1].related == {0: 1.0}
    assert fates(dissolved)[0] is Fate.DISSOLVED
    assert dissolved.fates[0].related == {5: 0.5, 6: 0.5}
    assert dissolved.switched == 2


def test_ids_that_are_not_0_to_k_are_what_is_compared() -> None:
    found = compare(make_model(20, 60, ids=(4, 9)), make_model(20, 60, ids=(4, 12)), [20, 60, 61])

    assert found.switched == 2
    assert found.migration == {4: {4: 1, 12: 0}, 9: {4: 0, 12: 2}}


def test_switchers_keep_their_columns_and_get_both_segments(
    tmp_path: Path, sample_path: Path, artifact: Artifact
) -> None:
    old, new = artifact.model, replace(artifact.model, centroids=artifact.model.centroids[::-1])
    path = tmp_path / "switchers.csv"
    found, unusable = compare_on_file(
        Source(sample_path, {}), before=old, after=new, switchers=path, on_progress=lambda *_: None
    )
    with sample_path.open(newline="") as file:
        before = {row["Customer_ID"]: row for row in csv.DictReader(file)}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))

    assert unusable == 0
    assert len(rows) == found.switched > 0
    assert list(rows[0]) == [*next(iter(before.values())), *SWITCH_COLUMNS]
    expected = 0
    for row in before.values():
        record = (float(row["Age"]), spending_power(float(row["Income"]), float(row["Purchases"])))
        expected += old.partition.assign_one(*record) != new.partition.assign_one(*record)
    assert expected == found.switched
    for row in rows:
        record = (float(row["Age"]), spending_power(float(row["Income"]), float(row["Purchases"])))
        segment = new.partition.assign_one(*record)
        assert int(row["previous_segment"]) == old.partition.assign_one(*record)
        assert (int(row["segment"]), row["segment_name"]) == (segment, new.segments[segment].name)
        assert {name: row[name] for name in before[row["Customer_ID"]]} == before[row["Customer_ID"]]


def test_unusable_customers_are_counted_and_a_missing_income_is_each_models_own(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("Age,Income,Purchases\n20,,1\n-1,5,5\n30,1\n")
    base = make_model(20, 20)
    models = [
        replace(base, scale=(1.0, 1.0), centroids=((20.0, 0.0), (20.0, 1000.0)), income_median=median)
        for median in (0.0, 1000.0)
    ]
    found, unusable = compare_on_file(
        Source(tmp_path / "in.csv", {}),
        before=models[0],
        after=models[1],
        switchers=None,
        on_progress=lambda *_: None,
    )

    assert (found.customers, unusable) == (1, 2)
    assert found.migration == {0: {0: 0, 1: 1}, 1: {0: 0, 1: 0}}


def test_a_column_of_the_same_name_is_not_overwritten(tmp_path: Path, artifact: Artifact) -> None:
    (tmp_path / "in.csv").write_text("Age,Income,Purchases,segment\n20,5,1,x\n")

    with pytest.raises(ConfigurationError, match="'segment' already"):
        compare_on_file(
            Source(tmp_path / "in.csv", {}),
            before=artifact.model,
            after=artifact.model,
            switchers=tmp_path / "out.csv",
            on_progress=lambda *_: None,
        )
