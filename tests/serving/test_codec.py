"""The fast way and the careful way must read alike; an oracle made of json.loads watches both."""

import json
import random
import re
import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.errors import InvalidPayloadError, InvalidRecordError
from service.serving.codec import BLOCK_BYTES, decode
from service.serving.invocation import ServedModel
from service.serving.media import Reader
from tests.serving.conftest import (
    CSV,
    JSON,
    JSON_LINES,
    NPY,
    RECORDS,
    Record,
    ask,
    make_served,
    npy,
    payloads,
)

MAX_VALUE = 1e100
MUTANTS = 6000
"""Of each format."""

NUMBERS = (
    *("0", "1", "25", "1250.0", "99999.75", "1e3", "1E-3", "2.5e+2", "0.1", "1e-400", "1e100", "5e-324"),
    *("9007199254740993", "18446744073709551615", "18446744073709551616", "9223372036854775808", "1" * 40),
    *("0.30000000000000004", "123456789012345678901234567890e-20", "2.2250738585072011e-308", "-0", "-0.0"),
    *("7.2057594037927933e16", "1.7976931348623157e-300", "8.5e-1"),
)
BAD_NUMBERS = (
    *("-1", "01", "+1", "1.", ".5", "1e", "1e+", "--1", "1.5.2", "1e5e5", "0x10", "1_0", "e", "-", "1 2"),
    *(
        "1e101",
        "1e999",
        "NaN",
        "Infinity",
        "-Infinity",
        "nan",
        "inf",
        "null",
        "true",
        "",
        "1,2",
        "[1]",
        "1\r2",
    ),
    *("1\x00", "1],[2", "1\n2", "]", "[", "],[", "1,2],[3", "1e400", "-1e-400"),
)
GLUE = b"0123456789+-.eE,,[[]]{} \t\r\n\n:x\x00\xff"

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class RefusedError(Exception):
    """Raised by the oracle."""


def strict_json(text: bytes) -> object:
    def refuse(_constant: str) -> object:
        raise RefusedError

    try:
        return json.loads(text.decode(), parse_constant=refuse)
    except (ValueError, RecursionError) as exc:
        raise RefusedError from exc


def strict_value(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_VALUE:
        raise RefusedError
    return float(value)


def strict_record(value: object) -> Record:
    if not isinstance(value, list) or len(value) != 2:
        raise RefusedError
    return strict_value(value[0]), strict_value(value[1])


def json_lines_oracle(body: bytes) -> list[Record]:
    return [strict_record(strict_json(line)) for line in body.split(b"\n") if line.strip()]


def json_oracle(body: bytes) -> list[Record]:
    try:
        document = strict_json(body)
    except RefusedError:
        if b"\n" not in body.strip():
            raise
        return json_lines_oracle(body)
    if not isinstance(document, list):
        raise RefusedError
    if document and not isinstance(document[0], list | dict):
        return [strict_record(document)]
    return [strict_record(value) for value in document]


def csv_oracle(body: bytes) -> list[Record]:
    try:
        text = body.decode()
    except UnicodeDecodeError as exc:
        raise RefusedError from exc
    records = []
    for line in re.split(r"\r\n|\r|\n", text):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split(",")]
        if not all(NUMBER.fullmatch(cell) for cell in cells):
            raise RefusedError
        records.append(strict_record([float(cell) for cell in cells]))
    return records


Oracle = Callable[[bytes], list[Record]]
ORACLES: dict[Reader, tuple[str, Oracle]] = {
    Reader.JSON: (JSON, json_oracle),
    Reader.JSON_LINES: (JSON_LINES, json_lines_oracle),
    Reader.CSV: (CSV, csv_oracle),
}


def oracle(body: bytes, reader: Reader) -> list[Record] | None:
    """Return what must be read, None where nothing must."""
    body = body.removeprefix(b"\xef\xbb\xbf")
    if not body.strip():
        return None
    try:
        return ORACLES[reader][1](body)
    except RefusedError:
        return None


def decoded(body: bytes, reader: Reader) -> list[Record] | None:
    try:
        payload = decode(body, reader=reader, is_lenient=False)
    except InvalidPayloadError:
        return None
    assert payload.bad == frozenset()
    assert payload.vectors.dtype == np.float64
    assert payload.vectors.shape == (len(payload.vectors), 2)
    return [(age, power) for age, power in payload.vectors.tolist()]


