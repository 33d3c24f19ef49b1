"""Which rows of a customer file can be used, and what the others are told."""

import datetime as dt
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from service.errors import ConfigurationError, DatasetError
from service.training.customers import CustomerBatch, read_customers

HEADER = "Age,Income,Purchases"


def read(path: Path, *, mapping: Mapping[str, str] | None = None, decimal: str = ".") -> CustomerBatch:
    (batch,) = read_customers(path, mapping=mapping or {}, decimal=decimal).batches()
    return batch


def write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "customers.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_customers_are_read_whatever_the_header_looks_like(tmp_path: Path) -> None:
    batch = read(write(tmp_path, " AGE ,Notes,income, purchases", '26,,"$50,640.00 ",35', "18,x,,0"))

    assert batch.ages.tolist() == [26.0, 18.0]
    assert np.array_equal(batch.incomes, [50640.0, np.nan], equal_nan=True)
    assert batch.purchases.tolist() == [35.0, 0.0]
    assert batch.table.to_pydict() == {
        " AGE ": ["26", "18"],
        "Notes": ["", "x"],
        "income": ["$50,640.00 ", ""],
        " purchases": ["35", "0"],
    }
    assert batch.is_usable.all()


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        (",5,5", " age", "Age is missing"),
        ("x,5,5", " age", "Age is not a number"),
        ("0,5,5", " age", "Age must be greater than 0"),
        ("-1,5,5", " age", "Age must be greater than 0"),
        ("1e400,5,5", " age", "Age is not finite"),
        ("2e100,5,5", " age", "Age must not be above 1e+100"),
        ("5,x,5", "Income", "Income is not a number"),
        ("5,-1,5", "Income", "Income must not be negative"),
        (
            '5,"12,5",5',
            "Income",
            "Income looks like a number with a decimal comma; for such files: --decimal ,",
        ),
        ("5,5,", "Purchases", "Purchases is missing"),
        ("5,5,many", "Purchases", "Purchases is not a number"),
        ("5,5,-1", "Purchases", "Purchases must not be negative"),
        ("5,5,1e101", "Purchases", "Purchases must not be above 1e+100"),
        ("x,x,x", " age", "Age is not a number"),
        ("5,x,x", "Income", "Income is not a number"),
    ],
)
def test_customer_is_refused_for_the_first_problem(
    tmp_path: Path, row: str, column: str, reason: str
) -> None:
    batch = read(write(tmp_path, " age,Income,Purchases", "26,1,1", row))

    assert batch.is_usable.tolist() == [True, False]
    assert (batch.columns.tolist(), batch.reasons.tolist()) == (["", column], ["", reason])
    assert np.isnan([batch.ages[1], batch.incomes[1], batch.purchases[1]]).all()
    assert batch.records.tolist() == [2, 3]


def test_customer_with_a_decimal_point_is_told_of_the_option(tmp_path: Path) -> None:
    batch = read(write(tmp_path, "Age;Income;Purchases", "26;1.234,5;3", "26;12.5;3"), decimal=",")

    assert batch.incomes[0] == 1234.5
    assert batch.reasons[1] == "Income looks like a number with a decimal point; for such files: --decimal ."


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ("1,2,3,4", "", ""),
        ("1,,3,4", "b", "Purchases is missing"),
        ("1,x,3,4", "b", "Purchases is not a number"),
        (",x,3,4", "b", "Purchases is not a number"),
        ("1,2,0,4", "Purchases", "Purchases is not finite (division by zero or overflow)"),
        ("1,2,-3,4", "Purchases", "Purchases must not be negative"),
        ("1,2,3,3000", "Age", "Age must be greater than 0"),
    ],
)
def test_expression_blames_the_operand_or_the_target(
    tmp_path: Path, row: str, column: str, reason: str
) -> None:
    mapping = {"purchases": "(A+b)/c", "Age": "2014-year"}

    batch = read(write(tmp_path, "a,b,c,year,Income", row + ",7"), mapping=mapping)

    assert (batch.columns[0], batch.reasons[0]) == (column, reason)


def test_missing_operand_makes_the_income_missing(tmp_path: Path) -> None:
    batch = read(write(tmp_path, "Age,k,Purchases", "1,,3", "1,2,3"), mapping={"Income": "k*1000"})

    assert batch.is_usable.all()
    assert np.array_equal(batch.incomes, [np.nan, 2000.0], equal_nan=True)


@pytest.mark.parametrize(
    "text", ["Annual Income (k$)", "annual-income_(K$)", '"Annual Income (k$)"', "'Annual Income (k$)'*1"]
)
def test_mapping_finds_a_column_of_any_name(tmp_path: Path, text: str) -> None:
    batch = read(write(tmp_path, "Age,Annual Income (k$),Purchases", "1,2,3"), mapping={"Income": text})

    assert batch.incomes.tolist() == [2.0]


