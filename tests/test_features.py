"""One rule for Spending_Power, in scalar and array form."""

import math

import numpy as np
import pytest

from service.features import MAX_VALUE, is_valid_value, spending_power, spending_powers


@pytest.mark.parametrize(
    ("income", "purchases", "expected"),
    [(50_000, 10, 5_000), (50_000, 0, 50_000), (50_000, 1, 50_000), (50_000, 0.5, 50_000), (0, 7, 0)],
)
def test_spending_power_counts_at_least_one_purchase(
    income: float, purchases: float, expected: float
) -> None:
    assert spending_power(income, purchases) == expected
    assert spending_powers(np.array([income], float), np.array([purchases], float)).tolist() == [expected]


def test_scalar_and_array_spending_power_agree_bit_for_bit() -> None:
    generator = np.random.default_rng(1)
    incomes, purchases = generator.uniform(0, 1e6, 10_000), generator.integers(0, 60, 10_000).astype(float)
    one_by_one = [spending_power(*pair) for pair in zip(incomes.tolist(), purchases.tolist(), strict=True)]

    assert spending_powers(incomes, purchases).tolist() == one_by_one


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0, True), (MAX_VALUE, True), (-1e-9, False), (math.nan, False), (math.inf, False), (2e100, False)],
)
def test_only_finite_values_from_0_to_the_maximum_are_valid(value: float, *, expected: bool) -> None:
    assert is_valid_value(value) is expected
