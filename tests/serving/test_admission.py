"""Large payloads that could not be answered in time are refused at once, and nothing else is."""

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from service.errors import OverloadedError
from service.serving.admission import MAX_RETRY_AFTER_S, Admission
from tests.conftest import DEADLINE_S, RunningServer, Starter, wait_until
from tests.serving.conftest import DEFAULT_BODY, JSON, check_refusal, post

MIB = 2**20
LARGE = b"[" + b"[25, 1250.0], " * 50_000 + b"[1, 2]]"


class Gate:
    """Keep tasks of an admission in their threads until it opens."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.is_open = threading.Event()

    def submit(self, size: int, *, limit_s: float | None = 10, kind: str = "csv") -> "Future[bool]":
        return self.admission.submit(
            lambda: self.is_open.wait(DEADLINE_S), size=size, kind=kind, limit_s=limit_s
        )


@pytest.fixture(name="gate")
def _gate() -> Iterator[Gate]:
    gate = Gate(Admission(max_bytes=10 * MIB, threads=2))
    yield gate
    gate.is_open.set()


def test_what_would_wait_too_long_is_refused_with_a_time_to_come_back(gate: Gate) -> None:
    """50 ns a byte at first: 100 MB are 5 s, two of them before it 5 s with two threads."""
    running = [gate.submit(100_000_000) for _ in range(2)]
    with pytest.raises(OverloadedError, match="take about 5 s, and the limit is 10 s") as caught:
        gate.submit(100_000_000)

    assert caught.value.retry_after_s == 5
    small = gate.submit(1_000)
    gate.is_open.set()
    assert all(future.result(DEADLINE_S) for future in (*running, small))


def test_what_need_not_wait_is_never_refused(gate: Gate) -> None:
    """However long its like is thought to take: else a wrong estimate would stand for ever."""
    gate.submit(10_000_000_000)

    assert not gate.submit(10_000_000_000).done()


def test_what_is_announced_is_refused_as_if_it_were_here_and_not_counted(gate: Gate) -> None:
    for _ in range(2):
        gate.admission.check_time(10**12, kind="csv", limit_s=10)
        gate.submit(100_000_000)
    gate.admission.check_time(100_000, kind="csv", limit_s=10)
    gate.admission.check_time(10**12, kind="csv", limit_s=None)
    with pytest.raises(OverloadedError, match="take about 5 s, and the limit is 10 s"):
        gate.admission.check_time(100_000_000, kind="csv", limit_s=10)

    assert gate.admission.held_bytes == 200_000_000


def test_without_a_limit_nothing_is_refused(gate: Gate) -> None:
    for _ in range(5):
        gate.submit(10_000_000_000, limit_s=None)

    with pytest.raises(OverloadedError) as caught:
        gate.submit(1)
    assert caught.value.retry_after_s == MAX_RETRY_AFTER_S


def test_the_estimate_follows_what_payloads_of_its_kind_have_taken() -> None:
    admission = Admission(max_bytes=None, threads=1)
    for _ in range(50):
        admission.submit(lambda: None, size=10**9, kind="quick", limit_s=None).result(DEADLINE_S)
    gate = Gate(admission)
    gate.submit(10**9, kind="quick")
    gate.submit(10**9, kind="quick")  # a microsecond each
    with pytest.raises(OverloadedError):
        gate.submit(10**9, kind="slow")
    gate.is_open.set()


def test_small_payloads_that_had_to_wait_for_a_processor_say_little_of_large_ones() -> None:
    admission = Admission(max_bytes=None, threads=1)
    for _ in range(3):
        pause = threading.Event()
        admission.submit(lambda pause=pause: pause.wait(0.2), size=70_000, kind="any", limit_s=None).result(  # type: ignore[misc]  # a bound default
            DEADLINE_S
        )
    gate = Gate(admission)
    for _ in range(4):
        gate.submit(25 * MIB, kind="any", limit_s=60)
    gate.is_open.set()


def test_what_was_given_up_before_it_began_is_not_counted_any_more(gate: Gate) -> None:
    running = [gate.submit(100_000_000) for _ in range(2)]
    waiting = gate.submit(40_000_000)
    assert gate.admission.held_bytes == 240_000_000
    assert waiting.cancel()

    assert gate.admission.held_bytes == 200_000_000
    gate.is_open.set()
    for future in running:
        future.result(DEADLINE_S)
    wait_until(lambda: gate.admission.held_bytes == 0, what="all to be let go")


def test_what_arrives_is_counted_and_let_go() -> None:
    admission = Admission(max_bytes=10 * MIB)
    with admission.arriving() as first:
        first.grow(8 * MIB)
        admission.check_room(2 * MIB)
        with pytest.raises(OverloadedError, match="others hold 8 of the 10 MiB"):
            admission.check_room(2 * MIB + 1)
        with admission.arriving() as second:
            second.grow(2 * MIB)
            with pytest.raises(OverloadedError):
                second.grow(1)
        assert admission.held_bytes == 8 * MIB
        first.grow(2 * MIB)

    assert admission.held_bytes == 0


def test_one_alone_has_room_however_large() -> None:
    admission = Admission(max_bytes=MIB)
    admission.check_room(100 * MIB)
    with admission.arriving() as only:
        only.grow(60 * MIB)
        only.grow(60 * MIB)

    assert admission.held_bytes == 0


def test_counts_stay_right_in_many_threads() -> None:
    admission = Admission(max_bytes=None, threads=4)

    def work(seed: int) -> None:
        for size in range(1, 300):
            with admission.arriving() as arrival:
                arrival.grow(size)
            future = admission.submit(lambda: None, size=size, kind=seed % 3, limit_s=None)
            if size % 7 == 0:
                future.cancel()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    wait_until(lambda: admission.held_bytes == 0, what="all to be let go")
    gate = Gate(admission)
    for _ in range(4):  # nothing is left before them, so none waits
        gate.submit(10**12)
    with pytest.raises(OverloadedError):
        gate.submit(10**12)
    gate.is_open.set()


@contextlib.contextmanager
def half_sent(server: RunningServer, *, size: int) -> Iterator[socket.socket]:
    """Send all of a large payload but its last byte."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=DEADLINE_S) as connection:
        head = (
            f"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: {JSON}\r\nContent-Length: {size}\r\n\r\n"
        )
        connection.sendall(head.encode() + b"[" + b" " * (size - 2 - 6) + b"[1, 2]")
        yield connection
        connection.sendall(b"]")


