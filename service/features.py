"""Say what a customer is to the model: column names, Spending_Power and the zero-purchase rule."""

from __future__ import annotations

from typing import Final

from service.lazy import np, npt

AGE: Final = "Age"
INCOME: Final = "Income"
PURCHASES: Final = "Purchases"
GENDER: Final = "Gender"
SPENDING_POWER: Final = "Spending_Power"

RAW_COLUMNS: Final = (AGE, INCOME, PURCHASES)
"""What a customer file must have. Gender may be there and is dropped."""

FEATURE_NAMES: Final = (AGE, SPENDING_POWER)
"""What the model takes, in this order, unscaled."""

ZERO_PURCHASE_RULE: Final = "at-least-one"
"""A customer without a purchase counts as one with one purchase, so that the ratio stays finite."""

MAX_VALUE: Final = 1e100
"""Larger magnitudes are refused: their squares would overflow a float64."""


def spending_power(income: float, purchases: float) -> float:
    """Return Income / max(Purchases, 1) of one customer."""
    return income / max(purchases, 1.0)


def spending_powers(
    incomes: npt.NDArray[np.float64], purchases: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return `spending_power` of each customer, with the same bits, shape (n_samples,)."""
    return incomes / np.maximum(purchases, 1.0)


def is_valid_value(value: float) -> bool:
    """Tell whether a feature's value is usable: finite, not negative, not above MAX_VALUE."""
    return 0.0 <= value <= MAX_VALUE
