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
from types import MappingProxyType
from typing import Final

ROOT: Final = Path(__file__).parent.parent
HOST: Final = "127.0.0.1"

_DEADLINE_S: Final = 120.0
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

    name: str
    pid: int
    port: int
    start_s: float
    """From the start of the process to the first 200 on its health route."""

    def family(self) -> list[int]:
        """Return the process and its descendants."""
        return list(family_of(self.pid))

    def url(self, path: str) -> str:
        """Return the URL of a path."""
        return f"http://{HOST}:{self.port}{path}"

    def cpu_s(self) -> float:
        """Return the CPU time of the server's process tree so far, to 1/100 s."""
        stats = [Path(f"/proc/{pid}/stat").read_text() for pid in self.family()]
        return sum(sum(map(int, stat.rpartition(")")[2].split()[_CPU_FIELDS])) for stat in stats) / _TICKS

    def pss_mb(self) -> float:
        """Return the proportional set size of the process tree, in MiB; a second one like it would share."""
        rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self.family()]
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
    port = free_port()
    with launched(name, _command(name, port=port, store=store), port=port, variables=variables) as server:
        yield server


@contextmanager
def running_many(*, workers: int = 1) -> Iterator[Server]:
    """Run a multi-model server without any model while the block runs."""
    port = free_port()
    options = ["--host", HOST, "--port", str(port), "--workers", str(workers)]
    command = [sys.executable, "-m", "service", "serve", *options]
    with launched(
        ServerName.SEGSERVE, command, port=port, variables={"SAGEMAKER_MULTI_MODEL": "true"}
    ) as server:
        yield server


@contextmanager
def launched(
    name: str,
    command: Sequence[str],
    *,
    port: int,
    ping: str = "/ping",
    folder: Path = ROOT,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Server]:
    """Run any server from a folder, as soon as it is healthy, while the block runs.

    Raises:
        RuntimeError: It ended, or was not healthy in time.
    """
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**environment(), **variables},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            if not _answers(process, port=port, ping=ping):
                log.seek(0)
                raise RuntimeError(f"{name} did not start: {log.read().decode()[-2000:]}")
            yield Server(name, process.pid, port, start_s=time.perf_counter() - started)
        finally:
            family = list(family_of(process.pid))  # some start workers in sessions of their own
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            for pid in family[1:]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


def environment() -> Mapping[str, str]:
    """Return our environment without what would change what a server does, or leave its code uncompiled."""
    dropped = ("SERVICE_", "SAGEMAKER_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, "SERVICE_PREFIX": os.devnull}  # no folder, so no model in it either


def _command(name: ServerName, *, port: int, store: Path) -> Sequence[str]:
    if name is ServerName.SEGSERVE:
        options = ["--host", HOST, "--port", str(port), "--store", str(store)]
        return [sys.executable, "-m", "service", "serve", *options]
    # Version ids sort by time. Importing service.store would map numpy here, and share its pages.
    artifact_path = max(store.glob("*/model.tar.gz"))
    return [sys.executable, "-m", "bench.apps", name, str(port), str(artifact_path)]


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def _answers(process: subprocess.Popen[bytes], *, port: int, ping: str) -> bool:
    """Wait for the first 200 of its health route; False when it ends or the deadline passes before."""
    deadline = time.monotonic() + _DEADLINE_S
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection(HOST, port, timeout=_DEADLINE_S)
        try:
            connection.request("GET", ping)
            if connection.getresponse().status == http.HTTPStatus.OK:
                return True
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(_POLL_S)
    return False


def family_of(pid: int) -> Iterator[int]:
    """Yield a process and its descendants."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread may end meanwhile
            for child in children.read_text().split():
                yield from family_of(int(child))
