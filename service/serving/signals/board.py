"""Hold the counts of all workers in one piece of memory without a name, which outlives each of them.

No file, so nothing needs to be writable; no lock in the way of counting, since each worker has a row of its
own. A worker that dies leaves its row, counts and all, to the one that takes its place.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from array import array
from collections.abc import Iterator
from functools import cached_property
from multiprocessing import reduction
from typing import Any, Final, TypeAlias

import msgspec

from service.lazy import np, npt
from service.serving.handover import take_memory
from service.serving.signals.layout import DURATION_SUMS, N_CELLS, SEGMENTS

Cells: TypeAlias = "npt.NDArray[np.uint64]"

TICK_S: Final = 5
"""Seconds between two snapshots."""
N_TICKS: Final = 60
"""Snapshots that are kept: five minutes."""

_ROWS: Final = 128
"""More than workers can be (settings), so that a new one need not wait for an old one's end."""
_HEADER_CELLS: Final = 4
_PID, _STARTED, _STARTS = range(3)
_CELL_BYTES: Final = 8
_HEADERS_END: Final = _ROWS * _HEADER_CELLS
_ROWS_END: Final = _HEADERS_END + _ROWS * N_CELLS
_SNAPSHOT_CELLS: Final = N_CELLS + 1
_SIZE_BYTES: Final = (_ROWS_END + N_TICKS * _SNAPSHOT_CELLS) * _CELL_BYTES
"""Of addresses: memory is taken page by page, as cells are written."""
_SNAPSHOT_LOCK: Final = _ROWS


class Worker(msgspec.Struct, frozen=True):
    """Describe a process that counts, or did last in its row."""

    row: int
    pid: int
    started_s: float
    """Unix time."""
    starts: int
    """Processes that have had the row."""


class Board:
    """Map the memory; pass it to `multiprocessing` to share it with a new process."""

    def __init__(self, fd: int | None = None) -> None:
        """Take memory, or map what `fd` stands for."""
        self._fd = take_memory(_SIZE_BYTES) if fd is None else fd
        self._map = mmap.mmap(self._fd, _SIZE_BYTES)
        self._cells = memoryview(self._map).cast("Q")
        self._sums = memoryview(self._map).cast("d")

    def __reduce__(self) -> Any:
        """Hand the memory, not its content, to the process that is being started."""
        return _map, (reduction.DupFd(self._fd),)

    def claim(self) -> memoryview:
        """Return the cells of a row that is this process's own until it ends, with what they counted before.

        Raises:
            RuntimeError: There is no row left, for there are more processes than `serve` can start.
        """
        row = next((row for row in range(_ROWS) if self._lock(row)), None)
        if row is None:
            raise RuntimeError("more workers than rows to count in")
        header = self._cells[_HEADER_CELLS * row :][:_HEADER_CELLS]
        header[_PID] = os.getpid()
        header[_STARTED] = int(time.time() * 1e3)
        header[_STARTS] += 1
        start = _CELL_BYTES * (_HEADERS_END + row * N_CELLS)
        return memoryview(self._map)[start : start + _CELL_BYTES * N_CELLS]

    def workers(self) -> Iterator[Worker]:
        """Yield the rows that are, or were, some process's."""
        for row, (pid, started_ms, starts, _) in enumerate(self._headers.tolist()):
            if starts:
                yield Worker(row, pid, started_ms / 1e3, starts)

    def totals(self) -> Cells:
        """Return the sum over all workers that ever counted; DURATION_SUMS are the bits of floats."""
        rows = self._rows[: int(np.count_nonzero(self._headers[:, _STARTS]))]
        sums: Cells = rows.sum(axis=0, dtype=np.uint64)
        sums[DURATION_SUMS] = rows[:, DURATION_SUMS].view(np.float64).sum(axis=0).view(np.uint64)
        return sums

    def keep_snapshot(self, *, segments: int) -> None:
        """Keep the totals of this moment, unless another worker already has in this tick; without numpy.

        Args:
            segments: How many of the SEGMENTS cells are used.
        """
        now_s = time.time()
        start = _ROWS_END + _SNAPSHOT_CELLS * (_tick(now_s) % N_TICKS)
        if _tick(self._cells[start] / 1e3) == _tick(now_s) or not self._lock(_SNAPSHOT_LOCK):
            return
        try:
            self._keep_totals(start + 1, end=SEGMENTS.start + segments)
            self._cells[start] = int(now_s * 1e3)
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, _SNAPSHOT_LOCK)

    def _keep_totals(self, start: int, *, end: int) -> None:
        """Write the first totals, up to a cell, from `start` on."""
        rows = [
            _HEADERS_END + row * N_CELLS for row in range(_ROWS) if self._cells[row * _HEADER_CELLS + _STARTS]
        ]
        totals = map(sum, zip(*(self._cells[row : row + end] for row in rows), strict=True))
        self._cells[start : start + end] = memoryview(array("Q", [total % 2**64 for total in totals]))
        for cell in range(DURATION_SUMS.start, DURATION_SUMS.stop):
            self._sums[start + cell] = sum(self._sums[row + cell] for row in rows)

    def snapshots(self) -> Iterator[tuple[float, Cells]]:
        """Yield the kept totals of the last minutes with their Unix times, oldest first."""
        newest = _tick(time.time())
        for tick in range(newest - N_TICKS + 1, newest + 1):
            kept = self._snapshots[tick % N_TICKS]
            taken_s = float(kept[0]) / 1e3
            if _tick(taken_s) == tick:
                yield taken_s, kept[1:].copy()

    @cached_property
    def _all(self) -> Cells:
        return np.frombuffer(self._map, dtype=np.uint64)

    @cached_property
    def _headers(self) -> Cells:
        return self._all[:_HEADERS_END].reshape(_ROWS, _HEADER_CELLS)

    @cached_property
    def _rows(self) -> Cells:
        return self._all[_HEADERS_END:_ROWS_END].reshape(_ROWS, N_CELLS)

    @cached_property
    def _snapshots(self) -> Cells:
        return self._all[_ROWS_END:].reshape(N_TICKS, _SNAPSHOT_CELLS)

    def _lock(self, number: int) -> bool:
        """Lock a byte for this process; the system unlocks it when the process ends, however it does."""
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
        except OSError:
            return False
        return True


def _tick(time_s: float) -> int:
    return int(time_s / TICK_S)


def _map(handed_over: Any) -> Board:
    return Board(handed_over.detach())
