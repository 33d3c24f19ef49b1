"""Assign customers to segments by expressions of columns, with the bits of SegmentModel.

Every step is one IEEE operation of `partition` and `transform`, in their order; Java rounds them alike. The
first centroid wins a tie, as the first place of the least distance does.
"""

from collections.abc import Sequence
from typing import Any, Final

from service.features import AGE, INCOME, PURCHASES
from service.model import SegmentModel
from service.transform import COEFFICIENTS, LN2_HI, LN2_LO, SQRT2, Transform

_PLACE: Final = "cast(array_position(squares, array_min(squares)) AS int)"
"""As SQL: in Python, Spark 3.5 takes no column here."""

_STEPS: Final = ("x", "y", "squares", "place", "nearest", "second")
_LOG_STEPS: Final = (
    *("u", "guess", "power", "exponent", "mantissa", "correction"),
    *("f", "half_square", "s", "z", "tail"),
)


def with_segments(frame: Any, model: SegmentModel) -> Any:
    """Add segment, segment_name, confidence, outlier and border, null where there is no number.

    Args:
        frame: With Age, Income and Purchases as double; a missing Income is the model's median.
        model: Assigns the customers.
    """
    from pyspark.sql import functions as F  # noqa: N812, PLC0415

    limits = [segment.outlier_distance for segment in model.segments]
    power = _power(model.income_median)
    frame = _scaled(frame, power, model)
    frame = frame.withColumn("squares", F.array(*(_square(pair) for pair in model.centroids)))
    frame = frame.withColumn("place", F.expr(_PLACE)).withColumn("nearest", F.sqrt(F.array_min("squares")))
    is_alone = len(model.centroids) == 1
    second = F.lit(float("inf")) if is_alone else F.sqrt(F.element_at(F.array_sort("squares"), 2))
    frame = frame.withColumn("second", second)
    both = F.col("nearest") + F.col("second")
    confidence = F.when(both > 0, F.col("second") / both).otherwise(F.lit(0.5))
    if is_alone:
        confidence = F.lit(1.0)
    is_known = F.col("place").isNotNull()
    return frame.withColumns(
        {
            "segment": _look_up(model.ids).cast("int"),
            "segment_name": _look_up([segment.name for segment in model.segments]),
            "confidence": F.when(is_known, F.rint(confidence * 10_000.0) / 10_000.0),
            "outlier": F.when(is_known, F.col("nearest") > _look_up(limits)),
            "border": F.when(is_known, F.col("second") < F.col("nearest") * float(model.border_ratio)),
        }
    ).drop(*_STEPS)


def with_label(frame: Any, model: SegmentModel, *, name: str) -> Any:
    """Add the id of the segment alone."""
    from pyspark.sql import functions as F  # noqa: N812, PLC0415

    frame = _scaled(frame, _power(model.income_median), model)
    squares = F.array(*(_square(pair) for pair in model.centroids))
    frame = frame.withColumn("squares", squares).withColumn("place", F.expr(_PLACE))
    return frame.withColumn(name, _look_up(model.ids).cast("int")).drop(*_STEPS)


def with_log1p(frame: Any, name: str) -> Any:
    """Replace a column of values from 0 to MAX_VALUE by `log1p_one` of it.

    Each step is a column of its own: one expression would hold the first ones thousands of times.
    """
    from pyspark.sql import functions as F  # noqa: N812, PLC0415

    x, u, guess, power, exponent, mantissa, correction, f, half_square, s, z, tail = (
        F.col(step) for step in (name, *_LOG_STEPS)
    )
    frame = frame.withColumn("u", x + 1.0)
    # Java's pow is exact where the result is; the logarithm may be one off, and is set right.
    # Source: java.lang.StrictMath.pow, "if both arguments are integers".
    frame = frame.withColumn("guess", F.floor(F.log2(u)).cast("double"))
    frame = frame.withColumn("power", F.pow(F.lit(2.0), guess))
    whole = F.when(u < power, guess - 1.0).when(u >= power * 2.0, guess + 1.0).otherwise(guess)
    frame = frame.withColumn("exponent", whole).withColumn("mantissa", u / F.pow(F.lit(2.0), exponent))
    is_above = mantissa >= SQRT2
    frame = frame.withColumns(
        {
            "correction": F.when(exponent > 0, F.lit(1.0) - (u - x)).otherwise(x - (u - 1.0)) / u,
            "mantissa": F.when(is_above, mantissa * 0.5).otherwise(mantissa),
            "exponent": F.when(is_above, exponent + 1.0).otherwise(exponent),
        }
    )
    is_near_one = exponent == 0
    frame = frame.withColumn("f", F.when(is_near_one, x).otherwise(mantissa - 1.0))
    frame = frame.withColumns({"half_square": F.lit(0.5) * f * f, "s": f / (f + 2.0)})
    frame = frame.withColumn("z", s * s)
    r = F.lit(0.0)
    for coefficient in reversed(COEFFICIENTS):
        r = z * (F.lit(coefficient) + r)
    frame = frame.withColumn("tail", s * (half_square + r))
    far = exponent * LN2_HI - ((half_square - (tail + (exponent * LN2_LO + correction))) - f)
    near = f - (half_square - tail)
    return frame.withColumn(name, F.when(is_near_one, near).otherwise(far)).drop(*_LOG_STEPS)


def _power(median: float) -> Any:
    from pyspark.sql import functions as F  # noqa: N812, PLC0415

    income = F.coalesce(F.col(INCOME), F.when(F.col(AGE).isNotNull(), F.lit(float(median))))
    return income / F.greatest(F.col(PURCHASES), F.lit(1.0))


def _scaled(frame: Any, power: Any, model: SegmentModel) -> Any:
    from pyspark.sql import functions as F  # noqa: N812, PLC0415

    frame = frame.withColumn("y", power)
    if model.transform is Transform.LOG1P:
        frame = with_log1p(frame, "y")
    return frame.withColumns(
        {
            "x": (F.col(AGE) - float(model.mean[0])) / float(model.scale[0]),
            "y": (F.col("y") - float(model.mean[1])) / float(model.scale[1]),
        }
    )


def _square(centroid: Sequence[float]) -> Any:
    from pyspark.sql import functions as F  # noqa: N812, PLC0415

    dx, dy = F.col("x") - float(centroid[0]), F.col("y") - float(centroid[1])
    return dx * dx + dy * dy


def _look_up(values: Sequence[Any]) -> Any:
    from pyspark.sql import functions as F  # noqa: N812, PLC0415

    return F.element_at(F.array(*(F.lit(value) for value in values)), F.col("place"))
