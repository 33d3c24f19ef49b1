"""The file of the records that could not be used."""

import csv
from pathlib import Path

import pytest

from service.errors import DatasetError
from service.training.rejects import Reject, RejectsFile


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_rejects_leave_no_file_when_there_are_none(tmp_path: Path) -> None:
    with RejectsFile(tmp_path / "rejects.csv", columns={"a.csv": ["Age"]}) as rejects:
        rejects.write()

    assert list(tmp_path.iterdir()) == []


def test_rejects_have_the_columns_of_all_files(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "rejects.csv"
    with RejectsFile(path, columns={"a.csv": ["", "Age", ""], "b.csv": ["Income", "Age"]}) as rejects:
        rejects.add([Reject(2, "Age", "Age is missing", ["x", 'a\r,\n"é', "y"])], file="a.csv")
        rejects.add([Reject(3, "Age", "Age is missing", ["5", "7\r8"])], file="b.csv")
        rejects.write()

    assert read(path) == [
        ["file", "line", "column", "reason", "", "Age", "", "Income"],
        ["a.csv", "2", "Age", "Age is missing", "x", 'a\r,\n"é', "y", ""],
        ["b.csv", "3", "Age", "Age is missing", "", "7\r8", "", "5"],
    ]


def test_rejects_have_unparsed_text_only_when_needed(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    with RejectsFile(path, columns={"a.csv": ["Age"]}) as rejects:
        rejects.add([Reject(2, "Age", "Age is missing", [""])], file="a.csv")
        rejects.add([Reject(3, "", "expected 1 fields, found 2", unparsed='1,"2"')], file="a.csv")
        rejects.write()

    assert read(path) == [
        ["file", "line", "column", "reason", "Age", "unparsed"],
        ["a.csv", "2", "Age", "Age is missing", "", ""],
        ["a.csv", "3", "", "expected 1 fields, found 2", "", '1,"2"'],
    ]


def test_rejects_that_cannot_be_written_are_an_error(tmp_path: Path) -> None:
    with RejectsFile(tmp_path, columns={"a.csv": ["Age"]}) as rejects:
        rejects.add([Reject(2, "Age", "Age is missing", [""])], file="a.csv")

        with pytest.raises(DatasetError, match="cannot be written: Is a directory"):
            rejects.write()
