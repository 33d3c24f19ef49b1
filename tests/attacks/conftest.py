"""Provide what attacks share: a server of their own, raw connections, and a look at what the server holds."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import DEADLINE_S, RunningServer, start_server, wait_until

MIB = 2**20
ANSWER_S = 2.0
"""Within this the server answers others, whatever one client does; CI has two cores and other tests."""
HOST = b"Host: a\r\n"
SMALL = b"[[25, 1250.0]]"
LIMITS = {"SERVICE_HEADER_TIMEOUT_S": "2", "SERVICE_BODY_TIMEOUT_S": "2", "SERVICE_MAX_PAYLOAD_MB": "4"}


def post(body: bytes, *headers: bytes, target: bytes = b"/invocations") -> bytes:
    lines = b"".join(b"%b\r\n" % header for header in headers)
    return b"POST %b HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n%b" % (target, HOST, lines, len(body), body)


PING = b"GET /ping HTTP/1.1\r\n%b\r\n" % HOST


@dataclass
class Victim:
    """Hold a server under attack."""

    server: RunningServer
    _stack: ExitStack = field(default_factory=ExitStack)

    def connect(self, *, timeout_s: float = DEADLINE_S) -> socket.socket:
        """Return a connection that is closed after the test."""
        return self._stack.enter_context(self._open(timeout_s))

    def send(self, content: bytes) -> socket.socket:
        """Return a connection on which this was sent."""
        connection = self.connect()
        connection.sendall(content)
        return connection

    def answer_s(self) -> float:
        """Ask as another client would, on a connection of its own; return how long the answers took."""
        started_s = time.monotonic()
        with self._open() as connection:
            connection.sendall(PING + post(SMALL, b"Connection: close"))
            received = read_all(connection)
        assert statuses(received) == [200, 200]
        assert received.endswith(b"[2]")
        return time.monotonic() - started_s

    def answer_s_of_ping(self) -> float:
        """Ask for a ping alone, where no model can answer by default; return how long that took."""
        started_s = time.monotonic()
        with self._open() as connection:
            connection.sendall(PING.replace(HOST, HOST + b"Connection: close\r\n"))
            assert statuses(read_all(connection)) == [200]
        return time.monotonic() - started_s

    def pss_bytes(self) -> int:
        """Return the server's proportional share of memory; needs Linux."""
        rollup = Path(f"/proc/{self.server.process.pid}/smaps_rollup").read_text()
        return int(re.findall(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)[0]) * 1024

    def files(self) -> int:
        return len(list(Path(f"/proc/{self.server.process.pid}/fd").iterdir()))

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.server.process.pid}/task").iterdir()))

    def close_all(self) -> None:
        self._stack.close()

    def _open(self, timeout_s: float = DEADLINE_S) -> socket.socket:
        host, _, port = self.server.url.removeprefix("http://").partition(":")
        return socket.create_connection((host, int(port)), timeout=timeout_s)


def read_all(connection: socket.socket, *, deadline_s: float = DEADLINE_S) -> bytes:
    """Return all that comes until the server closes; fail when it does not."""
    connection.settimeout(deadline_s)
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def statuses(received: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


def flood(connection: socket.socket, block: bytes, *, most: int) -> int:
    """Send a block again and again; return how much the server has let through before it hung up."""
    sent = 0
    try:
        while sent < most:
            connection.sendall(block)
            sent += len(block)
    except (ConnectionResetError, BrokenPipeError):
        pass
    return sent


@pytest.fixture(name="running", scope="module")
def _running(tmp_path_factory: pytest.TempPathFactory, store_path: Path) -> Iterator[RunningServer]:
    server = start_server(tmp_path_factory.mktemp("victim"), "--store", str(store_path), **LIMITS)
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


@pytest.fixture(name="victim")
def _victim(running: RunningServer) -> Iterator[Victim]:
    """Attack a server, which must be afterwards as it was: no connection, thread or much memory is left."""
    with unharmed(Victim(running)) as victim:
        yield victim


@contextmanager
def unharmed(victim: Victim, *, growth_bytes: int = 24 * MIB) -> Iterator[Victim]:
    """Yield a server, and check that it answers afterwards and has let go of everything."""
    victim.answer_s()
    files, threads, pss = victim.files(), victim.threads(), victim.pss_bytes()
    yield victim
    victim.close_all()
    assert victim.server.process.poll() is None
    victim.answer_s()
    wait_until(lambda: victim.files() <= files, what="connections to be closed", deadline_s=20)
    assert victim.threads() <= threads + 6, "threads are left"  # pools grow to their size once
    assert victim.pss_bytes() < pss + growth_bytes
    assert b"Traceback" not in victim.server.log.read_bytes()
