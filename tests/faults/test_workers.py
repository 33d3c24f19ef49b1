"""Workers that are killed, models that vanish, signals that storm: who is not concerned notices nothing."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conftest import DEADLINE_S, RunningServer, Starter, is_running, wait_until

BODY = b"[[25, 1250.0], [70, 99999.5]]"
HEADERS = {"Content-Type": "application/json"}
CLIENTS = 8
KILLS = 3

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def children(pid: int) -> set[int]:
    """Return the server processes of a supervisor."""
    found = set()
    for name in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            if b"spawn_main" in Path(f"/proc/{name}/cmdline").read_bytes():
                found.add(int(name))
        except OSError:
            continue
    return found


def ports_of(pid: int) -> set[int]:
    """Return the clients' ports of the connections that a process holds."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.update(re.findall(r"socket:\[(\d+)\]", str(entry.readlink())))
        except OSError:
            continue
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(row[2].split(":")[1], 16) for row in rows if row[9] in inodes}


class Caller(threading.Thread):
    """Ask on one connection, and on a new one whenever that is lost."""

    def __init__(self, server: RunningServer, stopping: threading.Event) -> None:
        super().__init__(daemon=True)
        address = urlsplit(server.url)
        self.connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=DEADLINE_S)
        self.stopping = stopping
        self.answered = 0
        self.wrong: list[str] = []
        self.lost_ports: list[int] = []

    @property
    def port(self) -> int | None:
        """Return this end's port, None between two connections."""
        try:
            return int(self.connection.sock.getsockname()[1]) if self.connection.sock else None
        except OSError:
            return None

    def run(self) -> None:
        while not self.stopping.is_set():
            port = None
            try:
                if self.connection.sock is None:
                    self.connection.connect()
                port = self.port
                self.connection.request("POST", "/invocations", BODY, HEADERS)
                response = self.connection.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException):
                self.connection.close()
                self.lost_ports.append(port or 0)
                continue
            self.answered += 1
            if response.status != 200 or not re.fullmatch(rb"\[\d, \d\]", answer):
                self.wrong.append(f"{response.status} {answer[:80]!r}")
        self.connection.close()


def test_of_a_worker_that_is_killed_under_load_only_its_own_requests_fail(
    start: Starter, store_path: Path
) -> None:
    server = start("--store", str(store_path), "--workers", "2", SERVICE_ACCESS_LOG="off")
    stopping = threading.Event()
    callers = [Caller(server, stopping) for _ in range(CLIENTS)]
    for caller in callers:
        caller.start()
    concerned: set[int] = set()
    for _ in range(KILLS):
        wait_until(lambda: len(children(server.process.pid)) == 2, what="two workers")
        wait_until(lambda: all(caller.port for caller in callers), what="every caller to be connected")
        before = [caller.answered for caller in callers]
        victim = max(children(server.process.pid), key=lambda pid: len(ports_of(pid)))
        os.kill(victim, signal.SIGSTOP)  # so that what it holds is known
        concerned |= ports_of(victim)
        os.kill(victim, signal.SIGKILL)
        wait_until(
            lambda before=before: all(  # type: ignore[misc]  # a bound default
                caller.answered > count for caller, count in zip(callers, before, strict=True)
            ),
            what="every caller to be answered again",
        )
    wait_until(lambda: len(children(server.process.pid)) == 2, what="two workers")
    stopping.set()
    for caller in callers:
        caller.join(DEADLINE_S)

    lost = [port for caller in callers for port in caller.lost_ports]
    assert [wrong for caller in callers for wrong in caller.wrong] == []
    assert set(lost) <= concerned
    assert len(lost) <= KILLS * CLIENTS
    assert sum(caller.answered for caller in callers) > 10 * len(lost)
    assert server.stop() == 0


