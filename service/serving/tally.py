"""Hold what is counted of an answer whose records were never gathered: a kernel lets go of each at once."""

from collections.abc import Sequence
from typing import Final

SAMPLED: Final = 256
"""Records of one payload whose features are looked at one by one; of more, up to MAX_STEP times fewer."""
MAX_STEP: Final = 16


class Tally:
    """Count the records of one answer."""

    __slots__ = ("_records", "bins", "segments")

    def __init__(self, records: int, *, segments: bytes, bins: Sequence[bytes]) -> None:
        """Take what the kernel counted, as int64.

        Args:
            records: How many there are.
            segments: How many of each segment, in the order of the model's.
            bins: How many in each bin of Age and of Spending_Power; of those looked at, each stands for more.
        """
        self._records = records
        self.segments: Sequence[int] = memoryview(segments).cast("q")
        self.bins: tuple[Sequence[int], ...] = tuple(memoryview(counts).cast("q") for counts in bins)

    def __len__(self) -> int:
        """Return how many records there are."""
        return self._records


def sampling_step(records: int) -> int:
    """Return for how many records each that is looked at stands, so that payloads count by their size."""
    return min(MAX_STEP, max(1, records // SAMPLED))