def bits(records: Sequence[Record] | None) -> list[list[str]] | None:
    """Return records to the last bit; minus zero counts as zero, for JSON has both spellings."""
    if records is None:
        return None
    return [[(value + 0.0).hex() for value in record] for record in records]


def render(cells: Sequence[Sequence[str]], reader: Reader, chance: random.Random) -> bytes:
    """Write records of any text in one of the plain layouts."""
    blank = chance.choice(["", "", " ", "\t"])
    newline = chance.choice(["\n", "\n", "\r\n"])
    rows = [f"{blank},{blank}".join(row) for row in cells]
    match reader:
        case Reader.CSV:
            text = newline.join(rows) + chance.choice(["", newline])
        case Reader.JSON_LINES:
            text = newline.join(f"[{row}]" for row in rows) + chance.choice(["", newline])
        case _:
            gap = chance.choice(["", " ", newline])
            text = f"[{gap}" + f",{gap}".join(f"[{row}]" for row in rows) + f"{gap}]"
    return text.encode()


def mutate(body: bytes, chance: random.Random) -> bytes:
    """Return the payload with a few bytes replaced, put in, taken out, or moved."""
    text = bytearray(body)
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        at = chance.randrange(len(text) + 1)
        to = min(len(text), at + chance.randrange(1, 6))
        kind = chance.randrange(5)
        if kind == 0:
            text[at : at + 1] = bytes([chance.choice(GLUE)])
        elif kind == 1:
            text[at:at] = bytes([chance.choice(GLUE)])
        elif kind == 2:
            del text[at : at + 1]
        elif kind == 3:
            text[at:at] = text[at:to]
        else:
            text[at:to] = chance.choice(BAD_NUMBERS).encode()
    return bytes(text)


def agree(body: bytes, reader: Reader, served: ServedModel) -> bool:
    """Assert that codec and invocation do as the oracle says; tell whether the payload was accepted."""
    expected = oracle(body, reader)

    assert bits(decoded(body, reader)) == bits(expected), (reader, body)
    answer = ask(served, body, content_type=ORACLES[reader][0])
    if expected is None:
        assert answer.status == 400, (reader, body, answer.body)
    else:
        labels = [served.model.partition.assign_one(*record) for record in expected]
        assert (answer.status, answer.body) == (200, json.dumps(labels).encode()), (reader, body)
    return expected is not None


@pytest.mark.parametrize("reader", ORACLES)
def test_valid_payloads_are_read_to_the_last_bit(reader: Reader) -> None:
    chance, served = random.Random(20261123), make_served(5)
    for _ in range(1500):
        cells = [chance.choices(NUMBERS, k=2) for _ in range(chance.choice([1, 1, 2, 3, 30]))]

        assert agree(render(cells, reader, chance), reader, served)