def is_refused_beforehand(server: RunningServer) -> bool:
    """Tell whether a caller who asks before it sends a large payload is told not to; it holds nothing."""
    return announce(server, size=MIB).startswith(b"HTTP/1.1 503 ")


def announce(server: RunningServer, *, size: int, content_type: str = JSON) -> bytes:
    """Return what a caller is told who asks before it sends a payload."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=DEADLINE_S) as asking:
        head = f"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n"
        asking.sendall(f"{head}Content-Type: {content_type}\r\nExpect: 100-continue\r\n\r\n".encode())
        told = b""
        while not told.endswith((b"}}", b" 100 Continue\r\n\r\n")):
            told += (part := asking.recv(4096))
            assert part, told
        return told


def test_a_server_whose_room_is_taken_says_so_at_once(start: Starter, store_path: Path) -> None:
    server = start("--store", str(store_path), SERVICE_MAX_WAITING_MB="1")
    refused = 'segserve_refused_invocations_total{code="Overloaded"} '
    with httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client:
        with half_sent(server, size=MIB):
            wait_until(lambda: is_refused_beforehand(server), what="the half payload to arrive")
            answer = post(client, LARGE)
            small, ping = post(client, DEFAULT_BODY), client.get("/ping")
            assert f"{refused}0\n" not in client.get("/metrics").text

        message = check_refusal(answer, status=503, code="Overloaded")
        assert "SERVICE_MAX_WAITING_MB" in message
        assert int(answer.headers["retry-after"]) >= 1
        assert (small.status_code, ping.status_code) == (200, 200)
        wait_until(lambda: post(client, LARGE).status_code == 200, what="room again")


def test_what_would_come_too_late_is_refused_before_it_is_sent(start: Starter, store_path: Path) -> None:
    """One of 90 MiB is thought to take 4.7 s, and may take 3; one that need not wait is always tried."""
    limits = {"SERVICE_TIMEOUT_S": "4", "SERVICE_MAX_WAITING_MB": "0", "SERVICE_MAX_PAYLOAD_MB": "100"}
    server = start("--store", str(store_path), **limits)
    assert announce(server, size=90 * MIB).startswith(b"HTTP/1.1 100 ")
    assert announce(server, size=90 * MIB, content_type="image/png").startswith(b"HTTP/1.1 415 ")
    is_enough = threading.Event()

    def keep_busy() -> None:
        with httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client:
            while not is_enough.is_set():
                post(client, LARGE, accept=f"{JSON}; detail=full")

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(keep_busy)
        try:
            told = b""

            def is_told_not_to() -> bool:
                nonlocal told
                told = announce(server, size=90 * MIB)
                return told.startswith(b"HTTP/1.1 503 ")

            wait_until(is_told_not_to, what="both threads to be busy")
        finally:
            is_enough.set()
    assert b"retry-after: " in told
    assert b"those before take about" in told
    # A thread goes on with what took too long: its caller, who was told so, may be here before it has ended.
    wait_until(
        lambda: announce(server, size=90 * MIB).startswith(b"HTTP/1.1 100 "), what="both threads to be idle"
    )


def test_a_batch_job_is_never_refused(start: Starter, store_path: Path) -> None:
    server = start("--store", str(store_path), SERVICE_MAX_WAITING_MB="1", SAGEMAKER_BATCH="true")
    with httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client, contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(half_sent(server, size=MIB))

        assert post(client, LARGE).status_code == 200
        assert not is_refused_beforehand(server)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads share their process's priority")
@pytest.mark.parametrize("is_yielding", [True, False])
def test_threads_leave_the_processor_to_others_where_they_shall(*, is_yielding: bool) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    admission = Admission(max_bytes=None, is_yielding=is_yielding)

    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    found = admission.submit(priority, size=1, kind="", limit_s=None).result(10)
    assert found == (min(19, own + 5) if is_yielding else own)
    assert os.getpriority(os.PRIO_PROCESS, 0) == own
