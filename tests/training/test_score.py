"""A scored file is the file itself, every customer with a segment."""

import csv
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from service.artifact import Artifact
from service.errors import ConfigurationError, DatasetError
from service.features import spending_power
from service.training.score import SCORE_COLUMNS, ScoreReport, score_file


def score(source: Path, target: Path, artifact: Artifact, **options: str) -> ScoreReport:
    return score_file(
        source,
        target,
        model=artifact.model,
        version="v1",
        mapping={},
        decimal=".",
        prefix=options.get("prefix", ""),
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
        assert row["outlier"] in {"true", "false"}
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


def test_ids_with_gaps_are_what_a_file_gets(tmp_path: Path, sample_path: Path, artifact: Artifact) -> None:
    ids = (1, 4, 10, 11)
    model = artifact.model
    gapped = replace(
        model,
        segments=tuple(replace(one, id=number) for one, number in zip(model.segments, ids, strict=True)),
    )
    score(sample_path, tmp_path / "plain.csv", artifact)
    report = score(sample_path, tmp_path / "gapped.csv", replace(artifact, model=gapped))
    plain, after = read_rows(tmp_path / "plain.csv"), read_rows(tmp_path / "gapped.csv")

    assert [row["segment"] for row in after] == [str(ids[int(row["segment"])]) for row in plain]
    assert [row["segment_name"] for row in after] == [row["segment_name"] for row in plain]
    assert list(report.sizes) == [segment.size for segment in model.segments]
