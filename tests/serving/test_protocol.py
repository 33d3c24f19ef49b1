"""The short cut of the protocol: the same answers, in the same order, as the long way."""

import contextlib
import re
import select
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.serving.watch import DRAIN_S
from tests.conftest import DEADLINE_S, RunningServer, Starter, start_server, wait_until

SMALL = b"[[25, 1250.0]]"
OBJECTS = b"[" + b",".join([b'{"Age": 25, "Spending_Power": 1250.0}'] * 300) + b"]"
"""Small enough for the short cut, but not quickly read."""
LARGE = b"[" + b",".join([b"[25, 1250.0]"] * 20_000) + b"]"


def post(body: bytes, *headers: str, version: str = "1.1") -> bytes:
    lines = [f"POST /invocations HTTP/{version}", "Host: test", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


PING = b"GET /ping HTTP/1.1\r\nHost: test\r\n\r\n"


class Connection:
    """Hold a socket, and what has arrived on it but was not read yet."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=DEADLINE_S)
        self._rest = b""

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def read(self) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of the next answer."""
        head = self._until(b"\r\n\r\n")
        status = int(head.split(b" ")[1])
        headers = dict(re.findall(r"^([^:\r\n]+): ([^\r\n]*)", head.decode().lower(), re.MULTILINE))
        length = int(headers["content-length"])
        while len(self._rest) < length:
            self._fill()
        body, self._rest = self._rest[:length], self._rest[length:]
        return status, headers, body

    def read_to_end(self) -> bytes:
        """Return all that comes until the server closes the connection."""
        while content := self.socket.recv(65536):
            self._rest += content
        return self._rest

    def is_closed(self) -> bool:
        return not self._rest and self.socket.recv(1) == b""

    def _until(self, end: bytes) -> bytes:
        while end not in self._rest:
            self._fill()
        head, _, self._rest = self._rest.partition(end)
        return head + end

    def _fill(self) -> None:
        content = self.socket.recv(65536)
        assert content, "the server has closed the connection"
        self._rest += content


@pytest.fixture(name="connection")
def _connection(server: RunningServer) -> Iterator[Connection]:
    connection = Connection(server.url)
    yield connection
    connection.socket.close()


def test_pipelined_requests_of_both_ways_are_answered_in_their_order(connection: Connection) -> None:
    connection.send(
        post(SMALL) + post(LARGE) + post(SMALL) + PING + post(OBJECTS) + post(b"[]") + post(SMALL)
    )
    answers = [connection.read() for _ in range(7)]

    assert [status for status, _, _ in answers] == [200] * 7
    assert [body.count(b"2") for _, _, body in answers] == [1, 20_000, 1, 0, 300, 0, 1]


def test_a_request_that_arrives_byte_by_byte_is_answered(connection: Connection) -> None:
    for byte in post(SMALL):
        connection.send(bytes([byte]))

    assert connection.read()[2] == b"[2]"


@pytest.mark.parametrize("body", [SMALL, OBJECTS, LARGE, b"[]", b"nonsense"], ids=range(5))
def test_both_ways_answer_with_the_same_headers(connection: Connection, body: bytes) -> None:
    """A query string sends a request the long way."""
    connection.send(post(body, "X-Amzn-SageMaker-Custom-Attributes: trace=1"))
    short = connection.read()
    request = post(body, "X-Amzn-SageMaker-Custom-Attributes: trace=1")
    connection.send(request.replace(b"/invocations", b"/invocations?long=1"))
    long = connection.read()

    assert short[0] == long[0]
    assert short[2] == long[2]
    assert short[1].pop("x-request-id") != long[1].pop("x-request-id")
    assert {name: value for name, value in short[1].items() if name != "date"} == {
        name: value for name, value in long[1].items() if name != "date"
    }


def test_a_head_that_is_known_is_answered_as_when_it_was_new(connection: Connection) -> None:
    bodies = [b"[[25, 1250.0]]", b"[[25, 9000.0]]", b"[[70, 1250.0]]", b"[[25, 1250,0]", b"{25, 1250.000}"]
    bodies = [body.ljust(14) for body in bodies]
    new = []
    for number, body in enumerate(bodies):
        connection.send(post(body, f"X-New: {number}"))
        new.append(connection.read())
    known = []
    for body in bodies * 2:
        connection.send(post(body))
        known.append(connection.read())

    assert [(status, body) for status, _, body in known] == [(status, body) for status, _, body in new] * 2
    assert {status for status, _, _ in new} == {200, 400}
    assert len({headers["x-request-id"] for _, headers, _ in known}) == len(known)


@pytest.mark.parametrize(
    "content",
    [
        post(SMALL) * 3,
        post(SMALL) + PING,
        post(SMALL) + post(SMALL)[:-5],
        post(SMALL)[:-1],
        b"\r\n" + post(SMALL),
        post(SMALL).replace(b"HTTP/1.1", b"HTTP/1.0"),
        post(SMALL, "Connection: close"),
        post(SMALL, "Expect: 100-continue"),
    ],
    ids=["thrice", "then a ping", "and a part", "cut short", "blank before", "1.0", "closing", "expecting"],
)
def test_what_follows_a_known_head_is_not_taken_for_a_payload(server: RunningServer, content: bytes) -> None:
    fresh, used = Connection(server.url), Connection(server.url)
    for _ in range(3):
        used.send(post(SMALL))
        assert used.read()[2] == b"[2]"
    answers = []
    for connection, host in ((fresh, b"n%07x" % id(content)), (used, b"test")):
        connection.send(content.replace(b"Host: test", b"Host: %b" % host))
        connection.socket.shutdown(socket.SHUT_WR)
        answer = connection.read_to_end()
        answers.append(re.sub(rb"(x-request-id|date): [^\r]*", b"", answer))
        connection.socket.close()

    assert answers[0] == answers[1]


def test_a_payload_that_looks_like_a_known_request_is_a_payload(
    server: RunningServer, connection: Connection
) -> None:
    inner = post(SMALL)
    for _ in range(3):
        connection.send(inner)
        assert connection.read()[2] == b"[2]"
    connection.send(post(inner)[: -len(inner)])
    other = Connection(server.url)
    for _ in range(2):  # by then the loop has read what came before
        other.send(PING)
        assert other.read()[0] == 200
    other.socket.close()
    connection.send(inner)

    assert connection.read()[0] == 400
    connection.send(PING)
    assert connection.read()[0] == 200


def test_a_known_head_does_not_outlive_its_model(tmp_path: Path, store_path: Path) -> None:
    archive = next(store_path.glob("*/model.tar.gz"))
    folder = tmp_path / "model"
    shutil.unpack_archive(archive, folder)
    with contextlib.ExitStack() as stack:
        server = start_server(tmp_path, SAGEMAKER_MULTI_MODEL="true")
        stack.callback(server.stop)
        load = {"model_name": "a", "url": str(folder)}
        assert httpx.post(f"{server.url}/models", json=load).status_code == 200
        connection = Connection(server.url)
        stack.callback(connection.socket.close)
        request = post(SMALL).replace(b"/invocations", b"/models/a/invoke")
        statuses = []
        for _ in range(3):
            connection.send(request)
            statuses.append(connection.read()[0])
        assert httpx.delete(f"{server.url}/models/a").status_code == 200
        connection.send(request)

        assert statuses == [200] * 3
        assert connection.read()[0] == 404


@pytest.mark.parametrize("body", [SMALL, OBJECTS, LARGE, b"x"], ids=["small", "objects", "large", "refused"])
def test_a_request_keeps_the_id_that_it_came_with(connection: Connection, body: bytes) -> None:
    connection.send(post(body, "X-Request-Id: team/42") + post(body, 'X-Request-Id: a"b') + post(body))
    given, unsafe, own = (connection.read()[1]["x-request-id"] for _ in range(3))

    assert given == "team/42"
    assert re.fullmatch("[0-9a-f]{16}", unsafe)
    assert re.fullmatch("[0-9a-f]{16}", own)
    assert unsafe != own


def test_answers_of_different_kinds_on_one_connection_have_their_own_headers(connection: Connection) -> None:
    """The head of the answer before is kept for the next one."""
    connection.send(post(SMALL) + post(b"x") + post(SMALL, "Accept: text/csv") + post(SMALL))
    answers = [connection.read() for _ in range(4)]

    assert [status for status, _, _ in answers] == [200, 400, 200, 200]
    assert [headers["content-type"] for _, headers, _ in answers] == [
        "application/json",
        "application/json",
        "text/csv",
        "application/json",
    ]


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(SMALL, "Connection: close"),
        post(SMALL, version="1.0"),
        post(SMALL, "Connection: keep-alive", version="1.0"),
    ],
    ids=["close", "HTTP/1.0", "HTTP/1.0 keep-alive"],
)
def test_a_connection_is_closed_when_the_client_asks_for_it(
    connection: Connection, request_bytes: bytes
) -> None:
    connection.send(request_bytes)
    status, headers, body = connection.read()

    assert (status, headers["connection"], body) == (200, "close", b"[2]")
    assert connection.is_closed()


