"""The SQL for Athena means what local training and scoring do, to the last bit; DuckDB runs it."""

import csv
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import sqlglot

from service.artifact import Artifact
from service.cli import run
from service.errors import ConfigurationError
from service.model import Segment
from service.training import athena
from service.training.athena import Source
from service.training.cells import Cells, Integers
from service.training.customers import read_customers
from service.training.score import score_file
from service.transform import Transform

HEADER = ("customer_id", "Age", "Gender", "Income", "Purchases", "it's")
ODD = (
    *("", " ", "NA", "n/a", "-", "null", "None", "nan", "inf", "-inf", "1e400", "1e99", "1e101", "0", "-0"),
    *(
        " 12",
        "12 ",
        "\t7",
        "\x0b8",
        "\u00a09\u202f",
        "\ufeff10",
        "1_000",
        "1d",
        "12f",
        "0x10",
        "１２",  # noqa: RUF001  # such digits are what is tested
        "+12",
        "-3",
    ),
    *(
        "1e3",
        ".5",
        "12.",
        "1,234",
        "12,5",
        "1,23,4",
        "$12",
        "12%",
        "€ 1 234.50",
        "1'234",
        "84.835,00",
        "1 234 567",
    ),
    *(
        "EUR 84,835",
        "84835 usd",
        "-$5",
        "$-5",
        "0.1",
        "2.675",
        "123456789.123456789",
        "5e-324",
        "1e22",
        "abc",
    ),
    *("1\u2019234\u2019567.25", "1\u2009000", "274877906944", "274877906945.5", "USD12 USD", "''", "a'b"),
)


@pytest.fixture(name="dirty", scope="module")
def _dirty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[str]]]:
    """Write a file with every odd value in every column, among customers whose numbers have many digits."""
    draw = random.Random(7)
    rows = [
        [f"{draw.uniform(16, 99):.9f}", "f", f"{draw.lognormvariate(10.5, 1):.17g}", str(draw.randint(0, 40))]
        for _ in range(3000)
    ]
    for place, text in enumerate(ODD):
        for column in (0, 2, 3):
            rows[3 * place + column][column] = text
    rows = [[f"c{number}", *row, "x"] for number, row in enumerate(rows)]
    path = tmp_path_factory.mktemp("athena") / "dirty.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADER, *rows])
    return path, rows


def ask(query: str, rows: Sequence[Sequence[str]]) -> list[tuple[Any, ...]]:
    """Run a query for Athena by DuckDB, on rows as Athena's CSV reader has them: all text."""
    (statement,) = sqlglot.transpile(query, read="athena", write="duckdb")
    with duckdb.connect() as database:
        columns = ", ".join(f'"{name}" VARCHAR' for name in HEADER)
        database.execute(f"CREATE TABLE customers ({columns})")
        database.executemany("INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?)", rows)
        return database.execute(statement).fetchall()


def cells_of(rows: Sequence[tuple[int, ...]]) -> Cells:
    table: Integers = np.array(rows, dtype=np.int64)
    return Cells(table[:, 0], table[:, 1:])


def local_cells(path: Path, *, income: float | None) -> Cells:
    parts = []
    for batch in read_customers(path, mapping={}).batches():
        incomes = (
            batch.incomes if income is None else np.where(np.isnan(batch.incomes), income, batch.incomes)
        )
        known = batch.is_usable & ~np.isnan(incomes)
        counts = np.ones(int(known.sum()), dtype=np.int64)
        parts.append(Cells.of_records(batch.ages[known], incomes[known], batch.purchases[known], counts))
    return Cells.join(parts)


@pytest.mark.parametrize("income", [None, 31_415.92])
def test_cells_of_a_dirty_file_are_those_of_training(
    dirty: tuple[Path, list[list[str]]], income: float | None
) -> None:
    path, rows = dirty
    expected = local_cells(path, income=income)

    found = cells_of(ask(athena.cells(Source(), income=income), rows))

    assert 2500 < expected.total < len(rows)
    assert found.total == expected.total
    assert found.digest == expected.digest


