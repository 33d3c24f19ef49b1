"""What threads hold is counted right, also on a Python without a lock: tests/free_threaded runs this too."""

import random
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

from service.errors import OverloadedError
from service.serving.admission import Admission

THREADS = 8
TURNS = 1500
MIB = 2**20


def test_nothing_is_held_once_all_threads_have_let_go() -> None:
    admission = Admission(max_bytes=4 * MIB)
    start = threading.Barrier(THREADS)

    def work(number: int) -> tuple[int, int]:
        chance = random.Random(number)
        start.wait()
        refused, answered = 0, 0
        running: list[Future[int]] = []
        for turn in range(TURNS):
            try:
                with admission.arriving() as arrival:
                    for _ in range(chance.randint(1, 4)):
                        arrival.grow(chance.randint(1, MIB // 2))
                    assert admission.held_bytes > 0
                if turn % 10 == 0:
                    running.append(
                        admission.submit(lambda turn=turn: turn, size=MIB, kind=number % 2, limit_s=None)  # type: ignore[misc]  # a default is no argument
                    )
            except OverloadedError:
                refused += 1
        for future in running:
            answered += future.result(60) % 10 == 0
        return refused, answered

    with ThreadPoolExecutor(THREADS) as pool:
        done = list(pool.map(work, range(THREADS)))

    assert sum(answered for _, answered in done) > 0
    end_s = time.monotonic() + 60
    while admission.held_bytes and time.monotonic() < end_s:  # a result is told before its payload is let go
        time.sleep(0.01)
    assert admission.held_bytes == 0


def test_threads_that_do_nothing_else_lose_no_byte() -> None:
    admission = Admission(max_bytes=None)
    start = threading.Barrier(THREADS)

    def work(_number: int) -> None:
        start.wait()
        for _ in range(20_000):
            with admission.arriving() as arrival:
                arrival.grow(1)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))

    assert admission.held_bytes == 0
