"""log1p must have the same bits everywhere, and be right."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from service.features import MAX_VALUE
from service.transform import Transform, log1p_all, log1p_one, transform_all, transform_one


@pytest.fixture(name="values", scope="module")
def _values() -> npt.NDArray[np.float64]:
    generator = np.random.default_rng(0)
    special = [0.0, 5e-324, 1e-300, 0.41421356, 0.4142137, 1.0, math.e - 1, 2.0**52, 2.0**53 + 2, MAX_VALUE]
    return np.concatenate(
        [10 ** generator.uniform(-20, 100, 200_000), generator.uniform(0, 3, 200_000), np.array(special)]
    )


def test_array_and_scalar_log1p_agree_bit_for_bit(values: npt.NDArray[np.float64]) -> None:
    one_by_one = np.array([log1p_one(value) for value in values.tolist()])

    assert log1p_all(values).tobytes() == one_by_one.tobytes()


def test_log1p_is_within_one_ulp_of_the_c_library(values: npt.NDArray[np.float64]) -> None:
    expected = np.array([math.log1p(value) for value in values.tolist()])

    assert np.max(np.abs(log1p_all(values) - expected) / np.spacing(expected + 5e-324)) <= 1.0


def test_transform_none_leaves_values_alone() -> None:
    values = np.array([0.0, 1.5, 3e9])

    assert transform_all(values, Transform.NONE).tolist() == values.tolist()
    assert transform_one(1.5, Transform.NONE) == 1.5
    assert transform_one(1.5, Transform.LOG1P) == log1p_one(1.5)
