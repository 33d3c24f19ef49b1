"""Spark scores customers with the bits of this machine, and writes each of them once."""

import csv
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from service.errors import ConfigurationError
from service.model import SegmentModel
from service.training.dataset import read_dataset
from service.training.hyperparameters import Hyperparameters
from service.training.score import Previous, ScoreReport, score_file
from service.training.trainer import train
from service.transform import Transform, log1p_all
from tests.customers import rows, write

pytestmark = pytest.mark.timeout(900)  # Spark takes long to start beside others


def models(path: Path, tmp_path: Path, transform: Transform) -> tuple[SegmentModel, SegmentModel]:
    """Return a model, and another for the previous segments."""
    dataset = read_dataset([path], mapping={}, rejects_path=tmp_path / "rejects.csv")
    return tuple(  # type: ignore[return-value]  # two of them
        train(dataset, Hyperparameters(k=k, transform=transform, seed=42), on_progress=lambda *_: None).model
        for k in (5, 3)
    )


def near_borders(model: SegmentModel, *, seed: int = 7) -> list[str]:
    """Return customers who are as far from one centroid as from another, but for an ulp or none."""
    random = np.random.default_rng(seed)
    found = []
    for (x1, y1), (x2, y2) in itertools.combinations(model.centroids, 2):
        for _ in range(20):
            shift = random.normal(0, 0.3)
            x, y = (x1 + x2) / 2 - shift * (y2 - y1), (y1 + y2) / 2 + shift * (x2 - x1)
            age = x * model.scale[0] + model.mean[0]
            power = y * model.scale[1] + model.mean[1]
            if model.transform is Transform.LOG1P:
                power = float(np.expm1(power))
            if age <= 0 or power < 0:
                continue
            found += [
                f"b,{float(one)!r},Male,{float(other)!r},1"
                for one in (np.nextafter(age, 0), age, np.nextafter(age, 99))
                for other in (np.nextafter(power, 0), power, np.nextafter(power, 1e9))
            ]
    return found


def score_both(
    spark: Any, path: Path, tmp_path: Path, pair: tuple[SegmentModel, SegmentModel], *, ending: str
) -> tuple[ScoreReport, ScoreReport, Path, Path]:
    from service.training.spark.score import score_by_spark

    model, before = pair
    options: dict[str, Any] = {
        "model": model,
        "version": "v1",
        "mapping": {},
        "decimal": ".",
        "prefix": "",
        "previous": Previous(model=before),
    }
    local, folder = tmp_path / f"scored{ending}", tmp_path / f"scored-spark{ending}"
    usual = score_file(path, local, on_progress=lambda *_: None, **options)
    found = score_by_spark(spark, str(path), str(folder), **options)
    return usual, found, local, folder


def read_csv(*paths: Path) -> list[list[str]]:
    found = []
    for path in paths:
        with path.open(newline="") as file:
            header, *records = csv.reader(file)
        found += [[*map("=".join, zip(header, record, strict=True))] for record in records]
    return sorted(found)


@pytest.mark.parametrize("transform", list(Transform))
def test_scores_have_the_bits_of_this_machine(spark: Any, tmp_path: Path, transform: Transform) -> None:
    path = write(tmp_path / "customers.csv", rows(2900))
    pair = models(path, tmp_path, transform)
    write(path, [*rows(2900), *near_borders(pair[0])])

    usual, found, local, folder = score_both(spark, path, tmp_path, pair, ending=".csv")

    assert found == usual
    assert usual.unusable > 5
    assert sum(usual.sizes) > 3500
    assert (folder / "_SUCCESS").exists()
    assert read_csv(*folder.glob("part-*.csv")) == read_csv(local)


def test_parquet_goes_in_and_out_again_and_once(spark: Any, tmp_path: Path) -> None:
    tidy = [row for row in rows(2900) if row.count(",") == 4 and not set(row) & set("\"$'x")]
    text = write(tmp_path / "customers.csv", tidy)
    path = tmp_path / "customers.parquet"
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(text), path, row_group_size=500)
    pair = models(path, tmp_path, Transform.LOG1P)

    score_both(spark, path, tmp_path, pair, ending=".parquet")
    usual, found, local, folder = score_both(spark, path, tmp_path, pair, ending=".parquet")

    table = pyarrow.parquet.read_table(folder).sort_by("CustomerID")
    assert found == usual
    assert table.equals(pyarrow.parquet.read_table(local).sort_by("CustomerID").cast(table.schema))


def test_a_folder_of_other_things_is_left_alone(spark: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "customers.csv", rows(2900))
    pair = models(path, tmp_path, Transform.NONE)
    folder = tmp_path / "scored-spark.csv"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")

    with pytest.raises(ConfigurationError, match=r"holds notes\.txt"):
        score_both(spark, path, tmp_path, pair, ending=".csv")
    assert (folder / "notes.txt").read_text() == "mine"

    (tmp_path / "scored-spark.parquet").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"scored-spark\.parquet is a file; Spark writes a folder"):
        score_both(spark, path, tmp_path, pair, ending=".parquet")


def test_log1p_has_the_same_bits(spark: Any) -> None:
    from service.training.spark.assignment import with_log1p

    random = np.random.default_rng(0)
    powers = 2.0 ** np.arange(-60, 333)
    values = np.concatenate(
        [
            [0.0, 1e100],
            powers,
            np.nextafter(powers, 0),
            np.nextafter(powers, np.inf),
            10 ** random.uniform(-18, 100, 4000),
        ]
    )
    values = np.concatenate([values, np.abs(powers - 1), powers * 1.414213562373])
    values = values[values <= 1e100]
    frame = spark.createDataFrame([(float(value),) * 2 for value in values], "given double, y double")

    found = np.array([tuple(row) for row in with_log1p(frame, "y").collect()])

    assert np.array_equal(found[:, 1], log1p_all(found[:, 0]))
    assert found.shape == (len(values), 2)
    assert pa.array(found[:, 1]).null_count == 0
