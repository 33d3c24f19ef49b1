"""Say in the scored file what was assumed of a customer."""

from typing import Final

import numpy as np
import numpy.typing as npt

from service.training.cells import Floats

_NO_PURCHASE: Final = "no purchase, counted as one"
_IMPUTED: Final = "Income taken as the median of the training data"

PLAIN_NOTES: Final = ("", _NO_PURCHASE, _IMPUTED, f"{_IMPUTED}; {_NO_PURCHASE}")
"""By code."""


def note_codes(incomes: Floats, purchases: Floats) -> npt.NDArray[np.int64]:
    """Return the code of the note of each usable record; Income is NaN where there is none."""
    codes: npt.NDArray[np.int64] = (purchases == 0) + 2 * np.isnan(incomes).astype(np.int64)
    return codes
