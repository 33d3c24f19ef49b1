"""What a customer file is found to be, and where its records are."""

import csv
import errno
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import DatasetError
from service.training.source import CustomerFile, open_customers

HEADER = "Age,Income,Purchases\n"


def write(path: Path, text: str, *, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def rows(file: CustomerFile) -> list[tuple[int, tuple[Any, ...]]]:
    found: list[tuple[int, tuple[Any, ...]]] = []
    for batch in file.batches():
        cells = zip(*(column.to_pylist() for column in batch.table.columns), strict=True)
        found += list(zip(batch.records.tolist(), cells, strict=True))
    return found


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("utf-16", "utf-16"), ("cp1252", "cp1252")],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_source_finds_the_dialect(
    tmp_path: Path, encoding: str, expected: str, delimiter: str, newline: str
) -> None:
    text = newline.join(delimiter.join(row) for row in [("Age", " Größe "), ("1", "é"), ("2", '"a,;|\t\nb"')])
    file = open_customers(write(tmp_path / "a.csv", text + newline, encoding=encoding))

    assert rows(file) == [(2, ("1", "é")), (3, ("2", "a,;|\t\nb"))]
    assert (file.encoding, file.delimiter, file.columns) == (expected, delimiter, ("Age", " Größe "))


def test_source_finds_an_odd_letter_far_into_the_file(tmp_path: Path) -> None:
    text = "Name,Age\n" + "x,1\n" * 400_000 + "é,2\n"

    assert open_customers(write(tmp_path / "a.csv", text, encoding="cp1252")).encoding == "cp1252"


def test_source_is_not_misled_by_commas_inside_fields(tmp_path: Path) -> None:
    text = 'a;b;c\n"1,2";3,4;5\n"1,2";3,4;6\n7;8\n'

    assert open_customers(write(tmp_path / "a.csv", text)).columns == ("a", "b", "c")


def test_source_prefers_the_delimiter_that_divides_the_records_alike(tmp_path: Path) -> None:
    text = "a;b (x, y, z)\n1;2\n3;4\n"

    assert open_customers(write(tmp_path / "a.csv", text)).columns == ("a", "b (x, y, z)")


def test_source_takes_a_comma_where_nothing_tells(tmp_path: Path) -> None:
    assert open_customers(write(tmp_path / "a.csv", "a\n1\n")).delimiter == ","


def test_source_finds_lines_past_a_long_field(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    file = open_customers(write(tmp_path / "a.csv", f'a,b\n1,"{"x" * 500_000}\n"\n2,3\n'))

    assert file.line_numbers([2, 3]) == [2, 4]
    assert csv.field_size_limit() == limit


def test_source_numbers_records_and_lines_past_everything_odd(tmp_path: Path) -> None:
    text = '\n"Age","In\ncome"\n1,2\n\n"x\ny",3\nragged\n,\n4,"5\n\n6"\n7,8,9\n10,11'
    file = open_customers(write(tmp_path / "a.csv", text))

    found = rows(file)

    assert file.columns == ("Age", "In\ncome")
    assert [record for record, _ in found] == [3, 4, 5, 7, 8, 10]
    assert [(row.record, row.text, row.expected, row.actual) for row in file.ragged] == [
        (6, "ragged", 2, 1),
        (9, "7,8,9", 2, 3),
    ]
    assert file.line_numbers([3, 4, 5, 6, 7, 8, 9, 10]) == [4, 5, 6, 8, 9, 10, 13, 14]
    assert file.line_numbers([10, 3]) == [14, 4]


def test_source_numbers_records_across_blocks(tmp_path: Path) -> None:
    text = HEADER + "".join("1,2\n" if number % 7 == 0 else f'{number},"\n",3\n' for number in range(300_000))
    file = open_customers(write(tmp_path / "a.csv", text))

    found = rows(file)

    assert all(int(cells[0]) == record - 2 for record, cells in found)
    assert len(found) + len(file.ragged) == 300_000
    assert file.line_numbers([2, 3, 10]) == [2, 3, 16]


FIELD = st.text(alphabet=st.sampled_from(list('ab ",;\n\r')), max_size=5)


@settings(deadline=None)
@given(st.lists(st.lists(FIELD, min_size=1, max_size=4), max_size=12))
def test_source_agrees_with_the_csv_module(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]]
) -> None:
    path = tmp_path_factory.mktemp("agree") / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([["one", "two"], *table, ["x", "y"]])
    file = open_customers(path)

    found = dict(rows(file))

    expected = [["one", "two"], *table, ["x", "y"]]
    assert found == {n: tuple(row) for n, row in enumerate(expected, start=1) if len(row) == 2 and n > 1}


