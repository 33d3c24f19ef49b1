r"""Read numbers as people write them: currencies, thousands separators, a decimal point or comma.

One written rule, the same on every engine, so it is made of narwhals expressions. After trimming, and without
one currency and the separators of correct groups of three, a value is a number when it is
`[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?` and its float64 is finite. Engines left to themselves
disagree: DuckDB takes 1_000, Spark 12f, pandas ' 12', Python full-width digits; polars and pyarrow do not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from service.training.expressions import nw

Decimal = Literal[".", ","]

_BLANKS: Final = " \t\r\n\v\f\u00a0\u2007\u2009\u202f\ufeff"
"""ASCII blanks, and those that spreadsheets put between digits and before a currency."""

_SPACE: Final = "[ \u00a0\u2007\u2009\u202f]"
_APOSTROPHE: Final = "['\u2019]"
_CURRENCY: Final = (
    "(?:[$€£¥₹]|(?i:USD|EUR|GBP|JPY|INR|CNY|CHF|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|RON|TRY|BRL|MXN|ZAR|SGD|HKD"
    "|KRW|TWD|THB|IDR|MYR|PHP|ILS|AED|SAR))"
)
_MISSING: Final = r"^(?i:na|n/a|nan|null|none|-)?$"
_PLAIN: Final = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"


class Flaw(IntEnum):
    """Say why a value cannot be used."""

    NONE = 0
    MISSING = 1
    NOT_A_NUMBER = 2
    OTHER_DECIMAL = 3
    """It is a number once comma and point swap their roles."""
    NOT_FINITE = 4


@dataclass(frozen=True, slots=True)
class Reading:
    """Hold a column as numbers, and what is wrong with the others."""

    values: npt.NDArray[np.float64]
    """NaN where there is a flaw."""
    flaws: npt.NDArray[np.uint8]
    """A `Flaw` for each value."""


def is_readable(kind: pa.DataType) -> bool:
    """Tell whether a column of this type can hold numbers: numeric, decimal or text."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return is_number or _is_text(kind) or pa.types.is_null(kind)


