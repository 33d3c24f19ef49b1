"""Large files give the same rejects, cells and model, whatever reads them."""

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest

from service.settings import KernelUse
from service.training import blocks, drawing, fast, plain, row_reader, table_reader
from service.training.column_reader import ColumnReader, ReadColumns
from service.training.customers import read_customers
from service.training.dataset import Dataset, Means, read_dataset
from service.training.dialect import find_encoding
from service.training.drawing import DRAWN
from service.training.hyperparameters import Hyperparameters
from service.training.numbers import read_numbers
from service.training.row_reader import ReadRows, RowReader
from service.training.source import CustomerFile, RawBatch
from service.training.trainer import TrainedModel, train
from service.transform import Transform
from tests.customers import UNQUOTED, rows, write


def lines(n: int) -> list[str]:
    return rows(n, odd_ones=UNQUOTED)


@pytest.fixture(name="means", params=["kernel", "polars", "kernel, polars"])
def _means(request: pytest.FixtureRequest) -> str:
    if "kernel" in request.param:
        request.getfixturevalue("extension")
    return str(request.param)


def read(path: Path, tmp_path: Path, means: str = "arrow", **options: Any) -> tuple[Dataset, bytes]:
    """Read a file by some of: kernel, polars; without them by pyarrow."""
    return read_all([path], tmp_path, means, **options)


def read_all(
    paths: list[Path], tmp_path: Path, means: str = "arrow", **options: Any
) -> tuple[Dataset, bytes]:
    """Read files as one data set, and return it with the file of rejects."""
    rejects = tmp_path / f"rejects {means}.csv"
    kernel = KernelUse.ON if "kernel" in means else KernelUse.OFF
    options = {"mapping": {}, "large": 1000, "means": Means(kernel, polars="polars" in means), **options}
    dataset = read_dataset(paths, rejects_path=rejects, **options)
    return dataset, rejects.read_bytes() if rejects.exists() else b""


def watch(monkeypatch: pytest.MonkeyPatch, means: str) -> list[tuple[int, bytes]]:
    """Return the list of how many plain rows, and which odd lines, a fast reader will have found."""
    found = []
    by_kernel, by_polars = RowReader.take, plain.parse_block

    def take_by_kernel(reader: RowReader) -> ReadRows:
        taken = by_kernel(reader)
        found.append((taken.plain.used, taken.odd_lines))
        return taken

    def parse_by_polars(*args: Any) -> tuple[blocks.Block, list[bytes]] | None:
        parsed = by_polars(*args)
        assert parsed is not None
        found.append((len(parsed[0].places), b"".join(parsed[1])))
        return parsed

    if "kernel" in means:
        monkeypatch.setattr(RowReader, "take", take_by_kernel)
    else:
        monkeypatch.setattr(plain, "parse_block", parse_by_polars)
    return found


def fit(
    dataset: Dataset, transform: Transform = Transform.NONE, *, kernel: KernelUse = KernelUse.OFF
) -> TrainedModel:
    hyperparameters = Hyperparameters(k=4, transform=transform, seed=42)
    return train(dataset, hyperparameters, kernel=kernel, on_progress=lambda *_: None)


