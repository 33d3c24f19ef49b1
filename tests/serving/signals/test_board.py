"""Counts survive the processes that made them, and belong to one process at a time."""

import multiprocessing
import os
import time

import numpy as np
import pytest

from service.serving.signals.board import Board
from service.serving.signals.layout import DURATION_SUMS, N_CELLS, PAYLOAD_SUM, SEGMENTS

SPAWN = multiprocessing.get_context("spawn")
CELL = PAYLOAD_SUM.start
FLOAT_CELL = DURATION_SUMS.start


def count(board: Board, amount: int) -> None:
    row = board.claim()
    row.cast("Q")[CELL] += amount
    row.cast("d")[FLOAT_CELL] += amount / 2


def count_and_wait(board: Board, amount: int, ready: int, leave: int) -> None:
    count(board, amount)
    os.write(ready, b"x")
    os.read(leave, 1)


def run(board: Board, amount: int) -> None:
    process = SPAWN.Process(target=count, args=(board, amount))
    process.start()
    process.join(60)
    assert process.exitcode == 0


def test_a_successor_goes_on_where_the_dead_one_was() -> None:
    board = Board()
    run(board, 3)
    run(board, 4)

    assert board.totals()[CELL] == 7
    assert board.totals()[DURATION_SUMS].view(np.float64)[0] == 3.5
    assert [(worker.row, worker.starts) for worker in board.workers()] == [(0, 2)]


def test_rows_of_the_living_are_not_taken_and_the_killed_are_counted() -> None:
    board = Board()
    context = multiprocessing.get_context("fork")
    ready, told = os.pipe()
    wait, leave = os.pipe()
    living = [context.Process(target=count_and_wait, args=(board, 10, told, wait)) for _ in range(2)]
    for process in living:
        process.start()
    assert os.read(ready, 1) + os.read(ready, 1) == b"xx"

    assert {worker.pid for worker in board.workers()} == {process.pid for process in living}
    living[0].kill()
    living[0].join(60)
    run(board, 1)

    assert board.totals()[CELL] == 21
    assert board.totals()[DURATION_SUMS].view(np.float64)[0] == 10.5
    assert sorted(worker.starts for worker in board.workers()) == [1, 2]
    os.write(leave, b"x")
    living[1].join(60)
    assert living[1].exitcode == 0


def test_a_board_is_shared_not_copied() -> None:
    board = Board()
    run(board, 5)
    run(Board(), 100)

    assert board.totals()[CELL] == 5


def test_an_unused_board_takes_next_to_no_memory() -> None:
    board = Board()
    board.claim()
    board.totals()

    assert os.fstat(board._fd).st_blocks * 512 < 100_000
    assert os.fstat(board._fd).st_size > N_CELLS * 8 * 64


def test_a_tick_keeps_one_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now_s)
    board = Board()
    cells = board.claim().cast("Q")
    for seconds, value in ((0.0, 1), (1.0, 2), (5.5, 3), (400.0, 4)):
        now_s = 1_000_000.0 + seconds
        cells[CELL] = value
        cells[SEGMENTS.start + 2] = value
        board.keep_snapshot(segments=3)
        if seconds == 5.5:
            kept = [(moment - 1_000_000.0, int(totals[CELL])) for moment, totals in board.snapshots()]
            assert kept == [(0.0, 1), (5.5, 3)]

    ((_, newest),) = board.snapshots()
    assert (newest[CELL], newest[SEGMENTS.start + 2]) == (4, 4)
