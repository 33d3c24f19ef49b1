"""Answer GET /live: the last minutes in numbers, for the console."""

import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

from service.contract import INVOCATIONS_PATH
from service.serving.signals.baseline import measure_drift
from service.serving.signals.board import N_TICKS, TICK_S, Cells
from service.serving.signals.layout import DURATIONS_S, REQUESTS, ROUTES, SEGMENTS, STATUSES, duration_cells
from service.serving.signals.process import read_process
from service.serving.signals.source import Source

_INVOCATIONS: Final = ROUTES.index(INVOCATIONS_PATH)
_PERCENTILES: Final = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}
_LOWEST_S: Final = DURATIONS_S[0] / 2
"""Taken for the lower end of the first bucket."""


def describe_live(source: Source) -> dict[str, Any]:
    """Return invocations, errors, latency and records: since the start, the last minutes, and a series."""
    totals = source.board.totals()
    now_s = time.time()
    history = list(_history(source, now_s, totals))
    segments = source.model.segments if source.model else {}
    ids = list(segments)
    workers = [worker for worker in source.board.workers() if read_process(worker.pid) is not None]
    drift = measure_drift(totals, source.model.baseline) if source.model and source.model.baseline else None
    return {
        "time": now_s,
        "model_version": source.model.version if source.model else None,
        "workers": len(workers),
        "interval_s": TICK_S,
        "segments": [{"id": key, "name": name} for key, name in segments.items()],
        "total": _describe(totals, ids),
        "window": {
            "seconds": history[-1][0] - history[0][0],
            **_describe(history[-1][1] - history[0][1], ids),
        },
        "series": [
            {"time": later_s, "seconds": later_s - sooner_s, **_describe(later - sooner, ids)}
            for (sooner_s, sooner), (later_s, later) in pairwise(history)
        ],
        "drift": None if drift is None else {"records": drift.records, "psi": dict(drift.psi)},
    }


def estimate_quantile(counts: Sequence[int], share: float) -> float | None:
    """Return the duration in seconds that a share of requests stayed within; None without requests.

    The buckets widen by a factor of 2 to 2.5, and within one all durations are taken as equally likely on a
    logarithmic scale, so this is right to that factor at worst.
    """
    wanted = share * sum(counts)
    if not wanted:
        return None
    below = 0
    bounds = (_LOWEST_S, *DURATIONS_S, DURATIONS_S[-1])
    for (low, high), count in zip(pairwise(bounds), counts, strict=True):
        if below + count >= wanted and count:
            return float(low * (high / low) ** ((wanted - below) / count))
        below += count
    return DURATIONS_S[-1]


def _history(source: Source, now_s: float, totals: Cells) -> Iterator[tuple[float, Cells]]:
    """Yield times and totals, oldest first; where the server is young, its start with zeros."""
    kept = list(source.board.snapshots())
    # The clock may have been put back since the start.
    first_s = kept[0][0] if kept else now_s
    started_s = min((first_s, *(worker.started_s for worker in source.board.workers())))
    if now_s - started_s < N_TICKS * TICK_S:
        yield started_s, totals * 0
    yield from kept
    yield now_s, totals


def _describe(cells: Cells, ids: Sequence[int]) -> dict[str, Any]:
    table = cells[REQUESTS].reshape(len(ROUTES), len(STATUSES))[_INVOCATIONS].tolist()
    by_status = {status: count for status, count in zip(STATUSES, table, strict=True) if count}
    durations = cells[duration_cells(INVOCATIONS_PATH)].tolist()
    quantiles = {name: estimate_quantile(durations, share) for name, share in _PERCENTILES.items()}
    assigned = cells[SEGMENTS].tolist()
    return {
        "requests": sum(by_status.values()),
        "errors": sum(count for status, count in by_status.items() if not status.startswith("2")),
        "statuses": by_status,
        **{name: None if value is None else round(value * 1e3, 4) for name, value in quantiles.items()},
        "records": {str(key): count for key, count in zip(ids, assigned, strict=False)},
    }
