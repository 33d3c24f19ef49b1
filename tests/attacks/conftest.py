"""Provide what attacks share: a server of their own, raw connections, and a look at what the server holds."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.attacks.hosts import AS_A_USER, CONTAINER, PROCESS, Host, container_host, process_host
from tests.conftest import DEADLINE_S, wait_until

MIB = 2**20
ANSWER_S = 2.0
"""Within this the server answers others, whatever one client does; CI has two cores and other tests."""
HOST = b"Host: a\r\n"
SMALL = b"[[25, 1250.0]]"
LIMITS = {
    "SERVICE_MAX_WAITING_MB": "128",
    "SERVICE_HEADER_TIMEOUT_S": "2",
    "SERVICE_BODY_TIMEOUT_S": "2",
    "SERVICE_MAX_PAYLOAD_MB": "4",
}


def post(body: bytes, *headers: bytes, target: bytes = b"/invocations") -> bytes:
    lines = b"".join(b"%b\r\n" % header for header in headers)
    return b"POST %b HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n%b" % (target, HOST, lines, len(body), body)


LARGE = post(
    b"[" + b", ".join([b"[25, 1250.0]"] * 40_000) + b"]",
    b"Accept: application/json; detail=full",
    b"Connection: close",
)
"""0.6 MB, whose answer has 13."""
PING = b"GET /ping HTTP/1.1\r\n%b\r\n" % HOST


@dataclass
class Victim:
    """Hold a server under attack."""

    host: Host
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
        rollup = Path(f"/proc/{self.host.pid}/smaps_rollup").read_text()
        return int(re.findall(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)[0]) * 1024

    def files(self) -> int:
        return len(list(Path(f"/proc/{self.host.pid}/fd").iterdir()))

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.host.pid}/task").iterdir()))

    def close_all(self) -> None:
        self._stack.close()

    def _open(self, timeout_s: float = DEADLINE_S) -> socket.socket:
        host, _, port = self.host.url.removeprefix("http://").partition(":")
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the image."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec is not None and callspec.params.get("running") == CONTAINER:
            item.add_marker("docker")


@pytest.fixture(name="running", scope="session", params=[PROCESS, CONTAINER])
def _running(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    store_path: Path,
    model_dir: Path,
) -> Iterator[Host]:
    """Serve as a process, and in a container as a careful user would."""
    folder = tmp_path_factory.mktemp("victim")
    with (
        process_host(folder, "--store", str(store_path), **LIMITS)
        if request.param == PROCESS
        else container_host(AS_A_USER, mounts=[(model_dir, "/opt/ml/model")], **LIMITS)
    ) as host:
        warm = Victim(host)
        assert statuses(read_all(warm.send(LARGE))) == [200]  # imports what large payloads need
        warm.close_all()
        yield host


@pytest.fixture(name="victim")
def _victim(running: Host) -> Iterator[Victim]:
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
    assert victim.host.is_running()
    victim.answer_s()
    wait_until(lambda: victim.files() <= files, what="connections to be closed", deadline_s=20)
    assert victim.threads() <= threads + 6, "threads are left"  # pools grow to their size once
    wait_until(lambda: victim.pss_bytes() < pss + growth_bytes, what="memory to be given back", deadline_s=20)