def test_segments_of_a_dirty_file_are_those_of_scoring(
    dirty: tuple[Path, list[list[str]]], artifact: Artifact, tmp_path: Path
) -> None:
    path, rows = dirty
    names = [f"it's {segment.id}" for segment in artifact.model.segments]
    segments: tuple[Segment, ...] = tuple(
        replace(segment, id=segment.id + 3, name=name)
        for segment, name in zip(artifact.model.segments, names, strict=True)
    )
    model = replace(artifact.model, segments=segments)
    score_file(
        path,
        tmp_path / "out.csv",
        model=model,
        version="v1",
        mapping={},
        decimal=".",
        prefix="",
        on_progress=lambda *_: None,
    )
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        scored = list(csv.DictReader(file))
    expected = {
        row["customer_id"]: (int(row["segment"]), row["segment_name"]) for row in scored if row["segment"]
    }

    answer = ask(athena.score(Source(), model, keep=["customer_id", "Age"]), rows)

    assert 2500 < len(expected) < len(rows)
    assert {row[0]: row[2:] for row in answer} == expected
    assert len(answer) == len(expected)
    assert {row[0]: row[1] for row in answer}["c2999"] == rows[2999][1]


def test_labels_agree_where_centroids_are_nearly_as_far(artifact: Artifact) -> None:
    """Between two centroids, last bits decide: any other arithmetic would give other labels."""
    model = artifact.model
    (x0, y0), (x1, y1) = model.centroids[:2]
    draw = random.Random(3)
    features = []
    for _ in range(3000):
        t = draw.uniform(-0.5, 0.5)
        x, y = (x0 + x1) / 2 - t * (y1 - y0), (y0 + y1) / 2 + t * (x1 - x0)
        features.append((x * model.scale[0] + model.mean[0], y * model.scale[1] + model.mean[1]))
    features = [(age, power) for age, power in features if age > 0 and power > 0]
    rows = [[str(place), repr(age), "", repr(power), "1", ""] for place, (age, power) in enumerate(features)]

    answer = ask(athena.score(Source(), model, keep=["customer_id"]), rows)

    expected = model.label(np.array(features)).tolist()
    assert len(features) > 500
    assert [row[1] for row in sorted(answer, key=lambda row: int(row[0]))] == expected
    assert len(set(expected)) > 1


def test_athena_takes_the_table_of_any_delimiter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in.csv"
    source.write_text("Customer Id;Age;Income;Purchases\n1;2;3;4\n")

    status = run(
        ["sql", "table", str(source), "--location", "s3://bucket/customers/", "--table", "crm.customers"]
    )

    printed = capsys.readouterr().out
    (statement,) = sqlglot.parse(printed, read="athena")
    assert status == 0
    assert isinstance(statement, sqlglot.exp.Create)
    columns = [column.name for column in statement.find_all(sqlglot.exp.ColumnDef)]
    assert columns == ["Customer Id", "Age", "Income", "Purchases"]
    assert "'separatorChar' = ';'" in printed
    assert "LOCATION 's3://bucket/customers/'" in printed


def test_a_model_with_a_logarithm_is_refused(artifact: Artifact) -> None:
    model = replace(artifact.model, transform=Transform.LOG1P)

    with pytest.raises(ConfigurationError, match="last bits differ in SQL"):
        athena.score(Source(), model, keep=[])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cells", "--table", "a;drop"), "--table 'a;drop' is not accepted"),
        (("cells", "--age", 'A"ge'), "--age 'A\"ge' is not accepted"),
        (("cells", "--dialect", "oracle"), "--dialect 'oracle' is not accepted: there is athena"),
        (("table", __file__, "--location", "s3://b/x'/"), '--location "s3://b/x\'/" is not accepted'),
    ],
)
def test_names_that_sql_cannot_hold_are_refused_in_one_sentence(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(["sql", *arguments])

    assert status == 2
    assert message in capsys.readouterr().err
