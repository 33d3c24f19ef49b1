"""Hold what is counted of an answer whose records were never gathered: a kernel lets go of each at once."""

from __future__ import annotations

from typing import Final

from service.lazy import np, npt

SAMPLED: Final = 256
"""Records of one payload whose features are looked at one by one; of more, up to MAX_STEP times fewer."""
MAX_STEP: Final = 16


class Tally:
    """Count the records of one answer."""

    __slots__ = ("_records", "sample", "segments", "step")

    def __init__(self, records: int, *, segments: bytes, sample: bytes, step: int) -> None:
        """Take what the kernel counted.

        Args:
            records: How many there are.
            segments: How many of each segment, as int64, in the order of the model's.
            sample: Unscaled features of each step-th record, as float64.
            step: For how many records each of them stands.
        """
        self._records = records
        self.segments: npt.NDArray[np.int64] = np.frombuffer(segments, dtype=np.int64)
        self.sample: npt.NDArray[np.float64] = np.frombuffer(sample, dtype=np.float64).reshape(-1, 2)
        self.step = step

    def __len__(self) -> int:
        """Return how many records there are."""
        return self._records


def sampling_step(records: int) -> int:
    """Return for how many records each that is looked at stands, so that payloads count by their size."""
    return min(MAX_STEP, max(1, records // SAMPLED))
