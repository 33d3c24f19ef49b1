"""Heads that promise what never comes, or that mean two things; tokens; and answers read by the byte."""

import gzip
import socket
import threading
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
    PING,
    SMALL,
    Victim,
    post,
    read_all,
    statuses,
    unharmed,
)
from tests.attacks.hosts import process_host
from tests.conftest import wait_until

pytestmark = pytest.mark.timing

THOUSANDS = 3000
READERS = 100
ASKED = b"POST /invocations HTTP/1.1\r\n%bExpect: 100-continue\r\nContent-Length: 4000000\r\n\r\n" % HOST
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
TOKEN = "a-token-of-these-tests-0123456789"


@pytest.fixture(name="own")
def _own(tmp_path: Path, store_path: Path) -> Iterator[Victim]:
    """Attack a server whose memory has not held anything yet."""
    with process_host(tmp_path, "--store", str(store_path), SERVICE_TOKEN=TOKEN, **LIMITS) as host:
        victim = Victim(host)
        assert statuses(read_all(victim.send(LARGE))) == [200]
        with unharmed(victim, growth_bytes=128 * MIB):  # of 580 that were answered
            yield victim


def test_thousands_who_were_told_to_go_on_and_send_nothing_keep_nobody_waiting(own: Victim) -> None:
    """What they announce is 12 GB; what they cost is a connection each, and the second time nothing more."""
    large = post(b"[" + b", ".join([SMALL[1:-1]] * 100_000) + b"]", b"Connection: close")
    held = [own.pss_bytes()]
    for _ in range(2):
        files = own.files()
        connections = [own.send(ASKED) for _ in range(THOUSANDS)]
        assert {connection.recv(64) for connection in connections[::100]} == {CONTINUE}
        assert own.answer_s() < ANSWER_S
        assert statuses(read_all(own.send(large))) == [200]
        held.append(own.pss_bytes())
        assert statuses(read_all(connections[-1]))[-1] == 408
        own.close_all()
        wait_until(lambda files=files: own.files() <= files, what="all to be closed")  # type: ignore[misc]  # a bound default

    assert held[1] < held[0] + 64 * MIB
    assert held[2] < held[1] + 8 * MIB


@pytest.mark.parametrize("wish", [b"200-ok", b"100-continue, 200-ok", b"", b"x" * 5000, b"\xff"])
def test_a_wish_that_is_unknown_is_ignored(victim: Victim, wish: bytes) -> None:
    """RFC 9110, 10.1.1, leaves that to the server. Who waits for a 100 in vain sends its payload then."""
    request = post(SMALL, b"Expect: " + wish, b"Connection: close")
    connection = victim.send(request[: -len(SMALL)])
    connection.settimeout(0.2)
    with pytest.raises(TimeoutError):
        connection.recv(64)
    connection.sendall(SMALL)

    assert statuses(read_all(connection)) == [200]


def read_slowly(connections: list[socket.socket], stopping: threading.Event) -> None:
    """Read a byte of each answer at a time, in turn."""
    while not stopping.is_set():
        for connection in connections:
            with suppress(OSError):
                connection.recv(1, socket.MSG_DONTWAIT)


def test_a_hundred_who_read_a_byte_at_a_time_keep_nobody_waiting(own: Victim) -> None:
    """Their answers have 580 MB together, of which 64 may be held: those behind for longest are closed.

    What was sent of an answer is held until all of it is, and was once not counted: they held 320 MB.
    """
    body = b"[" + b", ".join([SMALL[1:-1]] * 10_000) + b"]"
    request = post(body, b"Accept: application/json; detail=full", b"Connection: close")
    most = own.pss_bytes() + 192 * MIB
    connections = [own.connect() for _ in range(READERS)]
    stopping = threading.Event()
    reader = threading.Thread(target=read_slowly, args=(connections, stopping))
    reader.start()
    try:
        for connection in connections:
            connection.sendall(request)
            assert own.answer_s() < ANSWER_S
            assert own.pss_bytes() < most
        wait_until(
            lambda: own.pss_bytes() < most and "not read dropped" in own.host.output(),
            what="those behind for longest to be closed",
        )
        wait_until(lambda: own.files() < READERS / 2, what="most to be closed")
        assert own.pss_bytes() < most
    finally:
        stopping.set()
        reader.join()


HOSTS = {
    "none": b"",
    "two": b"Host: a\r\nHost: a\r\n",
    "another case": b"Host: a\r\nX: y\r\nhOST: b\r\n",
    "two in one": b"Host: a, b\r\n",
    "blank": b"Host: a b\r\n",
    "path": b"Host: a/b\r\n",
    "user": b"Host: me@a\r\n",
    "URL": b"Host: http://a\r\n",
    "port that is none": b"Host: a:http\r\n",
    "two ports": b"Host: a:1:2\r\n",
    "open bracket": b"Host: [::1\r\n",
    "raw bytes": b"Host: \xc3\xa9\r\n",
    "null byte": b"Host: a\0b\r\n",
}


