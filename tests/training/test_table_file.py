"""Tables go to a file whole or not at all, with quotes only where they must be."""

import csv
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest

from service.errors import ConfigurationError, DatasetError
from service.training.table_file import open_table_file


def write(target: Path, *tables: pa.Table, delimiter: str = ",") -> str:
    with open_table_file(target, tables[0].schema, delimiter=delimiter) as file:
        for table in tables:
            file.write(table)
    return target.read_text(encoding="utf-8")


def test_values_are_written_without_needless_quotes(tmp_path: Path) -> None:
    table = pa.table({"a": ["x y", None, " z"], "b": [1.0, 0.7869, None], "c": [True, False, None]})

    assert write(tmp_path / "t.csv", table) == "a,b,c\nx y,1,true\n,0.7869,false\n z,,\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("text", ['say "so"', "a,b", "a;b", "a\tb", "a|b", "two\nlines", "two\rlines", "ü"])
def test_text_comes_back_as_it_was(tmp_path: Path, delimiter: str, text: str) -> None:
    plain = pa.table({"a": ["p", "q"], "b": ["r", "s"]})
    special = pa.table({"a": [text, "u"], "b": ["v", text]})
    write(tmp_path / "t.csv", plain, special, plain, delimiter=delimiter)
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter=delimiter))

    assert rows == [["a", "b"], ["p", "r"], ["q", "s"], [text, "v"], ["u", text], ["p", "r"], ["q", "s"]]


def test_a_header_is_quoted_where_it_must_be(tmp_path: Path) -> None:
    table = pa.table([pa.array(["x"]), pa.array(["y"])], names=["a,b", ""])

    assert write(tmp_path / "t.csv", table) == '"a,b",\nx,y\n'


def test_lists_of_a_parquet_file_are_written_as_text(tmp_path: Path) -> None:
    table = pa.table({"a": pa.array([[1, 2], None]), "b": [1, 2]})

    assert write(tmp_path / "t.csv", table) == 'a,b\n"[1, 2]",1\n,2\n'


def test_a_failure_leaves_the_target_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "t.csv"
    target.write_text("precious")
    table = pa.table({"a": ["x"]})

    def fail() -> None:
        with open_table_file(target, table.schema, delimiter=",") as file:
            file.write(table)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]
    with pytest.raises(DatasetError, match="cannot be written"):
        write(tmp_path / "absent" / "t.csv", table)


@pytest.mark.parametrize("name", ["t.xlsx", "t.XLSX", "t.xls", "t.ods", "t.json"])
def test_an_ending_of_another_format_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="CSV and Parquet are written, not "):
        write(tmp_path / name, pa.table({"a": ["x"]}))

    assert list(tmp_path.iterdir()) == []


def test_the_ending_counts_in_capitals_too(tmp_path: Path) -> None:
    with open_table_file(tmp_path / "t.PARQUET", pa.schema({"a": pa.string()}), delimiter=","):
        pass

    assert (tmp_path / "t.PARQUET").read_bytes().startswith(b"PAR1")


def test_what_was_written_is_let_go(tmp_path: Path) -> None:
    table = pa.table({"a": [f"{number:06}" for number in range(20_000)], "b": ["x"] * 20_000})
    tracemalloc.start()
    with open_table_file(tmp_path / "t.csv", table.schema, delimiter=",") as file:
        for _ in range(3):
            file.write(table)
        before = pa.total_allocated_bytes()
        for _ in range(50):
            file.write(table)
        grown = pa.total_allocated_bytes() - before
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (tmp_path / "t.csv").stat().st_size > 50 * 20_000 * 8
    assert grown < 1_000_000
    assert peak < 4_000_000
