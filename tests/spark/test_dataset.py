"""Spark gives the same rejects, cells and model as the local engines, on data as dirty as people have it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from service.errors import ConfigurationError, DatasetError
from service.settings import KernelUse
from service.training.dataset import Dataset, Means, read_dataset
from service.training.hyperparameters import Hyperparameters
from service.training.trainer import TrainedModel, train
from service.transform import Transform
from tests.customers import HEADER, rows, write

pytestmark = pytest.mark.timeout(900)  # Spark takes long to start beside others


def fit(dataset: Dataset, transform: Transform = Transform.NONE) -> TrainedModel:
    return train(dataset, Hyperparameters(k=4, transform=transform, seed=42), on_progress=lambda *_: None)


class Engines:
    """Read the same files by several engines, each with a file of rejects of its own."""

    def __init__(self, spark: Any, folder: Path) -> None:
        self.spark, self.folder = spark, folder

    def local(self, *paths: Path, use_polars: bool, large: int = 1000, **options: Any) -> tuple[Dataset, str]:
        rejects = self.folder / f"rejects-{use_polars}.csv"
        options = {"mapping": {}, **options}
        means = Means(KernelUse.AUTO if use_polars else KernelUse.OFF, polars=use_polars)
        dataset = read_dataset(paths, rejects_path=rejects, means=means, large=large, **options)
        return dataset, rejects.read_text() if rejects.exists() else ""

    def cluster(self, *paths: Path | str, large: int = 1000, **options: Any) -> tuple[Dataset, str]:
        from service.training.spark.dataset import read_by_spark

        rejects = self.folder / "rejects-spark.csv"
        options = {"mapping": {}, **options}
        names = [str(path) for path in paths]
        dataset = read_by_spark(self.spark, names, rejects_path=rejects, large=large, **options)
        return dataset, rejects.read_text() if rejects.exists() else ""


@pytest.fixture(name="engines")
def _engines(spark: Any, tmp_path: Path) -> Engines:
    return Engines(spark, tmp_path)


def assert_same(dataset: Dataset, expected: Dataset) -> None:
    assert dataset.report == expected.report
    for name in ("ages", "incomes", "purchases", "is_income_imputed"):
        assert np.array_equal(getattr(dataset, name), getattr(expected, name)), name
    assert [one.column for one in dataset.attributes] == [one.column for one in expected.attributes]
    for one, other in zip(dataset.attributes, expected.attributes, strict=True):
        assert one.values == other.values
        assert np.array_equal(one.codes, other.codes)


@pytest.fixture(name="paths")
def _paths(tmp_path: Path) -> list[Path]:
    """Write dirty files of every kind, one after another."""
    lines = rows(3000)
    tidy = [
        line.replace(",", ";")
        for line in rows(400, seed=5)
        if not set(line) & set("\";'$") and line.count(",") == 4
    ]
    table = pa.table(
        {
            "Age": pa.array([30, 41, None, 50, 61] * 20, pa.int16()),
            "Income": pa.array(["5", "1,000", "$7", None, " "] * 20),
            "Purchases": pa.array([1.0, 0.0, 3.5, float("nan"), float("inf")] * 20),
            "Gender": pa.array(["Male", "Female", None, "Male", " Male "] * 20),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "five.parquet", row_group_size=30)
    return [
        write(tmp_path / "one.csv", lines),
        write(tmp_path / "two [2].csv", lines[:700], end="\r\n", encoding="utf-8-sig"),
        write(tmp_path / "three.csv", [*lines[:900], "x,44,Fémale,50000,4"], encoding="cp1252"),
        write(tmp_path / "four.csv", tidy, header=HEADER.replace(",", ";").replace("Age", "AGE")),
        tmp_path / "five.parquet",
    ]


def test_all_engines_give_the_same_cells_rejects_and_model(engines: Engines, paths: list[Path]) -> None:
    spark, spark_rejects = engines.cluster(*paths)
    polars, polars_rejects = engines.local(*paths, use_polars=True)
    usual, rejects = engines.local(*paths, use_polars=False)

    assert spark_rejects == rejects == polars_rejects
    assert spark.report.rejected > 50
    assert spark.cells is not None
    assert usual.cells is not None
    assert polars.cells is not None
    assert spark.cells.digest == usual.cells.digest == polars.cells.digest
    assert_same(spark, usual)
    assert fit(spark).files["model.json"] == fit(usual).files["model.json"]
    assert fit(spark).files["training.json"] == fit(polars).files["training.json"]


def test_few_records_are_fitted_themselves(engines: Engines, paths: list[Path], tmp_path: Path) -> None:
    nameless = [",44,Male,50000,3", " ,45,Male,50000,3"]
    few = write(tmp_path / "a few.csv", [*rows(300, seed=9), *nameless])
    options: dict[str, Any] = {"large": 10**6, "id_column": "CustomerID"}

    spark, spark_rejects = engines.cluster(few, paths[0], **options)
    usual, rejects = engines.local(few, paths[0], use_polars=False, **options)

    assert spark.cells is None
    assert spark_rejects == rejects
    assert_same(spark, usual)
    assert fit(spark).files["model.json"] == fit(usual).files["model.json"]


@pytest.mark.parametrize("different", [80_000, 3_000])
def test_the_same_customers_are_drawn_of_many(engines: Engines, tmp_path: Path, different: int) -> None:
    random = np.random.default_rng(8)
    ages, purchases = random.integers(18, 80, different), random.integers(0, 40, different)
    incomes = np.exp(random.normal(10.7, 0.5, different)).round(2)
    people = [
        f"x,{age},{'Male' if age % 3 else 'Female'},{income if count % 9 else ''},{count}"
        for age, income, count in zip(ages, incomes, purchases, strict=True)
    ]
    path = write(tmp_path / "customers.csv", people * (80_000 // different))

    spark, _ = engines.cluster(path)
    usual, _ = engines.local(path, use_polars=False)

    assert spark.cells is not None
    assert usual.cells is not None
    assert spark.cells.digest == usual.cells.digest
    assert_same(spark, usual)


def test_expressions_divide_as_on_one_machine(engines: Engines, tmp_path: Path) -> None:
    lines = ["40,0,0,5", "40,-0,1,5", "40,8,0,5", "40,-8,0,5", "40,8,-0,5", "40,8,2,5", "40,,2,5", "40,x,2,5"]
    path = write(tmp_path / "customers.csv", lines, header="Age,a,b,Purchases")
    options: dict[str, Any] = {"mapping": {"Income": "2 + 1 / (a / b) - -1e2"}}

    spark, spark_rejects = engines.cluster(path, **options)
    usual, rejects = engines.local(path, use_polars=False, **options)

    assert spark_rejects == rejects
    assert_same(spark, usual)


def test_what_cannot_be_divided_is_said(engines: Engines, tmp_path: Path) -> None:
    path = write(tmp_path / "customers.csv", ["1,40,Male,5,5", '2,40,"Ma', 'le",5,5'])

    with pytest.raises(DatasetError, match=r"customers\.csv has a quote in line 3 that is not closed"):
        engines.cluster(path)
    with pytest.raises(DatasetError, match="there is no such file"):
        engines.cluster(tmp_path / "*.parquet")
    with pytest.raises(ConfigurationError, match="given twice"):
        engines.cluster(path, tmp_path)


@pytest.mark.parametrize("address", ["s3://bucket/customers/*.parquet", "s3a://bucket/customers.csv"])
def test_without_the_jar_for_s3_one_sentence_names_it(engines: Engines, address: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        engines.cluster(address)

    said = str(caught.value)
    assert said.startswith(f"{address} cannot be reached, for this Spark knows no file system of that scheme")
    assert re.search(r"--spark-conf spark\.jars\.packages=org\.apache\.hadoop:hadoop-aws:3\.\d+\.\d+$", said)
    assert "\n" not in said


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        ("nowhere://host/customers.csv", ConfigurationError, "knows no file system of that scheme$"),
        ("hdfs:///customers.csv", DatasetError, "^Spark fails: .*Incomplete HDFS URI, no host"),
    ],
)
def test_what_cannot_be_reached_is_said_in_one_line(
    engines: Engines, address: str, error: type[Exception], said: str
) -> None:
    from service.training.spark.session import spark_session

    with pytest.raises(error, match=said) as caught, spark_session({}, command="train"):
        engines.cluster(address)

    assert "\n" not in str(caught.value)


def test_a_broken_file_is_named(engines: Engines, tmp_path: Path) -> None:
    from service.training.spark.session import spark_session

    path = tmp_path / "broken.parquet"
    path.write_bytes(b"PAR1 but no table PAR1")

    with pytest.raises(DatasetError, match=r"broken\.parquet") as caught, spark_session({}, command="train"):
        engines.cluster(path)

    assert "\n" not in str(caught.value)


def test_no_python_runs_on_the_workers(engines: Engines, paths: list[Path]) -> None:
    from service.training.columns import ColumnMap
    from service.training.spark.files import open_files
    from service.training.spark.reading import read_parts

    files = open_files(engines.spark, [str(path) for path in paths])
    parts = read_parts(engines.spark, files, columns=ColumnMap({}, decimal="."))

    assert len(parts) > 2
    for part in parts:
        plan = part.frame._jdf.queryExecution().executedPlan().toString()
        assert "Scan" in plan
        assert "Python" not in plan
        assert "ExistingRDD" not in plan


@pytest.mark.parametrize("large", [1000, 10**6])
def test_mllib_finds_no_better_segments(engines: Engines, paths: list[Path], large: int) -> None:
    from pyspark.ml.clustering import KMeans
    from pyspark.ml.feature import VectorAssembler

    dataset, _ = engines.cluster(paths[0], large=large)
    model = fit(dataset).model
    everyone, _ = engines.local(paths[0], use_polars=False, large=10**6)
    features = np.column_stack([everyone.ages, everyone.incomes / np.maximum(everyone.purchases, 1.0)])
    scaled = (features - np.array(model.mean)) / np.array(model.scale)
    squares = ((scaled[:, None] - np.array(model.centroids)[None]) ** 2).sum(axis=2)
    frame = engines.spark.createDataFrame(scaled.tolist(), "x double, y double")
    vectors = VectorAssembler(inputCols=["x", "y"], outputCol="features").transform(frame)

    theirs = min(KMeans(k=4, maxIter=100, seed=seed).fit(vectors).summary.trainingCost for seed in (42, 7, 1))

    assert (dataset.cells is None) is (large > 1000)
    assert squares.min(axis=1).sum() <= theirs * 1.001
