"""The kernel answers with Python's bytes, or not at all."""

import json
import random
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.serving.invocation import ServedModel
from service.serving.kernel import Kernel
from service.serving.media import Reader
from service.serving.tally import MAX_STEP, SAMPLED
from service.transform import Transform
from tests.kernel.conftest import ACCEPTED, EDGES, TYPES, is_taken
from tests.serving.conftest import CSV, JSON, JSON_LINES, NPY, make_served, npy, npy_with_header, payloads
from tests.serving.test_codec import BAD_NUMBERS, NUMBERS, mutate, render
from tests.test_parity import records_on_boundaries

TEXTS = (Reader.JSON, Reader.JSON_LINES, Reader.CSV)
MUTANTS = 4000
"""Of each format."""
PLAIN = ("0", "1", "25", "1250.0", "99999.75", "1e3", "1E-3", "2.5e+2", "0.1", "3000.123456789012")
TAKEN = {
    *(
        "json",
        "json compact",
        "json spaced",
        "json lines",
        "json lines x",
        "ndjson",
        "bom",
        "any type",
        "npy",
    ),
    *("json objects", "json features", "json mixed", "json instances", "json inputs"),
    *("json instances of features", "json instances of objects", "json lines of objects"),
    *("csv", "csv crlf", "csv unfinished", "csv header", "csv header swapped"),
    *("no type, json", "no type, csv"),
    *("octets, json", "octets, csv", "octets, npy"),
}
"""Forms of a payload that are the kernel's."""
KINDS = ("<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8")


def write(vectors: npt.NDArray[np.float64], reader: Reader, seed: int = 1) -> bytes:
    if reader is Reader.NPY:
        return npy(vectors)
    cells = [[repr(age), repr(power)] for age, power in vectors.tolist()]
    return render(cells, reader, random.Random(seed))


@pytest.mark.parametrize("reader", [*TEXTS, Reader.NPY])
def test_records_on_boundaries_are_labelled_alike(models: list[ServedModel], reader: Reader) -> None:
    for served in models:
        if len(served.model.centroids) > 1:
            vectors = records_on_boundaries(served.model.partition, 5_000)

            # Some numbers have more digits, or smaller exponents, than the kernel takes.
            assert is_taken(write(np.round(vectors, 9), reader), served, content_type=TYPES[reader])
            is_taken(write(vectors, reader), served, content_type=TYPES[reader])


@pytest.mark.parametrize("accept", ACCEPTED)
def test_every_exact_tie_goes_to_the_first(models: list[ServedModel], accept: str) -> None:
    steps = np.arange(0, 5, 0.5)
    vectors = np.array([(x, y) for x in steps for y in steps])

    assert is_taken(write(vectors, Reader.JSON), models[-1], content_type=JSON, accept=accept)


@pytest.mark.parametrize("accept", ACCEPTED)
@pytest.mark.parametrize("reader", [*TEXTS, Reader.NPY])
@pytest.mark.parametrize(
    "n", [1, 2, 24, 25, 255, 256, 257, 511, 512, 513, 4095, 4096, 4097, 4352, 4353, 9000]
)
def test_any_number_of_records_is_answered_and_counted_alike(
    models: list[ServedModel], reader: Reader, accept: str, n: int
) -> None:
    vectors = np.random.default_rng(n).lognormal(3, 2, size=(n, 2)).round(3)

    for served in (models[n % 7], models[7]):
        assert is_taken(write(vectors, reader, n), served, content_type=TYPES[reader], accept=accept)


def test_the_sample_is_thinned_where_payloads_grow_large(models: list[ServedModel]) -> None:
    assert SAMPLED * MAX_STEP < 9000, "the test above must cross it"
    vectors = np.random.default_rng(1).uniform(0, 100, size=(100_000, 2)).round(2)

    assert is_taken(write(vectors, Reader.CSV), models[2], content_type=CSV)