@pytest.mark.parametrize("reader", ORACLES)
def test_a_bad_number_in_any_place_is_treated_as_the_oracle_says(reader: Reader) -> None:
    chance, served = random.Random(4), make_served(5)
    for bad in BAD_NUMBERS:
        for n_records in (1, 2, 30):
            for place in {0, 1, n_records, 2 * n_records - 1}:
                cells = [chance.choices(NUMBERS, k=2) for _ in range(n_records)]
                cells[place // 2][place % 2] = bad

                agree(render(cells, reader, chance), reader, served)


@pytest.mark.parametrize("reader", ORACLES)
def test_nothing_malformed_slips_through(reader: Reader) -> None:
    """Both ways must occur often, or the mutations prove nothing."""
    chance, served = random.Random(f"mutants of {reader}"), make_served(5)
    accepted = 0
    for _ in range(MUTANTS):
        cells = [chance.choices(NUMBERS, k=2) for _ in range(chance.choice([1, 2, 3]))]

        accepted += agree(mutate(render(cells, reader, chance), chance), reader, served)

    assert MUTANTS * 0.1 < accepted < MUTANTS * 0.9


@pytest.mark.parametrize("reader", ORACLES)
@given(text=st.text(alphabet="[],{}0123456789.eE+- \t\r\n", max_size=40))
def test_any_text_of_json_and_csv_characters_is_treated_as_the_oracle_says(reader: Reader, text: str) -> None:
    agree(text.encode(), reader, make_served(3))


@pytest.mark.parametrize("reader", [Reader.JSON, Reader.JSON_LINES, Reader.CSV, Reader.NPY, Reader.SNIFF])
@given(body=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(reader: Reader, body: bytes) -> None:
    decoded(body, reader)
    decoded(b"\x93NUMPY\x01\x00" + body, reader)


@example(header="{'descr': '<f8', 'fortran_order': False, 'shape': (True, 2)}")
@given(header=st.text(alphabet="{}()[]'\":,<>f8i2OV descrfotan_hp.-0\\\n", max_size=60))
def test_any_npy_header_is_read_or_refused(header: str) -> None:
    encoded = header.encode()

    decoded(b"\x93NUMPY\x01\x00" + len(encoded).to_bytes(2, "little") + encoded + bytes(16), Reader.NPY)


@pytest.mark.parametrize(
    "body",
    [
        b"1,2],[3,4",
        b"1,2]\n[3,4",
        b"[1,2]",
        b"1,2\n3,4],[5,6\n7,8",
        b"1,[2\n3],4",
        b"1]],[[2,3",
        b"1\n2,3,4",
        b"1,2,3\n4",
        b"1,2\n3,4,5\n6",
        b"1\r,2",
        b"1,\r2",
        b"1,2\n3\r,4",
    ],
)
def test_csv_that_would_be_json_in_brackets_is_refused(body: bytes) -> None:
    assert decoded(body, Reader.CSV) is None


@pytest.mark.parametrize(
    "body",
    [
        b"[1,2],[3,4]",
        b"[1,2],\n[3,4]",
        b"[1\n,2]",
        b"[1,2\n]",
        b"[1,2]\n3[,4]",
        b"[1,2]5\n[3,4]",
        b"[[1,2]\n[3,4]]",
        b"[1,2]\r[3,4]",
    ],
)
def test_json_lines_that_are_no_line_each_are_refused(body: bytes) -> None:
    assert decoded(body, Reader.JSON_LINES) is None


@pytest.mark.parametrize(
    "body",
    [
        b"[[1,2,3],[4]]",
        b"[[1],[2,3,4]]",
        b"[[1,2],[3]]",
        b"[1[,2]]",
        b"[[1,2]3]",
        b"[[1,2],[3,4]",
        b"[[1,2][3,4],]",
        b"[[[1,2]]]",
        b"[[],[1,2]]",
        b"[[,]]",
        b"[[1,2],,[3,4]]",
        b"[[1,2]]7",
        b"7[[1,2]]",
        b"[[1,2]][[3,4]]",
        b"[[1 1,2]]",
        b"[[1,2\x00]]",
    ],
)
def test_json_that_flattens_to_pairs_but_has_none_is_refused(body: bytes) -> None:
    assert decoded(body, Reader.JSON) is None


@pytest.mark.parametrize("form", payloads(RECORDS))
def test_every_form_is_read_to_the_same_bits(form: str) -> None:
    records = [*RECORDS, (0.1, 0.2), (1 / 3, 1e100), (5e-324, 123456.789)] * 20
    content_type, body = payloads(records)[form]
    readers = {JSON: Reader.JSON, JSON_LINES: Reader.JSON_LINES, CSV: Reader.CSV, NPY: Reader.NPY}
    name = (content_type or "").partition(";")[0].lower()
    name = JSON_LINES if name in {"application/x-ndjson", "application/x-jsonlines"} else name

    actual = decoded(body, readers.get(name, Reader.SNIFF))

    assert bits(actual) == bits(records)


def wide_payload(reader: Reader, separators: Sequence[bytes]) -> bytes:
    """Return one record more than there are separators, each padded so that few of them are megabytes."""
    padding = b" " * 60_000
    rows = [b"%d.5,%b%d" % (number, padding, number) for number in range(len(separators) + 1)]
    if reader is not Reader.CSV:
        rows = [b"[%b]" % row for row in rows]
    body = rows[0] + b"".join(part for pair in zip(separators, rows[1:], strict=True) for part in pair)
    return b"[%b]" % body if reader is Reader.JSON else body


DEFECTS = {
    Reader.JSON: (b"", b" ", b",,", b";", b"]", b"[", b",[],", b",7,", b"],[", b"\n", b",\n\t ", b" ,"),
    Reader.JSON_LINES: (b"", b" ", b",", b"\r", b"]", b"[", b"\n[]\n", b"\n7\n", b"\n \n", b"\r\n", b"7\n"),
    Reader.CSV: (b"", b" ", b",", b"\r", b"]", b"],[", b"\n7\n", b"\n,\n", b"\n \n", b"\r\n", b"\n7,"),
}


@pytest.mark.parametrize(("reader", "defect"), [(r, d) for r, defects in DEFECTS.items() for d in defects])
def test_megabytes_are_read_as_strictly_wherever_they_are_cut(reader: Reader, defect: bytes) -> None:
    """Payloads over BLOCK_BYTES are read in blocks; record 70 or so is the first of the second."""
    separator = b"," if reader is Reader.JSON else b"\n"
    n_separators = BLOCK_BYTES // 60_000 + 3
    for at in range(n_separators - 6, n_separators):
        body = wide_payload(reader, [defect if i == at else separator for i in range(n_separators)])
        assert len(body) > BLOCK_BYTES

        assert bits(decoded(body, reader)) == bits(oracle(body, reader)), at


@pytest.mark.parametrize("end", [b"]", b"]]", b"", b"7", b"}", b",]", b"]7", b"] ]", b"]\n[[1,2]]", b" ] \n"])
@pytest.mark.parametrize("start", [b"[", b"[[", b"", b"7[", b" \n[", b"7", b"{"])
def test_megabytes_of_json_must_be_one_list(start: bytes, end: bytes) -> None:
    body = start + wide_payload(Reader.JSON, [b","] * (BLOCK_BYTES // 60_000 + 3))[1:-1] + end

    assert bits(decoded(body, Reader.JSON)) == bits(oracle(body, Reader.JSON))


@pytest.mark.parametrize("reader", ORACLES)
def test_a_hundred_thousand_records_are_read_to_the_last_bit(reader: Reader) -> None:
    numbers = np.random.default_rng(8).lognormal(3, 2, size=(150_000, 2))
    body = render([[repr(age), repr(power)] for age, power in numbers.tolist()], reader, random.Random(1))
    assert len(body) > BLOCK_BYTES

    payload = decode(body, reader=reader, is_lenient=False)

    assert np.array_equal(payload.vectors, numbers)


@pytest.mark.parametrize("n_records", [1, 2, 64, 3000])
def test_a_bad_record_is_found_at_any_place_of_any_batch(n_records: int) -> None:
    for position in {0, n_records // 2, n_records - 1}:
        records = [(25.0, 1250.0)] * n_records
        records[position] = (25.0, -1.0)
        forms = payloads(records)
        for form, reader in {
            "json": Reader.JSON,
            "json lines": Reader.JSON_LINES,
            "csv": Reader.CSV,
            "csv header": Reader.CSV,
            "npy": Reader.NPY,
            "json instances of objects": Reader.JSON,
        }.items():
            with pytest.raises(InvalidRecordError) as caught:
                decode(forms[form][1], reader=reader, is_lenient=False)

            assert (caught.value.position, caught.value.field) == (position, "Spending_Power")

            payload = decode(forms[form][1], reader=reader, is_lenient=True)

            assert payload.bad == {position}
            assert len(payload.vectors) == n_records


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1.1e100, -5e-324])
def test_an_npy_value_that_is_no_feature_is_refused(value: float) -> None:
    body = npy(np.array([[1.0, 2.0], [value, 3.0]]))

    with pytest.raises(InvalidRecordError) as caught:
        decode(body, reader=Reader.NPY, is_lenient=False)

    assert (caught.value.position, caught.value.field) == (1, "Age")


@pytest.mark.parametrize("body", [b"", b" ", b"\n\r\n\t", b"\xef\xbb\xbf", b"\xef\xbb\xbf \n"])
@pytest.mark.parametrize("reader", list(Reader))
def test_an_empty_payload_is_refused(reader: Reader, body: bytes) -> None:
    with pytest.raises(InvalidPayloadError, match="empty"):
        decode(body, reader=reader, is_lenient=True)


@pytest.mark.parametrize(
    ("body", "reader"),
    [
        (b"[]", Reader.JSON),
        (b" [ \n ] ", Reader.SNIFF),
        (b'{"instances": []}', Reader.JSON),
        (b"Age,Spending_Power\n", Reader.CSV),
        (npy(np.empty((0, 2))), Reader.NPY),
    ],
)
def test_no_records_are_no_error(body: bytes, reader: Reader) -> None:
    assert decode(body, reader=reader, is_lenient=False).vectors.shape == (0, 2)


@pytest.mark.timing
@pytest.mark.parametrize(
    "cell", ["9" * 20_000 + "x", "." * 100_000, "1e" + "9" * 20_000 + "x", " " * 100_000 + "x"]
)
def test_a_long_cell_is_refused_at_once(cell: str) -> None:
    """A pattern that backtracks would take minutes."""
    start = time.perf_counter()

    assert decoded(f"1,2\n{cell},3\n".encode(), Reader.CSV) is None
    assert time.perf_counter() - start < 2
