"""Start the service under test, as a process or as a container, behind one interface."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from tests.conformance.wire import DEADLINE_S, Address, free_port, status_of, wait_until

PORT: Final = "SAGEMAKER_BIND_TO_PORT"
SERVING: Final = {"model": "ro"}
TRAINING: Final = {"input": "ro", "model": "rw", "output": "rw"}


@dataclass(frozen=True, slots=True)
class Launch:
    """Hold how to start the service once."""

    prefix: Path
    """A tree like /opt/ml."""
    command: tuple[str, ...] = ("serve",)
    mounts: Mapping[str, str] = field(default_factory=lambda: SERVING)
    """Folders of the tree that a container sees, ro or rw."""
    environment: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    """Of docker run; a process has none of these."""


class Running(Protocol):
    """A started service."""

    address: Address
    """From this machine."""

    def exit_code(self) -> int | None: ...
    def wait(self, *, deadline_s: float = DEADLINE_S) -> int: ...
    def terminate(self) -> None: ...
    def output(self) -> str: ...
    def peak_memory_bytes(self) -> int: ...
    def listening_ports(self) -> set[int]: ...
    def other_address(self) -> Address: ...
    def process_count(self) -> int: ...
    def remove(self) -> None: ...


class Target(Protocol):
    """What starts services."""

    name: str

    def start(self, launch: Launch) -> Running: ...


@dataclass(frozen=True, slots=True)
class Server:
    """Hold a service that has answered its first ping."""

    running: Running
    start_s: float
    """From the start to the first 200."""
    first_statuses: frozenset[int]
    """All that /ping ever said before."""

    @property
    def address(self) -> Address:
        return self.running.address


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold how a command ended."""

    exit_code: int
    output: str


class ProcessRun:
    """A service that runs as a process."""

    def __init__(self, launch: Launch, port: int) -> None:
        self.address = ("127.0.0.1", port)
        self._log = launch.prefix / f"log-{time.monotonic_ns()}"
        environment = {
            "PATH": os.environ["PATH"],
            "SERVICE_PREFIX": str(launch.prefix),
            PORT: str(port),
            "SERVICE_KERNEL": os.environ.get("SEGSERVE_KERNEL", "off"),  # the container has it on
            **launch.environment,
        }
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service", *launch.command],
                cwd=launch.prefix,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    def exit_code(self) -> int | None:
        return self._process.poll()

    def wait(self, *, deadline_s: float = DEADLINE_S) -> int:
        return self._process.wait(deadline_s)

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def output(self) -> str:
        return self._log.read_text()

    def peak_memory_bytes(self) -> int:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def listening_ports(self) -> set[int]:
        folder = Path(f"/proc/{self._process.pid}")
        inodes = set()
        for link in (folder / "fd").iterdir():
            with contextlib.suppress(OSError):
                inodes.add(str(link.readlink()).removeprefix("socket:[").removesuffix("]"))
        tables = "".join((folder / "net" / name).read_text() for name in ("tcp", "tcp6"))
        return parse_listening(tables, inodes)

    def other_address(self) -> Address:
        return ("127.0.0.2", self.address[1])

    def process_count(self) -> int:
        parent = f"PPid:\t{self._process.pid}\n"
        count = 1
        for path in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                count += parent in path.read_text()
        return count

    def remove(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(DEADLINE_S)


class ProcessTarget:
    """Starts `python -m service` from this interpreter."""

    name = "process"

    def start(self, launch: Launch) -> Running:
        return ProcessRun(launch, int(launch.environment.get(PORT, free_port())))


def parse_listening(tables: str, inodes: set[str] | None) -> set[int]:
    """Return the listening ports of /proc/net/tcp, of all sockets or of those with these inodes."""
    ports = set()
    for line in tables.splitlines():
        fields = line.split()
        if len(fields) > 9 and fields[3] == "0A" and (inodes is None or fields[9] in inodes):
            ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def serve(target: Target, launch: Launch) -> Server:
    """Start a server and poll /ping, as SageMaker does, until it is healthy."""
    since = time.monotonic()
    running = target.start(launch)
    statuses: set[int] = set()

    def is_healthy() -> bool:
        status = status_of(running.address)
        if status is not None:
            statuses.add(status)
        return status == 200 or running.exit_code() is not None

    try:
        wait_until(is_healthy, what="a healthy ping")
        assert running.exit_code() is None, f"the server ended:\n{running.output()}"
    except BaseException:
        running.remove()
        raise
    return Server(running, time.monotonic() - since, frozenset(statuses))


def run(target: Target, launch: Launch, *, deadline_s: float = DEADLINE_S) -> Outcome:
    """Run a command to its end."""
    running = target.start(launch)
    try:
        return Outcome(running.wait(deadline_s=deadline_s), running.output())
    finally:
        running.remove()
