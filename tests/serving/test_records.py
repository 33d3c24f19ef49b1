"""The careful way: any form of record, and exactly what is wrong with a bad one."""

import json
import math
import re

import numpy as np
import pytest

from service.errors import InvalidPayloadError, InvalidRecordError
from service.serving.records import (
    csv_records,
    json_lines_records,
    json_records,
    npy_vectors,
    read_records,
)
from tests.serving.conftest import npy, npy_with_header

NPY_HEADER = "{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


def header(*, descr: str = "'<f8'", order: str = "False", shape: str = "(1, 2)") -> str:
    return NPY_HEADER.format(descr=descr, order=order, shape=shape)


HOSTILE_NPY = [
    b"",
    b"\x93NUMPY",
    b"\x93NUMPY\x01\x00",
    b"\x93NUMPY\x01\x00\xff\xff{",
    b"\x93NUMPY\x09\x00" + bytes(64),
    b"\x93NUMPX\x01\x00" + bytes(64),
    npy_with_header(header(), major=3),
    npy(np.zeros((4, 2)))[:-1],
    npy(np.zeros((4, 2))) + b"\0",
    npy_with_header(header(shape="(1000000000000, 2)")),
    npy_with_header(header(shape="(99999999999999999999999999, 2)")),
    npy_with_header(header(shape="(-1, 2)")),
    npy_with_header(header(shape="(1.0, 2)")),
    npy_with_header(header(shape="'CANARY'")),
    npy_with_header(header(shape=f"({'9' * 5000}, 2)")),
    npy_with_header(header(shape=f"({'1,' * 20_000})")),
    npy_with_header(header(order="'CANARY'")),
    npy_with_header(header(descr="'CANARY'")),
    npy_with_header(header(descr="()")),
    npy_with_header(header(descr="[]")),
    npy_with_header(header(descr="[()]")),
    npy_with_header(header(descr="('<f8',)")),
    npy_with_header(header(descr="('<f8', 10**30)")),
    npy_with_header(header(descr="{'names': 1}")),
    npy_with_header(header(descr="'V99999999999999999999'")),
    npy_with_header(header(descr="'<f99999999999999999999'")),
    npy_with_header(header(descr="'M8[99999999999999999999s]'")),
    npy_with_header("{'descr': ("),
    npy_with_header("(" * 300),
    npy_with_header("'" * 3),
    npy_with_header("-" * 9000 + "1"),
    npy_with_header("[" * 90 + "]" * 90),
    npy_with_header("\t1\n 2\n"),
    npy_with_header("{}"),
    npy_with_header("{1: 2}"),
    npy_with_header("{[]: 2}"),
    npy_with_header("CANARY"),
    npy_with_header("__import__('os').system('true')"),
    npy_with_header("\x00"),
]


def read_csv(text: str | bytes, *, is_lenient: bool = False) -> list[tuple[float, float] | None]:
    body = text.encode() if isinstance(text, str) else text
    return list(read_records(csv_records(body), is_lenient=is_lenient))


@pytest.mark.parametrize(
    ("record", "field", "problem"),
    [
        ([-1, 5], "Age", "negative"),
        ([5, -0.001], "Spending_Power", "negative"),
        ([math.nan, 5], "Age", "not finite"),
        ([5, math.inf], "Spending_Power", "too large"),
        ([5, -math.inf], "Spending_Power", "negative"),
        ([1.0000001e100, 5], "Age", "too large"),
        ([10**101, 5], "Age", "too large"),
        (["CANARY7781", 5], "Age", "text"),
        (["25", 5], "Age", "text"),
        ([5, None], "Spending_Power", "null"),
        ([True, 5], "Age", "a boolean"),
        ([5, False], "Spending_Power", "a boolean"),
        ([[25], 5], "Age", "a list"),
        ([5, {"CANARY7781": 1}], "Spending_Power", "an object"),
        ({"features": [5, -1]}, "Spending_Power", "negative"),
        ({"Age": 5, "Spending_Power": "x"}, "Spending_Power", "text"),
        ({"Age": 5, "Income": -1, "Purchases": 2}, "Income", "negative"),
        ({"Age": 5, "Income": 1, "Purchases": None}, "Purchases", "null"),
        ({"Age": 5, "Income": 1, "Purchases": -2}, "Purchases", "negative"),
    ],
)
def test_a_bad_value_is_named_by_position_field_and_problem(record: object, field: str, problem: str) -> None:
    with pytest.raises(InvalidRecordError) as caught:
        list(read_records([[1, 2], [3, 4], record, [5, -6]], is_lenient=False))

    assert (caught.value.position, caught.value.field) == (2, field)
    assert f"{field} in record 2 is {problem}; it must be a number from 0 to 1e+100" in str(caught.value)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    "record",
    [[], [1], [1, 2, 3], None, 5, "CANARY7781", True, {"features": [1]}, {"features": {"a": 1}}, [[1, 2]]],
)
def test_what_is_not_a_record_is_named_by_position(record: object) -> None:
    with pytest.raises(InvalidRecordError, match="record 1 cannot be read; a record is") as caught:
        list(read_records([[1, 2], record], is_lenient=False))

    assert (caught.value.position, caught.value.field) == (1, None)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    ("record", "field"),
    [
        ({}, "Age"),
        ({"Spending_Power": 1}, "Age"),
        ({"Age": 1}, "Income"),
        ({"Age": 1, "Income": 2}, "Purchases"),
        ({"Age": 1, "Purchases": 2}, "Income"),
        ({"age": 1, "Spending_Power": 2}, "Age"),
    ],
)
def test_a_missing_field_is_named(record: object, field: str) -> None:
    with pytest.raises(InvalidRecordError, match=f"{field} is missing in record 0") as caught:
        list(read_records([record], is_lenient=False))

    assert (caught.value.position, caught.value.field) == (0, field)


