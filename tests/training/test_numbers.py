"""The one rule by which text becomes a number."""

import decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.training.numbers import Decimal, Flaw, is_readable, read_numbers


def read(
    values: list[Any], *, separator: Decimal = ".", kind: pa.DataType | None = None
) -> list[float | Flaw]:
    reading = read_numbers(pa.chunked_array([pa.array(values, type=kind or pa.string())]), decimal=separator)
    pairs = zip(reading.values.tolist(), reading.flaws.tolist(), strict=True)
    return [Flaw(flaw) if flaw else value for value, flaw in pairs]


ACCEPTED: list[tuple[str, float]] = [
    ("58138", 58138.0),
    ("$58,138.00 ", 58138.0),
    (" 12", 12.0),
    ("12 ", 12.0),
    ("\t7", 7.0),
    ("\u00a012\u00a0", 12.0),
    ("+12", 12.0),
    ("1e3", 1000.0),
    (".5", 0.5),
    ("12.", 12.0),
    ("84 835", 84835.0),
    ("84\u00a0835", 84835.0),
    ("84\u202f835.5", 84835.5),
    ("84'835", 84835.0),
    ("84\u2019835", 84835.0),
    ("1,234,567.89", 1234567.89),
    ("€5", 5.0),
    ("£ 5", 5.0),
    ("¥5", 5.0),
    ("5 \u20b9", 5.0),
    ("EUR 5", 5.0),
    ("5 usd", 5.0),
    ("1e5EUR", 1e5),
    ("-$5", -5.0),
    ("$-5", -5.0),
]


@pytest.mark.parametrize(("text", "expected"), ACCEPTED)
def test_number_is_read_alone_and_among_others(text: str, expected: float) -> None:
    assert read([text]) == [expected]
    assert read(["7", text, "?"]) == [7.0, expected, Flaw.NOT_A_NUMBER]


@pytest.mark.parametrize("text", ["", "  ", "NA", "n/a", "NaN", "null", "NONE", "-", " - ", "\u00a0"])
def test_number_is_missing(text: str) -> None:
    assert read([text, "1"]) == [Flaw.MISSING, 1.0]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "1_000",
            "1d",
            "12f",
            "0x10",
            "\uff11\uff12",
            "12%",
            "1e",
            "e5",
            ".",
            "$",
            "USD",
            "inf",
            "-inf",
            "--5",
        ),
        *(
            "1,00,000",
            "1,234 567",
            "12,34,5",
            "113.53.00",
            "US 5",
            "12 kg",
            "1 2",
            "+-5",
            "12\n13",
            "Infinity",
        ),
    ],
)
def test_number_refuses_other_text(text: str) -> None:
    assert read([text]) == [Flaw.NOT_A_NUMBER]
    assert read(["1", text]) == [1.0, Flaw.NOT_A_NUMBER]


@pytest.mark.parametrize("text", ["12,5", "1.234,56", "0,123", "1234,567", "1.234.567", "12,5 €"])
def test_number_with_a_decimal_comma_is_told_apart(text: str) -> None:
    assert read([text]) == [Flaw.OTHER_DECIMAL]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12,5", 12.5),
        ("1.234,56", 1234.56),
        ("1.234", 1234.0),
        ("84 835,5 EUR", 84835.5),
        ("58138", 58138.0),
        (",5", 0.5),
        ("12.5", Flaw.OTHER_DECIMAL),
        ("1,234.56", Flaw.OTHER_DECIMAL),
    ],
)
def test_decimal_comma_swaps_the_roles(text: str, expected: float | Flaw) -> None:
    assert read([text], separator=",") == [expected]


def test_number_beyond_float64_is_not_finite() -> None:
    assert read(["1e400", "-1e400", "1"]) == [Flaw.NOT_FINITE, Flaw.NOT_FINITE, 1.0]


@settings(deadline=None)
@given(
    cents=st.integers(min_value=-(10**13), max_value=10**13),
    style=st.sampled_from(["{}", "${}", "{} EUR", " {} ", "\u20ac\u00a0{}", "{}\u202fjpy"]),
    group=st.sampled_from(["", ",", " ", "\u00a0", "\u202f", "'", "\u2019"]),
    is_comma=st.booleans(),
)
def test_formatted_number_reads_back_equal(cents: int, style: str, group: str, *, is_comma: bool) -> None:
    text = style.format(f"{decimal.Decimal(cents) / 100:,.2f}")
    text = text.translate(
        {ord(","): group.replace(",", ".") if is_comma else group, ord("."): "," if is_comma else "."}
    )

    actual = read([text], separator="," if is_comma else ".")

    assert actual == [float(decimal.Decimal(cents) / 100)]


@settings(deadline=None)
@given(
    st.lists(
        st.from_regex(r"[+-]?[0-9.]{0,4}([eE][+-]?[0-9]{0,2})?[infa_x ]{0,2}", fullmatch=True), max_size=4
    )
)
def test_fast_path_agrees_with_the_rule(texts: list[str]) -> None:
    actual = read(texts)

    assert actual == read([*texts, "not a number"])[:-1]


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (pa.int8(), [1, None], [1.0, Flaw.MISSING]),
        (pa.uint64(), [2**64 - 1], [float(2**64 - 1)]),
        (pa.float32(), [0.5, float("nan"), float("inf")], [0.5, Flaw.MISSING, Flaw.NOT_FINITE]),
        (pa.float64(), [0.1, None], [0.1, Flaw.MISSING]),
        (pa.decimal128(12, 3), [decimal.Decimal("84835.101"), None], [84835.101, Flaw.MISSING]),
        (pa.large_string(), ["$5", None], [5.0, Flaw.MISSING]),
        (pa.dictionary(pa.int8(), pa.string()), ["5", "5"], [5.0, 5.0]),
        (pa.null(), [None], [Flaw.MISSING]),
    ],
    ids=str,
)
@pytest.mark.parametrize("separator", [".", ","])
def test_column_of_any_readable_type(
    kind: pa.DataType, values: list[Any], expected: list[float | Flaw], separator: Decimal
) -> None:
    assert is_readable(kind)
    assert read(values, kind=kind, separator=separator) == expected


@pytest.mark.parametrize("kind", [pa.bool_(), pa.date32(), pa.list_(pa.int8()), pa.binary()], ids=str)
def test_column_of_another_type_is_not_readable(kind: pa.DataType) -> None:
    assert not is_readable(kind)


def test_flawed_values_are_nan() -> None:
    reading = read_numbers(pa.chunked_array([["1", "x", "", "1,5"]]), decimal=".")

    assert np.isnan(reading.values).tolist() == [False, True, True, True]
