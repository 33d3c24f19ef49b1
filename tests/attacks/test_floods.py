"""More of everything than anybody needs: memory stays bounded, and others are answered meanwhile."""

import select
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.attacks.conftest import ANSWER_S, HOST, MIB, PING, SMALL, Victim, flood, post, read_all, statuses
from tests.conftest import wait_until

pytestmark = pytest.mark.timing

MOST = 64 * MIB
"""Sent by one attacker at most; sockets' buffers alone hold some MiB of it."""
LET_THROUGH = 12 * MIB
CHUNKED = b"POST /invocations HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n" % HOST
BLOCK = b"a" * 65536

ENDLESS = {
    "target": (b"GET /", BLOCK),
    "query": (b"GET /?", BLOCK),
    "escaped target": (b"GET /", b"%2e" * 20_000),
    "method": (b"", b"A" * 65536),
    "header name": (b"GET /ping HTTP/1.1\r\n", BLOCK),
    "header value": (b"GET /ping HTTP/1.1\r\nX: ", BLOCK),
    "headers": (b"GET /ping HTTP/1.1\r\n", b"X: y\r\n" * 10_000),
    "tiny headers": (b"GET /ping HTTP/1.1\r\n", b"a:\r\n" * 15_000),
    "headers of a payload": (b"POST /invocations HTTP/1.1\r\n", b"Content-Type: text/csv\r\n" * 3000),
    "blank lines": (b"", b"\r\n" * 30_000),
    "chunk extension": (CHUNKED + b"1;", BLOCK),
    "chunk size": (CHUNKED, b"0" * 65536),
    "trailer": (CHUNKED + b"0\r\nX: ", BLOCK),
    "trailers": (CHUNKED + b"0\r\n", b"X: y\r\n" * 10_000),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_what_never_ends_is_cut_off(victim: Victim, what: str) -> None:
    """Each was once kept in memory as long as it came, and copied anew with every packet."""
    begin, block = ENDLESS[what]
    before = victim.pss_bytes()
    connection = victim.send(begin)
    sent = flood(connection, block, most=MOST)

    assert sent < LET_THROUGH
    assert victim.pss_bytes() < before + 24 * MIB
    assert victim.answer_s() < ANSWER_S


def test_a_hundred_thousand_headers_get_their_refusal(victim: Victim) -> None:
    connection = victim.send(b"GET /ping HTTP/1.1\r\n" + b"X: y\r\n" * 100_000 + b"\r\n")

    assert statuses(read_all(connection)) == [400]


def test_a_payload_over_the_cap_is_refused_however_long_it_goes_on(victim: Victim) -> None:
    before = victim.pss_bytes()
    connection = victim.send(CHUNKED)
    flood(connection, b"10000\r\n%b\r\n" % BLOCK, most=MOST)
    connection.settimeout(5)

    assert b"413" in connection.recv(65536)
    assert victim.pss_bytes() < before + 24 * MIB


@pytest.mark.parametrize("wish", ["keep-alive", "close"])
def test_who_sends_all_of_a_refused_payload_reads_its_refusal(victim: Victim, wish: str) -> None:
    """Where a connection was closed before all was read, it was reset, and the refusal often lost."""
    request = post(b"x" * 8 * MIB, b"Connection: %b" % wish.encode())
    for _ in range(5):
        connection = victim.connect()
        connection.sendall(request)
        if wish == "close":
            received = b"".join(iter(lambda c=connection: c.recv(65536), b""))  # type: ignore[misc]  # a bound default
        else:
            connection.sendall(post(SMALL, b"Connection: close"))
            received = read_all(connection)

        head, _, body = received.partition(b"\r\n\r\n")
        assert statuses(head) == [413]
        assert b'"code":"PayloadTooLarge"' in body
        assert (b"connection: close" in head) == (wish == "close")
        assert statuses(body) == ([] if wish == "close" else [200])


@pytest.mark.parametrize(
    "refused",
    [
        (413, post(b"x" * 6 * MIB)),
        (415, post(b"x" * MIB, b"Content-Encoding: br")),
        (404, post(b"x" * MIB, target=b"/none")),
    ],
    ids=lambda refused: str(refused[0]),
)
def test_what_is_refused_behind_another_request_does_not_stop_the_connection(
    victim: Victim, refused: tuple[int, bytes]
) -> None:
    """What had come of it counted as payload that nobody had read yet: no more was read, nor the end seen."""
    status, request = refused
    connection = victim.send(PING + request + PING + post(SMALL, b"Connection: close"))
    gone = victim.connect(timeout_s=2)
    with suppress(TimeoutError):
        gone.sendall(PING + request)
    gone.close()

    assert statuses(read_all(connection)) == [200, status, 200, 200]


def test_what_came_of_a_refused_payload_is_not_kept(victim: Victim) -> None:
    """Each connection that stayed open kept the last packet that had come, up to a quarter of a megabyte."""
    before = victim.pss_bytes()
    request = post(b"x" * 5 * MIB)
    connections = [victim.connect() for _ in range(300)]
    for connection in connections:
        connection.sendall(request)
        assert connection.recv(12) == b"HTTP/1.1 413"

    wait_until(lambda: victim.pss_bytes() < before + 8 * MIB, what="it to be let go", deadline_s=20)


@pytest.mark.parametrize("header", [b"Connection: close", b"X: y"])
def test_a_refused_payload_that_goes_on_ends_with_its_connection(victim: Victim, header: bytes) -> None:
    connection = victim.send(post(b"x" * 5 * MIB, header)[:100])
    end_s = time.monotonic() + 30
    with suppress(OSError):
        while time.monotonic() < end_s:
            connection.sendall(BLOCK[:4096])
            select.select([], [], [], 0.05)

    assert time.monotonic() < end_s


def test_payloads_in_tiny_chunks_cost_little_more_than_their_bytes(victim: Victim) -> None:
    before = victim.pss_bytes()
    connections = [victim.send(CHUNKED) for _ in range(8)]
    for _ in range(8):
        for connection in connections:
            connection.sendall(b"1\r\n1\r\n" * 20_000)
        assert victim.answer_s() < ANSWER_S

    assert victim.pss_bytes() < before + 40 * MIB


@pytest.mark.parametrize(
    "request_bytes", [PING, post(SMALL), post(b"x"), b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n"]
)
def test_a_flood_of_pipelined_requests_does_not_keep_others_waiting(
    victim: Victim, request_bytes: bytes
) -> None:
    """Each packet held thousands of requests, which were all parsed before anybody else had a turn."""
    before = victim.pss_bytes()
    connections = [victim.connect(timeout_s=0.2) for _ in range(20)]
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(_send_unread, connection, request_bytes * 5000) for connection in connections]
        longest_s = max(victim.answer_s() for _ in range(10))
        for task in running:
            task.result()

    assert longest_s < ANSWER_S
    assert victim.pss_bytes() < before + 64 * MIB


def _send_unread(connection: socket.socket, requests: bytes) -> None:
    """Send until the server takes no more, since its answers are not read."""
    with suppress(OSError):
        for _ in range(20):
            connection.sendall(requests)


def test_pipelined_requests_are_all_answered_in_their_order_by_the_step(victim: Victim) -> None:
    """Parsed in steps, requests and payloads lie across their borders."""
    sizes = (1, 700, 3, 2000, 1, 5000, 2, 100_000, 1, 50_000)
    bodies = [b"[" + b", ".join([SMALL[1:-1]] * n) + b"]" for n in sizes] * 5
    chunked = [
        CHUNKED
        + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:]))
        + b"0\r\n\r\n"
        for body in bodies
    ]
    requests = b"".join(post(body) + PING + other for body, other in zip(bodies, chunked, strict=True))
    connection = victim.connect()
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(connection.sendall, requests + post(SMALL, b"Connection: close"))
        received = read_all(connection)
        sending.result()

    assert statuses(received) == [200] * (3 * len(bodies) + 1)
    answers = [answer.partition(b"\r\n\r\n")[2] for answer in received.split(b"HTTP/1.1 ")[1:]]
    expected = [b"[" + b", ".join([b"2"] * body.count(b"1250")) + b"]" for body in bodies]
    assert answers[:-1:3] == expected
    assert answers[2::3] == expected


@pytest.mark.parametrize(
    ("size", "cut"),
    [
        *((16, 1), (8191, 1), (8191, 8192), (8193, 5000), (70_000, 64), (70_000, 8192), (600_000, 100_000)),
        *((3_500_000, 1_000_001), (3_500_000, 4_000_000)),
    ],
)
def test_a_payload_is_the_same_whatever_the_packets(victim: Victim, size: int, cut: int) -> None:
    body = b"[" + b", ".join([SMALL[1:-1]] * (size // 14 + 1)) + b"]"
    request = post(body, b"Connection: close")
    connection = victim.connect()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for start in range(0, len(request), cut):
        connection.sendall(request[start : start + cut])
    received = read_all(connection)

    assert statuses(received) == [200]
    assert received.count(b"2, ") + 1 >= size // 14 + 1