@pytest.mark.parametrize("form", payloads([(25.0, 1.5)]))
def test_every_form_is_answered_alike(models: list[ServedModel], form: str) -> None:
    for n in (1, 2, 300):
        records = [(25.5 + i, 1e3 / (i + 1)) for i in range(n)]
        content_type, body = payloads(records)[form]
        for accept in ACCEPTED:
            taken = is_taken(body, models[2], content_type=content_type or "", accept=accept)

            assert n == 1 or taken == (form in TAKEN)


@pytest.mark.parametrize("reader", TEXTS)
def test_numbers_of_every_spelling_are_read_alike(models: list[ServedModel], reader: Reader) -> None:
    chance = random.Random(20261123)
    taken = 0
    for number in (*NUMBERS, *BAD_NUMBERS):
        for n in (1, 2, 300):
            cells = [chance.choices(PLAIN, k=2) for _ in range(n)]
            cells[chance.randrange(n)][chance.randrange(2)] = number
            served = chance.choice(models)
            taken += is_taken(render(cells, reader, chance), served, content_type=TYPES[reader])

    assert taken > len(NUMBERS)


@pytest.mark.parametrize("reader", TEXTS)
def test_mutants_are_answered_alike(models: list[ServedModel], reader: Reader) -> None:
    """Both outcomes must occur often, or the mutations prove nothing."""
    chance = random.Random(f"mutants of {reader}")
    taken = 0
    for _ in range(MUTANTS):
        cells = [chance.choices(PLAIN, k=2) for _ in range(chance.choice([1, 2, 3]))]
        body = mutate(render(cells, reader, chance), chance)
        taken += is_taken(body, chance.choice(models), content_type=chance.choice([TYPES[reader], ""]))

    assert MUTANTS * 0.05 < taken < MUTANTS * 0.9


@pytest.mark.parametrize("reader", TEXTS)
@given(text=st.text(alphabet="[],{}0123456789.eE+- \t\r\n", max_size=40))
def test_any_text_is_answered_alike(models: list[ServedModel], reader: Reader, text: str) -> None:
    is_taken(text.encode(), models[2], content_type=TYPES[reader])


@pytest.mark.parametrize("reader", [*TEXTS, Reader.NPY, Reader.SNIFF])
@given(body=st.binary(max_size=80))
def test_any_bytes_are_answered_alike(models: list[ServedModel], reader: Reader, body: bytes) -> None:
    is_taken(body, models[2], content_type=TYPES[reader])
    is_taken(b"\x93NUMPY\x01\x00" + body, models[2], content_type=TYPES[reader])


@given(value=st.floats(0, 1e100) | st.floats(0, 1e4) | st.integers(0, 2**70))
def test_any_number_is_read_to_the_last_bit(models: list[ServedModel], value: float) -> None:
    for text in (repr(value), f"{value:.17g}", f"{value:.3f}", f"{value:.25f}", f"{value:e}"):
        is_taken(f"[[{text}, 1],[1, {text}]]".encode(), models[2], content_type=JSON)


