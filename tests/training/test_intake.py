"""Large files give the same rejects, cells and model, whatever reads them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest

from service.training import plain
from service.training.customers import CustomerReader
from service.training.dataset import Dataset, read_dataset
from service.training.hyperparameters import Hyperparameters
from service.training.numbers import read_numbers
from service.training.source import CustomerFile, RawBatch
from service.training.trainer import TrainedModel, train
from service.transform import Transform

ODD = (
    "x,,Male,5,1",
    "x,30,Male,,4",
    "x,30,Male,N/A,4",
    "x,30,Male,$1,4",
    "x,30,Male,-1,4",
    "x,nan,Male,50000,4",
    "x,40,Male,inf,4",
    "x,40,Male,1e400,4",
    "x,40,Male,1e101,4",
    "x,0,Male,1,4",
    "x,41,Male,30000,0",
    "x,41,Male",
    "x,41,Male,30000,1,",
    "x,41,Male,30000,1,7",
    "",
    "  ",
    ",,,,",
    "x, 44 ,Female,1_000,3",
    "x,44,Female, 51000 ,3",
)


def lines(n: int, *, seed: int = 3) -> list[str]:
    random = np.random.default_rng(seed)
    ages, incomes = random.integers(18, 80, n), np.exp(random.normal(10.7, 0.5, n)).round(2)
    purchases, genders = random.integers(0, 40, n), random.choice(["Male", "Female"], n)
    rows = [
        f"{number},{age},{gender},{income},{count}"
        for number, (age, gender, income, count) in enumerate(
            zip(ages, genders, incomes, purchases, strict=True)
        )
    ]
    for place, odd in enumerate(ODD):
        rows.insert(50 + 97 * place, odd)
    return rows


def write(path: Path, rows: list[str], *, end: str = "\n") -> Path:
    path.write_bytes((end.join(["CustomerID,Age,Gender,Income,Purchases", *rows]) + end).encode())
    return path


def read(path: Path, tmp_path: Path, *, use_polars: bool, **options: Any) -> tuple[Dataset, bytes]:
    rejects = tmp_path / f"rejects-{use_polars}.csv"
    options = {"mapping": {}, "large": 1000, **options}
    dataset = read_dataset([path], rejects_path=rejects, use_polars=use_polars, **options)
    return dataset, rejects.read_bytes() if rejects.exists() else b""


def fit(dataset: Dataset, transform: Transform = Transform.NONE) -> TrainedModel:
    return train(dataset, Hyperparameters(k=4, transform=transform, seed=42), on_progress=lambda *_: None)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("block_bytes", [1 << 24, 4_000])
def test_polars_and_pyarrow_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, block_bytes: int
) -> None:
    monkeypatch.setattr(plain, "BLOCK_BYTES", block_bytes)
    path = write(tmp_path / "customers.csv", lines(3000), end=end)

    fast, fast_rejects = read(path, tmp_path, use_polars=True, id_column="CustomerID")
    usual, usual_rejects = read(path, tmp_path, use_polars=False, id_column="CustomerID")

    assert fast.report == usual.report
    assert fast_rejects == usual_rejects
    assert fast.cells is not None
    assert usual.cells is not None
    assert fast.cells.digest == usual.cells.digest
    assert fit(fast).files["model.json"] == fit(usual).files["model.json"]
    assert fit(fast).files["training.json"] == fit(usual).files["training.json"]


def test_a_large_file_is_judged_like_a_small_one(tmp_path: Path) -> None:
    path = write(tmp_path / "customers.csv", lines(3000))
    large, rejects = read(path, tmp_path, use_polars=True, id_column="CustomerID")
    small, small_rejects = read(path, tmp_path, use_polars=False, id_column="CustomerID", large=10**6)

    assert large.cells is not None
    assert small.cells is None
    assert rejects == small_rejects
    median = small.report.income_median
    assert large.report.income_median == pytest.approx(median, rel=2e-4)
    assert large.report == replace(small.report, income_median=large.report.income_median)
    assert large.report.used == large.cells.total


def test_a_fast_reader_is_really_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []

    def parse(block: plain.Lines, reader: CustomerReader) -> tuple[plain.Block, list[bytes]] | None:
        found.append(plain.parse_block(block, reader))
        return found[-1]

    monkeypatch.setattr("service.training.fast.parse_block", parse)
    rows = [row for row in lines(3000) if row.count(",") == 4]
    dataset, _ = read(write(tmp_path / "customers.csv", rows), tmp_path, use_polars=True)

    (parsed,) = found
    assert parsed is not None
    assert len(parsed[0].places) > 0.95 * dataset.report.used


def test_parquet_and_csv_give_the_same_cells(tmp_path: Path) -> None:
    rows = [row.split(",") for row in lines(3000) if row.count(",") == 4 and row[0].isdigit()]
    columns: dict[str, Any] = dict(
        zip(("CustomerID", "Age", "Gender", "Income", "Purchases"), zip(*rows, strict=True), strict=True)
    )
    columns["Age"] = pa.array([int(age) for age in columns["Age"]])
    columns["Income"] = pa.array(
        [float(income) if number % 9 else None for number, income in enumerate(columns["Income"])]
    )
    table = pa.table(columns)
    pa.parquet.write_table(table, tmp_path / "customers.parquet")
    csv = write(
        tmp_path / "customers.csv",
        [
            ",".join("" if value is None else str(value) for value in row.values())
            for row in table.to_pylist()
        ],
    )

    found = [
        read(path, tmp_path, use_polars=fast)[0]
        for path in (tmp_path / "customers.parquet", csv)
        for fast in (True, False)
    ]

    assert len({one.cells.digest for one in found if one.cells is not None}) == 1
    assert found[0].report.income_imputed == len(rows) // 9 + 1


def test_the_order_of_the_records_does_not_matter(tmp_path: Path) -> None:
    rows = lines(3000)
    ahead, _ = read(write(tmp_path / "a.csv", rows), tmp_path, use_polars=True)
    back, _ = read(write(tmp_path / "b.csv", rows[::-1]), tmp_path, use_polars=False)

    first, second = fit(ahead, Transform.LOG1P), fit(back, Transform.LOG1P)

    assert first.model.digest == second.model.digest
    assert first.provenance.data_digest == second.provenance.data_digest


def test_an_expression_of_columns_is_read_fast_too(tmp_path: Path) -> None:
    path = write(tmp_path / "customers.csv", lines(3000))
    mapping = {"Income": "Income*12+Purchases", "Age": "2024-(2000-Age)"}
    fast, rejects = read(path, tmp_path, use_polars=True, mapping=mapping)
    usual, usual_rejects = read(path, tmp_path, use_polars=False, mapping=mapping)

    assert fast.cells is not None
    assert usual.cells is not None
    assert (fast.cells.digest, rejects) == (usual.cells.digest, usual_rejects)


def test_fields_too_many_and_too_few_do_not_cancel_out(tmp_path: Path) -> None:
    rows = lines(3000)
    rows[1000] += ",9"
    rows[1001] = rows[1001].rpartition(",")[0]
    fast, rejects = read(write(tmp_path / "customers.csv", rows), tmp_path, use_polars=True)

    assert rejects.count(b"expected 5 fields, found 6") == 3
    assert fast.report.rejected_by_reason["expected 5 fields, found 4"] == 1


def test_what_polars_takes_for_a_number_the_rule_does_too() -> None:
    parts = ("", "+", "-", ".", "0", "7", "12", "e", "E", "5", " ", "_", "x", "inf", "nan", "\u0663")
    texts = sorted({a + b + c + d for a in parts for b in parts for c in parts for d in parts})
    found = pl.Series(texts).cast(pl.Float64, strict=False).to_numpy()
    rule = read_numbers(pa.chunked_array([texts]), decimal=".").values
    is_plain = np.isfinite(found)

    assert is_plain.sum() > 1000
    assert np.array_equal(found[is_plain], rule[is_plain])


def test_rows_with_empty_cells_do_not_leave_the_fast_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow: list[bytes] = []
    parse_lines = CustomerFile.parse_lines

    def parse(file: CustomerFile, rows: bytes) -> Iterator[RawBatch]:
        slow.append(rows)
        return parse_lines(file, rows)

    monkeypatch.setattr(CustomerFile, "parse_lines", parse)
    empty = ["1,,Male,5,1", "2,30,Male,,4", "3,,Male,,4", "4,41,Female,30000,", "x,9,,1,"]
    rows = [row for row in lines(3000) if row.count(",") == 4 and row[0].isdigit()]
    path = write(tmp_path / "customers.csv", [*rows, *empty], end="\r\n")

    fast, fast_rejects = read(path, tmp_path, use_polars=True)
    drawn_only = b"".join(slow)
    usual, usual_rejects = read(path, tmp_path, use_polars=False)

    assert fast.report == usual.report
    assert fast.report.income_imputed == 1
    assert fast_rejects == usual_rejects
    assert fast_rejects.count(b"is missing") == 4
    assert b",Male,5,1" not in drawn_only
    assert b",41,Female,30000,\r" not in drawn_only


def test_a_row_too_short_is_told_from_one_with_an_empty_last_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []

    def parse(block: plain.Lines, reader: CustomerReader) -> tuple[plain.Block, list[bytes]] | None:
        found.append(plain.parse_block(block, reader))
        return found[-1]

    monkeypatch.setattr("service.training.fast.parse_block", parse)
    rows = [row for row in lines(3000) if row.count(",") == 4]
    rows[1000] = "7,41,Female,30000"
    rows[1001] = "8,41,Female,30000,"
    path = write(tmp_path / "customers.csv", rows)

    _, fast_rejects = read(path, tmp_path, use_polars=True)
    _, usual_rejects = read(path, tmp_path, use_polars=False)

    assert fast_rejects == usual_rejects
    (parsed,) = found
    assert parsed is not None
    assert b"7,41,Female,30000\n" in parsed[1]
    assert b"8,41,Female,30000,\n" not in parsed[1]


def test_few_different_customers_are_all_drawn(tmp_path: Path) -> None:
    rows = [f"{number},{20 + number % 40},Male,{1000 + number % 7},{number % 3}" for number in range(90_000)]
    dataset, _ = read(write(tmp_path / "customers.csv", rows), tmp_path, use_polars=True)

    drawn = np.column_stack([dataset.ages, dataset.incomes, dataset.purchases])
    kinds, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(kinds) == 840
    assert counts.max() <= counts.min() + 2
    assert [one.column for one in dataset.attributes] == ["Gender"]
