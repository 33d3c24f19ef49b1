"""Payloads that Python reads are read in turns, one at a time; none waits for the end of a large one."""

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from service.artifact import Artifact
from service.errors import InvalidPayloadError
from service.serving import fastlane
from service.serving import turns as turns_module
from service.serving.answers import encode_details
from service.serving.app import create_app
from service.serving.codec import decode
from service.serving.headers import read_headers
from service.serving.invocation import Invocation, ServedModel, answer_carefully
from service.serving.media import Media, Plan, Reader
from service.serving.turns import Turns, pass_on
from service.settings import read_settings
from tests.conftest import DEADLINE_S, Starter, wait_until
from tests.serving.conftest import make_served

THREADS = 6
CUSTOMER = {"Age": 45, "Income": 60010, "Purchases": 20, "Tags": []}
"""No kernel reads a record with a list in it."""


@pytest.fixture(name="pool")
def _pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(THREADS) as pool:
        yield pool


def wait_for(turns: Turns, waiting: int) -> None:
    wait_until(lambda: len(turns._waiting) == waiting, what=f"{waiting} threads to wait")


def test_one_thread_is_at_work_at_a_time(pool: ThreadPoolExecutor) -> None:
    turns, at_work, most = Turns(), [0], [0]
    start = threading.Barrier(THREADS)

    def work(_number: int) -> None:
        start.wait()
        for _ in range(200):
            with turns.taking():
                for _ in range(5):
                    at_work[0] += 1
                    most[0] = max(most[0], at_work[0])
                    time.sleep(0)
                    at_work[0] -= 1
                    pass_on()

    list(pool.map(work, range(THREADS)))

    assert most == [1]
    assert at_work == [0]


def test_who_came_first_is_next_and_who_passes_on_comes_last(pool: ThreadPoolExecutor) -> None:
    turns = Turns()
    order: list[str] = []

    def work(name: str) -> None:
        with turns.taking():
            order.append(name)
            pass_on()
            order.append(name)

    with turns.taking():
        running: list[Future[None]] = []
        for waiting, name in enumerate("abc", start=1):
            running.append(pool.submit(work, name))
            wait_for(turns, waiting)
        order.append("-")
        pass_on()
        order.append("-")
    for one in running:
        one.result(DEADLINE_S)

    assert order == [*"-abc-abc"]


def test_a_thread_that_nobody_waits_for_goes_on() -> None:
    turns = Turns()
    with turns.taking():
        pass_on()
        pass_on()
    pass_on()
    with turns.taking():
        pass
    assert not turns._is_taken


def test_who_fails_gives_the_turn_back(pool: ThreadPoolExecutor) -> None:
    turns = Turns()

    def fail() -> None:
        with turns.taking():
            raise ValueError("mine")

    for _ in range(3):
        with pytest.raises(ValueError, match="mine"):
            pool.submit(fail).result(DEADLINE_S)
    assert not turns._is_taken
    with turns.taking():
        pass


def test_a_turn_that_cannot_be_noted_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __setattr__(self, name: str, value: object) -> None:
            raise MemoryError

    turns = Turns()
    with monkeypatch.context() as patch:
        patch.setattr(turns_module, "_at_work", Full())
        with pytest.raises(MemoryError), turns.taking():
            pass

    assert not turns._is_taken


def test_who_cannot_pass_the_turn_on_keeps_it(pool: ThreadPoolExecutor) -> None:
    turns = Turns()

    class Full(deque[threading.Lock]):
        def append(self, _call: threading.Lock) -> None:
            raise MemoryError

    with turns.taking():
        running = pool.submit(_work, turns, pass_on)
        wait_for(turns, 1)
        waiting, turns._waiting = turns._waiting, Full(turns._waiting)
        with pytest.raises(MemoryError):
            pass_on()
        assert not running.done()
        assert list(turns._waiting) == list(waiting)
        turns._waiting = waiting
    running.result(DEADLINE_S)
    assert not turns._is_taken