def test_a_refusal_ends_where_the_client_asked_for_it_before_all_was_sent(connection: Connection) -> None:
    """And not only when the server, which takes the rest, has lost patience."""
    connection.socket.settimeout(DRAIN_S / 3)
    connection.send(post(b" " * 30_000_000, "Connection: close")[:1_000_000])
    status, headers, _ = connection.read()

    assert (status, headers["connection"]) == (413, "close")
    assert connection.is_closed()
    connection.send(b" " * 29_000_000)


def test_those_that_only_send_a_refused_rest_make_room_for_others(start: Starter, store_path: Path) -> None:
    server = start("--store", str(store_path), SERVICE_MAX_CONNECTIONS="8")
    lingering = [Connection(server.url) for _ in range(8)]
    for connection in lingering:
        connection.send(post(b" " * 30_000_000, "Connection: close")[:1000])
        assert connection.read()[0] == 413
    with contextlib.closing(Connection(server.url).socket) as other:
        other.sendall(PING)
        assert other.recv(100).startswith(b"HTTP/1.1 200 ")
    for connection in lingering:
        connection.socket.close()


def is_listening(server: RunningServer) -> bool:
    try:
        Connection(server.url).socket.close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("is_refused_first", [True, False])
def test_a_rest_of_a_refused_payload_does_not_hold_up_a_stop(
    start: Starter, store_path: Path, *, is_refused_first: bool
) -> None:
    """Its client, which goes on sending, has a second to read the refusal."""
    server = start("--store", str(store_path), SERVICE_MAX_PAYLOAD_MB="1")
    connection = Connection(server.url)
    chunk = b"10000\r\n%b\r\n" % (b" " * 65_536)
    connection.send(b"POST /invocations HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n")
    connection.send(b"Connection: close\r\n\r\n" + chunk)
    if is_refused_first:
        connection.send(chunk * 20)
        assert connection.read()[0] == 413
    started_s = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: not is_listening(server), what="the stop to begin")
    connection.send(chunk * 20)
    if not is_refused_first:
        assert connection.read()[0] == 413
    assert server.process.wait(DEADLINE_S) == 0

    assert time.monotonic() - started_s < DRAIN_S / 3
    assert "ERROR" not in server.log.read_text()
    connection.socket.close()