def test_a_lenient_reader_keeps_a_place_for_each_bad_record() -> None:
    records = [[1, 2], None, {"Age": 3, "Income": 8, "Purchases": 0}, [math.nan, 1], [4, 5], "x"]

    actual = list(read_records(records, is_lenient=True))

    assert actual == [(1.0, 2.0), None, (3.0, 8.0), None, (4.0, 5.0), None]


def test_the_limits_of_a_value_are_inside() -> None:
    actual = list(read_records([[0, 1e100], [-0.0, 5e-324]], is_lenient=False))

    assert actual == [(0.0, 1e100), (0.0, 5e-324)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("[]", []),
        (" [ ] ", []),
        ('{"instances": []}', []),
        ("[[1, 2]]", [[1, 2]]),
        ("[1, 2]", [[1, 2]]),
        ("[1, [2]]", [[1, [2]]]),
        ('["x", 2]', [["x", 2]]),
        ("[[1, 2], 3]", [[1, 2], 3]),
        ('{"Age": 1}', [{"Age": 1}]),
        ('[{"Age": 1}]', [{"Age": 1}]),
        ('{"inputs": [[1, 2]]}', [[1, 2]]),
        ('{"instances": [{"features": [1, 2]}], "parameters": {}}', [{"features": [1, 2]}]),
        ("[1, 2]\n[3, 4]", [[1, 2], [3, 4]]),
        ("\n[1, 2]\r\n\r\n[3, 4]\r\n", [[1, 2], [3, 4]]),
        ('{"Age": 1}\n{"Age": 2}\n', [{"Age": 1}, {"Age": 2}]),
        ("[1, 2]\nCANARY\n[3, 4]", [[1, 2], None, [3, 4]]),
    ],
)
def test_json_records_are_found_in_every_wrapping(body: str, expected: list[object]) -> None:
    assert list(json_records(body.encode())) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"[" * 2000 + b"]" * 2000,
        b'{"a":' * 5000,
        b"[[1, 2]",
        b"[[1, 2]]]",
        b"[[1, 2],]",
        b"[[1, 2] [3, 4]]",
        b"[[NaN, 1]]",
        b"[[Infinity, 1]]",
        b"[[1e999, 1]]",
        b"[[01, 2]]",
        b"[[+1, 2]]",
        b"[[.5, 2]]",
        b"[[1., 2]]",
        b"[[0x10, 2]]",
        b"[[1_0, 2]]",
        b"[['1', 2]]",
        b"[[1, 2]] CANARY",
        b"[[1, 2]]\x00",
        b'["\\ud800", 1]',
        b'["\xff", 1]',
        b"\xff\xfe[\x00]\x00",
        b"{",
        b"CANARY",
        b"// comment [[1, 2]]",
        b"1",
        b"null",
        b'"CANARY"',
        b'{"instances": 7}',
        b'{"instances": {"Age": 1}}',
        b'{"inputs": "CANARY"}',
    ],
)
def test_what_is_not_a_json_payload_is_refused_without_echo(body: bytes) -> None:
    with pytest.raises(InvalidPayloadError) as caught:
        json_records(body)

    assert not isinstance(caught.value, InvalidRecordError)
    assert "CANARY" not in str(caught.value)


def test_of_a_key_named_twice_the_last_value_counts_as_in_python() -> None:
    body = b'{"Age": 1, "Age": 2, "Spending_Power": 3}'

    assert list(json_records(body)) == [json.loads(body)]


