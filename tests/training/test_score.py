"""A scored file is the file itself, every customer with a segment."""

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from service.artifact import Artifact
from service.errors import ConfigurationError, DatasetError
from service.features import spending_power
from service.training.score import SCORE_COLUMNS, Previous, ScoreReport, score_file


def score(
    source: Path, target: Path, artifact: Artifact, *, prefix: str = "", previous: Previous | None = None
) -> ScoreReport:
    return score_file(
        source,
        target,
        model=artifact.model,
        version="v1",
        mapping={},
        decimal=".",
        prefix=prefix,
        previous=previous,
        on_progress=lambda *_: None,
    )


def read_rows(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def test_every_customer_keeps_its_columns_and_order_and_gets_the_models_segment(
    tmp_path: Path, sample_path: Path, artifact: Artifact
) -> None:
    report = score(sample_path, tmp_path / "out.csv", artifact)
    before, after = read_rows(sample_path), read_rows(tmp_path / "out.csv")

    assert list(after[0]) == [*before[0], *SCORE_COLUMNS]
    assert [{name: row[name] for name in before[0]} for row in after] == before
    for row in after:
        power = spending_power(float(row["Income"]), float(row["Purchases"]))
        expected = artifact.model.partition.assign_one(float(row["Age"]), power)
        assert int(row["segment"]) == expected
        assert row["segment_name"] == artifact.model.segments[expected].name
        assert 0.5 <= float(row["confidence"]) <= 1
        assert {row["outlier"], row["border"]} <= {"true", "false"}
        assert row["model_version"] == "v1"
        assert ("no purchase" in row["note"]) == (row["Purchases"] == "0")
    assert report.scored == 1000
    assert list(report.sizes) == [segment.size for segment in artifact.model.segments]


def test_text_stays_as_it_stood_in_the_file(tmp_path: Path, artifact: Artifact) -> None:
    source = tmp_path / "in.csv"
    source.write_text(
        '\ufeffName; Income ;AGE;Purchases;Code\r\n"Ü; ""x""";"$84,835.00 ";31;4;007\r\n', encoding="utf-8"
    )
    score(source, tmp_path / "out.csv", artifact)
    row = read_rows(tmp_path / "out.csv", ";")[0]

    assert row["Name"] == 'Ü; "x"'
    assert row[" Income "] == "$84,835.00 "
    assert row["Code"] == "007"
    assert row["segment"].isdigit()


def test_unusable_rows_stay_with_the_reason_and_without_a_segment(tmp_path: Path, artifact: Artifact) -> None:
    source = tmp_path / "in.csv"
    source.write_text("Age,Income,Purchases\n30,50000,5\n-3,50000,5\n40,,5\n,1,1\nold,1,1\n50,,0\n30,1\n")
    report = score(source, tmp_path / "out.csv", artifact)
    rows = read_rows(tmp_path / "out.csv")

    assert [row["segment"].isdigit() for row in rows] == [True, False, True, False, False, True]
    assert rows[1]["note"] == "Age must be greater than 0"
    assert rows[1]["model_version"] == rows[1]["confidence"] == rows[1]["outlier"] == ""
    assert rows[2]["note"] == "Income taken as the median of the training data"
    assert rows[5]["note"].endswith("; no purchase, counted as one")
    assert (report.scored, report.unusable, report.ragged, report.ragged_lines) == (3, 3, 1, (8,))


def test_a_missing_income_is_scored_as_the_median(tmp_path: Path, artifact: Artifact) -> None:
    source = tmp_path / "in.csv"
    source.write_text("Age,Income,Purchases\n40,,1\n40,,50\n")
    score(source, tmp_path / "out.csv", artifact)
    powers = [spending_power(artifact.model.income_median, purchases) for purchases in (1, 50)]

    expected = [artifact.model.partition.assign_one(40, power) for power in powers]

    assert [int(row["segment"]) for row in read_rows(tmp_path / "out.csv")] == expected
    assert expected[0] != expected[1]


def test_parquet_goes_in_and_out_with_its_types(tmp_path: Path, artifact: Artifact) -> None:
    table = pa.table(
        {
            "id": ["a", "b"],
            "Age": [30, 50],
            "Income": [50_000.0, None],
            "Purchases": pa.array([5, 0], pa.int8()),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet")
    score(tmp_path / "in.parquet", tmp_path / "out.parquet", artifact)
    result = pyarrow.parquet.read_table(tmp_path / "out.parquet")

    assert result.select(table.column_names).equals(table)
    assert result.column_names == [*table.column_names, *SCORE_COLUMNS]
    assert result["segment"].type == pa.int32()


def test_a_column_that_is_there_already_is_not_overwritten(tmp_path: Path, artifact: Artifact) -> None:
    source = tmp_path / "in.csv"
    source.write_text("Age,Income,Purchases,Segment\n30,50000,5,gold\n")

    with pytest.raises(ConfigurationError, match="'segment' already; choose other names with --prefix"):
        score(source, tmp_path / "out.csv", artifact)
    score(source, tmp_path / "out.csv", artifact, prefix="new_")
    assert read_rows(tmp_path / "out.csv")[0]["Segment"] == "gold"
    assert read_rows(tmp_path / "out.csv")[0]["new_segment"].isdigit()


def test_a_failed_run_leaves_the_target_as_it_was(tmp_path: Path, artifact: Artifact) -> None:
    (tmp_path / "out.csv").write_text("precious")
    (tmp_path / "in.csv").write_text("Age,Income,Purchases\n")

    with pytest.raises(DatasetError):
        score(tmp_path / "in.csv", tmp_path / "out.csv", artifact)
    assert (tmp_path / "out.csv").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_a_target_that_cannot_be_written_is_an_error(
    tmp_path: Path, sample_path: Path, artifact: Artifact
) -> None:
    with pytest.raises(DatasetError, match="cannot be written"):
        score(sample_path, tmp_path / "absent" / "out.csv", artifact)


def test_scoring_a_file_onto_itself_works(tmp_path: Path, sample_path: Path, artifact: Artifact) -> None:
    path = tmp_path / "customers.csv"
    path.write_bytes(sample_path.read_bytes())
    score(path, path, artifact)

    assert len(read_rows(path)) == 1000
    assert "segment" in read_rows(path)[0]


def test_a_previous_model_tells_who_changed(tmp_path: Path, sample_path: Path, artifact: Artifact) -> None:
    earlier = replace(artifact.model, centroids=artifact.model.centroids[::-1])
    report = score(sample_path, tmp_path / "out.csv", artifact, previous=Previous(model=earlier))
    rows = read_rows(tmp_path / "out.csv")

    for row in rows:
        power = spending_power(float(row["Income"]), float(row["Purchases"]))
        assert int(row["previous_segment"]) == earlier.partition.assign_one(float(row["Age"]), power)
        assert row["changed"] == str(row["segment"] != row["previous_segment"]).lower()
    assert report.changed == sum(row["changed"] == "true" for row in rows) > 0


def test_a_column_of_the_file_may_hold_the_previous_segments(tmp_path: Path, artifact: Artifact) -> None:
    source = tmp_path / "in.csv"
    source.write_text("Age,Income,Purchases,Last\n30,50000,5,0\n30,50000,5,3\n30,50000,5,\n-1,50000,5,2\n")
    report = score(source, tmp_path / "out.csv", artifact, previous=Previous(column="LAST"))
    rows = read_rows(tmp_path / "out.csv")
    changed = [str(rows[0]["segment"] != last).lower() for last in "03"]

    assert [row["previous_segment"] for row in rows] == ["0", "3", "", ""]
    assert [row["changed"] for row in rows] == [*changed, "", ""]
    assert report.changed == changed.count("true")


@pytest.mark.parametrize("bad", ["gold", "-1", "1.5"])
def test_previous_segments_that_are_no_ids_are_refused(tmp_path: Path, artifact: Artifact, bad: str) -> None:
    source = tmp_path / "in.csv"
    source.write_text(f"Age,Income,Purchases,Last\n30,50000,5,{bad}\n")

    with pytest.raises(DatasetError, match="must hold segment ids, whole numbers from 0") as caught:
        score(source, tmp_path / "out.csv", artifact, previous=Previous(column="Last"))
    assert bad not in str(caught.value).removeprefix(str(source)).replace("from 0", "")
    with pytest.raises(DatasetError, match="no column 'Absent' of previous segments"):
        score(source, tmp_path / "out.csv", artifact, previous=Previous(column="Absent"))


def test_without_a_previous_segment_its_columns_are_empty(
    tmp_path: Path, sample_path: Path, artifact: Artifact
) -> None:
    report = score(sample_path, tmp_path / "out.csv", artifact)

    assert report.changed is None
    assert {(row["previous_segment"], row["changed"]) for row in read_rows(tmp_path / "out.csv")} == {
        ("", "")
    }


def test_ids_that_are_not_places_are_what_is_written(
    tmp_path: Path, sample_path: Path, artifact: Artifact
) -> None:
    renumbered = tuple(replace(segment, id=7 + 2 * segment.id) for segment in artifact.model.segments)
    score(sample_path, tmp_path / "plain.csv", artifact)
    model = replace(artifact.model, segments=renumbered)
    score(sample_path, tmp_path / "out.csv", replace(artifact, model=model))
    plain, found = read_rows(tmp_path / "plain.csv"), read_rows(tmp_path / "out.csv")

    assert [int(row["segment"]) for row in found] == [7 + 2 * int(row["segment"]) for row in plain]
    assert [row["segment_name"] for row in found] == [row["segment_name"] for row in plain]


def test_a_file_full_of_ragged_rows_keeps_only_the_first_lines(tmp_path: Path, artifact: Artifact) -> None:
    source = tmp_path / "in.csv"
    source.write_text("Age,Income,Purchases\n30,50000,5\n" + "1,2\n" * 500)
    report = score(source, tmp_path / "out.csv", artifact)

    assert (report.scored, report.ragged) == (1, 500)
    assert report.ragged_lines == tuple(range(3, 14))


def test_scoring_loads_neither_scipy_nor_sklearn() -> None:
    script = (
        "import sys, service.training.score; print(sorted({'scipy', 'sklearn', 'polars'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", script]

    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
