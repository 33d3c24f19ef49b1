"""Real processes and signals: start, refuse to start, drain, stay responsive under load."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from service.store import Store
from service.training.sample import write_sample
from tests.conftest import DEADLINE_S, RunningServer, Starter, clean_environment, is_running, wait_until
from tests.serving.conftest import CSV, DEFAULT_BODY, JSON, JSON_LINES, post, run_serve

VERSION_HEADER = "X-Segserve-Model-Version"
EXIT_S = 25
"""C4: SIGKILL comes 30 s after SIGTERM."""


def address_of(server: RunningServer) -> tuple[str, int]:
    address = urlsplit(server.url)
    assert address.hostname
    assert address.port
    return address.hostname, address.port


def read_all(connection: socket.socket) -> bytes:
    """Return what the server sends until it closes."""
    return b"".join(iter(lambda: connection.recv(2**20), b""))


def has_loaded(server: RunningServer, *, since: int) -> bool:
    """Tell whether a worker has loaded the model since the log was so long."""
    return "Model loaded" in server.log.read_text()[since:]


def is_refused(server: RunningServer) -> bool:
    try:
        with socket.create_connection(address_of(server), timeout=5):
            return False
    except ConnectionError:
        return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def children(pid: int) -> list[int]:
    """Return the ids of a process's server processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
            command = (path.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == pid and b"spawn_main" in command:
            found.append(int(path.parent.name))
    return found


@pytest.mark.timing
@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_drains_what_is_in_flight_and_refuses_the_rest(
    start: Starter, store_path: Path, workers: str
) -> None:
    """C4, C140, C141."""
    server = start("--store", str(store_path), "--workers", workers)
    idle = socket.create_connection(address_of(server))
    with socket.create_connection(address_of(server), timeout=DEADLINE_S) as connection, idle:
        head = f"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: {len(DEFAULT_BODY)}\r\n"
        # An answer to Expect proves that the request is in flight.
        connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")
        connection.sendall(DEFAULT_BODY[:10])

        since = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(server), what="new connections to be refused", deadline_s=EXIT_S)
        assert server.process.poll() is None
        connection.sendall(DEFAULT_BODY[10:])
        received = connection.recv(4096)

    assert received.startswith(b"HTTP/1.1 200 ")
    assert server.process.wait(DEADLINE_S) == 0
    assert time.monotonic() - since < EXIT_S
    assert "Traceback" not in server.log.read_text()


