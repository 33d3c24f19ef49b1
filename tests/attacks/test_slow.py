"""Clients that take their time: they may, for a while, and nobody else waits for them."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.attacks.conftest import (
    ANSWER_S,
    HOST,
    LARGE,
    LIMITS,
    MIB,
    SMALL,
    Victim,
    post,
    read_all,
    statuses,
    unharmed,
)
from tests.attacks.hosts import AS_SAGEMAKER, CONTAINER, PROCESS, Host, container_host, process_host
from tests.conftest import DEADLINE_S, wait_until

pytestmark = pytest.mark.timing

MANY = 300
SLOW_S = 6.0
"""Longer than the limits of two seconds, and the looks in between, on a busy machine too."""
HEAD = b"POST /invocations HTTP/1.1\r\n" + HOST
BODY = HEAD + b"Content-Length: 1000\r\n\r\n"


def is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        while connection.recv(65536):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    return True


def drip(connections: list[tuple[socket.socket, bytes]]) -> None:
    for connection, byte in connections:
        with suppress(OSError):
            connection.send(byte)


DRIPS = (
    (HEAD + b"X: ", b"y"),
    (HEAD, b"X: y\r\n"),
    (b"G", b"E"),
    (b"", b"\r\n"),
    (BODY, b" "),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n1\r\n"),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"y"),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
    (b"POST /endpoints/e/invocations HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n", b" "),
    (b"POST /ping HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n", b" "),
    (post(SMALL) + HEAD, b"X: y\r\n"),
    (post(SMALL) + BODY, b" "),
)
"""How requests begin, and what then comes of them now and then."""


def test_hundreds_of_dripping_clients_are_closed_while_others_are_answered(victim: Victim) -> None:
    before = victim.pss_bytes()
    connections = [(victim.send(begin), byte) for begin, byte in DRIPS for _ in range(MANY // len(DRIPS))]
    end_s = time.monotonic() + 1
    while time.monotonic() < end_s:
        drip(connections)
        assert victim.answer_s() < ANSWER_S
    assert victim.pss_bytes() < before + 32 * MIB

    def all_closed() -> bool:
        drip(connections)
        closed = [is_closed(connection) for connection, byte in connections if byte != b"\r\n"]
        return all(closed)

    wait_until(all_closed, what="the server to lose patience", deadline_s=30)


@pytest.mark.parametrize(
    ("begin", "what"), [(HEAD, b"head"), (BODY, b"payload"), (post(SMALL) + BODY, b"payload")]
)
def test_a_client_that_is_too_slow_is_told_so(victim: Victim, begin: bytes, what: bytes) -> None:
    received = read_all(victim.send(begin), deadline_s=30)

    assert statuses(received)[-1] == 408
    assert b'"code":"RequestTimeout","message":"the request\'s %b did not come within 2 s"' % what in received
    assert b"connection: close" in received


def test_a_payload_that_keeps_coming_may_take_longer(victim: Victim) -> None:
    body = b"[" + b", ".join([SMALL[1:-1]] * 1000) + b"]"
    request = post(body, b"Connection: close")
    connection = victim.connect()
    started_s = time.monotonic()
    step = len(request) // 40
    for start in range(0, len(request), step):
        connection.sendall(request[start : start + step])
        time.sleep(SLOW_S / 40)  # the client's slowness is what is tested: there is nothing to poll for
    received = read_all(connection)

    assert time.monotonic() - started_s > 2 * float(LIMITS["SERVICE_BODY_TIMEOUT_S"])
    assert statuses(received) == [200]


def test_an_answer_may_take_longer_than_its_request(victim: Victim) -> None:
    """A connection whose last request is answered waits for the next one, far longer than for a head."""
    connection = victim.send(post(SMALL))
    connection.recv(65536)
    time.sleep(SLOW_S)  # that nothing happens meanwhile is what is tested
    assert not is_closed(connection)
    connection.settimeout(DEADLINE_S)
    connection.sendall(post(SMALL, b"Connection: close"))

    assert statuses(read_all(connection)) == [200]


def test_a_client_that_does_not_read_its_answers_is_closed(victim: Victim) -> None:
    before = victim.files()
    connection = victim.connect()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sendall(LARGE)
    wait_until(lambda: victim.files() > before, what="the connection to reach the server")

    wait_until(lambda: victim.files() <= before, what="the server to lose patience", deadline_s=60)


def test_answers_that_nobody_reads_do_not_fill_the_memory(tmp_path: Path, store_path: Path) -> None:
    """60 clients once made a server hold 720 MB; now those that are behind for longest are closed."""
    with process_host(tmp_path, "--store", str(store_path), SERVICE_MAX_WAITING_MB="8") as host:
        victim = Victim(host)
        connections = [victim.connect() for _ in range(3)]
        for connection in connections:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            connection.sendall(LARGE)
            assert connection.recv(1) == b"H"
        wait_until(lambda: "Answers that were not read dropped" in host.output(), what="one to be dropped")
        received = [read_all(connection) for connection in reversed(connections)]
        victim.answer_s()
        victim.close_all()

    assert len(received[0]) > 10 * MIB, "one alone always has room"
    assert len(received[-1]) < len(received[0])


@pytest.fixture(name="running_small", scope="module", params=[PROCESS, CONTAINER])
def _running_small(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    store_path: Path,
    model_dir: Path,
) -> Iterator[Host]:
    """Serve with room for 40 connections, as a process and as SageMaker starts the image."""
    variables = {"SERVICE_MAX_CONNECTIONS": "40"}
    with (
        process_host(tmp_path_factory.mktemp("small"), "--store", str(store_path), **variables)
        if request.param == PROCESS
        else container_host(AS_SAGEMAKER, mounts=[(model_dir, "/opt/ml/model")], **variables)
    ) as host:
        yield host


@pytest.fixture(name="small")
def _small(running_small: Host) -> Iterator[Victim]:
    with unharmed(Victim(running_small)) as victim:
        yield victim


@pytest.mark.parametrize("begin", [b"", HEAD, post(SMALL)], ids=["nothing", "head", "idle"])
def test_a_full_server_closes_those_that_wait_longest(small: Victim, begin: bytes) -> None:
    connections = [small.send(begin) for _ in range(200)]
    # An engine's proxy takes connections at once, and hands them on when it comes to it.
    wait_until(lambda: sum(map(is_closed, connections)) >= 160, what="room to be made", deadline_s=20)

    assert small.answer_s() < ANSWER_S
    assert small.files() < 80
    assert is_closed(connections[0])
    assert "Connections closed to make room" in small.host.output()


def test_a_full_server_keeps_those_that_it_is_answering(small: Victim) -> None:
    body = b"[" + b", ".join([b"[25, 1250.0]"] * 5000) + b"]"
    busy = [small.send(post(body, b"Connection: close")[:-1]) for _ in range(20)]
    for _ in range(60):
        small.connect()
    for connection in busy:
        connection.sendall(b"]")

    assert all(statuses(read_all(connection)) == [200] for connection in busy)