def asked(host: bytes, *, target: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    method, body = (b"GET", b"") if target == b"/ping" else (b"POST", SMALL)
    head = b"%b %b %b\r\n%bContent-Length: %d\r\n\r\n" % (method, target, version, host, len(body))
    return head + body


@pytest.mark.parametrize("target", [b"/ping", b"/invocations", b"http://a/invocations"])
@pytest.mark.parametrize("kind", HOSTS)
def test_a_request_without_one_host_is_refused(victim: Victim, kind: str, target: bytes) -> None:
    """RFC 9112, 3.2. A proxy before this server may decide by one of two, and this server by the other."""
    assert statuses(read_all(victim.send(asked(HOSTS[kind], target=target) + PING))) == [400]


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"localhost",
        b"my_service:8080",
        b"10.0.0.1:80",
        b"[::1]:8080",
        b"[fe80::1%25eth0]",
        b"a.b-c:",
        b"%41",
    ],
)
def test_every_host_is_this_one(victim: Victim, host: bytes) -> None:
    requests = b"".join(
        asked(b"hOsT: %b\r\n" % host, target=target) for target in (b"/ping", b"/invocations")
    )

    assert (
        statuses(read_all(victim.send(requests + asked(b"", target=b"/ping", version=b"HTTP/1.0"))))
        == [200] * 3
    )
    assert statuses(read_all(victim.send(asked(HOST * 2, target=b"/ping", version=b"HTTP/1.0")))) == [400]


@pytest.mark.parametrize("packets", ["one", "lines", "bytes"])
@pytest.mark.parametrize("target", [b"/ping", b"/invocations", b"/RTSP/", b"/invocations?a= RTSP/"])
@pytest.mark.parametrize(
    "version", [b"RTSP/1.0", b"RTSP/1.1", b"ICE/1.0", b" RTSP/1.0", b"HTTPS/1.1", b"http/1.1"]
)
def test_a_request_of_another_protocol_is_refused(
    victim: Victim, version: bytes, target: bytes, packets: str
) -> None:
    """The parser takes RTSP's and Icecast's requests for HTTP's of the same version.

    One with the same target before it, in the same packet, may get the refusal in place of its answer.
    """
    request = asked(HOST, target=target, version=version)
    for begun in (b"", post(SMALL)):  # after a payload that ends in no line
        connection = victim.connect()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for packet in packets_of(begun + request, packets):
            with suppress(OSError):  # refused before it was whole
                connection.sendall(packet)
        received = statuses(read_all(connection))

        assert received[-1] == 400
        assert received[:-1] in ([], [200]) if begun else received == [400]


def packets_of(content: bytes, how: str) -> list[bytes]:
    if how == "bytes":
        return [content[place : place + 1] for place in range(len(content))]
    return content.splitlines(keepends=True) if how == "lines" else [content]


def test_a_request_may_speak_of_another_protocol(victim: Victim) -> None:
    head = b"User-Agent: x RTSP/1.0\r\n" + HOST + b"X: POST RTSP/1.0\r\n"
    requests = [
        asked(head, target=target) for target in (b"/ping", b"/invocations", b"/invocations?a=RTSP/1.0")
    ]
    connection = victim.connect()
    for packet in packets_of(b"".join(requests), "lines"):
        connection.sendall(packet)
    connection.sendall(asked(head + b"Connection: close\r\n", target=b"/ping"))

    assert statuses(read_all(connection)) == [200] * 4


ENCODINGS = (
    b"gzip",
    b"GZIP",
    b"deflate",
    b"br",
    b"zstd",
    b"gzip, gzip",
    b"aws-chunked",
    b"x" * 5000,
    b"\xff",
)


@pytest.mark.parametrize("size", [1, 100, 50_000])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_payload_that_is_encoded_is_refused_before_it_has_come(
    victim: Victim, encoding: bytes, size: int
) -> None:
    """Unpacked it could be any size; as it is it could be read as something else than was meant."""
    body = b"[" + b", ".join([SMALL[1:-1]] * size) + b"]"
    headers = (b"Content-Encoding: " + encoding, b"Expect: 100-continue", b"Content-Type: application/json")
    for target in (b"/invocations", b"/endpoints/e/invocations"):
        connection = victim.send(post(body, *headers, target=target)[: -len(body)])
        received = b""
        while b"Content-Encoding; send it as it is" not in received:
            received += connection.recv(65536)

        assert statuses(received) == [415 if target == b"/invocations" else 424]
        assert b"100 Continue" not in received
        connection.sendall(body + post(SMALL, b"Connection: close"))
        assert statuses(read_all(connection)) == [200]


def test_the_same_head_again_is_refused_again(victim: Victim) -> None:
    """Heads that were answered are remembered; those of encoded payloads are not."""
    packed = gzip.compress(SMALL)
    plain = post(SMALL, b"Content-Encoding: identity", b"Connection: keep-alive")
    connection = victim.connect()
    for _ in range(3):
        connection.sendall(post(packed, b"Content-Encoding: gzip"))
        answer = b""
        while b"}}" not in answer:
            answer += connection.recv(65536)
        assert statuses(answer) == [415]
        assert b"\r\naccept-encoding: identity\r\n" in answer
        connection.sendall(plain)
        assert statuses(connection.recv(65536)) == [200]


@pytest.mark.parametrize(
    "value",
    [
        TOKEN.encode()[:-1],
        TOKEN.encode() + b"x",
        TOKEN.encode() * 400,
        b"",
        b"\xc3\xa9" * 16,
        b"\xff" * len(TOKEN),
        "日本".encode(),
        b"a" * 50_000,
    ],
)
def test_a_wrong_token_is_refused_whatever_it_is(own: Victim, value: bytes) -> None:
    """No trace is left of it: `process_host` looks for one at the end."""
    asked = b"GET /model HTTP/1.1\r\n%bConnection: close\r\nAuthorization: Bearer %b\r\n\r\n"

    assert statuses(read_all(own.send(asked % (HOST, value)))) == [401]
    assert statuses(read_all(own.send(asked % (HOST, TOKEN.encode())))) == [200]