def test_source_counts_ragged_rows_of_nothing_as_blank(tmp_path: Path) -> None:
    file = open_customers(write(tmp_path / "a.csv", HEADER + "1,2,3\n,,,,\n ; \n  \n4,5,6\n"))

    assert [record for record, _ in rows(file)] == [2, 6]
    assert (file.blank_count, [row.text for row in file.ragged]) == (2, [" ; "])


@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
def test_source_knows_parquet_by_suffix_or_content(tmp_path: Path, name: str) -> None:
    pa.parquet.write_table(pa.table({"Age": [1, 2], "x": ["a", None]}), tmp_path / name)

    file = open_customers(tmp_path / name)

    assert rows(file) == [(1, (1, "a")), (2, (2, None))]
    assert (file.format, file.delimiter, file.encoding) == ("parquet", None, None)
    assert file.line_numbers([2, 1]) == [2, 1]
    assert file.done_bytes == file.size_bytes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n,,\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (HEADER.encode(), "has a header but no records"),
        (b"Age,Income,Purchases", "has a header but no records"),
        (HEADER.encode() + b"\n,,\n", "has a header but no records"),
        (b"\x7fELF\x00\x01\x02", "is not a text file; accepted are Parquet"),
        (b"Age\x81,\x8d\n", "is not a text file"),
        ("Age,x\n1,2\n".encode("utf-16-le"), "is not a text file"),
        (b"PK\x03\x04rest", "is a zip archive or an Excel workbook; save it as CSV first"),
        (b"\x1f\x8brest", "is compressed; decompress it first"),
        (b"PAR1 and nothing", "cannot be read as Parquet: it is damaged"),
        (HEADER.encode() + b'1,2,3\n4,5,"6\n7,8,9\n', "a quote in the record of line 3 that is never closed"),
    ],
)
def test_source_refuses_what_is_no_table(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)

    with pytest.raises(DatasetError, match=re.escape(f"{path} ") + ".*" + re.escape(message)):
        open_customers(path)


def test_source_lets_a_lone_quote_inside_a_field_be(tmp_path: Path) -> None:
    file = open_customers(write(tmp_path / "a.csv", 'a,b\n5" pipe,1\n'))

    assert rows(file) == [(2, ('5" pipe', "1"))]


def test_source_refuses_an_endless_record(tmp_path: Path) -> None:
    file = open_customers(write(tmp_path / "a.csv", "a,b\n1,2\n3," + "x" * 3_000_000 + "\n"))

    with pytest.raises(DatasetError, match="or has a record of over 1048576 bytes"):
        rows(file)


def test_source_refuses_what_is_not_there_or_no_file(tmp_path: Path) -> None:
    loop = tmp_path / "loop.csv"
    loop.symlink_to(loop)

    with pytest.raises(DatasetError, match=r"none\.csv cannot be read: No such file"):
        open_customers(tmp_path / "none.csv")
    with pytest.raises(DatasetError, match="is a folder"):
        open_customers(tmp_path)
    with pytest.raises(DatasetError, match=r"/dev/null is not a regular file"):
        open_customers(Path("/dev/null"))
    with pytest.raises(DatasetError, match="cannot be read: ") as caught:
        open_customers(loop)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ELOOP


def test_source_refuses_parquet_damaged_inside(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pa.parquet.write_table(pa.table({"a": ["x" * 50] * 1000}), path, compression="none", use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[4:40] = b"\xff" * 36
    path.write_bytes(bytes(content))

    with pytest.raises(DatasetError, match="cannot be read to its end: it is damaged"):
        rows(open_customers(path))


def test_a_parquet_file_with_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Found by fuzz."""
    path = tmp_path / "customers.parquet"
    pa.parquet.write_table(pa.table({"Aged": [1]}), path)
    path.write_bytes(path.read_bytes().replace(b"Aged", b"A\xf2ed"))

    with pytest.raises(DatasetError, match="damaged or incomplete"):
        open_customers(path)
