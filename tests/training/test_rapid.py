"""polars scores a Parquet file as it would be scored without it, to the last bit."""

import datetime as dt
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from service.artifact import Artifact
from service.errors import DatasetError
from service.model import SegmentModel
from service.training.customers import read_customers
from service.training.rapid import is_rapid
from service.training.score import Previous, ScoreReport, score_file
from service.transform import Transform

N = 9_000
GAVE_UP = "polars gave up"


def customers(n: int = N, *, seed: int = 5) -> dict[str, pa.Array]:
    random = np.random.default_rng(seed)
    ages = random.integers(18, 90, n).astype(np.float64)
    incomes = np.exp(random.normal(10.7, 0.8, n)).round(2)
    purchases = random.poisson(9, n).astype(np.float64)
    for column, odd in (
        (ages, [-1.0, 0.0, np.inf, 2e100, np.nan]),
        (incomes, [-0.5, -np.inf, 1e101, np.nan, 0.0, 1e99]),
        (purchases, [-2.0, np.inf, np.nan, 0.0, 0.3, 1e100]),
    ):
        places = random.choice(n, n // 20, replace=False)
        column[places] = random.choice(odd, len(places))
    blank = random.random((4, n)) < 0.02
    gaps = [
        pa.array(column, mask=mask) for column, mask in zip((ages, incomes, purchases), blank, strict=False)
    ]
    return {
        "id": pa.array([f"Ü{number}" for number in range(n)], mask=blank[3]),
        "Age": gaps[0],
        "Income": gaps[1],
        "Purchases": gaps[2],
        "since": pa.array([dt.date(2020, 1, 1 + number % 28) for number in range(n)]),
        "seen": pa.array(range(n), pa.timestamp("us", tz="Europe/Berlin")),
        "level": pa.array([number % 100 for number in range(n)], pa.int8()),
    }


def write(path: Path, columns: Mapping[str, Any], *, row_group_size: int = 4000) -> Path:
    pyarrow.parquet.write_table(pa.table(columns), path, row_group_size=row_group_size)
    return path


def score(source: Path, target: Path, model: SegmentModel, *, rapid: bool, **options: Any) -> ScoreReport:
    given = {"mapping": {}, "decimal": ".", "prefix": "", **options}
    return score_file(
        source,
        target,
        model=model,
        version="20261123T044500Z-3f2a9c1b",
        on_progress=lambda *_: None,
        rapid_rows=1 if rapid else None,
        **given,
    )


def bits(table: pa.Table) -> pa.Table:
    """Return figures as the integers that they are made of, for NaN is not equal to itself."""
    columns = [
        pa.chunked_array([chunk.view(pa.int64()) for chunk in column.chunks], pa.int64())
        if pa.types.is_float64(column.type)
        else column
        for column in table.columns
    ]
    return pa.table(columns, names=table.column_names)


def score_twice(
    source: Path, tmp_path: Path, model: SegmentModel, **options: Any
) -> tuple[pa.Table, ScoreReport, pa.Table, ScoreReport]:
    rapid = score(source, tmp_path / "rapid.parquet", model, rapid=True, **options)
    usual = score(source, tmp_path / "usual.parquet", model, rapid=False, **options)
    tables = [pyarrow.parquet.read_table(tmp_path / f"{name}.parquet") for name in ("rapid", "usual")]
    return tables[0], rapid, tables[1], usual


@pytest.fixture(name="quiet")
def _quiet(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


@pytest.mark.parametrize("transform", list(Transform))
@pytest.mark.parametrize("follows", [False, True])
def test_every_column_has_the_same_bits(
    tmp_path: Path,
    artifact: Artifact,
    quiet: pytest.LogCaptureFixture,
    transform: Transform,
    *,
    follows: bool,
) -> None:
    path = write(tmp_path / "in.parquet", customers())
    ids = tuple(replace(one, id=2 * one.id + 3) for one in artifact.model.segments)
    model = replace(artifact.model, transform=transform, segments=ids)
    earlier = replace(artifact.model, mean=(35.0, 9000.0), income_median=20_000.0)
    previous = Previous(model=earlier) if follows else None

    rapid, rapid_report, usual, usual_report = score_twice(path, tmp_path, model, previous=previous)

    assert rapid.schema.equals(usual.schema, check_metadata=True)
    assert bits(rapid).equals(bits(usual))
    assert rapid_report == usual_report
    assert rapid_report.unusable > 500
    assert len(set(rapid["note"].to_pylist())) > 8
    assert (rapid_report.changed is not None) is follows
    assert GAVE_UP not in quiet.text
    assert sorted(found.name for found in tmp_path.iterdir()) == [
        "in.parquet",
        "rapid.parquet",
        "usual.parquet",
    ]


def test_text_expressions_and_blank_rows_are_read_by_the_rules(
    tmp_path: Path, artifact: Artifact, quiet: pytest.LogCaptureFixture
) -> None:
    random = np.random.default_rng(8)
    texts = ["50000", "$51,000.50", " 42 ", "n/a", "", None, "abc", "-3", "1e400", "1_000", "7.25e3"]
    columns = {
        "AGE ": pa.array([None if number % 50 == 0 else str(20 + number % 60) for number in range(N)]),
        "monthly": pa.array([None if number % 50 == 0 else texts[number % 11] for number in range(N)]),
        "orders": pa.array(random.integers(0, 9, N), pa.int16(), mask=np.arange(N) % 50 == 0),
        "Name": pa.array([None if number % 50 == 0 else "x" for number in range(N)], pa.large_string()),
    }
    path = write(tmp_path / "in.parquet", columns)

    for mapping in (
        {"Income": "monthly", "Purchases": "orders"},
        {"Income": "monthly*12/3", "Purchases": "(orders+1)/7"},
    ):
        rapid, rapid_report, usual, usual_report = score_twice(
            path, tmp_path, artifact.model, mapping=mapping
        )
        assert bits(rapid).equals(bits(usual))
        assert rapid_report == usual_report
        assert rapid_report.blank == N // 50
        assert rapid.num_rows == N - N // 50
        assert rapid_report.unusable > N // 10
    assert GAVE_UP not in quiet.text


def test_rows_that_are_all_plain_are_records(
    tmp_path: Path, artifact: Artifact, quiet: pytest.LogCaptureFixture
) -> None:
    columns = {"Age": [30, 40], "Income": [50_000, 60_000], "Purchases": [3, 4]}
    path = write(tmp_path / "in.parquet", columns)

    rapid, rapid_report, usual, usual_report = score_twice(path, tmp_path, artifact.model)

    assert rapid.equals(usual)
    assert rapid_report == usual_report
    assert GAVE_UP not in quiet.text


def test_types_that_polars_would_change_are_left_to_pyarrow(tmp_path: Path) -> None:
    columns = customers(50)

    def may(name: str, column: pa.Array) -> bool:
        path = write(tmp_path / "in.parquet", {**columns, name: column})
        return is_rapid(read_customers(path, mapping={}))

    assert may("more", pa.array(range(50)))
    assert not may("more", pa.array([[1]] * 50))
    assert not may("more", pa.array(["x"] * 50).dictionary_encode())
    assert not may("more", pa.array([b"x"] * 50))
    assert not may("Age", pa.array([30] * 50).cast(pa.decimal128(25, 2)))


def test_a_column_of_previous_segments_is_read_as_ever(tmp_path: Path, artifact: Artifact) -> None:
    columns = {**customers(), "before": pa.array([number % 4 for number in range(N)])}
    path = write(tmp_path / "in.parquet", columns)

    rapid, rapid_report, usual, usual_report = score_twice(
        path, tmp_path, artifact.model, previous=Previous(column="before")
    )

    assert bits(rapid).equals(bits(usual))
    assert rapid_report == usual_report
    assert rapid_report.changed


def test_a_damaged_file_is_refused_in_the_usual_words(
    tmp_path: Path, artifact: Artifact, quiet: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "in.parquet", customers())
    content = bytearray(path.read_bytes())
    content[1000:9000] = bytes(8000)
    path.write_bytes(content)
    (tmp_path / "out.parquet").write_text("precious")

    with pytest.raises(DatasetError, match="cannot be read to its end"):
        score(path, tmp_path / "out.parquet", artifact.model, rapid=True)
    assert GAVE_UP in quiet.text
    assert (tmp_path / "out.parquet").read_text() == "precious"
    assert sorted(found.name for found in tmp_path.iterdir()) == ["in.parquet", "out.parquet"]


def test_a_target_that_cannot_be_written_is_refused_in_the_usual_words(
    tmp_path: Path, artifact: Artifact
) -> None:
    path = write(tmp_path / "in.parquet", customers())

    with pytest.raises(DatasetError, match=r"absent/out\.parquet cannot be written"):
        score(path, tmp_path / "absent" / "out.parquet", artifact.model, rapid=True)


def test_a_file_of_blank_rows_has_no_records(tmp_path: Path, artifact: Artifact) -> None:
    path = write(tmp_path / "in.parquet", {name: pa.nulls(99, pa.string()) for name in customers(1)})

    with pytest.raises(DatasetError, match="has a header but no records"):
        score(path, tmp_path / "out.parquet", artifact.model, rapid=True)
    assert not (tmp_path / "out.parquet").exists()


def test_a_killed_run_leaves_the_target_as_it_was(tmp_path: Path, artifact: Artifact) -> None:
    path = write(tmp_path / "in.parquet", customers(600_000), row_group_size=100_000)
    (tmp_path / "model.json").write_bytes(artifact.model.to_json())
    target = tmp_path / "out.parquet"
    target.write_text("precious")
    script = (
        "import sys; from pathlib import Path; from service.model import SegmentModel; "
        "from service.training.score import score_file; "
        "model = SegmentModel.from_json(Path(sys.argv[1], 'model.json').read_bytes()); "
        "score_file(Path(sys.argv[1], 'in.parquet'), Path(sys.argv[1], 'out.parquet'), model=model, "
        "version='v', mapping={}, decimal='.', prefix='', rapid_rows=1, "
        "on_progress=lambda done, total: print(done, total, flush=True))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path.parent)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        done, total = map(int, process.stdout.readline().split())
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)

    assert 0 < done < total
    assert target.read_text() == "precious"