def test_a_thread_without_a_turn_passes_on_none(pool: ThreadPoolExecutor) -> None:
    turns = Turns()
    with turns.taking():
        pool.submit(pass_on).result(DEADLINE_S)
        assert turns._is_taken


def test_reading_and_describing_let_others_have_turns(pool: ThreadPoolExecutor) -> None:
    served = make_served(4)
    objects = json.dumps([CUSTOMER] * 60_000).encode()
    vectors = np.full((60_000, 2), 40.0)

    def read() -> None:
        assert len(decode(objects, reader=Reader.JSON, is_lenient=False).vectors) == 60_000

    def describe() -> None:
        encode_details(vectors, bad=frozenset(), media=Media.JSON, model=served.model)

    def read_blank_rows() -> None:
        body = b'Age,Spending_Power\n"1",2\n' + b"\n" * 3_000_000
        assert len(decode(body, reader=Reader.CSV, is_lenient=False).vectors) == 1

    def read_blank_lines() -> None:
        body = b'{"Age": 1, "Spending_Power": 2, "Tags": []}\n' + b"\n" * 3_000_000
        assert len(decode(body, reader=Reader.JSON_LINES, is_lenient=False).vectors) == 1

    def read_nonsense() -> None:
        with pytest.raises(InvalidPayloadError, match="not JSON"):
            decode(b"x\n" * 200_000, reader=Reader.JSON, is_lenient=True)

    for work in (read, describe, read_blank_rows, read_blank_lines, read_nonsense):
        assert _count_turns_beside(work, pool) > 20, work


def _count_turns_beside(work: Callable[[], None], pool: ThreadPoolExecutor) -> int:
    turns, had = Turns(), 0
    running = pool.submit(_work, turns, work)
    wait_until(lambda: turns._is_taken or running.done(), what="the work to begin")
    while not running.done():
        with turns.taking():
            had += not running.done()
    running.result()
    return had


def _work(turns: Turns, work: Callable[[], None]) -> None:
    with turns.taking():
        work()


def test_payloads_that_python_reads_are_read_one_at_a_time(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = create_app(artifact, read_settings(access_log="off")).lane
    at_work, most, asked = [0], [0], 6

    def answer(_body: bytes, plan: Plan, model: ServedModel) -> Invocation:
        at_work[0] += 1
        most[0] = max(most[0], at_work[0])
        time.sleep(0.02)
        at_work[0] -= 1
        return answer_carefully(b"[]", plan, model)

    monkeypatch.setattr(fastlane, "answer_carefully", answer)
    body = json.dumps([CUSTOMER] * 10_000).encode()
    headers = read_headers([(b"content-type", b"application/json")])
    assert lane._served is not None
    assert len(body) > fastlane.inline_bytes(lane._served)

    async def ask() -> list[Invocation]:
        return await asyncio.gather(*(lane.answer_payload(body, headers, lane._served) for _ in range(asked)))

    assert [reply.status for reply in asyncio.run(ask())] == [200] * asked
    assert most == [1]


def test_a_small_payload_overtakes_a_large_one(
    start: Starter, store_path: Path, pool: ThreadPoolExecutor
) -> None:
    """Both are too large to be answered in the event loop. The large one takes a second and more."""
    server = start("--store", str(store_path))
    large, small = (json.dumps([[45, 3000.5]] * n).encode() for n in (100_000, 24_000))
    headers = {"content-type": "application/json", "accept": "application/json; detail=full"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=DEADLINE_S) as client:
        alone = client.post("/invocations", content=small)
        running = pool.submit(
            httpx.post, f"{server.url}/invocations", content=large, headers=headers, timeout=DEADLINE_S
        )
        overtook = 0
        while not running.done():
            assert client.post("/invocations", content=small).content == alone.content
            overtook += not running.done()

    assert alone.status_code == running.result().status_code == 200
    assert overtook >= 2
