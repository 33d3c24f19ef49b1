"""Rejects written many at once are those that a csv writer writes one after another."""

import csv
import io
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from service.training.reject_texts import Found, Waiting, join_lines, join_rows, text_of

PROBLEMS = [("Age", "Age is missing"), ('a "b", c', "it,\nis odd")]


def found(n: int) -> Found:
    return Found(np.arange(n, dtype=np.int64) * 3 + 2, np.arange(n, dtype=np.int64) % 2, PROBLEMS)


def written(fields: list[list[str]], file: str) -> list[str]:
    """Return what a csv writer makes of the same rejects."""
    rows = []
    for place, row in enumerate(fields):
        text = io.StringIO(newline="")
        csv.writer(text).writerow([file, place * 3 + 2, *PROBLEMS[place % 2], *row])
        rows.append(text.getvalue())
    return rows


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("file", ["customers.csv", 'the "new", ones.csv'])
def test_lines_are_written_as_by_a_csv_writer(end: str, delimiter: str, file: str) -> None:
    fields = [["", "5", "é"], ["x", "", ""], ["", "", " a "], ["1", "2", "3"]]
    text = "".join(delimiter.join(row) + end for row in fields).encode()
    texts = join_lines(text, delimiter, file=file, found=found(4))

    assert texts is not None
    assert texts.to_pylist() == written(fields, file)


def test_lines_with_a_comma_in_a_field_are_left_to_a_csv_writer() -> None:
    assert join_lines(b";5;a,b\n", ";", file="x.csv", found=found(1)) is None


def test_rows_are_written_as_by_a_csv_writer() -> None:
    columns: dict[str, list[Any]] = {
        "Age": [None, 30, -1],
        "Income": [1e16, None, 0.1],
        "Note": ["é", None, " a'b "],
        "Since": [date(2026, 11, 29), None, date(1, 1, 1)],
        "Big": [2**63 - 1, 0, None],
    }
    fields = [["" if one is None else str(one) for one in row] for row in zip(*columns.values(), strict=True)]
    texts = join_rows(pa.table(columns), file="x.parquet", found=found(3))

    assert texts is not None
    assert texts.to_pylist() == written(fields, "x.parquet")


@pytest.mark.parametrize("note", ["a,b", 'a"b', "a\nb", "a\rb"])
def test_rows_that_need_quotes_are_left_to_a_csv_writer(note: str) -> None:
    assert join_rows(pa.table({"Age": [1, 2], "Note": ["a", note]}), file="x.parquet", found=found(2)) is None


@pytest.mark.parametrize(
    "odd", [None, 1e16, -1e300, 9e-5, 5e-324, float("nan"), float("-inf"), 9.9999e15, 1e-4]
)
def test_numbers_are_written_as_by_python(odd: float | None) -> None:
    random = np.random.default_rng(1)
    plain = [*np.exp(random.normal(0, 9, 2_000)).clip(1e-4, 9e15).tolist(), 0.0, -0.0, 100.0, 0.1 + 0.2, -2.5]
    values = [None, *plain, None, odd]

    texts = text_of(pa.chunked_array([values[:700], values[700:]], pa.float64()))

    assert texts.to_pylist() == ["" if value is None else str(value) for value in values]


@pytest.mark.parametrize("values", [[], [None], [7.0], [None, None]])
def test_few_numbers_are_numbers_too(values: list[float | None]) -> None:
    texts = text_of(pa.chunked_array([values], pa.float64()))

    assert texts.to_pylist() == ["" if value is None else str(value) for value in values]


def test_waiting_rejects_come_in_the_order_of_the_lines() -> None:
    waiting = Waiting()
    for lines in ([2, 5], [9], [11, 14]):
        waiting.add(np.array(lines, dtype=np.int64), pa.array([f"{line}é\n" for line in lines]))

    assert waiting.take(9, [(1, "1\n"), (7, "7\n")]) == "1\n2é\n5é\n7\n9é\n"
    assert waiting.take(10, []) == ""
    assert waiting.take(None, [(12, "12\n"), (20, "20\n")]) == "11é\n12\n14é\n20\n"
    assert waiting.take(None, [(21, "21\n")]) == "21\n"
    assert Waiting().take(None, [(3, "3\n")]) == "3\n"