@pytest.mark.parametrize(
    "headers",
    [[f"X-{n}: {'v' * 1000}" for n in range(100)], [f"X: {'v' * 100_000}"], ["X: v"] * 40_000],
    ids=["many", "long", "very many"],
)
def test_too_many_headers_end_the_connection(connection: Connection, headers: list[str]) -> None:
    connection.send(post(SMALL, *headers))

    assert connection.read()[0] == 400
    assert connection.is_closed()


def test_a_header_that_nobody_may_send_is_refused_and_not_kept(connection: Connection) -> None:
    connection.send(post(SMALL, f"X-Amzn-SageMaker-Custom-Attributes: {'a' * 5000}"))
    status, headers, body = connection.read()

    assert status == 400
    assert b"too long together" in body
    assert "x-amzn-sagemaker-custom-attributes" not in headers


def test_a_client_that_does_not_read_does_not_make_the_server_hoard_answers(connection: Connection) -> None:
    """20,000 answers are more than the sockets' buffers hold; all must come, in order, once it reads."""
    requests = post(SMALL) * 1000
    connection.socket.setblocking(False)
    sent = 0
    while sent < len(requests) * 20 and select.select([], [connection.socket], [], 0.5)[1]:
        sent += connection.socket.send(requests[sent % len(requests) :])
    connection.socket.settimeout(DEADLINE_S)
    whole = sent // len(post(SMALL))

    assert whole > 100
    for _ in range(whole):
        assert connection.read()[2] == b"[2]"


def test_a_request_that_is_arriving_at_sigterm_is_answered(tmp_path: Path, store_path: Path) -> None:
    server = start_server(tmp_path, "--store", str(store_path))
    arriving, idle = Connection(server.url), Connection(server.url)
    idle.send(post(SMALL))
    idle.read()
    arriving.send(post(SMALL)[:-5])
    server.process.terminate()
    assert idle.is_closed()
    arriving.send(post(SMALL)[-5:])
    status, headers, body = arriving.read()

    assert (status, headers["connection"], body) == (200, "close", b"[2]")
    assert arriving.is_closed()
    assert server.process.wait(DEADLINE_S) == 0
    arriving.socket.close()
    idle.socket.close()