def test_json_lines_keep_a_place_for_a_line_that_is_not_json() -> None:
    body = b'\r\n[1, 2]\r\n \t \noops\n{"Age": 3}\nnull\n[NaN, 1]\n[[[\n[4, 5]'

    assert list(json_lines_records(body)) == [[1, 2], None, {"Age": 3}, None, None, None, [4, 5]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,2", [(1, 2)]),
        ("1,2\n", [(1, 2)]),
        ("1,2\r\n3,4\r\n", [(1, 2), (3, 4)]),
        ("1,2\r3,4\r", [(1, 2), (3, 4)]),
        ("\n\n1,2\n \n\t\n3,4\n\n", [(1, 2), (3, 4)]),
        (" 1 ,\t2 \n", [(1, 2)]),
        ('"1","2"\n', [(1, 2)]),
        ("+1,02\n", [(1, 2)]),
        ("1.,.5\n", [(1, 0.5)]),
        ("1e2,1E-2\n", [(100, 0.01)]),
        ("\ufeff1,2\n", [(1, 2)]),
        ("Age,Spending_Power\n1,2\n", [(1, 2)]),
        ("\ufeffAge,Spending_Power\n1,2\n", [(1, 2)]),
        ("SPENDING POWER,age\n1,2\n", [(2, 1)]),
        (" Spending-Power , Age , Gender\n1,2,CANARY\n", [(2, 1)]),
        ('"Age","Income","Purchases"\n30,100,4\n', [(30, 25)]),
        ("Id,Purchases,Age,Income,Note\na,0,30,100,b\n", [(30, 100)]),
        ("Age,Income,Purchases,Spending_Power\n30,100,4,7\n", [(30, 7)]),
        ("Age,Spending_Power\n", []),
    ],
)
def test_csv_is_read_in_every_dialect(text: str, expected: list[tuple[float, float]]) -> None:
    assert read_csv(text) == expected


@pytest.mark.parametrize(
    ("text", "position", "field"),
    [
        ("1,2\nx,4\n", 1, "Age"),
        ("1,2\n3,CANARY\n", 1, "Spending_Power"),
        ("CANARY,2\n1,2\n", 0, "Age"),
        ("0,25,1250\n", 0, None),
        ("1,2\n3\n", 1, None),
        ("1,2\n3,4,5\n", 1, None),
        ("1,2],[3,4\n", 0, None),
        ("1,2\n3 4,5\n", 1, "Age"),
        ("nan,1\n", 0, "Age"),
        ("1,inf\n", 0, "Spending_Power"),
        ("1,Infinity\n", 0, "Spending_Power"),
        ("0x1F,1\n", 0, "Age"),
        ("1_000,1\n", 0, "Age"),
        ("1,1e999\n", 0, "Spending_Power"),
        ("\u0661,\u0662\n", 0, "Age"),
        ("-1,1\n", 0, "Age"),
        (",2\n", 0, "Age"),
        ("1,\n", 0, "Spending_Power"),
        ("1;2\n", 0, None),
        ("true,1\n", 0, "Age"),
        ("Age,Spending_Power\n1,2\n3\n", 1, None),
        ("Age,Spending_Power\n1,2\n3,4,5\n", 1, None),
        ("Age,Income,Purchases\n1,2,CANARY\n", 0, "Purchases"),
        ("Age,Spending_Power\nAge,Spending_Power\n", 0, "Age"),
    ],
)
def test_a_bad_csv_row_is_named(text: str, position: int, field: str | None) -> None:
    with pytest.raises(InvalidRecordError) as caught:
        read_csv(text)

    assert (caught.value.position, caught.value.field) == (position, field)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("empty", [",", " , ", '"",""', ",,"])
@pytest.mark.parametrize("head", ["", "Age,Spending_Power\n"])
def test_a_csv_row_of_empty_cells_is_a_record(head: str, empty: str) -> None:
    """C53: one line out for each line in, or the caller joins labels to the wrong customers."""
    actual = read_csv(f"{head}1,2\n{empty}\n3,4\n", is_lenient=True)

    assert actual == [(1, 2), None, (3, 4)]


def test_an_open_quote_does_not_swallow_the_lines_after_it() -> None:
    """C51, C53: no embedded newlines; one line out for each line in."""
    actual = read_csv('1,2\n"3,4\n5,6\n', is_lenient=True)

    assert actual == [(1, 2), None, (5, 6)]


@pytest.mark.parametrize("cell", ['"1"0', '"1" 0', '"1""0"'])
def test_text_after_a_closing_quote_is_not_a_digit(cell: str) -> None:
    with pytest.raises(InvalidPayloadError):
        read_csv(f"{cell},2\n")


