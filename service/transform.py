"""Transform Spending_Power before scaling, with the same bits in pure Python and in numpy.

numpy's log1p differs between CPUs, and from the C library's, in the last bits; a label must not.
`log1p` here uses nothing but IEEE additions, multiplications and divisions, each rounded alike everywhere.

Source: fdlibm s_log1p.c (Sun Microsystems, 1993) for the reduction, the coefficients and the error bound
of 1 ulp. Java's StrictMath uses the same, and so do Spark's SQL functions.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Final

from service.lazy import np, npt

LN2_HI: Final = 6.93147180369123816490e-01
LN2_LO: Final = 1.90821492927058770002e-10
COEFFICIENTS: Final = (
    6.666666666666735130e-01,
    3.999999999940941908e-01,
    2.857142874366239149e-01,
    2.222219843214978396e-01,
    1.818357216161805012e-01,
    1.531383769920937332e-01,
    1.479819860511658591e-01,
)
SQRT2: Final = 1.0 + 0x6A09E / 2**20
"""sqrt(2) to the 20 bits that decide to which side a mantissa is reduced."""


class Transform(StrEnum):
    """Name what is done to Spending_Power before scaling."""

    NONE = "none"
    LOG1P = "log1p"


def transform_one(spending_power: float, transform: Transform) -> float:
    """Return the transformed Spending_Power of one record."""
    return spending_power if transform is Transform.NONE else log1p_one(spending_power)


def transform_all(spending_powers: npt.NDArray[np.float64], transform: Transform) -> npt.NDArray[np.float64]:
    """Return the transformed Spending_Power of each record, with the bits of `transform_one`."""
    return spending_powers if transform is Transform.NONE else log1p_all(spending_powers)


def log1p_one(x: float) -> float:
    """Return log(1 + x) for 0 <= x <= MAX_VALUE, within 1 ulp."""
    u = 1.0 + x
    mantissa, exponent = math.frexp(u)
    mantissa, exponent = mantissa * 2.0, exponent - 1
    # What rounding took from 1 + x, relative to u.
    correction = (1.0 - (u - x) if exponent > 0 else x - (u - 1.0)) / u
    if mantissa >= SQRT2:
        mantissa, exponent = mantissa * 0.5, exponent + 1
    f, correction = (x, 0.0) if exponent == 0 else (mantissa - 1.0, correction)
    half_square = 0.5 * f * f
    s = f / (2.0 + f)
    z = s * s
    r = 0.0
    for coefficient in reversed(COEFFICIENTS):
        r = z * (coefficient + r)
    tail = s * (half_square + r)
    if exponent == 0:
        return f - (half_square - tail)
    return exponent * LN2_HI - ((half_square - (tail + (exponent * LN2_LO + correction))) - f)


def log1p_all(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return `log1p_one` of each element, bit for bit."""
    u = 1.0 + x
    mantissa, exponent = np.frexp(u)
    mantissa, exponent = mantissa * 2.0, exponent - 1
    correction = np.where(exponent > 0, 1.0 - (u - x), x - (u - 1.0)) / u
    above = mantissa >= SQRT2
    mantissa, exponent = np.where(above, mantissa * 0.5, mantissa), exponent + above
    near_one = exponent == 0
    f = np.where(near_one, x, mantissa - 1.0)
    half_square = 0.5 * f * f
    s = f / (2.0 + f)
    z = s * s
    r = np.zeros_like(z)
    for coefficient in reversed(COEFFICIENTS):
        r = z * (coefficient + r)
    tail = s * (half_square + r)
    far = exponent * LN2_HI - ((half_square - (tail + (exponent * LN2_LO + correction))) - f)
    return np.where(near_one, f - (half_square - tail), far)
