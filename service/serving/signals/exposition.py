"""Write metrics as Prometheus reads them.

Source: Prometheus, "Exposition formats", text format 0.0.4. Checked by its own parser (tests).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]
Sample = tuple[Labels, float]

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Exposition:
    """Gather families of metrics."""

    def __init__(self) -> None:
        """Hold none yet."""
        self._lines: list[str] = []

    def add(
        self, name: str, kind: Literal["counter", "gauge"], meaning: str, samples: Iterable[Sample]
    ) -> None:
        """Add a family of counters or gauges; one without samples does not show."""
        lines = [f"{name}{_labels(labels)} {value}" for labels, value in samples]
        if lines:
            self._begin(name, kind, meaning)
            self._lines += lines

    def add_histograms(
        self,
        name: str,
        meaning: str,
        *,
        bounds: Sequence[float],
        samples: Iterable[tuple[Labels, Sequence[int], float]],
    ) -> None:
        """Add a family of histograms.

        Args:
            name: Of the family.
            meaning: In a sentence.
            bounds: Upper bounds of the buckets.
            samples: Labels, counts of each bucket by itself, one more than there are bounds, and the sum.
        """
        self._begin(name, "histogram", meaning)
        for labels, counts, total in samples:
            below = 0
            for bound, count in zip((*map(repr, bounds), "+Inf"), counts, strict=True):
                below += count
                self._lines.append(f"{name}_bucket{_labels({**labels, 'le': bound})} {below}")
            self._lines.append(f"{name}_sum{_labels(labels)} {total}")
            self._lines.append(f"{name}_count{_labels(labels)} {below}")

    def text(self) -> bytes:
        """Return all of them."""
        return "".join(f"{line}\n" for line in self._lines).encode()

    def _begin(self, name: str, kind: str, meaning: str) -> None:
        self._lines += (f"# HELP {name} {meaning}", f"# TYPE {name} {kind}")


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    pairs = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())
    return f"{{{pairs}}}"
