"""Count requests and records in this worker's row of the board.

In the way of every request, so: integers in shared memory, nothing made, nothing locked. Call it from the
event loop alone; `condense` may run in a thread.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

from service.contract import INVOCATIONS_PATH
from service.lazy import np
from service.serving.invocation import Invocation
from service.serving.ledger import Answered
from service.serving.signals.board import Board
from service.serving.signals.entry import Digest, Entry
from service.serving.signals.layout import (
    ANSWER_SUM,
    DURATION_SUMS,
    DURATIONS_S,
    ERROR_CODES,
    ERRORS,
    FEATURES,
    MAX_BINS,
    OTHER,
    PAYLOAD_SUM,
    PAYLOADS,
    REASONS,
    REJECTED,
    ROUTES,
    SEGMENTS,
    SIZES_BYTES,
    duration_cells,
    request_cell,
)
from service.serving.tally import Tally, sampling_step

_ANSWERED: Final = request_cell(INVOCATIONS_PATH, 200)
_DURATIONS: Final = duration_cells(INVOCATIONS_PATH).start
_DURATION_SUM: Final = DURATION_SUMS.start + ROUTES.index(INVOCATIONS_PATH)
_PAYLOADS: Final = PAYLOADS.start
_PAYLOAD_SUM: Final = PAYLOAD_SUM.start
_ANSWER_SUM: Final = ANSWER_SUM.start
_SEGMENTS: Final = SEGMENTS.start
_AGES: Final = FEATURES.start
_POWERS: Final = FEATURES.start + MAX_BINS


class Meter:
    """Count for one worker."""

    def __init__(self, board: Board, *, edges: tuple[Sequence[float], Sequence[float]] | None = None) -> None:
        """Take a row of the board.

        Args:
            board: Shared with all workers.
            edges: Inner edges of the bins of Age and Spending_Power, ascending; None to count no features.
        """
        row = board.claim()
        self._cells = row.cast("Q")
        self._sums = row.cast("d")
        self._edges = edges

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that is no invocation."""
        self._cells[request_cell(route, status)] += 1
        cells = duration_cells(route)
        self._cells[cells.start + bisect_left(DURATIONS_S, seconds)] += 1
        self._sums[DURATION_SUMS.start + ROUTES.index(route)] += seconds

    def count_invocations(self, entries: Iterable[Entry]) -> None:
        """Count invocations that were answered."""
        cells = self._cells
        seconds_sum, bytes_in_sum, bytes_out_sum, answered = 0.0, 0, 0, 0
        for entry in entries:
            reply, bytes_in, seconds, digest = entry.reply, entry.bytes_in, entry.seconds, entry.digest
            seconds_sum += seconds
            bytes_in_sum += bytes_in
            bytes_out_sum += len(reply.body)
            cells[_DURATIONS + bisect_left(DURATIONS_S, seconds)] += 1
            cells[_PAYLOADS + bisect_left(SIZES_BYTES, bytes_in)] += 1
            if reply.status == 200:
                answered += 1
            else:
                self._count_refusal(reply)
            places = reply.places
            if digest is None and type(places) is list:
                for place in places:
                    cells[_SEGMENTS + place] += 1
                if self._edges is not None:
                    self._count_features(reply.vectors, self._edges)
            else:
                self._add(digest or self.condense(reply))
            if reply.rejected:
                for reason, count in reply.rejected.items():
                    cells[REJECTED.start + REASONS.index(reason)] += count
        self._sums[_DURATION_SUM] += seconds_sum
        cells[_ANSWERED] += answered
        cells[_PAYLOAD_SUM] += bytes_in_sum
        cells[_ANSWER_SUM] += bytes_out_sum

    def count_answered(self, answered: Answered) -> None:
        """Count invocations that the kernel answered, all of them with 200."""
        self._sums[_DURATION_SUM] += answered.seconds
        for cell, count in (
            (_ANSWERED, answered.requests),
            (_PAYLOAD_SUM, answered.bytes_in),
            (_ANSWER_SUM, answered.bytes_out),
        ):
            self._cells[cell] += count
        self._add_counts(_DURATIONS, answered.durations)
        self._add_counts(_PAYLOADS, answered.sizes)
        self._add(Digest(answered.segments, answered.bins if self._edges is not None else ()))

    def _count_refusal(self, reply: Invocation) -> None:
        self._cells[request_cell(INVOCATIONS_PATH, reply.status)] += 1
        if reply.error_code:
            code = reply.error_code if reply.error_code in ERROR_CODES else OTHER
            self._cells[ERRORS.start + ERROR_CODES.index(code)] += 1

    def _count_features(
        self, vectors: Iterable[Sequence[float]], edges: tuple[Sequence[float], Sequence[float]]
    ) -> None:
        cells = self._cells
        ages, powers = edges
        for age, power in vectors:
            cells[_AGES + bisect_right(ages, age)] += 1
            cells[_POWERS + bisect_right(powers, power)] += 1

    def condense(self, reply: Invocation) -> Digest:
        """Count an answer's many records by themselves, in nanoseconds a record."""
        if isinstance(reply.places, Tally):
            tally = reply.places
            return Digest(tally.segments, tally.bins if self._edges is not None else ())
        places, vectors = np.asarray(reply.places), np.asarray(reply.vectors, dtype=np.float64)
        segments: Sequence[int] = np.bincount(places).tolist() if len(places) else ()
        if self._edges is None or not len(vectors):
            return Digest(segments, ())
        step = sampling_step(len(vectors))
        bins = tuple(
            (np.bincount(np.searchsorted(edges, vectors[::step, column], side="right")) * step).tolist()
            for column, edges in enumerate(self._edges)
        )
        return Digest(segments, bins)

    def _add(self, digest: Digest) -> None:
        for start, counts in zip((_SEGMENTS, _AGES, _POWERS), (digest.segments, *digest.bins), strict=False):
            self._add_counts(start, counts)

    def _add_counts(self, start: int, counts: Iterable[int]) -> None:
        cells = self._cells
        for cell, count in enumerate(counts, start):
            if count:
                cells[cell] += count