def test_workers_that_are_killed_before_they_have_started_are_replaced(
    start: Starter, store_path: Path
) -> None:
    """One that dies with its orders unread must not leave the supervisor writing them for ever."""
    server = start("--store", str(store_path), "--workers", "2")
    for _ in range(5):
        known = children(server.process.pid)
        os.kill(max(known), signal.SIGKILL)
        wait_until(
            lambda known=known: children(server.process.pid) - known,  # type: ignore[misc]  # a bound default
            what="another worker",
            interval_s=0.001,
        )
    wait_until(lambda: len(children(server.process.pid)) == 2, what="two workers")

    assert httpx.post(f"{server.url}/invocations", content=BODY, headers=HEADERS).status_code == 200
    assert server.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_model_that_vanishes_goes_on_being_served(
    start: Starter, store_path: Path, tmp_path: Path, workers: str
) -> None:
    shutil.copytree(store_path, tmp_path / "models")
    server = start("--store", str(tmp_path / "models"), "--workers", workers)
    expected = httpx.post(f"{server.url}/invocations", content=BODY).text
    shutil.rmtree(tmp_path / "models")

    for _ in range(10):
        assert httpx.get(f"{server.url}/ping").status_code == 200
        assert httpx.post(f"{server.url}/invocations", content=BODY).text == expected
    assert httpx.get(f"{server.url}/model").status_code == 200
    assert server.stop() == 0


def test_a_worker_that_dies_after_the_model_has_vanished_is_replaced_too(
    start: Starter, store_path: Path, tmp_path: Path
) -> None:
    shutil.copytree(store_path, tmp_path / "models")
    server = start("--store", str(tmp_path / "models"), "--workers", "2")
    expected = httpx.post(f"{server.url}/invocations", content=BODY).text
    shutil.rmtree(tmp_path / "models")
    first = children(server.process.pid)
    for pid in first:
        os.kill(pid, signal.SIGKILL)

    def is_back() -> bool:
        try:
            return httpx.post(f"{server.url}/invocations", content=BODY, timeout=5).text == expected
        except httpx.HTTPError:
            return False

    wait_until(is_back, what="new workers to answer", deadline_s=30)
    assert server.stop() == 0


def test_a_worker_that_is_busy_for_long_is_left_alone(start: Starter, store_path: Path) -> None:
    """A parser that is amid a payload of 200 MB lets no other thread run for longer than 5 s."""
    server = start("--store", str(store_path), "--workers", "2")
    workers = children(server.process.pid)
    busy = min(workers)
    os.kill(busy, signal.SIGSTOP)
    until_s = time.monotonic() + 8
    wait_until(lambda: time.monotonic() > until_s or not is_running(busy), what="what uvicorn waits for")
    os.kill(busy, signal.SIGCONT)

    assert children(server.process.pid) == workers
    assert httpx.post(f"{server.url}/invocations", content=BODY, timeout=DEADLINE_S).status_code == 200
    assert server.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_storm_of_signals_changes_nothing_about_the_end(
    start: Starter, store_path: Path, workers: str
) -> None:
    server = start("--store", str(store_path), "--workers", workers)
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=DEADLINE_S) as connection:
        head = f"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: {len(BODY)}\r\n"
        connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")
        for _ in range(100):
            server.process.send_signal(signal.SIGTERM)
        connection.sendall(BODY)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    deadline = time.monotonic() + DEADLINE_S
    while server.process.poll() is None and time.monotonic() < deadline:
        server.process.send_signal(signal.SIGTERM)

    assert server.process.wait(1) == 0
    assert "Traceback" not in server.log.read_text()


def test_a_store_of_the_power_cut_is_always_readable(store_path: Path, tmp_path: Path) -> None:
    """Real system calls, and a real disk where this is root: power_cut.py; its long form has all."""
    has_disk = os.geteuid() == 0
    options = [*(["--disk"] if has_disk else []), "--only", "add", "--only", "promote"]
    command = [sys.executable, "-m", "tests.faults.power_cut", str(store_path), str(tmp_path), *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=280)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {name: result["problems"] for name, result in found.items()} == {"add": {}, "promote": {}}
    assert len(found["add"]["steps"]) > 20
    assert found["add"]["steps"][-1] == found["promote"]["steps"][-1] == "done"