def divide(monkeypatch: pytest.MonkeyPatch, *, block_bytes: int) -> None:
    """Have small files read in many blocks, each by three threads, while others are taken in."""
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(row_reader, "_MIN_DIVIDED", 0)
    monkeypatch.setattr(row_reader, "_KEPT_BYTES", 1_000)
    monkeypatch.setattr(row_reader, "_MOST_DRAWN", 500)
    monkeypatch.setattr(row_reader, "DRAWN", 100)
    monkeypatch.setattr(drawing, "DRAWN", 100)
    monkeypatch.setattr(blocks, "FIRST_BYTES", block_bytes // 2)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", block_bytes)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("block_bytes", [1 << 24, 4_000])
@pytest.mark.parametrize("cut", ["whole", "divided"])
def test_every_reader_gives_the_same(
    means: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, block_bytes: int, cut: str
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", block_bytes)
    if cut == "divided":
        divide(monkeypatch, block_bytes=block_bytes)
    path = write(tmp_path / "customers.csv", lines(3000), end=end)

    fast, fast_rejects = read(path, tmp_path, means, id_column="CustomerID")
    usual, usual_rejects = read(path, tmp_path, id_column="CustomerID")

    assert fast.report == usual.report
    assert fast_rejects == usual_rejects
    assert fast.cells is not None
    assert usual.cells is not None
    assert fast.cells.digest == usual.cells.digest
    kernel = KernelUse.ON if "kernel" in means else KernelUse.OFF
    models = [fit(fast, kernel=kernel), fit(usual)]
    for name in ("model.json", "training.json", "report.html"):
        assert models[0].files[name] == models[1].files[name], name


def test_a_large_file_is_judged_like_a_small_one(means: str, tmp_path: Path) -> None:
    path = write(tmp_path / "customers.csv", lines(3000))
    large, rejects = read(path, tmp_path, means, id_column="CustomerID")
    small, small_rejects = read(path, tmp_path, id_column="CustomerID", large=10**6)

    assert large.cells is not None
    assert small.cells is None
    assert rejects == small_rejects
    median = small.report.income_median
    assert large.report.income_median == pytest.approx(median, rel=2e-4)
    assert large.report == replace(small.report, income_median=large.report.income_median)
    assert large.report.used == large.cells.total


def test_a_fast_reader_is_really_used(means: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = watch(monkeypatch, means)
    rows = [row for row in lines(3000) if row.count(",") == 4]
    dataset, _ = read(write(tmp_path / "customers.csv", rows), tmp_path, means)

    ((n_plain, _),) = found
    assert n_plain > 0.95 * dataset.report.used


@pytest.mark.usefixtures("extension")
@pytest.mark.parametrize(
    "odd", ["x,40,F,,3", "x,,F,5,3", "x,40,F,$5,3"], ids=["no income", "no age", "currency"]
)
def test_what_becomes_more_with_every_row_is_taken_in_before_it_is_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    found = watch(monkeypatch, "kernel")
    divide(monkeypatch, block_bytes=20_000)
    rows = [row for number in range(20_000) for row in (f"x,{20 + number % 50},F,{number},3", odd)]

    read(write(tmp_path / "customers.csv", rows), tmp_path, "kernel")

    # 16 bytes, or a line, of each of 20,000 rows; 1,000 bytes are kept.
    assert len(found) > 40


def test_parquet_and_csv_give_the_same_cells(means: str, tmp_path: Path) -> None:
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
        read(path, tmp_path, fast)[0]
        for path in (tmp_path / "customers.parquet", csv)
        for fast in (means, "arrow")
    ]

    assert len({one.cells.digest for one in found if one.cells is not None}) == 1
    assert found[0].report.income_imputed == len(rows) // 9 + 1


def test_the_order_of_the_records_does_not_matter(means: str, tmp_path: Path) -> None:
    rows = lines(3000)
    ahead, _ = read(write(tmp_path / "a.csv", rows), tmp_path, means)
    back, _ = read(write(tmp_path / "b.csv", rows[::-1]), tmp_path)

    first, second = fit(ahead, Transform.LOG1P), fit(back, Transform.LOG1P)

    assert first.model.digest == second.model.digest
    assert first.provenance.data_digest == second.provenance.data_digest


def test_an_expression_of_columns_is_read_fast_too(means: str, tmp_path: Path) -> None:
    path = write(tmp_path / "customers.csv", lines(3000))
    mapping = {"Income": "Income*12+Purchases", "Age": "2024-(2000-Age)"}
    fast, rejects = read(path, tmp_path, means, mapping=mapping)
    usual, usual_rejects = read(path, tmp_path, mapping=mapping)

    assert fast.cells is not None
    assert usual.cells is not None
    assert (fast.cells.digest, rejects) == (usual.cells.digest, usual_rejects)


def test_fields_too_many_and_too_few_do_not_cancel_out(means: str, tmp_path: Path) -> None:
    rows = lines(3000)
    rows[1000] += ",9"
    rows[1001] = rows[1001].rpartition(",")[0]
    fast, rejects = read(write(tmp_path / "customers.csv", rows), tmp_path, means)

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
    means: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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

    fast, fast_rejects = read(path, tmp_path, means)
    drawn_only = b"".join(slow)
    usual, usual_rejects = read(path, tmp_path)

    assert fast.report == usual.report
    assert fast.report.income_imputed == 1
    assert fast_rejects == usual_rejects
    assert fast_rejects.count(b"is missing") == 4
    assert b",Male,5,1" not in drawn_only
    assert b",41,Female,30000,\r" not in drawn_only


def test_a_row_too_short_is_told_from_one_with_an_empty_last_cell(
    means: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = watch(monkeypatch, means)
    rows = [row for row in lines(3000) if row.count(",") == 4]
    rows[1000] = "7,41,Female,30000"
    rows[1001] = "8,41,Female,30000,"
    path = write(tmp_path / "customers.csv", rows)

    _, fast_rejects = read(path, tmp_path, means)
    _, usual_rejects = read(path, tmp_path)

    assert fast_rejects == usual_rejects
    ((_, odd_lines),) = found
    assert b"7,41,Female,30000\n" in odd_lines
    assert b"8,41,Female,30000,\n" not in odd_lines


def test_few_different_customers_are_all_drawn(means: str, tmp_path: Path) -> None:
    rows = [f"{number},{20 + number % 40},Male,{1000 + number % 7},{number % 3}" for number in range(90_000)]
    dataset, _ = read(write(tmp_path / "customers.csv", rows), tmp_path, means)

    drawn = np.column_stack([dataset.ages, dataset.incomes, dataset.purchases])
    kinds, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(kinds) == 840
    assert counts.max() <= counts.min() + 2
    assert [one.column for one in dataset.attributes] == ["Gender"]


def test_the_same_are_drawn_of_many_different_customers(means: str, tmp_path: Path) -> None:
    rows = [f"{number},{20 + number % 61},{'mf'[number % 2]},{1000 + number},3" for number in range(300_000)]
    path = write(tmp_path / "customers.csv", rows)
    fast, _ = read(path, tmp_path, means)
    usual, _ = read(path, tmp_path)

    assert len(fast.ages) == DRAWN
    for name in ("ages", "incomes", "purchases"):
        assert np.array_equal(getattr(fast, name), getattr(usual, name)), name
    assert [one.column for one in fast.attributes] == ["Gender"]
    assert np.array_equal(fast.attributes[0].codes, usual.attributes[0].codes)


@pytest.mark.parametrize("odd", ["7,035,Male,5,1", "7,35,Male,5,1\r8,36,Male,5,1"], ids=["number", "return"])
@pytest.mark.parametrize("cut", ["whole", "divided"])
def test_what_a_fast_reader_stops_at_is_read_by_the_usual_rules(
    means: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str, cut: str
) -> None:
    if cut == "divided":
        divide(monkeypatch, block_bytes=1 << 24)
    stopped = []
    by_kernel = RowReader.read

    def read_by_kernel(*args: Any, **options: Any) -> tuple[int, int, bool]:
        size, records, has_more_plain = by_kernel(*args, **options)
        stopped.append(not has_more_plain and 0 < records < 15_000)
        return size, records, has_more_plain

    monkeypatch.setattr(RowReader, "read", read_by_kernel)
    rows = [*lines(3000), *[odd] * 9000, *lines(3000)]
    path = write(tmp_path / "customers.csv", rows)
    fast, fast_rejects = read(path, tmp_path, means, id_column="CustomerID")
    usual, usual_rejects = read(path, tmp_path, id_column="CustomerID")

    assert any(stopped) is ("kernel" in means)
    assert fast.report == usual.report
    assert fast_rejects == usual_rejects
    assert fast.cells is not None
    assert usual.cells is not None
    assert fast.cells.digest == usual.cells.digest


@pytest.mark.parametrize("ends", [("\r", "\r"), ("\r", "\n"), ("\n", "\r"), ("\r\n", "\r")], ids=ascii)
def test_carriage_returns_end_records_too(means: str, tmp_path: Path, ends: tuple[str, str]) -> None:
    rows = [f"{20 + number % 50},{30_000 + number},{number % 30}" for number in range(3000)]
    rows[5] = "x,5,1"
    path = tmp_path / "customers.csv"
    path.write_bytes(f"Age,Income,Purchases{ends[0]}{ends[1].join(rows)}{ends[1]}".encode())
    fast, fast_rejects = read(path, tmp_path, means)
    usual, usual_rejects = read(path, tmp_path)

    assert fast.report == usual.report
    assert fast.report.used == 2999
    assert fast_rejects == usual_rejects


@pytest.mark.parametrize("note", ["plain", "one, two"])
def test_rejected_lines_are_kept_field_by_field(means: str, tmp_path: Path, note: str) -> None:
    rows = [f"{20 + number % 50};{30_000 + number};{number % 30};{note}" for number in range(3000)]
    rows[7], rows[9], rows[11] = f";5;1;{note}", f"x;5;1;{note}", f"30;5;;{note}"
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text("\n".join(["Age;Income;Purchases;Note", *rows]) + "\n")
    second.write_text("\n".join(["Age;Income;Purchases;Other", *rows]) + "\r\n")

    for paths in ([first], [first, second]):
        (_, fast), (_, usual) = read_all(paths, tmp_path, means), read_all(paths, tmp_path)

        assert fast == usual
        assert fast.count(b"is missing") == 2 * len(paths)


def test_a_letter_between_two_reads_is_whole(tmp_path: Path) -> None:
    for before in range(4):
        path = tmp_path / f"{before}.csv"
        begin = b"Age,Income,Purchases,Note\n30,5,1,"
        path.write_bytes(begin + b"x" * ((1 << 20) - len(begin) - before) + "\u20ac\n40,5,1,y\n".encode())

        assert find_encoding(path) == ("utf-8", 0)

        path.write_bytes(path.read_bytes().replace("\u20ac".encode(), "\u20ac".encode()[:2]))
        assert find_encoding(path) == ("cp1252", 0)


NUMBERS = {
    "Age": [25, 0, 130, None, 61],
    "Income": [50_000, 0, None, 125_000, 30_001],
    "Purchases": [3, 0, 12, None, 7],
}
ODD_NUMBERS = [float("nan"), float("inf"), -1.0, 1e101, 0.5, -0.0]
TYPES = [pa.int8(), pa.uint16(), pa.int32(), pa.int64(), pa.uint64(), pa.float32(), pa.float64()]


def numbers_of(kind: pa.DataType, name: str, n: int) -> pa.Array:
    """Return a column of numbers, with all that its type can hold which is no number of a customer's."""
    chance = np.random.default_rng([n, *kind.__str__().encode(), *name.encode()])
    column = chance.choice(np.array(NUMBERS[name], dtype=object), n)
    is_float = pa.types.is_floating(kind)
    odd = [one for one in ODD_NUMBERS if kind != pa.float32() or one != 1e101]
    some = odd if is_float else [-1, 127] if pa.types.is_signed_integer(kind) else [127, 2]
    column[chance.random(n) < 0.1] = some[0]
    for one in some:
        column[chance.random(n) < 0.03] = one
    most = 127 if kind.bit_width == 8 else np.inf
    return pa.array([None if one is None or one > most else one for one in column], kind, from_pandas=False)


@pytest.mark.parametrize("kind", TYPES, ids=str)
@pytest.mark.parametrize("batch_rows", [131_072, 700])
def test_numbers_of_every_type_are_read_alike(
    extension: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: pa.DataType, batch_rows: int
) -> None:
    del extension
    monkeypatch.setattr(fast, "BATCH_ROWS", batch_rows)
    found: list[ReadColumns] = []
    by_kernel_alone = ColumnReader.read

    def read_columns(*args: Any, **options: Any) -> ReadColumns:
        found.append(by_kernel_alone(*args, **options))
        return found[-1]

    monkeypatch.setattr(ColumnReader, "read", read_columns)
    columns = {
        "Age": numbers_of(kind, "Age", 4000),
        "Gender": pa.array(["f", "m"] * 2000),
        "Income": numbers_of(pa.float64() if kind.bit_width <= 16 else kind, "Income", 4000),
        "Purchases": numbers_of(kind, "Purchases", 4000),
        "CustomerID": pa.array([number * 2 // 3 for number in range(4000)]),
    }
    path = tmp_path / "customers.parquet"
    pyarrow.parquet.write_table(pa.table(columns), path, row_group_size=1500)

    by_kernel, rejects = read(path, tmp_path, "kernel", id_column="CustomerID", large=300)
    plain = sum(
        age is not None
        and 0 < age <= 1e100
        and purchases is not None
        and 0 <= purchases <= 1e100
        and (income is None or 0 <= income <= 1e100)
        for age, income, purchases in zip(*(columns[name].to_pylist() for name in NUMBERS), strict=True)
    )
    assert sum(one.plain.used for one in found) == plain
    usual, usual_rejects = read(path, tmp_path, id_column="CustomerID", large=300)

    assert by_kernel.report == usual.report
    assert by_kernel.report.rejected > 300
    assert by_kernel.report.duplicate_ids
    assert rejects == usual_rejects
    assert by_kernel.cells is not None
    assert usual.cells is not None
    assert by_kernel.cells.digest == usual.cells.digest


def test_arithmetic_of_parquet_s_columns_is_read_fast_too(
    extension: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del extension
    found: list[blocks.Block] = []
    by_numpy = table_reader.read_numbers

    def read_numbers_of(*args: Any) -> blocks.Block:
        found.append(by_numpy(*args))
        return found[-1]

    monkeypatch.setattr(table_reader, "read_numbers", read_numbers_of)
    columns = {name: numbers_of(pa.float64(), name, 4000) for name in NUMBERS}
    path = tmp_path / "customers.parquet"
    pyarrow.parquet.write_table(pa.table(columns), path)
    mapping = {"Income": "Income + Age"}

    fast_one, rejects = read(path, tmp_path, "kernel", mapping=mapping, large=300)
    usual, usual_rejects = read(path, tmp_path, mapping=mapping, large=300)

    assert sum(block.rows for block in found) == 4000
    assert (fast_one.report, rejects) == (usual.report, usual_rejects)
    assert fast_one.cells is not None
    assert usual.cells is not None
    assert fast_one.cells.digest == usual.cells.digest


def test_parquet_s_text_is_left_to_readers_of_text(extension: Any, tmp_path: Path) -> None:
    del extension
    columns = {
        "Age": pa.array([25, 40, 33, None] * 500),
        "Income": pa.array([50_000.0, None, 1.5, 3.0] * 500),
        "Purchases": pa.array(["3", " 4 ", "x", "1e1"] * 500),
    }
    path = tmp_path / "customers.parquet"
    pyarrow.parquet.write_table(pa.table(columns), path)
    found = [
        read(path, tmp_path, means, large=300) for means in ("kernel", "kernel, polars", "polars", "arrow")
    ]

    assert found[0][0].report.used == 1000
    for dataset, rejects in found[1:]:
        assert dataset.report == found[0][0].report
        assert rejects == found[0][1]
        assert dataset.cells is not None
        assert dataset.cells.digest == found[0][0].cells.digest  # type: ignore[union-attr]


def test_a_block_stays_as_it_is_while_others_are_read_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1_000)
    monkeypatch.setattr(blocks, "FIRST_BYTES", 700)
    path = write(tmp_path / "customers.csv", lines(500))
    reader = read_customers(path, mapping={})
    ahead: deque[tuple[memoryview, bytes]] = deque()
    seen = b""

    for block in blocks.read_blocks(reader):
        assert all(bytes(text) == as_read for text, as_read in ahead)
        ahead.append((block, bytes(block)))
        seen += bytes(block)
        if len(ahead) > blocks.BLOCKS_AHEAD:
            ahead.popleft()

    assert seen == path.read_bytes().partition(b"\n")[2]
