"""Count records that differ: there can be no more clusters than those."""

import numpy as np
import numpy.typing as npt

from service.errors import TrainingError
from service.features import AGE, SPENDING_POWER


def check_enough_records(vectors: npt.NDArray[np.float64], *, k: int) -> None:
    """Raise TrainingError when there are fewer distinct records than clusters."""
    if k > len(vectors) or k > (distinct := count_distinct(vectors, enough=k)):
        found = min(len(vectors), distinct) if k <= len(vectors) else len(vectors)
        raise TrainingError(
            f"k={k} needs at least {k} distinct records of ({AGE}, {SPENDING_POWER}), but there are {found}"
        )


def count_distinct(vectors: npt.NDArray[np.float64], *, enough: int) -> int:
    """Count distinct records, exactly up to `enough`; cheap for large data."""
    distinct = len(np.unique(vectors[: 100 * enough], axis=0))
    return distinct if distinct >= enough else len(np.unique(vectors, axis=0))