@pytest.mark.timing
def test_a_client_that_never_ends_its_request_does_not_keep_the_server(
    start: Starter, store_path: Path
) -> None:
    server = start("--store", str(store_path), SERVICE_GRACEFUL_TIMEOUT_S="1")
    with socket.create_connection(address_of(server)) as connection:
        connection.sendall(b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n[[1")
        since = time.monotonic()

        assert server.stop() == 0
        assert time.monotonic() - since < 10


@pytest.mark.timing
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_idle_server_stops_at_once(start: Starter, store_path: Path, number: signal.Signals) -> None:
    server = start("--store", str(store_path))
    with httpx.Client(base_url=server.url) as client:
        assert client.get("/ping").status_code == 200
        since = time.monotonic()
        server.process.send_signal(number)
        code = server.process.wait(DEADLINE_S)

    assert time.monotonic() - since < 5
    assert code == 0 or (number is signal.SIGINT and code == 130)
    assert "Traceback" not in server.log.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_worker_that_is_replaced_serves_the_version_of_the_others(
    start: Starter, store_path: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(store_path, store)
    server = start("--store", str(store), "--workers", "2")
    served = httpx.post(f"{server.url}/invocations", content=DEFAULT_BODY).headers[VERSION_HEADER]
    train = [sys.executable, "-m", "service", "train", str(tmp_path / "customers.csv"), "--k", "3"]
    write_sample(tmp_path / "customers.csv", n=200)
    subprocess.run([*train, "--store", str(store)], check=True, capture_output=True)
    for worker in children(server.process.pid):
        before = len(server.log.read_text())
        os.kill(worker, signal.SIGKILL)
        wait_until(partial(has_loaded, server, since=before), what="a new worker")

    for _ in range(20):
        answer = httpx.post(f"{server.url}/invocations", content=DEFAULT_BODY)
        assert answer.headers[VERSION_HEADER] == served


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_two_workers_answer_and_one_that_dies_is_replaced(start: Starter, store_path: Path) -> None:
    server = start(
        "--store",
        str(store_path),
        SAGEMAKER_MODEL_SERVER_WORKERS="2",
        SAGEMAKER_MAX_PAYLOAD_IN_MB="1",
        SERVICE_CONSOLE="off",
    )
    first = children(server.process.pid)
    os.kill(first[0], signal.SIGKILL)
    wait_until(lambda: first[0] not in children(server.process.pid), what="the worker to end")
    wait_until(lambda: len(children(server.process.pid)) == 2, what="a new worker")

    for _ in range(20):
        with httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client:
            assert post(client, DEFAULT_BODY).status_code == 200
            assert post(client, b" " * (2**20 + 1)).status_code == 413
            assert client.get("/docs").status_code == 404
    assert server.stop() == 0
    assert children(server.process.pid) == []


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_end_when_their_supervisor_is_killed(start: Starter, store_path: Path) -> None:
    server = start("--store", str(store_path), "--workers", "2")
    workers = children(server.process.pid)

    server.process.kill()

    wait_until(lambda: not any(map(is_running, workers)), what="the workers to end")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/ping")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_without_a_model_the_server_does_not_start(tmp_path: Path, workers: str) -> None:
    done = run_serve(
        "--port", "0", "--workers", workers, "--store", str(tmp_path), SERVICE_PREFIX=str(tmp_path / "none")
    )

    assert done.returncode == 3
    assert "segserve train" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_that_is_not_there_is_named(tmp_path: Path, store_path: Path) -> None:
    done = run_serve("--port", "0", "--store", str(store_path), "--model", str(tmp_path / "gone.tar.gz"))

    assert done.returncode == 3
    assert "gone.tar.gz" in done.stderr
    assert "Traceback" not in done.stderr


def truncate(folder: Path) -> None:
    path = folder / "model.json"
    path.write_bytes(path.read_bytes()[:-20])


def tamper(folder: Path) -> None:
    path = folder / "model.json"
    path.write_bytes(path.read_bytes().replace(b'"transform": "none"', b'"transform": "log1p"'))


def lose(folder: Path) -> None:
    (folder / "model.json").unlink()


def garble(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b"\xff\x00CANARY")


@pytest.fixture(name="prefix_path")
def _prefix_path(tmp_path: Path, store_path: Path) -> Path:
    """Return a tree like /opt/ml with an unpacked model, as SageMaker leaves it."""
    with tarfile.open(Store(store_path).resolve()) as archive:
        archive.extractall(tmp_path / "ml" / "model", filter="data")
    return tmp_path / "ml"


@pytest.mark.parametrize("damage", [truncate, tamper, lose, garble])
def test_a_damaged_model_does_not_start(prefix_path: Path, damage: Callable[[Path], None]) -> None:
    damage(prefix_path / "model")

    done = run_serve("--port", "0", SERVICE_PREFIX=str(prefix_path))

    assert done.returncode == 3
    assert done.stderr.startswith("Error: ") or "\nError: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_archive_does_not_start(tmp_path: Path, store_path: Path) -> None:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(Store(store_path).resolve().read_bytes()[:-100])

    done = run_serve("--port", "0", "--model", str(path))

    assert done.returncode == 3
    assert "Traceback" not in done.stderr


def test_a_model_that_sagemaker_unpacked_is_served_without_writing(
    start: Starter, tmp_path: Path, prefix_path: Path, artifact_version: str
) -> None:
    """C34: the tree is read-only."""
    before = sorted(path.relative_to(prefix_path) for path in prefix_path.rglob("*"))
    server = start("--store", str(tmp_path / "none"), SERVICE_PREFIX=str(prefix_path))

    with httpx.Client(base_url=server.url) as client:
        response = post(client, DEFAULT_BODY)

    assert response.headers["x-segserve-model-version"] == artifact_version
    assert server.stop() == 0
    assert sorted(path.relative_to(prefix_path) for path in prefix_path.rglob("*")) == before


@pytest.fixture(name="artifact_version")
def _artifact_version(store_path: Path) -> str:
    return Store(store_path).resolve().parent.name


def test_a_taken_port_is_a_usage_error(store_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]

        done = run_serve("--host", "127.0.0.1", "--port", str(port), "--store", str(store_path))

    assert done.returncode == 2
    assert str(port) in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SAGEMAKER_BIND_TO_PORT", "eighty"),
        ("SAGEMAKER_BIND_TO_PORT", "70000"),
        ("SERVICE_ON_ERROR", "shrug"),
        ("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "text/html"),
    ],
)
def test_a_bad_setting_is_named_with_its_value(store_path: Path, name: str, value: str) -> None:
    done = run_serve("--store", str(store_path), **{name: value})

    assert done.returncode == 2
    assert name in done.stderr
    assert value in done.stderr
    assert "Traceback" not in done.stderr


def test_sagemaker_chooses_the_port(tmp_path: Path, store_path: Path) -> None:
    """C7. The fixture's --port would win, so this server is started by hand."""
    port = free_port()
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve", "--store", str(store_path)],
            env=clean_environment(SAGEMAKER_BIND_TO_PORT=str(port)),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = RunningServer(process, f"http://127.0.0.1:{port}", log)
    wait_until(lambda: "Ready on" in log.read_text() or process.poll() is not None, what="readiness")

    assert httpx.get(f"{server.url}/ping").status_code == 200
    assert f"Ready on http://localhost:{port}\n" in log.read_text()
    assert server.stop() == 0


def longest_ping_s(url: str, *, while_true: Callable[[], bool]) -> float:
    """Ping over and over and return the longest time that an answer took."""
    longest_s = 0.0
    with httpx.Client(base_url=url, timeout=DEADLINE_S) as client:
        while while_true():
            since = time.monotonic()
            assert client.get("/ping").status_code == 200
            longest_s = max(longest_s, time.monotonic() - since)
    return longest_s


@pytest.mark.timing
@pytest.mark.parametrize(
    ("clients", "times", "body", "content_type", "accept"),
    [
        pytest.param(50, 10, DEFAULT_BODY, JSON, JSON, id="small"),
        pytest.param(4, 1, b"[" + b"[1.5,1250]," * 1_900_000 + b"[1,2]]", JSON, JSON, id="20 MB"),
        pytest.param(2, 1, b"[1,2]\n" * 300_000, JSON, JSON_LINES, id="by line"),
        pytest.param(2, 1, b"1,2\n" * 100_000, CSV, f"{JSON_LINES};detail=full", id="large detailed"),
    ],
)
def test_ping_answers_in_time_whatever_is_asked(
    server: RunningServer, clients: int, times: int, body: bytes, content_type: str, accept: str
) -> None:
    """C14, C32, C139."""
    barrier = threading.Barrier(clients)

    def ask() -> list[int]:
        with httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client:
            barrier.wait()
            return [
                post(client, body, content_type=content_type, accept=accept).status_code for _ in range(times)
            ]

    with ThreadPoolExecutor(clients) as pool:
        asked = [pool.submit(ask) for _ in range(clients)]
        longest_s = longest_ping_s(server.url, while_true=lambda: not all(future.done() for future in asked))

    assert [future.result() for future in asked] == [[200] * times] * clients
    assert 0 < longest_s < 2


@pytest.mark.timing
def test_ping_does_not_wait_for_requests_that_arrive_together(server: RunningServer) -> None:
    """C14, C32: each is small enough to look harmless, and takes some 50 ms."""
    body = b"Age,Spending_Power\n" + b"1,2\n" * 16_000
    head = (
        f"POST /invocations HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    request = head.encode() + body
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(address_of(server), timeout=DEADLINE_S))
            for _ in range(70)
        ]
        for connection in connections:
            connection.sendall(request[:-1])
        for connection in connections:
            connection.sendall(request[-1:])
        since = time.monotonic()
        status = httpx.get(f"{server.url}/ping", timeout=DEADLINE_S).status_code
        took_s = time.monotonic() - since
        answers = [read_all(connection) for connection in connections]

    assert status == 200
    assert took_s < 2
    assert {answer[:13] for answer in answers} == {b"HTTP/1.1 200 "}


def test_a_model_is_chosen_by_version(start: Starter, store_path: Path, artifact_version: str) -> None:
    server = start("--store", str(store_path), "--model", artifact_version, "--host", "::1")

    assert server.url.startswith("http://[::1]:")
    assert httpx.get(f"{server.url}/model").json()["model_version"] == artifact_version
    assert server.stop() == 0
