"""Round what is published of a fit."""

from typing import Final

SIGNIFICANT_DIGITS: Final = 12
"""What is published of a centroid. The bits below depend on CPU and library versions; these do not."""


def round_significant(value: float) -> float:
    """Round to SIGNIFICANT_DIGITS."""
    return float(f"{value:.{SIGNIFICANT_DIGITS - 1}e}")