def test_mapping_to_a_number_fills_every_row(tmp_path: Path) -> None:
    batch = read(write(tmp_path, "Age,Income", "1,2", "3,4"), mapping={"Purchases": "1"})

    assert batch.purchases.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("header", "mapping", "message"),
    [
        ("Age,Salary,Purchases", {}, "has no column Income. Its columns are 'Age', 'Salary', 'Purchases'."),
        ("Age,Salary,Purchases", {}, "Try --map 'Income=Salary'"),
        ("Age,Income,NumPurchases", {}, "Try --map 'Purchases=NumPurchases'"),
        ("a,b", {}, "has no column Age and no column Income and no column Purchases"),
        ("DOB,Income,Purchases", {}, "'DOB' cannot be mapped to Age, dates are not read"),
        ("Year_Birth,Income,Purchases", {}, f"--map 'Age={dt.datetime.now(tz=dt.UTC).year}-Year_Birth'"),
        (
            HEADER,
            {"Income": "salary*12"},
            "has no column 'salary', which Income=salary*12 needs. Its columns",
        ),
        (HEADER + ", age ", {}, "has two columns of one name, 'Age' and ' age '; rename one"),
        ("Age,Age,Income,Purchases", {}, "has two columns of one name, 'Age' and 'Age'"),
        (HEADER + ",Web-Visits,web visits", {}, "'Web-Visits' and 'web visits'"),
    ],
)
def test_customers_refuse_a_file_without_the_columns(
    tmp_path: Path, header: str, mapping: dict[str, str], message: str
) -> None:
    path = write(tmp_path, header, "1,2,3")

    with pytest.raises(DatasetError, match=re.escape(message)) as caught:
        read_customers(path, mapping=mapping)

    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("mapping", "decimal", "message"),
    [
        ({"Gender": "x"}, ".", "--map cannot set 'Gender'; accepted are Age, Income, Purchases"),
        ({"Age": "__import__('os')"}, ".", "accepted are column names"),
        ({}, "..", "--decimal '..' is not accepted; it is '.' or ','"),
    ],
)
def test_customers_refuse_bad_options(
    tmp_path: Path, mapping: dict[str, str], decimal: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        read_customers(write(tmp_path, HEADER, "1,2,3"), mapping=mapping, decimal=decimal)


def test_columns_without_a_name_do_no_harm(tmp_path: Path) -> None:
    batch = read(write(tmp_path, ",Age,Income,Purchases,,", "0,1,2,3,,", "1,4,5,6,,x"))

    assert batch.ages.tolist() == [1.0, 4.0]
    assert batch.table.column_names == ["", "Age", "Income", "Purchases", "", ""]


def test_blank_rows_are_counted_and_left_out(tmp_path: Path) -> None:
    reader = read_customers(
        write(tmp_path, HEADER, "", ",,", "1,2,3", " , \u00a0,\t", "  ", ",,,", "4,5", ",,7"), mapping={}
    )

    records = [record for batch in reader.batches() for record in batch.records.tolist()]

    assert records == [4, 9]
    assert (reader.report.blank, reader.report.records) == (5, 3)


def test_file_of_blank_rows_has_no_records(tmp_path: Path) -> None:
    path = tmp_path / "empty.parquet"
    pa.parquet.write_table(
        pa.table({"Age": [None, None], "Income": [None, ""], "Purchases": [None, None]}), path
    )

    with pytest.raises(DatasetError, match="has a header but no records"):
        list(read_customers(path, mapping={}).batches())


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([26, 18], pa.int16()),
        ([26.0, 18.0], pa.float32()),
        ([Decimal("26.00"), Decimal("18.00")], pa.decimal128(9, 2)),
        (["26", " $18.00"], pa.string()),
        (["26", " 18"], pa.dictionary(pa.int8(), pa.string())),
    ],
    ids=str,
)
def test_parquet_columns_of_any_type_give_the_same(
    tmp_path: Path, values: list[Any], kind: pa.DataType
) -> None:
    path = tmp_path / "a.parquet"
    column = pa.array(values, type=kind)
    pa.parquet.write_table(pa.table({"Age": column, "Income": column, "Purchases": column}), path)

    batch = read(path)

    assert batch.ages.tolist() == batch.incomes.tolist() == batch.purchases.tolist() == [26.0, 18.0]
    assert batch.table.schema.field("Age").type == kind
    assert batch.records.tolist() == [1, 2]


def test_parquet_column_of_dates_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pa.parquet.write_table(pa.table({"Age": [dt.date(2000, 1, 1)], "Income": [1], "Purchases": [1]}), path)

    with pytest.raises(
        DatasetError, match=r"the column 'Age' holds date32\[day\]; Age can be read from numbers"
    ):
        read_customers(path, mapping={})
