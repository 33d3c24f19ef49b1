"""The load is counted right, however a server ends its answers."""

import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.peers.client import load_server, suits_wrk
from service.load.result import Load

KEPT = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]"
CLOSED = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\n[1]"
ENDLESS = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[1]"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n0\r\n\r\n"
LONG = b"HTTP/1.1 200 OK\r\ncontent-length: 3000000\r\n\r\n" + bytes(3_000_000)


@contextmanager
def answering(*answers: bytes, after_s: float = 0.0) -> Iterator[int]:
    """Answer the requests of each connection in turn, with the last one again and again; yield the port."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            left = list(answers)
            while head := self._read_head():
                self.rfile.read(int(head[b"content-length"]))
                answer = left.pop(0) if len(left) > 1 else left[0]
                time.sleep(after_s)
                self.wfile.write(answer)
                if b"Connection: close" in answer:
                    return

        def _read_head(self) -> dict[bytes, bytes]:
            lines = iter(self.rfile.readline, b"\r\n")
            fields = [line.lower().partition(b":") for line in lines if line]
            return {name: value.strip() for name, _, value in fields}

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Say nothing of a client that has gone."""

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def put_load(folder: Path, *answers: bytes) -> Load:
    body = folder / "body"
    body.write_bytes(b"[[25, 1250.0]]")
    with answering(*answers) as port:
        return load_server(
            port,
            "/",
            body_path=body,
            content_type="application/json",
            connections=2,
            seconds=0.6,
            by_wrk=False,
        )


@pytest.mark.parametrize("answer", [KEPT, CLOSED, ENDLESS, CHUNKED, LONG], ids=range(5))
def test_every_answer_is_counted(tmp_path: Path, answer: bytes) -> None:
    load = put_load(tmp_path, answer)

    assert load.failed == 0
    assert load.requests > 4


def test_a_server_that_hangs_up_after_some_answers_is_asked_again(tmp_path: Path) -> None:
    load = put_load(tmp_path, KEPT, KEPT, CLOSED)

    assert load.failed == 0
    assert load.requests > 6


@pytest.mark.parametrize(
    "answer",
    [
        KEPT.replace(b"200 OK", b"400 No"),
        KEPT + b"more",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\n[1]",
    ],
    ids=range(4),
)
def test_what_is_no_answer_is_a_failure(tmp_path: Path, answer: bytes) -> None:
    assert put_load(tmp_path, KEPT, answer).failed > 0


@pytest.mark.parametrize(
    ("seconds", "answer", "after_s", "suits"),
    [
        (100, KEPT, 0, True),
        (100, KEPT, 0.2, False),
        (0.2, KEPT, 0, False),
        (100, KEPT.replace(b"200 OK", b"400 No"), 0, False),
    ],
    ids=["quick", "slow", "in no time", "refused"],
)
def test_wrk_suits_where_it_cuts_off_few(
    tmp_path: Path, seconds: float, answer: bytes, after_s: float, *, suits: bool
) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"[[25, 1250.0]]")
    with answering(answer, after_s=after_s) as port:
        assert suits == suits_wrk(port, "/", body_path=body, content_type="application/json", seconds=seconds)
