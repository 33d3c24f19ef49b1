"""Answer GET /metrics: everything that is counted, for Prometheus and SageMaker's collector (C42)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import service
from service.contract import INVOCATIONS_PATH
from service.lazy import np
from service.serving.signals.baseline import measure_drift
from service.serving.signals.board import Board, Cells
from service.serving.signals.exposition import Exposition, Sample
from service.serving.signals.layout import (
    ANSWER_SUM,
    DURATION_SUMS,
    DURATIONS_S,
    ERROR_CODES,
    ERRORS,
    PAYLOAD_SUM,
    PAYLOADS,
    REASONS,
    REJECTED,
    REQUESTS,
    ROUTES,
    SEGMENTS,
    SIZES_BYTES,
    STATUSES,
    duration_cells,
)
from service.serving.signals.process import read_process
from service.serving.signals.source import ModelFacts, Source


def render_metrics(source: Source) -> bytes:
    """Return the totals over all workers; takes well under 5 ms (tests/serving/signals/test_metrics.py)."""
    text = Exposition()
    totals = source.board.totals()
    _add_requests(text, totals)
    _add_invocations(text, totals)
    if source.model is not None:
        _add_model(text, source.model, totals)
    else:
        text.add("segserve_records_total", "counter", "Records scored.", [({}, int(totals[SEGMENTS].sum()))])
    _add_processes(text, source.board)
    return text.text()


def _add_requests(text: Exposition, totals: Cells) -> None:
    text.add(
        "segserve_requests_total", "counter", "Requests answered, by route and status.", _requests(totals)
    )
    sums = totals[DURATION_SUMS].view(np.float64)
    text.add_histograms(
        "segserve_request_duration_seconds",
        "Time to answer a request whose payload has arrived, by route.",
        bounds=DURATIONS_S,
        samples=(
            ({"route": route}, totals[duration_cells(route)].tolist(), float(seconds))
            for route, seconds in zip(ROUTES, sums, strict=True)
            if route == INVOCATIONS_PATH or totals[duration_cells(route)].any()
        ),
    )


def _requests(totals: Cells) -> Iterator[Sample]:
    """Yield what has occurred; and 200 of /invocations, so that the first one is a rise, not a beginning."""
    table = totals[REQUESTS].reshape(len(ROUTES), len(STATUSES)).tolist()
    for route, counts in zip(ROUTES, table, strict=True):
        for status, count in zip(STATUSES, counts, strict=True):
            if count or (route == INVOCATIONS_PATH and status == "200"):
                yield {"route": route, "status": status}, count


def _add_invocations(text: Exposition, totals: Cells) -> None:
    text.add_histograms(
        "segserve_payload_bytes",
        "Size of an invocation's payload.",
        bounds=SIZES_BYTES,
        samples=[({}, totals[PAYLOADS].tolist(), int(totals[PAYLOAD_SUM][0]))],
    )
    text.add(
        "segserve_answer_bytes_total",
        "counter",
        "Bytes of the answers to invocations.",
        [({}, int(totals[ANSWER_SUM][0]))],
    )
    text.add(
        "segserve_refused_invocations_total",
        "counter",
        "Invocations that failed, by the code in the error body.",
        [({"code": code}, count) for code, count in zip(ERROR_CODES, totals[ERRORS].tolist(), strict=True)],
    )
    text.add(
        "segserve_rejected_records_total",
        "counter",
        "Records that got no segment, by reason; of a payload that was refused, the first one.",
        [({"reason": name}, count) for name, count in zip(REASONS, totals[REJECTED].tolist(), strict=True)],
    )


def _add_model(text: Exposition, model: ModelFacts, totals: Cells) -> None:
    text.add(
        "segserve_records_total",
        "counter",
        "Records scored, by segment.",
        [
            ({"segment": str(key), "name": name}, count)
            for (key, name), count in zip(model.segments.items(), totals[SEGMENTS].tolist(), strict=False)
        ],
    )
    text.add(
        "segserve_model_info",
        "gauge",
        "The model that is served.",
        [({"version": model.version, "digest": model.digest, "segserve": service.__version__}, 1)],
    )
    created = [] if model.created_s is None else [model.created_s]
    text.add(
        "segserve_model_created_timestamp_seconds",
        "gauge",
        "When the model was made, as Unix time.",
        [({}, created_s) for created_s in created],
    )
    text.add(
        "segserve_model_age_seconds",
        "gauge",
        "Time since the model was made.",
        [({}, round(time.time() - created_s, 3)) for created_s in created],
    )
    if model.baseline is not None:
        drift = measure_drift(totals, model.baseline)
        text.add(
            "segserve_drift_psi",
            "gauge",
            "Population stability index of the traffic since the start against the training data.",
            [({"feature": name}, value) for name, value in drift.psi.items()],
        )
        text.add(
            "segserve_drift_records",
            "gauge",
            "Records that the drift rests on.",
            [({}, drift.records)],
        )


def _add_processes(text: Exposition, board: Board) -> None:
    workers = list(board.workers())
    running = [
        ({"worker": str(worker.row)}, worker, process)
        for worker in workers
        if (process := read_process(worker.pid)) is not None
    ]
    text.add("segserve_workers", "gauge", "Server processes that run.", [({}, len(running))])
    text.add(
        "segserve_worker_starts_total",
        "counter",
        "Server processes that were started; more than there are workers means that some died.",
        [({}, sum(worker.starts for worker in workers))],
    )
    text.add(
        "segserve_worker_start_time_seconds",
        "gauge",
        "When the server process started, as Unix time.",
        [(labels, worker.started_s) for labels, worker, _ in running],
    )
    text.add(
        "segserve_worker_resident_memory_bytes",
        "gauge",
        "Resident memory of the server process.",
        [(labels, process.resident_bytes) for labels, _, process in running],
    )
    text.add(
        "segserve_worker_cpu_seconds",
        "gauge",
        "CPU time of the server process so far.",
        [(labels, process.cpu_s) for labels, _, process in running],
    )
    text.add(
        "segserve_worker_threads",
        "gauge",
        "Threads of the server process.",
        [(labels, process.threads) for labels, _, process in running],
    )