@pytest.mark.parametrize(
    "text",
    ["Age\n1\n", "Age,Income\n1,2\n", "Age,age,Spending_Power\n", "Age,Spending_Power,spending power\n"],
)
def test_a_header_that_lacks_or_repeats_a_column_is_refused(text: str) -> None:
    with pytest.raises(InvalidPayloadError, match=r"header (lacks|names a column twice)"):
        read_csv(text)


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        ("Income,Purchases", "Age"),
        ("Spending_Power", "Age"),
        ("CANARY,Spending_Power", "Age"),
        (" spending power ,Gender", "Age"),
        ("purchases,Gender", "Age and Income"),
        ("Customer_ID,INCOME", "Age and Purchases"),
        ("Age,Income", "Purchases"),
        ("Age,Purchases", "Income"),
        ("Age,Gender", "Income and Purchases"),
    ],
)
@pytest.mark.parametrize("is_lenient", [False, True])
def test_a_header_is_known_by_any_column_and_says_which_are_missing(
    names: str, missing: str, *, is_lenient: bool
) -> None:
    with pytest.raises(InvalidPayloadError, match=f"the CSV header lacks {missing}; it names ") as caught:
        read_csv(f"{names}\n25,100\n", is_lenient=is_lenient)

    assert not isinstance(caught.value, InvalidRecordError)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("body", [b"1,2\n\xff,4\n", b"\xff\xfe1\x00,\x002\x00"])
def test_csv_that_is_not_utf8_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidPayloadError, match="UTF-8"):
        read_csv(body)


def test_a_csv_cell_of_a_megabyte_is_refused() -> None:
    with pytest.raises(InvalidPayloadError):
        read_csv("1," + "9" * 2**20)


@pytest.mark.parametrize(
    "dtype",
    ["<f8", ">f8", "<f4", ">f4", "<f2", ">f2", "<i8", ">i4", "<i2", "i1", "<u8", ">u2", "u1", np.longdouble],
)
@pytest.mark.parametrize("is_fortran", [False, True])
def test_npy_of_every_kind_of_number_is_read(dtype: str, *, is_fortran: bool) -> None:
    array = np.array([[25, 100], [45, 7], [0, 99]]).astype(dtype)
    body = npy(np.asfortranarray(array) if is_fortran else array)

    actual = npy_vectors(body)

    assert actual.dtype == np.float64
    assert actual.tolist() == [[25, 100], [45, 7], [0, 99]]
    assert actual.flags.c_contiguous


def test_float32_npy_keeps_its_own_values() -> None:
    array = np.array([[25.1, 1250.3]], dtype=np.float32)

    assert npy_vectors(npy(array)).tolist() == array.astype(np.float64).tolist()


@pytest.mark.parametrize("major", [1, 2])
def test_both_npy_versions_that_numbers_come_in_are_read(major: int) -> None:
    assert npy_vectors(npy_with_header(header(), major=major)).tolist() == [[0.0, 0.0]]


def test_an_npy_array_without_records_has_no_records() -> None:
    assert npy_vectors(npy(np.empty((0, 2)))).shape == (0, 2)


class _Bomb:
    """Say so when somebody unpickles it."""

    fuse: list[str] = []  # noqa: RUF012  # shared on purpose

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return _Bomb.fuse.append, ("unpickled",)


def test_npy_of_pickled_objects_is_refused_and_not_unpickled() -> None:
    body = npy(np.array([[_Bomb(), _Bomb()]], dtype=object))

    with pytest.raises(InvalidPayloadError, match="must hold numbers"):
        npy_vectors(body)

    assert _Bomb.fuse == []


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1 + 2j, 3]]),
        np.array([[True, False]]),
        np.array([["1", "2"]]),
        np.array([[b"1", b"2"]]),
        np.array([["2020-01-01", "2020-01-02"]], dtype="datetime64[D]"),
        np.array([(1.0, 2.0)], dtype=[("a", "f8"), ("b", "f8")]),
        np.zeros((2, 3)),
        np.zeros((2, 1)),
        np.zeros((1, 1, 2)),
        np.zeros(3),
        np.array(5.0),
        np.zeros((0,)),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_npy_that_is_no_table_of_two_numbers_is_refused(array: np.ndarray[tuple[int, ...], np.dtype]) -> None:
    with pytest.raises(InvalidPayloadError, match=re.escape("(n, 2)")):
        npy_vectors(npy(array))


@pytest.mark.parametrize("body", HOSTILE_NPY, ids=range(len(HOSTILE_NPY)))
def test_a_hostile_npy_payload_is_refused_without_echo(body: bytes) -> None:
    with pytest.raises(InvalidPayloadError) as caught:
        npy_vectors(body)

    assert "CANARY" not in str(caught.value)


def test_npy_cut_at_any_byte_is_refused() -> None:
    whole = npy(np.array([[25.0, 1250.0]]))
    assert len(npy_vectors(whole)) == 1

    for end in range(len(whole)):
        with pytest.raises(InvalidPayloadError):
            npy_vectors(whole[:end])
