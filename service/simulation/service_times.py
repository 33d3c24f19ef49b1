"""Know how long a server takes for a request, from a result of `segserve bench --json`."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from service.errors import ConfigurationError

_BUNDLED: Final = Path(__file__).with_name("measured.json")
_LAST: Final = 5.0
"""The slowest request stands for the slowest of a hundred thousand: 1 - 10^-5."""
_FASTEST: Final = 0.6
"""Of the median: what the fastest request takes, which bench does not tell."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ServiceTimes:
    """Hold a distribution of service times of one worker.

    The mean follows from the throughput of the loaded server, the shape from its latencies. Where more
    connections than workers were used, each latency includes waiting for others, so that the shape is that
    of the wait and its pauses as well; the mean, which decides how many instances it takes, is not touched.
    """

    knots: Floats
    """-log10(1 - share) of requests."""
    values_s: Floats
    """Service times there, ascending."""
    mean_s: float
    records: int | None
    """In a request."""
    source: str
    """What was measured, when and how."""

    def draw(self, random: np.random.Generator, size: int | tuple[int, ...]) -> Floats:
        """Return service times in seconds."""
        places = np.minimum(random.standard_exponential(size) / math.log(10), _LAST)
        return np.interp(places, self.knots, self.values_s)

    def variation(self) -> float:
        """Return the squared coefficient of variation."""
        values = self._grid()
        return float(np.var(values) / np.mean(values) ** 2)

    def per_second(self, workers: int) -> float:
        """Return how many requests so many workers answer in a second."""
        return workers / self.mean_s

    def _grid(self) -> Floats:
        return np.interp(_places(), self.knots, self.values_s)


def _places() -> Floats:
    """Return the knots of a fine, even grid of shares."""
    shares = (np.arange(200_000) + 0.5) / 200_000
    return np.minimum(-np.log10(1 - shares), _LAST)


def exponential(mean_s: float) -> ServiceTimes:
    """Return exponential service times, for which closed forms are known."""
    knots = np.linspace(0, _LAST, 500)
    return ServiceTimes(knots, knots * math.log(10) * mean_s, mean_s, None, "exponential")


def constant(value_s: float) -> ServiceTimes:
    """Return service times that are all the same."""
    return ServiceTimes(np.array([0, _LAST]), np.full(2, value_s), value_s, None, "constant")


def read_service_times(path: Path | None, *, records: int | None, workers: int = 1) -> ServiceTimes:
    """Read what a bench found.

    Args:
        path: A result of `segserve bench --json`; None is the one that comes with segserve.
        records: Which of its payloads; None is the first.
        workers: Server processes of the measured server.

    Raises:
        ConfigurationError: It cannot be read, is no such result, or has no such payload.
    """
    source = path or _BUNDLED
    try:
        document = json.loads(source.read_bytes())
    except OSError as exc:
        raise ConfigurationError(f"--bench {source} cannot be read: {exc.strerror}") from None
    except (ValueError, RecursionError):
        raise ConfigurationError(
            f"--bench {source} is not JSON: it should be from segserve bench --json"
        ) from None
    try:
        found = [_read(document, result, source=source, workers=workers) for result in document["results"]]
    except (KeyError, TypeError, ValueError, AttributeError):
        found = []
    if not found:
        raise ConfigurationError(f"--bench {source} is not a result of segserve bench --json") from None
    chosen = [times for times in found if records is None or times.records == records]
    if not chosen:
        known = ", ".join(str(times.records) for times in found)
        raise ConfigurationError(
            f"--records {records} is not accepted: {source.name} has payloads of {known} records"
        )
    return chosen[0]


def _read(document: dict[str, Any], result: dict[str, Any], *, source: Path, workers: int) -> ServiceTimes:
    latencies = sorted((float(name[1:]), float(value)) for name, value in result["latency_ms"].items())
    rate, connections = float(result["requests_per_s"]), int(document["connections"])
    mean_s = min(workers, connections) / rate
    median = dict(latencies)[50.0]
    values = np.maximum.accumulate([median * _FASTEST, *(value for _, value in latencies)])
    knots = np.array(
        [0.0, *(_LAST if share >= 100 else -math.log10(1 - share / 100) for share, _ in latencies)]
    )
    if not (0 < mean_s < math.inf and values[0] > 0 and np.isfinite(values).all()):
        raise ValueError
    raw = float(np.mean(np.interp(_places(), knots, values)))
    told = document.get("measured") or {}
    origin = f"{told['command']}, {told['date']}, {told['machine']}" if told else str(source)
    return ServiceTimes(knots, values * (mean_s / raw), mean_s, result.get("records"), origin)