def read_numbers(column: pa.ChunkedArray, *, decimal: Decimal) -> Reading:
    """Read a column of any type that `is_readable`.

    Args:
        column: Text in any of the accepted spellings, or numbers.
        decimal: What stands before the fraction in text.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return read_numbers(column.cast(kind.value_type), decimal=decimal)
    if _is_text(kind):
        return _read_text(pc.fill_null(column.cast(pa.string()), ""), decimal=decimal)
    if pa.types.is_decimal(kind):
        # Through text: Arrow's own cast multiplies by a power of ten and may miss the nearest float64.
        return _read_text(pc.fill_null(column.cast(pa.string()), ""), decimal=".")
    values = _to_numpy(column.cast(pa.float64(), safe=False))
    return _judge(values, is_missing=np.isnan(values))


def number(name: str, *, decimal: Decimal) -> nw.Expr:
    """Return the text column `name` as Float64, null where it is not a number; the rule, for any engine."""
    text = nw.col(name).str.strip_chars(_BLANKS)
    bare = text.str.replace_all(_CURRENCY, "").str.replace_all(
        f"{_SPACE}|{_APOSTROPHE}|[{_other(decimal)}]", ""
    )
    if decimal == ",":
        bare = bare.str.replace_all(",", ".", literal=True)
    return nw.when(text.str.contains(_amount(decimal))).then(bare).cast(nw.Float64)


def is_missing(name: str) -> nw.Expr:
    """Tell whether the text column `name` holds nothing, or one of the words for it."""
    return nw.col(name).str.strip_chars(_BLANKS).str.contains(_MISSING)


def has_other_decimal(name: str, *, decimal: Decimal) -> nw.Expr:
    """Tell whether the text column `name` would be a number if comma and point swapped their roles."""
    return nw.col(name).str.strip_chars(_BLANKS).str.contains(_amount(_other(decimal)))


def _read_text(column: pa.ChunkedArray, *, decimal: Decimal) -> Reading:
    if decimal == ".":
        try:
            values = _to_numpy(column.cast(pa.float64()))
        except pa.ArrowInvalid:
            pass
        else:
            # The cast also takes nan and inf; any other text it takes is a plain number.
            if np.isfinite(values).all():
                return Reading(values, np.zeros(len(values), dtype=np.uint8))
    return _clean(column, decimal=decimal)


def _clean(column: pa.ChunkedArray, *, decimal: Decimal) -> Reading:
    """Apply the rule; in full only to values that are not plain, for its patterns are slow."""
    frame = nw.from_native(pa.table({"text": column}), eager_only=True)
    text = nw.col("text")
    is_plain = text.str.contains(_PLAIN if decimal == "." else r"^[+-]?[0-9]+$")
    plain = frame.select(is_plain=is_plain, value=nw.when(is_plain).then(text).cast(nw.Float64))
    values = _to_numpy(plain["value"].to_native())
    odd = np.flatnonzero(~plain["is_plain"].to_numpy())
    rest = frame.filter(~is_plain).with_columns(value=number("text", decimal=decimal))
    values[odd] = _to_numpy(rest["value"].to_native())
    unread = odd[np.isnan(values[odd])]
    causes = rest.filter(nw.col("value").is_null()).select(
        is_missing=is_missing("text"), has_other_decimal=has_other_decimal("text", decimal=decimal)
    )
    missing, other = np.zeros((2, len(values)), dtype=np.bool_)
    missing[unread] = causes["is_missing"].to_numpy()
    other[unread] = causes["has_other_decimal"].to_numpy()
    return _judge(values, is_missing=missing, has_other_decimal=other)


def _judge(
    values: npt.NDArray[np.float64],
    *,
    is_missing: npt.NDArray[np.bool_],
    has_other_decimal: npt.NDArray[np.bool_] | None = None,
) -> Reading:
    flaws = np.zeros(len(values), dtype=np.uint8)
    flaws[np.isnan(values)] = Flaw.NOT_A_NUMBER
    if has_other_decimal is not None:
        flaws[np.isnan(values) & has_other_decimal] = Flaw.OTHER_DECIMAL
    flaws[np.isinf(values)] = Flaw.NOT_FINITE
    flaws[is_missing] = Flaw.MISSING
    values[flaws != Flaw.NONE] = np.nan
    return Reading(values, flaws)


def _amount(decimal: Decimal) -> str:
    """Return the pattern of a trimmed number with its currency, if any, and its groups."""
    point = re.escape(decimal)
    separators = (re.escape(_other(decimal)), _SPACE, _APOSTROPHE)
    grouped = "|".join(f"[1-9][0-9]{{0,2}}(?:{separator}[0-9]{{3}})+" for separator in separators)
    plain = rf"(?:[0-9]+{point}?[0-9]*|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?"
    signed = f"(?:[+-]?(?:{_CURRENCY}{_SPACE}*)?|{_CURRENCY}{_SPACE}*[+-])"
    return rf"^{signed}(?:(?:{grouped})(?:{point}[0-9]*)?|{plain})(?:{_SPACE}*{_CURRENCY})?$"


def _other(decimal: Decimal) -> Decimal:
    return "," if decimal == "." else "."


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _to_numpy(column: Any) -> npt.NDArray[np.float64]:
    """Return a copy that can be written to, with NaN for null."""
    array: npt.NDArray[np.float64] = np.array(column.to_numpy(), dtype=np.float64)
    return array


@dataclass(frozen=True, slots=True)
class Patterns:
    """Hold the rule as regular expressions that RE2 and Java read alike, for engines that take SQL."""

    blanks: str
    """What is trimmed off both ends."""
    missing: str
    """Nothing, or one of the words for it; after trimming."""
    amount: str
    """A number with its currency and groups; after trimming."""
    dressing: str
    """What is taken out of such a number before it is cast."""


def patterns() -> Patterns:
    """Return the rule for numbers with a decimal point."""
    ends = "[ \\t\\r\\n\\x0B\\f" + "".join(blank for blank in _BLANKS if not blank.isascii()) + "]+"
    return Patterns(
        blanks=f"^{ends}|{ends}$",
        missing=_MISSING,
        amount=_amount("."),
        dressing=f"{_CURRENCY}|{_SPACE}|{_APOSTROPHE}|,",
    )
