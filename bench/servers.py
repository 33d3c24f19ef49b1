"""Start servers, each in its own process; read their CPU time and memory; stop them whatever happens."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
HOST: Final = "127.0.0.1"

_DEADLINE_S: Final = 60.0
_POLL_S: Final = 0.001
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_CPU_FIELDS: Final = slice(11, 15)
"""utime, stime, cutime and cstime, counted after the command's name. Source: proc_pid_stat(5)."""


class ServerName(StrEnum):
    """Name the servers that are compared."""

    HELLO = "hello"
    FASTAPI_HELLO = "fastapi_hello"
    PLAIN = "plain"
    SEGSERVE = "segserve"


@dataclass(frozen=True, slots=True)
class Server:
    """Hold a server that answers."""

    name: ServerName
    pid: int
    port: int
    start_s: float
    """From the start of the process to the first 200 on /ping."""

    def url(self, path: str) -> str:
        """Return the URL of a path."""
        return f"http://{HOST}:{self.port}{path}"

    def cpu_s(self) -> float:
        """Return the CPU time of the server's process tree so far, to 1/100 s."""
        stats = [Path(f"/proc/{pid}/stat").read_text() for pid in family(self.pid)]
        return sum(sum(map(int, stat.rpartition(")")[2].split()[_CPU_FIELDS])) for stat in stats) / _TICKS

    def pss_mb(self) -> float:
        """Return the proportional set size of the process tree, in MiB; a second one like it would share."""
        rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in family(self.pid)]
        lines = [line for rollup in rollups for line in rollup.splitlines() if line.startswith("Pss:")]
        return sum(int(line.split()[1]) for line in lines) / 1024

    def post(self, body: bytes) -> bytes:
        """Return the answer to one invocation."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=_DEADLINE_S)
        try:
            connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{self.name} answered {response.status}: {answer[:200]!r}")
        return answer


@contextmanager
def running(name: ServerName, *, store: Path, **variables: str) -> Iterator[Server]:
    """Run a server with the latest model of a store, and these variables, while the block runs."""
    port = _free_port()
    with _launched(name, _command(name, port=port, store=store), port=port, **variables) as server:
        yield server


@contextmanager
def running_many(*, workers: int = 1) -> Iterator[Server]:
    """Run a multi-model server without any model while the block runs."""
    port = _free_port()
    options = ["--host", HOST, "--port", str(port), "--workers", str(workers)]
    command = [sys.executable, "-m", "service", "serve", *options]
    with _launched(ServerName.SEGSERVE, command, port=port, SAGEMAKER_MULTI_MODEL="true") as server:
        yield server


@contextmanager
def _launched(name: ServerName, command: Sequence[str], *, port: int, **variables: str) -> Iterator[Server]:
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**environment(), **variables},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            if not _answers(process, port=port):
                log.seek(0)
                raise RuntimeError(f"{name} did not start: {log.read().decode()[-2000:]}")
            yield Server(name, process.pid, port, start_s=time.perf_counter() - started)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def environment() -> Mapping[str, str]:
    """Return our environment without the settings that would change what a server does."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("SERVICE_", "SAGEMAKER_"))
    }
    return {**kept, "SERVICE_PREFIX": os.devnull}  # no folder, so no model in it either


def _command(name: ServerName, *, port: int, store: Path) -> Sequence[str]:
    if name is ServerName.SEGSERVE:
        options = ["--host", HOST, "--port", str(port), "--store", str(store)]
        return [sys.executable, "-m", "service", "serve", *options]
    # Version ids sort by time. Importing service.store would map numpy here, and share its pages.
    artifact_path = max(store.glob("*/model.tar.gz"))
    return [sys.executable, "-m", "bench.apps", name, str(port), str(artifact_path)]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def _answers(process: subprocess.Popen[bytes], *, port: int) -> bool:
    """Wait for the first 200 on /ping; False when the process ends or the deadline passes before."""
    deadline = time.monotonic() + _DEADLINE_S
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection(HOST, port, timeout=_DEADLINE_S)
        try:
            connection.request("GET", "/ping")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return True
        except OSError:
            time.sleep(_POLL_S)
        finally:
            connection.close()
    return False


def family(pid: int) -> Iterator[int]:
    """Yield the ids of a process and its descendants."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from family(int(child))
