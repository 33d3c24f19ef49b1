"""What threads share of the kernel, they cannot break; on a Python without a lock it is put to the test."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np

ABOUT = ((0.0, 0.0), (1.0, 1.0), True, ((1.0, 0.5), (5.0, 2.0), (9.0, 3.0)), (3, 4, 70), (1.0, 6.0), (2.0,))
HEAD = b"POST / HTTP/1.1\r\n\r\n"
THREADS = 8


def in_threads(work: Callable[[int], Any]) -> list[Any]:
    """Do the work in several threads that begin together, and return what each gives."""
    start = threading.Barrier(THREADS)

    def begin(number: int) -> Any:
        start.wait()
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begin, range(THREADS)))


def payload(n: int, number: int) -> bytes:
    return b"[" + b",".join([b"[%d,%d]" % (i % 11, (i + number) % 30) for i in range(n)]) + b"]"


def test_a_labeller_answers_threads_as_it_answers_one(extension: Any) -> None:
    labeller = extension.Labeller(*ABOUT)
    bodies = [payload(n, number) for number in range(THREADS) for n in (1, 300, 20_000)]
    expected = [labeller.answer(body, extension.READ_JSON, extension.WRITE_JSON, 0, None) for body in bodies]

    def work(number: int) -> bool:
        order = np.random.default_rng(number).permutation(len(bodies) * 10) % len(bodies)
        return all(
            labeller.answer(bodies[place], extension.READ_JSON, extension.WRITE_JSON, 0, None)
            == expected[place]
            for place in order
        )

    assert in_threads(work) == [True] * THREADS


def test_a_ledger_answers_one_thread_at_a_time_and_forgets_nothing(extension: Any) -> None:
    """Whoever comes while another is answered gets None, and another way of answering."""
    labeller, ledger = extension.Labeller(*ABOUT), extension.Ledger(b"12345678")
    body = payload(40, 0)
    expected = labeller.answer(body, extension.READ_JSON, extension.WRITE_JSON, 0, None)
    taken: list[Any] = []

    def work(_number: int) -> tuple[int, set[bytes]]:
        answered, ids = 0, set()
        for turn in range(2000):
            answer = ledger.respond(labeller, HEAD + body, HEAD, len(body), 0, 0, b"", b"v1")
            if answer is not None:
                request_id, _, rest = answer.partition(b"\r\n")
                assert rest.endswith(b"\r\n\r\n" + expected[0])
                answered += 1
                ids.add(request_id)
            if turn % 50 == 0:
                with suppress(RuntimeError):  # another thread is answering: the next one is told
                    taken.append(ledger.take((), (), b"\7\n", b""))
        return answered, ids

    done = in_threads(work)
    taken.append(ledger.take((), (), b"\7\n", b""))
    answered = sum(count for count, _ in done)

    assert answered > 2000
    assert len(set().union(*(ids for _, ids in done))) == answered
    assert sum(one[0] for one in taken) == answered
    assert len(b"".join(one[9] for one in taken).split()) == answered
    clusters = np.sum([np.frombuffer(one[6], dtype=np.int64) for one in taken if one[0]], axis=0)
    assert clusters.tolist() == [n * answered for n in np.frombuffer(expected[2], dtype=np.int64).tolist()]


def test_sums_take_one_thread_at_a_time_and_all_that_they_took(extension: Any) -> None:
    sums, alone = extension.Sums(), extension.Sums()
    customers = [np.random.default_rng(number).uniform(20, 60, (3, 5000)) for number in range(THREADS)]
    for ages, incomes, purchases in customers:
        alone.add(ages, incomes, purchases, np.empty(5000, dtype=np.int64))

    def work(number: int) -> int:
        hashes = np.empty(5000, dtype=np.int64)
        refused = 0
        while True:
            try:
                sums.add(*customers[number], hashes)
            except RuntimeError:
                refused += 1
                continue
            return refused

    in_threads(work)

    assert _rows(sums) == _rows(alone)
    assert sums.incomes() == alone.incomes()


def _rows(sums: Any) -> list[list[int]]:
    found = np.frombuffer(sums.cells(), dtype=np.int64).reshape(-1, 8)
    return sorted(found.tolist())