def test_random_spellings_are_read_to_the_last_bit(models: list[ServedModel]) -> None:
    """Of as many digits, before and behind the point, as the kernel takes and more; halfway cases too."""
    chance = random.Random(9)
    taken = 0
    for _ in range(40):
        texts = []
        for _ in range(200):
            digits = str(chance.randrange(10 ** chance.randrange(1, 20)))
            if chance.random() < 0.2:  # between two doubles, and one unit beside it
                digits = str(2**53 + 2 * chance.randrange(500) + 1 + chance.choice([0, 0, 0, 1, -1]))
            point = chance.randrange(len(digits) + 1)
            whole = digits[:point].lstrip("0") or "0"
            fraction = digits[point:]
            exponent = chance.choice(["", "", f"e{chance.randrange(-9, 30)}", f"E+{chance.randrange(9)}"])
            texts.append(f"{whole}.{fraction}{exponent}" if fraction else f"{whole}{exponent}")
        cells = [texts[i : i + 2] for i in range(0, len(texts), 2)]
        taken += is_taken(render(cells, Reader.JSON, chance), models[2], content_type=JSON)
        for pair in cells:
            taken += is_taken(render([pair], Reader.CSV, chance), models[2], content_type=CSV)

    assert taken > 1500


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_of_every_kind_are_answered_alike(models: list[ServedModel], kind: str) -> None:
    generator = np.random.default_rng(3)
    for n in (1, 3, 700):
        array = generator.integers(0, 100, size=(n, 2)).astype(kind)
        if kind in {"<i8", "<u8"}:
            array[0, 1] = 2**53 + 1
        for accept in ACCEPTED:
            assert is_taken(npy(array), models[2], content_type=NPY, accept=accept)
        assert not is_taken(npy(np.asfortranarray(array)), models[2], content_type=NPY) or n == 1
        assert not is_taken(
            npy(array.astype(array.dtype.newbyteorder(">"))), models[2], content_type=NPY
        ) or (array.itemsize == 1)
        if array.dtype.kind != "u":
            array[n // 2, 1] = -1
            assert not is_taken(npy(array), models[2], content_type=NPY)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1.0000000000000002e100, -5e-324])
@pytest.mark.parametrize("n", [1, 300, 70_000])
def test_an_array_with_a_value_that_is_no_feature_is_left_alone(
    models: list[ServedModel], value: float, n: int
) -> None:
    array = np.ones((n, 2))
    array[n - 1, n % 2] = value

    assert not is_taken(npy(array), models[2], content_type=NPY)


@pytest.mark.parametrize("value", [1e100, -0.0, 0.0, 5e-324, 2.2250738585072014e-308])
def test_an_array_with_an_extreme_feature_is_answered_alike(models: list[ServedModel], value: float) -> None:
    for served in models:
        assert is_taken(npy(np.full((30, 2), value)), served, content_type=NPY)


def test_headers_of_arrays_are_read_as_python_reads_them(models: list[ServedModel]) -> None:
    for header in ("{'descr': '=f8', 'fortran_order': False, 'shape': (2,)}", "{}", "x", "{'descr': 1}"):
        for content in (bytes(16), bytes(15), b""):
            is_taken(npy_with_header(header, content), models[2], content_type=NPY)


@pytest.mark.parametrize("body", [b"[]", b"", b" \n", b"[[]]", b"7", npy(np.empty((0, 2)))])
@pytest.mark.parametrize("content_type", ["", JSON, JSON_LINES, CSV, NPY])
def test_nothing_to_label_is_left_alone(models: list[ServedModel], body: bytes, content_type: str) -> None:
    assert not is_taken(body, models[2], content_type=content_type)


def test_a_transform_is_the_same_to_the_last_bit(extension: Any) -> None:
    """Centroids that differ by one unit in the last place tell neighbouring values of log1p apart."""
    served = make_served(2, transform=Transform.LOG1P)
    powers = 10 ** np.random.default_rng(5).uniform(-12, 12, 3000)
    for power in powers.tolist():
        scaled = served.model.partition.scale_one(40.0, power)
        centroids = tuple((scaled[0], float(y)) for y in (scaled[1], np.nextafter(scaled[1], np.inf)))
        model = replace(served.model, centroids=centroids)
        exact = replace(served, model=model, kernel=Kernel(extension, model, edges=EDGES))
        body = npy(np.array([(40.0, power), (40.0, float(np.nextafter(power, np.inf)))]))

        assert is_taken(body, exact, content_type=NPY)


def test_a_body_that_is_json_by_its_first_byte_is_sniffed(models: list[ServedModel]) -> None:
    body = json.dumps([[25, 1250.5]] * 40).encode()

    assert is_taken(b" \r\n" + body, models[2], content_type="")
    assert is_taken(b"\xef\xbb\xbf" + body, models[2], content_type="")
