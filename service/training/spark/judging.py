"""Judge rows by SQL: the rule of numbers as everywhere, and the same problems in the same order.

The rule is that of `numbers`, whose narwhals expressions Spark evaluates too. Three things of Java's patterns
differ and are set right beforehand: `$` also matches before some line ends, and two foreign letters that fold
to k and s do so only elsewhere.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import narwhals as nw

from service.features import AGE, INCOME, MAX_VALUE
from service.training.columns import Source
from service.training.numbers import Decimal, has_other_decimal, is_missing, number

USABLE: Final = 0
RAGGED: Final = -1
BLANK: Final = -2

_PLAIN: Final = r"^[+-]?+(?:[0-9]++\.?+[0-9]*+|\.[0-9]++)(?:[eE][+-]?+[0-9]++)?+\z"
_WHOLE: Final = r"^[+-]?+[0-9]++\z"
_FOLDED: Final = ("\x85\u2028\u2029\u017f\u212a", "???sk")
_DECIMAL_NAMES: Final[dict[Decimal, str]] = {".": "point", ",": "comma"}


@dataclass(frozen=True, slots=True)
class Problem:
    """Say what may be wrong with a row."""

    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class Judged:
    """Hold a frame with a column `problem`, and what its positive numbers mean."""

    frame: Any
    """With Age, Income and Purchases as double, null where there is no number."""
    problems: tuple[Problem, ...]
    """That of number 1 first."""


def judge(frame: Any, sources: Sequence[Source], *, names: Sequence[str], decimal: Decimal) -> Judged:
    """Find the first problem of each row that is not ragged or blank already.

    Args:
        frame: With a column `problem`, USABLE so far, RAGGED or BLANK.
        sources: Of Age, Income and Purchases.
        names: The columns of the frame that hold those of the file: text, numbers or decimals.
        decimal: What stands before the fraction in text.
    """
    from pyspark.sql import functions as F  # noqa: N812, PLC0415

    places = sorted({place for source in sources for place in source.positions})
    frame = _read_numbers(frame, {place: names[place] for place in places}, decimal=decimal)
    values = {source.target: _evaluate(source) for source in sources}
    frame = frame.withColumns(values)
    found = F.when(F.col("problem") != USABLE, F.col("problem"))
    problems: list[Problem] = []
    for source in sources:
        for is_bad, column, reason in _find_problems(source, decimal=decimal):
            problems.append(Problem(column, f"{source.target} {reason}"))
            found = found.when(is_bad, F.lit(len(problems)))
    frame = frame.withColumn("problem", found.otherwise(F.lit(USABLE)))
    scratch = [f"{kind}{place}" for place in places for kind in "vmof"]
    return Judged(frame.drop(*scratch), tuple(problems))


def _read_numbers(frame: Any, names: dict[int, str], *, decimal: Decimal) -> Any:
    """Add the value `v` of each place, null where there is none; and why: `m`issing, `o`ther, in`f`inite."""
    from pyspark.sql import functions as F  # noqa: N812, PLC0415
    from pyspark.sql import types as T  # noqa: N812, PLC0415

    for place, name in names.items():
        kind = frame.schema[name].dataType
        v, m, o, f = (f"{letter}{place}" for letter in "vmof")
        if isinstance(kind, (T.StringType, T.DecimalType, T.NullType)):
            mark: Decimal = decimal if isinstance(kind, T.StringType) else "."
            text = F.coalesce(F.col(name).cast("string"), F.lit(""))
            is_plain = text.rlike(_PLAIN if mark == "." else _WHOLE)
            # The rule's patterns are slow: only what is not plain goes through them, the rest is null here.
            odd = F.when(~is_plain, F.translate(text, *_FOLDED))
            frame = frame.withColumns({f: F.when(is_plain, text.cast("double")), v: odd})
            read = nw.from_native(frame).with_columns(
                nw.coalesce(nw.col(f), number(v, decimal=mark)).alias(f),
                nw.coalesce(is_missing(v), nw.lit(value=False)).alias(m),
                nw.coalesce(has_other_decimal(v, decimal=mark), nw.lit(value=False)).alias(o),
            )
            frame = nw.to_native(read).withColumn(v, F.col(f))
        else:
            value = F.col(name).cast("double")
            frame = frame.withColumns(
                {
                    v: value,
                    m: F.coalesce(F.isnan(value), F.lit(True)) | value.isNull(),
                    o: F.lit(False),
                }
            )
        is_endless = F.coalesce(F.abs(F.col(v)) == float("inf"), F.lit(False))
        is_value = F.col(v).isNotNull() & ~F.isnan(v) & ~is_endless
        frame = frame.withColumn(f, is_endless).withColumn(v, F.when(is_value, F.col(v)))
    return frame


def _evaluate(source: Source) -> Any:
    """Return an expression of columns, in the steps of `Expression.evaluate`."""
    from pyspark.sql import functions as F  # noqa: N812, PLC0415

    by_name = dict(zip(source.expression.names, source.positions, strict=True))
    stack: list[Any] = []
    for kind, text in source.expression.steps:
        match kind:
            case "column":
                stack.append(F.col(f"v{by_name[text]}"))
            case "number":
                stack.append(F.lit(float(text)))
            case "negate":
                stack.append(-stack.pop())
            case "binary":
                right = stack.pop()
                stack.append(_combine(text, stack.pop(), right))
    return stack.pop()


def _combine(sign: str, left: Any, right: Any) -> Any:
    match sign:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case _:
            return _divided(left, right)


def _divided(left: Any, right: Any) -> Any:
    """Divide as IEEE 754 has it: Spark gives null for a division by zero."""
    from pyspark.sql import functions as F  # noqa: N812, PLC0415

    is_negative = (left < 0) != (right.cast("string") == "-0.0")
    endless = F.when(is_negative, F.lit(float("-inf"))).otherwise(F.lit(float("inf")))
    by_zero = F.when((left == 0) | F.isnan(left), F.lit(float("nan"))).otherwise(endless)
    return F.when(left.isNotNull() & (right == 0), by_zero).otherwise(
        left / F.when(right == 0, F.lit(1.0)).otherwise(right)
    )


def _find_problems(source: Source, *, decimal: Decimal) -> Iterator[tuple[Any, str, str]]:
    """Give what is wrong, worst first, as `customers` does: in which rows, with which column, and why."""
    from pyspark.sql import functions as F  # noqa: N812, PLC0415

    other: Decimal = "," if decimal == "." else "."
    operands = list(zip(source.positions, source.columns, strict=True))
    for place, column in operands:
        m, o, f = (F.col(f"{letter}{place}") for letter in "mof")
        yield F.col(f"v{place}").isNull() & ~m & ~o & ~f, column, "is not a number"
        swapped = (
            f"looks like a number with a decimal {_DECIMAL_NAMES[other]}; for such files: --decimal {other}"
        )
        yield F.col(f"v{place}").isNull() & o & ~f, column, swapped
        yield f, column, "is not finite"
    if source.target != INCOME:
        for place, column in operands:
            yield F.col(f"v{place}").isNull() & F.col(f"m{place}"), column, "is missing"
    value = F.col(source.target)
    is_odd = value.isNotNull() & (F.isnan(value) | (F.abs(value) == float("inf")))
    yield is_odd, source.blamed, "is not finite (division by zero or overflow)"
    yield value.isNotNull() & (value > MAX_VALUE), source.blamed, f"must not be above {MAX_VALUE:g}"
    if source.target == AGE:
        yield value.isNotNull() & (value <= 0), source.blamed, "must be greater than 0"
    else:
        yield value.isNotNull() & (value < 0), source.blamed, "must not be negative"
